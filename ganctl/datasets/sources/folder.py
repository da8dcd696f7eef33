"""A folder of images, with whatever else people keep in it."""

from __future__ import annotations

import functools
import heapq
import os
import stat
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from ganctl.datasets.decoding.decode import UNREADABLE, BadImage
from ganctl.datasets.sources.base import Contents, Entry, Problem, Source, is_hidden, too_large
from ganctl.datasets.sources.listing import Listing
from ganctl.text import listed, printable


class File(NamedTuple):
    """A file below a folder."""

    name: str
    size: int
    changed: int
    """When it was last changed, in nanoseconds."""


class Folder(Source):
    """The images below `path`; links are followed, but each folder is visited once."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._links_outside: list[str] = []
        self.found: Sequence[File | Problem] = list(walk(path, self._links_outside))
        """All files, in no order; empty in a process that only reads the images."""
        self._names: dict[str, str] = {}

    @functools.cached_property
    def contents(self) -> Contents:  # type: ignore[override]  # made only when it is needed
        """The images, with their splits and classes."""
        listing: Listing[str] = Listing()
        for found in self.found:
            if isinstance(found, Problem):
                listing.problems.append(found)
            else:
                listing.add(found.name, found.size, found.name)
        self._names = listing.places
        contents = listing.contents(self._content)
        if names := sorted(self._links_outside):
            # A folder from somebody else can link to private images of this user.
            contents.notes.append(
                f"Links that lead out of the folder are followed: {len(names):,} ({listed(names)})."
            )
        contents.problems.sort(key=lambda problem: problem.name)
        return contents

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "contents": self.contents, "_names": self._names,
                "found": (), "_links_outside": []}  # fmt: skip

    def read(self, entry: Entry) -> bytes:
        """Return a file's bytes, without waiting for a pipe. Raises BadImage."""
        return self._content(self._names[entry.name])

    def _content(self, name: str) -> bytes:
        return read_file(os.path.join(self.path, name))  # noqa: PTH118


def read_file(path: str) -> bytes:
    """Return the bytes of the image file at `path`, without waiting for a pipe. Raises BadImage."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with open(descriptor, "rb") as file:  # noqa: PTH123
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise BadImage("not a file")
            if (reason := too_large(status.st_size)) is not None:  # it has grown
                raise BadImage(reason[0])
            return file.read(status.st_size)  # a bound alone would be allocated whole
    except OSError as error:
        raise BadImage(f"{UNREADABLE}: {error.strerror or error}") from None


def walk(root: str, links_outside: list[str] | None = None) -> Iterator[File | Problem]:
    """Yield every file below `root`, in no order, and what cannot be listed.

    The names of links that lead out of `root` are added to `links_outside`. Links to folders come
    last, by name, so that the name of a file does not depend on the file system's order.
    """
    seen: set[tuple[int, int]] = set()
    folders, links = [""], list[str]()  # the links are a heap
    inside = os.path.join(os.path.realpath(root), "")  # noqa: PTH118
    while folders or links:
        relative = folders.pop() if folders else heapq.heappop(links)
        path = os.path.join(root, relative)  # noqa: PTH118
        try:
            status = os.stat(path)  # noqa: PTH116
            if (status.st_dev, status.st_ino) in seen:
                reason = "a link to a folder that is there already"
                yield Problem(printable(relative), reason, harmless=True)
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(path) as entries:
                for entry in entries:
                    name = f"{relative}/{entry.name}" if relative else entry.name
                    if entry.is_symlink() and links_outside is not None:
                        target = os.path.realpath(entry.path)
                        if not os.path.join(target, "").startswith(inside):  # noqa: PTH118
                            links_outside.append(printable(name))
                    yield from _visit(entry, name, folders, links)
        except OSError as error:
            reason = f"cannot be listed: {error.strerror or error}"
            yield Problem(printable(relative or root), reason)


def _visit(
    entry: os.DirEntry[str], name: str, folders: list[str], links: list[str]
) -> Iterator[File | Problem]:
    try:
        if entry.is_dir():
            if is_hidden(entry.name):
                yield Problem(printable(name), "hidden", harmless=True)
            elif entry.is_symlink():
                heapq.heappush(links, name)
            else:
                folders.append(name)
            return
        status = entry.stat()
    except OSError as error:
        reason = "a link to nothing" if entry.is_symlink() else f"{error.strerror or error}"
        yield Problem(printable(name), reason)
        return
    if stat.S_ISREG(status.st_mode):
        yield File(name, status.st_size, status.st_mtime_ns)
    else:
        yield Problem(printable(name), "a pipe, a socket or a device")
