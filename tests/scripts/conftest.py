"""Fixtures that tests of a script share."""

import pytest


@pytest.fixture
def fit(script, dataset, tmp_path, monkeypatch):
    """Runs train.py with a tiny network on the small dataset as run `name`; returns its folder."""
    import train
    from tests.helpers.networks import TinyNext
    from tests.helpers.training import FLAGS, MODULES

    for module in MODULES:
        monkeypatch.setattr(module, "COVIDNext50", TinyNext)

    def run(name, *flags):
        script(train, "--dataset", dataset, "--ckpts-dir", tmp_path, "--name", name, *FLAGS, *flags)
        return tmp_path / name

    return run
