"""model.onnx.runtime: which files and devices it takes. Of its predictions see test_export.py."""

import subprocess
import sys

import onnx
import pytest
from onnx import TensorProto, helper

from model.predictor import Predictor
from tests.helpers.paths import ROOT


@pytest.fixture
def foreign(tmp_path):
    """An ONNX file of another program."""
    kind = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1]), "y"
    there = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [kind[0]], [there])
    opset = [helper.make_opsetid("", 20)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), tmp_path / "a.onnx")
    return tmp_path / "a.onnx"


def test_what_export_did_not_write_is_an_error_of_one_line(foreign, capfd):
    content = foreign.read_bytes()
    for broken in (content, content[: len(content) // 2], b"", b"not a network", bytes(1000)):
        foreign.write_bytes(broken)
        with pytest.raises(
            ValueError, match=r"a\.onnx: not an ONNX file of export\.py, or cut off;"
        ):
            Predictor.load(foreign)
    assert capfd.readouterr() == ("", "")


def test_a_file_that_is_missing_is_said_to_be(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"b\.onnx: no such file"):
        Predictor.load(tmp_path / "b.onnx")


def test_it_runs_on_the_cpu_only(foreign):
    with pytest.raises(ValueError, match=r"device: found 'cuda', but ONNX files run on the CPU;"):
        Predictor.load(foreign, "cuda")


@pytest.mark.parametrize(
    ("package", "file", "remedy"),
    [
        ("torch", "a.pth", "requirements.txt, or give an ONNX file of export.py"),
        ("onnxruntime", "a.onnx", "requirements-predict.txt"),
    ],
)
def test_a_runtime_that_is_not_installed_is_an_error_of_one_line(tmp_path, package, file, remedy):
    (tmp_path / file).touch()
    code = (
        "import sys; from importlib.abc import MetaPathFinder\n"
        "class Missing(MetaPathFinder):\n"
        "    def find_spec(self, name, path, target=None):\n"
        f"        if name == {package!r}:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Missing())\n"
        "import runpy; runpy.run_path('minimal_prediction.py', run_name='__main__')\n"
    )
    command = [sys.executable, "-c", code, "x.png", "--checkpoint", str(tmp_path / file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"needs the package {package}, and that is not installed; " in done.stderr
    assert done.stderr.endswith(f"pip install -r {remedy}\n")
    assert done.stderr.count("\n") == 1
