"""ganctl evaluate: metrics of a checkpoint's samples, or of any images, against real images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ganctl.cli import completion
from ganctl.cli.evaluations import show_comparison, show_evaluation
from ganctl.cli.option_names import pasteable
from ganctl.cli.options import EmaOption, JsonOption, QuietOption, check_folder, check_suffix
from ganctl.cli.provenance import command_of
from ganctl.cli.terminal import Terminal
from ganctl.errors import RunError, UsageError

if TYPE_CHECKING:
    from ganctl.datasets.dataset import Progress
    from ganctl.evaluation.evaluate import Evaluated
    from ganctl.evaluation.results import Evaluation

_MAX_CLASSES = 20
"""Maximum number of classes that are shown as a table."""


def evaluate(
    context: typer.Context,
    source: Annotated[str, typer.Argument(
        metavar="CKPT|IMAGES", show_default=False, autocompletion=completion.data,
        help="A .pt file or a run directory (its latest). Or images: a folder, archive or name.",
    )],
    real: Annotated[str | None, typer.Argument(
        metavar="[IMAGES]", show_default=False, autocompletion=completion.data,
        help="The real images to compare with. Needed for images; for a checkpoint, instead of "
        "those that belong to its training images.",
    )] = None,
    num_samples: Annotated[int | None, typer.Option(
        "--num-samples", "-n", metavar="N", show_default="10000; all images of a set",
        help="Number of samples, seeds 0 to N-1; or of the first images, drawn at random.",
    )] = None,
    ema: EmaOption = None,
    data: Annotated[str | None, typer.Option(
        "--data", metavar="PATH|NAME", show_default="those that the checkpoint names",
        autocompletion=completion.data,
        help="The training images. Must be given unless they are MNIST, or were trained on here.",
    )] = None,
    features: Annotated[str, typer.Option(
        "--features", metavar="KIND|PATH",
        help="The feature network: auto, digits (the classifier included in ganctl), imagenet "
        "(EfficientNet-Lite0), inception or inception-clean (as torch-fidelity or clean-fid; extra "
        "'inception'), torchvision:NAME, dinov2:NAME, a file of Inception's weights, or none "
        "(patches only).",
    )] = "auto",
    out: Annotated[Path | None, typer.Option(
        "-o", "--out", metavar="OUT", show_default=False,
        help="Also write a sheet, a .png: samples beside their 3 nearest training images. For "
        "checkpoints.",
    )] = None,
    skip_bad: Annotated[bool, typer.Option(
        "--skip-bad", help="Leave out files that cannot be used, instead of refusing all images.",
    )] = False,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:  # fmt: skip
    """Measure how close samples are to real test images, next to the scores that real images reach.

    Metrics are comparable only at the same --num-samples and --features. The first evaluation takes
    up to three minutes on a CPU, and up to 3 GB of memory; most of it goes into the features of all
    real images, which are extracted once. The result is kept with the run; inspect and report show
    it.

    Two sets of images, of any program and any sizes, are compared without a checkpoint. Next to
    each metric stands that of one random half of the real images against the other.

    Examples:

    ganctl evaluate runs/mnist-fast

    ganctl evaluate ckpt.pt --num-samples 2000 --json

    ganctl evaluate runs/mnist-fast -o nearest.png

    ganctl evaluate samples/ photos/

    ganctl evaluate runs/photos other-photos/
    """
    terminal = Terminal(json_wanted=json, quiet=quiet)
    if real is not None and data is not None:
        raise UsageError("--data names training images, not IMAGES", "Leave out --data.")
    if real is None and skip_bad:
        raise UsageError(
            "--skip-bad is for two sets of images",
            "Leave it out: with a checkpoint, files that cannot be used are always left out.",
        )
    if real is not None and out is not None:
        raise UsageError(
            "-o writes samples beside their training images, which IMAGES are not", "Leave out -o."
        )
    if out is not None:
        check_suffix(out, (".png",))
        check_folder(out, "sheet")
    with terminal.progress() as progress:
        from ganctl import devices, private_folders
        from ganctl.evaluation import comparison

        if real is None and comparison.are_images(source):
            what = "holds no ckpt.pt" if Path(source).is_dir() else "is not a checkpoint"
            raise UsageError(
                f"'{source}' {what}, and images need others to be compared with",
                f"Name those, too: ganctl evaluate {pasteable(Path(source))} IMAGES",
            )
        devices.use_idle_threads()
        terminal.notes(private_folders.notices())
        if real is None:
            result, nearest = _evaluated(
                source, ema, num_samples, data, features, progress, terminal, out is not None
            )
            if out is not None and nearest is not None:
                nearest.save(out, command=command_of(context))
        else:
            compared = comparison.compare_images(
                source, real, features=features, num_samples=num_samples, ema=ema,
                skip_bad=skip_bad, on_progress=progress,
            )  # fmt: skip
    if real is not None:
        terminal.notes(compared.file_notes())
    if json:
        sheet = {"sheet": None if out is None else str(out)}
        terminal.document({**result.to_dict(), **sheet} if real is None else compared.to_dict())
    elif real is None:
        _show(result, terminal)
        if nearest is not None:
            terminal.heading("nearest training images")
            terminal.result(
                f"{out}: the first seeds, and the samples closest to training images, each beside "
                f"its {len(nearest.distances[0])} nearest of {nearest.searched}"
            )
    else:
        show_comparison(compared, terminal)


def _evaluated(
    path: str,
    ema: bool | None,
    num_samples: int | None,
    data: str | None,
    features: str,
    progress: Progress,
    terminal: Terminal,
    with_nearest: bool,
) -> Evaluated:
    """Evaluate a checkpoint, and keep the result with its run."""
    from ganctl.evaluation import evaluate as evaluation
    from ganctl.evaluation import results
    from ganctl.evaluation.evaluator import DEFAULT_SAMPLES
    from ganctl.model import load
    from ganctl.store import RunDirectory

    model = load(path, ema=ema)
    count = DEFAULT_SAMPLES if num_samples is None else num_samples
    result = evaluation.evaluate(
        model, num_samples=count, data=data, choice=features, progress=progress,
        with_nearest=with_nearest,
    )  # fmt: skip
    run = RunDirectory(model.path.parent)
    if run.read_starts():
        try:
            results.save(result.evaluation, run)
        except RunError as error:
            terminal.error(f"warning: not kept with the run: {error.message}", error.hint)
    return result


def _show(evaluation: Evaluation, terminal: Terminal) -> None:
    show_evaluation(evaluation, terminal, heading=evaluation.checkpoint)
    shares, floor = evaluation.metrics.class_shares, evaluation.floor.class_shares
    if 0 < len(shares) <= _MAX_CLASSES:
        terminal.heading("classes")
        rows = [(f"{share:.1%}", f"{real:.1%}") for share, real in zip(shares, floor, strict=True)]
        within = evaluation.intra_class
        if within is None or len(within.distances) != len(rows):
            header = ("", "samples", "real images")
            terminal.table(header, [(n, *row) for n, row in enumerate(rows)])
            return
        terminal.table(
            ("", "samples", "real images", "Frechet distance"),
            [(n, *row, f"{within.distances[n]:.2f}") for n, row in enumerate(rows)],
        )
