"""Profile a training step with torch's profiler.

    python tests/benchmarks/profile_step.py [--preset dcgan] [--steps 10] [--precision auto]

The step is that of the training loop (batch, noise, update, moving average), on the CPU. Operators
are grouped by purpose; the rest of the wall-clock time is Python and dispatch.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict

import torch
from torch.profiler import ProfilerActivity, profile, record_function

from ganctl import devices, latents
from ganctl.config import presets, schema
from ganctl.config.resolve import resolve
from ganctl.datasets import loading
from ganctl.rng import Stream
from ganctl.training import step as steps
from ganctl.training.state import create

KINDS = {
    "convolutions": ("convolution", "mkldnn", "thnn", "conv_"),
    "Fourier transforms": ("fft",),
    "products of matrices": ("aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm", "linear"),
    "fold and unfold": ("col2im", "im2col"),
    "batch normalization": ("batch_norm", "native_batch"),
    "Adam": ("adam",),
    "moving average": ("lerp",),
    "random numbers": ("random", "bernoulli", "normal"),
    "activations and their slopes": ("relu", "tanh", "sigmoid", "softplus"),
    "copies and changes of type or layout": ("copy", "contiguous", "clone", "cat", "to_copy"),
    "gathering the batch": ("index",),
}


def kind_of(operator: str) -> str:
    """Return the purpose of an operator."""
    name = operator.lower()
    for kind, parts in KINDS.items():
        if any(part in name for part in parts):
            return kind
    return "other arithmetic"


def main() -> None:
    """Print the share of the time that each group of operators takes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="dcgan")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--precision", default="auto")
    options = parser.parse_args()
    device = torch.device("cpu")
    devices.prepare(device)
    dataset = loading.load("mnist")
    preset = schema.override(presets.preset(options.preset), {"precision": options.precision})
    config = resolve(
        preset, dataset, chosen=None,
        precision=lambda name: devices.resolve_precision(name, device),
        threads=lambda config: config.threads, eval_every=lambda *_: 1,
    ).config  # fmt: skip
    state = create(config, device)
    network = config.network

    def update(number: int) -> None:
        with record_function("part: batch"):
            (batch,) = dataset.batches(
                config.batch_size, range(number, number + 1), seed=0, epoch=0
            )
            real = batch.images()
        with record_function("part: noise"):
            noise = latents.draw(
                Stream.NOISE.generator(seed=0, step=number, block=0),
                config.batch_size,
                network.latent_dim,
            )
        if network.num_classes:
            noise = latents.with_classes(noise, batch.labels, network.num_classes)
        steps.train_step(state, real, noise, number)

    for number in range(10):
        update(number)
    started = time.perf_counter()
    for number in range(10, 10 + options.steps):
        update(number)
    plain = (time.perf_counter() - started) / options.steps
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        for number in range(10, 10 + options.steps):
            update(number)
    shares: dict[str, float] = defaultdict(float)
    parts: dict[str, float] = {}
    for event in profiler.key_averages():
        milliseconds = event.self_cpu_time_total / 1000 / options.steps
        if event.key.startswith("part: "):
            parts[event.key[6:]] = event.cpu_time_total / 1000 / options.steps
        elif "::" in event.key:
            shares[kind_of(event.key)] += milliseconds
    counted = sum(shares.values())
    print(f"{options.preset}, {config.precision}, {devices.describe(device)}: "
          f"{1000 * plain:.2f} ms a step, {config.batch_size / plain:.0f} images/s")  # fmt: skip
    print(f"{counted:8.3f} ms in operators, as profiled:")
    for kind, milliseconds in sorted(shares.items(), key=lambda item: -item[1]):
        print(f"{milliseconds:8.3f} ms  {milliseconds / counted:6.1%}  {kind}")
    for part, milliseconds in parts.items():
        print(f"{milliseconds:8.3f} ms  in all for the {part}")


if __name__ == "__main__":
    main()
