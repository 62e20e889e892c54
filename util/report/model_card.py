"""A model card, and the items of CLAIM that the files of a run answer and no section does.

CLAIM, the Checklist for Artificial Intelligence in Medical Imaging: Mongan, Moy & Kahn (2020),
Radiology: Artificial Intelligence 2:e200029. The numbers of the items are those of its update of
2024, Tejani et al., Radiology: Artificial Intelligence 6:e240300. Model cards: Mitchell et al.
(2019), FAT*, 220.
"""

from collections.abc import Mapping

from util.report.facts import count_table, data_facts, join, limits, people_table
from util.report.parts import interval, text
from util.training.folds import trained_on
from util.words import counted

TITLES = {
    10: "Selection of data subsets",
    12: "How missing data were handled",
    13: "Image acquisition protocol",
    20: "Level at which partitions are disjoint",
    28: "Metrics of performance",
    29: "Measures of uncertainty",
    32: "Evaluation on internal data",
    33: "Testing on external data",
    35: "Numbers included and excluded",
}


def model_card(
    model: Mapping[str, str],
    checkpoint: Mapping,
    about: Mapping | None,
    metrics: Mapping,
    split: str | None,
) -> dict:
    """The card for `util.report.write.write_report`, ready for JSON.

    `model` are names and values of it, of `model_facts` for a network. Of its `checkpoint` the
    mapping, the fingerprint and the config count. `about` is dataset.json of the images that were
    evaluated and `split` its part, both None for a user's own folder, `metrics` what metrics.json
    holds.

    Returns `model` and `data`, name -> value; `counts` and `people`, tables of images as {"head":
    names, "rows": lists}; `claim`, the answered items as {"item", "what", "answer"}; `limits`,
    sentences. Without `about`, `data` and the tables are empty.
    """
    about = about or {}
    answers = {
        10: f"Images with another label than {', '.join(checkpoint['mapping'])} are not used.",
        28: "Within-source AUROC, over pairs of images of one source only; over all images "
        "accuracy, macro and per-class F1, precision, recall, specificity, AUROC, average "
        "precision; calibration error and Brier score.",
        29: "95 % intervals that know that images of a patient are not independent: Wilson's on "
        "the effective number of images, and bootstrap over patients.",
        **_answers_of_data(about, metrics),
        **_where_tested(checkpoint, about, split),
    }
    return {
        "model": {"Scores here": _scores(metrics), **model},
        "data": data_facts(about),
        "counts": count_table(about),
        "people": people_table(about),
        "claim": [{"item": k, "what": TITLES[k], "answer": answers[k]} for k in sorted(answers)],
        "limits": limits(about),
    }


def _scores(metrics: Mapping) -> str:
    numbers = {"within-source AUROC": metrics["within_source"]["macro_auroc"]}
    numbers |= {"macro AUROC": metrics["macro_auroc"], "accuracy": metrics["accuracy"]}
    return ", ".join(
        f"{name} {text(metric)}" + (f" ({interval(metric)})" if interval(metric) else "")
        for name, metric in numbers.items()
    )


def _answers_of_data(about: Mapping, metrics: Mapping) -> dict[int, str]:
    images, patients = counted(metrics["images"], "image"), counted(metrics["patients"], "patient")
    included = f"Evaluated: {images} of {patients}."
    if not about:
        return {35: included}
    people = people_table(about)["rows"]
    unknown = [(name.lower(), sum(images)) for name, value, *images in people if value == "unknown"]
    views = [(value, sum(images)) for name, value, *images in people if name == "View"]
    rows = sum(about.get("dropped", {}).values())
    return {
        12: "Images stay in where metadata are missing and count as unknown"
        + (f" ({join(unknown)} of {sum(about['images'].values()):,} images)." if unknown else "."),
        13: f"Only the view is known: {join(views)}.",
        20: "Patients: all images of one are in one split, and so are the copies of one radiograph "
        f"({counted(len(about.get('duplicates', ())), 'group')} found).",
        35: f"{included} In all splits: {join(about['images'].items())} images of "
        f"{join(about['patients'].items())} patients; left out: {counted(rows, 'row')}.",
    }


def _where_tested(checkpoint: Mapping, about: Mapping, split: str | None) -> dict[int, str]:
    """Internal data is what the training data were split from; nothing else is known of others."""
    if not about or checkpoint["fingerprint"] is None:
        return {}
    if checkpoint["fingerprint"] != about["fingerprint"]:
        return {33: "Not known: this is not the data set that it was trained on, but nothing "
        "here says that the two share no patient."}  # fmt: skip
    if split == "left-out":
        names = ", ".join(checkpoint["config"]["leave_out"])
        return {33: f"Yes: {names}, which training and validation did not see."}
    if split in trained_on(checkpoint["config"]):
        return {}
    chose = "" if split == "test" else ", which chose the epoch and the temperature"
    return {32: f"Yes: the split {split} of the data set that it was trained on{chose}."}
