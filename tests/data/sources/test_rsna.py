import csv
import json
import logging

import pytest

from data.sources import rsna

ORDINARY = {
    "a": ("Normal", 0),
    "b": ("Lung Opacity", 2),
    "c": ("No Lung Opacity / Not Normal", 0),
    "d": ("Normal", 0),
}
NIH = {"a": "00000007_000.png", "b": "00000009_003.png", "d": "00000007_012.png"}


def make(folder, images, nih=None):
    """The source with these images (id -> class, boxes); `nih` maps ids to NIH files."""
    (folder / "stage_2_train_images").mkdir(parents=True)
    classes, boxes = [], []
    for image, (finding, count) in images.items():
        (folder / "stage_2_train_images" / f"{image}.dcm").write_bytes(b"")
        for box in [(1.0, 2.0, 3.0, 4.0)] * count or [("", "", "", "")]:
            classes.append((image, finding))
            boxes.append((image, *box, int(count > 0)))
    write_csv(folder / "stage_2_detailed_class_info.csv", ("patientId", "class"), classes)
    header = ("patientId", "x", "y", "width", "height", "Target")
    write_csv(folder / "stage_2_train_labels.csv", header, boxes)
    if nih is not None:
        pairs = [{"subset_img_id": image, "img_id": name} for image, name in nih.items()]
        (folder / rsna.MAPPING).write_text(json.dumps(pairs))
    return folder


def write_csv(path, header, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def read(folder):
    """What the source gives; each row of the class table comes back exactly once."""
    records, dropped = rsna.read(folder)
    numbers = sorted(item.row for item in (*records, *dropped))
    lines = (folder / "stage_2_detailed_class_info.csv").read_text().splitlines()
    assert numbers == list(range(1, len(lines)))
    return records, dropped


def test_each_image_is_one_record_and_its_further_boxes_are_dropped_rows(tmp_path):
    records, dropped = read(make(tmp_path / "rsna", ORDINARY | {"b": ("Lung Opacity", 3)}))
    labels = {record.path.stem: record.label for record in records}
    assert labels == {"a": "normal", "b": "pneumonia", "d": "normal"}
    reason = "a further box of the image in row 2"
    assert [(item.row, item.reason) for item in dropped[:2]] == [(3, reason), (4, reason)]


def test_the_third_class_is_neither_normal_nor_pneumonia(tmp_path):
    _, dropped = read(make(tmp_path / "rsna", ORDINARY))
    (left_out,) = [item for item in dropped if item.original.endswith("/c.dcm")]
    reason = "class 'No Lung Opacity / Not Normal' is neither normal nor pneumonia"
    assert (left_out.finding, left_out.reason) == (ORDINARY["c"][0], reason)


def test_a_record_says_where_it_comes_from(tmp_path):
    folder = make(tmp_path / "rsna", ORDINARY, NIH)
    assert read(folder)[0][1] == rsna.Record(
        "rsna", 2, folder / "stage_2_train_images/b.dcm", "pneumonia", patient_id="rsna:00000009",
        finding="Lung Opacity", original="stage_2_train_images/b.dcm",
    )  # fmt: skip


def test_images_of_one_nih_patient_are_one_patient_and_nothing_is_said(tmp_path, caplog):
    records, _ = read(make(tmp_path / "rsna", ORDINARY, NIH))
    patients = {record.path.stem: record.patient_id for record in records}
    assert patients == {"a": "rsna:00000007", "b": "rsna:00000009", "d": "rsna:00000007"}
    assert not caplog.records


@pytest.mark.parametrize(
    ("nih", "count"), [(None, 3), ({}, 3), ({k: NIH[k] for k in "ab"}, 1)], ids=str
)
def test_an_image_of_no_known_patient_counts_as_one_and_a_warning_says_so(
    tmp_path, caplog, nih, count
):
    folder = make(tmp_path / "rsna", ORDINARY, nih)
    with caplog.at_level(logging.WARNING):
        records, _ = read(folder)
    assert {record.path.stem: record.patient_id for record in records}["d"] == "rsna:d"
    (message,) = [entry.getMessage() for entry in caplog.records]
    assert message == (
        f"rsna: the patient of {count} of 3 images is not known; each counts as a patient of its"
        f" own, so that one patient may be in two splits. Put {rsna.MAPPING} into {folder}"
    )


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'[{"subset_img_id": "a", "img_id": "0000',
        b'{"subset_img_id": "a", "img_id": "00000007_000.png"}',
        b'[{"subset_img_id": "a"}]',
        b'[{"subset_img_id": "a", "img_id": null}]',
        b'["a"]',
        b"7",
        b"\xff\xfe\xfa",
    ],
)
def test_a_broken_mapping_is_refused_in_one_line(tmp_path, content):
    folder = make(tmp_path / "rsna", ORDINARY, NIH)
    (folder / rsna.MAPPING).write_bytes(content)
    with pytest.raises(ValueError, match="expected") as caught:
        rsna.read(folder)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"{folder / rsna.MAPPING}: ")
    assert line.endswith("expected a JSON list of objects with subset_img_id and img_id")


@pytest.mark.parametrize(
    ("finding", "target"), [("Normal", 1), ("Lung Opacity", 0)], ids=["a box", "no box"]
)
def test_an_image_on_which_the_two_tables_disagree_is_not_used(tmp_path, finding, target):
    folder = make(tmp_path / "rsna", {"e": (finding, 0), "a": ("Normal", 0)})
    header = ("patientId", "Target")
    write_csv(folder / "stage_2_train_labels.csv", header, [("e", target), ("a", 0)])
    records, (left_out,) = read(folder)
    assert [record.path.stem for record in records] == ["a"]
    assert (left_out.row, left_out.reason) == (1, "the two CSVs disagree")


def test_an_image_that_only_one_table_has_is_not_used_or_is_said(tmp_path, caplog):
    folder = make(tmp_path / "rsna", {"a": ("Normal", 0), "e": ("Normal", 0)})
    write_csv(folder / "stage_2_train_labels.csv", ("patientId", "Target"), [("a", 0), ("z", 1)])
    _, (left_out,) = read(folder)
    assert (left_out.row, left_out.reason) == (2, "not in stage_2_train_labels.csv")
    assert "has no class for 1 image of" in caplog.text


def test_an_image_with_two_classes_is_not_used(tmp_path):
    folder = make(tmp_path / "rsna", {"a": ("Normal", 0), "e": ("Normal", 0)})
    rows = [("a", "Normal"), ("e", "Normal"), ("e", "Lung Opacity")]
    write_csv(folder / "stage_2_detailed_class_info.csv", ("patientId", "class"), rows)
    records, dropped = read(folder)
    assert [record.path.stem for record in records] == ["a"]
    assert dropped[0].reason == "rows disagree on this image's class"


def test_an_image_without_its_file_is_left_out_with_all_its_rows(tmp_path):
    folder = make(tmp_path / "rsna", ORDINARY)
    (folder / "stage_2_train_images" / "b.dcm").unlink()
    records, dropped = read(folder)
    assert "b" not in {record.path.stem for record in records}
    assert [item.reason for item in dropped if item.original.endswith("/b.dcm")] == [
        "no file stage_2_train_images/b.dcm",
        "a further box of the image in row 2",
    ]
