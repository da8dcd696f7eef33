"""Checks of memory: whether a batch fits, which smaller one would, and checkpoint sizes."""

from __future__ import annotations

import gc
import math

import torch

from ganctl import devices, efficientnet
from ganctl.config.schema import TrainConfig
from ganctl.errors import DeviceError, Setting, Text, UsageError
from ganctl.limits import CHECKPOINT_BYTES
from ganctl.networks import map_shapes, meta_networks
from ganctl.networks.summary import most_output_bytes, output_bytes
from ganctl.text import in_bytes
from ganctl.training.state import TrainState
from ganctl.training.step import trial_step

_AT_LEAST = {"fp32": 1.4, "bf16": 0.8}
"""Memory of a step as a multiple of all layers' fp32 outputs. Measured on a CPU for batches of 256
to 4,096 of 28x28 pixels, and of 2 to 8 of 256x256 to 1024x1024: 1.4 to 2.1 in fp32, 0.8 to 1.3 in
bf16."""
_ENOUGH = 2.1
"""The largest such multiple that was measured."""


def require_room(config: TrainConfig, device: torch.device, *, has_begun: bool = False) -> None:
    """Raise DeviceError if a step certainly does not fit into the free memory of a CPU.

    A CPU's system does not refuse memory but kills the program later on, and oneDNN dies where it
    does refuse; a GPU refuses, see `is_out_of_memory`. A run that `has_begun` keeps its batch size,
    so none is suggested. Raises UsageError, on every device, if no checkpoint of the run could be
    read again.
    """
    size = checkpoint_bytes(config)
    if size > CHECKPOINT_BYTES:
        raise UsageError(
            f"a checkpoint of these networks would take {size / 2**30:.1f} GiB, more than the "
            f"{CHECKPOINT_BYTES / 2**30:.0f} GiB that can be read",
            Text("Give a smaller {} or {}.", Setting("latent_dim"), Setting("base_channels")),
        )
    free = devices.free_memory(device)
    if free is None:
        return
    at_once = math.ceil(config.batch_size / config.accumulate)
    of_maps = _map_bytes(config)
    # The exact sum makes torch import its compiler, which takes a second.
    most = _AT_LEAST[config.precision] * most_output_bytes(config.network) + of_maps
    if most * at_once <= free:
        return
    per_image = output_bytes(config.network)
    needed = (_AT_LEAST[config.precision] * per_image + of_maps) * at_once
    if needed <= free:
        return
    hint: str | Text = "Free some memory, or use a GPU."
    fitting = fitting_power(int(free / (_ENOUGH * per_image + of_maps)), config.batch_size)
    if fitting and not has_begun:
        accumulate = math.ceil(config.batch_size / fitting)
        hint = Text("{} should fit, or {}.", Setting("batch_size", fitting),
                    Setting("accumulate", accumulate))  # fmt: skip
    split = f" in {config.accumulate} micro-batches" if config.accumulate > 1 else ""
    raise DeviceError(
        f"a batch of {config.batch_size}{split} takes at least {in_bytes(needed)} of memory, and "
        f"{in_bytes(free)} are free",
        hint,
    )


def checkpoint_bytes(config: TrainConfig) -> int:
    """Return the bytes of all tensors in a checkpoint of a resolved config; allocates none."""
    copies = {"generator": 2 if config.ema_images else 1, "discriminator": 1}
    moments = 2  # Adam's, of each parameter
    return sum(
        copies[part] * sum(tensor.nbytes for tensor in network.state_dict().values())
        + moments * sum(parameter.nbytes for parameter in network.parameters())
        for part, network in meta_networks(config.network).items()
    )


_OUT_OF_MEMORY = (
    "out of memory", "allocate memory", "enough memory",
    "could not create a primitive", "could not execute a primitive",  # oneDNN
)  # fmt: skip


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether `error` means that the device or the system has run out of memory."""
    message = str(error).lower()
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and any(words in message for words in _OUT_OF_MEMORY)
    )


def find_fitting_batch(state: TrainState) -> int | None:
    """Return a smaller batch size than the config's that fits, None if none does.

    It is found by trying, which spoils `state`. On a CPU, where trying is dangerous, it is a guess.
    """
    whole = state.config.batch_size
    if state.device.type == "cpu":
        return fitting_power(whole // 4, whole) or None
    size = fitting_power(whole, whole)
    while size and not _fits(state, size):
        size = fitting_power(size, size)
    return size or None


def fitting_power(limit: int, below: int) -> int:
    """Return the largest power of two up to `limit` and less than `below`; 0 if less than 2."""
    most = min(limit, below - 1)
    return 2 ** int(math.log2(most)) if most >= 2 else 0


def _fits(state: TrainState, batch_size: int) -> bool:
    gc.collect()
    if state.device.type == "cuda":
        torch.cuda.empty_cache()
    try:
        trial_step(state, batch_size, number=0)  # with the R1 penalty, if any
        trial_step(state, batch_size, number=1)
        devices.synchronize(state.device)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return False
    return True


def _map_bytes(config: TrainConfig) -> float:
    """Return the bytes that feature maps of a generated image keep for its gradient, if any do."""
    network = config.network
    if not map_shapes(network):
        return 0.0
    of_fp32 = efficientnet.map_bytes(network.height, network.width)
    return of_fp32 if config.precision == "fp32" else of_fp32 / 2
