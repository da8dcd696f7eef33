from __future__ import annotations

import functools
import http.server
import socket
import sys
import threading
import tracemalloc

import pytest

from ganctl import limits
from ganctl.datasets import loading
from ganctl.datasets.streaming import storage
from ganctl.errors import DataError, PackageError, UsageError

fsspec = pytest.importorskip("fsspec")
CONTENT = bytes(range(256)) * 64


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr(storage, "_RETRIES", (0.0, 0.0, 0.0))


@pytest.fixture
def stored():
    system = fsspec.filesystem("memory")
    system.pipe("/bucket/some.bin", CONTENT)
    yield "memory://bucket/some.bin"
    system.rm("/bucket", recursive=True)


@pytest.mark.parametrize("chunk", [1, 100, 2**22])
def test_a_file_is_read_at_any_offset(stored, monkeypatch, chunk):
    monkeypatch.setattr(storage, "_CHUNK", chunk)
    with storage.open_file(stored) as file:
        assert storage.size_of(file) == len(CONTENT)
        for place, size in ((0, 10), (5, 10), (15, 300), (10, 3), (len(CONTENT) - 3, 10)):
            file.seek(place)
            assert file.read(size) == CONTENT[place : place + size]
            assert file.tell() == min(place + size, len(CONTENT))
        assert file.read(10) == b""
        file.seek(0)
        assert file.read() == CONTENT


def test_a_broken_connection_is_retried_at_the_same_range(stored, monkeypatch):
    system = type(fsspec.filesystem("memory"))
    whole, asked = system.cat_file, []

    def cat_file(self, path, start=None, end=None):
        asked.append((start, end))
        if len(asked) == 2:
            raise ConnectionResetError("reset by peer")
        content = whole(self, path, start=start, end=end)
        return content[:50] if len(asked) == 3 else content

    monkeypatch.setattr(system, "cat_file", cat_file)
    monkeypatch.setattr(storage, "_CHUNK", 100)
    with storage.open_file(stored) as file:
        assert file.read(100) + file.read(100) == CONTENT[:200]
    assert asked == [(0, 100), (100, 200), (100, 200), (100, 200)]


def test_a_connection_that_stays_broken_is_an_error(stored, monkeypatch):
    def cat_file(*_, **__):
        raise ConnectionResetError("reset by\npeer\x1b")

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "cat_file", cat_file)
    with storage.open_file(stored) as file, pytest.raises(DataError) as caught:
        file.read(10)
    assert caught.value.message == f"{stored} cannot be read: reset by peer\\x1b"


def test_missing_forbidden_and_unsupported_addresses(stored, monkeypatch):
    with pytest.raises(DataError, match="there is nothing at memory://bucket/other"):
        storage.open_file("memory://bucket/other")
    for address, said in (
        ("nonsense://bucket/index.json", "are not supported"),
        ("file:///etc/index.json", "are not supported"),
        ("zip://index.json::memory://x.zip", "is a chain of addresses"),
        ("s3://key:secret@bucket/index.json", "a password in it would be kept"),
        ("https://secret@example.org/index.json", "a token in it would be kept"),
    ):
        with pytest.raises(UsageError, match=said) as refused:
            loading.resolve(address)
        assert "secret" not in f"{refused.value.message} {refused.value.hint}"

    def info(*_, **__):
        raise PermissionError("Forbidden")

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "info", info)
    with pytest.raises(DataError, match="may not be read: Forbidden") as caught:
        storage.open_file(stored)
    assert "credentials" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("missing", "address", "hint"),
    [
        ("s3fs", "s3://bucket/index.json", "pip install s3fs"),
        ("gcsfs", "gs://bucket/index.json", "pip install gcsfs"),
    ],
)
def test_missing_packages_are_named(monkeypatch, missing, address, hint):
    monkeypatch.setitem(sys.modules, missing, None)
    vars(sys.modules["fsspec.registry"])["_registry"].pop(address.partition(":")[0], None)
    with pytest.raises(PackageError) as caught:
        storage.require_address(address)
    assert hint in str(caught.value.hint)


@pytest.fixture
def plain_server(tmp_path):
    """Python's own file server, which does not support range requests."""
    pytest.importorskip("aiohttp")
    (tmp_path / "some.bin").write_bytes(CONTENT)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_): ...

    handler = functools.partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_server_without_range_requests_is_refused(plain_server, monkeypatch):
    monkeypatch.setattr(storage, "_CHUNK", 100)
    file = storage.open_file(f"{plain_server}/some.bin")
    with file, pytest.raises(DataError, match="is not served in parts"):
        file.read(10)
    with pytest.raises(DataError, match="there is nothing at http://"):
        storage.open_file(f"{plain_server}/other.bin")


def test_a_refused_connection_is_reported_as_such():
    pytest.importorskip("aiohttp")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # and does not listen
        address = f"http://127.0.0.1:{closed.getsockname()[1]}/index.json"
        with pytest.raises(DataError, match=r"index\.json cannot be read: connection refused"):
            storage.open_file(address)


class Hostile(http.server.BaseHTTPRequestHandler):
    """A server that announces 100 bytes, and then sends what its path says."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_): ...

    def do_HEAD(self):
        self.send_response(200)
        self.send_header("Content-Length", "100")
        self.end_headers()

    def do_GET(self):
        kind = self.path.strip("/")
        self.send_response(200 if kind == "whole" else 206)
        if kind == "compressed":
            self.send_header("Content-Encoding", "gzip")
        if kind != "whole":
            self.send_header("Content-Range", f"bytes {3 if kind == 'elsewhere' else 0}-99/100")
        if kind in ("slow", "elsewhere", "whole"):
            self.send_header("Content-Length", "100")
        self.send_header("Connection", "close")
        self.end_headers()
        self.server.sent = 0
        if kind in ("whole", "elsewhere"):
            self.wfile.write(bytes(100))
            return
        try:
            while self.server.sent < 2**26:
                self.wfile.write(b"x" if kind == "slow" else bytes(2**16))
                self.server.sent += 2**16
                if kind == "slow" and self.server.slow.wait(0.05):
                    return
        except OSError:  # the other end has had enough
            return


@pytest.fixture
def hostile_server():
    pytest.importorskip("aiohttp")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hostile) as server:
        server.slow = threading.Event()
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server, f"http://127.0.0.1:{server.server_port}"
        server.slow.set()
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("endless", "is not served in parts"),
        ("compressed", "is sent compressed"),
        ("elsewhere", "is not served in parts"),
    ],
)
def test_no_more_is_received_than_was_requested(hostile_server, kind, words):
    server, address = hostile_server
    tracemalloc.start()
    try:
        with storage.open_file(f"{address}/{kind}") as file, pytest.raises(DataError, match=words):
            file.read()
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()
    assert getattr(server, "sent", 0) < 2**25, "64 MiB were on their way"


def test_a_server_that_sends_too_slowly_is_given_up(hostile_server, monkeypatch):
    _, address = hostile_server
    monkeypatch.setattr(limits, "IDLE_SECONDS", 0.5)
    with (
        storage.open_file(f"{address}/slow") as file,
        pytest.raises(DataError, match="the server sent too little in 1 s"),
    ):
        file.read()


def test_a_server_may_send_a_small_file_whole(hostile_server):
    _, address = hostile_server
    with storage.open_file(f"{address}/whole") as file:
        assert file.read() == bytes(100)


def test_folders_of_web_servers_are_not_listed(hostile_server):
    _, address = hostile_server
    with pytest.raises(DataError, match="cannot be listed: it is on a web server"):
        storage.list_names(f"{address}/folder")
