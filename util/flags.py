"""Command lines: a parser with helpful errors, and one flag for every name of a config module."""

import argparse
import ast
import difflib
import inspect
import math
import sys
import types
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints


class _Help(argparse.RawDescriptionHelpFormatter):
    """Help with each default as one types it, under a description that keeps its lines."""

    def _get_help_string(self, action: argparse.Action) -> str:
        typed = _typed(action.default)
        if not action.option_strings or action.default == argparse.SUPPRESS:
            return action.help
        if action.default is None and not isinstance(action, _Store):
            return action.help  # which says what happens without the flag
        return f"{action.help} (default: {typed})".replace("%", "%%")


class Parser(argparse.ArgumentParser):
    """argparse whose flags may be spelt with _ or -, and that suggests the flag next to a typo."""

    def __init__(self, **settings: Any):
        super().__init__(allow_abbrev=False, formatter_class=_Help, **settings)

    def parse_args(self, args: Sequence[str] | None = None, namespace=None) -> argparse.Namespace:
        words = [_hyphens(word) for word in (sys.argv[1:] if args is None else args)]
        namespace, unknown = self.parse_known_args(words, namespace)
        for word in unknown:
            if not word.startswith("-"):
                self.error(f"found '{word}', which belongs to no flag")
            flag = word.split("=")[0]
            near = difflib.get_close_matches(flag, self._option_string_actions, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else "-h lists them all"
            self.error(f"no flag {flag}; {hint}")
        return namespace

    def error(self, message: str) -> None:
        """One line, exit status 2."""
        self.exit(2, f"{self.prog}: {message}\n")


def add_config(parser: argparse.ArgumentParser, config: types.ModuleType) -> None:
    """A flag for every annotated name of the module: its type, its value, its comment as help.

    A comment `# ---- Title ----` starts a group. The parsed namespace has a set `given` with the
    names that were on the command line.
    """
    parser.set_defaults(given=set())
    hints = get_type_hints(config)
    group = parser
    for name, title, comment in _names(inspect.getsource(config)):
        group = parser.add_argument_group(title) if title else group
        _add_flag(group, name, hints[name], getattr(config, name), comment)


def add_prevalence(parser: argparse.ArgumentParser) -> None:
    """--prevalence normal=0.9 COVID-19=0.1, a dict or None; `shares_of` checks it."""
    parser.add_argument(
        "--prevalence",
        action=_Store,
        **_takes(dict[str, float]) | {"metavar": "CLASS=SHARE"},
        help="how common each class is where the images come from; without it as in training",
    )


def demand(
    parser: argparse.ArgumentParser,
    namespace: argparse.Namespace,
    names: Sequence[str],
    low: float,
    high: float = math.inf,
) -> None:
    """Ends with a line and status 2 if one of the numbers is outside low .. high; None passes."""
    for name in names:
        value = getattr(namespace, name)
        if value is not None and not (low <= value <= high and value < math.inf):
            wanted = f"{low} or more" if high == math.inf else f"{low} to {high}"
            parser.error(f"--{name.replace('_', '-')}: found {value}; expected {wanted}")


def _typed(value: Any) -> str:
    """A default as it would stand on the command line."""
    if isinstance(value, dict):
        return " ".join(f"{key}={number}" for key, number in value.items())
    if isinstance(value, list | tuple):
        return " ".join(f"'{word}'" if " " in str(word) else str(word) for word in value)
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _hyphens(word: str) -> str:
    flag, equals, value = word.partition("=")
    return flag.replace("_", "-") + equals + value if flag.startswith("--") else word


def _names(source: str) -> list[tuple[str, str, str]]:
    """(name, title of the group that it begins or "", its comment) in the order of the source."""
    lines = source.splitlines()
    names, last = [], 0
    for node in ast.parse(source).body:
        if isinstance(node, ast.AnnAssign):
            above = [line.lstrip("# ") for line in lines[last : node.lineno - 1] if line[:1] == "#"]
            title = [line.strip("- ") for line in above if line.startswith("----")]
            comment = " ".join(line for line in above if not line.startswith("----"))
            names.append((node.target.id, "".join(title), comment))
        last = node.end_lineno
    return names


def _add_flag(group: Any, name: str, hint: Any, value: Any, text: str) -> None:
    settings = {"action": _Switch} if hint is bool else {"action": _Store, **_takes(hint)}
    group.add_argument(f"--{name.replace('_', '-')}", default=value, help=text, **settings)


def _takes(hint: Any) -> dict[str, Any]:
    """What argparse must know of the words of a flag of this type."""
    union = get_origin(hint) in {Union, types.UnionType}
    kinds = [_kind(part) for part in (get_args(hint) if union else (hint,))]
    nargs = next((kind.nargs for kind in kinds if kind.nargs), None)
    expected = "|".join(kind.name for kind in kinds)
    metavar = tuple(expected.split()) if isinstance(nargs, int) else expected
    return {"kinds": kinds, "nargs": nargs, "metavar": metavar}


class _Kind(NamedTuple):
    """One type that a flag takes: its name for -h and messages, argparse's nargs, and its parser.

    parse: words -> value; ValueError or KeyError if they do not fit.
    """

    name: str
    nargs: int | str | None
    parse: Callable[[list[str]], Any]


def _kind(hint: Any) -> _Kind:
    origin, inner = get_origin(hint), get_args(hint)
    if hint is type(None) or origin is Literal:
        choices = {word: word for word in inner} or {"none": None}
        return _Kind("|".join(choices), None, lambda words: choices[" ".join(words)])
    names = [kind.__name__ for kind in inner or (hint,)]
    if origin is list:
        return _Kind(names[0], "+", partial(_list, inner[0]))
    if origin is tuple:
        return _Kind(" ".join(names), len(inner), partial(_tuple, inner))
    if origin is dict:
        return _Kind("=".join(names), "+", partial(_dict, inner))
    return _Kind(names[0], None, partial(_one, hint))


def _one(kind: type, words: list[str]) -> Any:
    (word,) = _list(kind, words)
    return word


def _list(kind: type, words: list[str]) -> list:
    if words == ["none"]:
        raise ValueError
    return [kind(word) for word in words]


def _tuple(kinds: tuple[type, ...], words: list[str]) -> tuple:
    return tuple(kind(word) for kind, word in zip(kinds, words, strict=True))


def _dict(kinds: tuple[type, type], words: list[str]) -> dict:
    pairs = [word.rpartition("=")[::2] for word in words]
    if not all(key for key, _ in pairs):
        raise ValueError
    return {kinds[0](key): kinds[1](value) for key, value in pairs}


class _Switch(argparse.BooleanOptionalAction):
    """--name and --no-name."""

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        super().__call__(parser, namespace, values, option_string)
        _note(namespace, self.dest)


class _Store(argparse.Action):
    """Turns the words of a flag into the first of its kinds that they fit."""

    def __init__(self, kinds: Sequence[_Kind], **settings: Any):
        super().__init__(**settings)
        self.kinds = kinds

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        words = values if isinstance(values, list) else [values]
        for kind in self.kinds:
            with suppress(ValueError, KeyError):
                setattr(namespace, self.dest, kind.parse(words))
                _note(namespace, self.dest)
                return
        expected = "|".join(kind.name for kind in self.kinds)
        parser.error(f"{option_string}: found {' '.join(words)}; expected {expected}")


def _note(namespace: argparse.Namespace, name: str) -> None:
    namespace.given = getattr(namespace, "given", set()) | {name}
