"""A model card, and the items of CLAIM that the artefacts of a run answer.

CLAIM, the Checklist for Artificial Intelligence in Medical Imaging: Mongan, Moy & Kahn (2020),
Radiology: Artificial Intelligence 2:e200029. The numbers of the items are those of its update of
2024, Tejani et al., Radiology: Artificial Intelligence 6:e240300. An item has an answer only where
a checkpoint, dataset.json or the metrics hold one. Model cards: Mitchell et al. (2019), FAT*, 220.
"""

from collections.abc import Mapping

from util.report.facts import (
    architecture,
    count_table,
    data_facts,
    initialization,
    input_format,
    join,
    limits,
    model_facts,
    people_table,
    prediction,
    selection,
    training,
)

TITLES = {
    1: "Identification as a study of AI, and its technology",
    2: "Summary of design, methods, results and conclusions",
    3: "Background, intended use and role",
    4: "Aims, objectives and hypotheses",
    5: "Prospective or retrospective",
    6: "Goal of the study",
    7: "Data sources",
    8: "Inclusion and exclusion criteria",
    9: "Data preprocessing",
    10: "Selection of data subsets",
    11: "De-identification",
    12: "How missing data were handled",
    13: "Image acquisition protocol",
    14: "Definition of the reference standard",
    15: "Why this reference standard",
    16: "Who annotated the reference standard",
    17: "Annotation of the test set",
    18: "Variability between and within raters",
    19: "How data were assigned to partitions",
    20: "Level at which partitions are disjoint",
    21: "Intended sample size",
    22: "Description of the model",
    23: "Software libraries and versions",
    24: "Initialization of the parameters",
    25: "Training approach",
    26: "Selection of the final model",
    27: "Ensembling",
    28: "Metrics of performance",
    29: "Measures of uncertainty",
    30: "Robustness or sensitivity analysis",
    31: "Explainability",
    32: "Evaluation on internal data",
    33: "Testing on external data",
    34: "Registration of a clinical trial",
    35: "Numbers included and excluded",
    36: "Characteristics of the cases in each partition",
    37: "Performance and its uncertainty",
    38: "Diagnostic performance and its precision",
    39: "Failure analysis",
    40: "Limitations",
    41: "Implications for practice, intended use",
    42: "Where the protocol or technical details are",
    43: "Availability of software, model and data",
    44: "Funding",
}


def model_card(
    checkpoint: Mapping, about: Mapping | None, metrics: Mapping, split: str | None
) -> dict:
    """The card for `util.report.write.write_report`, ready for JSON.

    `checkpoint` is a `Predictor`'s, `about` dataset.json of the images that were evaluated and
    `split` its part, both None for a user's own folder, `metrics` what metrics.json holds.

    Returns `model` and `data`, name -> value; `counts` and `people`, tables of images as {"head":
    names, "rows": lists}; `claim`, every item as {"item", "what", "answer"}, its answer None where
    the artefacts hold none; `limits`, sentences. Without `about`, `data` and the tables are empty.
    """
    about = about or {}
    answers = {
        **_answers_of_data(about, metrics),
        **_answers_of_model(checkpoint),
        **_answers_of_evaluation(checkpoint, about, metrics, split),
    }
    return {
        "model": model_facts(checkpoint),
        "data": data_facts(about),
        "counts": count_table(about),
        "people": people_table(about),
        "claim": [{"item": k, "what": TITLES[k], "answer": answers.get(k)} for k in TITLES],
        "limits": limits(about),
    }


def _answers_of_data(about: Mapping, metrics: Mapping) -> dict[int, str | None]:
    included = f"{metrics['images']:,} images of {metrics['patients']:,} patients were evaluated."
    if not about:
        return {35: included}
    facts, people = data_facts(about), people_table(about)["rows"]
    unknown = [(name.lower(), sum(images)) for name, value, *images in people if value == "unknown"]
    views = [(value, sum(images)) for name, value, *images in people if name == "View"]
    rows = sum(about.get("dropped", {}).values())
    return {
        7: f"Sources: {facts['Sources']}. Images of each by class and split: see Data set.",
        8: f"Views: {facts.get('Views asked for', 'any')}. Left out, by reason (rows): "
        f"{facts.get('Rows left out', 'none')}.",
        12: "Images stay in where metadata are missing and count as unknown"
        + (f" ({join(unknown)} of {sum(about['images'].values()):,} images)." if unknown else "."),
        13: f"Only the view is known: {join(views)}.",
        19: f"{facts['Split'][:1].upper()}{facts['Split'][1:]}.",
        20: "Patients: all images of one are in one split, and so are the copies of one radiograph "
        f"({len(about.get('duplicates', ()))} groups found).",
        35: f"{included} In all splits: {join(about['images'].items())} images of "
        f"{join(about['patients'].items())} patients; {rows:,} rows were left out.",
        36: "View, sex and age band by split: see Data set."
        + (" Scores by each: see Subgroups." if metrics["subgroups"] else ""),
    }


def _answers_of_model(checkpoint: Mapping) -> dict[int, str | None]:
    return {
        1: f"Deep learning: {architecture(checkpoint)}.",
        9: f"Input {input_format(checkpoint['input'])}.",
        22: f"{architecture(checkpoint)}; classes: {model_facts(checkpoint)['Classes']}.",
        23: join(checkpoint["versions"].items()) or None,
        24: initialization(checkpoint["config"]),
        25: training(checkpoint["config"]),
        26: selection(checkpoint),
        27: f"None: {prediction(checkpoint)}.",
    }


def _answers_of_evaluation(
    checkpoint: Mapping, about: Mapping, metrics: Mapping, split: str | None
) -> dict[int, str | None]:
    parts = {"cheats": "All classes together", "probes": "Probes", "subgroups": "Subgroups"}
    looked = [title for name, title in parts.items() if metrics[name]]
    return {
        10: f"Images with another label than {', '.join(checkpoint['mapping'])} are not used.",
        28: "Accuracy, macro and per-class F1, precision, recall, specificity, AUROC, average "
        "precision; calibration error and Brier score.",
        29: "95 % intervals that know that images of a patient are not independent: Wilson's on "
        "the effective number of images, and bootstrap over patients.",
        30: f"See {', '.join(looked)}." if looked else None,
        31: "Grad-CAM heat maps: see Worst mistakes and Heat outside the lungs.",
        **_where_tested(checkpoint, about, split),
        37: "See All classes together.",
        38: "Recall (sensitivity) and specificity with intervals: see Class by class"
        + ("; at chosen thresholds: see Operating points." if metrics["operating_points"] else "."),
        39: "See Confusion matrix and Worst mistakes.",
        40: "See Limits.",
        41: "None for practice: a research tool, not a medical device.",
        42: "Settings, seeds, versions and the command: see Model card and Record.",
    }


def _where_tested(checkpoint: Mapping, about: Mapping, split: str | None) -> dict[int, str]:
    """Internal data is what the training data were split from; nothing else is known of others."""
    if not about or checkpoint["fingerprint"] is None:
        return {}
    if checkpoint["fingerprint"] != about["fingerprint"]:
        return {33: "Not known: this is not the data set that it was trained on, but nothing "
        "here says that the two share no patient."}  # fmt: skip
    held = about["arguments"].get("hold_out_source")
    if held and split == "test":
        return {33: f"Yes: the source {held}, which training and validation did not see."}
    if split == "train":
        return {}
    chose = "" if split == "test" else ", which chose the epoch and the temperature"
    return {32: f"Yes: the split {split} of the data set that it was trained on{chose}."}
