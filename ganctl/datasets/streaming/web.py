"""Byte ranges from web servers, which may send more than was requested, or next to nothing."""

from __future__ import annotations

import os
from typing import Any

import aiohttp
from fsspec.implementations.http import HTTPFileSystem

from ganctl import limits
from ganctl.errors import DataError
from ganctl.text import printable

_PIECE = 2**16


class WebFiles(HTTPFileSystem):  # type: ignore[misc]
    """fsspec's file system of web servers, which receives no more than it requested."""

    def __init__(self) -> None:
        idle = limits.IDLE_SECONDS
        timeout = aiohttp.ClientTimeout(total=2 * idle, sock_connect=idle, sock_read=idle)
        # What is not decompressed cannot swell; compressed answers are refused.
        super().__init__(client_kwargs={"timeout": timeout, "auto_decompress": False})

    async def _info(self, url: str, **options: Any) -> dict[str, Any]:
        """Return fsspec's facts of a file. Raises FileNotFoundError, and OSError if unreachable."""
        try:
            facts: dict[str, Any] = await super()._info(url, **options)
        except FileNotFoundError as error:  # fsspec turns every failure into it
            if not isinstance(cause := error.__cause__, aiohttp.ClientConnectorError):
                raise
            number = cause.os_error.errno or 0
            raise OSError(
                os.strerror(number).lower() if number > 0 else str(cause.strerror)
            ) from None
        return facts

    async def _cat_file(self, url: str, start: int, end: int, **_: Any) -> bytes:
        """Return bytes `start` to `end`, and one more if the server sends more.

        Raises DataError if it sends anything but that part, unchanged, and OSError.
        """
        idle = limits.IDLE_SECONDS
        seconds = idle + (end - start) / limits.SLOWEST_BYTES
        timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=idle, sock_read=idle)
        headers = {"Range": f"bytes={start}-{end - 1}", "Accept-Encoding": "identity"}
        session = await self.set_session()
        content = bytearray()
        try:
            async with session.get(
                self.encode_url(url), headers=headers, timeout=timeout
            ) as answer:
                self._raise_not_found_for_status(answer, url)
                _require_part(answer, url, start, end)
                while len(content) <= end - start:
                    piece = await answer.content.read(_PIECE)
                    if not piece:
                        break
                    content += piece
        except TimeoutError:
            raise OSError(f"the server sent too little in {seconds:.0f} s") from None
        return bytes(content[: end - start + 1])


def _require_part(answer: aiohttp.ClientResponse, url: str, start: int, end: int) -> None:
    """Raise DataError unless the answer is bytes `start` to `end`, unchanged."""
    if answer.headers.get("Content-Encoding", "identity") != "identity":
        raise DataError(
            f"{printable(url)} is sent compressed, although it was requested as it is",
            "Serve it without HTTP's Content-Encoding.",
        )
    is_part = answer.headers.get("Content-Range", "").startswith(f"bytes {start}-{end - 1}/")
    is_whole = answer.status == 200 and start == 0 and answer.content_length == end
    if not (is_whole or (answer.status == 206 and is_part)):
        raise DataError(
            f"{printable(url)} is not served in parts",
            "Serve it with a server that supports range requests.",
        )
