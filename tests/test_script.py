"""Scripts fail with one line; faults of ours show their traceback."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from torch.utils.data import DataLoader

from data.dataset import RadiographDataset
from util.script import run

ROOT = Path(__file__).parent.parent
SCRIPTS = ["generate_dataset.py", "train.py", "evaluate.py", "minimal_prediction.py"]


@pytest.mark.parametrize("kind", [ValueError, OSError, FileNotFoundError])
def test_an_expected_error_is_one_line_and_status_1(capsys, kind):
    def main():
        raise kind("x: found 1; expected 2\nmore")

    with pytest.raises(SystemExit) as stop:
        run(main, "tool")
    assert stop.value.code == 1
    assert capsys.readouterr().err == "tool: x: found 1; expected 2\n"


def test_a_broken_image_in_a_loader_process_keeps_its_name(make_dataset, capsys):
    folder = make_dataset(("A", "train"), ("B", "train"), ("B", "val"))
    broken = folder / "train" / "source-00002.png"
    broken.write_bytes(broken.read_bytes()[:200])

    def main():
        images = RadiographDataset(folder, "train", {"A": 0, "B": 1}, transform=np.asarray)
        list(DataLoader(images, num_workers=1))

    with pytest.raises(SystemExit) as stop:
        run(main, "tool")
    assert stop.value.code == 1
    error = capsys.readouterr().err
    assert error.startswith(f"tool: {broken}: ")
    assert error.count("\n") == 1


def test_a_fault_of_ours_is_not_hidden():
    def main():
        raise KeyError("bug")

    with pytest.raises(KeyError):
        run(main, "tool")


def test_ctrl_c_is_status_130(capsys):
    def main():
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as stop:
        run(main, "tool")
    assert stop.value.code == 130


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_comes_without_the_heavy_imports_and_names_defaults(script):
    """Importing torch alone takes seconds; -h has to answer within one."""
    code = (
        "import runpy, sys\n"
        f"sys.argv = [{script!r}, '-h']\n"
        f"try: runpy.run_path({script!r}, run_name='__main__')\n"
        "except SystemExit as stop: assert not stop.code\n"
        "heavy = {'torch', 'torchvision', 'pandas', 'sklearn', 'matplotlib', 'pydicom'}\n"
        "print('heavy:', sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "heavy: []" in done.stdout
    assert "(default: " in done.stdout


@pytest.mark.parametrize("script", SCRIPTS)
def test_an_unknown_flag_is_status_2_and_one_line(script):
    command = [sys.executable, script, "x", "--devise", "cpu"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith(f"{script}: ")
    assert done.stderr.count("\n") == 1
