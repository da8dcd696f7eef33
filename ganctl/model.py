"""A generator from a checkpoint, ready to draw samples."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from numpy.typing import NDArray

import ganctl
from ganctl import export, features, inputs, latents_file, store
from ganctl.classes import names_of
from ganctl.config.image_settings import ImageSettings
from ganctl.config.spec import require
from ganctl.datasets import pictures
from ganctl.datasets.pictures import Origin
from ganctl.drawing import DrawingModel
from ganctl.errors import Setting, Text, UsageError
from ganctl.evaluation.path_length import path_lengths_along
from ganctl.export.source import Source
from ganctl.features import FeatureNetwork
from ganctl.inputs import GivenLatents
from ganctl.latents_file import Latents
from ganctl.networks import load_generator
from ganctl.samples import no_progress
from ganctl.seeds import Class, class_numbers, is_single_class, pairing_error
from ganctl.steering import directions as steering
from ganctl.steering import projection
from ganctl.steering.directions import Directions
from ganctl.steering.projection import Projection
from ganctl.text import counted, listed

if TYPE_CHECKING:
    from ganctl.datasets.dataset import Progress


@dataclass(frozen=True, eq=False)
class Model(DrawingModel):
    """A generator that is ready to draw samples, to be steered and exported, and its origin."""

    def project(
        self,
        images: Origin | Iterable[Origin],
        *,
        classes: Class | Sequence[Class] | None = None,
        limit: int | None = None,
        skip_bad: bool = False,
        progress: Progress = no_progress,
    ) -> Projection:
        """Return the latents whose images are nearest to your own `images`, pixel by pixel.

        `images` are one or several of: an image file, whatever training takes, an array uint8
        (N, H, W) or (N, H, W, C), or the name of a data set, of which the test images are read.
        They are fitted to the generator as the training images were. `classes` is one class for
        all images, or one for each; by default it is searched for. With a `limit` only the first
        images are read. Each result depends on its own image and class alone. Raises DataError for
        images that cannot be used, unless `skip_bad`; UsageError for a class that does not exist.

        >>> model = load("runs/mnist-fast")
        >>> found = model.project(model.sample(range(2)).pixels, classes=[0, 1])
        >>> found.latents.points.shape, found.psnr.shape, found.class_names
        ((2, 8), (2,), ['0', '1'])
        >>> found.save("mine")  # latents.npz, projection.png, projection.csv
        """
        one = isinstance(images, (str, Path, np.ndarray))
        origins = [cast(Origin, images)] if one else cast(Iterable[Origin], images)
        require(limit is None or limit >= 1, "limit", limit, "at least 1")
        found = pictures.read(origins, self._image_settings, limit=limit, skip_bad=skip_bad)
        labels: list[int] | None = None
        if classes is not None:
            labels = class_numbers(classes, self.require_classes())
            if is_single_class(classes):
                labels *= len(found)
            elif len(labels) != len(found):
                raise pairing_error(len(labels), len(found), "image")
        return projection.project(
            self.generator, self.network, found, labels, classes=self.classes,
            features=self._feature_network(), progress=progress,
            provenance={**self._made_by, "projected": counted(len(found), "image")},
        )  # fmt: skip

    def directions(
        self,
        *,
        method: str = steering.METHODS[0],
        count: int = 8,
        start: Origin | Latents | None = None,
        end: Origin | Latents | None = None,
        seed: int = 0,
        classes: Class | None = None,
        progress: Progress = no_progress,
    ) -> Directions:
        """Return directions in latent space, and the image of `seed` moved along each of them.

        By default these are the `count` strongest ones of the first layer: the principal components
        of its `activations` (Harkonen et al. 2020), or those of its `weights` (Shen & Zhou 2021).
        With `start` and `end` it is the one from the mean latent of some pictures to that of
        others; each is an `Origin` of pictures, as `project` takes it, or latents. `classes` is the
        class of the image and of the pictures. Path lengths are measured where there is a feature
        network. Raises what `sample` and `project` raise.

        >>> model = load("runs/mnist-fast")
        >>> found = model.directions(count=3)
        >>> found.names, found.vectors.shape
        (('1', '2', '3'), (3, 8))
        >>> found.save("steered")  # directions.npz, directions.png
        >>> samples = model.sample(range(4), move={2: 1.5}, directions="steered/directions.npz")
        """
        require(method in steering.METHODS, "method", method, " or ".join(steering.METHODS))
        require(count >= 1, "count", count, "at least 1")
        if (start is None) != (end is None):
            raise UsageError(
                Text("{} and {} belong together", Setting("start"), Setting("end")),
                "A direction leads from some pictures to others.",
            )
        single = self._inputs(inputs.of_samples, [seed], None, classes, 1.0)
        if start is None or end is None:
            found = steering.principal(self.generator, self.network, method, count)
        else:
            found = steering.between(
                self._points_of(start, classes, progress), self._points_of(end, classes, progress),
                steering.name_between(start, end),
            )  # fmt: skip
        origin = single.latents()
        drawn = self.sample(
            latents=steering.moved(origin.points[0], found.vectors),
            classes=None if origin.classes is None else int(origin.classes[0]),
        )
        seen_by = self._feature_network()
        lengths = () if seen_by is None else path_lengths_along(
            self.generator, self.network, seen_by, found.vectors, steering.STRENGTHS[-1], progress
        )  # fmt: skip
        provenance = {**self._made_by, **found.provenance, **single.text}
        return replace(found, images=drawn.pixels, path_lengths=lengths, provenance=provenance)

    def export(
        self,
        path: str | Path,
        *,
        uint8: bool = False,
        latents: GivenLatents | None = None,
        command: str | None = None,
    ) -> int:
        """Write the generator as a file for other programs, and return its size in bytes.

        The suffix chooses the format: .onnx (extra `onnx`) and .pt2 (torch.export) are programs,
        .html is a page that draws in a browser, and .safetensors holds the weights, from which
        `load` rebuilds the generator. The inputs of programs are `latents`, float32
        (N, latent_dim), and, if there are classes, `classes`, int64 (N,). Their output `images` is
        float32 (N, C, H, W) in [-1, 1] or, with `uint8`, uint8 (N, H, W, C). A page shows the first
        seeds, or `latents` as `sample` takes them. The file says which checkpoint it is of, and the
        `command` that wrote it. Raises UsageError for another suffix and for too large a generator,
        CheckpointError for weights that are not finite, PackageError without the extra, RunError if
        writing fails.

        >>> import torch
        >>> model = load("runs/mnist-fast")
        >>> num_bytes = model.export("digits.pt2", uint8=True)
        >>> program = torch.export.load("digits.pt2").module()
        >>> program(torch.randn(5, model.network.latent_dim), torch.tensor([0, 1, 2, 3, 4])).shape
        torch.Size([5, 28, 28, 1])
        """
        made_by = {} if command is None else {"command": command}
        origin = {"ganctl": ganctl.__version__, **self._origin, **made_by}
        data = {
            "name": self.data,
            "digest": self.data_digest,
            "held_out_digest": self.held_out_digest,
        }
        shown = None
        if latents is not None:
            given = latents_file.fitting(latents, self.network)
            shown = replace(self.sample(latents=given).latents, path=given.path)
        source = Source(self.generator, self.config, self.classes, origin, data, uint8, shown)
        return export.write(Path(path), source)

    def __repr__(self) -> str:
        height, width = self.network.height, self.network.width
        return (
            f"Model({str(self.path)!r}: {self.config.preset} on {self.data}, "
            f"{height}x{width}x{self.network.channels}, {len(self.classes)} classes, "
            f"step {self.step:,})"
        )

    def _repr_html_(self) -> str:
        words = html.escape(repr(self))
        known = f"<br>classes: {html.escape(listed(self.classes))}" if self.classes else ""
        return f"<code>{words}</code>{known}"

    def _feature_network(self) -> FeatureNetwork | None:
        """Return the network that judges its images, if one is installed."""
        return features.load("auto", self.data, image_shape=self.network.image_shape)

    def _points_of(
        self, given: Origin | Latents, classes: Class | None, progress: Progress
    ) -> NDArray[np.float32]:
        """Return latents (N, latent_dim): those given, those in a file, or those of pictures."""
        if isinstance(given, Latents):
            return latents_file.fitting(given, self.network).points
        if isinstance(given, (str, Path)) and latents_file.is_one(given):
            return latents_file.read(given, self.network).points
        return self.project(given, classes=classes, progress=progress).latents.points

    @property
    def _image_settings(self) -> ImageSettings:
        """How the training images were fitted to the networks."""
        network, config = self.network, self.config
        size = (network.height, network.width)
        return ImageSettings(
            size, network.channels, config.fit, config.background, value_range=config.value_range
        )


def load(path: str | Path, *, ema: bool | None = None) -> Model:
    """Return the generator of a checkpoint, or of the latest checkpoint in a run directory.

    `path` may also be a .safetensors file that `Model.export` wrote. The generator has the moving
    average of its weights if there is one, unless `ema` is False. Raises CheckpointError, and
    UsageError if the weights that `ema` asks for are not there.

    >>> model = load("runs/mnist-fast")
    >>> model.data, model.step, len(model.classes), model.network.image_shape
    ('mnist', 4, 10, (1, 28, 28))
    """
    file = store.checkpoint_path(Path(path))
    if store.is_exported(file):
        return _load_exported(file, ema)
    checkpoint = store.read_checkpoint(file)
    config, average = checkpoint.config, checkpoint.generator_ema
    if ema and average is None:
        raise UsageError(
            f"{file} has no moving average: preset '{config.preset}' keeps none",
            Text("Leave out {}.", Setting("ema")),
        )
    weights = checkpoint.generator if average is None or ema is False else average
    with store.errors_about(file):
        generator = load_generator(config.network, weights, torch.device("cpu"))
    return Model(
        path=file, generator=generator,
        data=checkpoint.data["name"], data_digest=checkpoint.data["digest"],
        held_out_digest=checkpoint.data["held_out_digest"],
        classes=names_of(config.network.num_classes, checkpoint.data["classes"]),
        ema=weights is average, digest=checkpoint.digest, step=checkpoint.step, config=config,
    )  # fmt: skip


def _load_exported(file: Path, ema: bool | None) -> Model:
    found = store.read_exported(file)
    if ema is not None and ema != found.is_average:
        held = "the moving average" if found.is_average else "the weights as trained"
        raise UsageError(f"{file} holds {held} alone", Text("Leave out {}.", Setting("ema", ema)))
    with store.errors_about(file):
        generator = load_generator(found.config.network, found.weights, torch.device("cpu"))
    return Model(
        path=file, generator=generator, data=found.data["name"],
        data_digest=found.data["digest"], held_out_digest=found.data["held_out_digest"],
        classes=found.classes, ema=found.is_average, digest=found.checkpoint, step=found.step,
        config=found.config,
    )  # fmt: skip
