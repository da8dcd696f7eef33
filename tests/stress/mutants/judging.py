"""Judges that read mutated checkpoints and check what is promised about reading them."""

from __future__ import annotations

import contextlib
import gc
import io
import os
import struct
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch

from ganctl import archive, checkpoint
from ganctl.checkpoint import Checkpoint, decode
from ganctl.cli.inspect import inspect
from ganctl.config import schema
from ganctl.errors import GanctlError
from ganctl.history import Meter
from ganctl.model import load
from ganctl.store import read_checkpoint
from ganctl.training.state import restore
from mutants.base import CPU


def memory_bound(size: int, pickle_size: int) -> int:
    """Return the bytes that reading a file of `size` may add to the process.

    A row of the history takes thirty times what it takes in the pickle; tensors are copied into an
    archive and read from there.
    """
    return 40 * pickle_size + 3 * size + 2**25


def frozen(value: Any) -> Any:
    """Return a value that `==` compares bit by bit and by type."""
    if isinstance(value, torch.Tensor):
        return (value.dtype, tuple(value.shape), value.contiguous().numpy().tobytes())
    if isinstance(value, dict):
        return {frozen(key): frozen(item) for key, item in value.items()}
    if isinstance(value, list):
        return [frozen(item) for item in value]
    return (type(value).__name__, struct.pack("<d", value) if isinstance(value, float) else value)


def content_of(found: Checkpoint) -> Any:
    values = {each.name: getattr(found, each.name) for each in fields(found)}
    return frozen({**values, "config": schema.to_dict(found.config)})


class Wrong(Exception):  # noqa: N818
    """A promise that is broken."""


@dataclass
class Reading:
    """The result of reading a file."""

    outcome: str
    """equal, refused, or accepted (refused only because of its digest)."""
    seconds: float
    memory: int


class Judge:
    """A judge that reads files in this process, which must be a child."""

    suffix = ".pt"

    def __init__(self, folder: Path) -> None:
        self.path = folder / f"mutated{self.suffix}"
        self.inside = folder / "empty"
        self.inside.mkdir()
        self.events: list[str] = []
        self.watching = False
        os.chdir(self.inside)
        sys.addaudithook(self._audit)

    def warm(self) -> None:
        """Read an honest file, so that all modules are loaded."""
        raise NotImplementedError

    def prepare(self, data: bytes) -> None:
        """Write a file to the place that it is read from."""

    def outcome(self, data: bytes) -> str:
        """Return equal, refused or accepted."""
        raise NotImplementedError

    def bound(self, size: int) -> int:
        """Return the bytes of memory that reading a file of `size` bytes may take."""
        raise NotImplementedError

    def read(self, data: bytes) -> Reading:
        """Read a file; raise Wrong if a promise is broken."""
        self.prepare(data)
        gc.collect(0)
        before = resident(reset=True)
        begun = time.process_time()
        self.watching = True
        try:
            outcome = self.outcome(data)
        finally:
            self.watching = False
        seconds = time.process_time() - begun
        memory = max(0, resident(peak=True) - before)
        if self.events:
            raise Wrong(f"executed: {self.events}")
        if left := [path.name for path in self.inside.iterdir()]:
            raise Wrong(f"left files: {left}")
        if memory > self.bound(len(data)):
            raise Wrong(f"took {memory >> 20} MiB for a file of {len(data)} bytes")
        return Reading(outcome, seconds, memory)

    def clear(self) -> None:
        """Remove what a failed file left behind."""
        self.events.clear()
        for path in self.inside.iterdir():
            path.rmdir() if path.is_dir() else path.unlink()

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.watching and event.startswith(_EVENTS):
            self.events.append(event)


class Checkpoints(Judge):
    """A judge of mutated checkpoints."""

    def __init__(self, bases: Sequence[bytes], folder: Path) -> None:
        super().__init__(folder)
        self.bases = bases
        self.contents = [content_of(decode(base)) for base in bases]
        self.honest = checkpoint.content_digest
        self.pickle_size = 0
        self.check_program = archive._check_program
        archive._check_program = self._measured

    def warm(self) -> None:
        for base in self.bases:
            checkpoint.content_digest = self._forged
            self._use(base)
            checkpoint.content_digest = self.honest
            assert self.outcome(base) == "equal"

    def bound(self, size: int) -> int:
        return memory_bound(size, self.pickle_size)

    def _measured(self, program: bytes) -> dict[str, int]:
        self.pickle_size = len(program)
        return self.check_program(program)

    def outcome(self, data: bytes) -> str:
        self.pickle_size = 0
        try:
            found = decode(data)
        except GanctlError as error:
            if "does not match its digest" not in error.message:
                return "refused"
        else:
            if content_of(found) not in self.contents:
                raise Wrong("loaded, and is not equal to the original")
            return "equal"
        checkpoint.content_digest = self._forged
        try:
            return self._use(data)
        except GanctlError:
            return "refused"
        finally:
            checkpoint.content_digest = self.honest

    def _forged(self, content: dict[str, Any]) -> Any:
        honest = self.honest(content)
        digest = content.get("digest")
        return digest if isinstance(digest, str) else honest  # one can be had of that type only

    def _use(self, data: bytes) -> str:
        """Do everything with a checkpoint that the commands do and that can fail."""
        found = decode(data)
        self.path.write_bytes(data)
        assert content_of(read_checkpoint(self.path)) == content_of(found)
        for use in (self._inspect, self._sample, self._resume):
            with contextlib.suppress(GanctlError):
                use()
        return "accepted"

    def _inspect(self) -> None:
        text = io.TextIOWrapper(io.BytesIO(), "utf-8")
        with contextlib.redirect_stdout(text):
            inspect([self.path])
            inspect([self.path], json=True)

    def _sample(self) -> None:
        loaded = load(self.path)
        images = loaded.generator(torch.zeros(1, loaded.network.latent_dim))
        assert images.shape[1:] == loaded.network.image_shape

    def _resume(self) -> None:
        found = read_checkpoint(self.path)
        state = restore(found, found.config, CPU)
        assert state.step == found.step
        Meter.from_dict(found.partial)


_EVENTS = (
    *("os.system", "os.exec", "os.spawn", "os.posix_spawn", "os.fork", "os.mkdir", "subprocess."),
    *("socket.", "pickle.find_class", "shutil.", "ctypes.dlopen", "webbrowser.", "urllib.", "pty."),
)


def resident(*, peak: bool = False, reset: bool = False) -> int:
    """Return this process's memory in bytes, now or at most since the last reset; 0 if unknown."""
    try:
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        status = Path("/proc/self/status").read_text()
    except OSError:
        return 0
    label = "VmHWM:" if peak else "VmRSS:"
    return (
        int(next(line for line in status.splitlines() if line.startswith(label)).split()[1]) << 10
    )
