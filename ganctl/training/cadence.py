"""How often a run measures its samples: by counting multiplications, and never by the clock."""

from __future__ import annotations

import math

from ganctl import efficientnet, features
from ganctl.config.schema import TrainConfig
from ganctl.features import imagenet
from ganctl.networks import map_shapes
from ganctl.networks.summary import multiplications

_SHARE = 0.03
"""Part of a run's time that measuring may take."""
_PASSES = 3
"""Multiplications of a network's forward and backward pass, as a multiple of the forward pass's."""
_DISCRIMINATIONS = 3
"""Times that the discriminator sees an image in a step: a real one, a fake, and the fake again."""
# Times are given in multiplications, of which a training step does a fixed number in a second.
_STEP = 5e8
"""Time that a step takes beside its multiplications."""
_SAMPLING, _FEATURES = 3.0, 1.8
"""Time of a multiplication when samples are drawn, in fp32, and in EfficientNet's thin layers."""
_MAPS = 7.0
"""Time of a multiplication in feature maps, with all passes of a step."""
_METRICS = 4e10
"""Time of the metrics of 1,000 samples, each with 1,280 features."""
_PATCHES, _PER_VALUE = 3e10, 1.1e4
"""Time of comparing patches, and of each value of a sample in it."""


def choose(config: TrainConfig, num_images: int) -> int:
    """Return the number of epochs from one measurement of samples to the next, at least 1.

    `config` is otherwise resolved, and `num_images` are trained on. Digits are measured after every
    epoch, which costs little.
    """
    if config.eval_every is not None:
        return config.eval_every
    steps = in_steps(config)
    if not steps or not config.eval_samples:
        return 1
    allowed = _SHARE * config.total_steps(num_images) / steps - 1  # the features of real images
    return math.ceil(config.total_epochs(num_images) / max(1, math.floor(allowed)))


def in_steps(config: TrainConfig) -> float | None:
    """Return how many steps take as long as one measurement; None for digits, which take little."""
    choice = features.automatic(config.data, config.network.image_shape)
    if choice == "digits":
        return None
    shape = config.network.image_shape
    generator, discriminator = multiplications(config.network).values()
    if choice == "imagenet":
        size = imagenet.input_size(max(shape[1:]))
        each, rest = _FEATURES * imagenet.MULTIPLICATIONS[size], _METRICS
    else:
        each, rest = _PER_VALUE * math.prod(shape), _PATCHES
    each_image: float = _PASSES * (generator + _DISCRIMINATIONS * discriminator)
    if map_shapes(config.network):
        each_image += _MAPS * efficientnet.map_multiplications(*shape[1:])
    step = config.batch_size * each_image
    return (config.eval_samples * (_SAMPLING * generator + each) + rest) / (step + _STEP)
