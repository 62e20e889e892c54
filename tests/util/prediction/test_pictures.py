"""The pictures of --explain: one a file, none over another, each says what it is."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tests.helpers import systems
from util.files import check_folder
from util.prediction.pictures import NARROWEST, Pictures

NOTICE = "Not a medical device."
PIXELS = np.add.outer(4 * np.arange(48), 2 * np.arange(32)).astype(np.uint8)[None]
HEAT = np.eye(2, dtype=np.float32)


def row(file, doubtful=None):
    chances = {"normal": 0.2, "COVID-19": 0.8}
    return {"file": file, "label": "COVID-19", "probabilities": chances, "doubtful": doubtful}


def test_a_picture_is_named_after_its_file_and_two_of_one_name_stay_apart(tmp_path):
    pictures = Pictures(tmp_path / "deep" / "out")
    files = ["a/x.dcm", "b/x.dcm", "x.png", "c/X.dcm", "x.dcm-2", "-.png"]
    names = [pictures.write(row(file), PIXELS, HEAT, NOTICE).name for file in files]
    assert names == ["x.dcm.png", "x.dcm-2.png", "x.png.png", "X.dcm-3.png", "x.dcm-2-2.png",
                     "-.png.png"]  # fmt: skip
    assert {path.name for path in (tmp_path / "deep" / "out").iterdir()} == set(names)


@pytest.mark.parametrize("name", ["x" * 255, "ö" * 127, "\udcff" * 254])
def test_a_name_as_long_as_can_be_is_cut(tmp_path, name):
    path = Pictures(tmp_path).write(row(name), PIXELS, HEAT, NOTICE)
    assert path.is_file()


def test_the_same_command_writes_the_same_names_again(tmp_path):
    for _ in range(2):
        assert Pictures(tmp_path).write(row("a.png"), PIXELS, HEAT, NOTICE).name == "a.png.png"


def test_text_of_the_file_and_footer_say_class_probability_doubt_and_notice(tmp_path):
    pictures = Pictures(tmp_path)
    path = pictures.write(row("Röntgen\n胸.png", "nearly blank"), PIXELS, HEAT, NOTICE)
    with Image.open(path) as image:
        image.load()
        for words in ("COVID-19: 0.800", "Doubtful: nearly blank", NOTICE):
            assert words in image.text["Description"]
        assert image.text["Title"] == "Röntgen\\n胸.png"
        footer = np.asarray(image)[384:]
    plain = np.asarray(Image.open(pictures.write(row("b.png"), PIXELS, HEAT, NOTICE)))
    assert footer.max() == 255
    assert len(footer) > len(plain[384:])  # a line more for the doubt


@pytest.mark.parametrize(("heat", "grid"), [(np.eye(3), "3 x 3"), (np.ones((5, 4)), "4 x 5")])
def test_the_text_says_how_coarse_the_map_is(tmp_path, heat, grid):
    with Image.open(Pictures(tmp_path).write(row("a.png"), PIXELS, heat, NOTICE)) as image:
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
    scan = np.zeros((1, 48, side), np.uint8)
    path = Pictures(tmp_path).write(row("a.png", doubt), scan, HEAT, NOTICE)
    with Image.open(path) as image:
        assert image.width == max(NARROWEST, 2 * 8 * side)
        assert " ".join(text for _, text in ends) == image.text["Description"]
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


@pytest.mark.parametrize("channels", [1, 3])
def test_the_left_half_is_the_radiograph_as_the_network_sees_it(tmp_path, channels):
    pixels = np.repeat(PIXELS, channels, axis=0)
    path = Pictures(tmp_path).write(row("a.png"), pixels, HEAT, NOTICE)
    image = np.asarray(Image.open(path))
    assert image.shape[1] == 2 * 256
    small = np.asarray(Image.fromarray(image[:384, :256]).convert("L").resize((32, 48), 4), float)
    assert np.abs(small - PIXELS[0]).mean() < 8
