"""A network that is here: all that a report can say."""

from collections.abc import Callable

import numpy as np
from torch import Tensor
from tqdm import tqdm

from data.loader import make_loader
from data.sampling import in_order
from data.subject import Subject
from model.predictor import Predictor
from model.runtime import Examined
from model.under_test.model import ModelUnderTest, Outputs
from util.report.facts import model_facts
from util.shortcuts.probes import PROBES

FEW_BATCHES = 8  # up to here starting processes costs more than they save


def network(predictor: Predictor, batch_size: int, workers: int) -> ModelUnderTest:
    """batch_size: images of a forward pass. workers: processes that read images."""
    checkpoint = predictor.checkpoint

    def examine(
        subject: Subject, title: str, change: Callable[[Tensor], Tensor] = lambda pixels: pixels
    ) -> Examined:
        """Of the images, each batch changed: arrays in the order of the table."""
        batches = in_order(len(subject.images), batch_size)
        processes = workers if len(batches) > FEW_BATCHES else 0
        pin = predictor.runtime.device.startswith("cuda")
        loader = make_loader(subject.images, batches, processes, pin)
        bar = tqdm(loader, title, unit="batch", leave=False, disable=None)
        return predictor.examine(change(pixels) for pixels, _ in bar)

    def outputs(subject: Subject) -> Outputs:
        seen = examine(subject, "Images")
        return Outputs(predictor.probabilities(seen.logits), seen.features, seen.heat)

    def probed(subject: Subject) -> dict[str, np.ndarray]:
        return {
            name: predictor.probabilities(examine(subject, name, probe.change).logits)
            for name, probe in PROBES.items()
        }

    return ModelUnderTest(
        path=predictor.path,
        home=predictor.home,
        checkpoint=checkpoint,
        form=predictor.form,
        outputs=outputs,
        probed=probed,
        validation=predictor.validation,
        card=model_facts(checkpoint),
        record=_record(predictor),
        device=predictor.runtime.device,
    )


def _record(predictor: Predictor) -> dict[str, str]:
    checkpoint, (height, width) = predictor.checkpoint, predictor.form.size
    epoch = f", epoch {checkpoint['epoch']}" if checkpoint["epoch"] else ""
    how = checkpoint.get("export")  # of an ONNX file
    exported = {"Exported": f"from {how['checkpoint']}, in {how['precision']}"} if how else {}
    return {
        "Checkpoint": f"{predictor.path} ({predictor.name.rpartition('@')[2]})",
        **exported,
        "Run": f"{checkpoint['config'].get('name')}{epoch}",
        "Input": f"{width} x {height} pixels",
    }
