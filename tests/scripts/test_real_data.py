"""What only real radiographs show. Skipped where they are not at hand."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import generate_dataset
from data.augmentation import Augmentation
from data.images.preparation import Preparation
from data.sources.tables import read_rows
from data.transforms import PLAIN, InputFormat
from model.gate import Gate
from tests.helpers.paths import REAL_DATA

COVID = REAL_DATA / "covid-chestxray-dataset"
RSNA = REAL_DATA / "rsna-pneumonia-detection-challenge"

pytestmark = pytest.mark.skipif(not REAL_DATA.is_dir(), reason=f"no radiographs at {REAL_DATA}")


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    from tests.conftest import run_script

    folder = tmp_path_factory.mktemp("real") / "set"
    flags = ("--covid-chestxray", COVID, "--rsna", RSNA)
    run_script(generate_dataset, folder, *flags)
    return folder


@pytest.fixture(scope="module")
def kept(real):
    splits = ("train", "val", "test")
    tables = [pd.read_csv(real / f"{s}_metadata.csv", dtype=str).assign(split=s) for s in splits]
    return pd.concat(tables, ignore_index=True)


def test_every_raw_row_is_kept_or_dropped(real, kept):
    raw = len(read_rows(COVID / "metadata.csv", [])) + len(
        read_rows(RSNA / "stage_2_detailed_class_info.csv", [])
    )
    dropped = pd.read_csv(real / "dropped.csv")
    assert raw == 581 + 973
    assert len(kept) + len(dropped) == raw
    assert dropped["reason"].notna().all()


def test_no_nih_patient_is_in_two_splits(kept):
    nih = {
        row["subset_img_id"]: row["img_id"][:8]
        for row in json.loads((RSNA / "pneumonia-challenge-dataset-mappings_2018.json").read_text())
    }
    images = kept[kept["source"] == "rsna"]
    patients = images["original"].map(lambda name: nih[Path(name).stem])
    assert patients.nunique() < len(images)  # they do repeat
    assert images.groupby(patients)["split"].nunique().max() == 1


def test_no_covid_chestxray_patient_and_no_file_is_in_two_splits(kept):
    images = kept[kept["source"] == "covid-chestxray"]
    rows = read_rows(COVID / "metadata.csv", [])
    split_of = dict(zip(images["original"], images["split"], strict=True))
    splits = {}
    for row in rows:
        if split := split_of.get(f"images/{row['filename']}"):
            splits.setdefault(row["patientid"], set()).add(split)
    assert max(map(len, splits.values())) == 1
    assert images["original"].is_unique


def test_no_group_of_copies_is_in_two_splits_and_exact_ones_are_there_once(real, kept):
    groups = json.loads((real / "dataset.json").read_text())["duplicates"]
    near = [group["images"] for group in groups if group["kind"] == "near"]
    assert len(near) >= 9  # radiographs that covid-chestxray-dataset has in several files
    places = kept.set_index("original")[["split", "patient_id"]]
    several_ids = 0
    for images in near:
        there = places[places.index.isin([image["original"] for image in images])]
        if there.empty:
            continue  # lateral views
        assert there["split"].nunique() == there["patient_id"].nunique() == 1
        several_ids += len({image["patient_id"] for image in images}) > 1
    assert several_ids >= 7
    assert not kept["filename"].duplicated().any()
    (exact,) = (group["images"] for group in groups if group["kind"] == "exact")
    assert sum(image["original"] in places.index for image in exact) == 1


def test_all_classes_are_in_all_splits_in_the_asked_shares(kept):
    table = pd.crosstab(kept["label"], kept["split"], normalize="index")
    assert table["test"].between(0.08, 0.12).all()
    assert table["val"].between(0.08, 0.12).all()


def test_the_views_of_rsna_come_from_the_dicom_headers(kept):
    assert set(kept.loc[kept["source"] == "rsna", "view"]) == {"PA", "AP"}


def test_the_input_gate_lets_frontal_radiographs_pass_and_doubts_the_rest(real, kept):
    form = InputFormat((96, 96), (0.5,) * 3, (0.25,) * 3, Preparation(256))
    images = {
        split: np.stack([form.read(real / split / name) for name in rows["filename"]])
        for split, rows in kept.groupby("split", sort=False)
    }
    gate = Gate.fit(images["train"])  # without features: nothing is trained here
    passed = [reason is None for reason in gate.doubts(images["val"])]
    assert np.mean(passed) >= 0.95
    for done in (255 - images["val"], images["val"][:, :, ::-1]):  # inverted, upside down
        assert None not in gate.doubts(done)

    views = {"L": "lateral", "Axial": "CT", "Coronal": "CT"}
    others = {"lateral": [], "CT": []}
    for row in read_rows(COVID / "metadata.csv", []):
        path = COVID / "images" / row["filename"]
        if row["view"] in views and path.is_file():
            others[views[row["view"]]].append(form.read(path))
    assert len(others["lateral"]) > 40
    assert len(others["CT"]) > 60
    for pixels in others.values():
        doubted = [reason is not None for reason in gate.doubts(np.stack(pixels))]
        assert np.mean(doubted) >= 0.9


def test_training_images_are_as_sharp_as_those_that_are_predicted(real):
    """Second differences, of every 10th image at 96 pixels, moved and not."""
    form = InputFormat((96, 96), **PLAIN, prepared=Preparation(256))
    vary = Augmentation(0.5, 10.0, 0.0, (1.0, 1.0), 0.0, size=form.size)

    def sharpness(pixels):
        return np.diff(pixels[10:-10, 10:-10].astype(float), n=2).std()

    def kept(form):
        """The part of an unmoved image's that is left when it is moved."""
        files = sorted((real / "train").glob("*.png"))[::10]
        pairs = ((form.read(file)[0], form.finer().read(file)[0]) for file in files)
        return np.array([
            [sharpness(vary(image, (0, 0, k))) / sharpness(still) for image in (still, fine)]
            for k, (still, fine) in enumerate(pairs)
        ]).mean(0)  # fmt: skip

    twice, once = kept(form)
    assert twice < 0.85
    assert once == pytest.approx(1, abs=0.05)
