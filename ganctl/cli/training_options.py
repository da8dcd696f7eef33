"""The options of ganctl train: one for each setting, and those that are not settings."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable
from inspect import Parameter
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from ganctl.cli import completion
from ganctl.cli.option_names import SET_ONLY
from ganctl.cli.options import SetOption, chosen_settings, setting_option
from ganctl.config.schema import GROUPS, MACHINE, RECIPE, RUN, SAVING, SETTINGS

OUTPUT = "Output"
_MAX_SECONDS = 86_400
_NOT_SETTINGS = {
    RUN: ("preset", "out", "resume", "init_from", "dry_run"),
    RECIPE: ("file", "assignments"),
    MACHINE: ("device", "num_processes", "timeout", "cache_memory", "no_graphs"),
    SAVING: ("save_every",),
    OUTPUT: ("track", "no_preview", "quiet", "json"),
}
"""The command's own parameters, in the groups in which --help shows them."""

# fmt: off
PresetOption = Annotated[str | None, typer.Option(
    metavar="NAME", show_default="guided, or fast for digits and for images under 48x48 pixels",
    autocompletion=completion.presets,
    help="fast, guided (for photographs and drawings), or dcgan, the classic recipe.")]
OutOption = Annotated[Path | None, typer.Option(
    "-o", "--out", metavar="DIR", help="Folder of the run.",
    show_default="runs/DATA-PRESET, or runs/DATA if the images decide on the preset")]
ResumeOption = Annotated[bool, typer.Option(
    "--resume", help="Resume the run in --out from its latest checkpoint.")]
InitFromOption = Annotated[Path | None, typer.Option(
    "--init-from", metavar="CKPT", show_default=False, autocompletion=completion.checkpoints,
    help="Begin a new run with the weights of a checkpoint, a .pt file or a run directory. Preset, "
    "size and networks are as there unless you choose them.")]
DryRunOption = Annotated[bool, typer.Option(
    "--dry-run", help="Show settings, networks, time and memory, without training.")]
DeviceOption = Annotated[str, typer.Option(
    metavar="NAME", autocompletion=completion.devices, help="auto, cpu, cuda, cuda:N or mps.")]
NumProcessesOption = Annotated[int, typer.Option(
    metavar="N", min=1, help="Split each batch over N processes (one per GPU, or a share of the "
    "CPU cores). For several machines use torchrun.")]
TimeoutOption = Annotated[float, typer.Option(
    metavar="SECONDS", min=1, max=_MAX_SECONDS,
    help="Seconds to wait for an unresponsive process before giving up.")]
CacheMemoryOption = Annotated[str, typer.Option(
    metavar="SIZE", help="Decoded images that take more than this stay on disk (memory-mapped) "
    "instead of in memory.")]
NoGraphsOption = Annotated[bool, typer.Option(
    "--no-graphs", help="On an NVIDIA GPU, launch every kernel of a step by itself instead of "
    "replaying steps as CUDA graphs.")]
SaveEveryOption = Annotated[float, typer.Option(
    metavar="SECONDS",
    help="Save a checkpoint at least every SECONDS; a crash loses at most that much work.")]
NoPreviewOption = Annotated[bool, typer.Option(
    "--no-preview", help="Show no samples on the screen during training.")]
TrackOption = Annotated[list[str] | None, typer.Option(
    "--track", metavar="NAME", show_default="none; with --resume those of the run",
    autocompletion=completion.trackers,
    help="Log metrics and samples to tensorboard, wandb or mlflow; repeatable. none: to nothing.")]
JsonLinesOption = Annotated[bool, typer.Option(
    "--json", help="Print JSON to stdout (one object per line and epoch).")]
# fmt: on


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Return `command` with an option for each setting in place of its parameter `settings`.

    `command` gets the settings that were given, including those of --set, as a dict by name.
    """
    own = dict(inspect.signature(command, eval_str=True).parameters)
    own["assignments"] = _parameter("assignments", SetOption)
    parameters = [own["context"]]
    for group in (*GROUPS, OUTPUT):
        parameters += [_in_group(own[name], group) for name in _NOT_SETTINGS.get(group, ())]
        for name, spec in SETTINGS.items():
            if spec.group == group and name not in SET_ONLY:
                kind: Any = bool if spec.kind is bool else str
                parameters.append(_parameter(name, Annotated[kind | None, setting_option(name)]))

    @functools.wraps(command)
    def wrapper(**arguments: Any) -> None:
        given = {name: arguments.pop(name) for name in SETTINGS if name in arguments}
        settings = chosen_settings(arguments.pop("assignments"), **given)
        command(**arguments, settings=settings)

    wrapper.__annotations__ = {}
    wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return wrapper


def _parameter(name: str, annotation: Any) -> Parameter:
    return Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _in_group(parameter: Parameter, group: str) -> Parameter:
    kind, info = get_args(parameter.annotation)
    info = copy.copy(info)
    info.rich_help_panel = group
    return parameter.replace(kind=Parameter.KEYWORD_ONLY, annotation=Annotated[kind, info])
