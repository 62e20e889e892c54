"""Scripts fail with one line; faults of ours show their traceback."""

import os
import signal
import subprocess
import sys

import pytest

from data.dataset import RadiographDataset
from data.loader import make_loader
from data.transforms import PLAIN, InputFormat
from tests.helpers.paths import ROOT
from util.script import run, stop_asked

SCRIPTS = [
    "generate_dataset.py", "train.py", "evaluate.py", "leave_sources_out.py", "export.py",
    "release.py", "minimal_prediction.py",
]  # fmt: skip
WORDS = {  # that each takes; of another one a file
    "generate_dataset.py": ["x", "--sample"], "train.py": [],
    "leave_sources_out.py": ["--leave-out", "x"], "release.py": ["x", "--evaluations", "x"],
}  # fmt: skip


@pytest.mark.parametrize("kind", [ValueError, OSError, FileNotFoundError])
def test_an_expected_error_is_one_line_and_status_1(capsys, kind):
    def main():
        raise kind("x: found 1; expected 2\nmore")

    with pytest.raises(SystemExit) as stop:
        run(main, "tool")
    assert stop.value.code == 1
    assert capsys.readouterr().err == "tool: x: found 1; expected 2\n"


def test_an_error_in_a_loader_process_keeps_the_name_of_the_file(make_dataset, capsys):
    folder = make_dataset(("A", "train"), ("B", "train"), ("B", "val"))
    images = RadiographDataset(folder, "train", {"A": 0, "B": 1}, InputFormat((16, 16), **PLAIN))
    for lost in (next((folder / "decoded").iterdir()), folder / "train" / "source-00001.png"):
        lost.unlink()  # without its image the decoded array cannot be made again

    def main():
        list(make_loader(images, [[0, 1]], workers=1, pin=False))

    with pytest.raises(SystemExit) as stop:
        run(main, "tool")
    assert stop.value.code == 1
    error = capsys.readouterr().err
    assert error.startswith("tool: [Errno 2] No such file")
    assert lost.name in error
    assert error.count("\n") == 1


def test_a_file_name_that_is_not_utf_8_can_be_printed(capfd):
    run(lambda: print("caf\udce9"), "tool")
    assert capfd.readouterr().out == "caf\\udce9\n"


def test_a_fault_of_ours_is_not_hidden():
    def main():
        raise KeyError("bug")

    with pytest.raises(KeyError):
        run(main, "tool")


def test_a_loop_can_end_where_its_state_is_whole(monkeypatch):
    before = signal.getsignal(signal.SIGINT)
    with stop_asked() as stop:
        assert not stop()
        signal.raise_signal(signal.SIGINT)
        assert stop()
        signal.raise_signal(signal.SIGINT)  # the same, passed on by torchrun
        monkeypatch.setattr("util.script.SAME_CTRL_C", 0)
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):  # for who cannot wait
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_leaving_at_once_writes_all_that_was_printed():
    code = (
        "import atexit; from util.script import leave_at_once\n"
        "atexit.register(print, 'taken apart')\n"
        "for k in range(100000): print(k)\n"
        "leave_at_once(3)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 3
    assert done.stdout.split() == [str(k) for k in range(100000)]


def test_leaving_when_nobody_reads_any_more_is_status_1_without_a_word():
    code = "from util.script import leave_at_once; print('x'); leave_at_once(0)"
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-c", code]
    held = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(command, cwd=ROOT, env=held, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")


def test_ctrl_c_is_status_130(capsys):
    def main():
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as stop:
        run(main, "tool")
    assert stop.value.code == 130


@pytest.fixture
def _hears_ctrl_c():
    """What is started in the background ignores it, and so does all that is started there."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_hears_ctrl_c")
@pytest.mark.parametrize("script", SCRIPTS)
def test_ctrl_c_while_modules_are_imported_is_one_line(script, tmp_path):
    slow = "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nraise OSError"
    heavy = "numpy" if script in ("generate_dataset.py", "minimal_prediction.py") else "torch"
    (tmp_path / f"{heavy}.py").write_text(slow)
    command = [sys.executable, script, *WORDS.get(script, ["x"])]
    own = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, cwd=ROOT, env=own, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, f"{script}: interrupted\n")


@pytest.mark.parametrize("script", ["generate_dataset.py", "train.py", "evaluate.py"])
def test_plots_need_no_display_whatever_backend_a_notebook_names(script, tmp_path):
    (tmp_path / "numpy.py").write_text("import os\nprint(os.environ['MPLBACKEND'])\nexit()")
    notebook = {"PYTHONPATH": str(tmp_path), "MPLBACKEND": "module://matplotlib_inline"}
    done = subprocess.run(
        [sys.executable, script, *WORDS.get(script, ["x"])], cwd=ROOT,
        env={**os.environ, **notebook},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout == "agg\n", done.stderr


@pytest.mark.usefixtures("_hears_ctrl_c")
def test_ctrl_c_is_itself_again_once_the_work_begins():
    code = (
        "import os, signal; from util.script import while_importing, run\n"
        "def main():\n"
        "    try: os.kill(os.getpid(), signal.SIGINT)\n"
        "    finally: print('tidied up')\n"
        "while_importing('tool'); run(main, 'tool')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (130, "tidied up\n")
    assert done.stderr == "tool: interrupted\n"


def test_a_package_that_is_not_installed_is_one_line():
    code = (
        "import sys; sys.modules['pandas'] = None; sys.argv = ['evaluate.py', 'x']\n"
        "import runpy; runpy.run_path('evaluate.py', run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    expected = "expected those of requirements.txt: pip install -r requirements.txt"
    assert done.stderr == f"evaluate.py: found no package pandas here; {expected}\n"


def test_a_package_that_is_lost_once_the_work_has_begun_is_a_fault_with_its_traceback():
    code = (
        "from util.script import while_importing, run\n"
        "while_importing('tool'); run(lambda: __import__('no_such_package'), 'tool')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stderr.startswith("Traceback")


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_comes_without_the_heavy_imports_and_names_defaults(script):
    """Importing torch alone takes seconds; -h has to answer within one."""
    code = (
        "import runpy, sys\n"
        f"sys.argv = [{script!r}, '-h']\n"
        f"try: runpy.run_path({script!r}, run_name='__main__')\n"
        "except SystemExit as stop: assert not stop.code\n"
        "heavy = {'torch', 'torchvision', 'numpy', 'pandas', 'sklearn', 'matplotlib', 'pydicom'}\n"
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
