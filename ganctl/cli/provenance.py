"""The command that drew samples, for the files that it writes."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import typer

if TYPE_CHECKING:
    from ganctl.samples import Samples

    _S = TypeVar("_S", bound=Samples)

_LEFT_OUT = ("out", "open_", "save_latents", "force", "quiet", "json")
"""Parameters of commands that do not change the images."""


def with_command(samples: _S, context: typer.Context) -> _S:
    """Return `samples` with the command of `context` in the text for their files."""
    return dataclasses.replace(samples, text={**samples.text, "command": command_of(context)})


def command_of(context: typer.Context) -> str:
    """Return the command of `context` as text for files.

    It has the options that were given and decide the images, so that the same images have the same
    bytes wherever they are written. Absolute paths are reduced to names: a picture that is shown to
    others does not tell where its maker keeps files.
    """
    words = ["ganctl", str(context.info_name)]
    for param in context.command.params:
        name = param.name or ""
        source = context.get_parameter_source(name)
        if name in _LEFT_OUT or source is None or source.name != "COMMANDLINE":
            continue
        value = context.params[name]
        if isinstance(value, bool):
            words.append(param.opts[0] if value else param.secondary_opts[0])
            continue
        for each in value if isinstance(value, list | tuple) else [value]:
            text = str(each)
            if Path(text).is_absolute():
                text = Path(text).name
            words += [text] if param.param_type_name == "argument" else [param.opts[-1], text]
    return shlex.join(words)
