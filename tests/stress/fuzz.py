"""Coverage-guided fuzzing of the readers of files from strangers, with atheris.

    pip install -e '.[test,fuzz]'
    python tests/stress/fuzz.py TARGET CORPUS [--seconds 3600]

An input fails if it gives anything but a result or a GanctlError, or takes more than 5 seconds or
2 GiB. CORPUS is a folder of inputs, which is extended and can be used again; failed inputs are left
in it as crash-*, timeout-* or oom-*.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import atheris

_INSTRUMENTED = ["ganctl", "zipfile", "tarfile", "pickletools", "json", "PIL", "numpy.lib"]
with atheris.instrument_imports(include=_INSTRUMENTED):  # before anything else imports them
    import tarfile
    import zipfile

    import numpy as np
    from PIL import Image

    from ganctl import checkpoint as schema
    from ganctl.config.image_settings import ImageSettings
    from ganctl.datasets.decoding import decode
    from ganctl.datasets.decoding.decode import BadImage
    from ganctl.datasets.sources.opening import open_source
    from ganctl.datasets.streaming import index, indexing
    from ganctl.errors import GanctlError

    Image.preinit()
    Image.init()

import tempfile  # noqa: E402

import torch  # noqa: E402
from mutants import strangers  # noqa: E402
from mutants.base import Base, original, zipped  # noqa: E402

TIMEOUT, MEMORY = 5, 2048
"""Seconds and MiB that an input may take."""
_SETTINGS = ImageSettings((8, 8), 3)

Target = Callable[[bytes], None]


class Targets:
    """Readers to fuzz, each with honest files as seeds."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._base = Base(schema.encode(original("fast")))
        honest = schema.content_digest
        # A fuzzer finds no digest, CRC or checksum, which a forger knows how to make.
        schema.content_digest = lambda content: content.get("digest") or honest(content)
        zipfile.ZipExtFile._update_crc = lambda *_: None  # type: ignore[attr-defined]
        tarfile.calc_chksums = lambda block: (tarfile.nti(block[148:156]),)

    def checkpoint(self, data: bytes) -> None:
        """Read a checkpoint: `data` is the file, or the pickle in one."""
        schema.decode(data if data.startswith(b"PK") else self._base.with_program(data))

    def checkpoint_seeds(self) -> Iterator[bytes]:
        yield self._base.data
        yield self._base.members()["archive/data.pkl"]

    def tar(self, data: bytes) -> None:
        """List a tar, decode its images, and read it as a shard."""
        path = self._file("x.tar", data)
        source = open_source(str(path))
        for entry in source.entries[:9]:
            with contextlib.suppress(BadImage):
                source.read(entry)
        list(indexing.make(str(self._folder / "index.json"), ["x.tar"], lambda *_: None).shards)

    def tar_seeds(self) -> Iterator[bytes]:
        for kind in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
            yield strangers.tar(kind)[: 2**13]

    def npz(self, data: bytes) -> None:
        """Read an .npz: `data` is the file, or the number of a member and its content."""
        if not data.startswith(b"PK"):
            names = ["images.npy", "labels.npy", "classes.npy"]
            members = {name: _npy(array) for name, array in zip(names, _ARRAYS, strict=True)}
            data = zipped({**members, names[data[0] % 3] if data else "x": data[1:]})
        source = open_source(str(self._file("x.npz", data)))
        for entry in source.entries[:9]:
            with contextlib.suppress(BadImage):
                decode.decode(source.read(entry), _SETTINGS)

    def npz_seeds(self) -> Iterator[bytes]:
        for number, array in enumerate(_ARRAYS):
            yield bytes([number]) + _npy(array)
        yield strangers.arrays()

    def zip(self, data: bytes) -> None:
        """Read a zip of images."""
        source = open_source(str(self._file("x.zip", data)))
        for entry in source.entries[:9]:
            with contextlib.suppress(BadImage):
                source.read(entry)

    def zip_seeds(self) -> Iterator[bytes]:
        yield strangers.archive_of_images()

    def index(self, data: bytes) -> None:
        """Read an index of shards."""
        found = index.read(str(self._file("index.json", data)))
        assert index.read(str(self._file("index.json", found.to_json()))).digest == found.digest

    def index_seeds(self) -> Iterator[bytes]:
        yield strangers.index_of_shards()

    def image(self, data: bytes) -> None:
        """Read the header of an image, and its pixels if they are few."""
        with contextlib.suppress(BadImage):
            facts = decode.measure(data)
            if facts.width * facts.height < 2**16:
                decode.decode(data, _SETTINGS)

    def image_seeds(self) -> Iterator[bytes]:
        yield from strangers.images()

    def _file(self, name: str, data: bytes) -> Path:
        path = self._folder / name
        path.write_bytes(data)
        return path


_ARRAYS = (
    np.zeros((4, 8, 8), np.uint8),
    np.array([0, 1, 0, 1]),
    np.array(["a", "b"]),
)


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


NAMES = ("checkpoint", "tar", "npz", "zip", "index", "image")


def main() -> None:
    """Fuzz until the time is over; atheris ends the process."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("target", choices=NAMES)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--seconds", type=int, default=3600)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))
    targets = Targets(folder)
    chosen.corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(getattr(targets, f"{chosen.target}_seeds")()):
        (chosen.corpus / f"seed-{number}").write_bytes(seed)
    read: Target = getattr(targets, chosen.target)

    def once(data: bytes) -> None:
        with contextlib.suppress(GanctlError):
            read(data)

    atheris.Setup(
        [
            *(sys.argv[0], str(chosen.corpus), f"-artifact_prefix={chosen.corpus}/"),
            *(f"-max_total_time={chosen.seconds}", f"-timeout={TIMEOUT}"),
            *(f"-rss_limit_mb={MEMORY}", f"-malloc_limit_mb={MEMORY}", "-max_len=16384"),
            *("-print_final_stats=1", "-len_control=0"),
        ],
        once,
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
