"""Compare how long ganctl and torchvision take to prepare photographs for training.

    python tests/benchmarks/preparing.py [--images 10000] [--side 256] [--rounds 3]

They take turns with the same JPEGs, which are generated first: ganctl with one process and with two
(it measures and compares every file, chooses a size, decodes to 64x64 and stores), ganctl's second
start, and torchvision's ImageFolder with Resize and CenterCrop to 64x64, in this process and
through a DataLoader with two workers, into one tensor. Needs two cores to itself.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from ganctl import machine
from ganctl.config.image_settings import ImageSettings
from ganctl.datasets.local import cache, loading

SIZE = 64


def make(folder: Path, count: int, side: int) -> int:
    """Write `count` JPEGs, smooth with fine noise, in ten classes; return their size in bytes."""
    rng = np.random.default_rng(0)
    total = 0
    for number in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC), np.int16)
        pixels = (smooth + rng.integers(-12, 13, (side, side, 1))).clip(0, 255).astype(np.uint8)
        path = folder / str(number % 10) / f"{number:06}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, quality=88)
        total += path.stat().st_size
    return total


def ganctl(folder: Path, count: int) -> None:
    """Prepare the images with `count` processes of ganctl and an empty cache."""
    cache.clear()
    machine.num_cores = lambda: count
    loading.prepare(str(folder), ImageSettings((SIZE, SIZE)))


def again(folder: Path) -> None:
    """Load the images that ganctl has already prepared."""
    reserve, cache.reserve = cache.reserve, None  # which decoding would need
    loading.prepare(str(folder), ImageSettings((SIZE, SIZE)))
    cache.reserve = reserve


def torchvision(folder: Path, count: int) -> None:
    """Load the images into one tensor with `count` workers of torchvision (0: this process)."""
    import torch  # here, since ganctl's workers import this file, as they never import its own
    from torch.utils.data import DataLoader
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2

    steps = [v2.Resize(SIZE), v2.CenterCrop(SIZE), v2.PILToTensor()]
    loader = DataLoader(ImageFolder(str(folder), v2.Compose(steps)), 256, num_workers=count)
    torch.cat([images for images, _ in loader])


def main() -> None:
    """Print the median, minimum and maximum seconds of each, and their main ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as base:
        folder = Path(base) / "photos"
        size = make(folder, options.images, options.side)
        cache.folder = lambda: Path(base) / "cache"
        print(f"{options.images} JPEGs of {options.side}x{options.side}, {size / 1e6:.0f} MB")
        tried: dict[str, Callable[[], None]] = {
            "ganctl, 1 process": lambda: ganctl(folder, 1),
            "ganctl, 2 processes": lambda: ganctl(folder, 2),
            "ganctl, second start": lambda: again(folder),
            "torchvision, no worker": lambda: torchvision(folder, 0),
            "torchvision, 2 workers": lambda: torchvision(folder, 2),
        }
        times: dict[str, list[float]] = {name: [] for name in tried}
        for _ in range(options.rounds):
            for name, call in tried.items():
                start = time.perf_counter()
                call()
                times[name].append(time.perf_counter() - start)
    for name, taken in times.items():
        print(
            f"{name:24s} {statistics.median(taken):6.2f} s ({min(taken):.2f} to {max(taken):.2f})"
        )
    one, two, _, _, theirs = (statistics.median(taken) for taken in times.values())
    print(f"two processes: {one / two:.2f} times as fast as one")
    print(f"ganctl, 2 processes: {theirs / two:.2f} times as fast as torchvision, 2 workers")


if __name__ == "__main__":  # its workers import this file, too
    main()
