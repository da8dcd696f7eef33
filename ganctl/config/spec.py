"""The declaration of a setting: its allowed values, group and help, beside type and default."""

from __future__ import annotations

import dataclasses
import functools
import math
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from ganctl.errors import Setting, Text, UsageError
from ganctl.text import suggestion

NOT_SET = "not set"


@dataclass(frozen=True)
class Spec:
    """The declaration of a setting, apart from its type and default."""

    group: str = ""
    """The heading below which it is listed; empty: not for users to set."""
    help: str | Text = ""
    low: float | None = None
    high: float = math.inf
    excluded: float | None = None
    """A bound that is not allowed itself."""
    choices: tuple[str, ...] = ()
    normalize: Callable[[str], str] | None = None
    """Return the normal form of a text, which is what is stored. Raises UsageError."""
    unset: str = NOT_SET
    """Meaning of None, in words."""
    kind: type = str
    is_optional: bool = False
    """Whether it may be None."""

    def check(self, name: str, value: Any) -> None:
        """Raise UsageError, with the `name`, for a `value` that is not allowed."""
        if value is None:
            return
        if self.choices and value not in self.choices:
            raise UsageError(f"unknown {name} '{value}'", suggestion(value, self.choices))
        if self.normalize and self.normalize(value) != value:
            require(False, name, value, f"written as {self.normalize(value)}")
        if self.low is not None:
            inside = self.low <= value <= self.high and value != self.excluded
            require(inside, name, value, self._bounds())

    def _bounds(self) -> str:
        if self.excluded is None:
            return f"{self.low:,} to {self.high:,}"
        low = "more than" if self.excluded == self.low else "at least"
        high = "less than" if self.excluded == self.high else "at most"
        return f"{low} {self.low} and {high} {self.high}"


def require(condition: bool, name: str, value: object, rule: str) -> None:
    """Raise UsageError, saying that `name` must follow the `rule`, unless `condition` is true."""
    if not condition:
        given = f"{value:g}" if isinstance(value, float) else value
        raise UsageError(Text("{} must be {}, not {}", Setting(name), rule, given))


@functools.cache
def specs(cls: type) -> dict[str, Spec]:
    """Return the declaration of each field of a `Checked` dataclass, by name."""
    found = {}
    for name, hint in typing.get_type_hints(cls, include_extras=True).items():
        is_declared = typing.get_origin(hint) is Annotated
        bare, spec = typing.get_args(hint) if is_declared else (hint, Spec())
        kinds = typing.get_args(bare) or (bare,)
        found[name] = dataclasses.replace(
            spec,
            kind=next(kind for kind in kinds if kind is not types.NoneType),
            is_optional=types.NoneType in kinds,
        )
    return found


class Checked:
    """A dataclass whose fields are checked against their specs when an instance is made."""

    def __post_init__(self) -> None:
        cls: Any = type(self)
        for name, spec in specs(cls).items():
            spec.check(name, getattr(self, name))
