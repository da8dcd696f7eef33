"""Where a run's settings come from: a preset, a file, the environment, options; the last one wins.

See docs/configuration.md.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganctl import limits
from ganctl.config import presets, schema
from ganctl.config.images import parse_augment
from ganctl.config.schema import SETTINGS, TrainConfig
from ganctl.errors import ConfigError, UsageError
from ganctl.text import nearest

PREFIX = "GANCTL_"
OPTION = "option"
STORE_FILE = "GANCTL_STORE"
"""Environment variable: the file through which the processes of one machine find one another."""
_NOT_SETTINGS = {"GANCTL_DEBUG", STORE_FILE}
_PRESET = "preset"
_TOML = "'ganctl config --toml' writes a file to begin with."


@dataclass(frozen=True)
class Resolved:
    """A configuration, and what of it is not the preset's."""

    config: TrainConfig
    changes: dict[str, Any]
    """What any source but the preset says, by a setting's name."""
    sources: dict[str, str]
    """Where every setting's value is from: 'preset fast', a file's path, 'GANCTL_SEED', 'option'"""
    preset_given: bool
    """Whether anything names the preset."""


def resolve(
    preset: str | None,
    options: Mapping[str, Any],
    *,
    file: Path | None,
    environment: Mapping[str, str],
) -> Resolved:
    """The configuration of `preset`, changed by `file`, then `environment`, then `options`.

    A length (epochs, steps) replaces the other one of a weaker source. Raises UsageError.
    """
    from_file = {} if file is None else read_file(file)
    from_environment = read_environment(environment)
    named = [source.pop(_PRESET, None) for source in (from_environment, from_file)]
    chosen = next((name for name in (preset, *named) if name is not None), None)
    config = presets.preset(chosen or presets.DEFAULT_PRESET)
    sources = dict.fromkeys(SETTINGS, f"preset {config.preset}")
    changes: dict[str, Any] = {}
    for origin, source in ((str(file), from_file), ("", from_environment), (OPTION, options)):
        if schema.LENGTH_FIELDS[0] in source or schema.LENGTH_FIELDS[1] in source:
            for name in schema.LENGTH_FIELDS:
                changes.pop(name, None)
                sources[name] = origin or variable(
                    next(n for n in schema.LENGTH_FIELDS if n in source)
                )
        changes |= source
        sources |= {name: origin or variable(name) for name in source}
    return Resolved(schema.override(config, changes), changes, sources, chosen is not None)


def variable(name: str) -> str:
    """The environment variable of the setting called `name`.

    >>> variable("lr_g")
    'GANCTL_LR_G'
    """
    return PREFIX + name.upper()


def read_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    """Settings, and the preset, that GANCTL_ variables give; an empty one gives none.

    Raises UsageError.
    """
    found: dict[str, Any] = {}
    known = {variable(name): name for name in (*SETTINGS, _PRESET)}
    for key in sorted(environment):
        if not key.startswith(PREFIX) or key in _NOT_SETTINGS or not environment[key]:
            continue
        if key not in known:
            raise UsageError(
                f"the environment sets {key[:80]}, which is not a setting", nearest(key, known)
            )
        name = known[key]
        try:
            found[name] = parse(name, environment[key])
        except UsageError as error:
            raise UsageError(f"{key}: {error.message}", error.hint) from None
    return found


def read_file(path: Path) -> dict[str, Any]:
    """Return the settings, and the preset, of a TOML file: name = value, and no tables.

    Raises ConfigError for a file that cannot be read, UsageError for a setting in it.
    """
    try:
        if not path.is_file():
            raise ConfigError(f"there is no file {path}")
        if path.stat().st_size > limits.SETTINGS_BYTES:
            raise ConfigError(f"{path} is too large for a file of settings")
        text = path.read_text("utf-8")
        if any(line.count(".") > limits.SETTINGS_DOTS for line in text.splitlines()):
            raise ConfigError(f"{path} is nested too deeply")
        table = tomllib.loads(text)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except RecursionError:
        raise ConfigError(f"{path} is nested too deeply") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not a text file in UTF-8", _TOML) from None
    except ValueError as error:  # not TOML
        reason = str(error).splitlines()[0][:200]
        raise ConfigError(f"{path} is not TOML: {reason}", _TOML) from None
    found: dict[str, Any] = {}
    for name, value in table.items():
        try:
            found[name.replace("-", "_")] = parse(name, _plain(name, value))
        except UsageError as error:
            raise UsageError(f"{path}: {error.message}", error.hint) from None
    return found


def parse(name: str, value: object) -> Any:
    """A setting, or the preset, from a program's value or from text: in its own type.

    None is 'none'. Raises UsageError.

    >>> parse("image_size", 64), parse("threads", "none"), parse("lr_g", 1)
    ('64', None, 1.0)
    """
    if isinstance(value, bool | None):
        value = str(value).lower()
    try:
        text = str(value)
    except ValueError:  # too many digits
        raise UsageError(f"{name[:80]} is too long a number") from None
    if name == _PRESET:
        return text
    name, parsed = schema.parse_setting(f"{name}={text}")
    return parse_augment(parsed) if name == "augment" else parsed


def _plain(name: str, value: object) -> object:
    """`value`, if it is one that a line of a file can give a setting."""
    if isinstance(value, bool | str | int | float):
        return value
    raise UsageError(
        f"'{name[:80]}' is not a number, a text, true or false",
        "Settings stand at the top of the file, in no [table].",
    )
