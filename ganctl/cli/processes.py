"""Several processes that train together: starting them, and which of them speaks.

Imports torch only when something went wrong, or to start others.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

_STOPPING = ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT")
_SILENT_SECONDS = 10
_SHUTDOWN_SECONDS = 120
"""A checkpoint may take as long to be written."""


def number() -> int:
    """How many processes this one was started with, itself included, as torchrun says it."""
    with contextlib.suppress(ValueError):
        return int(os.environ.get("WORLD_SIZE", "1"))
    return 1


def rank() -> int:
    """Which of them it is, counted from 0."""
    with contextlib.suppress(ValueError):
        return int(os.environ.get("RANK", "0"))
    return 0


def restarts() -> int:
    """How often torchrun has started them anew, after one had failed."""
    with contextlib.suppress(ValueError):
        return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))
    return 0


def hush() -> None:
    """Let nothing that this process writes to stdout be seen: another one speaks."""
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123
        sys.stdout.flush()
        os.dup2(nowhere.fileno(), 1)


def is_to_explain() -> bool:
    """Whether this process is to say why the training failed: the first to ask among all.

    The others fail with it, or because of it.
    """
    if number() == 1:
        return True
    # One that ended sooner has the launcher end the others, which are about to all the same.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        from datetime import timedelta

        from torch.distributed import TCPStore  # type: ignore[attr-defined]

        store = TCPStore(
            os.environ["MASTER_ADDR"],
            int(os.environ["MASTER_PORT"]),
            is_master=False,
            timeout=timedelta(seconds=_SILENT_SECONDS),
        )
        return int(store.add(f"ganctl/failed/{restarts()}", 1)) == 1
    except Exception:  # whatever it is: then two may say it, but one does
        return rank() == 0


def start(count: int, arguments: Sequence[str]) -> int:
    """Run `ganctl ARGUMENTS` as `count` processes on this machine; returns their exit code.

    Through torchrun's own launcher. A signal is passed on to them.
    """
    logging.disable(logging.CRITICAL)  # the launcher's own: the processes say it themselves
    # Before torch 2.12 it is no option of the launcher's, and 30 seconds.
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", str(_SHUTDOWN_SECONDS))
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    with tempfile.TemporaryDirectory(prefix="ganctl-") as folder:
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=count,
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            run_id="ganctl",
            max_restarts=0,
            logs_specs=DefaultLogsSpecs(log_dir=folder),
        )
        # nohup has SIGHUP ignored, a shell SIGINT of what runs in the background.
        config.signals_to_handle = ",".join(name for name in _STOPPING if _is_heard(name))
        try:
            elastic_launch(config, sys.executable)(*_options(), "-m", "ganctl", *arguments)
        except ChildFailedError as error:
            codes = [failure.exitcode for failure in error.failures.values()]
            # What another one says of itself, rather than of those who lost it.
            return max((code for code in codes if code > 0), default=1)
        except SignalException as stopped:
            for name in ("SIGINT", "SIGTERM"):  # from here on there is nothing left to stop
                signal.signal(getattr(signal, name), signal.SIG_IGN)
            return 128 + int(signal.Signals(stopped.sigval))
    return 0


def _is_heard(name: str) -> bool:
    """Whether the signal is there, and was not to be ignored when this program was started."""
    return hasattr(signal, name) and signal.getsignal(getattr(signal, name)) is not signal.SIG_IGN


def _options() -> list[str]:
    """Python's, that have it find modules where this process does: no others in the user's folder.

    `python -m` looks there first; the installed command does not.
    """
    return [] if {"", str(Path.cwd())} & set(sys.path) else ["-P"]
