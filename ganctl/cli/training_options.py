"""The options of ganctl train, in the groups in which --help shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ganctl.cli import completion
from ganctl.cli.options import config_option, json_option, quiet_option, set_option
from ganctl.config import presets, schema
from ganctl.setting_help import HELP, IMAGES, MACHINE, RECIPE, RUN, SAVING

OUTPUT = "Output"
"""The last group, of options that are no settings."""


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
    values = {name: schema.settings(config)[setting] for name, config in presets.PRESETS.items()}
    shown = {True: "yes", False: "no"}
    return ", ".join(
        f"{name}: {shown[value] if isinstance(value, bool) else value}"
        for name, value in values.items()
    )


DataOption = Annotated[
    str | None,
    _option(IMAGES, HELP["data"],
            metavar="PATH|NAME", default="mnist", complete=completion.data),
]  # fmt: skip
SkipBadOption = Annotated[
    bool | None,
    _flag(IMAGES, "--skip-bad", HELP["skip_bad"]),
]
MirrorOption = Annotated[
    bool | None,
    _flag(IMAGES, "--mirror/--no-mirror", HELP["mirror"], "no"),
]
AugmentOption = Annotated[
    str | None,
    _option(IMAGES, HELP["augment"], metavar="LIST", default=_by_preset("augment")),
]  # fmt: skip
LimitOption = Annotated[
    int | None,
    _option(IMAGES, HELP["limit"], default="all"),
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
    _option(RUN, HELP["epochs"], default=_by_preset("epochs")),
]
StepsOption = Annotated[int | None, _option(RUN, HELP["steps"])]
SeedOption = Annotated[
    int | None,
    _option(RUN, HELP["seed"], default="0"),
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
    _option(RECIPE, HELP["batch_size"],
            default=_by_preset("batch_size")),
]  # fmt: skip
AccumulateOption = Annotated[
    int | None,
    _option(RECIPE, HELP["accumulate"],
            default="1"),
]  # fmt: skip
LatentDimOption = Annotated[
    int | None,
    _option(RECIPE, HELP["latent_dim"],
            default=_by_preset("latent_dim")),
]  # fmt: skip
ConditionalOption = Annotated[
    bool | None,
    _flag(RECIPE, "--conditional/--unconditional", HELP["conditional"],
          _by_preset("conditional")),
]  # fmt: skip
LrGOption = Annotated[
    float | None,
    _option(RECIPE, HELP["lr_g"], metavar="F", default=_by_preset("lr_g")),
]
LrDOption = Annotated[
    float | None,
    _option(RECIPE, HELP["lr_d"], metavar="F", default=_by_preset("lr_d")),
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
    _option(MACHINE, HELP["precision"], metavar="NAME",
            default="auto", complete=completion.precisions),
]  # fmt: skip
ThreadsOption = Annotated[
    int | None,
    _option(
        MACHINE, HELP["threads"], default="as many as make steps much faster, by a short benchmark"
    ),
]
NumProcessesOption = Annotated[
    int,
    typer.Option(metavar="N", min=1, rich_help_panel=MACHINE,
                 help="Split each batch over N processes: one per GPU, or each with a share of the "
                 "CPU cores. For several machines use torchrun."),
]  # fmt: skip
TimeoutOption = Annotated[
    float,
    _option(MACHINE, "Seconds to wait for an unresponsive process before giving up.",
            metavar="SECONDS", default=True),
]  # fmt: skip
CompileOption = Annotated[
    bool | None,
    _flag(MACHINE, "--compile/--no-compile", HELP["compile"], "no"),
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
    _option(SAVING, HELP["snapshot_every"], default="5"),
]
KeepOption = Annotated[int | None, _option(SAVING, HELP["keep"], default="3")]
NumSamplesOption = Annotated[
    int | None,
    _option(SAVING, HELP["num_samples"], default=_by_preset("num_samples")),
]

NoPreviewOption = Annotated[
    bool, _flag(OUTPUT, "--no-preview", "Show no samples on the screen during training.")
]
TrainQuietOption = Annotated[bool, quiet_option(OUTPUT)]
TrainJsonOption = Annotated[
    bool,
    json_option("Print JSON to stdout: one object per line, one per epoch and a last one.", OUTPUT),
]
