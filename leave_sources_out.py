"""What is a network worth at a hospital that it never saw? Trains without a source, tests on it.

python3 leave_sources_out.py --leave-out valencia rsna --name loso ...   the settings of train.py

For each source in turn train.py makes experiments/NAME-without-SOURCE, and evaluate.py measures it
on the source. The same command goes on where it was stopped, also in the middle of a training. The
table is printed and written to experiments/NAME-sources-left-out.csv.
"""

import argparse
import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from util.flags import Parser, add_config, flags_of, load_config
from util.script import NOTICE, run, while_importing
from util.training.settings import check_settings

PROG = "leave_sources_out.py"


def arguments() -> argparse.Namespace:
    parser = Parser(prog=PROG, description=__doc__)
    add_config(parser, load_config(PROG))
    args = parser.parse_args()
    check_settings(parser, args)
    if not args.leave_out:
        parser.error("--leave-out: found no source; expected one or more, each to be left out once")
    if wrong := [source for source in args.leave_out if set(source) & set("/\\")]:
        parser.error(f"--leave-out: found {wrong[0]}; expected a name that a folder can have")
    if args.folds or args.fold:
        parser.error("--folds: each source that is left out gets one network; leave the flag out")
    args.leave_out = list(dict.fromkeys(args.leave_out))
    return args


if __name__ == "__main__":
    args = arguments()  # before the heavy imports, so that -h and a wrong flag answer at once
    while_importing(PROG)

import pandas as pd

from data.left_out import check_testable, learnable
from util.files import atomic_path
from util.metrics.intervals import Metric


def main(args: argparse.Namespace) -> None:
    settings = {name: getattr(args, name) for name in args.given - {"name", "leave_out", "resume"}}
    machine = {name: getattr(args, name) for name in args.given & {"device", "n_threads"}}
    for source in args.leave_out:  # before the first training
        check_testable(Path(args.dataset), args.mapping, source)
        check_weights(args.loss_weights, learnable(Path(args.dataset), args.mapping, [source]))
    rows = []
    for source in args.leave_out:
        folder = Path(args.ckpts_dir, f"{args.name}-without-{source}")
        of_run = {"name": folder.name, "leave_out": [source], "resume": True}
        script("train.py", *flags_of(settings | of_run))
        rows += rows_of(source, measured(folder, source, flags_of(machine)))
    table = pd.DataFrame(rows)
    out = Path(args.ckpts_dir, f"{args.name}-sources-left-out.csv")
    with atomic_path(out) as temporary:
        table.to_csv(temporary, index=False)
    print(with_intervals(table).to_string(index=False))
    print(f"\nWith 95 % intervals; also in {out}\n{NOTICE}")


def check_weights(weights: object, mapping: Mapping[str, int]) -> None:
    """ValueError for weights of the loss as numbers that are not one for each class."""
    classes = len(set(mapping.values()))
    if isinstance(weights, list) and len(weights) != classes:
        text = f"--loss-weights: found {len(weights)} numbers; expected {classes}, one for each of"
        raise ValueError(f"{text} {', '.join(mapping)}, which are left. Or give counts")


def measured(folder: Path, source: str, flags: Sequence[str]) -> dict:
    """metrics.json of the run's best.pth on the source, made with the flags unless it is there."""
    best, out = folder / "best.pth", folder / f"evaluation-left-out-{source}"
    found = out / "metrics.json"
    if not found.is_file() or found.stat().st_mtime < best.stat().st_mtime:
        script("evaluate.py", best, "--out", out, *flags)
    return json.loads(found.read_text())


def rows_of(source: str, metrics: Mapping) -> Iterator[dict[str, str | int]]:
    """A row for each class that the source has."""
    classes = [*metrics["per_class"]]
    for name, called in zip(classes, metrics["confusion_matrix"], strict=True):
        if images := sum(called):
            within = metrics["within_source"]["comparisons"][f"{name} against the rest"]["auroc"]
            yield {
                "left out": source,
                "class": name,
                "images": images,
                **columns("recall", metrics["per_class"][name]["recall"]),
                **columns("within-source AUROC", within),
                **{f"called {other}": n / images for other, n in zip(classes, called, strict=True)},
            }


def columns(name: str, found: Metric) -> dict[str, float | None]:
    """The value and its 95 % interval."""
    return {name: found["value"], f"{name} low": found["low"], f"{name} high": found["high"]}


def with_intervals(table: pd.DataFrame) -> pd.DataFrame:
    """For people: each number with three places, and behind it its 95 % interval."""
    shown = table.map(lambda cell: f"{cell:.3f}" if isinstance(cell, float) else cell)
    for name in [name.removesuffix(" low") for name in table if name.endswith(" low")]:
        low, high = shown.pop(f"{name} low"), shown.pop(f"{name} high")
        shown[name] += " (" + low + " - " + high + ")"
    return shown.mask(table[shown.columns].isna(), "-")


def script(name: str, *words: object) -> None:
    """Runs a script of the project, which reports its failure; ends with its status if it fails."""
    command = [sys.executable, Path(__file__).with_name(name), *map(str, words)]
    process, stopped = None, False

    def stop(*_) -> None:  # a run is saved before it ends
        nonlocal stopped
        stopped = True
        if process:
            process.terminate()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        process = subprocess.Popen(command, stdout=sys.stderr)
        if stopped:  # meanwhile
            process.terminate()
        status = process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if stopped:
        raise KeyboardInterrupt
    if status:
        sys.exit(status if status > 0 else 128 - status)


if __name__ == "__main__":
    run(lambda: main(args), PROG)
