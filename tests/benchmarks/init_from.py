"""Compare runs on a small set from random weights and from a checkpoint, after equal time.

    OMP_NUM_THREADS=1 python tests/benchmarks/init_from.py --data sets/tissue --limit 300 \
        --init-from runs/heads-fast --seconds 60,300,600 --seeds 0,1,2 --freeze-d 0,2

Each seed trains once from random weights and once per value of --freeze-d from the checkpoint, in
turns, so that a machine that slows down slows all of them down. All are at the checkpoint's size,
on one thread; the seconds are processor time of training, without measuring. The images that were
not trained on are cut in two halves: samples are compared with one, and so is the other, which
gives the floor. There are as many samples as images in a half, --samples at most. The metrics are
those of `ganctl evaluate`: without a feature network, patches are compared. A grid of each run's
last samples is written to --out.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from statistics import fmean

import numpy as np
import torch

from ganctl import features, images
from ganctl.config import presets, schema
from ganctl.config.schema import MIN_MEASURED, TrainConfig
from ganctl.datasets import loading
from ganctl.evaluation.evaluator import Evaluator, Metrics
from ganctl.images import Pixels
from ganctl.sampling import sample_seeds
from ganctl.training import origin as origins
from ganctl.training import session as sessions
from ganctl.training.origin import Origin

_SHOWN = ("frechet_distance", "precision", "recall", "patch_distance")


def main() -> None:
    """Print a line of JSON for each measurement, then a table of means over the seeds."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--limit", type=int, default=300)
    parser.add_argument("--init-from", type=Path, required=True)
    parser.add_argument("--seconds", default="60,300")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--freeze-d", default="0")
    parser.add_argument("--features", default="auto")
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--out", type=Path, default=Path("init-from"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    origin = origins.read(options.init_from)
    marks = [float(mark) for mark in options.seconds.split(",")]

    real = not_trained_on(config_of(options, origin, 0, 0))
    count = min(options.samples, len(real) // 2)
    if count < MIN_MEASURED:
        raise SystemExit(f"{len(real)} images are left to compare samples with: too few")
    shape = origin.checkpoint.config.network.image_shape
    network = features.load(options.features, options.data, image_shape=shape)
    evaluator = Evaluator(network, test=real[1::2], train=real[::2], count=count)
    floor = shown(evaluator.floor())
    name = network.name if network else "none"
    print(json.dumps({"features": name, "num_samples": count, "floor": floor}), flush=True)

    ways: dict[str, tuple[Origin | None, int]] = {"random weights": (None, 0)}
    for num_frozen in map(int, options.freeze_d.split(",")):
        ways[f"checkpoint, freeze_d {num_frozen}"] = origin, num_frozen
    table: dict[str, list[list[dict[str, float]]]] = {way: [] for way in ways}
    for seed in map(int, options.seeds.split(",")):
        for way, (begin_from, num_frozen) in ways.items():
            config = config_of(options, origin, seed, num_frozen)
            grid = options.out / f"{way.replace(', ', '-').replace(' ', '-')}-{seed}.png"
            rows = run(config, begin_from, marks, count, evaluator, grid)
            for row in rows:
                print(json.dumps({"begun": way, "seed": seed, **row}), flush=True)
            table[way].append(rows)

    decisive = next(iter(floor))
    print(f"\n{decisive}, {floor[decisive]:g} at the floor, mean of the seeds\n")
    print(f"| begun from | {' | '.join(f'{mark:g} s' for mark in marks)} |")
    print(f"| --- |{' ---: |' * len(marks)}")
    for way, runs in table.items():
        means = (fmean(row[decisive] for row in rows) for rows in zip(*runs, strict=True))
        print(f"| {way} | {' | '.join(f'{mean:.3g}' for mean in means)} |")


def config_of(
    options: argparse.Namespace, origin: Origin, seed: int, num_frozen: int
) -> TrainConfig:
    """Return the settings of a run that never ends by itself, at the size of `origin`."""
    there = origin.checkpoint.config
    changes = {
        "data": loading.resolve(options.data), "limit": options.limit, "holdout": 0.0,
        "seed": seed, "image_size": there.image_size, "image_channels": there.network.channels,
        "base_channels": there.network.base_channels, "latent_dim": there.network.latent_dim,
        "threads": 1, "epochs": 20_000, "eval_samples": 0, "snapshot_every": 0,
        "freeze_d": num_frozen,
    }  # fmt: skip
    return schema.override(presets.preset(origin.preset or presets.DEFAULT_PRESET), changes)


def not_trained_on(config: TrainConfig) -> Pixels:
    """Return the images of the set that a run with `config` does not train on, in random order."""
    settings = config.image_settings
    whole = loading.load(config.data, settings=settings).images.numpy()
    some = loading.load(config.data, settings=settings, limit=config.limit).images.numpy()
    known = {image.tobytes() for image in some}
    others = np.stack([image for image in whole if image.tobytes() not in known])
    return others[np.random.default_rng(0).permutation(len(others))]


def run(
    config: TrainConfig,
    origin: Origin | None,
    marks: list[float],
    num_samples: int,
    evaluator: Evaluator,
    grid: Path,
) -> list[dict[str, float]]:
    """Return the step and the metrics at each of `marks`, in seconds of training."""
    found: list[dict[str, float]] = []
    measuring = 0.0
    with tempfile.TemporaryDirectory() as folder:
        # Chosen: what has to be the same in all runs. The recipe is fitted to the images.
        chosen = {"image_size", "base_channels", "latent_dim", "threads", "epochs"}
        session = sessions.new(config, Path(folder) / "run", "cpu", chosen=chosen, origin=origin)
        started = time.process_time()

        def should_stop() -> bool:  # asked after every step
            nonlocal measuring
            now = time.process_time()
            if now - started - measuring >= marks[len(found)]:
                state = session.state
                chunks = sample_seeds(state.sampler, range(num_samples), state.config.network)
                samples = images.concatenate([*chunks])
                metrics = shown(evaluator.measure([samples]))
                found.append({"seconds": marks[len(found)], "step": state.step, **metrics})
                grid.write_bytes(images.png(images.grid(samples[:64])))
                measuring += time.process_time() - now
            return len(found) == len(marks)

        session.train(command="init_from", save_every=1e9, should_stop=should_stop)
    return found


def shown(metrics: Metrics) -> dict[str, float]:
    """Return the metrics of _SHOWN that could be measured."""
    values = {name: getattr(metrics, name) for name in _SHOWN}
    return {name: round(value, 3) for name, value in values.items() if value is not None}


if __name__ == "__main__":
    main()
