"""Latents as .npz files, so that they can be kept, edited and drawn again.

    latents = read("faces.npz", network)    # checked: they fit the networks of a checkpoint
    latents.points, latents.classes         # float32 (N, latent_dim); int64 (N,) or None
    write("faces.npz", Latents(points))     # or Latents(points, classes, seeds, provenance)
    fitting(array_or_latents_or_path, network)  # whatever a caller gives, as checked Latents

The file's arrays: `latents`, float32 (N, latent_dim); `classes`, int64 (N,), only for conditional
networks; `seeds`, uint32 (N,), only of latents that were drawn from seeds; `names`, text (N,), only
of pictures and directions; `provenance`, the text of a JSON object. Programs other than ganctl need
to write `latents` alone, of any type of number.
"""

from __future__ import annotations

import hashlib
import stat
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ganctl import files, limits, machine
from ganctl.config.schema import MAX_SEED, NetworkConfig
from ganctl.datasets.sources.npy import read_array, read_headers
from ganctl.datasets.sources.zips import open_zip
from ganctl.errors import DataError, UsageError
from ganctl.images import ArrayStream, text_array, write_npz
from ganctl.provenance import from_json
from ganctl.text import counted, listed, printable

SUFFIX = ".npz"
_EXPECTED = "Give an .npz with an array 'latents': a row of numbers for each image."
_PER_LATENT = ("classes", "seeds", "names")


@dataclass(frozen=True, eq=False)
class Latents:
    """Latents in order, and what is known about each."""

    points: NDArray[np.float32]
    """(N, latent_dim), standard Gaussian unless they were truncated, projected or moved."""
    classes: NDArray[np.int64] | None = None
    """The number of each one's class, (N,); None if it is not known, or there are no classes."""
    seeds: Sequence[int] | None = None
    """The seed that each was drawn from; None for other latents."""
    provenance: Mapping[str, str] = field(default_factory=dict)
    """Where they come from, as in the files that ganctl draws; `checkpoint` is the digest."""
    path: Path | None = None
    """The file that they were read from."""
    names: Sequence[str] | None = None
    """A name for each, safe to print: that of its picture, or of a direction."""

    def __len__(self) -> int:
        return len(self.points)

    def picked(self, places: Sequence[int]) -> Latents:
        """Return the latents at these places, counted from 0. Raises UsageError."""
        if wrong := [place for place in places if not 0 <= place < len(self)]:
            raise UsageError(
                f"there is no latent {wrong[0]}", f"Their numbers are 0 to {len(self) - 1:,}."
            )
        return replace(
            self,
            points=self.points[list(places)],
            classes=None if self.classes is None else self.classes[list(places)],
            seeds=None if self.seeds is None else [self.seeds[place] for place in places],
            names=None if self.names is None else [self.names[place] for place in places],
        )

    @property
    def text(self) -> dict[str, str]:
        """Text for files: where they were read, and a digest that identifies them."""
        digest = hashlib.sha256(np.ascontiguousarray(self.points, "<f4").tobytes()).hexdigest()
        return {"latents": "an array" if self.path is None else self.path.name,
                "latents_digest": digest}  # fmt: skip

    def notices(self, digest: str) -> list[str]:
        """Return a warning if they were made with another checkpoint than the one of `digest`."""
        origin = self.provenance.get("checkpoint", digest)
        if origin == digest:
            return []
        name = "These latents" if self.path is None else f"The latents in '{self.path}'"
        return [f"{name} were made with another checkpoint, {printable(origin)[:12]}: "
                "its images differ from those drawn now."]  # fmt: skip

    def __repr__(self) -> str:
        origin = f" from {str(self.path)!r}" if self.path else ""
        return f"Latents({len(self)} of {self.points.shape[1]} dimensions{origin})"


def read(path: str | Path, network: NetworkConfig) -> Latents:
    """Return the latents in the .npz file `path`, which fit `network`.

    Raises DataError for a file that is missing or damaged, or whose latents are missing, empty or
    not finite, or differ in number from its classes or seeds; UsageError for latents of another
    length than `network.latent_dim`, and for classes that it does not have.
    """
    path = Path(path)
    shown = f"'{printable(str(path))}'"
    _require_archive(path, shown)
    try:
        found, provenance = _read_arrays(path)
        latents = Latents(**_checked(**found), provenance=provenance, path=path)
    except DataError as error:
        raise DataError(f"{shown} cannot be used: {error.message}", error.hint) from None
    except Exception as error:  # parsers of damaged files can raise anything
        reason = printable(str(error))[:100]
        raise DataError(f"{shown} is damaged: {reason}", "Write it again.") from None
    _require_fitting(latents, network, shown)
    return latents


def is_one(path: str | Path) -> bool:
    """Return whether there is an .npz file with latents at `path`, instead of images."""
    try:
        with open_zip(str(path), limits.ARRAY_DIRECTORY_BYTES) as archive:
            return "latents.npy" in archive.namelist()
    except Exception:  # parsers of other and of damaged files can raise anything
        return False


def write(path: str | Path, latents: Latents) -> None:
    """Write `latents` to the .npz file `path`, completely or not at all.

    Raises UsageError for another suffix and for more latents than `read` accepts, RunError if
    writing fails.
    """
    path = Path(path)
    if path.suffix.lower() != SUFFIX:
        raise UsageError(f"latents are written to an {SUFFIX} file, not '{printable(str(path))}'")
    require_writable(*latents.points.shape)
    machine.require_disk(path, latents.points.nbytes)
    arrays = {"latents": _stream(latents.points, "<f4")}
    if latents.classes is not None:
        arrays["classes"] = _stream(latents.classes, "<i8")
    if latents.seeds is not None:
        arrays["seeds"] = _stream(np.array(latents.seeds, np.uint32), "<u4")
    if latents.names is not None:
        longest = limits.LABEL_NAME_BYTES // 4  # in UTF-32
        names = np.array([name[:longest] for name in latents.names], np.str_)
        arrays["names"] = _stream(names, names.dtype.str)
    arrays["provenance"] = text_array(latents.provenance)
    files.clear_abandoned(path.parent)
    with files.atomic_writer(path) as file:
        write_npz(file, arrays)


def require_writable(count: int, latent_dim: int) -> None:
    """Raise UsageError if a file cannot hold `count` latents of this length."""
    most = limits.IMAGE_BYTES // (4 * latent_dim)
    if count > most:
        raise UsageError(
            f"{count:,} latents are too many for a file, which holds {most:,} of this length",
            "Draw fewer at a time.",
        )


def fitting(given: Latents | ArrayLike | str | Path, network: NetworkConfig) -> Latents:
    """Return the latents that a caller means, checked to fit `network`.

    `given` are Latents, the path of a file of them, or an array (N, latent_dim) of numbers, also a
    tensor on the CPU. Raises what `read` raises, an error in an array being a UsageError.
    """
    if isinstance(given, (str, Path)):
        return read(given, network)
    latents = given
    if not isinstance(latents, Latents):
        try:
            latents = Latents(**_checked(np.asarray(given)))
        except DataError as error:
            raise UsageError(error.message) from None
    _require_fitting(latents, network, "the array" if latents.path is None else f"'{latents.path}'")
    return latents


def _require_archive(path: Path, shown: str) -> None:
    try:
        mode = path.stat().st_mode
        is_archive = stat.S_ISREG(mode) and zipfile.is_zipfile(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{shown} cannot be read: {reason}", _EXPECTED) from None
    if stat.S_ISDIR(mode):
        inside = min(path.glob(f"*{SUFFIX}"), default=None)
        hint = f"Give the file in it: {printable(str(inside))}" if inside else _EXPECTED
        raise DataError(f"{shown} is a folder", hint)
    if not is_archive:
        raise DataError(f"{shown} is not an .npz file", _EXPECTED)


def _read_arrays(path: Path) -> tuple[dict[str, NDArray[Any]], Mapping[str, str]]:
    """Return the arrays `latents`, `classes` and `seeds` of a file, and its provenance."""
    with open_zip(str(path), limits.ARRAY_DIRECTORY_BYTES) as archive:
        headers = read_headers(archive)
        if "latents" not in headers:
            names = listed(map(printable, headers)) or "nothing"
            raise DataError(f"it has no array 'latents', only {names}", _EXPECTED)
        for key, header in headers.items():  # before anything is allocated
            if key == "latents":
                _require_shape(header.shape)
            elif key in _PER_LATENT and header.shape != (headers["latents"].shape[0],):
                each = counted(headers["latents"].shape[0], "latent")
                raise DataError(f"{key} is {header}, not a number for each of {each}")
        known = ("latents", *_PER_LATENT)
        found = {key: read_array(archive, key, headers[key]) for key in known if key in headers}
        text = headers.get("provenance")
        if text is None or text.shape != () or text.dtype.kind != "U":
            return found, {}
        return found, from_json(read_array(archive, "provenance", text, limits.PROVENANCE_BYTES))


def _checked(
    latents: NDArray[Any],
    classes: NDArray[Any] | None = None,
    seeds: NDArray[Any] | None = None,
    names: NDArray[Any] | None = None,
) -> dict[str, Any]:
    """Return the fields of `Latents`, in the types that they have. Raises DataError."""
    _require_shape(latents.shape)
    if latents.dtype.kind not in "fiu":
        raise DataError(f"latents are {latents.dtype}, not numbers")
    with np.errstate(over="ignore"):  # found below
        points = np.ascontiguousarray(latents, np.float32)
    is_bad = ~np.isfinite(points).all(axis=1)
    if is_bad.any():
        row = is_bad.argmax()
        value = latents[row][~np.isfinite(points[row])][0]
        raise DataError(
            f"latent {row} has the value {value:g}, which is not a finite number",
            f"Such values are in {is_bad.sum():,} of {counted(len(points), 'latent')}.",
        )
    for name, values in (("classes", classes), ("seeds", seeds)):
        if values is not None and values.dtype.kind not in "iu":
            raise DataError(f"{name} are {values.dtype}, not whole numbers")
    if names is not None and names.dtype.kind != "U":
        raise DataError(f"names are {names.dtype}, not texts")
    if seeds is not None and not ((seeds >= 0) & (seeds <= MAX_SEED)).all():
        raise DataError(f"seeds are not all from 0 to {MAX_SEED:,}")
    return {
        "points": points,
        "classes": None if classes is None else classes.astype(np.int64),
        "seeds": None if seeds is None else tuple(seeds.tolist()),
        "names": None if names is None else tuple(map(printable, names.tolist())),
    }


def _require_shape(shape: tuple[int, ...]) -> None:
    if len(shape) != 2:
        raise DataError(f"latents have the shape {shape}, not (N, latent_dim)")
    if not shape[0]:
        raise DataError("it has no latents: their number is 0")


def _require_fitting(latents: Latents, network: NetworkConfig, shown: str) -> None:
    """Raise UsageError unless the latents are such as `network` takes."""
    length, count = latents.points.shape[1], network.num_classes
    if length != network.latent_dim:
        raise UsageError(
            f"{shown} has latents of length {length}, and this checkpoint takes "
            f"{network.latent_dim}",
            "Latents belong to the checkpoint that they were made with.",
        )
    if latents.classes is None:
        return
    if not count:
        raise UsageError(
            f"{shown} has classes, and this checkpoint has none",
            "Latents belong to the checkpoint that they were made with.",
        )
    is_unknown = (latents.classes < 0) | (latents.classes >= count)
    if is_unknown.any():
        raise UsageError(
            f"{shown} has the class {latents.classes[is_unknown][0]}, and the classes of this "
            f"checkpoint are 0 to {count - 1}"
        )


def _stream(values: NDArray[Any], dtype: str) -> ArrayStream:
    return ArrayStream(dtype, values.shape, [values])
