"""webpage.py: what it listens to, and what it says where it cannot."""

import socket
import subprocess
import sys

import pytest
import torch
import uvicorn

import model.weights
import webpage
from tests.conftest import run_script
from tests.helpers.networks import TinyNext, input_form, save_network
from tests.helpers.paths import ROOT
from util import model_file


@pytest.fixture
def checkpoint(tmp_path, monkeypatch):
    monkeypatch.setattr(model.weights, "COVIDNext50", TinyNext)
    torch.manual_seed(0)
    return save_network(tmp_path / "best.pth", TinyNext(3), input_form((32, 32)))


@pytest.fixture
def served(monkeypatch):
    """The addresses that were listened to; nothing is served."""
    served = []
    monkeypatch.setattr(
        uvicorn.Server, "run", lambda server, sockets: served.append(sockets[0].getsockname())
    )
    return served


def test_it_listens_to_this_computer_only_and_says_where(checkpoint, served, caplog):
    caplog.set_level("INFO")
    run_script(webpage, "--checkpoint", checkpoint, "--port", 0)
    ((host, port),) = served
    assert host == "127.0.0.1"
    assert f"http://127.0.0.1:{port}" in caplog.text
    assert "not a medical device" in caplog.text
    assert "Other machines" not in caplog.text


def test_that_others_can_reach_it_is_said(checkpoint, served, caplog):
    run_script(webpage, "--checkpoint", checkpoint, "--port", 0, "--host", "0.0.0.0")
    assert served[0][0] == "0.0.0.0"
    assert "Other machines can reach it, without a password" in caplog.text


def test_without_a_network_it_says_in_one_line_how_to_get_one(served, tmp_path, monkeypatch):
    monkeypatch.setattr(model_file, "PRETRAINED", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"^pretrained: no network in it yet; train one "):
        run_script(webpage, "--port", 0)
    assert not served


def test_a_port_that_is_taken_is_one_line_before_the_network_is_read(checkpoint, monkeypatch):
    monkeypatch.setattr(webpage.Predictor, "load", None)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(OSError, match=rf"^127.0.0.1:{port}: .+; give another --port") as error:
            run_script(webpage, "--checkpoint", checkpoint, "--port", port)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("flag", "value"), [("--port", 70000), ("--port", -1), ("--max-megabytes", 0)]
)
def test_a_number_out_of_range_is_a_wrong_argument(flag, value, capsys):
    with pytest.raises(SystemExit) as stop:
        run_script(webpage, flag, value)
    assert stop.value.code == 2
    assert f"{flag}: found {value}; expected" in capsys.readouterr().err


def test_it_imports_nothing_that_prediction_does_without():
    code = (
        "import sys, webpage\n"
        "heavy = {'torchvision', 'torch._dynamo', 'scipy', 'pandas', 'sklearn', 'matplotlib'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")
