"""The command line. Its app takes a while to import, and signals are answered from here on."""

from __future__ import annotations

from collections.abc import Sequence

from ganctl.cli import signals


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code. Set GANCTL_DEBUG=1 to see tracebacks."""
    if arguments is None:  # this process is ours, to its end
        signals.exit_at_once_on_signals()
    from ganctl.cli.app import run

    return run(arguments)
