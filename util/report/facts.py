"""What a checkpoint and a data set say of themselves, in words: for the model card of a report.

None, or no entry, stands for what they do not say.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from math import isnan, nan

from util.class_names import class_names
from util.words import SCORES, counted, reviewed

LIMITS = (
    "The numbers hold for this split only. Another hospital, scanner or year may give others.",
    "Labels are noisy: many were read from reports or from articles, few by several radiologists.",
    "An interval covers the chance of which patients are in the split, and no other doubt.",
)
ONE_PASS = ", which sees each image once"
SIX_PASSES = "; mean over an image, its mirror image and four small shifts of it"
INTENDED_USE = "Research. Not a medical device; not to diagnose or treat anyone."
MOSTLY = 0.75  # of a class from one source: the source then nearly names it
TRAINED_WITH = (
    "epochs", "batch_size", "optimizer", "lr", "weight_decay", "schedule", "warmup_epochs",
    "clip_norm", "average_decay", "sampling", "patient_cap", "loss_weights", "label_smoothing",
    "flip", "rotation", "shift", "scale", "jitter", "appearance", "augmentation_warmup_epochs",
    "size_warmup_epochs", "freeze", "thaw_epoch", "keep_weights", "distil", "fold", "random_seed",
)  # fmt: skip


# ---- The model: from the `checkpoint` of a Predictor ----


def model_facts(checkpoint: Mapping) -> dict[str, str]:
    """Name -> value, the same names for every checkpoint."""
    config, folds = checkpoint["config"], checkpoint["config"].get("folds")
    shown = join_counts(checkpoint.get("sources") or {})
    if folds and shown:
        shown += "; the mean of the networks"
    facts = {
        "Name": config.get("name"),
        "Architecture": "COVIDNext50, a convolutional network with a ResNeXt50-32x4d trunk,"
        f" {checkpoint['parameters']:,} parameters",
        "Classes": ", ".join(class_names(checkpoint["mapping"])),
        "Input": input_format(checkpoint["input"]),
        "Initialization": initialization(config),
        "Training": training(config),
        "Trainings before": earlier_trainings(checkpoint),
        "Images shown in training": shown,
        "Left out of training": ", ".join(config.get("leave_out") or ()) or "no source",
        "Selection": selection(checkpoint),
        "Prediction": prediction(checkpoint),
        "Temperature": "each network's own" if folds else f"{checkpoint['temperature']:.3f}",
        "Probabilities hold for": mixture(checkpoint),
        "Trained on the data set": checkpoint["fingerprint"],
        "Trained with": join(checkpoint["versions"].items()),
        "Intended use": INTENDED_USE,
    }
    return {name: value or "not in the checkpoint" for name, value in facts.items()}


def input_format(form: Mapping) -> str:
    height, width = form["size"]
    text = f"{width} x {height} pixels, {'colour' if form['mode'] == 'RGB' else 'grayscale'}"
    if prepared := form.get("prepared"):
        fits = {"squash": "both sides brought to it", "pad": "padded", "crop": "cropped"}
        text += f", from {prepared['size']} x {prepared['size']} ({fits.get(prepared['fit'])}"
        text += ", histogram equalized)" if prepared["equalize"] else ")"
    mean, std = (", ".join(f"{x:g}" for x in form[name]) for name in ("mean", "std"))
    return f"{text}; minus {mean}, over {std}"


def initialization(config: Mapping) -> str | None:
    if config.get("weights"):
        return f"from {config['weights']}, the head drawn at random where the classes differ"
    if "backbone_weights" not in config:
        return None
    trunk = config["backbone_weights"]
    return f"trunk from {trunk}, the rest random" if trunk else "random weights"


def training(config: Mapping) -> str | None:
    known = [(name, config[name]) for name in TRAINED_WITH if name in config]
    return join((name, "none" if value is None else value) for name, value in known) or None


def earlier_trainings(checkpoint: Mapping) -> str | None:
    """Those that the weights it started from have behind them, and its teachers'."""
    config = checkpoint["config"]
    if "weights" not in config:
        return None
    text = _trainings_in_words(checkpoint.get("started_from") or (), config)
    taught = _of_teachers(checkpoint)
    return f"{text}. {taught}" if taught else text


def _of_teachers(training: Mapping) -> str | None:
    if not (training.get("config") or {}).get("distil"):
        return None
    before = training.get("taught_by")
    words = "not known" if before is None else _trainings_in_words(before, {})
    return f"Of its teachers: {words}"


def _trainings_in_words(before: Sequence[Mapping], config: Mapping) -> str:
    """before: trainings, the last first. config: of what came after all of them."""
    sentences = []
    for each in before:
        images = join_counts(each["sources"] or {}) or "unknown images"
        sentences.append(f"{_training_in_words(each.get('config') or {})}, on {images}")
        if taught := _of_teachers(each):
            sentences[-1] += f" ({taught})"
    oldest = before[-1].get("config") if before else config
    if oldest and oldest.get("weights"):  # whose own start is not recorded
        sentences.append("not known")
    return ". Before that: ".join(sentences) or "none"


def _training_in_words(config: Mapping) -> str:
    size = f"{config['width']} x {config['height']} pixels" if "width" in config else None
    words = [each for each in (initialization(config), size, training(config)) if each]
    return ", ".join(words) or "settings not known"


def prediction(checkpoint: Mapping) -> str:
    folds = checkpoint["config"].get("folds")
    networks = f"mean logits of {folds} networks as one network" if folds else "one network"
    return networks + (SIX_PASSES if checkpoint["test_time_augmentation"] else ONE_PASS)


def selection(checkpoint: Mapping) -> str | None:
    if checkpoint["config"].get("folds"):
        return (
            "each network's epoch, by its own validation: a part of the patients that its fold does"
            " not hold out; the test split takes no part"
        )
    if checkpoint["epoch"] is None:
        return None
    text = f"epoch {checkpoint['epoch']}"
    if "epochs" in checkpoint["config"]:
        text += f" of at most {checkpoint['config']['epochs']}"
    chose = checkpoint["chosen_by"] or "macro_f1"
    names = dict.fromkeys(["within_source_auroc", chose])
    known = {name: checkpoint["metrics"].get(name, nan) for name in names}
    scores = [(SCORES[name], f"{value:.3f}") for name, value in known.items() if not isnan(value)]
    text += f", validation {join(scores)}" if scores else ""
    how = ", without test-time augmentation," if checkpoint["test_time_augmentation"] else ""
    text += f". Validation{how} chooses the epoch by its {SCORES[chose]}"
    return f"{text}; the test split takes no part"


def is_calibrated(checkpoint: Mapping) -> bool:
    """Whether a temperature was found for its probabilities, or for those of each of its folds."""
    return checkpoint["temperature"] != 1 or bool(checkpoint["config"].get("folds"))


def mixture(checkpoint: Mapping) -> str | None:
    """How common the classes are where the probabilities are right as they are."""
    if not checkpoint["prior"]:
        return None
    shares = zip(class_names(checkpoint["mapping"]), checkpoint["prior"], strict=True)
    return join((name, f"{100 * share:.0f} %") for name, share in shares)


# ---- The data: of dataset.json, or of an empty dict where there is none ----


def data_facts(about: Mapping) -> dict[str, str]:
    """Name -> value."""
    if not about:
        return {}
    arguments, copies = about["arguments"], about.get("duplicates", ())
    facts = {
        "Sources": ", ".join(sorted({row["source"] for row in about["counts"]})),
        "Synthetic": "yes: drawn, no patient's image" if arguments.get("sample") else None,
        "Views asked for": ", ".join(arguments.get("views") or ()),
        "Images": join(about["images"].items()),
        "Patients": join(about["patients"].items()),
        "Split": _split(arguments),
        "One radiograph in several files": f"{counted(len(copies), 'group')}, each in one split",
        "Rows left out": join_counts(about.get("dropped", {})),
        "Decided by reviewers": reviewed(about["corrections"]) if "corrections" in about else None,
        "Licences": join_counts(about.get("licences", {})),
        "Fingerprint": about["fingerprint"],
        "Made with": join(about["versions"].items()),
    }
    return {name: value for name, value in facts.items() if value}


def _split(arguments: Mapping) -> str:
    text = f"by patient, each class and source alike; part of test {arguments['test_size']:g}, of"
    text += f" validation {arguments['val_size']:g}; seed {arguments['seed']}"
    return text + ("; patients of an earlier data set stay" if arguments.get("split_from") else "")


def count_table(about: Mapping) -> dict:
    """Images by class and source of each split."""
    splits = list(about.get("images", ()))
    rows = [
        [row["label"], row["source"], *(row[split] for split in splits)]
        for row in about.get("counts", ())
    ]
    return {"head": ["Class", "Source", *splits], "rows": rows}


def people_table(about: Mapping) -> dict:
    """Images by view, sex, age band and, if known, hospital and country of each split."""
    splits, audit = list(about.get("images", ())), about.get("audit", ())
    rows = []
    for column in ("hospital", "country", "view", "sex", "age"):
        values = defaultdict(lambda: [0] * len(splits))
        for row in audit if audit and column in audit[0] else ():
            values[row[column]] = [
                n + row[split] for n, split in zip(values[row[column]], splits, strict=True)
            ]
        ordered = sorted(values, key=lambda value: (value == "unknown", value))
        rows += [[column.capitalize(), value, *values[value]] for value in ordered]
    return {"head": ["", "", *splits], "rows": rows}


def limits(about: Mapping) -> list[str]:
    """What no number here can tell; one sentence more where most of a class has one source."""
    images = defaultdict(lambda: defaultdict(int))  # class -> source -> number
    for row in about.get("counts", ()):
        images[row["label"]][row["source"]] += sum(row[split] for split in about["images"])
    largest = {label: max(of.values()) / sum(of.values()) for label, of in images.items()}
    confounded = [
        f"{100 * part:.0f} % of {label} from {max(images[label], key=images[label].get)}"
        for label, part in largest.items()
        if part >= MOSTLY
    ]
    if not confounded or len({row["source"] for row in about["counts"]}) == 1:
        return [*LIMITS]
    confounding = f"In this data set hospital and disease are confounded: {', '.join(confounded)}."
    return [*LIMITS, f"{confounding} A model can score well by recognising the source."]


def join(pairs: Iterable[tuple]) -> str:
    """`train 946, val 118`"""
    return ", ".join(f"{name} {value}" for name, value in pairs)


def join_counts(counts: Mapping[str, int]) -> str:
    """`CC BY 3.0 (243); unknown (46)`"""
    return "; ".join(f"{name} ({number:,})" for name, number in counts.items())
