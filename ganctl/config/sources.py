"""The sources of settings: a preset, a file, the environment, options; the last one wins.

See docs/configuration.md.
"""

from __future__ import annotations

import json
import textwrap
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganctl import limits
from ganctl.config import presets
from ganctl.config.schema import (
    LENGTH_FIELDS,
    SETTINGS,
    TrainConfig,
    override,
    parse_value,
    settings,
)
from ganctl.errors import ConfigError, Setting, Text, UsageError
from ganctl.text import suggestion

_PREFIX = "GANCTL_"
STORE_FILE = "GANCTL_STORE"
"""Environment variable that names the file through which the processes of a machine meet."""
_NOT_SETTINGS = {"GANCTL_DEBUG", STORE_FILE}
_ARGUMENTS = (
    "out",
    "resume",
    "init_from",
    "device",
    "num_processes",
    "timeout",
    "cache_memory",
    "save_every",
)
"""Options of a training run that are not settings: no file or variable can give them."""
_PRESET = "preset"
_TOML = "'ganctl config --toml' writes a file to begin with."
_WIDTH = 96


@dataclass(frozen=True)
class Merged:
    """A config, and those of its settings that come from other sources than the preset."""

    config: TrainConfig
    changes: dict[str, Any]
    """Values from all sources but the preset, by the setting's name."""
    sources: dict[str, str]
    """Where each setting's value is from: 'preset fast', a path, 'GANCTL_SEED' or 'option'."""
    is_preset_given: bool


def merge(
    preset: str | None,
    options: Mapping[str, Any],
    *,
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Merged:
    """Return the config of `preset`, changed by `file`, then `environment`, then `options`.

    A length (epochs, steps) replaces the other one of a weaker source. Raises UsageError.
    """
    from_file = {} if file is None else read_file(file)
    from_environment = read_environment(environment or {})
    weaker = [source.pop(_PRESET, None) for source in (from_environment, from_file)]
    chosen = next((name for name in (preset, *weaker) if name is not None), None)
    config = presets.preset(chosen or presets.DEFAULT_PRESET)
    sources = dict.fromkeys(SETTINGS, f"preset {config.preset}")
    changes: dict[str, Any] = {}
    for values, origins in (
        (from_file, dict.fromkeys(from_file, str(file))),
        (from_environment, {name: _PREFIX + name.upper() for name in from_environment}),
        (options, dict.fromkeys(options, "option")),
    ):
        for length in [name for name in LENGTH_FIELDS if name in values]:
            changes = {name: changes[name] for name in changes if name not in LENGTH_FIELDS}
            sources |= dict.fromkeys(LENGTH_FIELDS, origins[length])
        changes |= values
        sources |= origins
    return Merged(override(config, changes), changes, sources, chosen is not None)


def require_one_beginning(resume: bool, init_from: object) -> None:
    """Raise UsageError if a run shall both be resumed and begin from another checkpoint."""
    if resume and init_from is not None:
        names = Setting("init_from"), Setting("resume", True)
        raise UsageError(
            Text("{} begins a new run, and {} continues one", *names),
            Text("Leave out {}: a run to resume has its weights already.", names[0]),
        )


def read_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings and the preset from GANCTL_ variables that are set. Raises UsageError."""
    found: dict[str, Any] = {}
    for variable in sorted(environment):
        name = variable.removeprefix(_PREFIX).lower()
        is_ours = variable.startswith(_PREFIX) and variable not in _NOT_SETTINGS
        if not is_ours or not environment[variable]:
            continue
        if variable != _PREFIX + name.upper() or name not in (*SETTINGS, _PRESET):
            hint: str | Text = Text("{} can only be given as an option.", Setting(name))
            if name not in _ARGUMENTS:
                hint = suggestion(name, (*SETTINGS, _PRESET))
            raise UsageError(f"unknown environment variable {variable[:80]}", hint)
        found[name] = _parse_from(variable, name, environment[variable])
    return found


def read_file(path: Path) -> dict[str, Any]:
    """Return the settings and the preset from a TOML file. Raises ConfigError, UsageError."""
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
    names = {name: name.replace("-", "_") for name in table}
    return {names[name]: _parse_from(path, names[name], value) for name, value in table.items()}


def _parse_from(origin: object, name: str, value: object) -> Any:
    try:
        if not isinstance(value, bool | str | int | float):
            raise UsageError(
                f"'{name[:80]}' is not a number, a text, true or false",
                "Settings stand at the top of the file, in no [table].",
            )
        return parse(name, value)
    except UsageError as error:
        raise UsageError(f"{origin}: {error.message}", error.hint) from None


def parse(name: str, value: object) -> Any:
    """Return a setting, or the preset, in its own type, from text or a program's value.

    None is 'none'. Raises UsageError.

    >>> parse("image_size", 64), parse("threads", "none"), parse("lr_g", 1)
    ('64', None, 1.0)
    """
    try:
        text = str(value).lower() if isinstance(value, bool | None) else str(value)
    except ValueError:  # too many digits
        raise UsageError(f"{name[:80]} is too long a number") from None
    return text if name == _PRESET else parse_value(name, text)


def toml_template(config: TrainConfig) -> str:
    """Return a TOML file of all settings; those equal to the preset's are comments."""
    values, usual = settings(config), settings(presets.PRESETS[config.preset])
    lines = [
        "# Settings of 'ganctl train --config FILE'. A line that begins with # is a comment; to",
        "# change a setting, remove the # before its name and give it another value.",
        "",
        f"preset = {json.dumps(config.preset)}",
    ]
    wrapper = textwrap.TextWrapper(_WIDTH, break_long_words=False, break_on_hyphens=False)
    group = ""
    for name, spec in SETTINGS.items():
        if spec.group != group:
            group = spec.group
            lines += ["", "", f"# {group}"]
        lines += ["", *(f"# {line}" for line in wrapper.wrap(str(spec.help)))]
        value = values[name]
        # A file may not have both lengths: the one that is given is enough.
        is_other_length = name in LENGTH_FIELDS and value is None
        mark = "#" if value == usual[name] or is_other_length else ""
        # TOML's strings are JSON's, but for one character that must be escaped as well.
        text = json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        text = f'"none"  # {spec.unset}' if value is None else text
        lines.append(f"{mark}{name} = {text}")
    return "\n".join(lines) + "\n"
