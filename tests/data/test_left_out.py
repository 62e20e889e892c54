"""Sources left out of a training: which classes are left, and what the network is tested on."""

import pytest
import torch

from data.dataset import Part, RadiographDataset
from data.dataset_folder import read_split
from data.left_out import check_testable, is_part_of, learnable, of_sources, others, unseen
from data.transforms import PLAIN, InputFormat

MAPPING = {"normal": 0, "pneumonia": 1, "COVID-19": 2}
FORM = InputFormat((16, 16), **PLAIN)
IMAGES = [
    ("normal", "train", "near", "near:1"),
    ("pneumonia", "train", "near", "near:2"),
    ("COVID-19", "train", "far", "far:3"),
    ("normal", "train", "far", "near:1"),  # a patient of both
    ("normal", "val", "far-west", "far:5"),
    ("pneumonia", "val", "near", "near:6"),
    ("pneumonia", "test", "far", "far:7"),
    ("pneumonia", "test", "near", "far:7"),  # which no training saw
    ("tuberculosis", "test", "far", "far:9"),
]


@pytest.fixture
def folder(make_dataset):
    return make_dataset(*IMAGES)


def far_images(folder, mapping):
    return RadiographDataset(folder, unseen(folder, ["far"], mapping), mapping, FORM)


def test_a_source_has_its_parts():
    assert is_part_of("covidx", "covidx")
    assert is_part_of("covidx-sirm", "covidx")
    assert not is_part_of("covidx", "covidx-sirm")
    assert not is_part_of("rsna", "covidx")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (None, MAPPING),
        (["near"], {"normal": 0, "COVID-19": 1}),  # its pneumonia is in test only, elsewhere
        (["far"], {"normal": 0, "pneumonia": 1}),
        (["far-west"], MAPPING),
    ],
)
def test_a_class_that_only_the_sources_left_out_have_is_not_learned(
    folder, caplog, names, expected
):
    assert learnable(folder, MAPPING, names) == expected
    said = "; ".join(entry.getMessage() for entry in caplog.records)
    for label in MAPPING.keys() - expected.keys():
        assert f"in train only {names[0]} has {label}, which the network does not learn" in said
    assert bool(said) == (expected != MAPPING)


def test_labels_that_share_a_class_stay_together(folder):
    mapping = {"COVID-19": 0, "normal": 1, "tuberculosis": 0, "pneumonia": 2}
    assert learnable(folder, mapping, ["far"]) == {"normal": 0, "pneumonia": 1}
    shared = {"normal": 0, "COVID-19": 1, "pneumonia": 1}
    assert learnable(folder, shared, ["far"]) == shared


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ["near", "fra"],
            "found fra; expected sources of train and val in .*, which are far, far-w",
        ),
        (["near", "far"], "without near, far has no class to train on; expected two classes"),
    ],
)
def test_what_cannot_be_left_out_is_named(folder, names, message):
    with pytest.raises(ValueError, match=message):
        learnable(folder, MAPPING, names)


def test_an_unknown_label_is_named_also_where_a_source_is_left_out(folder):
    with pytest.raises(ValueError, match="mapping: found flu; expected labels of"):
        learnable(folder, MAPPING | {"flu": 2}, ["far"])


def test_training_keeps_the_other_sources(folder):
    mapping = {"normal": 0, "pneumonia": 1}
    whole = RadiographDataset(folder, "train", MAPPING, FORM)
    images = RadiographDataset(folder, Part(["train"], others(["far"])), mapping, FORM)
    assert list(images.table["source"]) == ["near", "near"]
    assert images.targets == [0, 1]
    assert images.unused == {}  # what is left out is not a label too many
    assert torch.equal(images[1][0], whole[1][0])
    assert others(None) is others([]) is None


def test_a_network_is_tested_on_the_sources_left_out_in_all_splits(folder, caplog):
    caplog.set_level("INFO")
    images = far_images(folder, MAPPING)
    assert list(images.table["patient_id"]) == ["far:3", "far:5", "far:7"]  # not near:1
    assert images.targets == [2, 0, 1]
    assert images.unused == {"tuberculosis": 1}
    pixels, targets = images.__getitems__([2, 0])
    assert targets.tolist() == [1, 2]
    assert torch.equal(pixels[1], images[0][0])
    assert not torch.equal(pixels[0], pixels[1])
    assert "far: not tested on 1 image of patients whom training saw" in caplog.text


def test_it_is_not_tested_on_a_copy_of_what_it_saw(make_dataset):
    group = {"kind": "near", "images": [{"patient_id": "far:3"}, {"patient_id": "near:2"}]}
    folder = make_dataset(*IMAGES, duplicates=[group])
    images = far_images(folder, MAPPING)
    assert list(images.table["patient_id"]) == ["far:5", "far:7"]


def test_a_source_without_an_image_to_test_on_is_named(folder):
    found = "of far, which training left out; expected an image of flu"
    with pytest.raises(ValueError, match=f"found only COVID-19, .* {found}"):
        unseen(folder, ["far"], {"flu": 0})


def test_a_label_that_is_not_known_counts_also_in_a_split_without_another(folder):
    mapping = {"normal": 0, "COVID-19": 1}  # of far there are only other labels in test
    assert far_images(folder, mapping).unused == {
        "pneumonia": 1, "tuberculosis": 1,
    }  # fmt: skip


def test_a_source_whose_patients_are_all_seen_elsewhere_cannot_be_tested(make_dataset):
    seen = [("normal", "train", "near", "p:1"), ("pneumonia", "train", "near", "p:2")]
    folder = make_dataset(
        *seen, ("normal", "val", "near", "p:3"), ("normal", "train", "far", "p:1")
    )
    mapping = {"normal": 0, "pneumonia": 1}
    with pytest.raises(ValueError, match="far has no image of other patients; expected an image"):
        check_testable(folder, mapping, "far")


def test_the_rows_of_a_source_are_found(folder):
    val = read_split(folder, "val")
    assert list(of_sources(val, ["far"])) == [True, False]
    assert list(of_sources(val, [])) == [False, False]
