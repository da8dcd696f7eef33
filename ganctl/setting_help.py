"""What each setting of a training run is, in the groups in which a person needs them."""

from __future__ import annotations

import json
import re
import textwrap
from typing import Any

from ganctl.config import schema
from ganctl.config.images import SIZES
from ganctl.config.presets import PRESETS
from ganctl.config.schema import LENGTH_FIELDS, TrainConfig

IMAGES, RUN, RECIPE, MACHINE, SAVING = "Images", "Run", "Recipe and networks", "Machine", "Saving"
GROUPS = {
    IMAGES: {
        "data": "Your own images: a folder, a .zip, .tar, .npz or .npy, or tar shards as "
        "'shards/{000..127}.tar'. To stream shards, give their index, which may also be at "
        "s3://bucket/index.json. Or a data set's name: mnist and stacked-mnist ship with ganctl; "
        "fashion-mnist, kmnist, emnist and cifar10 are downloaded.",
        "image_size": f"Training resolution in pixels: {', '.join(map(str, SIZES))}, or another "
        "multiple of 4 from 8 to 256; 48x64 is 48 high and 64 wide.",
        "image_channels": "1 (grayscale) or 3 (RGB).",
        "fit": "How an image of another aspect ratio is made to fit. crop: center crop; pad: all "
        "of it, on the background; stretch: ignore the aspect ratio.",
        "background": "Color behind transparent images and beside padded ones: a name or "
        "'#ff8800'.",
        "mirror": "Flip images horizontally at random (doubles the data set).",
        "augment": "Differentiable augmentation of real and generated images alike, for small "
        "data sets: auto, none, or any of color,translation,cutout; auto: all of them below 5,000 "
        "images.",
        "image_key": "The image to use where the samples in tar shards have several, such as "
        "seg.png.",
        "limit": "Train on only N images: the first N of a built-in data set, a random N of your "
        "own.",
        "skip_bad": "Skip unreadable files instead of refusing to start.",
    },
    RUN: {
        "epochs": "Number of passes over the training images.",
        "steps": "Train for N optimizer steps instead of a number of epochs.",
        "seed": "Random seed of the whole run: initialization, data order, noise.",
    },
    RECIPE: {
        "architecture": "Networks: fast, or dcgan.",
        "base_channels": "Width of the networks: channels of their widest images.",
        "latent_dim": "Length of the latent vector, the generator's input.",
        "conditional": "Train a class-conditional GAN, if the images have classes.",
        "batch_size": "Images per training step, summed over all processes.",
        "accumulate": "Gradient accumulation: split each batch into N micro-batches to save "
        "memory.",
        "loss": "bce (binary cross-entropy), or relativistic.",
        "updates": "simultaneous: both gradients are taken before either network changes; "
        "alternating: the generator's after the discriminator has changed.",
        "lr_g": "Learning rate of the generator.",
        "lr_d": "Learning rate of the discriminator.",
        "beta1": "Adam's beta1.",
        "beta2": "Adam's beta2.",
        "lr_warmup_steps": "Steps of linear learning rate warm-up; 0: none.",
        "lr_decay_steps": "The learning rate decays as 1/sqrt(step) after this many steps; 0: "
        "never.",
        "r1_weight": "Gamma of the R1 gradient penalty; 0: none.",
        "r1_interval": "Steps from one R1 penalty to the next (lazy regularization).",
        "ema_images": "Half-life of the moving average of the generator's weights, in images; 0: "
        "no average.",
        "ema_ramp": "Early on, the half-life is at most this share of the images seen so far.",
    },
    MACHINE: {
        "precision": "fp32, bf16, or auto (bf16 if it is faster on this device).",
        "threads": "Number of CPU threads.",
        "compile": "Run the networks through torch.compile.",
    },
    SAVING: {
        "snapshot_every": "Keep a snapshot, epoch-0005.pt, every N epochs; 0: none.",
        "keep": "Keep the newest N snapshots; 0: none.",
        "num_samples": "Number of samples drawn after each epoch.",
        "eval_samples": "Number of samples measured after each epoch, where there is a classifier "
        "of such images; 0: none.",
    },
}
"""Each setting's help, by its name, group by group."""
HELP = {name: text for group in GROUPS.values() for name, text in group.items()}
_OPEN = {
    "image_size": "chosen from the images",
    "image_channels": "chosen from the images",
    "threads": "as many as a short benchmark finds worth it",
    "limit": "all",
}
"""What a setting without a value stands for."""
_WIDTH = 96


def template(config: TrainConfig) -> str:
    """Return a TOML file of all settings, with comments, that `ganctl train --config` reads.

    What is as the preset has it is commented out: `#seed = 0`.
    """
    values, usual = schema.settings(config), schema.settings(PRESETS[config.preset])
    lines = [
        "# Settings of 'ganctl train --config FILE'. A line that begins with # is a comment; to",
        "# change a setting, remove the # before its name and give it another value.",
        "",
        f"preset = {json.dumps(config.preset)}",
    ]
    for group, settings in GROUPS.items():
        lines += ["", "", f"# {group}"]
        for name, text in settings.items():
            comment = textwrap.wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False)
            lines += ["", *(f"# {line}" for line in comment)]
            # The one length that is given is enough: a file may not have both.
            is_said = values[name] != usual[name] and not (
                name in LENGTH_FIELDS and values[name] is None
            )
            mark = "" if is_said else "#"
            lines.append(mark + _line(name, values[name]))
    return "\n".join(lines) + "\n"


def _line(name: str, value: Any) -> str:
    """`name = value`, or only `name =` with a note where it has no value."""
    if value is None:
        return f'{name} = "none"  # {_OPEN.get(name, "not set")}'
    if isinstance(value, str):
        # As JSON has it, and what TOML wants escaped besides.
        return f"{name} = " + re.sub("\x7f", r"\\u007f", json.dumps(value, ensure_ascii=False))
    return f"{name} = {json.dumps(value)}"
