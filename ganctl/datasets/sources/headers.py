"""The headers of tar archives of unknown origin, read in time and memory linear in their size.

tarfile searches an extended header with a regular expression in quadratic time, keeps everything
that a header says for each later member, and recurses for each header before a member. Here only
the path and the size of a member are taken from its headers, within limits.
"""

from __future__ import annotations

import sys
import tarfile
from collections.abc import Iterator
from typing import Self

from ganctl import limits

_EXTENDED = (
    tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)  # fmt: skip
_MAX_DIGITS = 20
"""Maximum number of digits of a number in an extended header."""


class Archive(tarfile.TarFile):
    """A tar archive to read."""

    num_headers = 0
    """Number of extended headers before the member that is being read."""

    def next(self) -> tarfile.TarInfo | None:
        """Return the next member. Raises tarfile.TarError, OSError."""
        self.num_headers = 0
        return super().next()

    def iter_members(self) -> Iterator[tarfile.TarInfo]:
        """Yield each member and forget it. Raises what `next` does."""
        place = -1
        while (member := self.next()) is not None:
            self.members.clear()  # type: ignore[attr-defined]  # it would keep them all
            # A negative size would lead back to an earlier header, again and again.
            if member.size < 0 or self.offset <= place:
                raise tarfile.ReadError("a member's size is below zero")
            if self.offset > sys.maxsize:
                raise tarfile.ReadError("a member's size is larger than any file")
            place = self.offset
            yield member
        # tarfile takes anything that is not a header for the end.
        self.fileobj.seek(self.offset)
        if self.fileobj.read(tarfile.BLOCKSIZE).strip(b"\0"):
            raise tarfile.ReadError("no member where one should begin")


class _Member(tarfile.TarInfo):
    """The facts in a member's header. tarfile calls these methods by the header's type."""

    def _proc_member(self, archive: Archive) -> Self:
        if self.type in _EXTENDED:
            archive.num_headers += 1
            if archive.num_headers > limits.TAR_HEADERS:
                raise tarfile.ReadError("too many headers before one member")
            if not 0 <= self.size <= limits.TAR_HEADER_BYTES:
                raise tarfile.ReadError("a header is too large")
        member: Self = super()._proc_member(archive)  # type: ignore[misc]
        return member

    def _proc_pax(self, archive: Archive) -> Self:
        content = archive.fileobj.read(self._block(self.size))[: self.size]  # type: ignore[attr-defined]
        facts = {} if self.type == tarfile.XGLTYPE else _facts(content)
        try:
            member = self.fromtarfile(archive)
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(str(error)) from None
        if b"path" in facts:
            member.name = facts[b"path"].decode("utf-8", "surrogateescape").rstrip("/")
        if b"size" in facts:
            member.size = _number(facts[b"size"])
            if member.isreg():
                archive.offset = member.offset_data + member._block(member.size)  # type: ignore[attr-defined]
        if any(key.startswith(b"GNU.sparse.") for key in facts):
            member.sparse = []  # type: ignore[assignment]
        return member

    def _proc_sparse(self, archive: Archive) -> Self:
        """Skip what the header says about the holes of a sparse file, which is not used."""
        _, is_extended, _ = self._sparse_structs  # type: ignore[attr-defined]
        while is_extended:
            block = archive.fileobj.read(tarfile.BLOCKSIZE)
            is_extended = len(block) == tarfile.BLOCKSIZE and bool(block[504])
        self.sparse = []  # type: ignore[assignment]
        self.offset_data = archive.fileobj.tell()
        archive.offset = self.offset_data + self._block(self.size)  # type: ignore[attr-defined]
        return self


Archive.tarinfo = _Member


def _facts(content: bytes) -> dict[bytes, bytes]:
    """Return what a pax header's records, 'LENGTH KEY=VALUE', say about a member."""
    facts = {}
    at = 0
    while at < len(content) and content[at]:
        blank = content.find(b" ", at, at + _MAX_DIGITS + 1)
        length = _number(content[at : max(at, blank)])
        key, equals, value = content[blank + 1 : at + length - 1].partition(b"=")
        if not equals or not blank < at + length <= len(content):
            raise tarfile.ReadError("an extended header is damaged")
        if key in (b"path", b"size") or key.startswith(b"GNU.sparse."):
            facts[key] = value
        at += length
    return facts


def _number(digits: bytes) -> int:
    if not digits.isdigit() or len(digits) > _MAX_DIGITS:
        raise tarfile.ReadError("an extended header is damaged")
    return int(digits)
