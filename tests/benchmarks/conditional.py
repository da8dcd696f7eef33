"""Measure how many of a run's digits the classifier recognizes as the requested class.

    python tests/benchmarks/conditional.py RUN [--per-class 100] [-o GRID.png]

Seeds 0, 1, 2, ... of each class are judged by the included classifier. The grid has the first ten
of each, one class per row, as `ganctl sample RUN --per-class 10` draws it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from ganctl import features, images
from ganctl.model import load
from ganctl.sampling import sample_seeds

IN_GRID = 10


def main() -> None:
    """Print the share of correct classes, in total and per class."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--per-class", type=int, default=100)
    parser.add_argument("-o", "--out", type=Path)
    options = parser.parse_args()
    loaded = load(options.run)
    num_classes, columns = len(loaded.require_classes()), options.per_class
    labels = np.repeat(np.arange(num_classes), columns)
    seeds = [*range(columns)] * num_classes
    pixels = images.concatenate(sample_seeds(loaded.generator, seeds, loaded.network, labels))
    logits = features.extract(features.load("digits", loaded.data), [pixels]).logits
    right = (logits.argmax(1).numpy() == labels).reshape(num_classes, columns)
    first = right[:, :IN_GRID]
    print(
        f"{first.sum()} of the grid's {first.size}; {right.mean():.1%} of {right.size:,}; of each:"
    )
    for name, share in zip(loaded.classes, right.mean(1), strict=True):
        print(f"  {name}: {share:.1%}")
    if options.out:
        shown = pixels.reshape(num_classes, columns, *pixels.shape[1:])[:, :IN_GRID]
        grid = images.grid(shown.reshape(-1, *pixels.shape[1:]), columns=first.shape[1])
        factor = images.preview_factor(loaded.network.height)
        options.out.write_bytes(images.png(images.enlarge(grid, factor)))


if __name__ == "__main__":
    main()
