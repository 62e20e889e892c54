"""What holds for every source: any table, any file name, and folders that do not fit."""

import csv
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data import sources
from data.left_out import is_part_of
from data.sample import covidx, siim, write_sample
from data.sources import SOURCES
from data.sources.tables import read_rows
from tests.helpers import public_sources

# The tables of each source, the first being the one whose rows are counted.
TABLES = {
    "covid-chestxray": ("metadata.csv",),
    "rsna": (
        "stage_2_detailed_class_info.csv",
        "stage_2_train_labels.csv",
        "pneumonia-challenge-dataset-mappings_2018.json",
    ),
    "siim": ("train_image_level.csv", "train_study_level.csv"),
    "covidx": ("train.txt", "val.txt", "test.txt"),
    **{name: (table,) for name, (table, _) in public_sources.TABLES.items()},
}
FILES = [(name, table) for name, tables in TABLES.items() for table in tables]
FOLDERS = [name for name in SOURCES if name != "table"]
IMAGES = {
    "covid-chestxray": "images",
    "rsna": "stage_2_train_images",
    "siim": "train",
    "covidx": "train",
    "hannover": "png",
    "actualmed": "images",
    "figure1": "images",
    "covid-cxnet": "chest_xray_images/covid19",
    "nih": "images_001/images",
}
# Without which the folder is not the source; COVIDx and NIH need any of several tables and folders.
REQUIRED = [
    (name, needed)
    for name, tables in TABLES.items()
    for needed in (*tables, IMAGES[name])
    if name not in ("covidx", "nih") and not needed.endswith(".json")
]
REQUIRED += [("kermany", "train"), ("kermany", "test")]
REQUIRED += [("radiography-database", "Viral Pneumonia/images")]
# Where `source` is not the collection's name, and where a patient is another source's.
ORIGINS = {
    "radiography-database": {
        "radiography-database", "rsna", "kermany", "valencia", "mixed",
    },
}  # fmt: skip
PATIENTS_OF = {"nih": "rsna"}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Every source, drawn small: name -> folder."""
    folder = tmp_path_factory.mktemp("sources")
    siim.write(folder / "siim", 1, dict.fromkeys(siim.CLASSES, 1), 32)
    covidx.write(folder / "covidx", 1, "CXR-4", 32)
    images = folder / "folder" / "normal"
    images.mkdir(parents=True)
    shutil.copy(next((folder / "covidx" / "train").iterdir()), images / "a.png")
    for name in public_sources.IMAGES:
        public_sources.write(folder / name, name)
    others = {name: folder / name for name in ("siim", "covidx", "folder", *public_sources.IMAGES)}
    return write_sample(folder, patients=12, size=32) | others


@pytest.fixture
def raw(drawn, tmp_path):
    """A copy of a source to break."""
    return lambda name: shutil.copytree(drawn[name], tmp_path / name)


@pytest.mark.parametrize("name", FOLDERS)
def test_every_drawn_source_is_read_and_each_row_comes_back_once(drawn, name):
    records, dropped = sources.read(name, drawn[name])
    origins = ORIGINS.get(name, {name})
    for item in (*records, *dropped):
        assert any(is_part_of(item.source, origin) for origin in origins)
    numbers = sorted(item.row for item in (*records, *dropped))
    assert numbers == list(range(1, len(numbers) + 1))
    assert {r.patient_id.split(":")[0] for r in records} == {PATIENTS_OF.get(name, name)}
    assert all(drawn[name] / record.original == record.path for record in records)
    assert all(record.path.is_file() for record in records)


def outcome(name, folder):
    """Records and dropped rows, or the error that a user would see."""
    try:
        return SOURCES[name].read(folder)
    except (ValueError, FileNotFoundError) as error:
        return error


# Any bytes in a table.


def words(folder):
    """What makes a table plausible: its own cells, and what may stand in their place."""
    found = {"", " ", "normal", "1", "0", "..", "../a.png", "a\x85b", '"', "é", "\x00"}
    for table in sorted(folder.glob("*.txt")) + sorted(folder.glob("*.csv")):
        for line in table.read_text(encoding="utf-8-sig").splitlines()[:12]:
            found |= set(line.split(",")) | set(line.split())
    return sorted(found)


@pytest.mark.parametrize(("name", "table"), FILES, ids=lambda value: value)
def test_any_bytes_in_a_table_end_in_rows_or_in_one_line(raw, name, table):
    folder = raw(name)
    path = folder / table
    good = path.read_bytes()
    header = b"" if path.suffix != ".csv" else good.splitlines()[0] + b"\n"
    cells = st.sampled_from(words(folder))
    lines = st.lists(st.lists(cells, max_size=8), max_size=8)
    plausible = st.builds(
        lambda rows, gap, encoding: header + "\n".join(gap.join(r) for r in rows).encode(encoding),
        lines,
        st.sampled_from([",", " "]),
        st.sampled_from(["utf-8", "utf-8-sig", "latin-1", "utf-16"]),
    )
    broken = st.builds(
        lambda start, bad: good[: start % len(good)] + bad + good[start % len(good) :],
        st.integers(0, 10**6),
        st.binary(min_size=1, max_size=4),
    )

    @settings(max_examples=150, deadline=None, database=None)
    @given(content=plausible | broken | st.binary() | st.binary().map(lambda b: header + b))
    def holds(content):
        path.write_bytes(content)
        result = outcome(name, folder)
        if isinstance(result, Exception):
            assert type(result) in (ValueError, FileNotFoundError)
            assert len(str(result).splitlines()) == 1
            assert str(folder) in str(result)
            return
        records, dropped = result
        numbers = sorted(item.row for item in (*records, *dropped))
        assert numbers == list(range(1, len(numbers) + 1))
        if folder / TABLES[name][0] == path and path.suffix == ".csv":
            assert len(numbers) == len(read_rows(path, []))
        assert all(record.path.is_file() and folder in record.path.parents for record in records)

    holds()


# File names that lead elsewhere.

HOSTILE = [
    "../secret", "..", ".", "a/../../secret", "/etc/hosts", "..\\secret", "\\secret", "C:\\secret",
    "a\0b", "x" * 300, "x" * 5000, "train/secret", "~/secret", "*", "?", "%2e%2e/secret",
]  # fmt: skip


METADATA = ("patientid", "finding", "view", "filename")


def point_at(name, folder, target):
    """Rewrites the source so that its only row is an image called `target`."""
    tables = {
        "covid-chestxray": {"metadata.csv": [METADATA, ("1", "COVID-19", "PA", f"{target}.png")]},
        "rsna": {
            "stage_2_detailed_class_info.csv": [("patientId", "class"), (target, "Normal")],
            "stage_2_train_labels.csv": [("patientId", "Target"), (target, "0")],
        },
        "siim": {
            "train_image_level.csv": [("id", "StudyInstanceUID"), (f"{target}_image", target)],
            "train_study_level.csv": [("id", *siim.CLASSES), (f"{target}_study", 1, 0, 0, 0)],
        },
        "covidx": {"train.txt": [("1", f"{target}.png", "normal")]},
        "hannover": {"data.csv": [("patient_id", "image_id", "projection"), ("1", target, "pa")]},
        "actualmed": {
            "metadata.csv": [
                ("patientid", "finding", "view", "imagename"),
                ("1", "COVID-19", "PA", f"{target}.png"),
            ],
        },
        "figure1": {
            "metadata.csv": [("patientid", "finding", "view"), (target, "COVID-19", "PA")],
        },
        "covid-cxnet": {
            "metadata.csv": [
                ("filename", "patient_id", "label"),
                (f"{target}.png", "1", "COVID-19"),
            ],
        },
        "nih": {
            "Data_Entry_2017.csv": [
                ("Image Index", "Finding Labels"),
                (f"{target}.png", "No Finding"),
            ],
        },
    }
    for table, rows in tables[name].items():
        gap = " " if name == "covidx" else ","
        with (folder / table).open("w", newline="") as file:
            csv.writer(file, delimiter=gap).writerows(rows)
    for table in ("val.txt", "test.txt"):
        (folder / table).unlink(missing_ok=True)


@pytest.mark.parametrize("target", HOSTILE, ids=lambda text: repr(text[:20]))
@pytest.mark.parametrize("name", TABLES)
def test_a_file_name_never_reaches_outside_its_folder(raw, tmp_path, name, target):
    folder = raw(name)
    for place in (tmp_path, folder, folder / IMAGES[name]):  # where a hostile name may lead
        for suffix in (".png", ".dcm", ""):
            (place / f"secret{suffix}").write_bytes(b"")
    (folder / IMAGES[name] / "secret.png").unlink()
    point_at(name, folder, target)
    result = outcome(name, folder)
    if isinstance(result, Exception):  # a NUL is no CSV to Python 3.10
        assert "expected a CSV table" in str(result)
        return
    records, (left_out,) = result
    assert not records
    assert isinstance(left_out.reason, sources.Mismatch)
    if {"/", "\\"} & {*target} and name not in ("siim", "nih"):  # which look names up in a list
        assert f"leads out of {IMAGES[name].split('/')[-1]}/" in left_out.reason


# Folders that do not fit.


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_that_is_not_there_or_a_file_is_named(tmp_path, name):
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "films.ZIP").write_bytes(b"")
    said = {
        "none": "no such folder; expected",
        "file": "found a file; expected",
        "films.ZIP": "found an archive; expected a folder. Unzip it",
    }
    for path, message in said.items():
        with pytest.raises(FileNotFoundError) as caught:
            sources.read(name, tmp_path / path)
        assert str(caught.value).startswith(f"{tmp_path / path}: {message}")


@pytest.mark.parametrize(
    ("name", "packed"),
    [("rsna", "stage_2_train_images.zip"), ("siim", "train_study_level.csv.zip")],
)
def test_what_is_still_packed_is_named(raw, name, packed):
    folder = raw(name)
    (folder / packed.removesuffix(".zip")).rename(folder / packed)
    with pytest.raises(FileNotFoundError, match=f"Unzip {packed}$"):
        sources.read(name, folder)


# Spreadsheets write tables in their own ways.

SPREADSHEETS = {
    "semicolons": lambda text: text.replace(",", ";").encode(),
    "tabs, UTF-16": lambda text: text.replace(",", "\t").encode("utf-16"),
    "UTF-16, big end first": lambda text: ("\ufeff" + text).encode("utf-16-be"),
    "UTF-16 without a mark": lambda text: text.encode("utf-16-le"),
    "a line that names it": lambda text: b"sep=;\r\n" + text.replace(",", ";").encode(),
    "a byte order mark": lambda text: text.encode("utf-8-sig"),
    "another": lambda text: b"\xef\xbb\xbfSEP=^\n" + text.replace(",", "^").encode(),
}


@pytest.mark.parametrize("saved", SPREADSHEETS.values(), ids=SPREADSHEETS)
@pytest.mark.parametrize("name", ["covid-chestxray", "rsna", "siim", "hannover", "nih"])
def test_a_table_is_read_as_a_spreadsheet_saves_it(raw, name, saved):
    folder = raw(name)
    if name == "covid-chestxray":  # whose cells may hold a comma
        rows = [METADATA, ("1", "COVID-19", "PA", "é.png"), ("2", "No Finding", "AP", "b.png")]
        (folder / "metadata.csv").write_text("\n".join(map(",".join, rows)), encoding="utf-8")
        for *_, file in rows[1:]:
            (folder / "images" / file).write_bytes(b"")
    wanted = SOURCES[name].read(folder)
    for table in folder.glob("*.csv"):
        table.write_bytes(saved(table.read_text(encoding="utf-8")))
    assert SOURCES[name].read(folder) == wanted
    assert wanted[0]


def test_a_column_is_known_by_its_letters(raw):
    folder = raw("siim")
    wanted = SOURCES["siim"].read(folder)
    table = folder / "train_study_level.csv"
    header, *rows = table.read_text().splitlines()
    for spelling in ("NegativeForPneumonia", "negative_for-pneumonia"):
        other = header.replace("Negative for Pneumonia", spelling)
        assert other != header
        table.write_text("\n".join([other, *rows]))
        assert SOURCES["siim"].read(folder) == wanted


def test_cells_that_nothing_known_separates_are_said_to_be_so(raw):
    table = raw("rsna") / "stage_2_train_labels.csv"
    table.write_text("patientId:Target\n1:0\n")
    with pytest.raises(ValueError, match=r"separated by commas, semicolons or tabs$"):
        sources.read("rsna", table.parent)


@pytest.mark.parametrize(("name", "lacks"), REQUIRED, ids=str)
def test_a_folder_without_what_the_source_needs_says_what_it_has(raw, tmp_path, name, lacks):
    folder = raw(name)
    (folder / lacks).rename(tmp_path / "elsewhere")
    names = ", ".join(sorted(path.name for path in folder.iterdir())[:5])
    with pytest.raises(FileNotFoundError) as caught:
        sources.read(name, folder)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"{folder}: found {names}; expected {lacks}. Give the folder of ")


@pytest.mark.parametrize("name", TABLES)
def test_a_source_whose_images_lie_elsewhere_is_refused_in_one_line(raw, name):
    folder = raw(name)
    for path in (folder / IMAGES[name]).rglob("*"):
        if path.is_file():
            path.unlink()
    if name == "covidx":
        (folder / "val.txt").unlink()
        (folder / "test.txt").unlink()
    with pytest.raises(ValueError, match="rows that should give an image give none, the") as caught:
        sources.read(name, folder)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"{folder}: ")
    assert "no file " in line
    assert line.endswith(f"expected {SOURCES[name].DESCRIPTION}. Check the folder")


@pytest.mark.parametrize(("kept", "refused"), [(3, True), (4, False), (6, False)])
def test_more_than_half_of_the_rows_without_an_image_is_an_error(tmp_path, kept, refused):
    (tmp_path / "train").mkdir()
    (tmp_path / "train.txt").write_text("".join(f"{k} {k}.png normal\n" for k in range(8)))
    for k in range(8 - kept, 8):
        (tmp_path / "train" / f"{k}.png").write_bytes(b"")
    if not refused:
        records, dropped = sources.read("covidx", tmp_path)
        assert (len(records), len(dropped)) == (kept, 8 - kept)
        return
    with pytest.raises(ValueError, match="should give") as caught:
        sources.read("covidx", tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: 5 of 8 rows that should give an image give none, the first is row 1: no file"
        f" train/0.png; expected {SOURCES['covidx'].DESCRIPTION}. Check the folder"
    )


def test_rows_that_are_left_out_for_what_they_are_do_not_count(raw):
    folder = raw("rsna")
    with (folder / "stage_2_detailed_class_info.csv").open("a") as file:
        file.writelines(f"{k},No Lung Opacity / Not Normal\n" for k in range(500))
    records, dropped = sources.read("rsna", folder)
    assert len(dropped) > 500 > len(records) > 0


@pytest.mark.parametrize(
    ("finding", "refused"), [("Tuberculosis", False), ("todo", False), ("M", True), ("PA", True)]
)
def test_a_column_that_slipped_is_an_error_and_another_disease_is_none(tmp_path, finding, refused):
    (tmp_path / "images").mkdir()
    rows = [("1", "COVID-19", "PA", "a.png"), *[("2", finding, "PA", f"b{k}.png") for k in "123"]]
    for *_, name in rows:
        (tmp_path / "images" / name).write_bytes(b"")
    with (tmp_path / "metadata.csv").open("w", newline="") as file:
        csv.writer(file).writerows([METADATA, *rows])
    if refused:
        with pytest.raises(ValueError, match=f"3 of 4 rows .* row 2: finding '{finding}' is not"):
            sources.read("covid-chestxray", tmp_path)
    else:
        records, dropped = sources.read("covid-chestxray", tmp_path)
        assert (len(records), len(dropped)) == (1, 3)


@pytest.mark.parametrize("lines", [0, 1])
def test_a_source_without_an_image_is_an_error_that_says_what_it_found(tmp_path, lines):
    (tmp_path / "images").mkdir()
    table = "patientid,finding,view,filename\n" + "1,Tuberculosis,PA,a.png\n" * lines
    (tmp_path / "metadata.csv").write_text(table)
    with pytest.raises(ValueError, match=f"none of {lines} rows gives an image") as caught:
        sources.read("covid-chestxray", tmp_path)
    assert ("Tuberculosis" in str(caught.value)) == bool(lines)


def test_a_flat_folder_of_images_is_no_folder_of_class_folders(tmp_path):
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(ValueError, match=r"2 of 2 .* row 1: not in a class folder; expected a fol"):
        sources.read("folder", tmp_path)


@pytest.mark.parametrize(
    ("name", "table", "columns"),
    [
        ("covid-chestxray", "metadata.csv", "patientid, finding, view, filename"),
        ("rsna", "stage_2_detailed_class_info.csv", "patientid, class"),
        ("rsna", "stage_2_train_labels.csv", "patientid, target"),
        ("siim", "train_image_level.csv", "id, studyinstanceuid"),
        (
            "siim",
            "train_study_level.csv",
            "id, negative_for_pneumonia, typical_appearance, indeterminate_appearance,"
            " atypical_appearance",
        ),
        ("hannover", "data.csv", "patient_id, image_id, projection"),
        ("actualmed", "metadata.csv", "patientid, finding, view, imagename"),
        ("figure1", "metadata.csv", "patientid, finding, view"),
        ("covid-cxnet", "metadata.csv", "filename, patient_id, label"),
        ("nih", "Data_Entry_2017.csv", "image_index, finding_labels"),
    ],
    ids=lambda value: value.split(",")[0],
)
@pytest.mark.parametrize(
    ("header", "named"), [("image,view", "image, view"), ("", "an empty file")]
)
def test_the_columns_that_a_table_lacks_are_named(raw, name, table, columns, header, named):
    path = raw(name) / table
    path.write_text(header)
    with pytest.raises(ValueError, match="expected also") as caught:
        sources.read(name, path.parent)
    message = str(caught.value)
    lacks = ", ".join(column for column in columns.split(", ") if column not in header.split(","))
    assert message == f"{path}: found columns {named}; expected also {lacks}"


def test_a_cell_longer_than_csv_allows_is_one_line(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "metadata.csv").write_text("x" * 200_000)
    with pytest.raises(ValueError, match=r"metadata\.csv: field larger .*; expected a CSV table$"):
        sources.read("covid-chestxray", tmp_path)
