"""Whether a batch fits, and one that does where it does not; whether a checkpoint does."""

from __future__ import annotations

import gc
import math

import torch
from torch import Tensor

from ganctl import devices
from ganctl.config.schema import NetworkConfig, TrainConfig
from ganctl.errors import DeviceError, Setting, Text, UsageError
from ganctl.limits import CHECKPOINT_BYTES
from ganctl.networks import meta_networks
from ganctl.networks.summary import summarize
from ganctl.text import in_bytes
from ganctl.training.state import TrainState
from ganctl.training.step import train_step

# Memory that a step takes, as a multiple of what all layers put out, in fp32: measured on a CPU for
# batches of 256 to 4,096 it was 1.4 to 1.9, and 0.8 to 1.3 in bf16.
_AT_LEAST = {"fp32": 1.4, "bf16": 0.8}
_ENOUGH = 2.0


def require_room(config: TrainConfig, device: torch.device, *, has_begun: bool = False) -> None:
    """DeviceError where a step would certainly not fit into the memory that is free.

    UsageError, on every device, where no checkpoint of the run could be read again.

    A run that `has_begun` is not told of a smaller batch: it keeps its own.

    On a CPU alone, where the system does not refuse memory but kills the program later on, and
    oneDNN dies where it does refuse. A GPU refuses; see `is_out_of_memory`.
    """
    _require_readable(config)
    free = devices.free_memory(device)
    if free is None:
        return
    an_image = _output_bytes(config.network)
    together = math.ceil(config.batch_size / config.accumulate)
    needed = _AT_LEAST[config.precision] * an_image * together
    if needed > free:
        fitting = fitting_power(int(free / (_ENOUGH * an_image)), config.batch_size)
        size = 0 if has_begun else fitting
        parts = f" in {config.accumulate} parts" if config.accumulate > 1 else ""
        raise DeviceError(
            f"a batch of {config.batch_size}{parts} takes {in_bytes(needed)} of memory or more, "
            f"and {in_bytes(free)} are free",
            Text(
                "{} should fit, or {}.",
                Setting("batch_size", size),
                Setting("accumulate", -(-config.batch_size // size)),
            )
            if size
            else "Free some memory, or use a GPU.",
        )


def _require_readable(config: TrainConfig) -> None:
    size = checkpoint_bytes(config)
    if size > CHECKPOINT_BYTES:
        raise UsageError(
            f"a checkpoint of these networks would take {size / 2**30:.1f} GiB, and none of more "
            f"than {CHECKPOINT_BYTES / 2**30:.0f} GiB is ever read",
            Text("Give a smaller {} or {}.", Setting("latent_dim"), Setting("base_channels")),
        )


def checkpoint_bytes(config: TrainConfig) -> int:
    """Of all tensors in a checkpoint of a run whose settings are settled; allocates none."""
    networks = meta_networks(config.network)
    copies = {"generator": 2 if config.ema_images else 1, "discriminator": 1}
    moments = 2  # Adam's, of each parameter
    return sum(
        copies[part] * sum(tensor.nbytes for tensor in network.state_dict().values())
        + moments * sum(parameter.nbytes for parameter in network.parameters())
        for part, network in networks.items()
    )


_SAID = (
    "out of memory",
    "allocate memory",
    "enough memory",
    "could not create a primitive",  # oneDNN
    "could not execute a primitive",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether this is a device's or the system's way of saying so."""
    said = str(error).lower()
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and any(words in said for words in _SAID)
    )


def find_fitting_batch(state: TrainState) -> int | None:
    """A smaller batch than the config's that does fit, None where none does.

    Found by trying, which spoils `state`. On a CPU, where trying is dangerous, a guess.
    """
    if state.device.type == "cpu":
        return fitting_power(state.config.batch_size // 4, state.config.batch_size) or None
    size: int | None = fitting_power(state.config.batch_size - 1, state.config.batch_size)
    while size and not _fits(state, size):
        size = fitting_power(size - 1, size)
    return size or None


def fitting_power(limit: int, below: int) -> int:
    """The largest power of two up to `limit` and less than `below`; 0 where that is less than 2."""
    most = min(limit, below - 1)
    return 2 ** int(math.log2(most)) if most >= 2 else 0


def _fits(state: TrainState, batch_size: int) -> bool:
    config, device = state.config.network, state.device
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    try:
        real = torch.zeros(batch_size, *config.image_shape, device=device)
        noise = torch.zeros(batch_size, config.input_dim, device=device)
        _two_steps(state, real, noise)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return False
    return True


def _two_steps(state: TrainState, real: Tensor, noise: Tensor) -> None:
    """One with a gradient penalty and one without, where the config has one now and then."""
    for number in (0, 1):
        state.step = number
        train_step(state, real.detach(), noise, noise_seed=0)
    devices.synchronize(state.device)


def _output_bytes(config: NetworkConfig) -> int:
    """Return the bytes of all layers' outputs in fp32, for one real and one generated image."""
    passes = {"generator": 1, "discriminator": 2}
    return sum(
        4 * passes[part] * math.prod(layer.output_shape)
        for part, table in summarize(config).items()
        for layer in table
    )
