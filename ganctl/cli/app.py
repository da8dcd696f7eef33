"""The Typer app, and the one boundary where exceptions become messages and exit codes."""

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
    bench,
    config,
    data,
    directions,
    evaluate,
    explore,
    export,
    inspect,
    interpolate,
    pack,
    project,
    report,
    runs,
    sample,
    train,
)
from ganctl.cli.help import Command, Group
from ganctl.cli.option_names import spelled_as_typed
from ganctl.cli.processes import reports_failure
from ganctl.cli.signals import Stopped, exit_on_signals
from ganctl.cli.streams import stdout_error, tolerant_streams
from ganctl.cli.terminal import Terminal
from ganctl.errors import GanctlError, Text, UsageError
from ganctl.files import reason
from ganctl.text import suggestion

_EXIT_CODES = "Exit codes: 0 done; 1 failed; 2 wrong usage; 130/143/129 interrupted."
app = typer.Typer(
    name="ganctl",
    cls=Group,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="""Train a GAN on images, and use it: draw samples, walk through latent space, inspect \
checkpoints, compare samples with real images, report on runs.

    Examples:

    ganctl train

    ganctl sample runs/mnist-fast -n 16 -o grid.png

    ganctl train --data photos --size 64""",
    epilog=_EXIT_CODES,
)
_COMMANDS: Sequence[Callable[..., None]] = (
    train.train, sample.sample, interpolate.interpolate, runs.runs, inspect.inspect,
    evaluate.evaluate, project.project, directions.directions, export.export, explore.explore,
    data.data, pack.data_pack, pack.data_index, config.config, report.report,
    bench.bench,
)  # fmt: skip
for _command in _COMMANDS:
    # A docstring's lines are joined to paragraphs, which the terminal breaks at its own width.
    _text = re.sub(r"(?<!\n)\n *(?!\n)", " ", getdoc(_command) or "")
    _name = _command.__name__.replace("_", " ")
    app.command(_name, cls=Command, help=_text, epilog=_EXIT_CODES)(_command)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ganctl {ganctl.__version__}")
        raise typer.Exit


_VersionOption = Annotated[
    bool,
    typer.Option(
        "--version", "-V", callback=_show_version, is_eager=True, help="Show the version."
    ),
]


@app.callback()
def _root(version: _VersionOption = False) -> None: ...


def run(arguments: Sequence[str] | None) -> int:
    """Run the command line and return the exit code."""
    machine.limit_threads()
    words = sys.argv[1:] if arguments is None else list(arguments)
    with tolerant_streams():
        terminal = Terminal()
        # Boxes are of no use in a pipe, or to a program that reads a screen aloud.
        app.rich_markup_mode = "rich" if terminal.shows_pictures else None
        code = _call(words or ["--help"], terminal) or (0 if words else UsageError.exit_code)
        if (lost := stdout_error()) and not code:
            code = 1
            if not isinstance(lost, BrokenPipeError):  # a reader that closed the pipe knows
                terminal.error(f"stdout cannot be written: {reason(lost)}")
    return code


def _call(words: list[str], terminal: Terminal) -> int:
    try:
        with exit_on_signals():
            code = app(args=words, prog_name="ganctl", standalone_mode=False, obj=words)
        if code == 130:  # Typer's code for a KeyboardInterrupt
            terminal.error("stopped")
        return int(code or 0)
    except Stopped as stopped:
        if not stopped.is_reported and reports_failure():
            terminal.error("stopped")
        return int(stopped.args[0])
    except Exception as error:
        if os.environ.get("GANCTL_DEBUG") == "1":
            raise
        message, hint, code = _explained(error, words)
        if reports_failure():
            terminal.error(message, hint, details=getattr(error, "details", ()))
        return code


def _explained(error: Exception, words: Sequence[str]) -> tuple[str | Text, str | Text | None, int]:
    """Return an error's message, a hint, and the exit code."""
    if isinstance(error, UsageError):
        return spelled_as_typed(error.message, words), error.hint, error.exit_code
    if isinstance(error, GanctlError):
        return error.message, error.hint, error.exit_code
    if isinstance(error, typer.TyperException):
        return *_parser_error(error, words), int(getattr(error, "exit_code", 2))
    if isinstance(error, OSError) and error.filename is not None:
        return f"{str(error.filename)[:200]}: {(error.strerror or str(error)).lower()}", None, 1
    if _is_out_of_memory(error):
        return "out of memory", "Give a smaller --batch-size, or fewer samples.", 1
    first_line = next(iter(str(error).splitlines()), "")
    return (
        f"an unexpected {type(error).__name__}: {first_line}",
        "This is a bug in ganctl. GANCTL_DEBUG=1 shows where it happened.",
        1,
    )


def _parser_error(error: Exception, words: Sequence[str]) -> tuple[str, str]:
    """Return a parser error in ganctl's words, and a hint, such as the nearest known option."""
    message = getattr(error, "format_message", error.__str__)()
    context = getattr(error, "ctx", None)
    commands = {command.name for command in app.registered_commands}
    named = f"ganctl {words[0]}" if words and words[0] in commands else "ganctl"
    hint = f"Try '{context.command_path if context else named} --help'."
    if hasattr(error, "possibilities"):
        unknown = getattr(error, "option_name", "")
        message = f"no such option: {unknown}"
        if error.possibilities:
            hint = f"{suggestion(unknown, error.possibilities)} {hint}"
    message = _value_error(message, error)
    if surplus := re.fullmatch(r"Got unexpected extra argument\(s\) \((.*)\)", message):
        message = f"unexpected argument: {surplus[1]}"
        if words[0] == "train":
            hint = f"Images are given with --data, the run's folder with --out. {hint}"
    return message[:1].lower() + message[1:], hint


def _value_error(message: str, error: Exception) -> str:
    """Return `message` in ganctl's words if Pydantic refused a value, otherwise as it is."""
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
    "greater_than_equal": "at least {ge:g}", "less_than_equal": "at most {le:g}",
    "greater_than": "more than {gt:g}", "less_than": "less than {lt:g}",
}  # fmt: skip
"""Requirements on a value, by the type of Pydantic's error."""


def _is_out_of_memory(error: Exception) -> bool:
    if "torch" not in sys.modules:
        return isinstance(error, MemoryError)
    from ganctl.training.memory import is_out_of_memory

    return is_out_of_memory(error)
