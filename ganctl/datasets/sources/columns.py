"""The columns of a table that hold the images and their classes.

Tables have an Arrow schema. That of Hugging Face's `datasets` says which columns are images and
which are classes, and how the classes are called; without it, types and names of columns say so.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ganctl import limits
from ganctl.config.image_settings import ImageSettings
from ganctl.errors import DataError, Setting, Text, UsageError
from ganctl.text import listed, printable

if TYPE_CHECKING:
    import pyarrow as pa

_LABELS = ("label", "labels", "class", "classes", "target", "targets", "y")
"""Names of columns of classes where their types do not say so."""
_METADATA = b"huggingface"
BYTES = "bytes"
"""The part of a struct that holds the content of an image's file."""


@dataclass(frozen=True)
class Columns:
    """The columns of a table that are used."""

    image: str
    leaf: str
    """The image column, or the part of it that holds the content of the files."""
    label: str | None = None
    """The column of the classes; None if there is none."""
    names: tuple[str, ...] = ()
    """Names of the classes that are counted in the column; empty if it has the names itself."""


def find(
    schema: pa.Schema, where: str, settings: ImageSettings, *, labeled: bool = True
) -> Columns:
    """Return the columns of images and, if `labeled`, of classes in the table called `where`.

    Those that `settings` name are used, or else the only ones that can be. Raises DataError if
    there are no images, and UsageError if several columns fit or a named one does not.
    """
    if len(set(schema.names)) < len(schema.names):
        raise DataError(f"two columns of {where} have the same name")
    features = _features(schema)
    image = _image(schema, features, where, settings.image_column)
    label = _label(schema, features, where, settings.label_column) if labeled else None
    leaf = f"{image}.{BYTES}" if _is_struct(schema.field(image).type) else image
    names = _class_names(features.get(label)) if label is not None else ()
    return Columns(image, leaf, label, names)


def require_none(settings: ImageSettings, what: str) -> None:
    """Raise UsageError if `settings` name a column, which `what`, images of some kind, lack."""
    for name in ("image_column", "label_column"):
        if getattr(settings, name) is not None:
            raise UsageError(
                f"{what} are not in a table with columns", Text("Leave out {}.", Setting(name))
            )


def _image(schema: pa.Schema, features: Mapping[str, Any], where: str, wanted: str | None) -> str:
    fitting: list[str] = [name for name in schema.names if _is_image(schema.field(name).type)]
    if wanted is not None:
        _require(schema, where, "image_column", wanted, fitting, "no images")
        return wanted
    named = [name for name in fitting if _kind(features.get(name)) == "Image"]
    structs = [name for name in fitting if _is_struct(schema.field(name).type)]
    found = named or structs or fitting
    if not found:
        raise DataError(
            f"{where} has no column of images: its columns are {_described(schema)}",
            "A column of images holds the content of image files, as Hugging Face's datasets "
            "writes them.",
        )
    if len(found) > 1:
        raise _several(where, "images", "image_column", found)
    return found[0]


def _label(
    schema: pa.Schema, features: Mapping[str, Any], where: str, wanted: str | None
) -> str | None:
    fitting: list[str] = [name for name in schema.names if _is_label(schema.field(name).type)]
    if wanted is not None:
        _require(schema, where, "label_column", wanted, fitting, "neither whole numbers nor names")
        return wanted
    named = [name for name in fitting if _kind(features.get(name)) == "ClassLabel"]
    found = named or [name for name in fitting if name.lower() in _LABELS]
    if len(found) > 1:
        raise _several(where, "classes", "label_column", found)
    return found[0] if found else None


def _require(
    schema: pa.Schema, where: str, setting: str, wanted: str, fitting: list[str], lacks: str
) -> None:
    """Raise UsageError unless the column `wanted` is among the `fitting` ones."""
    if wanted in fitting:
        return
    hint = None
    if fitting:
        hint = Text("Choose one of these with {}: {}.", Setting(setting), _names(fitting))
    if wanted in schema.names:
        kind = printable(str(schema.field(wanted).type))[:60]
        raise UsageError(
            f"the column '{printable(wanted)}' of {where} has {lacks}: it is {kind}", hint
        )
    raise UsageError(f"{where} has no column '{printable(wanted)[:60]}'", hint)


def _several(where: str, what: str, setting: str, found: list[str]) -> UsageError:
    return UsageError(
        f"several columns of {where} may be the {what}: {_names(found)}",
        Text("Choose one with {}.", Setting(setting, printable(found[0]))),
    )


def _names(columns: Iterable[str]) -> str:
    return listed([printable(name)[:60] for name in columns])


def _described(schema: pa.Schema) -> str:
    shown = (f"{printable(f.name)[:60]} ({printable(str(f.type))[:30]})" for f in schema)
    return listed(list(shown)) or "none"


def _is_image(kind: Any) -> bool:
    """Return whether values of an Arrow type can hold the content of image files."""
    if _is_struct(kind):
        index = kind.get_field_index(BYTES)
        return index >= 0 and _is_binary(kind.field(index).type)
    return _is_binary(kind)


def _is_binary(kind: Any) -> bool:
    import pyarrow.types as types

    return bool(types.is_binary(kind) or types.is_large_binary(kind))


def _is_struct(kind: Any) -> bool:
    import pyarrow.types as types

    return bool(types.is_struct(kind))


def _is_label(kind: Any) -> bool:
    import pyarrow.types as types

    if types.is_dictionary(kind):
        kind = kind.value_type
    tests = (types.is_integer, types.is_boolean, types.is_string, types.is_large_string)
    return any(test(kind) for test in tests)


def _features(schema: pa.Schema) -> Mapping[str, Any]:
    """Return what `datasets` wrote about each column; nothing if it did not write the table."""
    try:
        features = json.loads((schema.metadata or {})[_METADATA])["info"]["features"]
    except (KeyError, ValueError, TypeError, RecursionError):
        return {}
    return features if isinstance(features, dict) else {}


def _kind(feature: object) -> object:
    return feature.get("_type") if isinstance(feature, dict) else None


def _class_names(feature: Any) -> tuple[str, ...]:
    """Return the names of a ClassLabel; none unless they are all different."""
    names = feature.get("names") if _kind(feature) == "ClassLabel" else None
    if not isinstance(names, list) or not 0 < len(names) <= limits.CLASSES:
        return ()
    shown = tuple(printable(str(name)).strip()[: limits.NAME_CHARS] for name in names)
    return shown if all(shown) and len(set(shown)) == len(shown) else ()
