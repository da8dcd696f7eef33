"""Samples of a model: as arrays, as Pillow images, as files, and shown in a notebook."""

from __future__ import annotations

import base64
import dataclasses
import functools
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ganctl import files, images, latents_file, machine, sample_folder, videos
from ganctl.config.spec import require
from ganctl.errors import Setting, Text, UsageError
from ganctl.images import ArrayStream, Pixels
from ganctl.latents_file import Latents
from ganctl.sampling import Labels, classes_of
from ganctl.text import counted, listed, suggestion

if TYPE_CHECKING:
    from ganctl.datasets.dataset import Progress

ANIMATED = (*(f".{kind}" for kind in images.ANIMATIONS), ".mp4")
"""Suffixes of the animations that a walk can be saved as."""
_MAX_IMAGES, _MAX_BYTES = 10_000, 2**30
"""Limits of one picture or animation: number of images, bytes of pixels."""
_MAX_FPS = 50
"""Maximum frames per second: browsers show shorter frames more slowly."""
_COPIES = 3
"""Copies of all pixels in memory while a file is made; 2.9 were measured for a grid."""
_MAX_SHOWN, _MAX_NAMED = 256, 8
"""Number of images that a notebook shows, and of seeds that `repr` names."""
_NUM_ROWS = 2**20
"""Number of seeds or labels converted at once."""


def no_progress(*_: object) -> None:
    """Show no progress."""


@dataclass(frozen=True, eq=False, repr=False)
class Samples:
    """Images drawn by a model, in order. `numpy.asarray(samples)` returns their `pixels`.

    They are drawn when they are first needed. Saving any number of them as an .npz or a folder
    takes the memory of one batch.
    """

    draw: Callable[[], Iterator[Pixels]]
    """Draws all images in chunks, uint8 (n, H, W, C)."""
    shape: tuple[int, int, int, int]
    """(N, H, W, C); C is 1, 3 or 4."""
    seeds: Sequence[int]
    """The seed of each image, or the seeds that a walk or a sheet goes between; none if they were
    drawn from latents without seeds."""
    labels: Labels | None = None
    """The class of each seed. None if seed k is of class k modulo the number of classes."""
    classes: tuple[str, ...] = ()
    """Names of the model's classes; none if it is unconditional."""
    by_class: bool = False
    """Whether the same seeds are drawn in every class, one class after the other."""
    columns: int | None = None
    """Number of images per row of a picture; None for a nearly square one."""
    text: Mapping[str, str] = field(default_factory=dict)
    """Text stored in every file: where the images come from."""
    numbered: bool = False
    """Whether images are named by their number, from 0, instead of their seed: those of latents."""
    find_latents: Callable[[], Latents] | None = None
    """Returns the latent of each image; None for the images of a walk or a sheet."""

    _kind: ClassVar[str] = "grid"
    _if_too_large: ClassVar[str | Text] = "Save them as an array, such as samples.npz."
    _suffixes: ClassVar[tuple[str, ...]] = (".png", ".npz")

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.shape[1:]))
        if not self.seeds:
            return f"{type(self).__name__}({len(self)} of {shape})"
        seeds = listed(map(str, self.seeds[:_MAX_NAMED]))
        more = ", ..." if len(self.seeds) > _MAX_NAMED else ""
        return f"{type(self).__name__}({len(self)} of {shape}, seeds {seeds}{more})"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.pixels, dtype, copy=copy)

    @functools.cached_property
    def pixels(self) -> Pixels:
        """The images, uint8 (N, H, W, C). Raises DeviceError if they do not fit into memory."""
        return self._draw_all(no_progress)

    @functools.cached_property
    def latents(self) -> Latents:
        """The latent that each image was drawn from, after truncation, with its class and seed.

        Raises UsageError for a walk or a sheet, and for more than a file can hold.
        """
        if self.find_latents is None:
            raise UsageError(f"a {self._kind} has no latents of its own", "Sample its ends.")
        return dataclasses.replace(self.find_latents(), provenance=self.text)

    def save_latents(self, path: str | Path) -> None:
        """Write `latents` to an .npz file, from which they can be drawn again.

        Raises UsageError for another suffix, RunError if writing fails.
        """
        latents_file.write(path, self.latents)

    def chunks(self, progress: Progress = no_progress) -> Iterator[Pixels]:
        """Yield the images in chunks, uint8 (n, H, W, C)."""
        if "pixels" in vars(self):
            yield self.pixels
            return
        task = "drawing samples" if self._kind == "grid" else "drawing frames"
        done = 0
        for chunk in self.draw():
            yield chunk
            done += len(chunk)
            progress(task, done, len(self))

    def with_channels(self, channels: int) -> Self:
        """Return the same samples with `channels` channels: gray ones as RGB if it is 3.

        Samples that have as many are returned as they are. Raises UsageError for anything else.
        """
        own = self.shape[-1]
        if channels == own:
            return self
        if (own, channels) != (1, 3):
            kind = {1: "gray", 3: "RGB", 4: "RGBA"}[own]
            raise UsageError(
                Text("{} is not possible for {} images", Setting("channels", channels), kind),
                "Only gray images are written otherwise: as RGB, with 3.",
            )
        return dataclasses.replace(
            self,
            draw=lambda: (chunk.repeat(channels, -1) for chunk in self.chunks()),
            shape=(*self.shape[:3], channels),
        )

    def pil(self) -> list[Image.Image]:
        """Return each image as a Pillow image of mode L, RGB or RGBA, in its original size."""
        return [images.to_pil(picture) for picture in self.pixels]

    def picture(
        self,
        *,
        columns: int | None = None,
        rows: int | None = None,
        upscale: int | None = None,
        captions: bool = False,
    ) -> Pixels:
        """Return all images in one picture without gaps, uint8 (H, W, C).

        Each pixel becomes `upscale` x `upscale` pixels; by default images become about 84 pixels
        high. With `captions` each image's seed is written below it, or its number among given
        latents. Raises UsageError if there are no images, if they do not fit, or if they have no
        seeds of their own to be written.
        """
        if not len(self):
            raise UsageError("there are no images to show")
        columns, factor = self._columns(columns, rows), self._factor(upscale)
        if not captions:
            return images.enlarge(images.grid(self.pixels, columns, rows), factor)
        self._require_own_seeds("captioned")
        enlarged = images.enlarge(self.pixels, factor)
        captioned = images.add_captions(enlarged, [*map(str, self._numbers)])
        return images.grid(captioned, columns, rows)

    def grid(self, **layout: Any) -> Image.Image:
        """Return what `picture` returns for the same arguments, as a Pillow image."""
        return images.to_pil(self.picture(**layout))

    def save(
        self,
        path: str | Path,
        *,
        columns: int | None = None,
        rows: int | None = None,
        upscale: int | None = None,
        captions: bool = False,
        force: bool = False,
        progress: Progress = no_progress,
    ) -> None:
        """Write a .png, an .npz, or a folder, which exists or ends in /, with a PNG per image.

        The .png is `picture`. The .npz has the pixels as arr_0, beside seeds, labels, classes and
        provenance.
        The folder has a folder per class where `by_class`; `force` removes samples of an earlier
        call. Each file is written completely or not at all. Raises UsageError for another suffix
        and for too large a picture, RunError if writing fails.
        """
        is_folder, path = str(path).endswith(("/", os.sep)) or Path(path).is_dir(), Path(path)
        if is_folder:
            self._save_folder(path, self._factor(upscale or 1), force, progress)
        elif self._suffix(path) == ".npz":
            self._save_npz(path, self._factor(upscale or 1), progress)
        else:
            columns = self._columns(columns, rows)
            self._draw_for_file(upscale, progress, (columns or 0) * (rows or 0))
            picture = self.picture(columns=columns, rows=rows, upscale=upscale, captions=captions)
            files.clear_abandoned(path.parent)
            files.write_atomic(path, images.png(picture, self.text))

    def _repr_png_(self) -> bytes | None:
        """Return a PNG of the first 256 images for a notebook; None if there are no images."""
        if not len(self):
            return None
        picture = images.grid(self.pixels[:_MAX_SHOWN], self.columns)
        return images.png(images.enlarge(picture, self._factor(None)))

    def _draw_all(self, progress: Progress) -> Pixels:
        task = f"drawing {counted(len(self), 'image')}"
        machine.require_memory(2 * math.prod(self.shape), task)  # in chunks, then as one array
        none = np.empty((0, *self.shape[1:]), np.uint8)
        return images.concatenate([none, *self.chunks(progress)])

    def _draw_for_file(self, upscale: int | None, progress: Progress, num_places: int = 0) -> None:
        """Draw all images, unless a file of them, or of `num_places`, would be too large."""
        count, factor = max(len(self), num_places), self._factor(upscale)
        size = count * math.prod(self.shape[1:]) * factor**2
        if count > _MAX_IMAGES:
            raise UsageError(
                f"a {self._kind} of {count:,} images is too large ({_MAX_IMAGES:,} at most)",
                self._if_too_large,
            )
        if size > _MAX_BYTES:
            raise UsageError(
                f"{count:,} images enlarged {factor} times are {size / 2**30:.1f} GiB of pixels, "
                f"more than the {_MAX_BYTES // 2**30} GiB that one file may hold",
                Text("Give fewer images or a smaller {}.", Setting("upscale")),
            )
        machine.require_memory(_COPIES * size, f"a picture of {counted(count, 'image')}")
        if "pixels" not in vars(self):
            vars(self)["pixels"] = self._draw_all(progress)

    def _save_npz(self, path: Path, factor: int, progress: Progress) -> None:
        count, height, width, channels = self.shape
        shape = (count, height * factor, width * factor, channels)
        machine.require_disk(path, math.prod(shape))
        chunks = (images.enlarge(chunk, factor) for chunk in self.chunks(progress))
        arrays = {"arr_0": ArrayStream("|u1", shape, chunks)}
        if self._has_own_numbers:
            parts = [slice(start, start + _NUM_ROWS) for start in range(0, count, _NUM_ROWS)]
            if len(self.seeds) == count:
                arrays["seeds"] = ArrayStream("<u4", (count,), (self.seeds[part] for part in parts))
            if self.classes:
                names = np.array(self.classes)
                arrays["labels"] = ArrayStream("<i8", (count,), map(self._labels, parts))
                arrays["classes"] = ArrayStream(names.dtype.str, names.shape, [names])
        if self.text:
            arrays["provenance"] = images.text_array(self.text)
        files.clear_abandoned(path.parent)
        with files.atomic_writer(path) as file:
            images.write_npz(file, arrays)

    def _save_folder(self, path: Path, factor: int, force: bool, progress: Progress) -> None:
        self._require_own_seeds("saved in a folder")
        folders, seeds = [""], self._numbers
        noun = "latent" if self.numbered else "seed"
        if self.by_class:
            folders = sample_folder.class_folders(self.classes)
            seeds = seeds[: len(seeds) // len(folders)]
        if not isinstance(seeds, range) and len(set(seeds)) < len(seeds):
            raise UsageError(
                "a folder has one file per seed and cannot hold a seed twice",
                "Give each seed once, or save a grid, such as samples.png.",
            )

        def pngs() -> Iterator[tuple[str, bytes]]:
            text = {name: value for name, value in self.text.items() if name != "classes"}
            done = 0
            for chunk in self.chunks(progress):
                part = slice(done, done + len(chunk))
                done = part.stop
                for seed, label, picture in zip(self._numbers[part], self._labels(part), chunk,
                                                strict=True):  # fmt: skip
                    text["latent" if self.numbered else "seeds"] = str(seed)
                    if self.classes:
                        text["class"] = self.classes[label]
                    name = f"{folders[label] if self.by_class else ''}/{noun}-{seed:06d}.png"
                    yield name.lstrip("/"), images.png(images.enlarge(picture, factor), text)

        sample_folder.write(path, pngs(), folders=folders, noun=noun, numbers=seeds, force=force)

    @property
    def _numbers(self) -> Sequence[int]:
        """What the images are named by: their seeds, or their places among given latents."""
        return range(len(self)) if self.numbered else self.seeds

    @property
    def _has_own_numbers(self) -> bool:
        return len(self._numbers) == len(self)

    def _labels(self, part: slice) -> Labels:
        if self.labels is None:
            return classes_of(self._numbers[part], len(self.classes) or 1)
        return self.labels[part]

    def _require_own_seeds(self, done: str) -> None:
        if not self._has_own_numbers:
            raise UsageError(f"only images that have a seed each can be {done}")

    def _columns(self, columns: int | None, rows: int | None) -> int | None:
        _require("columns", columns)
        _require("rows", rows)
        columns = columns or (-(-len(self) // rows) if rows else self.columns)
        if columns and rows and columns * rows < len(self):
            raise UsageError(f"{len(self):,} images do not fit into a grid of {columns}x{rows}")
        return columns

    def _factor(self, upscale: int | None) -> int:
        _require("upscale", upscale)
        return upscale or images.preview_factor(self.shape[1])

    def _suffix(self, path: Path) -> str:
        suffix = path.suffix.lower()
        if suffix not in self._suffixes:
            raise UsageError(f"cannot write '{suffix}' files", suggestion(suffix, self._suffixes))
        return suffix


class Sheet(Samples):
    """A square of images between four seeds, row by row."""

    _kind = "sheet"
    _if_too_large = Text("Give a smaller {}.", Setting("frames"))


class Walk(Samples):
    """The frames of a walk through latent space, in order. A notebook shows them animated."""

    _kind = "walk"
    _if_too_large = Text("Give a smaller {}, or fewer seeds.", Setting("frames"))
    _suffixes = (".png", ".npz", *ANIMATED)

    def animation(self, kind: str = "apng", *, fps: int = 25, upscale: int | None = None) -> bytes:
        """Return an animation with `fps` frames per second: gif, webp, apng or mp4.

        Raises UsageError if `fps` is not 1 to 50, PackageError for an mp4 without the extra
        `video`.
        """
        _require("fps", fps, _MAX_FPS)
        suffix = self._suffix(Path(f"walk.{kind}"))
        frames = images.enlarge(self.pixels, self._factor(upscale))
        if suffix == ".mp4":
            return videos.mp4(list(frames), fps, self.text)
        milliseconds = round(1000 / fps)
        return images.animation(list(frames), suffix[1:], milliseconds=milliseconds, text=self.text)

    def save(
        self,
        path: str | Path,
        *,
        upscale: int | None = None,
        fps: int = 25,
        progress: Progress = no_progress,
        **layout: Any,
    ) -> None:
        """Write an animation (.gif, .webp, .apng, .mp4), or what `Samples.save` writes.

        Raises what `animation` and `Samples.save` raise.
        """
        suffix = Path(path).suffix.lower()
        if suffix not in ANIMATED:
            super().save(path, upscale=upscale, progress=progress, **layout)
            return
        _require("fps", fps, _MAX_FPS)
        if suffix == ".mp4":
            videos.require_encoder()
        self._draw_for_file(upscale, progress)
        progress("writing frames", 0, len(self))
        files.clear_abandoned(Path(path).parent)
        files.write_atomic(Path(path), self.animation(suffix[1:], fps=fps, upscale=upscale))

    def _repr_html_(self) -> str:
        content = base64.b64encode(self.animation()).decode()
        alt = f"a walk of {counted(len(self), 'frame')}"
        return f'<img src="data:image/png;base64,{content}" alt="{alt}">'


def _require(name: str, number: int | None, maximum: int | None = None) -> None:
    is_allowed = number is None or 1 <= number <= (maximum or number)
    require(is_allowed, name, number, f"1 to {maximum}" if maximum else "at least 1")
