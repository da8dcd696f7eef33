"""The command line. Signals are handled from here on, since importing the app takes a while."""

from __future__ import annotations

import gc
from collections.abc import Sequence

from ganctl.cli import signals


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code. GANCTL_DEBUG=1 shows tracebacks."""
    if arguments is None:  # the process runs nothing else
        signals.exit_at_once_on_signals()
    from ganctl.cli.app import run

    try:
        return run(arguments)
    finally:
        if arguments is None:
            gc.freeze()  # the interpreter's last collections of torch's objects take a second
