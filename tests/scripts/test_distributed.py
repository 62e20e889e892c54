"""Two processes on one machine, by gloo, as torchrun starts them: they do what one does."""

import os
import socket
import subprocess
import sys
from functools import partial

import pandas as pd
import pytest
import torch

import train
from data.dataset import RadiographDataset
from data.loader import make_loader
from data.sampling import in_order
from data.transforms import InputFormat
from model.weights import load_strictly
from tests.helpers import training, two_ranks
from tests.helpers.forked import Process, Server
from tests.helpers.networks import TinyNext, use_network
from tests.helpers.paths import ROOT
from util.checkpoint import load_checkpoint
from util.distributed import Ranks, ranks_of_run
from util.training.loss import batch_loss
from util.training.optimizer import make_optimizer
from util.training.progress import Progress
from util.training.schedule import plateau_schedule
from util.training.state import Training
from util.training.step import Descent

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
FLAGS = (*training.FLAGS, "--batch-size", 8)


@pytest.fixture(scope="module")
def server():
    server = Server()
    yield server
    server.close()


@pytest.fixture(scope="module")
def together(server, tmp_path_factory):
    """Starts ranks as torchrun does; returns their exit statuses and what they said."""

    def start(*words, ranks=2):
        said = tmp_path_factory.mktemp("said") / "stderr.txt"
        shared = {
            **{"TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": str(ranks)},
            **{"MASTER_ADDR": "localhost", "MASTER_PORT": str(free_port())},
        }
        own = [{"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(ranks)]
        running = [Process(server, said, words, env=shared | rank) for rank in own]
        return [process.wait() for process in running], said.read_text()

    return start


def free_port():
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]


@pytest.fixture(scope="module", params=[2, 3])
def parts(request, together, tmp_path_factory):
    folder = tmp_path_factory.mktemp("parts")
    statuses, said = together("parts", folder, ranks=request.param)
    assert not any(statuses), said
    return [torch.load(folder / f"{rank}.pt") for rank in range(request.param)]


def test_gradients_and_loss_of_some_ranks_are_those_of_one(parts):
    """With BatchNorm in eval mode; 7 images are 4 and 3, or 3, 2 and 2."""
    one = two_ranks.gradients(Ranks())
    for part in parts:
        assert part["gradients"].keys() == one.keys()
        for name, value in one.items():
            torch.testing.assert_close(part["gradients"][name], value, msg=name)


def test_gathered_rows_are_those_of_one_rank_in_order(parts):
    for part in parts:
        assert torch.equal(part["gathered"], torch.arange(14.0).reshape(7, 2))


def test_what_holds_on_one_rank_all_learn(parts):
    assert [part["any"] for part in parts] == [[True, True, False]] * len(parts)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_steps_that_are_interrupted_add_up_bit_for_bit(parts, optimizer):
    """Three ranks add up in an order that depends on how the gradients are packed."""
    for part in parts:
        one, two = part["goes"][optimizer]
        for name, value in one.items():
            assert torch.equal(value, two[name]), (name, (value - two[name]).abs().max())
            assert torch.equal(value, parts[0]["goes"][optimizer][0][name])  # on all ranks alike


@pytest.fixture(scope="module")
def fitted(together, tmp_path_factory, dataset):
    """The folder of a run of two epochs on two ranks."""
    folder = tmp_path_factory.mktemp("runs")
    flags = ("--dataset", dataset, "--ckpts-dir", folder, "--name", "two", *FLAGS, "--epochs", 2)
    statuses, said = together("fit", folder, *flags)
    assert not any(statuses), said
    assert said.count("Best validation macro F1") == 1  # one rank speaks
    assert "Warning" not in said
    assert said.count("batch_size: 8 images on 2 devices are few for the BatchNorm") == 1
    return folder / "two"


def test_two_folds_side_by_side_are_those_one_after_the_other(together, server, tmp_path, dataset):
    flags = ("--dataset", dataset, "--ckpts-dir", tmp_path, *FLAGS, "--epochs", 1, "--folds", 2)
    statuses, said = together("fit", tmp_path, *flags, "--name", "side")
    assert not any(statuses), said
    alone = Process(server, tmp_path / "said.txt", ("fit", tmp_path, *flags, "--name", "one"))
    assert alone.wait() == 0, alone.stderr.read_text()
    for fold in ("fold-1", "fold-2"):
        training.assert_same_weights(tmp_path / "side" / fold, tmp_path / "one" / fold)
    for name in ("out_of_fold.csv", "folds.json"):
        one, other = (tmp_path / run / name for run in ("side", "one"))
        assert one.read_bytes() == other.read_bytes(), name


def test_the_metrics_of_two_ranks_are_those_of_one(fitted, dataset):
    """The last epoch's, validated again by one process; the images do not divide by two."""
    last = load_checkpoint(fitted / "last.pth")
    form = InputFormat.of(last["input"])
    images = RadiographDataset(dataset, "val", last["mapping"], form)
    model = TinyNext(3)
    load_strictly(model, last["state_dict"], "last.pth")
    optimizer = make_optimizer(model, "adamw", 0.01, 0.05)
    device = torch.device("cpu")
    state = Training(
        model,
        average=None,
        descent=Descent(optimizer, plateau_schedule(optimizer, 0.5, 1)),
        loss_of=partial(batch_loss, weights=torch.ones(3), smoothing=0.1),
        dtype=torch.float32,
        normalise=form.normalise,
        progress=Progress.start(device),
        facts={},
        auto_precision=False,
    )
    loader = make_loader(images, in_order(len(images), 8), 0, pin=False)
    _, one = train.validate(state, loader, Ranks(), lambda: False)
    del one["loss"]
    assert one == {name: last["metrics"][name] for name in one}


def test_an_epoch_of_two_ranks_has_the_steps_of_one(fitted, script, dataset, monkeypatch):
    use_network(monkeypatch)
    training.draw_nothing(monkeypatch)
    flags = ("--dataset", dataset, "--ckpts-dir", fitted.parent, "--name", "one", *FLAGS)
    script(train, *flags, "--epochs", 2)
    two, one = (load_checkpoint(fitted.parent / name / "last.pth") for name in ("two", "one"))
    assert (two["step"], two["epoch"], two["config"]["batch_size"]) == (one["step"], 2, 8)
    rates = [pd.read_csv(fitted.parent / name / "history.csv")["lr"] for name in ("two", "one")]
    assert rates[0].equals(rates[1])


def test_a_run_of_which_a_rank_died_goes_on_and_ends_with_the_same_weights(
    together, fitted, dataset, tmp_path
):
    flags = ("--dataset", dataset, "--ckpts-dir", tmp_path, "--name", "two", *FLAGS, "--epochs", 2)
    again = ("--save-minutes", 0, "--resume")  # with nothing there, a new run begins
    statuses, said = together("die", tmp_path, *flags, *again)
    assert statuses == [1, 9]
    assert "two: nothing to go on from; a new run begins" in said
    assert "train.py: rank 0: another process failed; its own message says why" in said
    assert "Traceback" not in said
    statuses, said = together("die", tmp_path, *flags, *again)
    assert not any(statuses), said
    training.assert_same_weights(fitted, tmp_path / "two")


def test_ranks_of_which_one_is_asked_to_stop_stop_together_and_save(together, dataset, tmp_path):
    flags = ("--dataset", dataset, "--ckpts-dir", tmp_path, "--name", "two", *FLAGS, "--epochs", 2)
    statuses, said = together("stop", tmp_path, *flags)
    assert all(statuses)
    assert said.count("best validation macro F1 so far: ") == 1  # one rank speaks
    assert said.count("train.py: interrupted") == 2
    # Rank 1 was asked in step 7, after the loss; all learn it with the next one.
    assert load_checkpoint(tmp_path / "two" / "last.pth")["step"] == 8


def test_ranks_that_do_not_share_the_folder_of_the_run_are_refused_before_they_go_on(
    together, fitted, dataset, tmp_path
):
    words = ("--dataset", dataset, "--ckpts-dir", fitted.parent, "--name", "two", *FLAGS)
    statuses, said = together("apart", tmp_path, *words, "--epochs", 2, "--resume")
    assert all(statuses)
    step = load_checkpoint(fitted / "last.pth")["step"]
    found = f"two: found the run at step {step} on rank 0 and not there on rank 1; expected a"
    assert found in said


def test_a_rank_that_fails_reports_its_error_and_ends_the_others(together, dataset, tmp_path):
    flags = ("--dataset", dataset, "--ckpts-dir", tmp_path, "--name", "a", *FLAGS, "--epochs", 2)
    statuses, said = together("fail", tmp_path, *flags)
    assert all(statuses)
    assert said.count("train.py: no such luck") == 1
    assert "train.py: rank 0: another process failed; its own message says why" in said


@pytest.mark.parametrize("machines", [1, 2])
def test_a_rank_that_dies_is_started_again_and_meets_the_other(machines, tmp_path):
    """Two torchruns, as on two machines: that on which nothing died counts no restart."""
    flags = ["--nnodes", machines, "--nproc-per-node", 2 // machines, "--max-restarts", 1]
    meeting = ["--rdzv-backend", "c10d", "--rdzv-endpoint", f"localhost:{free_port()}"]
    flags += [*meeting, "--rdzv-id", "job"] if machines == 2 else ["--standalone"]
    words = [*flags, "-m", "tests.helpers.meet", tmp_path / "died"]
    command = [sys.executable, "-m", "torch.distributed.run", *map(str, words)]
    env = os.environ | ({"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"} if machines == 2 else {})
    pipe = {"stderr": subprocess.PIPE, "text": True}
    running = [subprocess.Popen(command, cwd=ROOT, env=env, **pipe) for _ in range(machines)]
    said = "".join(process.communicate(timeout=300)[1] for process in running)
    assert not any(process.returncode for process in running), said
    assert (tmp_path / "died").exists()
    assert [(tmp_path / f"rank{rank}").read_text() for rank in (0, 1)] == ["met 2", "met 2"]


def test_restarts_on_several_machines_that_could_not_meet_again_are_refused(monkeypatch):
    store = torch.distributed.TCPStore("localhost", 0, is_master=True, wait_for_workers=False)
    for name, value in {
        **{"TORCHELASTIC_RUN_ID": "job", "TORCHELASTIC_USE_AGENT_STORE": "True"},
        **{"TORCHELASTIC_MAX_RESTARTS": 1, "TORCHELASTIC_RESTART_COUNT": 0, "GROUP_WORLD_SIZE": 2},
        **{"RANK": 0, "LOCAL_RANK": 0, "WORLD_SIZE": 2},
        **{"MASTER_ADDR": "localhost", "MASTER_PORT": store.port},
    }.items():
        monkeypatch.setenv(name, str(value))
    message = "--max-restarts: several machines find each other again only in a new store; give"
    with pytest.raises(ValueError, match=message), ranks_of_run("cpu"):
        pass
