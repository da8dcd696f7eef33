"""ganctl bench: how fast this machine trains, samples and decodes, and reaches a quality."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ganctl.cli.options import JsonOption, QuietOption, check_folder, check_suffix
from ganctl.cli.terminal import Terminal
from ganctl.cli.training_options import DeviceOption
from ganctl.errors import GanctlError
from ganctl.text import counted

if TYPE_CHECKING:
    from ganctl.bench.measure import Measured


def bench(
    device: DeviceOption = "auto",
    quick: Annotated[bool, typer.Option(
        "--quick", help="End within a minute: fewer rounds, fewer ways of working, and no time to "
        "the best quality.",
    )] = False,
    out: Annotated[Path | None, typer.Option(
        "-o", "--out", metavar="OUT", show_default="no file",
        help="A .json file to write the figures to.",
    )] = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:  # fmt: skip
    """Measure how fast this machine trains, samples and decodes, and how soon samples get good.

    Training steps are timed with each preset and each way of working: precision, CPU threads, CUDA
    graphs. Then a run on MNIST is timed until its samples reach a Frechet distance of 5, 1 and 0.3.
    It takes six to eight minutes. Close other programs first. Where something does not work, the
    rest is measured, and the exit code is 1.

    Examples:

    ganctl bench --quick

    ganctl bench --device cuda -o figures.json
    """
    terminal = Terminal(json_wanted=json, quiet=quiet)
    if out is not None:
        check_suffix(out, (".json",))
        check_folder(out, "figures")
    with terminal.progress() as progress:
        from ganctl.bench import measure

        if measure.is_busy():
            terminal.note("Other programs are running here: the figures will be too low.")
        found = measure.measure(device, quick=quick, progress=progress)
    document = found.to_dict()
    if json:
        terminal.document(document)
    else:
        _show(found, terminal)
    if out is not None:  # what cannot be written was shown
        _write(out, document)
    if problems := document["problems"]:
        raise GanctlError(
            f"{counted(len(problems), 'measurement')} failed",
            "The other figures are valid.",
            details=problems,
        )


def _write(out: Path, document: dict[str, Any]) -> None:
    import json

    from ganctl import files

    try:
        files.write_atomic(out, (json.dumps(document, indent=1, allow_nan=False) + "\n").encode())
    except OSError as error:
        raise files.write_error(out, error) from None


def _show(found: Measured, terminal: Terminal) -> None:
    made_by = found.made_by
    terminal.result(f"{made_by['device']}; {made_by['machine']}")
    terminal.result(f"ganctl {made_by['ganctl']}, torch {made_by['torch']}")
    on_gpu = any(row["graphs"] is not None for row in found.steps)
    terminal.heading("training steps")
    way = "graphs" if on_gpu else "threads"
    columns = ("preset", "images", "precision", "batch", way, "steps/s", "images/s")
    terminal.table(columns, [
        (row["preset"], _shape(row), row["precision"], row["batch_size"], _plain(row[way]),
         _rate(row, "steps_per_sec"), _rate(row, "images_per_sec"))
        for row in found.steps
    ], left=3)  # fmt: skip
    terminal.heading("sampling, fp32")
    rows = [(row["preset"], _shape(row), _rate(row, "images_per_sec")) for row in found.sampling]
    terminal.table(("preset", "images", "images/s"), rows, left=2)
    terminal.heading("decoding")
    terminal.table(("images", "processes", "images/s"), [
        (row["name"], row["processes"], _rate(row, "images_per_sec")) for row in found.decoding
    ])  # fmt: skip
    if found.quality is not None:
        _show_quality(found.quality, terminal)


def _show_quality(found: dict[str, Any], terminal: Terminal) -> None:
    words = [f"preset {found['preset']}", f"random seed {found['seed']}", found["precision"]]
    if found["threads"]:
        words.append(counted(found["threads"], "thread"))
    words += ["CUDA graphs"] * found["graphs"]
    terminal.heading(f"time to quality on MNIST: {', '.join(words)}")
    trained = f"not in {found['trained_seconds']:,.1f} s"
    columns = ("Frechet distance", "seconds of training", "steps", "record")
    terminal.table(columns, [
        (f"{row['target']:g}", trained if row["seconds"] is None else f"{row['seconds']:,.2f}",
         _plain(row["step"]), _record(row["record"]))
        for row in found["reached"]
    ])  # fmt: skip


def _record(record: dict[str, Any] | None) -> str:
    return "none yet" if record is None else f"{record['seconds']:g} s, {record['machine']}"


def _shape(row: dict[str, Any]) -> str:
    channels, height, width = row["image_shape"]
    return f"{height}x{width} {'RGB' if channels == 3 else 'gray'}"


def _rate(row: dict[str, Any], name: str) -> str:
    value = row[name]
    return "failed" if value is None else f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def _plain(value: bool | int | None) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None else f"{value:,}"
