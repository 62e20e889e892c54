"""At which size no source is blurred by scaling it up."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from data.audit.upscaling import ENOUGH, common_size, sides, size_by_headers, upscaling
from data.record import Record


def films(**sizes):
    """Of each source these (width, height) of raw files."""
    rows = [(source, *size) for source, of_it in sizes.items() for size in of_it]
    return pd.DataFrame(rows, columns=["source", "width", "height"])


@pytest.mark.parametrize(("fit", "side"), [("squash", 300), ("crop", 300), ("pad", 400)])
def test_the_side_that_is_scaled_up_most_counts(fit, side):
    assert sides(films(a=[(400, 300)], b=[(300, 400)]), fit) == {"a": side, "b": side}


def test_a_tenth_of_the_films_of_a_source_may_be_smaller():
    few, more = ([(100, 100)] * n + [(500, 500)] * (20 - n) for n in (1, 3))
    assert sides(films(few=few, more=more), "squash") == {"few": 500, "more": 100}


@pytest.mark.parametrize(
    ("of_source", "size"),
    [
        ({"a": 1024, "b": 400}, 256),  # no larger than the default
        ({"a": 1024, "b": 224}, 224),  # 246 would do
        ({"a": 233}, 256),
        ({"a": 232}, 224),  # 255 would do
        ({"a": 10}, 32),
    ],
)
def test_the_common_size_scales_no_source_up_by_more_than_a_tenth(of_source, size):
    assert common_size(of_source) == size


def test_the_audit_has_the_factor_of_each_source_and_the_size_for_all():
    found = upscaling(films(a=[(224, 300)], b=[(1024, 1024)]), 256, "squash")
    assert found == {"factors": {"a": 256 / 224, "b": 0.25}, "common_size": 224}


def record(path, source="a"):
    return Record(source, 1, path, "normal", "a:1", "normal", path.name)


def test_headers_tell_the_size_and_files_without_one_do_not_count(tmp_path):
    paths = [tmp_path / name for name in ("a.png", "b.jpg", "broken.png", "none.png")]
    for path, size in zip(paths, [(240, 200), (300, 210)], strict=False):
        Image.fromarray(np.zeros(size[::-1], np.uint8)).save(path)
    paths[2].write_bytes(b"not an image")
    assert size_by_headers([record(path) for path in paths], "squash") == 192  # 220 would do
    assert size_by_headers([record(path) for path in paths], "pad") == 256
    assert size_by_headers([record(paths[2])], "squash") == 256


def test_of_a_large_source_some_headers_are_read_and_of_a_small_one_all(monkeypatch, tmp_path):
    read = []
    monkeypatch.setattr(
        "data.audit.upscaling.image_size", lambda path: read.append(path) or (300, 200)
    )
    large = [record(tmp_path / f"{k}.png", "large") for k in range(2 * ENOUGH + 1)]
    small = [record(tmp_path / "small.png", "small")] * 3
    assert size_by_headers(large + small, "squash") == 192
    of_large = [path for path in read if path.name != "small.png"]
    assert ENOUGH / 2 < len(of_large) <= ENOUGH
    assert len(read) == len(of_large) + 3
