"""An evaluation as a table, for the commands that show one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ganctl.cli.terminal import Terminal

if TYPE_CHECKING:
    from ganctl.evaluation.comparison import Comparison
    from ganctl.evaluation.results import Evaluation


def show_evaluation(evaluation: Evaluation, terminal: Terminal, *, heading: str) -> None:
    """Show which images were compared, and the metrics of both."""
    terminal.heading(heading)
    weights = "moving average" if evaluation.ema else "weights as trained"
    terminal.result(
        f"{evaluation.metrics.num_samples:,} samples ({weights}, step {evaluation.step:,}) against "
        f"{evaluation.num_test_images:,} {evaluation.test_images} of {evaluation.data}"
    )
    if evaluation.test_images == "training images":
        terminal.result(
            "None of these images were held out: a generator that copies them would look perfect."
        )
    patches = f"patches of {evaluation.num_patch_images:,} images of each"
    if evaluation.features is None:
        from ganctl.efficientnet import PACKAGE

        more = f"pip install {PACKAGE} adds the Frechet distance, precision and recall."
        terminal.result(f"features: none, {patches}. {more}")
    else:
        terminal.result(f"features: {evaluation.features}; {patches}")
    rows = evaluation.rows()
    terminal.table(("", "samples", "real images", "better is"), rows)
    if evaluation.path_length is not None:
        terminal.result(
            f"perceptual path length: {evaluation.path_length:.2f} (1: images change evenly on a "
            "walk between two; more: in places suddenly)"
        )
    if (within := evaluation.intra_class) is not None:
        if within.mean is None:
            from ganctl.evaluation.intra_class import MIN_PER_CLASS

            terminal.result(
                f"intra-class Frechet distance: not measured with {within.counts}; at least "
                f"{MIN_PER_CLASS} of each are needed"
            )
        else:
            terminal.result(
                f"intra-class Frechet distance: {within.mean:.2f} (lower is better; "
                f"{within.counts}: the fewer, the larger it is)"
            )
    if any(better == ">= real" for *_, better in rows):
        terminal.result(
            ">= real: samples closer to training images than real images are may be copies."
        )
    if evaluation.warning:
        terminal.error(f"warning: {evaluation.warning}")


def show_comparison(comparison: Comparison, terminal: Terminal) -> None:
    """Show which two sets of images were compared, and the metrics beside the floor."""
    sets = (("A", comparison.a), ("B", comparison.b))
    terminal.heading("A against B")
    terminal.table(
        ("", "images", "size", "left out", ""),
        [(letter, f"{len(one):,}", one.size, f"{one.num_skipped:,}", one.name)
         for letter, one in sets],
    )  # fmt: skip
    terminal.result(
        f"features: {comparison.features}; every image is seen whole, from its own size"
    )
    terminal.table(("", "A against B", "floor", "better is"), comparison.rows())
    if comparison.floor:
        count = comparison.floor.num_samples
        terminal.result(
            f"floor: one random half of B against the other, {count:,} and "
            f"{len(comparison.b) - count:,} images (fewer images have a larger Frechet distance)"
        )
        terminal.result(
            ">= real: images closer to B than those of B are to each other may be copies."
        )
    for note in comparison.notes():
        terminal.result(note)
