"""Settings from a preset, a file, the environment and options: which one wins."""

from __future__ import annotations

import contextlib
import itertools
import re
import tomllib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ganctl.config import schema
from ganctl.config.presets import PRESETS
from ganctl.config.schema import SETTINGS
from ganctl.config.sources import merge, read_environment, read_file, toml_template
from ganctl.errors import ConfigError, UsageError

OPTION, ENVIRONMENT, FILE = {"seed": 3}, {"GANCTL_SEED": "2"}, "seed = 1\n"


@pytest.mark.parametrize("given", list(itertools.product((True, False), repeat=3)))
def test_the_strongest_source_wins(tmp_path, given):
    by_option, by_environment, by_file = given
    path = tmp_path / "run.toml"
    path.write_text(FILE)
    found = merge(
        None,
        OPTION if by_option else {},
        file=path if by_file else None,
        environment=ENVIRONMENT if by_environment else {},
    )
    order = [(3, "option"), (2, "GANCTL_SEED"), (1, str(path)), (0, "preset fast")]
    expected = next(pair for pair, there in zip(order, (*given, True), strict=True) if there)
    assert (found.config.seed, found.sources["seed"]) == expected
    assert found.changes == ({"seed": expected[0]} if any(given) else {})


def test_the_strongest_source_of_the_preset_wins(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text('preset = "fast"\n')
    environment = {"GANCTL_PRESET": "dcgan"}
    assert merge(None, {}, file=path, environment={}).config == PRESETS["fast"]
    assert merge(None, {}, file=path, environment=environment).config == PRESETS["dcgan"]
    by_option = merge("fast", {}, file=path, environment=environment)
    assert by_option.config == PRESETS["fast"]
    assert by_option.is_preset_given
    assert not merge(None, {}, file=None, environment={}).is_preset_given


def test_a_length_replaces_the_other_length_of_a_weaker_source(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text("steps = 5\n")
    found = merge(None, {}, file=path, environment={"GANCTL_EPOCHS": "7"})
    assert (found.config.epochs, found.config.steps) == (7, None)
    assert found.sources["steps"] == "GANCTL_EPOCHS"
    assert "steps" not in found.changes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("lr_g = 1e-3\nmirror = true", {"lr_g": 1e-3, "mirror": True}),
        ("lr_g = 1\nimage_size = 64", {"lr_g": 1.0, "image_size": "64"}),
        ('augment = "cutout,color"', {"augment": "color,cutout"}),
        ("batch-size = 8", {"batch_size": 8}),
        ('threads = "none"', {"threads": None}),
        ('preset = "dcgan"', {"preset": "dcgan"}),
    ],
)
def test_settings_from_a_file(tmp_path, text, expected):
    path = tmp_path / "run.toml"
    path.write_text(text)
    assert read_file(path) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("seed = ", "is not TOML"),
        ("sede = 3", "unknown setting 'sede'"),
        ("seed = 1.5", "seed must be a whole number"),
        ("mirror = 1", "mirror must be true or false"),
        ("[train]\nseed = 3", "'train' is not a number"),
        ("seed = [1]", "'seed' is not a number"),
        ("seed = 1\nseed = 2", "is not TOML"),
        ("seed = 0x" + "f" * 9000, "too long a number"),
        ("seed = " + "9" * 9000, "is not TOML"),
        ("seed = " + "[" * 9000, "nested too deeply"),
        ("a" + ".a" * 40_000 + " = 1", "nested too deeply"),  # took more than a minute
        ("seed = {a" + ".a" * 9000 + " = 1}", "nested too deeply"),
        ("[a" + ".a" * 9000 + "]", "nested too deeply"),
        ("#" * 2**18 + "#", "too large for a file of settings"),
        ("\xff", "is not a text file in UTF-8"),
    ],
)
def test_an_invalid_file_is_refused(tmp_path, text, words):
    path = tmp_path / "run.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises((ConfigError, UsageError), match=words) as caught:
        read_file(path)
    assert str(path) in caught.value.message
    assert "\n" not in caught.value.message


def test_missing_folders_and_large_files_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="there is no file"):
        read_file(tmp_path / "no.toml")
    with pytest.raises(ConfigError, match="there is no file"):
        read_file(tmp_path)
    large = tmp_path / "large.toml"
    large.write_bytes(b"#" * 2_000_000)
    with pytest.raises(ConfigError, match="too large"):
        read_file(large)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(tmp_path, content):
    path = tmp_path / "run.toml"
    path.write_bytes(content)
    with contextlib.suppress(ConfigError, UsageError):
        assert isinstance(read_file(path), dict)


def test_settings_from_the_environment():
    environment = {"GANCTL_LR_G": "1e-3", "GANCTL_SEED": "", "GANCTL_DEBUG": "1", "HOME": "/"}
    assert read_environment(environment) == {"lr_g": 1e-3}


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("GANCTL_SEDE", "3", "unknown environment variable GANCTL_SEDE"),
        ("GANCTL_SEED", "three", "GANCTL_SEED: seed must be a whole number"),
    ],
)
def test_an_invalid_variable_is_refused(variable, value, words):
    with pytest.raises(UsageError, match=words):
        read_environment({variable: value})


def test_a_variable_for_an_option_that_is_not_a_setting_is_explained():
    with pytest.raises(UsageError, match="unknown environment variable GANCTL_OUT") as caught:
        read_environment({"GANCTL_OUT": "x"})
    assert str(caught.value.hint) == "out can only be given as an option."


# The file to begin with


@pytest.mark.parametrize("preset", PRESETS)
def test_values_of_the_preset_are_commented_out(tmp_path, preset):
    text = toml_template(PRESETS[preset])
    assert tomllib.loads(text) == {"preset": preset}
    assert set(re.findall(r"(?m)^#(\w+) = ", text)) == set(SETTINGS)
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize("preset", PRESETS)
def test_uncommented_values_give_the_preset(tmp_path, preset):
    text = re.sub(r"(?m)^#(\w+ = )", r"\1", toml_template(PRESETS[preset]))
    path = tmp_path / "run.toml"
    path.write_text(re.sub(r"(?m)^steps = .*\n", "", text))
    read = read_file(path)
    assert set(read) == {"preset", *SETTINGS} - {"steps"}
    assert merge(None, {}, file=path).config == PRESETS[preset]


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 7, "steps": 40, "lr_g": 1e-05, "mirror": True},
        {"data": '/a "b"\\c\x7f\n\té 写真', "image_size": "48x64", "threads": 2, "augment": "none"},
        {"conditional": False, "image_channels": 3, "base_channels": 8},
    ],
)
def test_changed_values_are_read_back(tmp_path, changes):
    config = schema.override(PRESETS["fast"], changes)
    path = tmp_path / "run.toml"
    path.write_text(toml_template(config), "utf-8")
    merged = merge(None, {}, file=path)
    assert merged.config == config
    differing = {name for name, value in changes.items()
                 if schema.settings(PRESETS["fast"])[name] != value}  # fmt: skip
    assert set(merged.changes) == differing
