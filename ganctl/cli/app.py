"""The Typer app, and the one boundary where exceptions become words and exit codes."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import ganctl
from ganctl.cli import (
    config,
    data,
    evaluate,
    inspect,
    interpolate,
    pack,
    processes,
    report,
    sample,
    train,
)
from ganctl.cli.signals import Stopped, exit_on_signals
from ganctl.cli.terminal import Terminal, lasting_streams
from ganctl.errors import GanctlError, UsageError, nearest
from ganctl.files import reason


class _Words(TyperGroup):
    """Commands of which some have two words, 'data pack', and may begin like one of a word."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if (name := " ".join(args[:2])) in self.commands and len(args) > 1:
            args = [name, *args[2:]]
        return super().resolve_command(ctx, args)


app = typer.Typer(
    name="ganctl",
    cls=_Words,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Train a GAN on images, draw samples from it, walk through its latent space, look into "
    "its checkpoints, measure how near its images are to real ones, and report on a run.",
)
app.command("train")(train.train)
app.command("sample")(sample.sample)
app.command("interpolate")(interpolate.interpolate)
app.command("inspect")(inspect.inspect)
app.command("evaluate")(evaluate.evaluate)
app.command("data")(data.data)
app.command("data pack")(pack.pack)
app.command("data index")(pack.index)
app.command("config")(config.config)
app.command("report")(report.report)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ganctl {ganctl.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    pass


def run(arguments: Sequence[str] | None) -> int:
    """Run the command line; returns the exit code."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    with lasting_streams():
        terminal = Terminal()
        code = _call(words, terminal)
        unheard = terminal.unheard
        if unheard and not code:
            code = 1
            if not isinstance(unheard, BrokenPipeError):  # whoever left knows that
                terminal.error(f"stdout cannot be written: {reason(unheard)}")
    return code


def _call(words: list[str], terminal: Terminal) -> int:
    try:
        with exit_on_signals():
            code = app(args=words, prog_name="ganctl", standalone_mode=False, obj=words)
        if code == 130:  # what Typer makes of a KeyboardInterrupt
            terminal.error("stopped")
        return int(code or 0)
    except Stopped as stopped:
        terminal.error("stopped")
        return int(stopped.args[0])
    except Exception as error:
        if os.environ.get("GANCTL_DEBUG") == "1":
            raise
        if not processes.is_to_explain():
            return int(getattr(error, "exit_code", 1))
        return _explain(error, terminal, words)


def _explain(error: Exception, terminal: Terminal, words: Sequence[str]) -> int:
    if isinstance(error, UsageError):
        terminal.error(_as_typed(error.message, words), error.hint, details=error.details)
        return error.exit_code
    if isinstance(error, GanctlError):
        terminal.error(error.message, error.hint, details=error.details)
        return error.exit_code
    if isinstance(error, typer.TyperException):
        message = getattr(error, "format_message", error.__str__)()
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "ganctl"
        hint = f"Try '{command} --help'."
        if hasattr(error, "possibilities"):
            unknown, known = getattr(error, "option_name", ""), error.possibilities
            message = f"no such option: {unknown}"
            hint = f"{nearest(unknown, known)} {hint}" if known else hint
        if message:  # a bare `ganctl` has shown its help already
            terminal.error(message[:1].lower() + message[1:], hint)
        return int(getattr(error, "exit_code", 2))
    if isinstance(error, OSError) and error.filename is not None:
        terminal.error(f"{str(error.filename)[:200]}: {(error.strerror or str(error)).lower()}")
        return 1
    if _is_out_of_memory(error):
        terminal.error("out of memory", "Give a smaller --batch-size, or fewer samples.")
        return 1
    terminal.error(
        f"an unexpected {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}",
        "This is a defect of ganctl. GANCTL_DEBUG=1 shows where it happened.",
    )
    return 1


def _is_out_of_memory(error: Exception) -> bool:
    if "torch" not in sys.modules:
        return isinstance(error, MemoryError)
    from ganctl.training.memory import is_out_of_memory

    return is_out_of_memory(error)


def _as_typed(message: str, words: Sequence[str]) -> str:
    """`message` with each setting that was given by an option called by that option's name.

    The core knows settings alone: 'lr_g must be ...'; who typed --lr-g looks for '--lr-g must be'.
    """
    typed = {word.partition("=")[0] for word in words}

    def option(match: re.Match[str]) -> str:
        name = "--" + match[0].removeprefix("image_").replace("_", "-")
        return name if name in typed else match[0]

    return re.sub(r"\b(?<!-)\w+(?= must be | was )", option, message)
