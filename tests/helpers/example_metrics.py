"""A full metrics.json, checkpoint and dataset.json as they may be, written by hand: for the report.

Every part that the report shows has another number, so that a test can tell which one it found.
"""

from copy import deepcopy

from util import checkpoint

CLASSES = ["normal", "pneumonia", "COVID-19"]
NOTHING = {"value": None, "low": None, "high": None}


def entry(value: float, half: float = 0.05) -> dict:
    """A metric with an interval that is wider downwards, within 0 and 1."""
    return {
        "value": value,
        "low": round(max(0.0, value - 1.3 * half), 4),
        "high": round(min(1.0, value + half), 4),
    }


def scores(images: int, patients: int, *values: float | None) -> dict:
    names = ("precision", "recall", "specificity", "f1", "auroc", "average_precision")
    found = {
        name: dict(NOTHING) if value is None else entry(value)
        for name, value in zip(names, values, strict=True)
    }
    return found | {"images": images, "patients": patients}


def group(images: int, patients: int, accuracy: float | None, macro_f1: float | None) -> dict:
    values = {"accuracy": accuracy, "macro_f1": macro_f1}
    return {"images": images, "patients": patients} | {
        name: dict(NOTHING) if value is None else entry(value, 0.09)
        for name, value in values.items()
    }


def shown(accuracy: float, macro_f1: float, how: str) -> dict:
    return {"accuracy": entry(accuracy, 0.1), "macro_f1": entry(macro_f1, 0.07), "how": how}


def cheat(accuracy: float, macro_f1: float, how: str) -> dict:
    lead = {"accuracy": {"value": 0.0826, "low": -0.0412, "high": 0.2031}}
    return {**shown(accuracy, macro_f1, how), "lead": lead}


def probe(accuracy: float, macro_f1: float, macro_auroc: float, how: str) -> dict:
    return {**shown(accuracy, macro_f1, how), "macro_auroc": entry(macro_auroc, 0.06)}


def example() -> dict:
    """metrics.json of one evaluation; a fresh copy, to be bent by a test."""
    return deepcopy(METRICS)


METRICS = {
    "accuracy": entry(0.7521, 0.09),
    "balanced_accuracy": entry(0.7513, 0.08),
    "macro_f1": entry(0.7432, 0.085),
    "macro_precision": entry(0.7448, 0.095),
    "macro_recall": entry(0.7513, 0.08),
    "macro_specificity": entry(0.8715, 0.045),
    "macro_auroc": entry(0.8967, 0.055),
    "macro_average_precision": entry(0.8274, 0.078),
    "per_class": {
        "normal": scores(45, 32, 0.7603, 0.8442, 0.8335, 0.8001, 0.9187, 0.8812),
        "pneumonia": scores(38, 27, 0.6557, 0.5003, 0.8734, 0.5676, 0.8276, 0.7345),
        "COVID-19": scores(34, 21, 0.8159, 0.9118, 0.9157, 0.8613, 0.9438, 0.8665),
    },
    "confusion_matrix": [[38, 7, 0], [12, 19, 7], [0, 3, 31]],
    "classes": CLASSES,
    "images": 117,
    "patients": 77,
    "warnings": [
        "pneumonia: 27 patients; intervals are wide below 30.",
        "COVID-19: 21 patients; intervals are wide below 30.",
    ],
    "calibration": {
        "temperature": 1.37,
        "expected_calibration_error": entry(0.0813, 0.031),
        "expected_by_chance": 0.0649,
        "brier": entry(0.3642, 0.061),
        "bins": [
            {"low": 0.3, "high": 0.4, "images": 6, "confidence": 0.3712, "accuracy": 0.5},
            {"low": 0.4, "high": 0.5, "images": 17, "confidence": 0.4571, "accuracy": 0.4118},
            {"low": 0.6, "high": 0.7, "images": 24, "confidence": 0.6523, "accuracy": 0.7083},
            {"low": 0.8, "high": 0.9, "images": 29, "confidence": 0.8587, "accuracy": 0.7931},
            {"low": 0.9, "high": 1.0, "images": 41, "confidence": 0.9565, "accuracy": 0.9024},
        ],
    },
    "operating_points": {
        "normal": {
            "wished_sensitivity": 0.95,
            "chosen_on": 41,
            "threshold": 0.2137,
            "sensitivity": entry(0.9333),
            "specificity": entry(0.7222, 0.08),
        },
        "pneumonia": {
            "wished_sensitivity": 0.95,
            "chosen_on": 41,
            "threshold": 0.1484,
            "sensitivity": entry(0.9211),
            "specificity": entry(0.4557, 0.11),
        },
        "COVID-19": {
            "wished_sensitivity": 0.95,
            "chosen_on": 41,
            "threshold": None,
            "sensitivity": dict(NOTHING),
            "specificity": dict(NOTHING),
        },
    },
    "subgroups": {
        "source": {
            "rsna": group(75, 51, 0.7067, 0.5121),
            "covid-chestxray": group(42, 26, 0.8334, 0.4869),
        },
        "view": {
            "PA": group(52, 31, 0.7885, 0.7204),
            "AP": group(48, 34, 0.7292, 0.6915),
            "AP Supine": group(16, 11, 0.6875, 0.6302),
            "AP Erect": group(1, 1, None, None),
        },
        "sex": {
            "M": group(58, 40, 0.7414, 0.7318),
            "F": group(41, 27, 0.7805, 0.7596),
            "unknown": group(18, 10, 0.7222, 0.6043),
        },
        "age": {
            "40-59": group(39, 28, 0.7692, 0.7506),
            "60-79": group(31, 20, 0.7742, 0.7411),
            "20-39": group(22, 14, 0.7273, 0.7009),
            "unknown": group(19, 11, 0.6842, 0.5716),
            "80+": group(4, 3, 0.7502, 0.6667),
            "0-19": group(2, 1, 0.5002, 0.3333),
        },
    },
    "cheats": {
        "the source alone": cheat(
            0.6695,
            0.5412,
            "each image is named after the commonest class of its source in train",
        ),
        "the view alone": cheat(
            0.4492, 0.3874, "each image is named after the commonest class of its view in train"
        ),
    },
    "probes": {
        "centre blacked out": probe(
            0.6239,
            0.5987,
            0.7723,
            "What is still named rightly without the lungs was read off the border: markers, "
            "frames, arms. An honest model falls to a guess.",
        ),
        "border blacked out": probe(
            0.7094, 0.6922, 0.8651, "An honest model keeps most of its score with the lungs alone."
        ),
        "blurred to 16 pixels": probe(
            0.5812,
            0.5566,
            0.7918,
            "Sixteen pixels show exposure and outline, and hardly any disease.",
        ),
    },
    "heat_outside_lungs": {
        **entry(0.4127, 0.04),
        "box_outside": 0.5233,
        "grid": [3, 3],
        "maps": 117,
        "how": "A map that looks nowhere in particular has as much of its heat outside the box as "
        "the box leaves out of the image.",
    },
    "source_in_features": {
        "normal": {
            "auroc": dict(NOTHING),
            "images": 46,
            "sources": {"rsna": 45, "covid-chestxray": 1},
            "how": "Too few patients of covid-chestxray to tell.",
        },
        "pneumonia": {
            "auroc": entry(0.9723, 0.02),
            "images": 38,
            "sources": {"rsna": 30, "covid-chestxray": 8},
            "how": "0.5 is chance; near 1 the features tell the source where the disease is one.",
        },
        "COVID-19": {
            "auroc": dict(NOTHING),
            "images": 34,
            "sources": {"covid-chestxray": 34},
            "how": "One source alone.",
        },
    },
    "headline": {
        "state": "called out",
        "sentence": "Called out: with the lungs blacked out it still tells the classes apart.",
    },
    "verdicts": [
        "Most of the accuracy survives without the lungs: 62 of 100 images are still named "
        "rightly, 38 would be by a guess.",
        "The features name the source of a pneumonia image nearly without fail.",
    ],
    "prevalence": {
        "stated": {"normal": 0.9, "pneumonia": 0.08, "COVID-19": 0.02},
        "recall": {
            "normal": entry(0.9123, 0.05),
            "pneumonia": entry(0.4017, 0.15),
            "COVID-19": entry(0.6471, 0.17),
        },
        "precision": {
            "normal": entry(0.9786, 0.01),
            "pneumonia": entry(0.2541, 0.07),
            "COVID-19": entry(0.1768, 0.08),
        },
    },
}

FACTS = {
    "Checkpoint": "experiments/real96/best.pth (sha256 0c11d4e2)",
    "Dataset": "dataset/real, split test",
    "Versions": "python 3.11.7, torch 2.15.0",
    "Command": "python3 evaluate.py experiments/real96/best.pth --split test",
}

# The `checkpoint` of a Predictor.
CHECKPOINT = {
    "parameters": 37_665_603,
    "mapping": {"normal": 0, "pneumonia": 1, "COVID-19": 2},
    "input": {
        "size": (96, 96),
        "mean": (0.5, 0.5, 0.5),
        "std": (0.25, 0.25, 0.25),
        "prepared": {"size": 256, "fit": "squash", "equalize": False},
        "mode": "L",
    },
    "config": {
        "name": "real96",
        "dataset": "dataset/real",
        "random_seed": 1337,
        "sampling": "shuffle",
        "patient_cap": None,
        "flip": 0.5,
        "rotation": 10.0,
        "shift": 0.08,
        "scale": (0.9, 1.15),
        "jitter": 0.3,
        "augmentation_warmup_epochs": 25.0,
        "weights": None,
        "backbone_weights": None,
        "freeze": None,
        "thaw_epoch": None,
        "epochs": 40,
        "batch_size": 32,
        "lr": 0.001,
        "optimizer": "adamw",
        "weight_decay": 0.05,
        "schedule": "cosine",
        "warmup_epochs": 4.0,
        "early_stopping_patience": None,
        "loss_weights": "counts",
        "label_smoothing": 0.1,
    },
    "epoch": 37,
    "step": 1110,
    "metrics": {"loss": 0.7313, "accuracy": 0.8051, "macro_f1": 0.7989},
    "test_time_augmentation": False,
    "temperature": 1.37,
    "prior": [0.4, 0.35, 0.25],
    "fingerprint": "882ec04ac0a591cb" * 4,
    "versions": {"python": "3.11.7", "torch": "2.15.0"},
}

# The same of the original's.
ORIGINAL = checkpoint.ORIGINAL | {"step": 14180, "parameters": 37_665_603}


def _row(label: str, source: str, *images: int, **more: str) -> dict:
    splits = zip(("train", "val", "test"), images, strict=True)
    return {"label": label, "source": source} | more | dict(splits)


# dataset.json
ABOUT = {
    "arguments": {
        "sources": {"covid-chestxray": "raw/covid", "rsna": "raw/rsna"},
        "sample": False,
        "size": 256,
        "fit": "squash",
        "equalize": False,
        "test_size": 0.1,
        "val_size": 0.1,
        "hold_out_source": None,
        "split_from": None,
        "views": ["PA", "AP", "AP Supine", "AP Erect"],
        "seed": 1337,
    },
    "labels": ["COVID-19", "normal", "pneumonia"],
    "images": {"train": 946, "val": 118, "test": 117},
    "patients": {"train": 627, "val": 79, "test": 77},
    "counts": [
        _row("COVID-19", "covid-chestxray", 274, 34, 34),
        _row("normal", "covid-chestxray", 9, 1, 1),
        _row("normal", "rsna", 355, 45, 44),
        _row("pneumonia", "covid-chestxray", 65, 8, 8),
        _row("pneumonia", "rsna", 243, 30, 30),
    ],
    "audit": [
        _row("COVID-19", "covid-chestxray", 174, 24, 14, view="PA", sex="M", age="60-79"),
        _row("COVID-19", "covid-chestxray", 100, 10, 20, view="AP", sex="unknown", age="unknown"),
        _row("normal", "covid-chestxray", 9, 1, 1, view="PA", sex="F", age="20-39"),
        _row("normal", "rsna", 355, 45, 44, view="PA", sex="F", age="40-59"),
        _row("pneumonia", "covid-chestxray", 65, 8, 8, view="AP Supine", sex="M", age="80+"),
        _row("pneumonia", "rsna", 243, 30, 30, view="AP", sex="M", age="40-59"),
    ],
    "dropped": {
        "class ... is neither normal nor pneumonia": 119,
        "CT, not a radiograph": 63,
        "no file ...": 14,
    },
    "duplicates": [{"kind": "exact", "images": [{}, {}]}, {"kind": "near", "images": [{}, {}]}],
    "alone": {"source": {"test": {"value": 0.6695, "low": 0.54, "high": 0.77}}},
    "fingerprint": "882ec04ac0a591cb" * 4,
    "versions": {"python": "3.11.7"},
}
