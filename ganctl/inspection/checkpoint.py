"""A checkpoint as plain values: settings, networks, history, and what is wrong with it."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

from ganctl import store
from ganctl.checkpoint import Checkpoint
from ganctl.classes import names_of
from ganctl.config.resolve import explain
from ganctl.config.schema import TrainConfig, settings
from ganctl.evaluation import results
from ganctl.history import Meter
from ganctl.inspection.problems import problems
from ganctl.networks import first_layers
from ganctl.networks.summary import summarize
from ganctl.store import RunDirectory
from ganctl.training.schedules import learning_rate_factor
from ganctl.training.state import require_fit


def read(path: Path) -> tuple[Path, Checkpoint]:
    """Return the file that `path`, a file or a run directory, stands for, and its checkpoint.

    Raises CheckpointError, also if its weights do not fit its networks.
    """
    file = store.checkpoint_path(path)
    checkpoint = store.read_checkpoint(file)
    with store.errors_about(file):
        require_fit(checkpoint)
    return file, checkpoint


def describe(path: Path, checkpoint: Checkpoint) -> dict[str, Any]:
    """Return all that `ganctl inspect` shows of the checkpoint in the file `path`."""
    config = checkpoint.config
    known = checkpoint.data["classes"]
    return {
        "path": str(path),
        "bytes": path.stat().st_size,
        "digest": checkpoint.digest,
        "schema": checkpoint.schema,
        "made_by": checkpoint.made_by,
        "data": checkpoint.data,
        "config": settings(config),
        "reasons": explain(
            config, checkpoint.data["num_images"], checkpoint.data["num_held_out"],
            has_origin="init_from" in checkpoint.made_by,
        ),
        "step": checkpoint.step,
        "total_steps": checkpoint.total_steps,
        "steps_per_epoch": checkpoint.steps_per_epoch,
        "epoch": checkpoint.epoch,
        "conditional": config.network.num_classes > 0,
        "classes": names_of(config.network.num_classes or len(known), known),
        "ema": checkpoint.generator_ema is not None,
        **describe_networks(config),
        "optimizers": {
            name: {"kind": "Adam", "rate": rate, "betas": [config.beta1, config.beta2],
                   "rate_now": rate * learning_rate_factor(config, checkpoint.step)}
            for name, rate in (("generator", config.lr_g), ("discriminator", config.lr_d))
        },
        "history": checkpoint.history,
        "unfinished": _unfinished(checkpoint),
        "evaluations": results.documents(RunDirectory(path.parent), checkpoint.digest),
        "problems": [problem.text for problem in problems(checkpoint)],
    }  # fmt: skip


def describe_networks(config: TrainConfig) -> dict[str, Any]:
    """Return the layers of both networks of `config`, with parameters counted as Keras does."""
    frozen = {name.rpartition(".")[0] for name in first_layers(config.network, config.freeze_d)}
    found = {}
    for part, layers in summarize(config.network).items():
        is_frozen = [part == "discriminator" and layer.name in frozen for layer in layers]
        num_frozen = sum(layer.num_trained for layer in itertools.compress(layers, is_frozen))
        found[part] = {
            "layers": [
                {"name": layer.name, "kind": layer.kind, "output_shape": [*layer.output_shape],
                 "parameters": layer.num_parameters}
                for layer in layers
            ],
            "parameters": sum(layer.num_parameters for layer in layers),
            "trained": sum(layer.num_trained for layer in layers) - num_frozen,
            "frozen": num_frozen,
        }  # fmt: skip
    return found


def _unfinished(checkpoint: Checkpoint) -> dict[str, Any] | None:
    """Return the mean losses over the steps of the unfinished epoch, or None if there are none."""
    meter = Meter.from_dict(checkpoint.partial)
    if not meter.steps:
        return None
    epoch = checkpoint.step // checkpoint.steps_per_epoch + 1
    return {"epoch": epoch, "steps": meter.steps, **meter.means()}
