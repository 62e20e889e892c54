"""Imports run one way: util <- data <- model <- page <- scripts; only scripts import config."""

import ast
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT

ROOMS = ("util", "data", "model", "page")  # each may import itself and those before it
SCRIPTS = (
    "generate_dataset", "train", "evaluate", "leave_sources_out", "export", "release",
    "minimal_prediction", "webpage",
)  # fmt: skip
OURS = {*ROOMS, *SCRIPTS, "config", "benchmarks", "tests"}
BENCHMARKS = sorted((ROOT / "benchmarks").rglob("*.py"))
FILES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


def imports(path: Path) -> set[str]:
    """Every module of ours that a file names in an import, at any depth of it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.split(".")[0] in OURS}


def module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("path", FILES, ids=module)
def test_a_room_imports_itself_and_the_rooms_before_it(path):
    room = path.relative_to(ROOT).parts[0]
    allowed = ROOMS[: ROOMS.index(room) + 1]
    assert {name.split(".")[0] for name in imports(path)} <= {*allowed}


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_imports_config_and_the_rooms_and_no_script(script):
    heads = {name.split(".")[0] for name in imports(ROOT / f"{script}.py")}
    assert heads <= {*ROOMS, "config"}


@pytest.mark.parametrize("path", BENCHMARKS, ids=module)
def test_benchmarks_import_config_the_rooms_and_each_other_and_no_script(path):
    heads = {name.split(".")[0] for name in imports(path)}
    assert heads <= {*ROOMS, "config", "benchmarks"}


def test_config_is_data():
    tree = ast.parse((ROOT / "config.py").read_text(encoding="utf-8"))
    kinds = {type(node) for node in tree.body}
    assert kinds == {ast.Expr, ast.ImportFrom, ast.AnnAssign}
    assert not imports(ROOT / "config.py")


def test_no_imports_go_in_a_circle():
    arrows = {module(path): imports(path) for path in FILES}
    done, path = set(), []

    def visit(name: str) -> None:
        assert name not in path, " -> ".join([*path, name])
        if name in done:
            return
        path.append(name)
        for target in arrows[name]:
            # `from a.b import c` names a.b and a.b.c; only one of them is a module.
            if target in arrows and target != name:
                visit(target)
        done.add(path.pop())

    for name in arrows:
        visit(name)
