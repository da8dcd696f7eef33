"""Several processes that train together: starting them, and which of them speaks.

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
from typing import Any

from ganctl.config.sources import STORE_FILE

_STOPPING = ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT")
_SILENT_SECONDS = 10
_SHUTDOWN_SECONDS = 120
"""A checkpoint may take as long to be written."""
_POLL_SECONDS = 0.1
_KILL = getattr(signal, "SIGKILL", signal.SIGTERM)
_INTERFACES = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")
"""The network interface on which gloo and NCCL listen for the other processes."""


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
        from ganctl.distributed.group import shared_store

        store = shared_store(_SILENT_SECONDS)
        return int(store.add(f"ganctl/failed/{restarts()}", 1)) == 1
    except Exception:  # whatever it is: then two may say it, but one does
        return rank() == 0


def start(count: int, arguments: Sequence[str]) -> int:
    """Run `ganctl ARGUMENTS` as `count` processes on this machine; returns their exit code.

    Signals are passed on to them, and one that fails ends the others. torchrun's launcher would do
    this, too, but listens on every network interface, and unpickles what it is sent. These find one
    another in a file that only this user can write, and listen on the loopback interface alone.
    """
    with tempfile.TemporaryDirectory(prefix="ganctl-") as folder:  # made with mode 0700
        shared = {**os.environ, "WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count),
                  STORE_FILE: str(Path(folder) / "store")}  # fmt: skip
        if os.name == "posix":  # Windows' interfaces have no such names
            shared |= dict.fromkeys(_INTERFACES, _loopback())
        command = [sys.executable, *_options(), "-m", "ganctl", *arguments]
        with _Members() as members:
            for each in range(count):
                members.start(command, {**shared, "RANK": str(each), "LOCAL_RANK": str(each)})
            return members.wait()


class _Members:
    """The processes that this one started. While entered, signals are passed on to them."""

    def __init__(self) -> None:
        self._members: list[subprocess.Popen[bytes]] = []
        self._received: int | None = None
        self._deadline = float("inf")
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> _Members:
        # nohup has SIGHUP ignored, a shell SIGINT of what runs in the background.
        heard = [getattr(signal, name) for name in _STOPPING if _is_heard(name)]
        self._previous = {number: signal.signal(number, self._pass_on) for number in heard}
        return self

    def __exit__(self, *_: object) -> None:
        self._send(_KILL)  # those that are left, where something went wrong here
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def start(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start another process."""
        # In a session of its own: Ctrl-C reaches it once, through this process.
        member = subprocess.Popen(command, env=environment, start_new_session=True)
        self._members.append(member)
        if self._received is not None:
            self._send(self._received)

    def wait(self) -> int:
        """Return the exit code of all, once they have ended."""
        codes: list[int] = []
        while None in [member.poll() for member in self._members]:
            # Those that failed by themselves: the others will because of them.
            if self._received is None and not codes and (codes := self._failures()):
                self._send(signal.SIGTERM)
            if time.monotonic() > self._deadline:
                self._send(_KILL)
            time.sleep(_POLL_SECONDS)
        codes = codes or self._failures()
        if codes and self._received is not None:
            return 128 + self._received
        return max((code for code in codes if code > 0), default=1 if codes else 0)

    def _failures(self) -> list[int]:
        """Return the exit codes other than 0 of those that have ended; of a signal, negative."""
        return [member.returncode for member in self._members if member.returncode]

    def _pass_on(self, number: int, _: object) -> None:
        if self._received == number == signal.SIGINT:  # a second Ctrl-C does not wait
            self._deadline = 0
        self._received = self._received or number
        self._send(number)

    def _send(self, number: int) -> None:
        """Send a signal to those that are left, which have `_SHUTDOWN_SECONDS` to end."""
        self._deadline = min(self._deadline, time.monotonic() + _SHUTDOWN_SECONDS)
        for member in self._members:
            with contextlib.suppress(ValueError):  # Windows itself has Ctrl-C reach all
                member.send_signal(number)


def _loopback() -> str:
    """Return the name of the network interface that only this machine's programs reach."""
    names = [name for _, name in socket.if_nameindex()]
    return "lo0" if "lo0" in names else "lo"


def _is_heard(name: str) -> bool:
    """Whether the signal is there, and was not to be ignored when this program was started."""
    return hasattr(signal, name) and signal.getsignal(getattr(signal, name)) is not signal.SIG_IGN


def _options() -> list[str]:
    """Python's, that have it find modules where this process does: no others in the user's folder.

    `python -m` looks there first; the installed command does not.
    """
    return [] if {"", str(Path.cwd())} & set(sys.path) else ["-P"]
