"""Copies are found, whatever was done to them; two exposures and two patients are kept apart."""

import io

import imagehash
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageOps

from data.copies.landmarks import PATCH, SLOWEST_FIRST, _hashes, signature
from data.copies.search import (
    CANDIDATES,
    Pair,
    _pairs_that_meet,
    candidates,
    connected,
    find_duplicates,
)
from data.images.preparation import Preparation
from data.sample.phantom import draw_phantom, random_anatomy
from tests.helpers.paths import REAL_DATA

SEED = 3
LABELS = ("normal", "pneumonia", "COVID-19")


def jpeg(quality):
    def save_and_read(image):
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality)
        return Image.open(file).convert("L")

    return save_and_read


def crop(left=0.0, top=0.0, right=0.0, bottom=0.0):
    def cut(image):
        width, height = image.size
        box = (width * left, height * top, width * (1 - right), height * (1 - bottom))
        return image.crop(tuple(map(round, box)))

    return cut


def frame(image):
    return ImageOps.expand(image, round(0.05 * image.width))


def gamma(exponent):
    return lambda image: image.point([round(255 * (gray / 255) ** exponent) for gray in range(256)])


def write_on(image):
    image = image.copy()
    width, height = image.size
    pen = ImageDraw.Draw(image)
    pen.text((0.05 * width, 0.05 * height), "PORTABLE 12:30", fill=255)
    pen.rectangle((0.8 * width, 0.85 * height, 0.9 * width, 0.9 * height), fill=255)
    return image


def half(image):
    return image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS)


def all_at_once(image):
    return jpeg(60)(write_on(gamma(0.9)(crop(0.05, 0.02, 0.08, 0.03)(half(image)))))


COPIES = {
    "half the size": half,
    "JPEG 50": jpeg(50),
    "JPEG 95": jpeg(95),
    "2 % cropped all around": crop(0.02, 0.02, 0.02, 0.02),
    "5 % cropped all around": crop(0.05, 0.05, 0.05, 0.05),
    "10 % cropped all around": crop(0.1, 0.1, 0.1, 0.1),
    "10 % cropped on the left": crop(left=0.1),
    "10 % cropped at the bottom": crop(bottom=0.1),
    "10 % cropped at a corner": crop(right=0.1, top=0.1),
    "a black frame": frame,
    "brighter": gamma(0.8),
    "darker": gamma(1.25),
    "written on": write_on,
    "all at once": all_at_once,
}


def search(images):
    """The pairs among these images, and the groups that they connect."""
    signatures = np.stack([signature(image) for image in images])
    pairs = find_duplicates(signatures, images.__getitem__)
    return pairs, connected(pairs, len(images))


@pytest.fixture(scope="module")
def raw():
    """Twelve patients, 320 px."""
    rng = np.random.default_rng(SEED)
    return [Image.fromarray(draw_phantom(LABELS[k % 3], rng, 320)) for k in range(12)]


@pytest.fixture(scope="module")
def images(raw):
    return [Preparation(256)(image) for image in raw]


def test_hashes_hold_the_bits_of_imagehash():
    patches = np.random.default_rng(0).integers(0, 256, (20, PATCH, PATCH), np.uint8)
    of_imagehash = [
        imagehash.phash(Image.fromarray(p), highfreq_factor=PATCH // 8) for p in patches
    ]
    bits = np.stack([one.hash.ravel()[SLOWEST_FIRST] for one in of_imagehash])
    assert (_hashes(patches) == np.packbits(bits, axis=1)).all()


@pytest.mark.parametrize("way", COPIES)
def test_a_copy_is_found(way, raw, images):
    copies = [Preparation(256)(COPIES[way](image)) for image in raw[::2]]
    pairs, _ = search(images + copies)
    assert [pair[:2] for pair in pairs] == [(2 * k, len(images) + k) for k in range(len(copies))]


@pytest.mark.parametrize("preparation", [Preparation(256, "pad"), Preparation(256, equalize=True)])
def test_a_copy_is_found_however_images_are_prepared(preparation, raw):
    copies = [crop(left=0.1)(jpeg(75)(image)) for image in raw[::2]]
    pairs, _ = search([preparation(image) for image in raw + copies])
    assert [pair[:2] for pair in pairs] == [(2 * k, len(raw) + k) for k in range(len(copies))]


def test_two_patients_are_no_duplicates(images):
    assert search(images) == ([], [])


def test_follow_ups_of_a_patient_are_no_duplicates():
    rng = np.random.default_rng(SEED)
    people = [random_anatomy(rng) for _ in range(6)]
    twice = [draw_phantom("normal", rng, 320, anatomy) for anatomy in people for _ in range(2)]
    assert search([Preparation(256)(Image.fromarray(pixels)) for pixels in twice]) == ([], [])


def test_a_mirrored_copy_is_no_duplicate(images):
    assert search([images[0], ImageOps.mirror(images[0])]) == ([], [])


def test_pairs_do_not_depend_on_the_order_of_the_images(raw, images):
    ways = [*COPIES.values()]
    copies = [Preparation(256)(ways[k % len(ways)](raw[k % 6])) for k in range(24)]
    mixed = images + copies
    order = np.random.default_rng(0).permutation(len(mixed)).tolist()
    pairs, groups = search(mixed)
    other, _ = search([mixed[k] for k in order])
    back = sorted(Pair(*sorted((order[p.first], order[p.second])), p.similarity) for p in other)
    assert pairs == back == search(mixed)[0]
    assert len(groups) == 6


def test_many_copies_are_one_cluster(raw, images):
    copies = [Preparation(256)(jpeg(50 + k % 45)(crop(left=0.003 * k)(raw[2]))) for k in range(30)]
    pairs, groups = search(images + copies)
    assert groups == [[2, *range(len(images), len(images) + len(copies))]]
    assert len(pairs) <= CANDIDATES * (len(copies) + 1)


def test_images_without_anything_on_them_are_no_duplicates():
    noise = np.random.default_rng(0).integers(0, 3, (4, 256, 256), np.uint8)
    blank = [Image.new("L", (256, 256), gray) for gray in (0, 0, 128, 255, 255)]
    assert search(blank + [Image.fromarray(grays) for grays in noise]) == ([], [])


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_is_found_where_there_is_nothing_to_compare(count, images):
    signatures = np.array([signature(image) for image in images[:count]], np.uint8)
    pairs = find_duplicates(signatures.reshape(count, 30, 10), images.__getitem__)
    assert pairs == []
    assert connected(pairs, count) == []


def test_groups_hold_what_pairs_connect():
    pairs = [Pair(1, 4, 0.9), Pair(4, 6, 0.9), Pair(0, 5, 1.0)]
    assert connected(pairs, 8) == [[0, 5], [1, 4, 6]]


@pytest.mark.parametrize("alike", [False, True])
def test_comparisons_grow_as_the_number_of_images(alike, monkeypatch):
    compared = []
    count_bits = np.bitwise_count
    monkeypatch.setattr(np, "bitwise_count", lambda x: compared.append(x.size) or count_bits(x))
    rng = np.random.default_rng(0)
    costs = []
    for count in (200, 800):
        signatures = rng.integers(1, 256, (count, 30, 10), np.uint8)
        if alike:  # as if all images were one
            signatures[:] = signatures[0]
        compared.clear()
        found = len([*candidates(signatures, _pairs_that_meet(signatures))])
        costs.append(sum(compared) / count)
        assert found <= CANDIDATES * count
        assert (found > 0) == alike
    # The last images of an order have fewer neighbours: of 200, that shows.
    assert costs[1] == pytest.approx(costs[0], rel=0.02)


# Under two patient ids. Each pair was viewed side by side: one radiograph, resized, relabelled, or
# with other arrows.
ARDS = "covid-19-rapidly-progressive-acute-respiratory-distress-syndrome-ards-"
PUBLISHED_TWICE = {
    ("16660_2_1.jpg", f"{ARDS}admission.jpg"),
    ("16660_3_1.jpg", f"{ARDS}day-1.jpg"),
    ("16660_4_1.jpg", f"{ARDS}day-2.jpg"),
    ("16660_5_1.jpg", f"{ARDS}day-3.jpg"),
    ("353889E0-A1E8-4F9E-A0B8-F24F36BCFBFB.jpeg", "case_72_RX-TORACE1.jpg"),
    ("A7E260CE-8A00-4C5F-A7F5-27336527A981.jpeg", "case_76_1-3.png"),
    ("AR-1.jpg", "extubation-1.jpg"),
    ("AR-2.jpg", "extubation-1.jpg"),
    ("2-chest-filmc.jpg", "7-fatal-covid19.jpg"),
    ("pneumonia-7.jpg", "streptococcus-pneumoniae-pneumonia-temporal-evolution-1-day1.jpg"),
}


@pytest.mark.skipif(not REAL_DATA.is_dir(), reason=f"no radiographs at {REAL_DATA}")
def test_real_copies_are_found_and_real_patients_kept_apart():
    from data.images.radiograph import read_radiograph
    from data.sources.covid_chestxray import read as read_covid
    from data.sources.rsna import read as read_rsna

    records = [r for r in read_covid(REAL_DATA / "covid-chestxray-dataset")[0] if r.view != "L"]
    records += read_rsna(REAL_DATA / "rsna-pneumonia-detection-challenge")[0][::4]
    prepared, ways = Preparation(256), [crop(0.1, 0.1, 0.1, 0.1), frame, jpeg(50)]
    originals = range(0, len(records), 25)
    images, copies = [], []
    for k, record in enumerate(records):
        image = read_radiograph(record.path, "L", prepared.enough)
        images.append(prepared(image))
        if k in originals:
            copies += [prepared(way(image)) for way in ways]
    pairs, _ = search(images + copies)
    found = {pair[:2] for pair in pairs}
    wanted = {(k, len(images) + 3 * n + way) for n, k in enumerate(originals) for way in range(3)}
    assert wanted <= found
    of_two = {
        tuple(sorted(records[k].path.name for k in pair))
        for pair in found
        if pair[1] < len(records) and len({records[k].patient_id for k in pair}) == 2
    }
    assert of_two == PUBLISHED_TWICE
