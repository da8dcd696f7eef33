"""Commands by their names, which may have two words, and --help with options in groups."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from typer.core import TyperCommand, TyperGroup

_ARGUMENTS, _OPTIONS = "Arguments", "Options"


class Command(TyperCommand):
    """A command whose plain help has the same groups of options as the one with boxes."""

    def get_help_option_names(self, ctx: Any) -> list[str]:
        """Return the names of --help, the short one first."""
        return sorted(super().get_help_option_names(ctx), key=len)

    def get_help_option(self, ctx: Any) -> Any:
        """Return --help, which belongs to the last group."""
        option = super().get_help_option(ctx)
        if option is not None:
            option.rich_help_panel = getattr(self.params[-1], "rich_help_panel", None)
        return option

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write each group of options below its heading."""
        for heading, rows in panels(self, ctx):
            with formatter.section(heading):
                formatter.write_dl(rows)


class Group(TyperGroup):
    """Commands, some with names of two words: 'data pack' is not 'data' with a PATH 'pack'."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if (name := " ".join(args[:2])) in self.commands and len(args) > 1:
            args = [name, *args[2:]]
        return super().resolve_command(ctx, args)


def panels(command: Any, ctx: Any) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Yield the groups of a command's parameters: a heading, and (names, help) of each."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for param in command.get_params(ctx):
        if record := param.get_help_record(ctx):
            default = _ARGUMENTS if param.param_type_name == "argument" else _OPTIONS
            groups.setdefault(param.rich_help_panel or default, []).append(record)
    yield from sorted(groups.items(), key=lambda group: group[0] not in (_ARGUMENTS, _OPTIONS))
