"""The spelling of settings in messages and hints on the command line."""

import pytest
from typer.main import get_command

from ganctl.cli import option_names
from ganctl.cli.app import app
from ganctl.config.schema import SETTINGS
from ganctl.errors import Setting, Text


def test_exactly_the_settings_without_an_option_are_given_by_set() -> None:
    train = get_command(app).commands["train"]
    options = {name for param in train.params for name in (*param.opts, *param.secondary_opts)}
    without = {name for name in SETTINGS if option_names.option(Setting(name)) not in options}
    assert without == option_names.SET_ONLY
    switches = {name for name, spec in SETTINGS.items() if spec.kind is bool} - without
    assert {option_names.option(Setting(name, False)) for name in switches} <= options


@pytest.mark.parametrize(
    ("setting", "option"),
    [
        (Setting("batch_size"), "--batch-size"),
        (Setting("batch_size", 16), "--batch-size 16"),
        (Setting("image_size", "48x64"), "--size 48x64"),
        (Setting("base_channels"), "--set base_channels"),
        (Setting("base_channels", 8), "--set base_channels=8"),
        (Setting("conditional", True), "--conditional"),
        (Setting("conditional", False), "--unconditional"),
        (Setting("mirror", False), "--no-mirror"),
        (Setting("data", "my photos"), "--data 'my photos'"),
    ],
)
def test_a_setting_is_an_option_that_can_be_pasted(setting: Setting, option: str) -> None:
    assert option_names.option(setting) == option


def test_a_message_names_an_option_only_if_it_was_typed() -> None:
    text = Text("{} must be {}", Setting("lr_g"), "less {than} 1")
    typed = option_names.spelled_as_typed(text, ["train", "--lr-g=3"])
    assert typed == "--lr-g must be less {than} 1"
    assert option_names.spelled_as_typed(text, ["train"]) == "lr_g must be less {than} 1"
    assert option_names.spelled(text) == "--lr-g must be less {than} 1"
