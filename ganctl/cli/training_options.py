"""The options of ganctl train, in the groups in which --help shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ganctl import config as configs
from ganctl.cli import completion
from ganctl.cli.options import IMAGES, config_option, json_option, quiet_option, set_option

RUN, RECIPE, MACHINE, SAVING, OUTPUT = (
    "Run", "Recipe and networks", "Machine", "Saving", "Output",
)  # fmt: skip
"""The groups after IMAGES, in the order in which a person needs them."""


def _option(
    group: str, help_text: str, *names: str, metavar: str = "N", default: str | bool = False,
    complete: Any = None,
) -> Any:  # fmt: skip
    """An option that is not given is None: the preset, or a resumed run, decides."""
    return typer.Option(
        *names, metavar=metavar, help=help_text, show_default=default, autocompletion=complete,
        rich_help_panel=group,
    )  # fmt: skip


def _flag(group: str, names: str, help_text: str, default: str | bool = False) -> Any:
    return typer.Option(names, help=help_text, show_default=default, rich_help_panel=group)


def _by_preset(setting: str) -> str:
    """Each preset's own value of a setting, for the help."""
    values = {name: configs.settings(config)[setting] for name, config in configs.PRESETS.items()}
    shown = {True: "yes", False: "no"}
    return ", ".join(
        f"{name}: {shown[value] if isinstance(value, bool) else value}"
        for name, value in values.items()
    )


DataOption = Annotated[
    str | None,
    _option(IMAGES, "Your own images: a folder, a .zip, .tar or .npz, or tar shards as "
            "'shards/{000..127}.tar'. To stream shards, give their index, which may also be at "
            "s3://bucket/index.json. Or a data set's name: mnist and stacked-mnist ship with "
            "ganctl; fashion-mnist, kmnist, emnist and cifar10 are downloaded.",
            metavar="PATH|NAME", default="mnist", complete=completion.data),
]  # fmt: skip
SkipBadOption = Annotated[
    bool | None,
    _flag(IMAGES, "--skip-bad", "Skip unreadable files instead of refusing to start."),
]
MirrorOption = Annotated[
    bool | None,
    _flag(IMAGES, "--mirror/--no-mirror",
          "Flip images horizontally at random (doubles the data set).", "no"),
]  # fmt: skip
AugmentOption = Annotated[
    str | None,
    _option(IMAGES, "Differentiable augmentation of real and generated images alike, for small "
            "data sets: auto, none, or any of color,translation,cutout; auto: all of them below "
            "5,000 images.", metavar="LIST", default=_by_preset("augment")),
]  # fmt: skip
LimitOption = Annotated[
    int | None,
    _option(IMAGES, "Train on only N images: the first N of a built-in data set, a random N of "
            "your own.", default="all"),
]  # fmt: skip

PresetOption = Annotated[
    str | None,
    _option(RUN, "fast, or dcgan: the classic recipe to the letter.", metavar="NAME",
            default="fast", complete=completion.presets),
]  # fmt: skip
OutOption = Annotated[
    Path | None,
    _option(RUN, "Folder of the run.", "-o", "--out", metavar="DIR", default="runs/DATA-PRESET"),
]
EpochsOption = Annotated[
    int | None,
    _option(RUN, "Number of passes over the training images.", default=_by_preset("epochs")),
]
StepsOption = Annotated[
    int | None, _option(RUN, "Train for N optimizer steps instead of --epochs.")
]
SeedOption = Annotated[
    int | None,
    _option(RUN, "Random seed of the whole run: initialization, data order, noise.", default="0"),
]
ResumeOption = Annotated[
    bool, _flag(RUN, "--resume", "Resume the run in --out from its latest checkpoint.")
]
DryRunOption = Annotated[
    bool,
    _flag(RUN, "--dry-run", "Show settings, networks, time and memory, without training."),
]

BatchSizeOption = Annotated[
    int | None,
    _option(RECIPE, "Images per training step, summed over all processes.",
            default=_by_preset("batch_size")),
]  # fmt: skip
AccumulateOption = Annotated[
    int | None,
    _option(RECIPE, "Gradient accumulation: split each batch into N micro-batches to save memory.",
            default="1"),
]  # fmt: skip
LatentDimOption = Annotated[
    int | None,
    _option(RECIPE, "Length of the latent vector, the generator's input.",
            default=_by_preset("latent_dim")),
]  # fmt: skip
ConditionalOption = Annotated[
    bool | None,
    _flag(RECIPE, "--conditional/--unconditional",
          "Train a class-conditional GAN, if the images have classes.", _by_preset("conditional")),
]  # fmt: skip
LrGOption = Annotated[
    float | None,
    _option(RECIPE, "Learning rate of the generator.", metavar="F", default=_by_preset("lr_g")),
]
LrDOption = Annotated[
    float | None,
    _option(RECIPE, "Learning rate of the discriminator.", metavar="F", default=_by_preset("lr_d")),
]
TrainConfigOption = Annotated[Path | None, config_option(RECIPE)]
TrainSetOption = Annotated[list[str] | None, set_option(RECIPE)]

DeviceOption = Annotated[
    str,
    _option(MACHINE, "auto, cpu, cuda, cuda:N or mps.", metavar="NAME", default=True,
            complete=completion.devices),
]  # fmt: skip
PrecisionOption = Annotated[
    str | None,
    _option(MACHINE, "fp32, bf16, or auto (bf16 if it is faster on this device).", metavar="NAME",
            default="auto", complete=completion.precisions),
]  # fmt: skip
ThreadsOption = Annotated[
    int | None,
    _option(MACHINE, "Number of CPU threads.", default="the fastest, found by a short benchmark"),
]
NumProcessesOption = Annotated[
    int,
    typer.Option(metavar="N", min=1, rich_help_panel=MACHINE,
                 help="Split each batch over N processes: one per GPU, or each with a share of the "
                 "CPU cores. For several machines use torchrun."),
]  # fmt: skip
PatienceOption = Annotated[
    float,
    _option(MACHINE, "How long processes wait for one that does not respond before giving up.",
            metavar="SECONDS", default=True),
]  # fmt: skip
CompileOption = Annotated[
    bool | None,
    _flag(MACHINE, "--compile/--no-compile", "Run the networks through torch.compile.", "no"),
]
CacheMemoryOption = Annotated[
    str | None,
    _option(MACHINE, "Decoded images that take more than this stay on disk (memory-mapped) "
            "instead of in memory.", metavar="SIZE", default="4GiB"),
]  # fmt: skip

SaveEveryOption = Annotated[
    float,
    _option(SAVING, "Save a checkpoint at least this often; a crash loses at most that much work.",
            metavar="SECONDS", default=True),
]  # fmt: skip
SnapshotEveryOption = Annotated[
    int | None,
    _option(SAVING, "Keep a snapshot, epoch-0005.pt, every N epochs; 0: none.", default="5"),
]
KeepOption = Annotated[
    int | None, _option(SAVING, "Keep the newest N snapshots; 0: none.", default="3")
]
NumSamplesOption = Annotated[
    int | None,
    _option(SAVING, "Number of samples drawn after each epoch.", default=_by_preset("num_samples")),
]

NoPreviewOption = Annotated[
    bool, _flag(OUTPUT, "--no-preview", "Show no samples on the screen during training.")
]
TrainQuietOption = Annotated[bool, quiet_option(OUTPUT)]
TrainJsonOption = Annotated[
    bool,
    json_option("Print JSON to stdout: one object per line, one per epoch and a last one.", OUTPUT),
]
