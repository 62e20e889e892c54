import pytest

from util.class_names import check_mapping, class_names

LABELS = ["COVID-19", "normal", "pneumonia"]


@pytest.mark.parametrize(
    ("mapping", "names"),
    [
        ({"normal": 0, "pneumonia": 1, "COVID-19": 2}, ["normal", "pneumonia", "COVID-19"]),
        ({"COVID-19": 1, "normal": 0}, ["normal", "COVID-19"]),
        ({"normal": 0, "pneumonia": 0, "COVID-19": 1}, ["normal + pneumonia", "COVID-19"]),
    ],
)
def test_classes_are_named_after_their_labels_in_the_order_of_the_indices(mapping, names):
    check_mapping(mapping, LABELS, "dataset")
    assert class_names(mapping) == names


@pytest.mark.parametrize(
    ("mapping", "indices"),
    [
        ({"normal": 0, "COVID-19": 2}, "[0, 2]"),
        ({"normal": 1, "COVID-19": 2}, "[1, 2]"),
        ({"normal": -1, "COVID-19": 0}, "[-1, 0]"),
        ({"normal": 0, "COVID-19": 0}, "[0]"),
        ({}, "[]"),
    ],
)
def test_indices_with_a_gap_or_of_one_class_are_refused(mapping, indices):
    with pytest.raises(ValueError, match="without a gap") as caught:
        check_mapping(mapping, LABELS, "dataset")
    assert (
        str(caught.value) == f"mapping: found indices {indices}; expected 0, 1, ... without a gap"
    )


def test_labels_that_the_dataset_does_not_have_are_named():
    with pytest.raises(ValueError, match="expected labels of") as caught:
        check_mapping({"normal": 0, "covid": 1, "flu": 1}, LABELS, "dataset")
    assert str(caught.value) == (
        "mapping: found covid, flu; expected labels of dataset, which are"
        " COVID-19, normal, pneumonia"
    )
