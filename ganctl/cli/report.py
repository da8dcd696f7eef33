"""ganctl report: one run, or several side by side, as an HTML file."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ganctl.cli.option_names import pasteable
from ganctl.cli.options import JsonOption, QuietOption, check_suffix
from ganctl.cli.terminal import Terminal
from ganctl.errors import UsageError
from ganctl.text import counted, in_bytes

if TYPE_CHECKING:
    from ganctl.report import Run
    from ganctl.report.page import Section


def report(
    run: Annotated[Path, typer.Argument(
        metavar="RUN", help="A run directory, or a .pt file in one.", show_default=False,
    )],
    out: Annotated[Path, typer.Option(
        "-o", "--out", metavar="OUT", help="The .html file to write.",
    )] = Path("report.html"),
    compare: Annotated[list[Path] | None, typer.Option(
        "--compare", metavar="RUN", help="Another run to compare with; up to five.",
        show_default=False,
    )] = None,
    with_images: Annotated[bool, typer.Option(
        "--with-images", help="Show some of the training images, read from their original "
        "location; those of MNIST are always shown.",
    )] = False,
    open_: Annotated[bool, typer.Option("--open", help="Open the report in a browser.")] = False,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:  # fmt: skip
    """Show a run as one HTML file: samples over the epochs, losses, metrics, and its settings.

    The file is self-contained (no network requests) and smaller than 5 MB. Unfinished runs are
    shown up to the latest checkpoint.

    Examples:

    ganctl report runs/mnist-fast --open

    ganctl report runs/mnist-fast --compare runs/mnist-dcgan -o both.html
    """
    terminal = Terminal(json_wanted=json, quiet=quiet)
    check_suffix(out, (".html", ".htm"))
    paths = [run, *(compare or [])]

    with terminal.progress() as progress:
        from ganctl import files, private_folders
        from ganctl.report import MAX_RUNS, read, render

        if len(paths) > MAX_RUNS:
            raise UsageError(f"{len(paths)} runs are too many for one report (at most {MAX_RUNS})")
        terminal.notes(private_folders.notices() if with_images else ())
        runs = []
        for number, path in enumerate(paths):
            progress("reading runs", number, len(paths))
            found = read(path, with_images=with_images, progress=progress)
            terminal.notes(found.notices)
            runs.append(dataclasses.replace(found, commands=_commands(found)))
        progress("writing the report", 0, len(runs))
        content, shown = render(runs)
        files.clear_abandoned(out.parent)
        files.write_atomic(out, content)
    if open_:
        terminal.open_in_browser(out)
    if json:
        terminal.document(
            {"out": str(out), "bytes": len(content), "runs": [_document(each) for each in shown]}
        )
        return
    for each in shown:
        terminal.result(
            f"{each.name}: {counted(len(each.run.rows), 'epoch')}, "
            f"{counted(len(each.frames), 'picture')} of samples, "
            f"{counted(len(each.problems), 'problem')}"
        )
    terminal.result(f"{out}: {in_bytes(len(content))}")


def _commands(run: Run) -> list[tuple[str, str]]:
    """Return commands that continue with a run, each after its description."""
    from ganctl import features

    path = pasteable(run.path)
    config = run.checkpoint.config
    commands = [
        ("Draw 100 samples", f"ganctl sample {path} -n 100 -o samples.png"),
        ("Walk through latent space", f"ganctl interpolate {path} --seeds 3,7,12 -o walk.gif"),
        ("Inspect the checkpoint", f"ganctl inspect {path}"),
    ]
    if features.is_known(config.data, config.network.image_shape):
        commands.append(("Measure the quality of the samples", f"ganctl evaluate {path}"))
    if run.path.is_dir():
        resume = f"ganctl train --resume --out {path}"
        longer = ("Train longer", f"{resume} --epochs {2 * run.num_epochs}")
        commands.append(longer if run.checkpoint.is_finished else ("Resume training", resume))
    return commands


def _document(section: Section) -> dict[str, Any]:
    from ganctl.evaluation import results

    run = section.run
    return {
        "run": str(run.path),
        "checkpoint": str(run.file),
        "digest": run.checkpoint.digest,
        "step": run.checkpoint.step,
        "finished": run.checkpoint.is_finished,
        "epochs": len(run.rows),
        "pictures": [frame.epoch for frame in section.frames],
        "problems": section.problems,
        "evaluations": results.documents(run.folder, run.checkpoint.digest),
    }
