"""leave_sources_out.py: each source in turn is left out, trained without and tested on."""

import os
import shutil
import signal
import subprocess
import sys
from unittest.mock import Mock

import pandas as pd
import pytest

import evaluate
import leave_sources_out
import train
from tests.conftest import run_script
from tests.helpers import networks, systems, training
from tests.helpers.paths import ROOT
from util.checkpoint import load_checkpoint

SETTINGS = (*training.FLAGS, "--epochs", 1, "--mapping", "normal=0", "pneumonia=1")


@pytest.fixture
def calls(monkeypatch):
    """The words of each script that it calls, which runs here with a tiny network."""
    networks.use_network(monkeypatch)
    training.draw_nothing(monkeypatch)
    monkeypatch.setattr(evaluate, "draw_all", lambda *_: {})
    monkeypatch.setattr(evaluate, "gallery", lambda *_: [])
    calls = []

    def script(name, *words):
        calls.append((name, *words))
        run_script({"train.py": train, "evaluate.py": evaluate}[name], *words)

    monkeypatch.setattr(leave_sources_out, "script", script)
    return calls


@pytest.fixture
def two_hospitals(dataset, tmp_path):
    """The sample's normal and pneumonia, as if each patient were of one of two hospitals."""
    folder = tmp_path / "two"
    shutil.copytree(dataset, folder, ignore=shutil.ignore_patterns("decoded"))
    for path in folder.glob("*_metadata.csv"):
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        table = table[table["source"] == "rsna"]
        north = table["patient_id"].rank(method="dense") % 2 == 0
        table.assign(source=north.map({True: "north", False: "south"})).to_csv(path, index=False)
    return folder


def test_each_source_is_trained_without_and_tested_on(calls, script, two_hospitals, tmp_path):
    words = ("--leave-out", "south", "north", "--dataset", two_hospitals, "--name", "loso")
    words = (*words, "--ckpts-dir", tmp_path / "runs", *SETTINGS)
    printed = script(leave_sources_out, *words)
    for name, *given in calls:  # the evaluations run where the trainings do
        assert given[given.index("--n-threads") + 1] == "0", name
    table = pd.read_csv(tmp_path / "runs/loso-sources-left-out.csv")
    assert list(table["left out"]) == ["south", "south", "north", "north"]
    assert list(table["class"]) == ["normal", "pneumonia"] * 2
    for source, rows in table.groupby("left out"):
        folder = tmp_path / f"runs/loso-without-{source}"
        assert load_checkpoint(folder / "best.pth")["config"]["leave_out"] == [source]
        found = pd.read_csv(folder / f"evaluation-left-out-{source}/predictions.csv")
        assert set(found["source"]) == {source}
        assert sum(rows["images"]) == len(found)
        for _, row in rows.iterrows():
            of_class = found[found["truth"] == row["class"]]
            hits = (of_class["predicted"] == row["class"]).mean()
            assert row["recall"] == row[f"called {row['class']}"] == pytest.approx(hits)
            assert row["recall low"] <= hits <= row["recall high"]
    assert "not a medical device" in printed

    # Again: a run that has ended is not trained further, nor evaluated; the other begins.
    done = (tmp_path / "runs/loso-without-south/last.pth").read_bytes()
    shutil.rmtree(tmp_path / "runs/loso-without-north")
    calls.clear()
    assert script(leave_sources_out, *words).endswith(printed[printed.index("left out") :])
    assert [call[0] for call in calls] == ["train.py", "train.py", "evaluate.py"]
    assert (tmp_path / "runs/loso-without-south/last.pth").read_bytes() == done


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("east", "leave_out: found east; expected sources of train and val"),
        ("covid-chestxray", "covid-chestxray has only COVID-19.*; expected an image of normal"),
    ],
)
def test_what_cannot_be_tested_is_said_before_the_first_training(
    calls, script, dataset, tmp_path, source, message
):
    folder = tmp_path / "set"
    shutil.copytree(dataset, folder)
    words = ("--leave-out", source, "--dataset", folder, "--ckpts-dir", tmp_path / "runs")
    if source == "covid-chestxray":  # as if it had no other class
        for path in folder.glob("*_metadata.csv"):
            table = pd.read_csv(path, dtype=str, keep_default_na=False)
            left = (table["source"] == "rsna") | (table["label"] == "COVID-19")
            table[left].to_csv(path, index=False)
    with pytest.raises(ValueError, match=message):
        script(leave_sources_out, *words, *training.FLAGS)
    assert not calls


def test_weights_for_a_class_that_a_source_takes_away_are_refused_before_the_first_training(
    calls, script, dataset, tmp_path
):
    words = ("--leave-out", "rsna", "covid-chestxray", "--loss-weights", 1, 2, 3)
    words = (*words, "--dataset", dataset, "--ckpts-dir", tmp_path)
    with pytest.raises(ValueError, match="--loss-weights: found 3 numbers; expected 2, one for"):
        script(leave_sources_out, *words, *training.FLAGS)
    assert not calls


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "--leave-out: found no source; expected one or more"),
        (("--leave-out", "rsna", "a/b"), "--leave-out: found a/b; expected a name that a folder"),
    ],
)
def test_without_a_source_that_can_name_a_folder_it_says_what_it_wants(
    script, capsys, words, message
):
    with pytest.raises(SystemExit):
        script(leave_sources_out, "--name", "loso", *words)
    assert message in capsys.readouterr().err


def test_it_ends_with_the_status_of_a_script_that_failed(tmp_path, capfd):
    with pytest.raises(SystemExit) as stop:
        leave_sources_out.script("evaluate.py", tmp_path / "no.pth")
    assert stop.value.code == 1
    assert "no.pth" in capfd.readouterr().err


@systems.posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_a_script_starts_ends_that_script_too(monkeypatch, number):
    process = Mock(**{"wait.return_value": 0})

    def start(*_, **__):
        os.kill(os.getpid(), number)
        return process

    monkeypatch.setattr(subprocess, "Popen", start)
    with pytest.raises(KeyboardInterrupt):
        leave_sources_out.script("train.py")
    process.terminate.assert_called_once()


@systems.posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_it_only_ends_the_script_that_runs_and_itself(tmp_path, number):
    (tmp_path / "slow.py").write_text(
        "import os, signal, sys, time\n"  # print fails in a handler that another print is in
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(os.write(2, b'saved\\n') - 6))\n"
        "os.write(2, b'begun\\n')\ntime.sleep(60)\n"
    )
    code = (
        "import leave_sources_out\nfrom util.script import run\n"
        f"leave_sources_out.__file__ = {str(tmp_path / 'x.py')!r}\n"
        "def main():\n    leave_sources_out.script('slow.py')\n    print('went on')\n"
        "run(main, 'it')\n"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=pipe, stderr=pipe, text=True
    ) as process:
        assert process.stderr.readline() == "begun\n"
        process.send_signal(number)
        said, errors = process.communicate(timeout=30)
    assert (process.returncode, said) == (130, "")
    assert errors == "saved\nit: interrupted\n"
