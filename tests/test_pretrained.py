"""The network of the project: file, hash and card belong together; and how it is made."""

import importlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from data.sample.phantom import draw_phantom
from tests.helpers.paths import ROOT
from util.model_file import PRETRAINED, file_hash, model_file, read_card
from util.report.write import write_card

MIB = 2**20
CARD = read_card(PRETRAINED)
needs_network = pytest.mark.skipif(not CARD, reason="pretrained/ has no network yet")
NO_TORCH = "import sys; sys.modules.update(dict.fromkeys(('torch', 'onnx', 'pandas', 'scipy')));"


@needs_network
def test_file_hash_card_and_readme_belong_together(tmp_path):
    file = model_file("pretrained")
    assert file == PRETRAINED / CARD["file"]
    assert file_hash(file) == CARD["sha256"]
    written = (PRETRAINED / "README.md").read_text(encoding="utf-8")
    assert write_card(tmp_path, CARD).read_text(encoding="utf-8") == written
    about = {each.key: json.loads(each.value) for each in onnx.load(file).metadata_props}
    assert about["licence"] == CARD["licence"]
    assert "pretrained/LICENSE" in CARD["licence"]
    assert (PRETRAINED / "LICENSE").is_file()


@needs_network
def test_a_clone_stays_small():
    """git keeps the file once more, compressed to four fifths."""
    assert model_file("pretrained").stat().st_size < 41 * MIB


@needs_network
def test_neither_file_nor_card_names_a_folder_of_the_machine_that_made_it():
    properties = onnx.load(model_file("pretrained")).metadata_props
    said = json.dumps(CARD) + "".join(each.value for each in properties)
    assert not re.findall(r"(?<![\w.)/:])/[a-z]\w*/[^\"]*", said)


@needs_network
def test_a_fresh_clone_answers_without_torch(tmp_path):
    film = draw_phantom("normal", np.random.default_rng(0))
    Image.fromarray(film).resize((600, 500)).save(tmp_path / "film.png")
    code = f"{NO_TORCH} import runpy; runpy.run_path('minimal_prediction.py', run_name='__main__')"
    words = [sys.executable, "-c", code, str(tmp_path / "film.png"), "--format", "json"]
    home = tmp_path / "home"
    home.mkdir()
    own = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "ORT_"))}
    done = subprocess.run(
        words, cwd=ROOT, capture_output=True, text=True, env=own | {"HOME": str(home)}
    )
    (row,) = json.loads(done.stdout)
    assert (row["error"], done.returncode) == (None, 0), done.stderr
    assert row["checkpoint"] == f"{CARD['file']}@{CARD['sha256'][:8]}"
    assert not [
        *home.rglob("*")
    ]  # where ONNX Runtime writes what it reports to its maker, unless told not to


@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
@pytest.mark.parametrize(
    ("words", "name", "pixels"),
    [(["RAW=films"], "pretrained", 96), (["RAW=films", "SIZE=224"], "pretrained-224", 224)],
)
def test_each_command_that_makes_it_again_is_one_that_its_script_takes(
    tmp_path, monkeypatch, words, name, pixels
):
    """In a folder where nothing is made yet."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "pretrained").mkdir()
    shutil.copy(ROOT / "pretrained" / "recipe.mk", tmp_path / "pretrained")
    command = ["make", "-n", "-o", ".venv/installed", "pretrained", *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    scripts = []
    for line in done.stdout.replace("\\\n", " ").splitlines():
        program, *flags = shlex.split(line)
        if program == ".venv/bin/python" and flags[0].endswith(".py"):
            monkeypatch.setattr(sys, "argv", flags)
            given = importlib.import_module(Path(flags[0]).stem).arguments()
            scripts.append(flags[0])
            if "width" in given:
                wanted = ("pretrained", 64, 64) if given.leave_out else (name, pixels, pixels)
                assert (given.name, given.width, given.height) == wanted
            if flags[0] == "evaluate.py":
                assert (given.coverage, given.specificity) == (0.9, 0.99)
    assert scripts == [
        "generate_dataset.py", "train.py", "export.py", "evaluate.py", "evaluate.py",
        "leave_sources_out.py", "release.py",
    ]  # fmt: skip
