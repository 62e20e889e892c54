"""The same file, whichever script looks at it: the same tensor, the same probabilities."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

import evaluate
import generate_dataset
import model.torch_runtime
import model.weights
from data.dataset import RadiographDataset
from data.inputs import read_input
from data.transforms import InputFormat
from minimal_prediction import load, predict
from tests.conftest import run_script
from tests.helpers.networks import (
    CLASSES,
    MAPPING,
    TinyNext,
    centre_head,
    input_form,
    save_network,
)  # fmt: skip

FORM = input_form((32, 48), fit="pad", equalize=True)
PRECISIONS = [torch.float32, torch.bfloat16]


@pytest.fixture(scope="module")
def dataset(sources, tmp_path_factory):
    """With preparations that are not the default."""
    folder = tmp_path_factory.mktemp("parity") / "set"
    flags = ("--size", 64, "--fit", "pad", "--equalize", "--workers", 2)
    run_script(
        generate_dataset, folder, "--covid-chestxray", sources[0], "--rsna", sources[1], *flags
    )
    return folder


@pytest.fixture(params=PRECISIONS, ids=str)
def checkpoint(request, dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(model.weights, "COVIDNext50", TinyNext)
    monkeypatch.setattr(model.torch_runtime, "pick_precision", lambda name, device: request.param)
    for name, empty in (("draw_all", {}), ("gallery", [])):  # pictures take the time
        monkeypatch.setattr(evaluate, name, lambda *_, empty=empty: empty)
    torch.manual_seed(1)
    network = TinyNext(3)
    images = RadiographDataset(dataset, "train", MAPPING, InputFormat.of(FORM))
    batch = torch.stack([images[k][0] for k in range(16)])
    centre_head(network, InputFormat.of(FORM).normalise(batch))
    return save_network(
        tmp_path / "best.pth", network, FORM, epoch=1, step=1, temperature=0.05,
        prior=[0.4, 0.35, 0.25], config={"name": "run", "dataset": str(dataset)},
        fingerprint=json.loads((dataset / "dataset.json").read_text())["fingerprint"],
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["png", "jpg", "dcm"])
@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_a_raw_file_gives_the_tensor_of_its_image_in_the_dataset(dataset, sources, kind, split):
    images = RadiographDataset(dataset, split, MAPPING, InputFormat.of(FORM))
    seen = 0
    for k, raw in originals(images.table, sources):
        if raw.suffix == f".{kind}":
            found = read_input(raw, InputFormat.of(FORM))
            assert np.array_equal(found.pixels, images[k][0].numpy()), raw
            seen += 1
    assert seen > 1


@pytest.mark.parametrize("stated", [None, {"normal": 0.9, "pneumonia": 0.06, "COVID-19": 0.04}])
def test_raw_files_alone_and_together_get_the_probabilities_of_the_evaluation(
    checkpoint, sources, script, stated
):
    words = ["--prevalence", *(f"{n}={p}" for n, p in stated.items())] if stated else []
    script(evaluate, checkpoint, "--n-threads", 0, *words)
    table = pd.read_csv(checkpoint.parent / "evaluation-test" / "predictions.csv")
    there = " there" if stated else ""  # the column of the stated population
    wanted = table[[f"p({name}){there}" for name in CLASSES]].to_numpy()
    assert wanted.std(axis=0).min() > 0.003  # else agreement would say little
    files = [raw for _, raw in originals(table, sources)]
    assert {file.suffix for file in files} == {".png", ".jpg", ".dcm"}
    predictor = load(checkpoint, "cpu")
    for batch_size in (1, 16):
        rows = list(predict(predictor, files, batch_size, stated))
        found = [[row["probabilities"][name] for name in CLASSES] for row in rows]
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)
        assert [row["label"] for row in rows] == [CLASSES[k] for k in wanted.argmax(1)]


def originals(table, sources):
    """(row, raw file) of each row of a metadata table."""
    folders = dict(zip(("covid-chestxray", "rsna"), sources, strict=True))
    for k, row in enumerate(table.to_dict("records")):
        yield k, folders[row["source"]] / row["original"]
