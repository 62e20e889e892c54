"""Runs of train.py and export.py for the tests of scripts."""

import pytest


@pytest.fixture(scope="session")
def exports(made_once, dataset):
    """best.pth of each precision, and what export.py makes of it."""
    from tests.helpers.exported import write_exports

    return made_once("exports", lambda folder: write_exports(folder, dataset))


@pytest.fixture
def fit_drawn(script, dataset, tmp_path, monkeypatch):
    """Runs train.py with a tiny network on the small dataset as run `name`; returns its folder."""
    from tensorboard.summary.writer import event_file_writer

    import train
    from tests.helpers import networks, training

    networks.use_network(monkeypatch)
    # Files of one second are read by the number of their writer, as text: 99 comes after 100.
    monkeypatch.setattr(event_file_writer, "_global_uid", event_file_writer.AtomicCounter(100))

    def run(name, *flags):
        words = ("--dataset", dataset, "--ckpts-dir", tmp_path, "--name", name)
        script(train, *words, *training.FLAGS, *flags)
        return tmp_path / name

    return run


@pytest.fixture
def fit(fit_drawn, monkeypatch):
    """The same without its pictures, which take five sixths of the time."""
    from tests.helpers import training

    training.draw_nothing(monkeypatch)
    return fit_drawn
