import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from data.dataset import RadiographDataset
from data.transforms import PLAIN, Augmentation, InputFormat, eval_transform, train_transform

MAPPING = {"normal": 0, "pneumonia": 1, "COVID-19": 2}
PAIRS = [
    *[(label, "train") for label in ("normal", "COVID-19", "pneumonia", "normal", "pneumonia")],
    ("normal", "val"),
]
FORM = InputFormat((16, 16), **PLAIN)


@pytest.fixture
def folder(make_dataset):
    return make_dataset(*PAIRS)


@pytest.fixture
def train_set(folder):
    return RadiographDataset(folder, "train", MAPPING, train_transform(FORM, ORDINARY), 7)


ORDINARY = Augmentation(flip=0.5, rotation=10.0, shift=0.08, scale=(0.9, 1.15), jitter=0.3)


def epochs(dataset, count=2, **options):
    """The images of the first epochs, each (N, 3, H, W), through one DataLoader."""
    loader = DataLoader(dataset, batch_size=2, **options)
    images = []
    for epoch in range(count):
        dataset.set_epoch(epoch)
        images.append(torch.cat([batch for batch, _ in loader]))
    return images


def test_items_are_the_images_of_the_split_with_their_class_in_the_order_of_the_table(folder):
    dataset = RadiographDataset(folder, "train", MAPPING)
    assert len(dataset) == 5
    assert dataset.targets == [0, 2, 1, 0, 1]
    assert list(dataset.table["label"]) == [label for label, split in PAIRS if split == "train"]
    for row, (image, target) in enumerate(dataset, start=1):
        scan = np.random.default_rng(row).integers(0, 256, (16, 16), np.uint8)  # as make_dataset
        np.testing.assert_array_equal(np.asarray(image), scan)
        assert target == dataset.targets[row - 1]


def test_labels_may_share_a_class(folder):
    mapping = {"normal": 0, "pneumonia": 1, "COVID-19": 1}
    assert RadiographDataset(folder, "train", mapping).targets == [0, 1, 1, 0, 1]


def test_a_label_that_the_mapping_leaves_out_is_not_used_but_counted(folder):
    dataset = RadiographDataset(folder, "train", {"normal": 1, "COVID-19": 0})
    assert dataset.targets == [1, 0, 1]
    assert dataset.unused == {"pneumonia": 2}
    assert list(dataset.table["filename"]) == [f"source-0000{k}.png" for k in (1, 2, 4)]
    assert [target for _, target in dataset] == dataset.targets


@pytest.mark.parametrize(
    ("split", "mapping", "message"),
    [
        (
            "train",
            {"normal": 0, "covid": 1},
            "mapping: found covid, no label of {folder};"
            " expected some of COVID-19, normal, pneumonia",
        ),
        (
            "train",
            {"normal": 0, "COVID-19": 2},
            "mapping: found indices [0, 2]; expected 0, 1, ... without a gap",
        ),
        (
            "val",
            {"pneumonia": 0, "COVID-19": 1},
            "{folder}: val has normal; expected an image of pneumonia, COVID-19",
        ),
        (
            "test",
            MAPPING,
            "{folder}: test has no row; expected an image of normal, pneumonia, COVID-19",
        ),
    ],
)
def test_what_does_not_fit_fails_at_construction(folder, split, mapping, message):
    with pytest.raises(ValueError, match="expected") as caught:
        RadiographDataset(folder, split, mapping)
    assert str(caught.value) == message.format(folder=folder)


def test_a_missing_image_fails_at_construction(folder):
    (folder / "train" / "source-00003.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"the first is source-00003\.png"):
        RadiographDataset(folder, "train", MAPPING)


@pytest.mark.parametrize(
    "options",
    [
        {"num_workers": 2},
        {"num_workers": 2, "persistent_workers": True},
        {"num_workers": 1, "persistent_workers": True, "prefetch_factor": 4},
    ],
    ids=str,
)
def test_workers_do_not_change_the_augmentation(train_set, options):
    plain = epochs(train_set)
    assert not torch.equal(plain[0], plain[1])
    for one, other in zip(plain, epochs(train_set, **options), strict=True):
        assert torch.equal(one, other)


def test_the_augmentation_of_an_item_depends_on_seed_epoch_and_item_alone(folder, train_set):
    (images,) = epochs(train_set, 1)
    torch.manual_seed(99)
    backwards = torch.stack([train_set[k][0] for k in (4, 3, 2, 1, 0)]).flip(0)
    assert torch.equal(images, backwards)
    train_set.set_epoch(3)
    assert not torch.equal(train_set[0][0], images[0])
    train_set.set_epoch(0)
    assert torch.equal(train_set[0][0], images[0])
    other = RadiographDataset(folder, "train", MAPPING, train_set.transform, seed=8)
    assert not torch.equal(other[0][0], images[0])


def test_two_items_are_not_augmented_alike(folder):
    draws = RadiographDataset(folder, "train", MAPPING, lambda image: torch.rand(1), seed=7)
    numbers = {float(draws[k][0]) for k in range(len(draws))}
    draws.set_epoch(1)
    numbers |= {float(draws[k][0]) for k in range(len(draws))}
    assert len(numbers) == 2 * len(draws)


def test_reading_an_item_does_not_disturb_torchs_generator(train_set):
    torch.manual_seed(5)
    undisturbed = torch.rand(3)
    torch.manual_seed(5)
    train_set[0]
    train_set.set_epoch(1)
    assert torch.equal(torch.rand(3), undisturbed)


def test_evaluation_items_are_the_same_each_time(folder):
    dataset = RadiographDataset(folder, "train", MAPPING, eval_transform(FORM))
    first, second = epochs(dataset)
    assert torch.equal(first, second)
    assert first.shape == (5, 3, 16, 16)
