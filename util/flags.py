"""Command lines: a parser with helpful errors, and one flag for every name of a config module."""

import argparse
import ast
import difflib
import importlib
import inspect
import math
import sys
import traceback
import types
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints


class _Help(argparse.RawDescriptionHelpFormatter):
    """Help with each default as one types it, under a description that keeps its lines."""

    def _format_args(self, action: argparse.Action, default_metavar: str) -> str:
        if " " in (action.metavar or ""):  # a tuple, which is so long and not longer
            return action.metavar
        return super()._format_args(action, default_metavar)

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
        self.exit(2, f"{self.prog}: {message.removeprefix('argument ')}\n")


def load_config(prog: str, name: str = "config") -> types.ModuleType:
    """The module of this name; one line and exit status 2 where its edited lines fail."""
    try:
        return importlib.import_module(name)
    except Exception as error:  # a slip may raise anything
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if Path(frame.filename).stem == name]
        line = getattr(error, "lineno", None) or (lines[-1] if lines else 1)
        why = f"{error.args[0] if error.args else error}; expected NAME: TYPE = VALUE"
        print(f"{prog}: {name}.py, line {line}: {why}", file=sys.stderr)
        sys.exit(2)


def add_config(parser: Parser, config: types.ModuleType) -> None:
    """A flag for every name of the module: its type, its value, its comment as help.

    A comment `# ---- Title ----` starts a group. The parsed namespace has a set `given` with the
    names that were on the command line. One line and exit status 2 for a name without a type, and
    for a value that is not of it.
    """
    parser.set_defaults(given=set())
    hints = get_type_hints(config)
    group = parser
    for name, (type_, title, comment) in _names(inspect.getsource(config)).items():
        if not type_:
            parser.error(f"{config.__name__}.py: {name}: no type; expected {name}: TYPE = VALUE")
        value = getattr(config, name, None)
        group = parser.add_argument_group(title) if title else group
        try:
            _add_flag(group, name, hints[name], value, comment)
        except ValueError:
            parser.error(f"{config.__name__}.py: {name}: found {value!r}; expected {type_}")


def add_prevalence(parser: argparse.ArgumentParser) -> None:
    """--prevalence normal=0.9 COVID-19=0.1, a dict or None; `shares_of` checks the classes."""
    parser.add_argument(
        "--prevalence",
        action=_StoreShares,
        **_takes(dict[str, float]) | {"metavar": "CLASS=SHARE"},
        help="how common each class is where the images come from; without it as in training",
    )


def add_mapping(parser: argparse.ArgumentParser) -> None:
    """--mapping normal=0 COVID-19=1, a dict or None; `check_mapping` checks it."""
    parser.add_argument(
        "--mapping",
        action=_Store,
        **_takes(dict[str, int]) | {"metavar": "LABEL=CLASS"},
        help="which label is which column p(...) of --predictions, from 0; without it their names"
        " say it. With --embeddings the classes of the probe; without it those of config.py",
    )


def demand(
    parser: argparse.ArgumentParser,
    namespace: argparse.Namespace,
    names: Sequence[str],
    low: float,
    high: float = math.inf,
) -> None:
    """Ends with a line and status 2 if one of the numbers, or of those in a list, is outside low ..
    high; None passes."""
    for name in names:
        values = getattr(namespace, name)
        for value in values if isinstance(values, list) else [values]:
            if value is not None and not (low <= value <= high and value < math.inf):
                wanted = f"{low} or more" if high == math.inf else f"{low} to {high}"
                parser.error(f"--{name.replace('_', '-')}: found {value}; expected {wanted}")


def flags_of(settings: Mapping[str, Any]) -> list[str]:
    """The words on the command line that give these values to names of a config module."""
    words = []
    for name, value in settings.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            words += [f"--{flag}", *_words(value)]
    return words


def _typed(value: Any) -> str:
    """A default as it would stand on the command line."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return " ".join(f"'{word}'" if " " in word else word for word in _words(value))


def _words(value: Any) -> list[str]:
    """The words on the command line that would give a value."""
    if isinstance(value, dict):
        return [f"{key}={number}" for key, number in value.items()]
    if isinstance(value, list | tuple):
        return [str(word) for word in value]
    return ["none" if value is None else str(value)]


def _hyphens(word: str) -> str:
    flag, equals, value = word.partition("=")
    return flag.replace("_", "-") + equals + value if flag.startswith("--") else word


def _names(source: str) -> dict[str, tuple[str, str, str]]:
    """name -> (its type or "", title of the group that it begins or "", its comment), in the order
    of the source."""
    lines = source.splitlines()
    names, last = {}, 0
    for node in ast.parse(source).body:
        if isinstance(node, ast.AnnAssign | ast.Assign):
            above = [line.lstrip("# ") for line in lines[last : node.lineno - 1] if line[:1] == "#"]
            title = [line.strip("- ") for line in above if line.startswith("----")]
            comment = " ".join(line for line in above if not line.startswith("----"))
            typed = isinstance(node, ast.AnnAssign)
            name, type_ = (node.target, node.annotation) if typed else (node.targets[0], None)
            about = (ast.unparse(type_) if type_ else "", "".join(title), comment)
            names.setdefault(ast.unparse(name), about)
        last = node.end_lineno
    return names


def _add_flag(group: Any, name: str, hint: Any, value: Any, text: str) -> None:
    """ValueError for a value that the flag would not give."""
    if hint is bool:
        settings, fits = {"action": _Switch}, isinstance(value, bool)
    else:
        settings = {"action": _Store, **_takes(hint)}
        given, value = value, _parsed(_words(value), settings["kinds"])
        both = isinstance(given, list | tuple) and isinstance(value, list | tuple)
        fits = list(given) == list(value) if both else given == value
    if not fits:
        raise ValueError
    group.add_argument(f"--{name.replace('_', '-')}", default=value, help=text, **settings)


def _parsed(words: list[str], kinds: Sequence["_Kind"]) -> Any:
    """The words as the first of the kinds that they fit; ValueError with the kinds if none."""
    for kind in kinds:
        with suppress(ValueError, KeyError):
            return kind.parse(words)
    raise ValueError("|".join(kind.name for kind in kinds))


def _takes(hint: Any) -> dict[str, Any]:
    """What argparse must know of the words of a flag of this type."""
    union = get_origin(hint) in {Union, types.UnionType}
    kinds = [_kind(part) for part in (get_args(hint) if union else (hint,))]
    nargs = next((kind.nargs for kind in kinds if kind.nargs), None)
    return {"kinds": kinds, "nargs": nargs, "metavar": "|".join(kind.name for kind in kinds)}


class _Kind(NamedTuple):
    """One type that a flag takes: its name for -h and messages, argparse's nargs, and its parser.

    parse: words -> value; ValueError or KeyError if they do not fit.
    """

    name: str
    nargs: str | None
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
        return _Kind(" ".join(names), "+", partial(_tuple, inner))
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
    if not pairs or not all(key for key, _ in pairs):
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
        try:
            setattr(namespace, self.dest, _parsed(words, self.kinds))
        except ValueError as error:
            parser.error(f"{option_string}: found {' '.join(words)}; expected {error}")
        _note(namespace, self.dest)


class _StoreShares(_Store):
    """The same for shares, each 0 to 1, which add up to 1: `check_shares` without NumPy, so that a
    wrong argument is told before the heavy imports."""

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        super().__call__(parser, namespace, values, option_string)
        shares = getattr(namespace, self.dest)
        for name, share in shares.items():
            if not 0 <= share <= 1:
                parser.error(f"{option_string}: found {name}={share:g}; expected 0 to 1")
        if not 0.99 <= (whole := sum(shares.values())) <= 1.01:
            parser.error(f"{option_string}: adds up to {whole:g}; expected 1")


def _note(namespace: argparse.Namespace, name: str) -> None:
    namespace.given = getattr(namespace, "given", set()) | {name}
