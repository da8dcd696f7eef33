"""What is in a tar shard as WebDataset lays it out, from any sample on.

A sample is neighbours in a tar, as `sources.samples` tells them apart: 'k.png' and 'k.cls'.
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


Kind = Literal["image", "label", "file"]
"""Of what is not used: another image of a sample, a label without an image, any other file."""


@dataclass
class _Files:
    """The files of a sample, as far as they were found."""

    key: str
    begin: int
    image: tuple[str, bytes, int] | None = None
    """Its name, content and size."""
    rank: int = 0
    labels: dict[str, str | None] = field(default_factory=dict)
    """What the files beside it say, by their fields."""

    def sample(self, end: int) -> Sample | None:
        """The sample, if it has an image."""
        if self.image is None:
            return None
        told = (self.labels.get(suffix) for suffix in labels.BESIDE)
        label = next((label for label in told if label is not None), None)
        return Sample(*self.image, label, self.begin, end)


def samples(
    file: IO[bytes],
    first: int = 0,
    *,
    with_content: bool = True,
    image_key: str | None = None,
    layout: Layout = ALL,
    passed: Callable[[Kind, str], None] = lambda _, __: None,
) -> Iterator[Sample]:
    """The samples of a tar from the present place on that have an image to be trained on.

    `sources.samples` says which files are a sample and which is its image, by the `image_key`, and
    `layout` which folders are trained on. Of samples before the `first` neither content nor label
    is read, of no image of more bytes than any is expected to have. `passed` is told the names of
    what is not used. Raises what `damage` understands.
    """
    found, number = _Files("", file.tell()), 0
    for member, place in _members(file):
        name = member.name.removeprefix("./")
        if not member.isreg() or member.issparse() or climbs(name):
            continue
        is_beside = is_label(name, member.size)
        if not (is_beside or is_image(name)):
            passed("file", name)
            continue
        if not layout.is_train(folders_of(name)):
            continue
        key, suffix = split(name)
        if key != found.key:
            if (sample := found.sample(place)) is not None:
                yield sample
                number += 1
            elif found.labels:
                passed("label", found.key)
            found = _Files(key, place)
        if is_beside:
            content = _content(file, member) if number >= first else b""
            found.labels[suffix] = labels.beside(content, suffix)
        elif (order := rank(suffix, image_key)) is None or (found.image and order >= found.rank):
            passed("image", name)
        else:
            if found.image is not None:
                passed("image", found.image[0])
            is_read = with_content and number >= first and member.size <= limits.IMAGE_BYTES
            content = _content(file, member) if is_read else b""
            found.image, found.rank = (printable(name), content, member.size), order
    if (sample := found.sample(file.tell())) is not None:
        yield sample
    elif found.labels:
        passed("label", found.key)


@contextlib.contextmanager
def damage(where: str) -> Iterator[None]:
    """What goes wrong with a tar while entered becomes a DataError about the one at `where`."""
    try:
        yield
    except tarfile.TarError as error:
        raise DataError(f"{printable(where)} is damaged: {error}") from None
    except (OSError, ValueError, EOFError, RecursionError) as error:
        said = files.reason(error) if isinstance(error, OSError) else str(error)
        raise DataError(f"{printable(where)} cannot be read: {said}") from None


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


def _content(file: IO[bytes], member: tarfile.TarInfo) -> bytes:
    file.seek(member.offset_data)
    content = file.read(member.size)
    if len(content) < member.size:
        raise tarfile.ReadError("it ends within an image")
    return content
