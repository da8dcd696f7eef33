"""ganctl runs: the runs in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ganctl.cli.completion import folders
from ganctl.cli.options import JsonOption, QuietOption, SortOption
from ganctl.cli.terminal import Terminal


def runs(
    folder: Annotated[Path, typer.Argument(
        metavar="FOLDER", autocompletion=folders, help="The folder that the runs are in.",
    )] = Path("runs"),
    sort: SortOption = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:  # fmt: skip
    """List the runs in a folder: their data, epochs, best metrics, state, size and date.

    Runs that cannot be read and those with problems are listed, too, with the reason.

    Examples:

    ganctl runs

    ganctl runs --sort date

    ganctl runs experiments --json
    """
    terminal = Terminal(json_wanted=json, quiet=quiet)
    with terminal.progress() as progress:
        from ganctl.inspection import list_runs

        found = list_runs(folder, sort, progress)
    if json:
        terminal.document(found)
    elif found["runs"]:
        from ganctl.cli.listed_runs import show_runs

        show_runs(found, terminal)
    else:
        terminal.result(f"{folder}: no runs")
        terminal.note("A run is a folder with a checkpoint, such as 'ganctl train' writes.")
