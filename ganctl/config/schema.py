"""The settings of a training run, each declared once: type, default, allowed values, group, help.

Options, files, environment variables, completion and documentation are made from `SETTINGS`.
Imports no torch.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from ganctl.classes import MAX_CLASSES
from ganctl.config.image_settings import (
    ALL_AUGMENTATIONS,
    CHANNELS,
    FITS,
    MAX_SIZE,
    MAX_STAGES,
    MIN_SIZE,
    MIN_STAGES,
    ImageSettings,
    is_side,
    normalize_augment,
    normalize_range,
    normalize_size,
    parse_size,
)
from ganctl.config.spec import Checked, Spec, require, specs
from ganctl.errors import Setting, Text, UsageError
from ganctl.text import suggestion

ARCHITECTURES = ("dcgan", "fast", "guided")
UPDATES = ("simultaneous", "alternating")
PRECISIONS = ("auto", "fp32", "bf16")
MAX_EPOCHS = 20_000
"""Maximum number of epochs: checkpoints have a row for each, and must not become too large."""
MIN_MEASURED = 10
"""Minimum number of samples for metrics: some of them need five neighbors."""
MAX_SEED = 2**32 - 1
"""Largest seed: 32 bits, the range that NumPy's frozen RandomState takes."""
LENGTH_FIELDS = ("epochs", "steps")
"""The settings that may change when a run is resumed."""

IMAGES, RUN, RECIPE, MACHINE, SAVING = "Images", "Run", "Recipe and networks", "Machine", "Saving"
GROUPS = (IMAGES, RUN, RECIPE, MACHINE, SAVING)
_BILLION = 1_000_000_000


@dataclass(frozen=True, kw_only=True)
class NetworkConfig(Checked):
    """Everything that is needed to rebuild both networks, and nothing else.

    Bounds are checked here, before anything is allocated: a checkpoint's config comes from a file.
    """

    # fmt: off
    architecture: Annotated[str, Spec(
        RECIPE, "Network architecture: fast, guided or dcgan.", choices=ARCHITECTURES)]
    base_channels: Annotated[int, Spec(
        RECIPE, "Width of the networks: number of channels at full resolution (guided: of the "
        "generator; the discriminator has half).", 1, 512)]
    latent_dim: Annotated[int, Spec(
        RECIPE, "Length of the latent vector, the generator's input.", 1, 4096)] = 100
    # fmt: on
    stages: Annotated[int, Spec(low=MIN_STAGES, high=MAX_STAGES)] = 2
    """How many times the generator doubles the images' sides, and the discriminator halves them."""
    num_classes: Annotated[int, Spec(low=0, high=MAX_CLASSES)] = 0
    """Number of classes that the networks are conditioned on; 0: not conditional."""
    height: int = 28
    width: int = 28
    channels: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("height", "width"):
            size = getattr(self, name)
            rule = f"a multiple of 4 from {MIN_SIZE} to {MAX_SIZE}"
            require(is_side(size), name, size, rule)
            rule = f"a multiple of {2**self.stages}, for {self.stages} stages"
            require(size % 2**self.stages == 0, name, size, rule)
        require(self.channels in CHANNELS, "channels", self.channels, "1, 3 or 4")

    @property
    def input_dim(self) -> int:
        """Length of the generator's input: a latent, and after it a class as a one-hot vector."""
        return self.latent_dim + self.num_classes

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """The shape of an image, (C, H, W)."""
        return (self.channels, self.height, self.width)


@dataclass(frozen=True, kw_only=True)
class TrainConfig(Checked):
    """The settings of one training run. A preset is a named TrainConfig."""

    preset: str
    network: NetworkConfig

    # fmt: off
    data: Annotated[str, Spec(
        IMAGES, "Your own images: a folder, a .zip, .tar, .npz, .npy or .parquet, MNIST's idx "
        "files, or tar shards as 'shards/*.tar'. To stream shards, give their index, which may "
        "also be at s3://bucket/index.json. Or hf://USER/NAME, a dataset of Hugging Face's hub. Or "
        "the name of a dataset: mnist and stacked-mnist ship with ganctl; fashion-mnist, kmnist, "
        "emnist and cifar10 are downloaded.")] = "mnist"
    image_size: Annotated[str | None, Spec(
        IMAGES, f"Training resolution in pixels (N, or HEIGHTxWIDTH); multiples of 4 from "
        f"{MIN_SIZE} to {MAX_SIZE}.",
        normalize=normalize_size, unset="chosen from the images")] = None
    image_channels: Annotated[int | None, Spec(
        IMAGES, "1 (grayscale), 3 (RGB), 4 (RGBA: keeps transparency) or auto (1 or 3, detected "
        "from the images).", unset="auto")] = None
    fit: Annotated[str, Spec(
        IMAGES, Text("crop: center-crop; pad: letterbox on {}; stretch: ignore aspect ratio.",
                     Setting("background")), choices=FITS)] = "crop"
    background: Annotated[str, Spec(
        IMAGES, "Color behind transparent images and beside padded ones: a name or '#ff8800'.",
        )] = "white"
    value_range: Annotated[str, Spec(
        IMAGES, "How values of 16 bits or of floating point become gray levels. auto: the lowest "
        "and the highest in the images are black and white; full: 0 and 65535, or 0 and 1; or "
        "MIN,MAX.", normalize=normalize_range)] = "auto"
    image_key: Annotated[str | None, Spec(
        IMAGES, "The image to use where the samples in tar shards have several, such as seg.png.",
        unset="the first with a plain suffix")] = None
    image_column: Annotated[str | None, Spec(
        IMAGES, "The column of the images where a Parquet file or an hf:// dataset has several.",
        unset="the only one")] = None
    label_column: Annotated[str | None, Spec(
        IMAGES, "The column of the classes in a Parquet file or an hf:// dataset.",
        unset="the one whose type or name says so")] = None
    mirror: Annotated[bool, Spec(
        IMAGES, "Flip images horizontally at random (doubles the dataset).")] = False
    augment: Annotated[str, Spec(  # Zhao et al. 2020
        IMAGES, "Differentiable augmentation of real and generated images alike, for small "
        f"datasets: auto, none, or any of {ALL_AUGMENTATIONS}; auto: all of them below "
        "1,000 training images, translation below 5,000.", normalize=normalize_augment)] = "auto"
    limit: Annotated[int | None, Spec(
        IMAGES, "Use only N images: the first N of a built-in dataset, a random N of your own.",
        2, _BILLION, unset="all")] = None
    holdout: Annotated[float | None, Spec(
        IMAGES, "Share of the images to hold out: they are never trained on, and samples are "
        "compared with them. auto: 0.1 (of large datasets 5,000 images), none under 1,000 images "
        "or if there are test images.", 0, 0.5, unset="auto")] = None
    skip_bad: Annotated[bool, Spec(
        IMAGES, "Skip unreadable files instead of refusing to start.")] = False

    epochs: Annotated[int | None, Spec(
        RUN, "Number of passes over the training images.", 1, MAX_EPOCHS)] = None
    steps: Annotated[int | None, Spec(
        RUN, Text("Train for N optimizer steps instead of {}.", Setting("epochs")),
        1, _BILLION)] = None
    seed: Annotated[int, Spec(
        RUN, "Random seed for the whole run (initialization, data order, noise).", 0, MAX_SEED)] = 0

    conditional: Annotated[bool, Spec(
        RECIPE, "Train a class-conditional GAN (if the data has labels).")] = False
    batch_size: Annotated[int, Spec(
        RECIPE, "Images per training step (summed over all processes).", 1, 65_536)]
    accumulate: Annotated[int, Spec(
        RECIPE, "Gradient accumulation: split each batch into N micro-batches to save memory.",
        1, 1024)] = 1
    loss: Annotated[str, Spec(
        RECIPE, "bce (binary cross-entropy), or relativistic.", choices=("bce", "relativistic"))]
    updates: Annotated[str, Spec(
        RECIPE, "simultaneous: both gradients are taken before either network changes; "
        "alternating: the generator's after the discriminator has changed.",
        choices=UPDATES)] = "simultaneous"
    lr_g: Annotated[float, Spec(
        RECIPE, "Learning rate of the generator.", 0, 1, excluded=0)]
    lr_d: Annotated[float, Spec(
        RECIPE, "Learning rate of the discriminator.", 0, 1, excluded=0)]
    beta1: Annotated[float, Spec(RECIPE, "Adam's beta1.", 0, 1, excluded=1)]
    beta2: Annotated[float, Spec(RECIPE, "Adam's beta2.", 0, 1, excluded=1)]
    lr_warmup_steps: Annotated[int, Spec(
        RECIPE, "Steps of linear learning rate warm-up (0: none).", 0, _BILLION)] = 0
    lr_decay_steps: Annotated[int, Spec(
        RECIPE, "Decay the learning rate as 1/sqrt(step) after this many steps (0: never).",
        0, _BILLION)] = 0
    r1_weight: Annotated[float, Spec(  # Mescheder et al. 2018, eq. 9
        RECIPE, "Gamma of the R1 gradient penalty (0: none).", 0, 1_000_000)] = 0.0
    r1_interval: Annotated[int, Spec(  # Karras et al. 2020 (StyleGAN2), section 3.1
        RECIPE, "Steps from one R1 penalty to the next (lazy regularization).", 1, 1_000_000)] = 1
    freeze_d: Annotated[int, Spec(  # Mo et al. 2020
        RECIPE, Text("Do not train the discriminator's first N layers, those at the image, in a "
                     "run that begins with {} (FreezeD).", Setting("init_from")), 0, 1000)] = 0
    ema_images: Annotated[int, Spec(
        RECIPE, "Half-life of the moving average of the generator's weights, in images (0: no "
        "average).", 0, _BILLION)] = 0
    ema_ramp: Annotated[float, Spec(
        RECIPE, "Limit the half-life to this share of the images seen so far.",
        0, 1, excluded=0)] = 0.05

    precision: Annotated[str, Spec(
        MACHINE, "fp32, bf16, or auto (bf16 if it is faster on this device).",
        choices=PRECISIONS)] = "auto"
    threads: Annotated[int | None, Spec(
        MACHINE, "Number of CPU threads.", 1, 1024,
        unset="the fastest, found by a short benchmark")] = None
    compile: Annotated[bool, Spec(MACHINE, "Run the networks through torch.compile.")] = False

    snapshot_every: Annotated[int, Spec(
        SAVING, "Keep a snapshot, epoch-0005.pt, every N epochs (0: none).", 0, 1_000_000)] = 5
    keep: Annotated[int, Spec(
        SAVING, "Keep the newest N snapshots (0: keep none).", 0, 1_000_000)] = 3
    num_samples: Annotated[int, Spec(
        SAVING, "Number of samples drawn after each epoch, from seeds 0, 1, 2, ...", 1, 1024)] = 16
    eval_samples: Annotated[int, Spec(
        SAVING, "Number of samples that are measured at once (0: none).", 0, 5000)] = 1000
    eval_every: Annotated[int | None, Spec(
        SAVING, "Measure samples every N epochs, and after the last one; auto: digits after every "
        "epoch, other images so rarely that it takes up to 3 % of the training.", 1, MAX_EPOCHS,
        unset="auto")] = None
    # fmt: on

    def __post_init__(self) -> None:
        super().__post_init__()
        channels = self.image_channels
        is_allowed = channels is None or channels in CHANNELS
        require(is_allowed, "image_channels", channels, "1, 3, 4 or auto")
        if (self.epochs is None) == (self.steps is None):
            lengths = map(Setting, LENGTH_FIELDS)
            raise UsageError(Text("a run needs a length: {} or {}", *lengths))
        # batch normalization has no variance of one
        least = 2 if self.network.architecture == "dcgan" else 1
        require(self.batch_size >= least, "batch_size", self.batch_size, "at least 2 for dcgan")
        most = self.batch_size // least
        rule = f"1 to {most} for a batch of {self.batch_size}"
        require(self.accumulate <= most, "accumulate", self.accumulate, rule)
        measured = self.eval_samples
        is_enough = measured == 0 or measured >= MIN_MEASURED
        require(is_enough, "eval_samples", measured, f"0 or at least {MIN_MEASURED}")

    @property
    def image_settings(self) -> ImageSettings:
        """The preprocessing of images."""
        size = parse_size(self.image_size) if self.image_size else None
        return ImageSettings(
            size, self.image_channels, self.fit, self.background, self.image_key,
            self.image_column, self.label_column, self.value_range,
        )  # fmt: skip

    def num_held_out(self, num_images: int) -> int:
        """Return how many of all images are held out; none while that is still open."""
        return round(num_images * (self.holdout or 0.0))

    def steps_per_epoch(self, num_images: int) -> int:
        """Return the number of steps in an epoch; the last batch may be smaller."""
        return math.ceil(num_images / self.batch_size)

    def total_steps(self, num_images: int) -> int:
        """Return the run's length in steps, whether it was given in steps or in epochs."""
        if self.steps is not None:
            return self.steps
        assert self.epochs is not None
        return self.epochs * self.steps_per_epoch(num_images)

    def total_epochs(self, num_images: int) -> int:
        """Return the run's length in epochs, an incomplete last one included."""
        return math.ceil(self.total_steps(num_images) / self.steps_per_epoch(num_images))


SETTINGS: dict[str, Spec] = {
    name: spec
    for group in GROUPS
    for name, spec in (specs(NetworkConfig) | specs(TrainConfig)).items()
    if spec.group == group
}
"""Every setting that a user may change, by its name, group by group."""


def override(config: TrainConfig, changes: Mapping[str, Any]) -> TrainConfig:
    """Return `config` with `changes` by field name; a network's own fields go to the network.

    Setting one of `epochs` and `steps` clears the other. Raises UsageError.
    """
    changes = dict(changes)
    if "epochs" in changes and "steps" in changes:
        raise UsageError(Text("give {} or {}, not both", Setting("epochs"), Setting("steps")))
    if "epochs" in changes:
        changes["steps"] = None
    elif "steps" in changes:
        changes["epochs"] = None
    of_network = {name: changes.pop(name) for name in specs(NetworkConfig) if name in changes}
    network = dataclasses.replace(config.network, **of_network)
    return dataclasses.replace(config, network=network, **changes)


def settings(config: TrainConfig) -> dict[str, Any]:
    """Return every field's value by its name, the network's among them."""
    flat = to_dict(config)
    return {**flat.pop("network"), **flat}


def to_dict(config: TrainConfig) -> dict[str, Any]:
    """Return plain JSON-like values, which `from_dict` reads."""
    return dataclasses.asdict(config)


def from_dict(data: object) -> TrainConfig:
    """Rebuild the config that `to_dict` returned; everything is checked. Raises UsageError."""
    config: TrainConfig = _build(TrainConfig, data, "config")
    return config


def _build(cls: Any, data: object, where: str) -> Any:
    if not isinstance(data, dict):
        raise UsageError(f"{where} is not a table of settings")
    known = specs(cls)
    if set(data) != set(known):
        odd = sorted(str(name) for name in set(data) ^ set(known))
        raise UsageError(f"{where} has unknown or missing settings: {', '.join(odd)[:200]}")
    values = dict(data)
    for name, spec in known.items():
        value = data[name]
        if spec.kind is NetworkConfig:
            values[name] = _build(NetworkConfig, value, name)
        elif type(value) is not spec.kind and not (value is None and spec.is_optional):
            raise UsageError(f"{where}: {name} has the wrong type, {type(value).__name__}")
    return cls(**values)


_BOOLS = {"true": True, "false": False}
_KINDS = {bool: "true or false", int: "a whole number", float: "a number"}


def parse_setting(text: str) -> tuple[str, Any]:
    """Return a setting's name and value from a user's `name=value`. Raises UsageError."""
    name, separator, value = text.partition("=")
    name = name.strip().replace("-", "_")
    if not separator or not name:
        raise UsageError(f"'{text}' is not a setting", "Write it as name=value.")
    return name, parse_value(name, value)


def parse_value(name: str, text: str) -> Any:
    """Return a setting's value, in its own type, from text. Raises UsageError."""
    if name not in SETTINGS:
        if name == "preset":
            hint = Text("Choose it with {}.", Setting("preset"))
            raise UsageError("preset is not a setting", hint)
        raise UsageError(f"unknown setting '{name}'", suggestion(name, SETTINGS))
    spec = SETTINGS[name]
    if spec.is_optional and text.lower() in ("none", spec.unset):
        return None
    try:
        value: Any = _BOOLS[text.lower()] if spec.kind is bool else spec.kind(text)
    except (ValueError, KeyError):
        words = Setting(name), _KINDS[spec.kind], text[:40]
        raise UsageError(Text("{} must be {}, not '{}'", *words)) from None
    return spec.normalize(value) if spec.normalize else value


def format_setting(value: object) -> str:
    """Return a setting's value as text that `parse_value` takes: 'none', 'true', '0.001'."""
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)
