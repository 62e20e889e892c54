"""One flag for every name of a config module, and errors that help."""

import types

import pytest

import config
from util import flags

SOURCE = '''"""A config."""
from typing import Literal

# ---- First ----

# Rate at 100 %, a
# second line.
lr_reduce_rate: float = 0.1
# Whether.
resume: bool = False

# ---- Second ----

# Kind.
kind: Literal["adamw", "adam"] = "adamw"
# Words.
freeze: list[str] | None = None
# Numbers.
weights: Literal["counts"] | list[float] | None = "counts"
# Labels.
mapping: dict[str, int] = {"A": 0}
# Two.
scale: tuple[float, float] = (0.9, 1.1)
# Whole.
patience: int | None = 3
'''


@pytest.fixture
def parser(monkeypatch):
    module = types.ModuleType("fake_config")
    exec(SOURCE, vars(module))
    monkeypatch.setattr(flags.inspect, "getsource", lambda _: SOURCE)
    parser = flags.Parser(prog="tool")
    flags.add_config(parser, module)
    return parser


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        ("--lr-reduce-rate 0.5", "lr_reduce_rate", 0.5),
        ("--lr_reduce_rate=0.5", "lr_reduce_rate", 0.5),
        ("--resume", "resume", True),
        ("--no-resume", "resume", False),
        ("--kind adam", "kind", "adam"),
        ("--freeze block0 block1", "freeze", ["block0", "block1"]),
        ("--freeze none", "freeze", None),
        ("--weights counts", "weights", "counts"),
        ("--weights 0.05 0.05 1", "weights", [0.05, 0.05, 1.0]),
        ("--weights none", "weights", None),
        ("--mapping A=0 B=C=1", "mapping", {"A": 0, "B=C": 1}),
        ("--scale 0.5 2", "scale", (0.5, 2.0)),
        ("--patience none", "patience", None),
        ("--patience 7", "patience", 7),
    ],
)
def test_words_become_the_value_of_the_names_type(parser, words, name, value):
    found = parser.parse_args(words.split())
    assert getattr(found, name) == value
    assert type(getattr(found, name)) is type(value)


def test_without_flags_every_name_has_the_modules_value(parser):
    found = vars(parser.parse_args([]))
    assert found.pop("given") == set()
    assert found == {
        "lr_reduce_rate": 0.1, "resume": False, "kind": "adamw", "freeze": None,
        "weights": "counts", "mapping": {"A": 0}, "scale": (0.9, 1.1), "patience": 3,
    }  # fmt: skip


def test_given_names_what_was_on_the_command_line_even_at_its_default(parser):
    assert parser.parse_args(["--kind", "adamw", "--patience=3"]).given == {"kind", "patience"}
    assert parser.parse_args(["--no-resume"]).given == {"resume"}


@pytest.mark.parametrize(
    "words",
    [
        "--resume --weights 1 2.5 --freeze none --kind adam", "--no-resume --mapping A=1 B=0",
        "--scale 0.5 2 --weights counts --patience none --freeze a b",
    ],
)  # fmt: skip
def test_flags_of_settings_give_the_settings(parser, words):
    given = vars(parser.parse_args(words.split()))
    settings = {name: given[name] for name in given.pop("given")}
    assert {**given, **vars(parser.parse_args(flags.flags_of(settings)))} == {
        **given, "given": set(settings),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--lr-redcue-rate 1", "no flag --lr-redcue-rate; did you mean --lr-reduce-rate?"),
        ("--patiense=1", "no flag --patiense; did you mean --patience?"),
        ("--zzz", "no flag --zzz; -h lists them all"),
        ("--kin adam", "no flag --kin; did you mean --kind?"),
        ("stray", "found 'stray', which belongs to no flag"),
        ("--lr-reduce-rate x", "--lr-reduce-rate: found x; expected float"),
        ("--kind sgd", "--kind: found sgd; expected adamw|adam"),
        ("--weights 1 x", "--weights: found 1 x; expected counts|float|none"),
        ("--mapping A", "--mapping: found A; expected str=int"),
        ("--scale 1", "--scale: found 1; expected float float"),
        ("--patience 1.5", "--patience: found 1.5; expected int|none"),
    ],
)
def test_a_wrong_word_is_one_line_and_status_2(parser, capsys, words, message):
    with pytest.raises(SystemExit) as stop:
        parser.parse_args(words.split())
    assert stop.value.code == 2
    assert capsys.readouterr().err == f"tool: {message}\n"


def test_help_has_each_comment_default_and_group(parser):
    text = parser.format_help()
    assert "First:" in text
    assert text.index("First:") < text.rindex("--resume") < text.index("Second:")
    flat = " ".join(text.split())
    assert "Rate at 100 %, a second line. (default: 0.1)" in flat
    assert "--scale float float Two. (default: 0.9 1.1)" in flat
    assert "Labels. (default: A=0)" in flat
    assert "Words. (default: none)" in flat
    assert "Whether. (default: no)" in flat


def test_every_name_of_our_config_has_a_comment_and_its_default_fits_its_type():
    parser = flags.Parser()
    flags.add_config(parser, config)
    actions = [action for action in parser._actions if action.dest not in {"help", "given"}]
    assert {action.dest for action in actions} == set(config.__annotations__)
    for action in actions:
        assert len(action.help) > 15, action.dest
        if isinstance(action, flags._Store) and not isinstance(action.default, dict):
            value = action.default
            words = [str(part) for part in value] if isinstance(value, tuple) else [str(value)]
            again = parser.parse_args([action.option_strings[0], *map(str.lower, words)])
            if isinstance(value, str) or value is None:
                assert str(getattr(again, action.dest)).lower() == str(value).lower()
            else:
                assert getattr(again, action.dest) == value


PROMISED = """
    name dataset ckpts_dir random_seed device n_threads batch_size width height mapping weights
    backbone_weights freeze lr weight_decay lr_reduce_factor lr_reduce_patience
    early_stopping_patience loss_weights sampling epochs log_steps resume
"""


def test_config_has_the_promised_names():
    assert set(PROMISED.split()) <= set(config.__annotations__)


def test_a_prevalence_is_a_share_of_each_named_class():
    parser = flags.Parser(prog="x")
    flags.add_prevalence(parser)
    assert parser.parse_args([]).prevalence is None
    words = ["--prevalence", "normal=0.9", "COVID-19=0.1"]
    assert parser.parse_args(words).prevalence == {"normal": 0.9, "COVID-19": 0.1}
    with pytest.raises(SystemExit):
        parser.parse_args(["--prevalence", "0.9"])


EDITED = """from typing import Literal
# Rate.
{}
# Last.
last: int = 1
"""


@pytest.fixture
def edited(tmp_path, monkeypatch, request):
    """The parsed settings of a config with this line."""
    monkeypatch.syspath_prepend(tmp_path)
    name = f"edited_{len(request.node.name)}_{abs(hash(request.node.name))}"

    def settings(line):
        (tmp_path / f"{name}.py").write_text(EDITED.format(line))
        parser = flags.Parser(prog="tool")
        flags.add_config(parser, flags.load_config("tool", name))
        return parser.parse_args([])

    settings.file = f"{name}.py"
    return settings


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('lr: float = "1e-4"', "lr: found '1e-4'; expected float"),
        ("lr: float = None", "lr: found None; expected float"),
        ("lr: float = True", "lr: found True; expected float"),
        ("lr: float", "lr: found None; expected float"),
        ("epochs: int = 2.5", "epochs: found 2.5; expected int"),
        ("epochs: int = [2]", "epochs: found [2]; expected int"),
        ('compile: bool = "False"', "compile: found 'False'; expected bool"),
        ("compile: bool = 0", "compile: found 0; expected bool"),
        ('freeze: list[str] | None = "a"', "freeze: found 'a'; expected list[str] | None"),
        ('freeze: list[str] | None = "none"', "freeze: found 'none'; expected list[str] | None"),
        ("freeze: list[str] | None = [1]", "freeze: found [1]; expected list[str] | None"),
        ('kind: Literal["a", "b"] = "c"', "kind: found 'c'; expected Literal['a', 'b']"),
        ("scale: tuple[float, float] = 1.0", "scale: found 1.0; expected tuple[float, float]"),
        ("scale: tuple[float, float] = (1, 2, 3)", "scale: found (1, 2, 3); expected tuple[float"),
        ('mapping: dict[str, int] = {"A": "0"}', "mapping: found {'A': '0'}; expected dict[str"),
        ("mapping: dict[str, int] = {}", "mapping: found {}; expected dict[str, int]"),
        ("lr = 1e-4", "lr: no type; expected lr: TYPE = VALUE"),
    ],
)
def test_a_value_of_another_type_in_a_config_is_one_line_with_the_name(
    edited, capsys, line, message
):
    with pytest.raises(SystemExit) as stop:
        edited(line)
    assert stop.value.code == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith(f"tool: {edited.file}: {message}")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("lr: float = 1e-4x", "line 3: invalid decimal literal"),
        ("weights: str | None = none", "line 3: name 'none' is not defined"),
        ("lr: flaot = 1.0", "line 3: name 'flaot' is not defined"),
        ("lr: float = 1 / 0", "line 3: division by zero"),
    ],
)
def test_a_config_that_is_not_python_is_one_line_with_the_number_of_its_line(
    edited, capsys, line, message
):
    with pytest.raises(SystemExit) as stop:
        edited(line)
    assert stop.value.code == 2
    file = edited.file
    assert capsys.readouterr().err == f"tool: {file}, {message}; expected NAME: TYPE = VALUE\n"


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("lr: float = 1", "lr", 1.0),
        ("scale: tuple[float, float] = [1, 2]", "scale", (1.0, 2.0)),
        ('costs: Literal["a"] | list[float] | None = [1, 2]', "costs", [1.0, 2.0]),
        ("twice: int = 1\ntwice: int = 2", "twice", 2),
    ],
)
def test_a_value_that_means_the_type_is_taken_as_the_flag_would_give_it(edited, line, name, value):
    found = getattr(edited(line), name)
    assert (found, type(found)) == (value, type(value))
