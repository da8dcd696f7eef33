"""The headers of tar archives of unknown origin, read in time and memory that grow with them alone.

tarfile searches an extended header with a regular expression that takes quadratic time, keeps all
that a header says for each member after it, and calls itself for each header that comes before a
member. Here only a member's path and size are taken from them, within bounds.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from typing import Self

from ganctl import limits

_EXTENDED = (
    tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)  # fmt: skip
_DIGITS = 20
"""Digits of a number in an extended header, at most."""


class Archive(tarfile.TarFile):
    """A tar archive to read."""

    num_headers = 0
    """Extended headers that came before the member that is being read."""

    def next(self) -> tarfile.TarInfo | None:
        """Return the next member. Raises tarfile.TarError, OSError."""
        self.num_headers = 0
        return super().next()

    def each(self) -> Iterator[tarfile.TarInfo]:
        """Yield each member, none of which is kept. Raises what `next` does.

        A size below zero would lead back to a header that was read before, and so on for good.
        """
        place = -1
        while (member := self.next()) is not None:
            self.members.clear()  # type: ignore[attr-defined]  # it would keep them all
            if member.size < 0 or self.offset <= place:
                raise tarfile.ReadError("a member's size is below zero")
            place = self.offset
            yield member


class _Member(tarfile.TarInfo):
    """What a header says of a member. tarfile calls these methods by the header's type."""

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
        """A file with holes, which is not used: what its header says of them is passed over."""
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
    """Return what a pax header's records 'LENGTH KEY=VALUE' say of a member. Raises ReadError."""
    facts = {}
    at = 0
    while at < len(content) and content[at]:
        blank = content.find(b" ", at, at + _DIGITS + 1)
        length = _number(content[at : max(at, blank)])
        key, equals, value = content[blank + 1 : at + length - 1].partition(b"=")
        if not equals or not blank < at + length <= len(content):
            raise tarfile.ReadError("an extended header is damaged")
        if key in (b"path", b"size") or key.startswith(b"GNU.sparse."):
            facts[key] = value
        at += length
    return facts


def _number(digits: bytes) -> int:
    if not digits.isdigit() or len(digits) > _DIGITS:
        raise tarfile.ReadError("an extended header is damaged")
    return int(digits)
