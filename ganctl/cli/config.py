"""ganctl config: every setting, its value, and where that is from."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from ganctl.cli import completion
from ganctl.cli.options import ConfigOption, JsonOption, SetOption, chosen_settings
from ganctl.cli.terminal import Terminal
from ganctl.config.schema import format_setting, settings
from ganctl.config.sources import merge, toml_template
from ganctl.errors import UsageError


def config(
    preset: Annotated[str | None, typer.Argument(
        metavar="PRESET", show_default="fast", autocompletion=completion.presets,
        help="fast, guided, or dcgan.",
    )] = None,
    file: ConfigOption = None,
    assignments: SetOption = None,
    toml: Annotated[bool, typer.Option(
        "--toml", help="Print a TOML file of all settings, with comments.",
    )] = False,
    json: JsonOption = False,
) -> None:  # fmt: skip
    """Show every setting of a training run, its value, and where the value is from.

    Precedence: options > GANCTL_* variables > --config file > preset. Values detected from the
    images show as none.

    Examples:

    ganctl config

    ganctl config dcgan --set epochs=10

    ganctl config --toml > run.toml

    ganctl config --config run.toml --json
    """
    if toml and json:
        raise UsageError("give either --toml or --json")
    terminal = Terminal(json_wanted=json)
    merged = merge(preset, chosen_settings(assignments), file=file, environment=os.environ)
    if toml:
        terminal.content(toml_template(merged.config))
        return
    values = settings(merged.config)
    if json:
        found = {
            name: {"value": values[name], "source": source}
            for name, source in merged.sources.items()
        }
        terminal.document({"preset": merged.config.preset, "settings": found})
        return
    terminal.heading(f"preset {merged.config.preset}")
    terminal.table(
        ("setting", "value", "from"),
        [(name, format_setting(values[name]), source) for name, source in merged.sources.items()],
        left=3,
    )
