"""The pictures of --explain: one a file, none over another, each says what it is."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tests.helpers import systems
from util.files import check_folder
from util.prediction.pictures import BAR, BENEATH, EDGE, NARROWEST, Pictures

NOTICE = "Not a medical device."
FILM = np.add.outer(np.arange(120), np.arange(80)).astype(np.uint8)
ALL = (0, 0, 80, 120)
SCALE = ("1", "0.5", "0")
HEAT = np.eye(2, dtype=np.float32)


def row(file, doubtful=None):
    chances = {"normal": 0.2, "COVID-19": 0.8}
    return {"file": file, "label": "COVID-19", "probabilities": chances, "doubtful": doubtful}


def write(pictures, row, mapped="COVID-19"):
    return pictures.write(row, FILM, ALL, HEAT, mapped, NOTICE)


def test_a_picture_is_named_after_its_file_and_two_of_one_name_stay_apart(tmp_path):
    pictures = Pictures(tmp_path / "deep" / "out")
    files = ["a/x.dcm", "b/x.dcm", "x.png", "c/X.dcm", "x.dcm-2", "-.png"]
    names = [write(pictures, row(file)).name for file in files]
    assert names == ["x.dcm.png", "x.dcm-2.png", "x.png.png", "X.dcm-3.png", "x.dcm-2-2.png",
                     "-.png.png"]  # fmt: skip
    assert {path.name for path in (tmp_path / "deep" / "out").iterdir()} == set(names)


@pytest.mark.parametrize("name", ["x" * 255, "ö" * 127, "\udcff" * 254])
def test_a_name_as_long_as_can_be_is_cut(tmp_path, name):
    path = write(Pictures(tmp_path), row(name))
    assert path.is_file()


def test_the_same_command_writes_the_same_names_again(tmp_path):
    for _ in range(2):
        assert write(Pictures(tmp_path), row("a.png")).name == "a.png.png"


def test_text_of_the_file_and_footer_say_class_probability_doubt_and_notice(tmp_path):
    pictures = Pictures(tmp_path)
    path = write(pictures, row("Röntgen\n胸.png", "nearly blank"))
    with Image.open(path) as image:
        image.load()
        for words in ("COVID-19: 0.800", "Doubtful: nearly blank", NOTICE):
            assert words in image.text["Description"]
        assert image.text["Title"] == "Röntgen\\n胸.png"
        footer = np.asarray(image)[120:]
    plain = np.asarray(Image.open(write(pictures, row("b.png"))))
    assert footer.max() == 255
    assert len(footer) > len(plain[120:])  # a line more for the doubt


def test_an_undecided_film_is_not_given_a_class_as_its_label(tmp_path):
    undecided = row("a.png") | {"label": "undecided"}
    with Image.open(write(Pictures(tmp_path), undecided)) as image:
        assert image.text["Description"].startswith("undecided; likeliest COVID-19: 0.800")


@pytest.mark.parametrize(("heat", "grid"), [(np.eye(3), "3 x 3"), (np.ones((5, 4)), "4 x 5")])
def test_the_text_says_how_coarse_the_map_is(tmp_path, heat, grid):
    with Image.open(
        Pictures(tmp_path).write(row("a.png"), FILM, ALL, heat, "COVID-19", NOTICE)
    ) as image:
        assert f"from {grid} cells, smoothed" in image.text["Description"]


@pytest.mark.parametrize("side", [32, 2, 96])
def test_the_whole_footer_is_in_the_picture_however_narrow_it_is(tmp_path, monkeypatch, side):
    ends, draw_text = [], ImageDraw.ImageDraw.text

    def draw(self, place, text, fill, font):
        ends.append((place[0] + font.getlength(text), text))
        return draw_text(self, place, text, fill, font)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", draw)
    doubt = (
        "its features are unlike those of the training images (distance 1.39, 99% are below 1.0)"
    )
    scan = np.zeros((48, side), np.uint8)
    path = Pictures(tmp_path).write(
        row("a.png", doubt), scan, (0, 0, side, 48), HEAT, "COVID-19", NOTICE
    )
    with Image.open(path) as image:
        assert image.width >= max(NARROWEST, 2 * side)
        footer = [text for _, text in ends if text not in SCALE]
        assert " ".join(footer) == image.text["Description"]
        assert max(end for end, _ in ends) <= image.width


@systems.posix
@pytest.mark.parametrize("path", ["file", "file/below", "file/deep/below", "gone"])
def test_a_file_in_the_place_of_the_folder_is_named_and_nothing_is_made(tmp_path, path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "gone").symlink_to("nowhere")
    for start in (check_folder, Pictures):
        with pytest.raises(NotADirectoryError) as error:
            start(tmp_path / path)
        there = tmp_path / path.split("/")[0]
        assert str(error.value) == f"{there}: found a file; expected a folder"
    assert len(list(tmp_path.iterdir())) == 2


def test_a_folder_that_can_be_made_is_not_made_by_the_check(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in ("new", "deep/new", tmp_path / "new", ".", tmp_path):
        check_folder(path)
    assert not list(tmp_path.iterdir())


def test_the_film_is_drawn_as_it_is_and_beside_its_map_stands_a_scale(tmp_path, monkeypatch):
    words, draw_text = [], ImageDraw.ImageDraw.text

    def draw(self, place, text, fill, font):
        words.append((place[1], text))
        return draw_text(self, place, text, fill, font)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", draw)
    path = write(Pictures(tmp_path), row("a.png"))
    image = np.asarray(Image.open(path))
    assert (image[:120, :80] == FILM[:, :, None]).all()
    assert [text for _, text in sorted(words)[:3]] == list(SCALE)  # from the top down
    bar = image[:120, 160 + EDGE : 160 + EDGE + BAR].astype(int)
    hottest = image[:120, 80:160].astype(int)[0, 0]  # of the film, where it is black
    assert (bar[0].sum(axis=1) > hottest.sum()).all()  # the same colour over gray
    assert (bar[-1] == BENEATH).all()
    assert (np.diff(bar[:, 0].sum(axis=1)) <= 12).all()


def test_a_write_that_fails_leaves_no_half_of_a_picture(tmp_path, monkeypatch):
    def fail(self, path, *_, **__):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(OSError, match=r"a\.png\.png"):
        Pictures(tmp_path / "out").write(row("a.png"), FILM, ALL, HEAT, "COVID-19", NOTICE)
    assert not list((tmp_path / "out").iterdir())


def test_the_map_is_said_to_be_of_its_own_class_though_a_prevalence_makes_another_likelier(
    tmp_path,
):
    with Image.open(write(Pictures(tmp_path), row("a.png"), mapped="normal")) as image:
        assert "COVID-19: 0.800" in image.text["Description"]
        assert "what spoke for normal," in image.text["Description"]
