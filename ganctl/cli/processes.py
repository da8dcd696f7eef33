"""The processes of a training run: launching them, and choosing which one prints.

Imports torch only when something went wrong.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from ganctl.cli.signals import handling, suspend
from ganctl.config.sources import STORE_FILE

_REPORT_SECONDS = 10
_SHUTDOWN_SECONDS = 120
"""Seconds that a worker has to end: it may have a checkpoint to write."""
_SCREEN_SECONDS = 0.5
"""Seconds that a worker has to take its live screen away before it is suspended."""
_POLL_SECONDS = 0.1
_KILL = getattr(signal, "SIGKILL", signal.SIGTERM)
_INTERFACES = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")
"""The network interface on which gloo and NCCL listen for the other processes."""


def world_size() -> int:
    """Return the number of processes in this training run, from torchrun's environment variable.

    1 for a process that was started alone.
    """
    return _environment_number("WORLD_SIZE", 1)


def num_restarts() -> int:
    """Return how many times torchrun has restarted the processes because one had failed."""
    return _environment_number("TORCHELASTIC_RESTART_COUNT", 0)


def silence_stdout() -> None:
    """Discard what this process writes to stdout from here on: the first process prints."""
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123
        sys.stdout.flush()
        os.dup2(nowhere.fileno(), 1)


def reports_failure() -> bool:
    """Return whether this process must print why the run failed: the first one that asks does.

    That is not always rank 0: the cause may be known to another process alone, and rank 0 may have
    been killed. The others fail because of the first one.
    """
    if world_size() == 1:
        return True
    # The launcher ends all as soon as one has ended; this process is about to end anyway.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        from ganctl.distributed.group import shared_store

        store = shared_store(_REPORT_SECONDS)
        return int(store.add(f"ganctl/failed/{num_restarts()}", 1)) == 1
    except Exception:  # the store is gone: better two reports than none
        return _environment_number("RANK", 0) == 0


def launch(count: int, arguments: Sequence[str]) -> int:
    """Run `ganctl ARGUMENTS` as `count` processes on this machine; return their exit code.

    Signals are passed on to them, and one that fails ends the others. torchrun's launcher does the
    same, but listens on every network interface and unpickles what it is sent. These processes meet
    in a file that only this user can write, and listen on the loopback interface alone.
    """
    with tempfile.TemporaryDirectory(prefix="ganctl-") as folder:  # made with mode 0700
        shared = {**os.environ, "WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count),
                  STORE_FILE: str(Path(folder) / "store")}  # fmt: skip
        if os.name == "posix":  # Windows' interfaces have no such names
            names = [name for _, name in socket.if_nameindex()]
            shared |= dict.fromkeys(_INTERFACES, "lo0" if "lo0" in names else "lo")
        command = [sys.executable, *_python_options(), "-m", "ganctl", *arguments]
        with _Workers() as workers:
            for rank in range(count):
                workers.start(command, {**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)})
            return workers.wait()


class _Workers:
    """The processes that this one has launched. Within its context, they get its signals too."""

    def __init__(self) -> None:
        self._processes: list[subprocess.Popen[bytes]] = []
        self._received: int | None = None
        self._deadline = float("inf")
        self._handling = contextlib.ExitStack()

    def __enter__(self) -> _Workers:
        stopping = ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT")
        self._handling.enter_context(handling(stopping, self._pass_on))
        self._handling.enter_context(handling(["SIGTSTP"], self._suspend))
        return self

    def __exit__(self, *_: object) -> None:
        self._send(_KILL)  # any that are left after an error here
        self._handling.close()

    def start(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start another process."""
        # In a session of its own: Ctrl-C reaches it once, through this process.
        process = subprocess.Popen(command, env=environment, start_new_session=True)
        self._processes.append(process)
        if self._received is not None:
            self._send(self._received)

    def wait(self) -> int:
        """Return the exit code of the run, once all processes have ended."""
        codes: list[int] = []
        while None in [process.poll() for process in self._processes]:
            # The others fail because of those that failed first.
            if self._received is None and not codes and (codes := self._failures()):
                self._end(signal.SIGTERM)
            if time.monotonic() > self._deadline:
                self._send(_KILL)
            time.sleep(_POLL_SECONDS)
        codes = codes or self._failures()
        if codes and self._received is not None:
            return 128 + self._received
        return max((code for code in codes if code > 0), default=1 if codes else 0)

    def _failures(self) -> list[int]:
        """Return the exit codes other than 0 so far; that of a signal is negative."""
        return [process.returncode for process in self._processes if process.returncode]

    def _pass_on(self, number: int, _: object) -> None:
        if self._received == number == signal.SIGINT:  # a second Ctrl-C does not wait
            self._deadline = 0
        self._received = self._received or number
        self._end(number)

    def _suspend(self, number: int, _: object) -> None:
        """Suspend the processes with this one, and continue them with it."""
        self._send(number)  # removes a live screen; without a shell it stops nothing
        time.sleep(_SCREEN_SECONDS)
        self._send(signal.SIGSTOP)
        suspend()
        self._send(signal.SIGCONT)

    def _end(self, number: int) -> None:
        """Send a signal to the processes, and kill those that it does not end in time."""
        self._deadline = min(self._deadline, time.monotonic() + _SHUTDOWN_SECONDS)
        self._send(number)

    def _send(self, number: int) -> None:
        for process in self._processes:
            with contextlib.suppress(ValueError):  # Windows itself has Ctrl-C reach all
                process.send_signal(number)


def _environment_number(name: str, default: int) -> int:
    with contextlib.suppress(ValueError):
        return int(os.environ.get(name, default))
    return default


def _python_options() -> list[str]:
    """Return the options that give another Python the module search path of this process.

    `python -m` looks in the user's folder first; the installed command does not.
    """
    return [] if {"", str(Path.cwd())} & set(sys.path) else ["-P"]
