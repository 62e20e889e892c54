"""Command lines: a parser with kind errors, and one flag for every name of a config module."""

import argparse
import ast
import difflib
import inspect
import math
import sys
import types
from collections.abc import Sequence
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints


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
        found, unknown = self.parse_known_args(words, namespace)
        for word in unknown:
            if not word.startswith("-"):
                self.error(f"found '{word}', which belongs to no flag")
            flag = word.split("=")[0]
            near = difflib.get_close_matches(flag, self._option_string_actions, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else "-h lists them all"
            self.error(f"no flag {flag}; {hint}")
        return found

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
        kinds=(dict[str, float],),
        nargs="+",
        metavar="CLASS=SHARE",
        help="how common each class is where the images come from; without it as in training",
    )


def demand(
    parser: argparse.ArgumentParser,
    found: argparse.Namespace,
    names: Sequence[str],
    low: float,
    high: float = math.inf,
) -> None:
    """Ends with a line and status 2 if one of the numbers is outside low .. high; None passes."""
    for name in names:
        value = getattr(found, name)
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
    found, last = [], 0
    for node in ast.parse(source).body:
        if isinstance(node, ast.AnnAssign):
            above = [line.lstrip("# ") for line in lines[last : node.lineno - 1] if line[:1] == "#"]
            title = [line.strip("- ") for line in above if line.startswith("----")]
            comment = " ".join(line for line in above if not line.startswith("----"))
            found.append((node.target.id, "".join(title), comment))
        last = node.end_lineno
    return found


def _add_flag(group: Any, name: str, hint: Any, value: Any, text: str) -> None:
    flag = f"--{name.replace('_', '-')}"
    if hint is bool:
        group.add_argument(flag, action=_Switch, default=value, help=text)
        return
    kinds = get_args(hint) if get_origin(hint) in {Union, types.UnionType} else (hint,)
    words, metavar = None, _metavar(kinds)
    if get_origin(hint) is tuple:
        words, metavar = len(get_args(hint)), tuple(part.__name__ for part in get_args(hint))
    elif any(get_origin(kind) in {list, dict} for kind in kinds):
        words = "+"
    group.add_argument(
        flag, action=_Store, nargs=words, kinds=kinds, default=value, metavar=metavar, help=text
    )


class _Switch(argparse.BooleanOptionalAction):
    """--name and --no-name."""

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        super().__call__(parser, namespace, values, option_string)
        _note(namespace, self.dest)


class _Store(argparse.Action):
    """Turns the words of a flag into the first of its kinds that they fit."""

    def __init__(self, kinds: Sequence[Any], **settings: Any):
        super().__init__(**settings)
        self.kinds = kinds

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        words = values if isinstance(values, list) else [values]
        for kind in self.kinds:
            try:
                setattr(namespace, self.dest, _convert(kind, words))
                _note(namespace, self.dest)
                return
            except ValueError:
                continue
        parser.error(f"{option_string}: found {' '.join(words)}; expected {_metavar(self.kinds)}")


def _note(namespace: argparse.Namespace, name: str) -> None:
    namespace.given = getattr(namespace, "given", set()) | {name}


def _convert(kind: Any, words: list[str]) -> Any:
    origin, inner = get_origin(kind), get_args(kind)
    if origin is list:
        if words == ["none"]:
            raise ValueError
        return [inner[0](word) for word in words]
    if origin is tuple:
        if len(words) != len(inner):
            raise ValueError
        return tuple(part(word) for part, word in zip(inner, words, strict=True))
    if origin is dict:
        pairs = [word.rpartition("=")[::2] for word in words]
        if not all(key for key, _ in pairs):
            raise ValueError
        return {inner[0](key): inner[1](value) for key, value in pairs}
    if len(words) != 1:
        raise ValueError
    if origin is Literal:
        if words[0] not in inner:
            raise ValueError
        return words[0]
    if kind is type(None) or words[0] == "none":
        if kind is not type(None) or words[0] != "none":
            raise ValueError
        return None
    return kind(words[0])


def _metavar(kinds: Sequence[Any]) -> str:
    """What a flag takes, for -h and for errors: `int|none`, `adamw|adam`, `str=int ...`."""
    return "|".join(_kind_name(kind) for kind in kinds)


def _kind_name(kind: Any) -> str:
    origin, inner = get_origin(kind), get_args(kind)
    if kind is type(None):
        return "none"
    if origin is Literal:
        return "|".join(inner)
    if origin is list:
        return inner[0].__name__
    if origin is tuple:
        return " ".join(part.__name__ for part in inner)
    if origin is dict:
        return f"{inner[0].__name__}={inner[1].__name__}"
    return kind.__name__
