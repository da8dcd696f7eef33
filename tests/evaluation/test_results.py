"""Evaluations are kept with the run and belong to one checkpoint."""

import dataclasses
import json

import pytest

from ganctl.evaluation import results
from ganctl.evaluation.evaluator import Metrics
from ganctl.evaluation.results import Evaluation
from ganctl.store import RunDirectory

NUMBERS = {
    "kernel_distance": -0.0002, "precision": 0.5, "recall": 0.25, "density": 0.75, "coverage": 0.4,
    "classifier_score": 9.5, "sure_share": 0.96, "inception_score": None,
}  # fmt: skip


def evaluation(digest="a" * 64, frechet=3.25, num_samples=50, **changes):
    metrics = Metrics(
        num_samples=num_samples, patch_distance=0.03, frechet_distance=frechet, **NUMBERS,
        class_shares=[0.5, 0.5], classes_found=2, class_divergence=0.0, nearest_training=None,
    )  # fmt: skip
    found = Evaluation(
        checkpoint="run/ckpt.pt", digest=digest, step=7, ema=True, data="mnist",
        num_test_images=200, test_images="test images", features="digits", num_patch_images=50,
        metrics=metrics,
        floor=dataclasses.replace(metrics, frechet_distance=0.5),
    )  # fmt: skip
    return dataclasses.replace(found, **changes)


@pytest.fixture
def run(tmp_path):
    return RunDirectory(tmp_path)


def test_evaluations_are_loaded_newest_first(run):
    first, second = evaluation(), evaluation("b" * 64)
    for one in (first, second):
        results.save(one, run)
    assert results.load(run) == [second, first]
    assert results.newest_for(run, first.digest) == first
    assert results.newest_for(run, "c" * 64) == second
    told = results.documents(run, first.digest)
    assert [one["current"] for one in told] == [False, True]
    assert told[1] == {**first.to_dict(), "current": True}


def test_a_later_evaluation_of_the_same_samples_replaces_it(run):
    results.save(evaluation(frechet=9.0), run)
    results.save(evaluation(num_samples=60), run)
    results.save(evaluation(ema=False), run)
    results.save(evaluation(frechet=3.0), run)
    distances = [one.metrics.frechet_distance for one in results.load(run)]
    assert distances == [3.0, 3.25, 3.25]


def test_at_most_twenty_are_kept(run):
    for number in range(30):
        results.save(evaluation(f"{number:064}"), run)
    assert [int(one.digest) for one in results.load(run)] == list(range(29, 9, -1))


def test_a_run_that_was_never_evaluated_has_none(run):
    assert results.load(run) == []
    assert results.newest_for(run, "a" * 64) is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda it: it.pop("step"),
        lambda it: it.update(step=True),
        lambda it: it.update(step="7"),
        lambda it: it.update(figures=None),
        lambda it: it["figures"].update(precision="high"),
        lambda it: it["figures"].update(recall=float("nan")),
        lambda it: it["figures"].update(num_samples=None),
        lambda it: it["floor"].update(class_shares=7),
        lambda it: it["floor"].update(class_shares=["x"]),
        lambda it: it["floor"].update(class_shares=[10**400]),
        lambda it: it["floor"].update(frechet_distance=10**400),
        lambda it: it["figures"].update(classes_found=10**4000),
        lambda it: it.update(step=-(10**15)),
        lambda it: it.update(data="a" * 5000),
    ],
)
def test_damaged_evaluations_are_skipped(run, damage):
    content = evaluation().to_dict()
    damage(content)
    whole = evaluation().to_dict()
    run.evaluations.write_text(json.dumps({"evaluations": [content, 7, None, whole]}))
    assert results.load(run) == [evaluation()]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"evaluations": 7}', "[" * 100_000])
def test_a_damaged_file_has_no_evaluations(run, content):
    run.evaluations.write_text(content)
    assert results.load(run) == []


def test_rows_have_metrics_of_samples_and_of_real_images():
    rows = {label: values for label, *values in evaluation().rows()}
    assert rows["Frechet distance"] == ["3.25", "0.50", "lower"]
    assert rows["precision"] == ["0.500", "0.500", "higher"]
    assert rows["classifier is sure"] == ["96.0%", "96.0%", "higher"]
    assert rows["patch distance"] == ["0.0300", "0.0300", "lower"]
    assert "nearest training image" not in rows


def test_patches_alone_are_an_evaluation(run):
    empty = dict.fromkeys((*NUMBERS, "frechet_distance", "classes_found", "class_divergence"))
    metrics = dataclasses.replace(evaluation().metrics, **empty, class_shares=[])
    found = evaluation(features=None, metrics=metrics, floor=metrics)
    results.save(found, run)
    assert results.load(run) == [found]
    assert [label for label, *_ in found.rows()] == ["patch distance"]


@pytest.mark.parametrize(
    ("ours", "real", "is_warned"),
    [
        (0.0, 1.0, True),
        (0.49, 1.0, True),
        (0.5, 1.0, False),
        (1.2, 1.0, False),
        (None, None, False),
    ],
)
def test_samples_far_closer_to_training_images_than_real_ones_are_probably_copies(
    ours, real, is_warned
):
    found = evaluation()
    samples = dataclasses.replace(found.metrics, nearest_training=ours)
    floor = dataclasses.replace(found.floor, nearest_training=real)
    found = dataclasses.replace(found, metrics=samples, floor=floor)
    assert (found.warning is not None) == is_warned
    assert found.to_dict()["warning"] == found.warning
