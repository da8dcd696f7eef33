"""The exceptions meant for users: what happened, what to do about it, and an exit code.

2: something typed is not accepted (a command, an option, a setting, a value, or two of them
together), perhaps only for this checkpoint or these images; another command line is needed.
1: the command line may be right, but something that it needs is missing, damaged, full or not
permitted: a file, a folder, images, a package, a device, memory, the network. A path or name at
which nothing is found is 1, since a file could be there. 130, 143, 129: stopped by a signal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any


@dataclass(frozen=True)
class Setting:
    """A setting or argument named in a text, with a value or without one (None).

    Its string is Python's spelling, `batch_size=16`; the command line has its own.
    """

    name: str
    value: Any = None

    def __str__(self) -> str:
        if self.value is None:
            return self.name
        value = str(self.value) if isinstance(self.value, PurePath) else self.value
        return f"{self.name}={value!r}"


class Text:
    """A message or hint that names settings as data, so that each front end can spell them.

    `template` is a constant with a {} for each of `parts`, as in `str.format`; parts may be Texts.

    >>> print(Text("Use a smaller {}, such as {}.", Setting("batch_size"), Setting("epochs", 8)))
    Use a smaller batch_size, such as epochs=8.
    """

    def __init__(self, template: str, *parts: object) -> None:
        self._template = template
        self._parts = parts

    def spelled(self, spell: Callable[[Setting], str]) -> str:
        """Return the text with every setting as `spell` writes it."""

        def text(part: object) -> object:
            if isinstance(part, Text):
                return part.spelled(spell)
            return spell(part) if isinstance(part, Setting) else part

        return self._template.format(*map(text, self._parts))

    def __str__(self) -> str:
        return self.spelled(str)


class GanctlError(Exception):
    """A failure explained in one line, with an optional second line that says what to do.

    `details` are the things that it is about, a line for each. A traceback shows the hint, too.
    """

    exit_code = 1

    def __init__(
        self, message: str | Text, hint: str | Text | None = None, *, details: Sequence[str] = ()
    ) -> None:
        super().__init__(str(message))
        self.message = message
        self.hint = hint
        self.details = details
        if hint:
            self.add_note(str(hint))


class GanctlWarning(UserWarning):
    """A problem that does not end a training run."""


class UsageError(GanctlError):
    """An option, setting or value that is not accepted; nothing was started."""

    exit_code = 2


class CheckpointError(GanctlError):
    """A checkpoint that is missing, damaged, foreign or hostile."""


class UnreadableError(CheckpointError):
    """A checkpoint that may be intact but cannot be read now or by this version."""


class DataError(GanctlError):
    """Images that are missing, damaged or not available."""


class ConfigError(GanctlError):
    """A file of settings that is missing or cannot be read."""


class PackageError(GanctlError):
    """A package that is not installed or does not fit its purpose."""

    @classmethod
    def missing(
        cls, what: str | Setting, package: str, extra: str = "", hint: str = ""
    ) -> PackageError:
        """Return an error saying that `what` needs `package`, with the command that installs it."""
        wanted = f"'ganctl[{extra}]'" if extra else package
        install = f"Install it: pip install {wanted}"
        also = f". {hint}" if hint else ""
        return cls(Text("{} needs {}, which is not installed", what, package), install + also)


class DeviceError(GanctlError):
    """A device that does not exist or has too little memory."""


class RunError(GanctlError):
    """A run directory or output file that cannot be used as requested."""


class TrainingError(GanctlError):
    """A training run that failed, such as one that diverged."""


class GroupError(GanctlError):
    """The loss of another process of a training run, which has ended or does not respond."""


class StoppedError(GanctlError):
    """A training run that was stopped by a signal; `exit_code` is the one that a shell expects."""

    def __init__(self, message: str, hint: str | Text, exit_code: int) -> None:
        super().__init__(message, hint)
        self.exit_code = exit_code
