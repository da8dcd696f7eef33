"""Every setting has its help, and the file that a person begins with is read as it is meant."""

from __future__ import annotations

import re
import tomllib

import pytest

from ganctl import setting_help
from ganctl.config import schema
from ganctl.config.presets import PRESETS
from ganctl.config.schema import SETTINGS
from ganctl.config.sources import read_file, resolve


def test_every_setting_has_help():
    assert set(setting_help.HELP) == set(SETTINGS)
    assert all(text[0].isupper() or text[0].isdigit() for text in setting_help.HELP.values()
               if not text.startswith(("bce", "fp32", "simultaneous")))  # fmt: skip
    assert all(text.endswith(".") for text in setting_help.HELP.values())


@pytest.mark.parametrize("preset", PRESETS)
def test_what_is_as_the_preset_has_it_is_a_comment(tmp_path, preset):
    text = setting_help.template(PRESETS[preset])
    assert tomllib.loads(text) == {"preset": preset}
    assert set(re.findall(r"(?m)^#(\w+) = ", text)) == set(SETTINGS)
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize("preset", PRESETS)
def test_with_its_comments_removed_it_says_the_same(tmp_path, preset):
    text = re.sub(r"(?m)^#(\w+ = )", r"\1", setting_help.template(PRESETS[preset]))
    path = tmp_path / "run.toml"
    path.write_text(re.sub(r"(?m)^steps = .*\n", "", text))
    read = read_file(path)
    assert set(read) == {"preset", *SETTINGS} - {"steps"}
    assert resolve(None, {}, file=path, environment={}).config == PRESETS[preset]


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 7, "steps": 40, "lr_g": 1e-05, "mirror": True},
        {"data": '/a "b"\\c\x7f\n\té 写真', "image_size": "48x64", "threads": 2, "augment": "none"},
        {"conditional": False, "image_channels": 3, "base_channels": 8},
    ],
)
def test_what_is_not_the_presets_is_read_back(tmp_path, changes):
    config = schema.override(PRESETS["fast"], changes)
    path = tmp_path / "run.toml"
    path.write_text(setting_help.template(config), "utf-8")
    resolved = resolve(None, {}, file=path, environment={})
    assert resolved.config == config
    differing = {name for name, value in changes.items()
                 if schema.settings(PRESETS["fast"])[name] != value}  # fmt: skip
    assert set(resolved.changes) == differing
