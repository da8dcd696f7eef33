"""The samples of a tar shard in WebDataset's layout, from any sample on.

A sample is consecutive files with a common key, as `sources.samples` splits them: 'k.png', 'k.cls'.
"""

from __future__ import annotations

import contextlib
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import IO, Literal, NamedTuple

from ganctl import files, limits
from ganctl.datasets.sources import labels
from ganctl.datasets.sources.base import climbs
from ganctl.datasets.sources.headers import Archive
from ganctl.datasets.sources.layout import ALL, Layout, folders_of
from ganctl.datasets.sources.samples import is_image, is_label, rank, split
from ganctl.errors import DataError
from ganctl.text import printable


class Sample(NamedTuple):
    """An image of a shard."""

    name: str
    """Name of its file, safe to print."""
    content: bytes
    """The file; empty if it was not to be read, or is too large."""
    size: int
    """Size of the file in bytes."""
    label: str | None
    """Label in the .cls or .json beside it."""
    begin: int
    """Offset of its first file in the shard."""
    end: int
    """Offset of the next sample."""


Kind = Literal["image", "label", "file"]
"""Kinds of files that are not used: another image of a sample, a label without image, any other."""


@dataclass
class _Files:
    """The files of a sample found so far."""

    key: str
    begin: int
    image: tuple[str, bytes, int] | None = None
    """Name, content and size."""
    rank: int = 0
    labels: dict[str, str | None] = field(default_factory=dict)
    """Labels by the fields of their files."""


def samples(
    file: IO[bytes],
    first: int = 0,
    *,
    with_content: bool = True,
    image_key: str | None = None,
    layout: Layout = ALL,
    on_skip: Callable[[Kind, str], None] = lambda _, __: None,
) -> Iterator[Sample]:
    """Yield the samples of a tar from its current offset on that have an image to train on.

    The `image_key` chooses the image of each sample, as in `sources.samples`; `layout` says which
    folders are trained on. Neither content nor label is read of the samples before the `first`,
    and no content of images that are too large. `on_skip` is called with the name of each file that
    is not used. Raises what `damage` explains.
    """
    number = 0

    def finish(found: _Files, end: int) -> Iterator[Sample]:
        nonlocal number
        if found.image is not None:
            in_order = (found.labels.get(suffix) for suffix in labels.BESIDE)
            label = next((label for label in in_order if label is not None), None)
            number += 1
            yield Sample(*found.image, label, found.begin, end)
        elif found.labels:
            on_skip("label", found.key)

    found = _Files("", file.tell())
    for member, offset in _members(file):
        name = member.name.removeprefix("./")
        if not member.isreg() or member.issparse() or climbs(name):
            continue
        is_beside = is_label(name, member.size)
        if not (is_beside or is_image(name)):
            on_skip("file", name)
            continue
        if not layout.is_train(folders_of(name)):
            continue
        key, suffix = split(name)
        if key != found.key:
            yield from finish(found, offset)
            found = _Files(key, offset)
        if is_beside:
            content = _content(file, member) if number >= first else b""
            found.labels[suffix] = labels.beside(content, suffix)
        elif (order := rank(suffix, image_key)) is None or (found.image and order >= found.rank):
            on_skip("image", name)
        else:
            if found.image is not None:
                on_skip("image", found.image[0])
            is_read = with_content and number >= first and member.size <= limits.IMAGE_BYTES
            content = _content(file, member) if is_read else b""
            found.image, found.rank = (printable(name), content, member.size), order
    yield from finish(found, file.tell())


@contextlib.contextmanager
def damage(address: str) -> Iterator[None]:
    """Convert errors in reading the tar at `address` to a DataError about it."""
    try:
        yield
    except tarfile.TarError as error:
        raise DataError(f"{printable(address)} is damaged: {error}") from None
    except (OSError, ValueError, EOFError, RecursionError) as error:
        reason = files.reason(error) if isinstance(error, OSError) else str(error)
        raise DataError(f"{printable(address)} cannot be read: {reason}") from None


def _members(file: IO[bytes]) -> Iterator[tuple[tarfile.TarInfo, int]]:
    """Yield a tar's members and their offsets."""
    offset = file.tell()
    with Archive(fileobj=file) as tar:
        for member in tar.iter_members():
            following = tar.offset
            yield member, offset
            offset = following
        file.seek(offset)


def _content(file: IO[bytes], member: tarfile.TarInfo) -> bytes:
    file.seek(member.offset_data)
    content = file.read(member.size)
    if len(content) < member.size:
        raise tarfile.ReadError("it ends within an image")
    return content
