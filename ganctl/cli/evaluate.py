"""ganctl evaluate: metrics of a checkpoint's samples against real images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ganctl.cli import completion
from ganctl.cli.evaluations import show_evaluation
from ganctl.cli.options import CheckpointArgument, EmaOption, JsonOption, QuietOption
from ganctl.cli.terminal import Terminal
from ganctl.errors import RunError

if TYPE_CHECKING:
    from ganctl.evaluation.results import Evaluation

_MAX_CLASSES = 20
"""Maximum number of classes that are shown as a table."""


def evaluate(
    ckpt: CheckpointArgument,
    num_samples: Annotated[int, typer.Option(
        "--num-samples", "-n", metavar="N", help="Number of samples, seeds 0 to N-1.",
    )] = 10_000,
    ema: EmaOption = None,
    data: Annotated[str | None, typer.Option(
        "--data", metavar="PATH|NAME", show_default="those that the checkpoint names",
        autocompletion=completion.data,
        help="The training images. Must be given unless they are MNIST, or were trained on here.",
    )] = None,
    features: Annotated[str, typer.Option(
        "--features", metavar="KIND|PATH",
        help="The feature network: auto, digits (the classifier included in ganctl), imagenet "
        "(extra 'features'), inception (extra 'inception'), torchvision:NAME, dinov2:NAME, a file "
        "of Inception's weights, or none (patches only).",
    )] = "auto",
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:  # fmt: skip
    """Measure how close samples are to real test images, next to the scores that real images reach.

    Metrics are comparable only at the same --num-samples and --features. An evaluation takes one to
    three minutes on a CPU and up to 3 GB of memory; most of it goes into the features of all real
    images, which are extracted once. The result is kept with the run; inspect and report show it.

    Examples:

    ganctl evaluate runs/mnist-fast

    ganctl evaluate ckpt.pt --num-samples 2000 --json
    """
    terminal = Terminal(json_wanted=json, quiet=quiet)
    with terminal.progress() as progress:
        from ganctl import devices, private_folders
        from ganctl.evaluation import evaluate as evaluation
        from ganctl.evaluation import results
        from ganctl.model import load
        from ganctl.store import RunDirectory

        model = load(ckpt, ema=ema)
        devices.use_idle_threads()
        terminal.notes(private_folders.notices())
        result = evaluation.evaluate(
            model, num_samples=num_samples, data=data, choice=features, progress=progress
        )
    run = RunDirectory(model.path.parent)
    if run.read_starts():
        try:
            results.save(result, run)
        except RunError as error:
            terminal.error(f"warning: not kept with the run: {error.message}", error.hint)
    if json:
        terminal.document(result.to_dict())
    else:
        _show(result, terminal)


def _show(evaluation: Evaluation, terminal: Terminal) -> None:
    show_evaluation(evaluation, terminal, heading=evaluation.checkpoint)
    shares, floor = evaluation.metrics.class_shares, evaluation.floor.class_shares
    if 0 < len(shares) <= _MAX_CLASSES:
        terminal.heading("classes")
        rows = [(f"{share:.1%}", f"{real:.1%}") for share, real in zip(shares, floor, strict=True)]
        terminal.table(("", "samples", "real images"), [(n, *row) for n, row in enumerate(rows)])
