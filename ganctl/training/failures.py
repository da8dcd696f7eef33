"""Failures that end a training run: how they are recognized, and their messages."""

from __future__ import annotations

import math
from pathlib import Path

from ganctl.errors import Setting, Text, TrainingError
from ganctl.training import memory
from ganctl.training.state import TrainState


def divergence_error(what: str, step: int, state: TrainState, checkpoint: Path) -> TrainingError:
    """Return an error saying that `what` happened at `step`, after `checkpoint` was saved."""
    config = state.config
    return TrainingError(
        f"{what} at step {step}; training was stopped there",
        Text(
            "The last good checkpoint is {}. Start a new run with lower learning rates ({}, {})"
            + (" or with {}." if config.precision == "bf16" else "."),
            checkpoint,
            Setting("lr_g", config.lr_g / 4),
            Setting("lr_d", config.lr_d / 4),
            Setting("precision", "fp32"),
        ),
    )


def require_finite(state: TrainState, checkpoint: Path) -> None:
    """Raise TrainingError if any number in the state is NaN or infinite."""
    for name, tensor in state.tensors():
        if not bool(tensor.isfinite().all()):
            raise divergence_error(f"{name} was no longer finite", state.step, state, checkpoint)


def compiler_error(error: Exception) -> TrainingError | None:
    """Return the error for a failure of torch.compile, such as a missing compiler, or None."""
    if not type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
        return None
    message = " ".join(str(error).split("\n\n")[0].split())
    return TrainingError(
        f"torch.compile failed: {message[:200]}",
        Text("Start a new run without {}.", Setting("compile", True)),
    )


def out_of_memory_error(state: TrainState) -> TrainingError:
    """Return an error saying that a step needs too much memory; may spoil `state`.

    Call it when nothing that the step allocated is referenced any more.
    """
    config, step = state.config, state.step + 1
    if state.group.size > 1:  # the others are inside a step: trials would involve them
        return TrainingError(
            f"out of memory at step {step} in one of {state.group.size} processes, with a batch "
            f"of {config.batch_size} for all of them",
            Text(
                "Start a new run with a smaller {}, with more processes, or with {}.",
                Setting("batch_size"),
                Setting("accumulate", 2 * config.accumulate),
            ),
        )
    if size := memory.find_fitting_batch(state):
        hint = Text(
            "Start a new run with {}, which should fit, or with {}, which is slower but changes "
            "little else.",
            Setting("batch_size", size),
            Setting("accumulate", math.ceil(config.batch_size / size)),
        )
    else:
        hint = Text(
            "Not even a batch of 2 fits: free some memory, or make the networks smaller, for "
            "example with {}.",
            Setting("base_channels", max(1, config.network.base_channels // 4)),
        )
    return TrainingError(f"out of memory at step {step} with a batch of {config.batch_size}", hint)
