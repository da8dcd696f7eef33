"""Compare the speed of sampling from seeds with that of the generator's forward passes alone.

    python tests/benchmarks/sampling.py RUN [--num-samples 4096] [--rounds 5]

Each round times both in the same process: `sample_seeds` (latents, the generator in its fixed batch
size, pixels), and forward passes alone, in the best of a few large batch sizes. Start-up and
writing files are not counted.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import torch

from ganctl import devices
from ganctl.model import load
from ganctl.sampling import sample_seeds

BATCHES = 256, 512, 1024


def main() -> None:
    """Print images/s of both, and the ratio of each round."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--num-samples", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    devices.prepare(torch.device("cpu"))
    loaded = load(options.run)
    count = options.num_samples

    def draw() -> float:
        start = time.perf_counter()
        for _ in sample_seeds(loaded.generator, range(count), loaded.network):
            pass
        return count / (time.perf_counter() - start)

    @torch.inference_mode()
    def forward(batch: int) -> float:
        inputs = torch.randn(batch, loaded.network.input_dim)
        start = time.perf_counter()
        for _ in range(count // batch):
            loaded.generator(inputs)
        return count // batch * batch / (time.perf_counter() - start)

    draw(), *map(forward, BATCHES)
    drawn, passed = [], []
    for _ in range(options.rounds):
        drawn.append(draw())
        passed.append(max(map(forward, BATCHES)))
    ratios = [a / b for a, b in zip(drawn, passed, strict=True)]
    print(f"sample_seeds {statistics.median(drawn):.0f} images/s, "
          f"forward passes {statistics.median(passed):.0f} images/s")  # fmt: skip
    print(f"ratio {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})")


if __name__ == "__main__":
    main()
