"""What a run is: its settings in frozen dataclasses, and their validation. No torch here."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ganctl.classes import MAX_CLASSES
from ganctl.config.images import (
    FITS,
    MAX_SIZE,
    MAX_STAGES,
    MIN_SIZE,
    MIN_STAGES,
    ImageSettings,
    format_size,
    is_side,
    parse_augment,
    parse_size,
)
from ganctl.errors import Setting, Text, UsageError
from ganctl.text import nearest

ARCHITECTURES = ("dcgan", "fast")
LOSSES = ("bce", "relativistic")
UPDATES = ("simultaneous", "alternating")
PRECISIONS = ("auto", "fp32", "bf16")
MAX_EPOCHS = 20_000
"""A checkpoint holds a row of history an epoch, and is read only up to a certain size."""
MIN_MEASURED = 10
"""Samples that figures of quality are taken of, at least: they look at five neighbours."""
MAX_SEED = 2**32 - 1
"""Seeds are 32-bit, the range that NumPy's frozen RandomState takes."""


def _require(condition: bool, name: str, value: object, rule: str) -> None:
    if not condition:
        raise UsageError(Text("{} must be {}, not {}", Setting(name), rule, value))


def _require_known(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise UsageError(f"unknown {name} '{value}'", nearest(value, known))


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """Everything that is needed to rebuild both networks, and nothing else.

    Bounds are checked here, before anything is allocated: a checkpoint's config comes from a file.
    """

    architecture: str
    base_channels: int
    latent_dim: int = 100
    stages: int = 2
    """How often the generator doubles its images' sides, and the discriminator halves them, at the
    least."""
    num_classes: int = 0
    """How many classes both networks are told apart; 0: they know of none."""
    height: int = 28
    width: int = 28
    channels: int = 1

    def __post_init__(self) -> None:
        _require_known("architecture", self.architecture, ARCHITECTURES)
        _require(1 <= self.base_channels <= 512, "base_channels", self.base_channels, "1 to 512")
        _require(1 <= self.latent_dim <= 4096, "latent_dim", self.latent_dim, "1 to 4096")
        rule = f"{MIN_STAGES} to {MAX_STAGES}"
        _require(MIN_STAGES <= self.stages <= MAX_STAGES, "stages", self.stages, rule)
        count = self.num_classes
        _require(0 <= count <= MAX_CLASSES, "num_classes", count, f"0 to {MAX_CLASSES}")
        for name in ("height", "width"):
            size = getattr(self, name)
            _require(is_side(size), name, size, f"a multiple of 4 from {MIN_SIZE} to {MAX_SIZE}")
            rule = f"a multiple of {2**self.stages}, for {self.stages} stages"
            _require(size % 2**self.stages == 0, name, size, rule)
        _require(self.channels in (1, 3), "channels", self.channels, "1 or 3")

    @property
    def input_dim(self) -> int:
        """Length of the generator's input: a latent, and after it a class as a one-hot vector."""
        return self.latent_dim + self.num_classes

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        return (self.channels, self.height, self.width)


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One training run. A preset is a named TrainConfig.

    Learning rate and EMA are functions of the step alone, never of the run's planned length: a run
    that is resumed to more epochs equals one that was planned so long.
    """

    preset: str
    network: NetworkConfig
    loss: str
    batch_size: int
    lr_g: float
    lr_d: float
    beta1: float
    beta2: float
    data: str = "mnist"
    """The name of a data set, or the absolute path of images."""
    image_size: str | None = None
    """As `parse_size` takes it; None: chosen from the images."""
    image_channels: int | None = None
    """1 (grey) or 3 (RGB); None: chosen from the images."""
    fit: str = "crop"
    background: str = "white"
    image_key: str | None = None
    """The field of the image in each of WebDataset's samples; None: chosen by its suffix."""
    skip_bad: bool = False
    """Train without the files that cannot be read, instead of not at all."""
    mirror: bool = False
    """Show each image as it is or mirrored left to right, by chance."""
    augment: str = "auto"
    """What is done to reals and fakes alike before the discriminator sees them, as `parse_augment`
    takes it; auto: everything where there are few images, else nothing. Zhao et al. 2020."""
    epochs: int | None = None
    """The run's length; exactly one of `epochs` and `steps` is set."""
    steps: int | None = None
    conditional: bool = False
    """Whether both networks are told the class of each image, where the data has classes."""
    accumulate: int = 1
    """Gradients are summed over so many parts of a batch, which takes as much less memory."""
    compile: bool = False
    """Whether the networks run through torch.compile."""
    updates: str = "simultaneous"
    """Whether both gradients are taken before either network moves, or the generator's after the
    discriminator has moved."""
    lr_warmup_steps: int = 0
    """The rate rises linearly over the first so many steps."""
    lr_decay_steps: int = 0
    """The rate falls as 1/sqrt(step) after this many steps; 0: it never falls."""
    r1_weight: float = 0.0
    """Gamma of the R1 gradient penalty, Mescheder et al. 2018, eq. 9; 0: none."""
    r1_interval: int = 1
    """The penalty is applied every so many steps, times so much: lazy regularization,
    Karras et al. 2020 (StyleGAN2), section 3.1."""
    ema_images: int = 0
    """Half-life of the generator's moving average, in images; 0: no average is kept."""
    ema_ramp: float = 0.05
    """Early on, the half-life is this share of the images seen so far, if that is less."""
    seed: int = 0
    precision: str = "auto"
    threads: int | None = None
    """Of a CPU, kept when the run is resumed; None: as many as prove quickest."""
    limit: int | None = None
    """Train on so many images only: the first of a data set, some by chance of one's own."""
    num_samples: int = 16
    """Images drawn after every epoch, from seeds 0, 1, 2, ..."""
    eval_samples: int = 1000
    """Samples that are measured after every epoch, where there is a classifier of such images; 0:
    none."""
    snapshot_every: int = 5
    """Keep a checkpoint every so many epochs; 0: none but the latest."""
    keep: int = 3
    """How many of those to keep, the newest first; 0: none."""

    def __post_init__(self) -> None:
        _require_known("loss", self.loss, LOSSES)
        _require_known("updates", self.updates, UPDATES)
        _require_known("precision", self.precision, PRECISIONS)
        _require_known("fit", self.fit, FITS)
        if self.image_size is not None:
            size = format_size(*parse_size(self.image_size))
            _require(self.image_size == size, "image_size", self.image_size, f"written as {size}")
        _require(
            self.image_channels in (None, 1, 3), "image_channels", self.image_channels, "1 or 3"
        )
        augment = parse_augment(self.augment)
        _require(self.augment == augment, "augment", self.augment, f"written as {augment}")
        if (self.epochs is None) == (self.steps is None):
            raise UsageError(
                Text("a run needs a length: {} or {}", Setting("epochs"), Setting("steps"))
            )
        for name, low, high in (
            ("epochs", 1, MAX_EPOCHS),
            ("steps", 1, 1_000_000_000),
            ("batch_size", 1, 65_536),
            ("accumulate", 1, 1024),
            ("lr_warmup_steps", 0, 1_000_000_000),
            ("lr_decay_steps", 0, 1_000_000_000),
            ("r1_interval", 1, 1_000_000),
            ("ema_images", 0, 1_000_000_000),
            ("seed", 0, MAX_SEED),
            ("threads", 1, 1024),
            ("limit", 2, 1_000_000_000),
            ("num_samples", 1, 1024),
            ("eval_samples", 0, 5000),
            ("snapshot_every", 0, 1_000_000),
            ("keep", 0, 1_000_000),
        ):
            value = getattr(self, name)
            if value is not None:
                _require(low <= value <= high, name, value, f"{low:,} to {high:,}")
        # batch normalization has no variance of one
        least = 2 if self.network.architecture == "dcgan" else 1
        _require(self.batch_size >= least, "batch_size", self.batch_size, "at least 2 for dcgan")
        most = self.batch_size // least
        _require(
            self.accumulate <= most,
            "accumulate",
            self.accumulate,
            f"1 to {most} for a batch of {self.batch_size}",
        )
        _require(
            self.eval_samples == 0 or self.eval_samples >= MIN_MEASURED,
            "eval_samples", self.eval_samples, f"0 or at least {MIN_MEASURED}",
        )  # fmt: skip
        for name in ("lr_g", "lr_d"):
            value = getattr(self, name)
            _require(0 < value <= 1, name, value, "more than 0 and at most 1")
        for name in ("beta1", "beta2"):
            value = getattr(self, name)
            _require(0 <= value < 1, name, value, "at least 0 and less than 1")
        _require(0 <= self.r1_weight <= 1e6, "r1_weight", self.r1_weight, "0 to 1e6")
        _require(0 < self.ema_ramp <= 1, "ema_ramp", self.ema_ramp, "more than 0 and at most 1")

    @property
    def images(self) -> ImageSettings:
        """What becomes of the images before a network sees them."""
        size = parse_size(self.image_size) if self.image_size else None
        return ImageSettings(size, self.image_channels, self.fit, self.background, self.image_key)

    def steps_per_epoch(self, num_images: int) -> int:
        """The last, smaller batch of an epoch is used too."""
        return math.ceil(num_images / self.batch_size)

    def total_steps(self, num_images: int) -> int:
        """The run's length in steps, whichever way it was given."""
        if self.steps is not None:
            return self.steps
        assert self.epochs is not None
        return self.epochs * self.steps_per_epoch(num_images)

    def total_epochs(self, num_images: int) -> int:
        """The run's length in epochs; one that it ends inside of counts too."""
        return math.ceil(self.total_steps(num_images) / self.steps_per_epoch(num_images))

    def learning_rate_factor(self, step: int) -> float:
        """What both rates are multiplied with at `step`, counted from 0.

        Linear warm-up, then inverse square root decay, as in Karras et al. 2024 (EDM2), eq. 67.
        """
        warmup = min(1.0, (step + 1) / self.lr_warmup_steps) if self.lr_warmup_steps else 1.0
        decay = math.sqrt(max(1.0, step / self.lr_decay_steps)) if self.lr_decay_steps else 1.0
        return warmup / decay

    def ema_decay(self, step: int) -> float:
        """The weight of the old average at `step`, counted from 0 (half-life as in StyleGAN2)."""
        images = (step + 1) * self.batch_size
        half_life = min(float(self.ema_images), self.ema_ramp * images)
        return float(0.5 ** (self.batch_size / half_life))


LENGTH_FIELDS = ("epochs", "steps")
"""The only settings that may change when a run is resumed."""


def override(config: TrainConfig, changes: Mapping[str, Any]) -> TrainConfig:
    """`config` with `changes` applied by field name; a network's own fields go to the network.

    Setting one of `epochs` and `steps` clears the other.
    """
    changes = dict(changes)
    if "epochs" in changes and "steps" in changes:
        raise UsageError(Text("give {} or {}, not both", Setting("epochs"), Setting("steps")))
    if "epochs" in changes:
        changes["steps"] = None
    elif "steps" in changes:
        changes["epochs"] = None
    of_network = {name: changes.pop(name) for name in list(changes) if name in NETWORK_FIELDS}
    network = dataclasses.replace(config.network, **of_network)
    return dataclasses.replace(config, network=network, **changes)


def settings(config: TrainConfig) -> dict[str, Any]:
    """Every setting by its own name, the network's among them: the flat view that options see."""
    flat = to_dict(config)
    return {**flat.pop("network"), **flat}


def to_dict(config: TrainConfig) -> dict[str, Any]:
    """Plain JSON-like values, read back by `from_dict`."""
    return dataclasses.asdict(config)


def from_dict(data: object) -> TrainConfig:
    """The inverse of `to_dict`, for data of unknown origin: types, names and bounds are checked."""
    config: TrainConfig = _build(TrainConfig, data, "config")
    return config


def parse_setting(text: str) -> tuple[str, Any]:
    """`name=value` as typed by a user, the value in its field's own type."""
    name, separator, value = text.partition("=")
    name = name.strip().replace("-", "_")
    if not separator or not name:
        raise UsageError(f"'{text}' is not a setting", "Write it as name=value.")
    if name not in SETTINGS:
        if name == "preset":
            raise UsageError(
                "preset is not a setting", Text("Choose it with {}.", Setting("preset"))
            )
        raise UsageError(f"unknown setting '{name}'", nearest(name, SETTINGS))
    kinds = _kinds(SETTINGS[name])
    if types.NoneType in kinds and value.lower() == "none":
        return name, None
    kind = next(kind for kind in kinds if kind is not types.NoneType)
    if kind is bool:
        if value.lower() not in ("true", "false"):
            raise UsageError(Text("{} must be true or false, not '{}'", Setting(name), value))
        return name, value.lower() == "true"
    try:
        return name, kind(value)
    except ValueError:
        number = "a whole number" if kind is int else "a number"
        raise UsageError(Text("{} must be {}, not '{}'", Setting(name), number, value)) from None


def format_setting(value: object) -> str:
    """Return a setting's value as `parse_setting` and a file take it.

    >>> format_setting(None), format_setting(True), format_setting(0.001)
    ('none', 'true', '0.001')
    """
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def _kinds(annotation: Any) -> tuple[type, ...]:
    return typing.get_args(annotation) or (annotation,)


def _build(cls: type[Any], data: object, where: str) -> Any:
    if not isinstance(data, dict):
        raise UsageError(f"{where} is not a table of settings")
    hints = typing.get_type_hints(cls)
    if set(data) != set(hints):
        odd = sorted(str(name) for name in set(data) ^ set(hints))
        raise UsageError(f"{where} has unknown or missing settings: {', '.join(odd)[:200]}")
    values = {}
    for name, annotation in hints.items():
        value = data[name]
        if dataclasses.is_dataclass(annotation):
            value = _build(typing.cast(type[Any], annotation), value, name)
        elif type(value) not in _kinds(annotation):
            raise UsageError(f"{where}: {name} has the wrong type, {type(value).__name__}")
        values[name] = value
    return cls(**values)


NETWORK_FIELDS: dict[str, Any] = typing.get_type_hints(NetworkConfig)
_FROM_ELSEWHERE = {"network", "preset", "height", "width", "channels", "stages", "num_classes"}
SETTINGS: dict[str, Any] = {
    name: hint
    for name, hint in (typing.get_type_hints(TrainConfig) | NETWORK_FIELDS).items()
    if name not in _FROM_ELSEWHERE
}
"""The type of every setting a user may change, by name; images bring their own shape."""
