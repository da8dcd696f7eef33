"""ganctl evaluate: how near a checkpoint's images are to real ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ganctl.cli import completion
from ganctl.cli.evaluations import show_evaluation
from ganctl.cli.options import CheckpointArgument, EmaOption, JsonOption, QuietOption
from ganctl.cli.terminal import Terminal
from ganctl.config.schema import MIN_MEASURED
from ganctl.errors import DataError, RunError, UsageError

if TYPE_CHECKING:
    from ganctl.datasets.base import Progress
    from ganctl.evaluation.results import Evaluation
    from ganctl.images import Pixels
    from ganctl.model import Model

_MAX_STREAMED = 20_000
"""Of images that are streamed: the first ones of some shards."""
_MAX_SAMPLES = 60_000
_MEMORY = 1_500_000_000
"""Bytes that it takes at least, measured with the fewest samples."""
_MAX_CLASSES = 20
"""More are too many for a table."""


def evaluate(
    ckpt: CheckpointArgument,
    num_samples: Annotated[
        int,
        typer.Option("--num-samples", "-n", metavar="N", help="How many to draw: seeds 0 to N-1."),
    ] = 10_000,
    ema: EmaOption = None,
    data: Annotated[
        str | None,
        typer.Option(
            "--data", metavar="PATH|NAME", show_default="those that the checkpoint names",
            help="The images it was trained on. Must be given unless they are MNIST's, or were "
            "trained on here.",
            autocompletion=completion.data,
        ),
    ] = None,
    features: Annotated[
        str,
        typer.Option(
            "--features", metavar="KIND|PATH",
            help="What images are compared in: auto, digits (the classifier that ships with "
            "ganctl), inception (an extra), or a file of Inception's weights.",
        ),
    ] = "auto",
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:  # fmt: skip
    """Measure how near samples are to real test images, beside what real images reach.

    Metrics of another number of samples, or of other features, cannot be compared. Takes one to
    three minutes on a CPU and up to 3 GB of memory: all real images are encoded, too. That is done
    once for the same images. The result is kept with the run; inspect and report show it.

    Examples:

    ganctl evaluate runs/mnist-fast

    ganctl evaluate ckpt.pt --num-samples 2000 --json
    """
    terminal = Terminal(json_wanted=json, quiet=quiet)
    if not MIN_MEASURED <= num_samples <= _MAX_SAMPLES:
        raise UsageError(
            f"--num-samples must be {MIN_MEASURED} to {_MAX_SAMPLES:,}, not {num_samples}"
        )

    with terminal.progress() as progress:
        from ganctl import devices, machine, places
        from ganctl.evaluation.evaluator import Evaluator
        from ganctl.evaluation.results import Evaluation
        from ganctl.features import load as load_features
        from ganctl.model import load

        model = load(ckpt, ema=ema)
        name = _images_name(model, data)
        network = load_features(features, model.data, image_shape=model.network.image_shape)
        machine.require_memory(_MEMORY, "comparing samples with real images")
        devices.use_idle_threads()
        terminal.notes(places.notices())
        train, test, kind = _real_images(model, name, progress)
        evaluator = Evaluator(network, test=test, train=train, count=num_samples, progress=progress)
        evaluation = Evaluation(
            checkpoint=str(model.path),
            digest=model.digest,
            step=model.step,
            ema=model.ema,
            data=model.data,
            num_test_images=evaluator.num_test_images,
            test_images=kind,
            features=network.name,
            metrics=evaluator.measure(model.sample(range(num_samples)).chunks()),
            floor=evaluator.floor(),
        )
    _keep(evaluation, model.path, terminal)
    if json:
        terminal.document(evaluation.to_dict())
    else:
        _show(evaluation, terminal)


def _images_name(model: Model, data: str | None) -> str:
    """Return where the images are that the run was trained on; `data` is where the user says so.

    Raises UsageError where the user must say, DataError for what cannot be a path of images.
    """
    from ganctl.datasets import loading

    if data is not None:
        return loading.resolve(data)
    if not loading.is_trusted(model.config.data, model.data_digest):
        raise loading.untrusted(model.config.data)
    return model.config.data


def _real_images(model: Model, name: str, progress: Progress) -> tuple[Pixels, Pixels, str]:
    """Those that a generator learned from, those that it is compared with, and what the latter are.

    Where none of the user's own images are held out, it is compared with half of those it learned
    from, and the other half tells what real images reach. DataError where `name` has others.
    """
    from ganctl.datasets import loading

    config = model.config
    if name == config.data in loading.NAMES:
        train = loading.load(name, settings=config.images)
        test = loading.load_test(name, settings=config.images)
        return train.images.numpy(), test.images.numpy(), "test images"
    own = loading.load_training(
        name, settings=config.images, limit=config.limit, skip_bad=True, progress=progress
    )
    if own.digest != model.data_digest:
        raise DataError(f"the images of '{name}' are not those this run was trained on")
    if loading.has_test(own):
        test = loading.load_test(name, settings=config.images, progress=progress)
        held_out = test.images.numpy()
        if min(len(own), len(held_out)) < MIN_MEASURED:
            raise DataError(
                f"{len(own):,} training images and {len(held_out):,} held-out ones are too few to "
                f"measure with: {MIN_MEASURED} of each at least"
            )
        return own.some(len(own)), held_out, "held-out images"
    images = own.some(_MAX_STREAMED if loading.is_streamed(name) else len(own))
    if len(images) < 2 * MIN_MEASURED:
        raise DataError(
            f"too few images to measure with: {len(images)}, where {2 * MIN_MEASURED} are needed"
        )
    return images[1::2], images[::2], "training images"


def _keep(evaluation: Evaluation, path: Path, terminal: Terminal) -> None:
    """Write what was found into the run's folder, if the checkpoint lies in one."""
    from ganctl.evaluation import results
    from ganctl.store import RunDirectory

    run = RunDirectory(path.parent)
    if not run.read_starts():
        return
    try:
        results.save(evaluation, run)
    except RunError as error:
        terminal.error(f"warning: not kept with the run: {error.message}", error.hint)


def _show(evaluation: Evaluation, terminal: Terminal) -> None:
    show_evaluation(evaluation, terminal, heading=evaluation.checkpoint)
    shares, floor = evaluation.metrics.class_shares, evaluation.floor.class_shares
    if not 0 < len(shares) <= _MAX_CLASSES:
        return
    terminal.heading("classes")
    terminal.table(
        ("", "samples", "real images"),
        [
            (number, f"{share:.1%}", f"{real:.1%}")
            for number, (share, real) in enumerate(zip(shares, floor, strict=True))
        ],
    )
