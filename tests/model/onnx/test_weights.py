"""model.onnx.weights: which files it takes. Of the weights it gives back see test_export.py."""

import onnx
import pytest
from onnx import helper

from model.onnx.weights import load_exported
from tests.helpers.networks import MAPPING


@pytest.fixture
def older(tmp_path):
    """What export.py wrote before files had weights to train on from."""
    model = helper.make_model(helper.make_graph([], "g", [], []))
    helper.set_model_props(model, {"mapping": str(MAPPING).replace("'", '"')})
    onnx.save(model, tmp_path / "a.onnx")
    return tmp_path / "a.onnx"


def test_a_file_without_weights_to_train_on_from_is_one_line(older):
    content = older.read_bytes()
    for broken in (content, content[:-5], b"", b"not a network", bytes(1000)):
        older.write_bytes(broken)
        with pytest.raises(ValueError, match=r"a\.onnx: not an ONNX file of export\.py, cut"):
            load_exported(older)
