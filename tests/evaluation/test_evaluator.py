"""Metrics find real images close to other real images, and everything else far from them."""

import numpy as np
import pytest
import torch

from ganctl import features, metrics, patches
from ganctl.config.schema import MIN_MEASURED
from ganctl.datasets import loading
from ganctl.datasets.local import cache
from ganctl.evaluation.evaluator import EpochEvaluator, Evaluator
from ganctl.evaluation.feature_comparison import NUM_STEPS
from ganctl.history import QUALITY_METRICS
from ganctl.rng import Stream


@pytest.fixture(scope="module")
def pictures():
    """Real digits for training and for testing: (train, test)."""
    train, test = loading.load("mnist"), loading.load_test("mnist")
    return train.images[:600].numpy(), test.images[:500].numpy()


@pytest.fixture(scope="module")
def make_evaluator(pictures):
    train, test = pictures
    network = features.load("auto", "mnist")
    return lambda count, **more: Evaluator(network, test=test, train=train, count=count, **more)


@pytest.fixture(scope="module")
def evaluator(make_evaluator):
    return make_evaluator(600)


def test_floor_measures_real_images(evaluator, pictures):
    train, test = pictures
    floor = evaluator.floor()
    # In the floor's order, since subsets of features are drawn by place.
    same = evaluator.measure([train[Stream.FLOOR.generator().permutation(len(train))]])
    assert floor.num_samples == 600
    for name in ("frechet_distance", "precision", "recall", "density", "coverage", "sure_share"):
        assert getattr(same, name) == pytest.approx(getattr(floor, name), rel=1e-4)
    assert same.kernel_distance == pytest.approx(floor.kernel_distance, abs=1e-3)
    assert same.nearest_training == pytest.approx(0, abs=1e-3), "copies are known as such"
    assert floor.nearest_training > 0.5
    assert floor.sure_share > 0.95
    assert sum(floor.class_shares) == pytest.approx(1)
    assert evaluator.measure([test]).frechet_distance < 1e-3 < floor.frechet_distance


def test_metrics_are_the_same_with_cached_features(make_evaluator, pictures, cache_folder):
    samples = pictures[0][:40]
    reports = []
    fresh = make_evaluator(40, progress=lambda *report: reports.append(report))
    figures, floor = fresh.measure([samples]), fresh.floor()
    assert len(list(cache_folder.iterdir())) == 3
    extracted = (0, 256, 500, 500 + 256, 500 + 512, 500 + 600)
    assert list(dict.fromkeys(reports)) == [
        *(("extracting features of real images", done, 1100) for done in extracted),
        *(("drawing samples", done, 40) for done in (0, 40)),
        *(("comparing samples with test images", done, NUM_STEPS) for done in range(5)),
        ("comparing patches", 0, 1),
        *(("comparing training images with test images", done, NUM_STEPS) for done in range(5)),
    ]
    told = []
    kept = make_evaluator(40, progress=lambda doing, *_: told.append(doing))
    assert kept.measure([samples]) == figures
    assert kept.floor() == floor
    assert {*told} == {
        "drawing samples", "comparing samples with test images", "comparing patches"
    }  # fmt: skip
    cache.clear()
    again = make_evaluator(40)
    assert (again.measure([samples]), again.floor()) == (figures, floor)


def test_fewer_training_images_are_a_fixed_random_choice(make_evaluator, evaluator):
    fewer = make_evaluator(100).floor()
    assert fewer == make_evaluator(100).floor()
    assert fewer.num_samples == 100
    assert fewer.frechet_distance > evaluator.floor().frechet_distance


def test_the_cached_floor_is_that_of_these_test_images(pictures):
    train, test = pictures
    network = features.load("auto", "mnist")
    first, other = (
        Evaluator(network, test=images, train=train, count=60).floor()
        for images in (test[:200], test[200:400])
    )
    assert first.frechet_distance != other.frechet_distance


class NoClasses(features.FeatureNetwork):
    """A network whose classes say nothing about digits."""

    name, digest, is_fast = "no classes", "0", True

    def __call__(self, inputs):
        features = inputs.float().flatten(1)[:, 200:600:8]
        return features, features[:, :0]


def test_classes_that_say_nothing_are_not_measured(pictures):
    train, test = pictures
    found = Evaluator(NoClasses(), test=test, train=train, count=60).measure([train[:60]])
    assert found.frechet_distance > 0
    assert (found.classifier_score, found.sure_share, found.class_shares) == (None, None, [])
    quick = EpochEvaluator(NoClasses(), test=test).measure([train[:60]])
    unknown = {"classifier_score", "sure_share", "smallest_class", "largest_class"}
    assert {name for name in quick if quick[name] is None} == {*unknown, "patch_distance"}


def test_epochs_without_a_network_are_compared_by_patches(pictures):
    train, test = pictures
    found = EpochEvaluator(None, test=test[:80]).measure([train[:40], train[40:60]])
    assert [name for name in found if found[name] is not None] == ["patch_distance"]
    assert found["patch_distance"] == patches.distance(train[:60], test[:80])


class SlowNetwork(features.FeatureNetwork):
    """The digit classifier, as if a whole dataset took it hours."""

    name, digest = "slow", "slow"

    def __init__(self):
        self._network = features.load("auto", "mnist")
        self.num_classes = self._network.num_classes

    def __call__(self, images):
        return self._network(images)


def test_a_slow_network_extracts_no_more_images_than_it_must(pictures):
    train, test = pictures
    reports = []
    evaluator = Evaluator(
        SlowNetwork(),
        test=test,
        train=train,
        count=50,
        progress=lambda *report: reports.append(report),
    )
    assert {*reports} <= {("extracting features of real images", done, 50) for done in range(51)}
    assert reports[-1] == ("extracting features of real images", 50, 50)
    assert evaluator.num_test_images == 50
    assert evaluator.measure([train[:50]]).nearest_training is None
    floor = evaluator.floor()
    assert ("extracting features of training images", 50, 50) in reports
    assert (floor.num_samples, floor.nearest_training) == (50, None)
    assert floor.sure_share > 0.9


def test_without_a_network_patches_are_compared(pictures):
    train, test = pictures
    reports = []
    evaluator = Evaluator(None, test=test, train=train, count=600,
                          progress=lambda *report: reports.append(report))  # fmt: skip
    drawn = []

    def samples():
        for start in range(0, 600, 100):
            drawn.append(start)
            yield train[start : start + 100]

    found, floor = evaluator.measure(samples()), evaluator.floor()
    assert (found.num_samples, evaluator.num_patch_images, evaluator.num_test_images) == (500,) * 3
    assert drawn == [0, 100, 200, 300, 400], "no more are drawn than are compared"
    assert reports[1] == ("drawing samples", 100, 500)
    known = {name for name, value in vars(found).items() if value not in (None, [])}
    assert known == {"num_samples", "patch_distance"}
    assert 0 < found.patch_distance < 2 * floor.patch_distance
    noisy = evaluator.measure([train ^ 16])
    assert noisy.patch_distance > 3 * floor.patch_distance


def test_noise_is_far_from_digits(evaluator, pictures):
    noise = np.random.default_rng(0).integers(0, 256, (600, 28, 28, 1), np.uint8)
    floor, found = evaluator.floor(), evaluator.measure([noise[:100], noise[100:]])
    assert found.num_samples == 600
    assert found.frechet_distance > 20 * floor.frechet_distance
    assert found.kernel_distance > 20 * abs(floor.kernel_distance)
    for name in ("precision", "recall", "density", "coverage"):
        assert getattr(found, name) < getattr(floor, name) / 2
    assert found.classifier_score < floor.classifier_score / 2


def test_a_single_digit_has_high_precision_and_low_coverage(evaluator):
    ones = loading.load("mnist")
    only = ones.images[ones.labels == 1][:600].numpy()
    found, floor = evaluator.measure([only]), evaluator.floor()
    assert found.class_shares[1] > 0.98
    assert found.coverage < 0.3 < 0.9 < floor.coverage
    assert found.classifier_score < 1.2


def test_the_fewest_samples_that_can_be_measured(evaluator, pictures):
    found = evaluator.measure([pictures[0][:MIN_MEASURED]])
    assert all(np.isfinite(found.class_shares))
    with pytest.raises(RuntimeError):
        metrics.manifold(torch.zeros(metrics.NEIGHBORS, 3), torch.zeros(30, 3))


def test_epoch_evaluator_agrees_with_evaluator(pictures, make_evaluator):
    """With as many test images as samples, both return the same metrics."""
    train, test = pictures
    epoch_evaluator = EpochEvaluator(features.load("auto", "mnist"), test=test)
    found, full = epoch_evaluator.measure([train[:500]]), make_evaluator(500).measure([train[:500]])
    assert tuple(found) == QUALITY_METRICS
    shared = set(QUALITY_METRICS) & set(vars(full))
    shared -= {"patch_distance"}
    assert len(shared) == len(QUALITY_METRICS) - 3
    assert found["patch_distance"] is None, "a network tells more"
    assert {name: found[name] for name in shared} == {name: vars(full)[name] for name in shared}
    assert found["smallest_class"] == min(full.class_shares)
    assert found["largest_class"] == max(full.class_shares)
    again = epoch_evaluator.measure([train[:100], train[100:500]])
    del found["patch_distance"], again["patch_distance"]
    assert again == pytest.approx(found, rel=1e-4)


def test_metrics_that_are_not_finite_are_none(pictures, monkeypatch):
    epoch_evaluator = EpochEvaluator(features.load("auto", "mnist"), test=pictures[1])
    monkeypatch.setattr(metrics, "classifier_score", lambda _: float("nan"))
    found = epoch_evaluator.measure([pictures[0][:20]])
    unknown = {name for name in found if found[name] is None}
    assert unknown == {"classifier_score", "patch_distance"}


def test_a_slow_network_knows_the_nearest_of_as_many_training_images_as_samples(pictures):
    train, test = pictures
    few = train[:50]
    evaluator = Evaluator(SlowNetwork(), test=test[:50], train=few, count=50)
    assert evaluator.measure([few]).nearest_training == pytest.approx(0, abs=1e-3)
    assert evaluator.floor().nearest_training > 0.5
