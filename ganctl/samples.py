"""What a model draws: images as arrays, as Pillow's, as files, and shown in a notebook."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ganctl import files, images, videos
from ganctl.errors import UsageError
from ganctl.images import Pixels
from ganctl.text import counted, listed, nearest

_MAX_SHOWN = 256
"""Images that a notebook shows at once."""
_MAX_NAMED = 8
"""Seeds that a line of text names."""
_MAX_FPS = 50
"""What browsers show: they play shorter frames slower."""
ANIMATED = (*(f".{kind}" for kind in images.ANIMATIONS), ".mp4")
"""Suffixes of files that a walk can be shown moving in."""


@dataclass(frozen=True, eq=False, repr=False)
class Samples:
    """Images, in order. `numpy.asarray(samples)` is their `pixels`."""

    pixels: Pixels
    """uint8 (N, H, W, C); C is 1 or 3."""
    seeds: tuple[int, ...]
    """Each image's seed; of a walk or a sheet, those that it goes between."""
    columns: int | None = None
    """Images in a row where they are shown; None: as square as their number allows."""
    text: Mapping[str, str] = field(default_factory=dict)
    """What a PNG says of where it comes from."""

    def __len__(self) -> int:
        return len(self.pixels)

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.pixels.shape[1:]))
        seeds = listed(map(str, self.seeds[:_MAX_NAMED]))
        more = ", ..." if len(self.seeds) > _MAX_NAMED else ""
        return f"{type(self).__name__}({len(self)} of {shape}, seeds {seeds}{more})"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.pixels, dtype, copy=copy)

    def pil(self) -> list[Image.Image]:
        """Each image as Pillow has it, of mode L or RGB, as large as the networks made it."""
        return [images.to_pil(picture) for picture in self.pixels]

    def picture(
        self, *, columns: int | None = None, upscale: int | None = None, captions: bool = False
    ) -> Pixels:
        """All in one picture, uint8 (H, W, C): `columns` in a row, no gaps.

        Each pixel becomes `upscale` x `upscale`; None: images become about as large as is good to
        look at. `captions` writes each one's seed below it. Raises UsageError where there are no
        images, or none has a seed of its own to be written below it.
        """
        if not len(self):
            raise UsageError("there are no images to show")
        _require_positive("columns", columns)
        enlarged = images.enlarge(self.pixels, self._factor(upscale))
        if captions:
            if len(self.seeds) != len(self):
                raise UsageError("only images that have a seed each can be captioned")
            enlarged = images.captioned(enlarged, [str(seed) for seed in self.seeds])
        return images.grid(enlarged, columns or self.columns)

    def grid(
        self, *, columns: int | None = None, upscale: int | None = None, captions: bool = False
    ) -> Image.Image:
        """`picture` as Pillow has it."""
        return images.to_pil(self.picture(columns=columns, upscale=upscale, captions=captions))

    def save(self, path: str | Path, *, upscale: int | None = None) -> None:
        """Write a .png, all in one picture, or an .npz, arr_0 as `pixels`; whole or not at all.

        Raises UsageError for another suffix, RunError where it cannot be written.
        """
        path = Path(path)
        files.write_atomic(path, self._encode(_suffix(path, (".png", ".npz")), upscale))

    def _encode(self, suffix: str, upscale: int | None) -> bytes:
        if suffix == ".npz":
            buffer = io.BytesIO()
            _require_positive("upscale", upscale)
            pixels = images.enlarge(self.pixels, upscale or 1)
            images.write_npz(buffer, [pixels], pixels.shape)
            return buffer.getvalue()
        return images.png(self.picture(upscale=upscale), self.text)

    def _factor(self, upscale: int | None) -> int:
        _require_positive("upscale", upscale)
        return upscale or images.preview_factor(self.pixels.shape[1])

    def _repr_png_(self) -> bytes | None:
        """What a notebook shows: the first 256. None, and so `repr`, where there are none."""
        if not len(self):
            return None
        shown = Samples(self.pixels[:_MAX_SHOWN], self.seeds, self.columns)
        return images.png(shown.picture())


class Walk(Samples):
    """The frames of a walk through latent space, in order; a notebook shows them moving."""

    def animation(self, kind: str = "apng", *, fps: int = 25, upscale: int | None = None) -> bytes:
        """A file that shows `fps` frames a second: gif, webp, apng, or mp4 (extra `video`).

        `fps` is 1 to 50. Raises UsageError where it is none of those, or the extra is missing.
        """
        if not 1 <= fps <= _MAX_FPS:
            raise UsageError(f"fps must be 1 to {_MAX_FPS}, not {fps}")
        suffix = _suffix(Path(f"walk.{kind}"), ANIMATED)
        frames = images.enlarge(self.pixels, self._factor(upscale))
        if suffix == ".mp4":
            return videos.mp4(list(frames), fps)
        return images.animation(list(frames), suffix[1:], milliseconds=round(1000 / fps))

    def save(self, path: str | Path, *, upscale: int | None = None, fps: int = 25) -> None:
        """As `Samples.save`; or an animation: .gif, .webp, .apng, or .mp4 (extra `video`)."""
        path = Path(path)
        suffix = _suffix(path, (".png", ".npz", *ANIMATED))
        animated = suffix in ANIMATED
        files.write_atomic(
            path,
            self.animation(suffix[1:], fps=fps, upscale=upscale)
            if animated
            else self._encode(suffix, upscale),
        )

    def _repr_html_(self) -> str:
        content = base64.b64encode(self.animation()).decode()
        words = f"a walk of {counted(len(self), 'frame')}"
        return f'<img src="data:image/png;base64,{content}" alt="{words}">'


def _require_positive(name: str, number: int | None) -> None:
    if number is not None and number < 1:
        raise UsageError(f"{name} must be at least 1, not {number}")


def _suffix(path: Path, known: tuple[str, ...]) -> str:
    suffix = path.suffix.lower()
    if suffix not in known:
        raise UsageError(f"'{suffix}' is no kind of file for this", nearest(suffix, known))
    return suffix
