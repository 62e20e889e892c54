"""A linear probe on embeddings: fitted to train, its strength chosen on val; what is refused."""

import io

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from data.dataset_folder import read_split
from data.subject import dataset_split
from model.under_test.linear_probe import STRENGTHS, linear_probe
from util.metrics.within_source import within_source_auroc

MAPPING = {"normal": 0, "COVID-19": 1}


@pytest.fixture
def arrays(folder, names):
    """Embeddings that know the class a little, and the source well."""
    rows = [row for s in names for _, row in read_split(folder, s).iterrows()]
    drawn = np.random.default_rng(0).normal(size=(len(rows), 5))
    drawn[:, 0] += [MAPPING[row["label"]] for row in rows]
    drawn[:, 1] += [9 * (row["source"] == "hospital-1") for row in rows]
    return {"filenames": np.array([row["filename"] for row in rows]), "embeddings": drawn}


@pytest.fixture
def probe(folder, tmp_path):
    def run(arrays, mapping=None):
        np.savez(tmp_path / "theirs.npz", **arrays)
        return linear_probe(tmp_path / "theirs.npz", folder, mapping or MAPPING)

    return run


def test_it_is_the_regression_of_scikit_learn_that_ranks_validation_best(probe, arrays, folder):
    model = probe(arrays)
    place = {name: k for k, name in enumerate(arrays["filenames"])}
    parts = {}
    for split in ("train", "val", "test"):
        table = read_split(folder, split)
        rows = [place[name] for name in table["filename"]]
        parts[split] = arrays["embeddings"][rows], table["label"].map(MAPPING), table["source"]
    scaler = StandardScaler().fit(parts["train"][0])
    seen, targets, _ = parts["train"]
    fits = [
        LogisticRegression(C=C, max_iter=1000).fit(scaler.transform(seen), targets)
        for C in STRENGTHS
    ]
    seen, targets, sources = parts["val"]
    said = [fit.predict_proba(scaler.transform(seen)) for fit in fits]
    scores = [within_source_auroc(p, targets.to_numpy(), sources.to_numpy()) for p in said]
    assert len(set(scores)) > 1  # else the choice would be none
    best = int(np.argmax(scores))
    subject = dataset_split(folder, "test", model.checkpoint, model.form, iter)
    found = model.outputs(subject)
    wanted = fits[best].predict_proba(scaler.transform(parts["test"][0]))
    np.testing.assert_allclose(found.probabilities, wanted, atol=1e-9)
    np.testing.assert_array_equal(found.features, parts["test"][0])
    np.testing.assert_allclose(model.validation[0], said[best], atol=1e-9)
    assert f"C = {STRENGTHS[best]:g}, chosen by the within-source AUROC" in model.card["Training"]
    assert model.checkpoint["prior"] == [0.5, 0.5]


def test_of_strengths_that_rank_alike_the_one_with_the_least_loss_is_kept(probe, arrays, folder):
    rows = [row for s in ("train", "val", "test") for _, row in read_split(folder, s).iterrows()]
    label = {row["filename"]: float(MAPPING[row["label"]]) for row in rows}
    known = np.array([[label[name]] for name in arrays["filenames"]])
    model = probe(arrays | {"embeddings": known})
    assert f"C = {STRENGTHS[-1]:g}," in model.card["Training"]
    chances, targets, _ = model.validation
    assert (chances[np.arange(len(targets)), targets] > 0.9).all()


def test_the_test_split_takes_no_part_in_the_fit(probe, arrays, names):
    before = probe(arrays).validation[0]
    changed = arrays["embeddings"].copy()
    changed[np.isin(arrays["filenames"], names["test"])] = 1e3
    after = probe(arrays | {"embeddings": changed}).validation[0]
    np.testing.assert_array_equal(before, after)


def test_what_validation_cannot_rank_within_sources_is_chosen_by_the_next_best(
    make_dataset, tmp_path, caplog
):
    films = [(label, split) for split in ("train", "val", "test") for label in MAPPING]
    folder = make_dataset(*films)  # one patient of each class
    names = [n for s in ("train", "val", "test") for n in read_split(folder, s)["filename"]]
    np.savez(tmp_path / "a.npz", filenames=names, embeddings=np.arange(12.0).reshape(6, 2))
    model = linear_probe(tmp_path / "a.npz", folder, MAPPING)
    assert "chosen by the macro AUROC on val" in model.card["Training"]
    assert "macro_auroc chooses the strength in its place" in caplog.text


def without(name):
    return lambda arrays: {key: value for key, value in arrays.items() if key != name}


def with_nan(arrays):
    arrays["embeddings"][3, 1] = np.nan
    return arrays


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("filenames"), "found embeddings; expected also filenames"),
        (without("embeddings"), "found filenames; expected also embeddings"),
        (
            lambda a: a | {"filenames": a["filenames"][1:]},
            r"found filenames \(27,\) and",
        ),
        (
            lambda a: a | {"embeddings": a["embeddings"][:, 0]},
            r".*embeddings \(28,\); expected",
        ),
        (lambda a: a | {"filenames": a["filenames"].astype(object)}, "not a .npz of plain arrays"),
        (lambda a: a | {"filenames": np.arange(28)}, "found filenames of int64 and embeddings of"),
        (with_nan, ".*png: NaN or infinity; expected finite numbers"),
        (
            lambda a: {name: np.concatenate([v, v[:1]]) for name, v in a.items()},
            "found .*png twice; expected one row for each film",
        ),
        (
            lambda a: a | {"filenames": np.char.add("x", a["filenames"])},
            "found 28 names that .*small does not have, the first is x",
        ),
        (
            lambda a: {name: v[1:] for name, v in a.items()},
            "1 of the 12 films of train are missing, the first is",
        ),
        (
            lambda a: {name: v[:-1] for name, v in a.items()},
            "1 of the 4 films of test are missing, the first is",
        ),
    ],
)
def test_a_file_that_does_not_fit_is_refused_in_one_line(probe, arrays, change, message):
    with pytest.raises(ValueError, match=rf"theirs.npz: {message}") as refused:
        probe(change(arrays))
    assert "\n" not in str(refused.value)


def compressed(change):
    """A .npz with a byte of its compressed numbers, or of how they are compressed, changed."""
    file = io.BytesIO()
    numbers = np.random.default_rng(0).normal(size=(50, 4))
    np.savez_compressed(file, embeddings=numbers, filenames=np.arange(50).astype(str))
    content = bytearray(file.getvalue())
    change(content)
    return bytes(content)


def damaged(content):
    content[80:90] = bytes(10)


def of_another_method(content):
    place = content.rindex(b"PK\x01\x02") + 10  # in the list of the files
    content[place : place + 2] = b"\x63\x00"


@pytest.mark.parametrize(
    "content",
    [
        b"", b"filename,p(normal)\n", b"PK\x03\x04 cut off",
        compressed(damaged), compressed(of_another_method),
    ],
    ids=["empty", "table", "cut off", "damaged", "of another method"],
)  # fmt: skip
def test_a_file_of_another_kind_is_refused(folder, tmp_path, content):
    path = tmp_path / "theirs.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"theirs.npz: not a .npz of plain arrays; write it with"):
        linear_probe(path, folder, MAPPING)


def test_a_label_that_the_dataset_does_not_have_is_refused(probe, arrays):
    with pytest.raises(ValueError, match="mapping: found pneumonia; expected labels of"):
        probe(arrays, {"normal": 0, "pneumonia": 1})


def test_a_file_that_is_not_there_is_said(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no.npz: no such file; expected a .npz of filena"):
        linear_probe(tmp_path / "no.npz", folder, MAPPING)
