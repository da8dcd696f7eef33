"""What is in a tar shard as WebDataset lays it out, from any sample on.

A sample is the neighbours in a tar whose names are alike up to their first dot: 'k.png', 'k.cls'.
"""

from __future__ import annotations

import contextlib
import tarfile
from collections.abc import Iterator
from typing import IO, NamedTuple

from ganctl import files, limits
from ganctl.datasets.sources.base import climbs, shown, unused
from ganctl.datasets.sources.headers import Archive
from ganctl.datasets.sources.tars import key_of, label_of
from ganctl.errors import DataError


class Sample(NamedTuple):
    """An image of a shard."""

    name: str
    """Its file's, fit to be shown."""
    content: bytes
    """Empty where it was not to be read, or is too large to be."""
    size: int
    """In bytes."""
    label: str | None
    """What the .cls or .json beside it says."""
    begin: int
    """Where in the shard its files begin,"""
    end: int
    """and where the next sample's do."""


def samples(file: IO[bytes], first: int = 0, *, with_content: bool = True) -> Iterator[Sample]:
    """The samples of a tar from the present place on that have an image: the first, if several.

    Of those before the `first` neither content nor label is read, of no image of more bytes than
    any is expected to have. Raises what `damage` understands.
    """
    key, image, labels = "", None, dict[str, str | None]()
    number, begin = 0, file.tell()
    for member, place in _members(file):
        name = member.name.removeprefix("./")
        if key_of(name) != key:
            if image is not None:
                yield Sample(*image, _label(labels), begin, place)
                number += 1
            key, image, labels, begin = key_of(name), None, {}, place
        if not member.isreg() or member.issparse() or climbs(name):
            continue
        if name.lower().endswith((".cls", ".json")) and member.size <= limits.LABEL_BYTES:
            if number >= first:
                labels[name[-4:].lower()] = label_of(_content(file, member), name)
        elif image is None and _is_image(name):
            is_read = with_content and number >= first and member.size <= limits.IMAGE_BYTES
            image = (shown(name), _content(file, member) if is_read else b"", member.size)
    if image is not None:
        yield Sample(*image, _label(labels), begin, file.tell())


@contextlib.contextmanager
def damage(where: str) -> Iterator[None]:
    """What goes wrong with a tar while entered becomes a DataError about the one at `where`."""
    try:
        yield
    except tarfile.TarError as error:
        raise DataError(f"{shown(where)} is damaged: {error}") from None
    except (OSError, ValueError, EOFError, RecursionError) as error:
        said = files.reason(error) if isinstance(error, OSError) else str(error)
        raise DataError(f"{shown(where)} cannot be read: {said}") from None


def _members(file: IO[bytes]) -> Iterator[tuple[tarfile.TarInfo, int]]:
    """A tar's members, and where each begins."""
    place = file.tell()
    with Archive(fileobj=file) as tar:
        for member in tar.each():
            following = tar.offset
            yield member, place
            place = following
        # tarfile takes whatever is no header for the end.
        file.seek(place)
        if file.read(tarfile.BLOCKSIZE).strip(b"\0"):
            raise tarfile.ReadError("no member where one should begin")
        file.seek(place)


def _is_image(name: str) -> bool:
    """By its name; one of a kind that cannot be read is missed, too."""
    problem = unused(name, 0)
    return problem is None or not problem[1]


def _content(file: IO[bytes], member: tarfile.TarInfo) -> bytes:
    file.seek(member.offset_data)
    content = file.read(member.size)
    if len(content) < member.size:
        raise tarfile.ReadError("it ends within an image")
    return content


def _label(labels: dict[str, str | None]) -> str | None:
    return labels.get(".cls") or labels.get("json")
