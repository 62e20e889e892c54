"""minimal_prediction.py, with a checkpoint and with ONNX files, against a plain script.

For one file, which is mostly the start of the process, and for many.
"""

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import torch

from benchmarks.installed import installed_mib
from benchmarks.sources import given_sources
from benchmarks.speed import plain
from benchmarks.speed.pairs import commands_by_turns, rates_of_commands, rows
from benchmarks.table import Row
from data.images.preparation import Preparation
from data.transforms import PLAIN, InputFormat
from model.covidnext50 import COVIDNext50
from model.gate import Gate
from model.onnx.graph import write_facts
from model.onnx.precision import graph_in
from model.torch_runtime import load
from util.checkpoint import save_checkpoint

LABELS = ("normal", "pneumonia", "COVID-19")
SEEN = 200  # images that the gate is fitted to; what it costs does not depend on them


def run(args: argparse.Namespace) -> list[Row]:
    """Two rows for each recipe: one file, and `args.images` files, some of them repeated if there
    are fewer. Each from the start of the process, and with the disk that its packages take."""
    with TemporaryDirectory() as scratch, given_sources(args, Path(scratch)) as folders:
        full, checkpoint = Path(scratch, "full"), Path(scratch, "best.pth")
        plain.copy_images(folders, full, args.images)
        found = sorted(full.glob("*.png"))
        files = [found[k % len(found)] for k in range(args.images)]
        write_checkpoint(checkpoint, args.size)
        numbers = (args.size, args.batch_size)
        commands = {"plain": ("-m", "benchmarks.speed.plain_prediction", checkpoint, *numbers)}
        for recipe, file in {"ours": checkpoint, **write_onnx(checkpoint)}.items():
            words = ("--checkpoint", file, "--batch-size", args.batch_size)
            commands[recipe] = ("minimal_prediction.py", *words)
        whole, small = map(installed_mib, ("requirements.txt", "requirements-predict.txt"))
        found = []
        for name, shown in (("one file", files[:1]), (f"{len(files)} files", files)):
            each = {recipe: (*words, *shown) for recipe, words in commands.items()}
            taken = commands_by_turns(each, args.rounds)
            found += rows(f"predict {name}", taken, rates_of_commands(taken, len(shown)))
    return [
        {**row, "installed MiB": small if row["recipe"].startswith("ONNX") else whole}
        for row in found
    ]


def write_onnx(checkpoint: Path) -> dict[str, Path]:
    """Recipe -> an ONNX file of the checkpoint, beside it. export.py also compares them."""
    about, runtime = load(checkpoint, "cpu", torch.float32)
    noise = np.random.default_rng(0).integers(0, 256, (SEEN // 10, 1, *runtime.form.size), np.uint8)
    files = {}
    for precision in ("float32", "int8", "int4"):
        file = files[f"ONNX {precision}"] = checkpoint.with_name(f"{precision}.onnx")
        model = graph_in(precision, runtime, about["temperature"], [noise])
        write_facts(model, about, runtime, {"precision": precision})
        onnx.save(model, file)
    return files


def write_checkpoint(path: Path, size: int, labels: Sequence[str] = LABELS) -> None:
    """Random weights and a gate fitted to noise, which cost as much as trained ones."""
    model = COVIDNext50(len(labels))
    mapping = {label: k for k, label in enumerate(labels)}
    pixels = torch.randint(0, 256, (SEEN, 1, 64, 64), dtype=torch.uint8)
    features = torch.randn(SEEN, model.logits.module.in_features)
    form = InputFormat((size, size), **PLAIN, prepared=Preparation(size))
    content = {"state_dict": model.state_dict(), "mapping": mapping, "input": asdict(form)}
    save_checkpoint(path, content | {"gate": Gate.fit(pixels, features).state()})
