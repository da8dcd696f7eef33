"""Compare the speed of the `dcgan` step with that of a plain PyTorch implementation.

    python tests/benchmarks/dcgan_step.py [--rounds 5] [--steps 6] [--threads N]

The transcription is what a reader of the recipe would write: fp32, eager, nn.Module defaults. Both
run in processes of their own, in turn, and the ratio is taken pair by pair, since a machine's speed
drifts.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time

BATCH = 256


def plain(steps: int) -> list[float]:
    """Return the seconds of each step of the plain implementation."""
    import torch
    from torch import nn

    generator = nn.Sequential(
        nn.Linear(100, 12544, bias=False),
        nn.BatchNorm1d(12544, 1e-3, 0.01),
        nn.LeakyReLU(0.3),
        nn.Unflatten(1, (256, 7, 7)),
        nn.ConvTranspose2d(256, 128, 5, 1, 2, bias=False),
        nn.BatchNorm2d(128, 1e-3, 0.01),
        nn.LeakyReLU(0.3),
        nn.ConvTranspose2d(128, 64, 5, 2, 2, 1, bias=False),
        nn.BatchNorm2d(64, 1e-3, 0.01),
        nn.LeakyReLU(0.3),
        nn.ConvTranspose2d(64, 1, 5, 2, 2, 1, bias=False),
        nn.Tanh(),
    )
    discriminator = nn.Sequential(
        nn.Conv2d(1, 64, 5, 2, 2),
        nn.LeakyReLU(0.3),
        nn.Dropout(0.3),
        nn.Conv2d(64, 128, 5, 2, 2),
        nn.LeakyReLU(0.3),
        nn.Dropout(0.3),
        nn.Flatten(),
        nn.Linear(6272, 1),
    )
    optimizer_g = torch.optim.Adam(generator.parameters(), 1e-4)
    optimizer_d = torch.optim.Adam(discriminator.parameters(), 1e-4)
    bce = nn.BCEWithLogitsLoss()
    real = torch.rand(BATCH, 1, 28, 28) * 2 - 1
    ones, zeros = torch.ones(BATCH, 1), torch.zeros(BATCH, 1)
    seconds = []
    for _ in range(steps):
        start = time.perf_counter()
        fake = generator(torch.randn(BATCH, 100))
        real_pred, fake_pred = discriminator(real), discriminator(fake)
        d_loss = bce(real_pred, ones) + bce(fake_pred, zeros)
        g_loss = bce(fake_pred, ones)
        g_gradients = torch.autograd.grad(g_loss, list(generator.parameters()), retain_graph=True)
        d_gradients = torch.autograd.grad(d_loss, list(discriminator.parameters()))
        for parameter, gradient in zip(generator.parameters(), g_gradients, strict=True):
            parameter.grad = gradient
        for parameter, gradient in zip(discriminator.parameters(), d_gradients, strict=True):
            parameter.grad = gradient
        optimizer_g.step()
        optimizer_d.step()
        seconds.append(time.perf_counter() - start)
    return seconds


def ours(steps: int, precision: str) -> list[float]:
    """Return the seconds of each step of ganctl."""
    import torch

    from ganctl import devices, latents
    from ganctl.config.presets import preset
    from ganctl.config.schema import override
    from ganctl.rng import Stream
    from ganctl.training.state import create
    from ganctl.training.step import train_step

    device = torch.device("cpu")
    devices.prepare(device)
    resolved = devices.resolve_precision(precision, device)
    state = create(override(preset("dcgan"), {"precision": resolved}), device)
    real = torch.rand(BATCH, 1, 28, 28) * 2 - 1
    seconds = []
    for step in range(steps):
        start = time.perf_counter()
        rng = Stream.NOISE.generator(seed=0, step=step, block=0)
        train_step(state, real, latents.draw(rng, BATCH, 100), noise_seed=step).metrics.tolist()
        seconds.append(time.perf_counter() - start)
    return seconds


def _child(which: str, options: argparse.Namespace) -> float:
    """Return the median seconds of a step in a separate process, without the first step."""
    command = [sys.executable, __file__, "--child", which, "--steps", str(options.steps)]
    if options.threads:
        command += ["--threads", str(options.threads)]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    return statistics.median(json.loads(result.stdout)[1:])


def main() -> None:
    """Print both speeds and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--child", choices=["plain", "auto", "fp32", "bf16"])
    options = parser.parse_args()
    if options.child:
        import torch

        if options.threads:
            torch.set_num_threads(options.threads)
        steps = options.steps
        seconds = plain(steps) if options.child == "plain" else ours(steps, options.child)
        print(json.dumps(seconds))
        return
    pairs = [(_child("plain", options), _child("auto", options)) for _ in range(options.rounds)]
    for name, seconds in zip(
        ("plain PyTorch fp32", "ganctl --precision auto"), zip(*pairs, strict=True), strict=True
    ):
        median = statistics.median(seconds)
        print(f"{name:24s} {median * 1000:6.0f} ms a step, {BATCH / median:5.0f} images/s")
    ratios = sorted(a / b for a, b in pairs)
    print(f"ratio: median {statistics.median(ratios):.2f}, {ratios[0]:.2f} to {ratios[-1]:.2f}")


if __name__ == "__main__":
    main()
