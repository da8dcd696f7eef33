"""Compare recipes: the quality of their samples after equal training time.

    python tests/benchmarks/recipes.py --seconds 30,60,120 --seeds 1,2,3 \
        "" "r1_weight=1" "base_channels=24 lr_g=2e-3 lr_d=2e-3" "preset=dcgan"

Each recipe is a line of settings on top of a preset ("": `fast` as it is). All train by ganctl's
own loop; its seconds are counted without measuring. The recipes take turns, one seed at a
time, so that a machine that slows down for an hour slows all of them down. Metrics are those of
`ganctl evaluate`, for 10,000 samples.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import torch

from ganctl import features
from ganctl.config import presets, schema
from ganctl.config.schema import TrainConfig
from ganctl.datasets import loading
from ganctl.evaluation.evaluator import Evaluator
from ganctl.sampling import sample_seeds
from ganctl.training import session as sessions

_NUM_SAMPLES = 10_000


def config_of(recipe: str, seed: int) -> TrainConfig:
    """Return the recipe as a config without an end."""
    words = recipe.split()
    names = [word.partition("=")[2] for word in words if word.startswith("preset=")]
    changes = dict(schema.parse_setting(w) for w in words if not w.startswith("preset="))
    fixed = {"seed": seed, "epochs": 10_000, "eval_samples": 0, "snapshot_every": 0}
    return schema.override(presets.preset(*names or ["fast"]), {**changes, **fixed})


def measure(recipe: str, seed: int, marks: list[float], evaluator: Evaluator) -> list[dict]:
    """Return a row of metrics for each of `marks`, in seconds of training."""
    rows = []
    spent_measuring = 0.0
    with tempfile.TemporaryDirectory() as folder:
        session = sessions.new(config_of(recipe, seed), Path(folder) / "run", "cpu")
        started = time.perf_counter()

        def should_stop() -> bool:  # asked after every step
            nonlocal spent_measuring
            now = time.perf_counter()
            seconds = now - started - spent_measuring
            if seconds >= marks[len(rows)]:
                state = session.state
                seeds = range(_NUM_SAMPLES)
                found = evaluator.measure(sample_seeds(state.sampler, seeds, state.config.network))
                rows.append(
                    {"recipe": recipe, "seed": seed, "seconds": round(seconds, 1),
                     "step": state.step, "frechet_distance": round(found.frechet_distance, 3),
                     "recall": round(found.recall, 3), "coverage": round(found.coverage, 3)}
                )  # fmt: skip
                spent_measuring += time.perf_counter() - now
            return len(rows) == len(marks)

        session.train(command="recipes", save_every=1e9, should_stop=should_stop)
    return rows


def main() -> None:
    """Print a line of JSON for each measurement, then a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipes", nargs="+")
    parser.add_argument("--seconds", default="30,60,120")
    parser.add_argument("--seeds", default="1")
    parser.add_argument("--data", default="mnist")
    options = parser.parse_args()
    marks = [float(mark) for mark in options.seconds.split(",")]
    train, test = (part(options.data).images.numpy()
                   for part in (loading.load, loading.load_test))  # fmt: skip
    network = features.load("auto", options.data, torch.device("cpu"))
    evaluator = Evaluator(network, test=test, train=train, count=_NUM_SAMPLES)
    table: dict[tuple[str, int], list[dict]] = {}
    for seed in map(int, options.seeds.split(",")):
        for recipe in options.recipes:
            table[recipe, seed] = measure(f"data={options.data} {recipe}", seed, marks, evaluator)
            for row in table[recipe, seed]:
                print(json.dumps(row), flush=True)
    print(f"\n| recipe | seed | {' | '.join(f'{mark:g} s' for mark in marks)} | steps |")
    print(f"| --- | ---: | {'---: | ' * len(marks)}---: |")
    for (recipe, seed), rows in table.items():
        distances = " | ".join(f"{row['frechet_distance']:.2f}" for row in rows)
        print(f"| {recipe or 'fast'} | {seed} | {distances} | {rows[-1]['step']:,} |")


if __name__ == "__main__":
    main()
