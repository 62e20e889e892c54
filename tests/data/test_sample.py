"""The sample data: the same seed gives the same bytes and has every trap of the sources."""

import csv
import hashlib
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image, UnidentifiedImageError
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, RLELossless
from sklearn.linear_model import LogisticRegression

from data.record import LABELS
from data.sample import NOTE, write_sample
from data.sample.dicom import write_dicom
from data.sample.phantom import draw_axial, draw_frontal, draw_lateral, draw_phantom, random_anatomy

SIZE, PATIENTS = 64, 24
RSNA = "rsna-pneumonia-detection-challenge"
PAGE = "covid-chestxray-dataset/images/931-not-found.jpg"

# The first line of the real files, literally.
REAL_HEADERS = {
    "covid-chestxray-dataset/metadata.csv": (
        "patientid,offset,sex,age,finding,RT_PCR_positive,survival,intubated,intubation_present,"
        "went_icu,in_icu,needed_supplemental_O2,extubated,temperature,pO2_saturation,"
        "leukocyte_count,neutrophil_count,lymphocyte_count,view,modality,date,location,folder,"
        "filename,doi,url,license,clinical_notes,other_notes,"
    ),
    f"{RSNA}/stage_2_train_labels.csv": "patientId,x,y,width,height,Target",
    f"{RSNA}/stage_2_detailed_class_info.csv": "patientId,class",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sample")
    write_sample(folder, patients=PATIENTS, size=SIZE)
    return folder


@pytest.fixture(scope="module")
def covid(folder):
    return folder / "covid-chestxray-dataset"


@pytest.fixture(scope="module")
def rsna(folder):
    return folder / RSNA


def _table(name):
    """A fixture of the rows of a table."""

    def rows(folder):
        with (folder / name).open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    return pytest.fixture(scope="module")(rows)


rows, boxes, classes = map(_table, REAL_HEADERS)


@pytest.fixture(scope="module")
def headers(rsna):
    files = sorted((rsna / "stage_2_train_images").iterdir())
    return [pydicom.dcmread(path, stop_before_pixels=True) for path in files]


def _fingerprints(folder):
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


# The whole.


def test_same_seed_gives_the_same_bytes(folder, tmp_path):
    write_sample(tmp_path, patients=PATIENTS, size=SIZE)
    assert _fingerprints(tmp_path) == _fingerprints(folder)


def test_writing_again_completes_what_was_left_half_done(folder, tmp_path):
    for source in write_sample(tmp_path, patients=PATIENTS, size=SIZE).values():
        first, second, *_ = sorted(path for path in source.rglob("*") if path.is_file())
        first.unlink()
        second.write_bytes(b"")
    write_sample(tmp_path, patients=PATIENTS, size=SIZE)
    assert _fingerprints(tmp_path) == _fingerprints(folder)


def test_another_seed_draws_other_people(folder, tmp_path):
    write_sample(tmp_path, seed=7, patients=PATIENTS, size=SIZE)
    images = {digest for name, digest in _fingerprints(folder).items() if ".csv" not in name}
    others = {digest for name, digest in _fingerprints(tmp_path).items() if ".csv" not in name}
    # The web page among the images, and the note that all of it is drawn.
    same = {hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in (PAGE, NOTE)}
    assert images & others == same


def test_folders_are_returned_by_the_name_of_their_source(tmp_path):
    assert write_sample(tmp_path, patients=12, size=SIZE) == {
        "covid-chestxray": tmp_path / "covid-chestxray-dataset",
        "rsna": tmp_path / "rsna-pneumonia-detection-challenge",
    }


def test_too_few_patients_are_refused_with_the_number(tmp_path):
    with pytest.raises(ValueError, match=r"patients: found 11; expected 12 or more"):
        write_sample(tmp_path, patients=11, size=SIZE)


@pytest.mark.parametrize(("table", "header"), REAL_HEADERS.items())
def test_headers_are_the_real_ones(folder, table, header):
    assert (folder / table).read_text(encoding="utf-8").splitlines()[0] == header


def test_every_file_belongs_to_a_row(covid, rsna, rows, classes):
    images = {path.name for path in (covid / "images").iterdir()}
    scans = {path.stem for path in (rsna / "stage_2_train_images").iterdir()}
    lost = {"", "903-day1.jpg", "coronacases_org_001.nii.gz"}
    assert {r["filename"].strip() for r in rows} - images == lost
    assert images <= {r["filename"].strip() for r in rows}
    assert len({r["patientId"] for r in classes} - scans) == 1
    assert scans <= {r["patientId"] for r in classes}


def test_labels_are_balanced_and_covid_comes_from_one_source(rows, classes):
    ordinary = {r["filename"]: r["finding"] for r in rows if r["filename"].startswith("phantom")}
    scans = {r["patientId"]: r["class"] for r in classes}
    covid = sum("COVID-19" in finding for finding in ordinary.values())
    pneumonia = sum(f.startswith("Pneumonia") for f in ordinary.values()) - covid
    pneumonia += sum(name == "Lung Opacity" for name in scans.values())
    normal = sum(finding == "No Finding" for finding in ordinary.values())
    normal += sum(name == "Normal" for name in scans.values())
    assert max(covid, pneumonia, normal) - min(covid, pneumonia, normal) <= 3


# Traps of the covid-chestxray-dataset.


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("view", {"PA", "AP", "pa", "Pa", "AP SUPINE", "ap erect", "L", "Axial"}),
        ("finding", {"Tuberculosis", "Unknown", "todo", ""}),
        ("finding", {"Pneumonia/Viral/COVID-19", "Pneumonia/Viral/Herpes ", "No Finding"}),
        ("finding", {"COVID-19", "COVID-19, ARDS", "ARDS", "Streptococcus"}),
        ("RT_PCR_positive", {"Y", "Unclear", ""}),
        ("modality", {"X-ray", "CT"}),
        ("folder", {"images", "volumes"}),
        ("patientid", {"311a", "319a"}),
        ("filename", {"", "921-day4.png ", "coronacases_org_001.nii.gz"}),
    ],
)
def test_column_holds_its_odd_values(rows, column, values):
    assert values <= {row[column] for row in rows}


def test_some_patient_has_several_images(rows):
    files = {(row["patientid"], row["filename"]) for row in rows if row["patientid"].isdigit()}
    assert max(Counter(patient for patient, _ in files).values()) >= 3


def test_some_patient_has_two_findings_over_time(rows):
    story = [(row["offset"], row["finding"]) for row in rows if row["patientid"] == "901"]
    assert story == [("0", "No Finding"), ("6", "Pneumonia/Viral/COVID-19")]


def test_the_same_files_stand_under_two_patients(rows):
    for patient in ("285", "339"):
        files = [row["filename"] for row in rows if row["patientid"] == patient]
        assert files == ["000001-24.jpg", "000006-17.jpg"]


def test_exactly_one_row_is_there_twice(rows):
    assert sorted(Counter(tuple(row.values()) for row in rows).values())[-2:] == [1, 2]


def test_notes_hold_a_character_that_is_not_ascii(rows):
    assert any(not row["clinical_notes"].isascii() for row in rows)


@pytest.mark.parametrize(
    ("name", "kind", "mode"),
    [
        ("922-webp.png", "WEBP", "RGB"), ("923-colour.png", "PNG", "RGB"),
        ("924-alpha.png", "PNG", "RGBA"), ("925-palette.png", "PNG", "P"),
        ("926-16bit.png", "PNG", "I;16"), ("927-16bit.PNG", "PNG", "I;16"),
        ("901-day0.png", "PNG", "L"), ("921-day4.png", "PNG", "L"), ("902-day3.jpg", "JPEG", "L"),
    ],
)  # fmt: skip
def test_file_is_of_the_kind_and_mode(covid, name, kind, mode):
    with Image.open(covid / "images" / name) as image:
        image.load()
        assert (image.format, image.mode) == (kind, mode)


def test_16_bit_file_uses_the_whole_range(covid):
    values = np.asarray(Image.open(covid / "images" / "926-16bit.png"))
    assert (values.min(), values.max()) == (0, 65535)
    assert (values > 255).mean() > 0.5


def test_alpha_hides_a_page_that_is_white(covid):
    *colour, alpha = np.moveaxis(np.asarray(Image.open(covid / "images" / "924-alpha.png")), 2, 0)
    assert (alpha == 0).any()
    assert all((channel[alpha == 0] == 255).all() for channel in colour)


def test_palette_is_not_in_the_order_of_the_greys(covid):
    palette = Image.open(covid / "images" / "925-palette.png").getpalette()[::3]
    assert palette != sorted(palette)


def test_turned_file_is_upright_only_by_its_exif_orientation(covid):
    with Image.open(covid / "images" / "928-turned.jpg") as image:
        assert image.getexif()[0x0112] == 6
        stored = np.asarray(image, np.float32)
    # Stored on its side, the belly, brighter than the air over the shoulders, is on the right.
    tenth = SIZE // 10
    assert stored[:, -tenth:].mean() > stored[:, :tenth].mean() + 30


@pytest.mark.parametrize("name", ["929-cut-off.jpg", "930-cut-off.png"])
def test_cut_off_file_begins_well_and_cannot_be_loaded(covid, name):
    with Image.open(covid / "images" / name) as image, pytest.raises(OSError, match="truncated"):
        image.load()


def test_file_that_is_no_image_cannot_be_opened(folder):
    with pytest.raises(UnidentifiedImageError):
        Image.open(folder / PAGE)


def test_images_come_in_many_sizes_and_shapes(covid):
    sizes = {Image.open(path).size for path in (covid / "images").glob("phantom-*")}
    shapes = [width / height for width, height in sizes]
    assert len(sizes) > 10
    assert max(shapes) / min(shapes) > 1.1


# Traps of the RSNA challenge.


def test_both_tables_have_one_row_per_box(boxes, classes):
    assert [r["patientId"] for r in boxes] == [r["patientId"] for r in classes]
    assert set(Counter(r["patientId"] for r in boxes).values()) == {1, 2, 3}


def test_boxes_stand_where_the_class_is_lung_opacity(boxes, classes):
    for box, row in zip(boxes, classes, strict=True):
        opaque = row["class"] == "Lung Opacity"
        assert box["Target"] == str(int(opaque))
        assert all(bool(box[side]) == opaque for side in ("x", "y", "width", "height"))
        if opaque:
            x, y, width, height = (float(box[side]) for side in ("x", "y", "width", "height"))
            assert 0 <= x < x + width <= SIZE
            assert 0 <= y < y + height <= SIZE


def test_the_third_class_is_there(classes):
    names = {"Normal", "Lung Opacity", "No Lung Opacity / Not Normal"}
    assert {row["class"] for row in classes} == names


def test_some_nih_patient_has_several_images(rsna, classes):
    mapping = json.loads((rsna / "pneumonia-challenge-dataset-mappings_2018.json").read_text())
    assert {row["subset_img_id"] for row in mapping} == {row["patientId"] for row in classes}
    assert len({row["img_id"] for row in mapping}) == len(mapping)
    assert max(Counter(row["img_id"][:8] for row in mapping).values()) == 3


def test_dicom_headers_are_rsnas(headers):
    for header in headers:
        assert header.file_meta.TransferSyntaxUID == JPEGBaseline8Bit
        assert (header.Rows, header.Columns) == (SIZE, SIZE)
        assert (header.BitsAllocated, header.BitsStored, header.HighBit) == (8, 8, 7)
        assert (header.Modality, header.PhotometricInterpretation) == ("CR", "MONOCHROME2")
        assert header.PatientID == Path(header.filename).stem
        assert header.PatientAge.isdigit()
        assert header.SOPInstanceUID.is_valid
        assert header.StudyInstanceUID.is_valid
    assert len({header.StudyInstanceUID for header in headers}) == len(headers)
    assert {header.ViewPosition for header in headers} == {"PA", "AP"}
    assert {header.PatientSex for header in headers} == {"M", "F"}


def test_some_ages_nobody_can_have(headers):
    assert {"148", "412"} <= {header.PatientAge for header in headers}


@pytest.mark.filterwarnings("ignore:End of file reached")
def test_one_dicom_file_is_cut_off(rsna):
    broken = []
    for path in sorted((rsna / "stage_2_train_images").iterdir()):
        try:
            pixels = pydicom.dcmread(path).pixel_array
        except AttributeError:
            broken.append(path)
        else:
            assert pixels.shape == (SIZE, SIZE)
    assert len(broken) == 1


# write_dicom.


@pytest.mark.parametrize(
    "attributes",
    [
        {"PhotometricInterpretation": "MONOCHROME1", "BitsStored": 12},
        {"WindowCenter": 600, "WindowWidth": 1200, "RescaleSlope": 2, "RescaleIntercept": -1024},
        {"transfer_syntax": RLELossless},
        {"transfer_syntax": JPEG2000Lossless, "PhotometricInterpretation": "MONOCHROME1"},
    ],
    ids=["monochrome1", "window", "rle", "jpeg2000"],
)
def test_dicom_gives_back_pixels_and_attributes(tmp_path, attributes):
    pixels = np.arange(64 * 63, dtype=np.uint16).reshape(64, 63)
    write_dicom(tmp_path / "x.dcm", pixels, **attributes)
    dataset = pydicom.dcmread(tmp_path / "x.dcm")
    assert (dataset.pixel_array == pixels).all()
    syntax = attributes.pop("transfer_syntax", dataset.file_meta.TransferSyntaxUID)
    assert dataset.file_meta.TransferSyntaxUID == syntax
    assert {keyword: dataset[keyword].value for keyword in attributes} == attributes


@pytest.mark.parametrize("shape", [(6, 8), (2, 6, 8), (6, 8, 3)], ids=["grey", "frames", "colour"])
def test_dicom_takes_grey_frames_and_colour(tmp_path, shape):
    pixels = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    write_dicom(tmp_path / "x.dcm", pixels)
    assert (pydicom.dcmread(tmp_path / "x.dcm").pixel_array == pixels).all()


# The phantoms.


@pytest.mark.parametrize("size", [32, 64, 200])
def test_phantoms_have_the_size_and_use_the_greys(size):
    rng = np.random.default_rng(0)
    drawings = [draw_phantom(label, rng, size) for label in LABELS]
    for pixels in (*drawings, draw_lateral(rng, size), draw_axial(rng, size)):
        assert (pixels.shape, pixels.dtype) == ((size, size), np.uint8)
        assert pixels.min() < 30
        assert pixels.max() > 200


def test_unknown_label_is_refused_by_name():
    with pytest.raises(ValueError, match="found 'flu'; expected one of normal, pneumonia"):
        draw_phantom("flu", np.random.default_rng(0))


def test_images_of_one_patient_are_more_alike_than_those_of_two():
    rng = np.random.default_rng(0)
    same, other = [], []
    for _ in range(20):
        anatomy = random_anatomy(rng)
        first, second = (draw_phantom("normal", rng, SIZE, anatomy) for _ in range(2))
        stranger = draw_phantom("normal", rng, SIZE)
        same.append(np.corrcoef(first.ravel(), second.ravel())[0, 1])
        other.append(np.corrcoef(first.ravel(), stranger.ravel())[0, 1])
    assert np.mean(other) < np.mean(same) < 0.999


def test_pneumonia_is_on_one_side_and_covid_on_both():
    rng = np.random.default_rng(0)
    for label, both in (("pneumonia", False), ("COVID-19", True)):
        for _ in range(20):
            opacity = draw_frontal(label, rng, SIZE)[1] > 0.4
            left, right = opacity[:, : SIZE // 2].sum(), opacity[:, SIZE // 2 :].sum()
            assert (min(left, right) > 0.3 * max(left, right)) == both


def test_covid_is_low_and_peripheral():
    rng = np.random.default_rng(0)
    opacity = np.mean([draw_frontal("COVID-19", rng, SIZE)[1] for _ in range(30)], axis=0)
    upper, lower = opacity[: SIZE // 2].sum(), opacity[SIZE // 2 :].sum()
    middle = opacity[:, SIZE // 3 : -SIZE // 3].sum()
    assert lower > 2 * upper
    assert middle < 0.15 * opacity.sum()


@pytest.fixture(scope="module")
def drawings():
    """80 phantoms of each label, in turns."""
    rng = np.random.default_rng(0)
    return [draw_phantom(label, rng, SIZE) for label in LABELS * 80]


def test_mean_brightness_does_not_tell_the_disease(drawings):
    means = np.mean(drawings, axis=(1, 2)).reshape(-1, len(LABELS))
    apart = np.ptp(means.mean(axis=0)) / means.std(axis=0).mean()
    assert apart < 0.4  # standard deviations; 0.8 without the automatic exposure


def test_small_pictures_tell_the_disease(drawings):
    """A linear classifier on 16 x 16 pixels, fitted to two thirds, is right about the last."""
    small = [np.asarray(Image.fromarray(d).resize((16, 16))).ravel() / 255 for d in drawings]
    labels, cut = LABELS * 80, 160
    model = LogisticRegression(max_iter=500).fit(small[:cut], labels[:cut])
    assert model.score(small[cut:], labels[cut:]) > 0.85
