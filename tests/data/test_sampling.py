"""Batches of an epoch: who is in them, how often, and that seed and epoch alone decide it."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest

from data.sampling import EpochBatches, even_chances, image_chances, in_order, order_stream

TARGETS = [0] * 90 + [1] * 9 + [2]
PATIENTS = [str(k) for k in range(100)]


def epoch_of(batches, epoch, done=0):
    batches.begin(epoch, done)
    return list(batches)


def indices(batches):
    return [draw.index for batch in batches for draw in batch]


@pytest.mark.parametrize("chances", [None, even_chances(TARGETS, PATIENTS)])
def test_an_epoch_is_a_function_of_seed_and_epoch_alone(chances):
    batches = EpochBatches(100, 8, chances, seed=7)
    first, second = epoch_of(batches, 0), epoch_of(batches, 1)
    assert indices(first) != indices(second)
    np.random.seed(0)
    assert epoch_of(batches, 0) == first
    assert epoch_of(EpochBatches(100, 8, chances, seed=7), 1) == second
    assert indices(epoch_of(EpochBatches(100, 8, chances, seed=8), 0)) != indices(first)


def test_shuffle_shows_every_image_once():
    order = indices(epoch_of(EpochBatches(100, 8), 0))
    assert sorted(order) == list(range(100))
    assert order != list(range(100))


@pytest.mark.parametrize(("images", "size"), [(947, 32), (100, 8), (7, 7), (33, 32), (5, 9)])
def test_batches_are_alike_in_size_and_none_is_larger_than_asked(images, size):
    batches = EpochBatches(images, size)
    sizes = [len(batch) for batch in batches]
    assert sum(sizes) == images
    assert len(sizes) == len(batches) == -(-images // size)
    assert max(sizes) <= size
    assert max(sizes) - min(sizes) <= 1


def test_every_draw_has_a_key_of_its_own():
    batches = EpochBatches(100, 8, even_chances(TARGETS, PATIENTS), seed=3)
    keys = [draw.key for epoch in (0, 1) for batch in epoch_of(batches, epoch) for draw in batch]
    assert len(set(keys)) == 200
    assert {key[:2] for key in keys} == {(3, 0), (3, 1)}


def test_an_image_is_varied_alike_whatever_others_an_epoch_shows():
    """And however often: the first time as if there were no second."""
    varied = [
        {draw.index: draw.key for batch in reversed(epoch_of(batches, 4)) for draw in batch[::-1]}
        for batches in (
            EpochBatches(100, 8, seed=3),
            EpochBatches(150, 16, seed=3),
            EpochBatches(100, 8, even_chances(TARGETS, PATIENTS), seed=3),
        )
    ]
    assert max(len(keys) for keys in varied[1:]) == 150
    for keys in varied:
        assert keys == {index: (3, 4, index, 0) for index in keys}


def test_an_epoch_that_was_begun_goes_on_with_the_batches_that_are_left():
    batches = EpochBatches(100, 8)
    whole = epoch_of(batches, 2)
    assert epoch_of(batches, 2, done=5) == whole[5:]
    assert len(batches) == len(whole) - 5


@pytest.mark.parametrize("ranks", [2, 3])
def test_the_ranks_share_each_batch_of_one_rank(ranks):
    whole = epoch_of(EpochBatches(100, 8), 1)
    parts = [epoch_of(EpochBatches(100, 8, rank=r, ranks=ranks), 1) for r in range(ranks)]
    for batch, *shares in zip(whole, *parts, strict=True):
        assert all(shares)
        assert sorted(draw for share in shares for draw in share) == sorted(batch)


@pytest.mark.parametrize(
    ("images", "size", "ranks", "smallest", "batches"),
    [
        (100, 3, 4, 2, 34),
        (1001, 8, 8, 7, 126),
        (2, 8, 3, 2, 1),
    ],
)
def test_a_batch_that_has_not_an_image_for_each_rank_is_refused(
    images, size, ranks, smallest, batches
):
    with pytest.raises(ValueError, match="batch_size: found") as caught:
        EpochBatches(images, size, ranks=ranks)
    assert str(caught.value) == (
        f"batch_size: found {smallest} images in the smallest of {batches} batches, for {ranks}"
        " processes; expected one for each at least. Raise it, or start fewer"
    )
    with pytest.raises(ValueError, match="batch_size"):  # the same on all ranks
        EpochBatches(images, size, rank=ranks - 1, ranks=ranks)


@pytest.mark.parametrize(("images", "size", "ranks"), [(1000, 8, 8), (947, 40, 32), (7, 8, 7)])
def test_where_it_is_not_refused_every_rank_has_an_image_of_every_batch(images, size, ranks):
    parts = [epoch_of(EpochBatches(images, size, rank=r, ranks=ranks), 0) for r in range(ranks)]
    assert all(batch for part in parts for batch in part)


@pytest.mark.parametrize("seed", [3, 2**63 - 1])
@pytest.mark.parametrize("chances", [None, [0.5] + [0.5 / 99] * 99])  # the first one often
def test_no_image_of_an_epoch_is_varied_by_what_its_order_was_drawn_from(seed, chances):
    """Nor is one of the epochs before and after."""
    batches = EpochBatches(100, 8, chances, seed=seed)
    drawn = {order_stream(seed, epoch).bytes(16) for epoch in range(3)}
    keys = [draw.key for epoch in range(3) for batch in epoch_of(batches, epoch) for draw in batch]
    varied = {np.random.default_rng(key).bytes(16) for key in keys}
    assert (len(drawn), len(varied)) == (3, 300)
    assert not drawn & varied


def test_the_order_is_drawn_from_its_own_stream():
    wanted = order_stream(3, 1).permutation(np.arange(100)).tolist()
    assert indices(epoch_of(EpochBatches(100, 8, seed=3), 1)) == wanted


@pytest.mark.parametrize(("few", "warnings"), [(3, 1), (4, 0)])  # of 80: in one of two strata
def test_few_images_that_are_shown_again_and_again_are_reported(caplog, few, warnings):
    table = pd.DataFrame({"label": "A", "source": ["a"] * (80 - few) + ["b"] * few})
    table["patient_id"] = [str(k) for k in range(80)]
    image_chances(table, [0] * 80, "balanced_source", None)
    assert caplog.messages == warnings * [
        "sampling: an epoch shows an image of A from b up to 14 times, as there are few of them and"
        " balanced_source evens them out"
    ]


def test_in_order_shows_every_image_once_shared_by_the_ranks():
    assert in_order(5, 2) == [[0, 1], [2, 3], [4]]
    assert [in_order(5, 2, rank, 2) for rank in (0, 1)] == [[[0, 2], [4]], [[1, 3]]]
    with pytest.raises(ValueError, match="found 1 images for 2 processes"):
        in_order(1, 2, 0, 2)


def test_balanced_draws_each_class_and_each_of_its_images_equally_often():
    batches = EpochBatches(100, 8, even_chances(TARGETS, PATIENTS))
    drawn = Counter()
    for epoch in range(30):
        drawn.update(indices(epoch_of(batches, epoch)))
    classes = Counter()
    for index, count in drawn.items():
        classes[TARGETS[index]] += count
    for count in classes.values():
        assert count == pytest.approx(1000, abs=30)  # one a class and epoch, at most
    assert drawn[99] == pytest.approx(1000, abs=30)
    assert all(drawn[k] == pytest.approx(111, abs=30) for k in range(90, 99))


@pytest.mark.parametrize("epoch", range(5))
def test_an_image_is_drawn_as_often_as_its_chance_says_rounded_up_or_down(epoch):
    chances = even_chances(TARGETS, PATIENTS)
    counts = Counter(indices(epoch_of(EpochBatches(100, 8, chances), epoch)))
    for index, chance in enumerate(chances):
        assert abs(counts[index] - 100 * chance) < 1 + 1e-9


def test_the_kinds_of_sampling_draw_by_nothing_by_class_and_by_class_and_source():
    targets, sources = [0] * 8 + [1] * 2, ["a"] * 6 + ["b"] * 2 + ["a"] * 2
    table = pd.DataFrame({"label": "x", "source": sources, "patient_id": PATIENTS[:10]})
    assert image_chances(table, targets, "shuffle", None) is None
    balanced = image_chances(table, targets, "balanced", None)
    assert balanced == pytest.approx([1 / 16] * 8 + [1 / 4] * 2)
    by_source = image_chances(table, targets, "balanced_source", None)
    assert by_source == pytest.approx([1 / 18] * 6 + [1 / 6] * 4)


def test_tempered_sampling_evens_out_classes_and_half_of_the_sources():
    targets, sources = [0] * 16 + [0] * 4 + [1] * 5, ["a"] * 16 + ["b"] * 4 + ["a"] * 5
    table = pd.DataFrame({"label": "x", "source": sources, "patient_id": PATIENTS[:25]})
    chances = image_chances(table, targets, "tempered_source", None)
    a, b = 1 / 3, 1 / 6  # of half: roots of 16 and 4
    assert chances == pytest.approx([a / 16] * 16 + [b / 4] * 4 + [0.5 / 5] * 5)


def test_tempered_sampling_counts_a_class_that_no_image_has_for_nothing():
    """As where the sources that have it are left out."""
    table = pd.DataFrame({"label": "x", "source": "a", "patient_id": PATIENTS[:3]})
    chances = image_chances(table, [0, 2, 2], "tempered_source", None)
    assert chances == pytest.approx([0.5, 0.25, 0.25])


def test_mixed_sampling_shows_only_sources_that_do_not_name_the_class():
    targets, sources = [0, 0, 0, 1, 1, 1, 2, 2], ["a", "a", "b", "a", "c", "c", "d", "c"]
    table = pd.DataFrame({"label": "x", "source": sources, "patient_id": list("pqrstuvw")})
    chances = image_chances(table, targets, "mixed_sources", None)
    assert chances == pytest.approx(np.array([1, 1, 0, 1, 1, 1, 0, 1]) / 6)
    table["patient_id"] = list("pprstuvw")
    chances = image_chances(table, targets, "mixed_sources", 1)
    assert chances == pytest.approx(np.array([0.5, 0.5, 0, 1, 1, 1, 0, 1]) / 5)
    table["label"] = ["A", "A", "A", "B", "B", "B", "C", "C"]
    with pytest.raises(ValueError, match="sampling: found no image of C in a source with several"):
        image_chances(table[:7], targets[:7], "mixed_sources", None)


def test_mixed_sampling_says_why_an_image_is_shown_often(caplog):
    table = pd.DataFrame({"label": ["A", "B"] + ["A"] * 98, "source": ["a"] * 2 + ["b"] * 98})
    table["patient_id"] = [str(k) for k in range(100)]
    image_chances(table, [0, 1] + [0] * 98, "mixed_sources", None)
    assert "up to 50 times, as few images are in sources with several classes, and" in caplog.text


def test_the_images_of_a_patient_count_as_patient_cap_at_most():
    patients = ["p"] * 8 + ["q"] * 2 + ["r"]
    chances = even_chances([0] * 11, patients, patient_cap=2)
    assert chances == pytest.approx([0.2 * 0.25 * 1] * 8 + [0.2] * 3)
    assert even_chances([0] * 11, patients) == pytest.approx([1 / 11] * 11)
