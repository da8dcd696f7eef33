"""Files of images that are not read, each known by its name or its first bytes.

Two lines of Python turn each into an .npz. The user runs them: some of these files can run code.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from ganctl.errors import DataError
from ganctl.text import printable

_START_BYTES = 32
_LMDB = b"\xde\xc0\xef\xbe"
"""Magic number of LMDB on machines that store low bytes first, after a page's header."""


class _Kind(NamedTuple):
    name: str
    pattern: re.Pattern[str]
    """Names of such files."""
    start: re.Pattern[bytes]
    """First bytes of such files."""
    lines: tuple[str, str]
    """Code that turns the file at {path} into an .npz; {folder} is the folder that it is in."""


def _kind(name: str, pattern: str, start: bytes, *lines: str) -> _Kind:
    first, second = lines
    by_name = re.compile(pattern, re.IGNORECASE)
    return _Kind(name, by_name, re.compile(start, re.DOTALL), (first, second))


_H5 = (
    "import h5py, numpy as np; file = h5py.File({path})  # list(file) names its arrays",
    "np.savez('images.npz', images=file['images'][:], labels=file['labels'][:])",
)
_NEVER = b"(?!)"
_KINDS = (
    _kind("a MATLAB 7.3 file", "(?!)", b"MATLAB 7.3", *_H5),
    _kind(
        "a MATLAB file", r".*\.mat", b"MATLAB 5.0",
        "import numpy as np, scipy.io; file = scipy.io.loadmat({path})  # X is (H, W, C, N)",
        "np.savez('images.npz', images=np.moveaxis(file['X'], 3, 0), labels=file['y'])",
    ),
    _kind("an HDF5 file", r".*\.(h5|hdf5|he5)", rb"\x89HDF\r\n\x1a\n", *_H5),
    _kind(
        "an LMDB database", r"data\.mdb|.*\.lmdb", b".{16}" + re.escape(_LMDB),
        "import io, lmdb, numpy as np, PIL.Image; "
        "cursor = lmdb.open({folder}, readonly=True, lock=False).begin().cursor()",
        "np.savez('images.npz', images=np.stack([PIL.Image.open(io.BytesIO(value)) "
        "for _, value in cursor]))",
    ),
    _kind(
        "a TFRecord file", r".*\.?tfrecords?([-.].*)?", _NEVER,
        "import numpy as np, tensorflow as tf; rows = [tf.train.Example.FromString(row.numpy())"
        ".features.feature for row in tf.data.TFRecordDataset({path})]",
        "np.savez('images.npz', images=np.stack([tf.io.decode_image("
        "row['image'].bytes_list.value[0]) for row in rows]))",
    ),
    _kind(
        "a pickle of CIFAR-10's", r"data_batch_\d|test_batch", _NEVER,
        "import numpy as np, pickle; batch = pickle.load(open({path}, 'rb'), encoding='latin1')",
        "np.savez('images.npz', images=batch['data'].reshape(-1, 3, 32, 32), "
        "labels=batch['labels'])",
    ),
    _kind(
        "a PyTorch file", r".*\.(pt|pth)", _NEVER,
        "import numpy as np, torch; images, labels, *_ = torch.load({path}, weights_only=True)",
        "np.savez('images.npz', images=images.numpy(), labels=labels.numpy())",
    ),
    _kind(
        "a pickle", r".*\.(pkl|pickle)", rb"\x80[\x02-\x05]",
        "import numpy as np, pickle; images, labels = pickle.load(open({path}, 'rb'))",
        "np.savez('images.npz', images=images, labels=labels)",
    ),
)  # fmt: skip
_HINT = (
    "These two lines of Python turn it into an .npz, which is read. Change the names in them to "
    "those in the file, and run them only on a file that you trust."
)


def require_known(paths: Iterable[str]) -> None:
    """Raise DataError with code that converts it if one of the files at `paths` is foreign."""
    for path in paths:
        if (kind := _kind_of(path)) is not None:
            parts = {"path": repr(path), "folder": repr(str(Path(path).parent))}
            raise DataError(
                f"'{printable(path)}' is {kind.name}, which ganctl does not read",
                _HINT,
                details=[printable(line.format_map(parts)) for line in kind.lines],
            )


def _kind_of(path: str) -> _Kind | None:
    try:
        with Path(path).open("rb") as file:
            start = file.read(_START_BYTES)
    except (OSError, ValueError):  # its name may say it
        start = b""
    for kind in _KINDS:  # a .mat of MATLAB 7.3 begins like one, and is among the first
        if kind.start.match(start) or kind.pattern.fullmatch(Path(path).name):
            return kind
    return None
