"""The Typer app, and the one boundary where exceptions become words and exit codes."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Sequence
from inspect import getdoc
from typing import Annotated, Any

import typer

import ganctl
from ganctl import machine
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
from ganctl.cli.helping import Command, Group
from ganctl.cli.signals import Stopped, exit_on_signals
from ganctl.cli.spelling import spelled_as_typed
from ganctl.cli.streams import stdout_error, tolerant_streams
from ganctl.cli.terminal import Terminal
from ganctl.errors import GanctlError, UsageError
from ganctl.files import reason
from ganctl.text import nearest

_EXIT_CODES = (
    "Exit codes: 0 done; 1 failed; 2 wrong usage; 130, 143, 129 interrupted (train saves first)."
)
app = typer.Typer(
    name="ganctl",
    cls=Group,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Train a GAN on images, draw samples from it, walk through its latent space, look into "
    "its checkpoints, measure how near its images are to real ones, and report on a run.",
    epilog=_EXIT_CODES,
)
_COMMANDS: Sequence[Callable[..., None]] = (
    train.train, sample.sample, interpolate.interpolate, inspect.inspect, evaluate.evaluate,
    data.data, pack.data_pack, pack.data_index, config.config, report.report,
)  # fmt: skip
for _command in _COMMANDS:
    # Lines of a docstring are broken where code ends; a paragraph is where the terminal does.
    _text = re.sub(r"(?<!\n)\n *(?!\n)", " ", getdoc(_command) or "")
    _name = _command.__name__.replace("_", " ")
    app.command(_name, cls=Command, help=_text, epilog=_EXIT_CODES)(_command)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ganctl {ganctl.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", "-V", callback=_show_version, is_eager=True, help="Show the version."
        ),
    ] = False,
) -> None:
    pass


def run(arguments: Sequence[str] | None) -> int:
    """Run the command line; returns the exit code."""
    machine.limit_threads()
    words = sys.argv[1:] if arguments is None else list(arguments)
    with tolerant_streams():
        terminal = Terminal()
        # A pipe, and a program that reads a screen aloud, have no use for boxes.
        app.rich_markup_mode = "rich" if terminal.shows_pictures else None
        code = _call(words or ["--help"], terminal) or (0 if words else UsageError.exit_code)
        if (lost := stdout_error()) and not code:
            code = 1
            if not isinstance(lost, BrokenPipeError):  # whoever closed the pipe knows
                terminal.error(f"stdout cannot be written: {reason(lost)}")
    return code


def _call(words: list[str], terminal: Terminal) -> int:
    try:
        with exit_on_signals():
            code = app(args=words, prog_name="ganctl", standalone_mode=False, obj=words)
        if code == 130:  # what Typer makes of a KeyboardInterrupt
            terminal.error("stopped")
        return int(code or 0)
    except Stopped as stopped:
        if not stopped.is_reported and processes.reports_failure():
            terminal.error("stopped")
        return int(stopped.args[0])
    except Exception as error:
        if os.environ.get("GANCTL_DEBUG") == "1":
            raise
        if not processes.reports_failure():
            return int(getattr(error, "exit_code", 1))
        return _explain(error, terminal, words)


def _explain(error: Exception, terminal: Terminal, words: Sequence[str]) -> int:
    if isinstance(error, UsageError):
        message = spelled_as_typed(error.message, words)
        terminal.error(message, error.hint, details=error.details)
        return error.exit_code
    if isinstance(error, GanctlError):
        terminal.error(error.message, error.hint, details=error.details)
        return error.exit_code
    if isinstance(error, typer.TyperException):
        message = getattr(error, "format_message", error.__str__)()
        context = getattr(error, "ctx", None)
        known = {command.name for command in app.registered_commands}
        named = f"ganctl {words[0]}" if words and words[0] in known else "ganctl"
        command = context.command_path if context else named
        hint = f"Try '{command} --help'."
        if hasattr(error, "possibilities"):
            unknown, known = getattr(error, "option_name", ""), error.possibilities
            message = f"no such option: {unknown}"
            hint = f"{nearest(unknown, known)} {hint}" if known else hint
        message = _plainly(message, error)
        if surplus := re.fullmatch(r"Got unexpected extra argument\(s\) \((.*)\)", message):
            message = f"unexpected argument: {surplus[1]}"
            if words[0] == "train":
                hint = f"Images are given with --data, the run's folder with --out. {hint}"
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


def _plainly(message: str, error: Exception) -> str:
    """What Typer says of a value, in Pydantic's words, as ganctl says it of others."""
    given: list[Any] = getattr(error.__cause__, "errors", list)()
    name = re.search(r"'([^']+)'", message)
    if not given or name is None:
        return message.removesuffix(".")
    option, wrong = name[1].split(" / ")[-1], given[0]
    rule = _RULES.get(wrong["type"], "another value").format(**wrong.get("ctx", {}))
    value = str(wrong["input"])[:40]
    return f"{option} must be {rule}, not {value if 'than' in wrong['type'] else repr(value)}"


_RULES = {
    "int_parsing": "a whole number", "int_parsing_size": "a smaller number",
    "int_from_float": "a whole number", "float_parsing": "a number", "bool_parsing": "yes or no",
    "greater_than_equal": "at least {ge}", "less_than_equal": "at most {le}",
    "greater_than": "more than {gt}", "less_than": "less than {lt}",
}  # fmt: skip
"""What a value must be, by the kind of Pydantic's error."""


def _is_out_of_memory(error: Exception) -> bool:
    if "torch" not in sys.modules:
        return isinstance(error, MemoryError)
    from ganctl.training.memory import is_out_of_memory

    return is_out_of_memory(error)
