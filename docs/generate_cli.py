"""Write docs/cli.md from the Typer app: python docs/generate_cli.py [OUT]. CI compares."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_HEAD = "<!-- Made by docs/generate_cli.py from the program's own help: do not edit. -->\n"


def main(out: Path) -> None:
    """Write a section for each command, with its options in the groups that --help shows."""
    os.environ.update(NO_COLOR="1", TERM="dumb", COLUMNS="100")

    from typer.main import get_command

    from ganctl.cli.app import app

    app.rich_markup_mode = None
    root: Any = get_command(app)
    context = root.make_context("ganctl", [], resilient_parsing=True)
    lines = [_HEAD, *_section("#", root, context)]
    lines += ["**Commands**:", ""]
    names = root.list_commands(context)
    for name in names:
        anchor = f"ganctl {name}".replace(" ", "-")
        summary = root.commands[name].help.partition("\n\n")[0]
        lines.append(f"* [`{name}`](#{anchor}): {summary}")
    lines.append("")
    for name in names:
        command = root.commands[name]
        lines += _section(
            "##", command, command.make_context(name, [], context, resilient_parsing=True)
        )
    out.write_text("\n".join(lines).rstrip() + "\n", "utf-8")


def _section(level: str, command: Any, context: Any) -> Iterator[str]:
    from ganctl.cli.help import panels

    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    yield from (f"{level} `{context.command_path}`", "", command.help, "")
    yield from ("**Usage**:", "", "```console", f"$ {usage}", "```", "")
    for heading, rows in panels(command, context):
        yield from (f"**{heading}**:", "")
        yield from (f"* `{names}`: {text}" for names, text in rows)
        yield ""
    yield from (command.epilog, "")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("cli.md"))
