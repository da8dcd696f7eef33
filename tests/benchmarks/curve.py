"""Evaluate each snapshot of a run, and plot the quality of several runs against time.

    python tests/benchmarks/curve.py measure RUN OUT.csv [--epochs 1,5,10] [--num-samples 10000]
    python tests/benchmarks/curve.py draw OUT.png CSV... [--floor 0.034]

Train with --snapshot-every 1 --keep 1000, so that every epoch is there. A run that shared its
machine with other work took longer than it would alone: --seconds-per-epoch, measured alone, then
takes the place of its own times.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any


def measure(
    run: Path, epochs: Sequence[int], num_samples: int, seconds_per_epoch: float | None
) -> list[dict[str, Any]]:
    """Return the metrics of `ganctl evaluate` for each of `epochs`, or of all snapshots."""
    from ganctl import features, store
    from ganctl.datasets import loading
    from ganctl.evaluation.evaluator import Evaluator
    from ganctl.model import load
    from ganctl.sampling import sample_seeds

    name = store.read_checkpoint(run).config.data
    train, test = (part(name).images.numpy() for part in (loading.load, loading.load_test))
    evaluator = Evaluator(features.load("auto", name), test=test, train=train, count=num_samples)
    directory = store.RunDirectory(run)
    paths = [directory.snapshot(epoch) for epoch in epochs] or directory.snapshots()
    rows = []
    for path in paths:
        last = store.read_checkpoint(path).history[-1]
        loaded = load(path)
        samples = sample_seeds(loaded.generator, range(num_samples), loaded.network)
        found = asdict(evaluator.measure(samples))
        shares = found.pop("class_shares")
        own = last["elapsed_seconds"]
        seconds = seconds_per_epoch * last["epoch"] if seconds_per_epoch else own
        rows.append(
            {"epoch": last["epoch"], "step": last["step"], "seconds": round(seconds, 1)}
            | {name: round(value, 5) for name, value in found.items() if value is not None}
            | {f"class_{number}": round(share, 4) for number, share in enumerate(shares)}
        )
        print(f"epoch {last['epoch']}: {found['frechet_distance']:.3f}", flush=True)
    return rows


def draw(tables: Sequence[Path], out: Path, floor: float | None) -> None:
    """Plot the Frechet distance of each table against seconds of training, on logarithmic axes."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 4.5), dpi=120)
    for path in tables:
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        axes.plot(
            [float(row["seconds"]) for row in rows],
            [float(row["frechet_distance"]) for row in rows],
            marker="o", markersize=3, label=path.stem,
        )  # fmt: skip
    if floor:
        axes.axhline(floor, color="gray", linestyle="--", label="real images")
    axes.set(xscale="log", yscale="log", xlabel="seconds of training",
             ylabel="Frechet distance (lower is better)")  # fmt: skip
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.legend()
    figure.savefig(out, bbox_inches="tight")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    measuring = commands.add_parser("measure")
    measuring.add_argument("run", type=Path)
    measuring.add_argument("out", type=Path)
    measuring.add_argument("--epochs", default="")
    measuring.add_argument("--num-samples", type=int, default=10_000)
    measuring.add_argument("--seconds-per-epoch", type=float)
    drawing = commands.add_parser("draw")
    drawing.add_argument("out", type=Path)
    drawing.add_argument("--floor", type=float, help="the distance of real images")
    drawing.add_argument("tables", type=Path, nargs="+")
    chosen = parser.parse_args()
    if chosen.command == "draw":
        draw(chosen.tables, chosen.out, chosen.floor)
        return
    epochs = [int(number) for number in chosen.epochs.split(",") if number]
    rows = measure(chosen.run, epochs, chosen.num_samples, chosen.seconds_per_epoch)
    with chosen.out.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
