"""A split as a dataset: which images, decoded once, in which batches, by how many processes."""

import multiprocessing
import pickle
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from data import loader as loader_module
from data.augmentation import Augmentation
from data.dataset import RadiographDataset, StoredDataset, load_splits, read_some
from data.dataset_folder import read_split
from data.images.preparation import Preparation
from data.loader import make_loader
from data.sampling import Draw, EpochBatches, in_order
from data.transforms import PLAIN, InputFormat

MAPPING = {"normal": 0, "pneumonia": 1, "COVID-19": 2}
PAIRS = [
    *[(label, "train") for label in ("normal", "COVID-19", "pneumonia", "normal", "pneumonia")],
    ("normal", "val"),
]
FORM = InputFormat((16, 16), **PLAIN)
ORDINARY = Augmentation(flip=0.5, rotation=10.0, shift=0.08, scale=(0.9, 1.15), jitter=0.3)


@pytest.fixture
def folder(make_dataset):
    return make_dataset(*PAIRS)


def epochs(images, workers):
    """The pixels and targets of two epochs, through one loader."""
    batches = EpochBatches(len(images), 2, seed=7)
    loader = make_loader(images, batches, workers, pin=False)
    shown = []
    for epoch in range(2):
        batches.begin(epoch)
        shown += [torch.cat(parts) for parts in zip(*loader, strict=True)]
    return shown


def test_items_are_the_images_of_the_split_with_their_class_in_the_order_of_the_table(folder):
    dataset = RadiographDataset(folder, "train", MAPPING, FORM)
    assert len(dataset) == 5
    assert dataset.targets == [0, 2, 1, 0, 1]
    assert list(dataset.table["label"]) == [label for label, split in PAIRS if split == "train"]
    for row in range(5):
        pixels, target = dataset[row]
        scan = np.random.default_rng(row + 1).integers(0, 256, (16, 16), np.uint8)  # make_dataset's
        np.testing.assert_array_equal(pixels, scan[None])
        assert target == dataset.targets[row]


def test_stored_images_are_those_of_the_folder_and_nothing_is_written(folder):
    images = StoredDataset(folder, "train", {"normal": 1, "COVID-19": 0})
    table = read_split(folder, "train")
    assert list(images.table["filename"]) == list(table["filename"][table["label"] != "pneumonia"])
    assert images.targets == [1, 0, 1]
    assert images.unused == {"pneumonia": 2}
    pixels, target = images[1]
    stored = Image.open(folder / "train" / images.table["filename"][1])
    assert (pixels.numpy()[0] == np.asarray(stored)).all()
    assert (pixels.dtype, target) == (torch.uint8, 0)
    assert not (folder / "decoded").exists()


def test_images_come_at_the_networks_size_and_colour(folder):
    form = InputFormat((8, 12), **PLAIN, mode="RGB")
    pixels, _ = RadiographDataset(folder, "train", MAPPING, form)[0]
    gray, _ = RadiographDataset(folder, "train", MAPPING, InputFormat((8, 12), **PLAIN))[0]
    assert pixels.shape == (3, 8, 12)
    assert torch.equal(pixels, gray.expand(3, -1, -1))


def test_labels_may_share_a_class(folder):
    mapping = {"normal": 0, "pneumonia": 1, "COVID-19": 1}
    assert RadiographDataset(folder, "train", mapping, FORM).targets == [0, 1, 1, 0, 1]


def test_a_label_that_the_mapping_leaves_out_is_not_used_but_counted(folder):
    whole = RadiographDataset(folder, "train", MAPPING, FORM)
    dataset = RadiographDataset(folder, "train", {"normal": 1, "COVID-19": 0}, FORM)
    assert dataset.targets == [1, 0, 1]
    assert dataset.unused == {"pneumonia": 2}
    assert list(dataset.table["filename"]) == [f"source-0000{k}.png" for k in (1, 2, 4)]
    assert list(dataset.table.index) == [0, 1, 2]  # what is laid beside it stays beside it
    for k, row in enumerate((0, 1, 3)):
        assert torch.equal(dataset[k][0], whole[row][0])
        assert dataset[k][1] == dataset.targets[k]


@pytest.mark.parametrize("rows", [[0, 1, 3, 4], [4, 2, 0, 1, 3]], ids=["dropped", "shuffled"])
def test_a_table_that_was_changed_by_hand_keeps_each_image_with_its_label(folder, rows):
    whole = RadiographDataset(folder, "train", MAPPING, FORM)
    path = folder / "train_metadata.csv"
    header, *lines = path.read_text().splitlines()
    path.write_text("\n".join([header, *(lines[row] for row in rows)]))
    dataset = RadiographDataset(folder, "train", MAPPING, FORM)
    assert dataset.targets == [whole.targets[row] for row in rows]
    for k, row in enumerate(rows):
        assert torch.equal(dataset[k][0], whole[row][0])


def test_the_splits_of_a_training_are_varied_and_as_they_are(folder, caplog):
    caplog.set_level("INFO")
    titles = []

    def bar(images, title):
        titles.append(title)
        return images

    train, val = load_splits(folder, {"normal": 0, "pneumonia": 1}, FORM, ORDINARY, bar)
    assert (train.augmentation, val.augmentation) == (replace(ORDINARY, size=(16, 16)), None)
    assert (len(train), len(val)) == (4, 1)
    assert titles == ["Decoding train", "Decoding val"]
    assert "train: mapping leaves out COVID-19, 1 image" in caplog.text


def test_moved_images_come_from_finer_ones_and_others_as_prediction_reads_them(folder):
    form = InputFormat((8, 8), **PLAIN, prepared=Preparation(16))
    moved, _ = load_splits(folder, MAPPING, form, ORDINARY, lambda images, title: images)
    assert moved._pixels["train"].shape == (5, 1, 11, 11)
    assert moved[0][0].shape == (1, 8, 8)
    still = replace(ORDINARY, flip=0, rotation=0, shift=0, scale=(1, 1), jitter=0)
    train, _ = load_splits(folder, MAPPING, form, still, lambda images, title: images)
    wanted = RadiographDataset(folder, "train", MAPPING, form)
    for k in range(5):
        assert torch.equal(train[k][0], wanted[k][0])


@pytest.mark.parametrize(("most", "found"), [(9, [0, 1, 2, 3, 4]), (3, [0, 2, 4]), (1, [0])])
def test_some_images_are_those_of_the_dataset_evenly_through_it(folder, most, found):
    form = InputFormat((8, 8), **PLAIN, prepared=Preparation(16))
    pixels, table = read_some(folder, "train", MAPPING, form, most)
    assert not (folder / "decoded").exists()
    whole = RadiographDataset(folder, "train", MAPPING, form)
    wanted, classes = whole.__getitems__(found)
    assert torch.equal(pixels, wanted)
    assert [MAPPING[label] for label in table["label"]] == classes.tolist()


@pytest.mark.parametrize(
    ("split", "mapping", "message"),
    [
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
        RadiographDataset(folder, split, mapping, FORM)
    assert str(caught.value) == message.format(folder=folder)


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        (
            {"normal": 0, "covid": 1},
            "mapping: found covid; expected labels of {folder}, which are COVID-19, normal,"
            " pneumonia",
        ),
        (
            {"normal": 0, "COVID-19": 2},
            "mapping: found indices [0, 2]; expected 0, 1, ... without a gap",
        ),
    ],
)
def test_a_mapping_that_does_not_fit_is_not_trained_on(folder, mapping, message):
    with pytest.raises(ValueError, match="expected") as caught:
        load_splits(folder, mapping, FORM, ORDINARY, lambda images, title: images)
    assert str(caught.value) == message.format(folder=folder)


def test_a_label_that_the_dataset_lacks_is_a_class_without_an_image(folder):
    images = RadiographDataset(folder, "train", {"normal": 0, "tb": 1, "COVID-19": 2}, FORM)
    assert images.targets == [0, 2, 0]


@pytest.mark.parametrize("workers", [0, 1])
def test_decoded_images_that_were_deleted_are_made_again(folder, workers):
    images = RadiographDataset(folder, "train", MAPPING, FORM)
    wanted = np.load(images._files["train"])
    shutil.rmtree(folder / "decoded")
    (pixels, _), *_ = make_loader(images, in_order(5, 5), workers, pin=False)
    assert np.array_equal(pixels, wanted)
    assert images._files["train"].exists()


def test_a_missing_image_fails_at_construction(folder):
    (folder / "train" / "source-00003.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"the first is source-00003\.png"):
        RadiographDataset(folder, "train", MAPPING, FORM)


def test_workers_change_nothing(folder):
    images = RadiographDataset(folder, "train", MAPPING, FORM, ORDINARY)
    plain = epochs(images, 0)
    assert not torch.equal(plain[0], plain[2])
    for one, other in zip(plain, epochs(images, 2), strict=True):
        assert torch.equal(one, other)


def test_a_batch_is_its_items_one_after_the_other(folder):
    images = RadiographDataset(folder, "train", MAPPING, FORM, ORDINARY)
    draws = [Draw(3, (1, 2, 0)), Draw(0, (1, 2, 1)), Draw(3, (1, 2, 2))]
    pixels, targets = images.__getitems__(draws)
    assert (pixels.dtype, pixels.shape) == (torch.uint8, (3, 1, 16, 16))
    assert targets.tolist() == [0, 0, 0]
    for item, draw in zip(pixels, draws, strict=True):
        assert torch.equal(item, images[draw][0])
    assert not torch.equal(pixels[0], pixels[2])  # one image, drawn twice, varied twice


def test_without_an_augmentation_a_draw_is_the_image_itself(folder):
    images = RadiographDataset(folder, "train", MAPPING, FORM)
    assert torch.equal(images[Draw(2, (1, 2, 3))][0], images[2][0])
    (shown, _), *_ = make_loader(images, in_order(5, 5), 0, pin=False)
    assert torch.equal(shown, torch.stack([images[k][0] for k in range(5)]))


def test_reading_disturbs_neither_torchs_generator_nor_what_is_read_next(folder):
    images = RadiographDataset(folder, "train", MAPPING, FORM, ORDINARY)
    before, one = torch.get_rng_state(), images[Draw(0, (1, 2, 3))][0]
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(images[Draw(0, (1, 2, 3))][0], one)


def test_a_process_that_gets_the_dataset_gets_no_copy_of_the_images(folder):
    images = RadiographDataset(folder, "train", MAPPING, FORM)
    images[0]
    sent = pickle.dumps(images)
    assert b"source-00001.png" in sent
    assert images[0][0].numpy().tobytes() not in sent
    assert torch.equal(pickle.loads(sent)[3][0], images[3][0])


def test_a_process_that_reads_heeds_sigterm_after_a_while_without_a_fuss(folder, monkeypatch):
    monkeypatch.setattr(loader_module, "SIGTERM_GRACE", 2.0)
    images = RadiographDataset(folder, "train", MAPPING, FORM)
    before = set(multiprocessing.active_children())
    batches = iter(make_loader(images, 100 * [[0, 1]], workers=1, pin=False))
    next(batches)
    (reader,) = set(multiprocessing.active_children()) - before
    reader.terminate()
    for _ in range(10):
        next(batches)  # what the run needs to end its step
    assert reader.is_alive()
    reader.join(10)
    assert reader.exitcode == 0  # by a signal torch would raise, in the midst of a save perhaps
