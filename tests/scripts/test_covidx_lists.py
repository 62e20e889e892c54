"""python3 -m benchmarks covidx: what label files of COVIDx say, counted here by hand."""

import pytest

from benchmarks import __main__ as benchmarks
from benchmarks.covidx.lists import in_both, read_versions, source_alone
from tests.conftest import run_script
from tests.helpers.paths import ROOT


def write(folder, **files):
    """Label files: name without .txt -> lines."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in files.items():
        (folder / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines))
    return folder


TRAIN = ["1 a.png COVID-19 cohen", "2 b.png COVID-19 cohen", "3 c.png normal rsna"]


def of(folder, name="COVIDx9A"):
    (version,) = (version for version in read_versions([folder]) if version.name == name)
    return version


def test_versions_in_one_folder_and_in_folders_below_it_are_read_each_by_itself(tmp_path):
    write(tmp_path, train_COVIDx8B=TRAIN, test_COVIDx8B=TRAIN[:1], train_split_v1=TRAIN)
    write(tmp_path / "CXR-4", train=TRAIN, val=TRAIN[:2], test=TRAIN[2:])
    versions = {version.name: version.films for version in read_versions([tmp_path])}
    sizes = {name: {s: len(t) for s, t in films.items()} for name, films in versions.items()}
    assert sizes == {
        "COVIDx8B": {"train": 3, "test": 1},
        "CXR-4": {"train": 3, "val": 2, "test": 1},
    }


def test_the_source_alone_names_the_commonest_class_of_each_source(tmp_path):
    test = ["4 d.png COVID-19 cohen", "5 e.png normal cohen", "6 f.png normal rsna"]
    folder = write(tmp_path, train_COVIDx9A=TRAIN, test_COVIDx9A=test)
    scores = source_alone(of(folder))
    assert scores["accuracy"]["value"] == pytest.approx(2 / 3)
    assert scores["accuracy"]["low"] < 2 / 3 < scores["accuracy"]["high"]
    assert scores["macro_auroc"]["value"] == pytest.approx(0.75)  # one of two normals is a tie


@pytest.mark.parametrize(
    ("test", "patients", "known", "share"),
    [
        (["1 x.png COVID-19 cohen", "9 y.png normal rsna"], 2, 1, 0.5),
        (["1 x.png COVID-19 cohen", "1 y.png COVID-19 cohen", "9 z.png normal rsna"], 2, 1, 2 / 3),
        (["1 x.png COVID-19", "9 y.png normal rsna"], 2, 1, 0.5),  # no source: by the id
        (["1 x.png COVID-19 sirm", "9 y.png normal rsna"], 2, 0, 0.0),  # another's patient 1
        (["8 x.png COVID-19 cohen", "9 c.png normal rsna"], 2, 0, 0.0),  # two files of one name
        (["7 x.png COVID-19 cohen", "9 y.png normal rsna"], 2, 1, 0.5),  # seen in val
    ],
)
def test_patients_of_test_that_training_has_seen_are_counted(
    tmp_path, test, patients, known, share
):
    val = ["7 v.png COVID-19 cohen"]
    folder = write(tmp_path, train_COVIDx9A=TRAIN, val_COVIDx9A=val, test_COVIDx9A=test)
    found = in_both(of(folder))
    assert found[:2] == (patients, known)
    assert found[2]["value"] == pytest.approx(share)


def test_a_source_that_a_line_does_not_name_is_that_of_the_file_in_another_version(tmp_path):
    write(tmp_path, train_COVIDx9A=TRAIN, test_COVIDx9A=["5 e.png normal RSNA"])
    write(tmp_path, train_COVIDx2=["1 a.png COVID-19", "4 d.png normal"], test_COVIDx2=TRAIN[2:])
    films = of(tmp_path, "COVIDx2").films["train"]
    assert list(films["source"]) == ["cohen", "not named"]


def test_the_page_of_the_repository_is_that_of_the_sample(capsys):
    run_script(benchmarks, "covidx", "--sample")
    assert capsys.readouterr().out == (ROOT / "benchmarks/COVIDX.md").read_text(encoding="utf-8")


def test_the_page_of_given_lists_has_their_classes_by_source_and_calls_them_real(tmp_path, capsys):
    folder = write(tmp_path, train_COVIDx9A=TRAIN, test_COVIDx9A=TRAIN[:1])
    run_script(benchmarks, "covidx", folder)
    page = capsys.readouterr().out
    assert "| COVID-19 | cohen | 2 | 1 |\n| normal | rsna | 1 | 0 |" in page
    assert "| COVIDx9A | 1 | 0, 0 | 1.00 (0.21 - 1.00) |" in page
    assert "Synthetic" not in page


@pytest.mark.parametrize(
    ("files", "lacking"),
    [
        ({"train": ["images/1.jpg"], "test": ["images/2.jpg"]}, "train and test"),  # of others
        ({"train": TRAIN, "test": []}, "test"),
        ({"train": [], "test": TRAIN}, "train"),
        ({"train": TRAIN, "val": TRAIN}, "test"),
    ],
)
def test_lists_without_a_film_to_learn_from_or_to_test_are_left_out(
    tmp_path, caplog, files, lacking
):
    write(tmp_path, train_COVIDx9A=TRAIN, test_COVIDx9A=TRAIN)
    write(tmp_path / "other", **files)
    assert [version.name for version in read_versions([tmp_path])] == ["COVIDx9A"]
    assert f"other: left out, as its label files have no film of {lacking}" in caplog.text


def test_a_folder_without_label_files_says_what_was_expected(tmp_path):
    with pytest.raises(ValueError, match=r"no lists of films; expected train_COVIDx9A.txt and te"):
        read_versions([tmp_path])


@pytest.mark.parametrize("words", [(), ("somewhere", "--sample")])
def test_either_folders_or_the_sample_are_measured(words, capsys):
    with pytest.raises(SystemExit):
        run_script(benchmarks, "covidx", *words)
    assert (
        "expected folders with label files of COVIDx, or else --sample" in capsys.readouterr().err
    )
