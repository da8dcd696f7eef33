"""ganctl report: a run, or several beside one another, as one HTML file."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ganctl.cli.options import JsonOption, QuietOption, check_suffix
from ganctl.cli.spelling import pasteable
from ganctl.cli.terminal import Terminal
from ganctl.errors import UsageError
from ganctl.text import counted, in_bytes

if TYPE_CHECKING:
    from ganctl.checkpoint import Checkpoint
    from ganctl.datasets.base import Progress
    from ganctl.images import Pixels
    from ganctl.report import Run
    from ganctl.report.page import Shown

_NUM_REAL = 64


def report(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN", help="A run directory, or a .pt file in one.", show_default=False
        ),
    ],
    out: Annotated[
        Path, typer.Option("-o", "--out", metavar="OUT", help="The .html file to write.")
    ] = Path("report.html"),
    compare: Annotated[
        list[Path] | None,
        typer.Option(
            "--compare", metavar="RUN", help="Another run to compare with, up to five of them.",
            show_default=False,
        ),
    ] = None,
    with_images: Annotated[
        bool,
        typer.Option(
            "--with-images",
            help="Show some of the images that a run was trained on, read from where they are; "
            "MNIST's are always shown.",
        ),
    ] = False,
    open_: Annotated[
        bool, typer.Option("--open", help="Open the report in a browser.")
    ] = False,
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
        from ganctl import files, places
        from ganctl.report import MAX_RUNS, render

        if len(paths) > MAX_RUNS:
            raise UsageError(f"{len(paths)} runs are too many for one report ({MAX_RUNS} at most)")
        terminal.notes(places.notices() if with_images else ())
        runs = []
        for number, path in enumerate(paths):
            progress("reading runs", number, len(paths))
            runs.append(_read(path, with_images, terminal, progress))
        progress("making the page", 0, len(runs))
        content, shown = render(runs)
        files.clear_abandoned(out.parent)
        files.write_atomic(out, content)
    if open_:
        _open(out, terminal)
    if json:
        terminal.document(
            {"out": str(out), "bytes": len(content), "runs": [_described(one) for one in shown]}
        )
        return
    for one in shown:
        terminal.result(
            f"{one.name}: {counted(one.num_rows, 'epoch')}, {counted(len(one.frames), 'picture')} "
            f"of samples, {counted(len(one.problems), 'problem')}"
        )
    terminal.result(f"{out}: {in_bytes(len(content))}")


def _open(path: Path, terminal: Terminal) -> None:
    """Show the report in the browser that the system has, if it has one."""
    import webbrowser

    if not webbrowser.open(path.absolute().as_uri()):
        terminal.note(f"There is no browser here: open {path} in one.")


def _read(path: Path, with_images: bool, terminal: Terminal, progress: Progress) -> Run:
    from ganctl import report, store
    from ganctl.inspection.problems import problems
    from ganctl.training.state import require_fit

    file, checkpoint, damaged = report.find(path)
    with store.naming(file):
        require_fit(checkpoint)
    wrong = [problem.text for problem in problems(checkpoint)]
    run = report.Run(path, file, checkpoint, [*damaged, *wrong])
    return dataclasses.replace(
        run, commands=_commands(run), sheet=_sheet(checkpoint, with_images, terminal, progress)
    )


def _sheet(
    checkpoint: Checkpoint, wanted: bool, terminal: Terminal, progress: Progress
) -> Pixels | None:
    """Some of the images that a checkpoint was trained on, if they are `wanted` or at hand.

    Where they are is up to the file, and they may be private: no path is read unasked, and none
    that this user never trained on.
    """
    from ganctl import images
    from ganctl.datasets import loading
    from ganctl.report.runs import thinned

    config = checkpoint.config
    if not wanted and config.data not in loading.EMBEDDED:
        return None
    if not loading.is_trusted(config.data, str(checkpoint.data["digest"])):
        terminal.note(f"{config.data[:200]}: images that you never trained on here, left out.")
        return None
    dataset = loading.load_training(
        config.data,
        limit=config.limit,
        settings=config.images,
        skip_bad=config.skip_bad,
        progress=progress,
    )
    if dataset.digest != checkpoint.data["digest"]:
        terminal.note(f"{config.data[:200]}: not the images that the run was trained on, left out.")
        return None
    some = dataset.some(_NUM_REAL)
    return images.grid(some[thinned(range(len(some)), _NUM_REAL)])


def _commands(run: Run) -> list[tuple[str, str]]:
    """What can be done with a run, and the commands that do it."""
    from ganctl import features

    path = pasteable(run.path)
    config = run.checkpoint.config
    longer = "" if not run.is_finished else f" --epochs {2 * run.num_epochs}"
    found = [
        ("Draw a hundred samples", f"ganctl sample {path} -n 100 -o samples.png"),
        ("Walk through latent space", f"ganctl interpolate {path} --seeds 3,7,12 -o walk.gif"),
        ("Look into the checkpoint", f"ganctl inspect {path}"),
    ]
    if features.is_known(config.data, config.network.image_shape):
        found.append(("Measure how near the samples are to real images", f"ganctl evaluate {path}"))
    if run.path.is_dir():
        what = "Train for longer" if run.is_finished else "Go on with the training"
        found.append((what, f"ganctl train --resume --out {path}{longer}"))
    return found


def _described(one: Shown) -> dict[str, Any]:
    from ganctl.evaluation import results

    run = one.run
    return {
        "run": str(run.path),
        "checkpoint": str(run.file),
        "digest": run.checkpoint.digest,
        "step": run.checkpoint.step,
        "finished": run.is_finished,
        "epochs": one.num_rows,
        "pictures": [frame.epoch for frame in one.frames],
        "problems": one.problems,
        "evaluations": results.documents(run.folder, run.checkpoint.digest),
    }
