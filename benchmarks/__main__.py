"""Speed and memory, side by side with the plain recipe, as ratios of one run on one machine.

python3 -m benchmarks generate --covid-chestxray DIR --rsna DIR
"""

import argparse
import importlib

from data.sources import SOURCES
from util.flags import Parser, demand
from util.script import run


def arguments() -> argparse.Namespace:
    parser = Parser(prog="benchmarks", description=__doc__)
    # A benchmark is a module here with run(args) -> the rows of its table.
    kinds = parser.add_subparsers(dest="benchmark", required=True, metavar="BENCHMARK")

    generate = kinds.add_parser("generate", help="generate_dataset.py against the plain recipe")
    for name, source in SOURCES.items():
        generate.add_argument(f"--{name}", metavar="DIR", help=source.DESCRIPTION)
    generate.add_argument("--rounds", type=int, default=3, help="times that each of the two runs")

    growth = kinds.add_parser("growth", help="generate_dataset.py on more and more sample images")
    growth.add_argument("--images", type=int, nargs="+", default=[1000, 5000, 20000], metavar="N")
    growth.add_argument("--size", type=int, default=64, help="of the drawn images, pixels")

    for kind in kinds.choices.values():
        kind.add_argument("--workers", type=int, default=2, help="processes that read images")
        kind.add_argument("--json", action="store_true", help="print JSON in place of a table")
    args = parser.parse_args()
    chosen = kinds.choices[args.benchmark]
    demand(chosen, args, ("workers",), 1)
    if args.benchmark == "generate":
        demand(chosen, args, ("rounds",), 1)
    elif min(args.images) < 16:
        chosen.error(f"--images: found {min(args.images)}; expected 16 or more")
    return args


def main(args: argparse.Namespace) -> None:
    from benchmarks.table import show

    module = importlib.import_module(f"benchmarks.{args.benchmark}")
    print(show(module.run(args), args.json))


if __name__ == "__main__":
    args = arguments()
    run(lambda: main(args), "benchmarks")
