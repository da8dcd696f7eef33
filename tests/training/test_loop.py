"""Epochs, cadence and stopping: a stopped and resumed run has the bits of one never stopped."""

import contextlib
import csv
import math
from types import SimpleNamespace

import pytest
import torch

from ganctl import features
from ganctl.datasets import loading
from ganctl.distributed.group import Group
from ganctl.evaluation.evaluator import EpochEvaluator
from ganctl.history import QUALITY_METRICS, STEP_METRICS
from ganctl.sampling import sample_seeds
from ganctl.store import RunDirectory, read_checkpoint
from ganctl.training import loop, pictures, readback, session
from ganctl.training import recorder as recording
from ganctl.training.state import restore

NETWORKS = ("generator", "generator_ema", "discriminator", "optimizer_g", "optimizer_d")


def bits(value):
    """Return tensors as bytes, so that == compares every bit."""
    if isinstance(value, torch.Tensor):
        return (value.dtype, tuple(value.shape), value.numpy().tobytes())
    if isinstance(value, dict):
        return {key: bits(item) for key, item in value.items()}
    return value


def sample_files(out):
    return {path.name: path.read_bytes() for path in RunDirectory(out).samples()}


def losses_table(out, without_times):
    with RunDirectory(out).losses_table.open(newline="") as file:
        return without_times(csv.DictReader(file))


def best(out):
    """Return the step and bits of the best checkpoint, if there is one."""
    path = RunDirectory(out).best
    found = path.exists() and read_checkpoint(path)
    return found and (found.step, [bits(getattr(found, part)) for part in NETWORKS])


@pytest.fixture
def assert_same_run(without_times):
    """Return a check that two runs have the same bits, apart from times."""

    def check(out, reference):
        found, expected = read_checkpoint(out), read_checkpoint(reference)
        for part in NETWORKS:
            assert bits(getattr(found, part)) == bits(getattr(expected, part)), part
        assert (found.step, found.config) == (expected.step, expected.config)
        assert without_times(found.history) == without_times(expected.history)
        assert without_times([found.partial]) == without_times([expected.partial])
        assert losses_table(out, without_times) == losses_table(reference, without_times)
        assert sample_files(out) == sample_files(reference)
        assert len(sample_files(out)) > 0
        assert best(out) == best(reference)

    return check


# Exact resume. An epoch has 3 steps.


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("preset", ["fast", "guided", "dcgan"])
def test_a_run_stopped_and_resumed_ends_with_the_same_bits(
    tmp_path, tiny_config, train_with_stops, assert_same_run, preset, precision
):
    config = tiny_config(preset, precision=precision)
    train_with_stops(config, tmp_path / "whole")
    # at the first step, inside an epoch, at an epoch's end, twice
    all_stops = [(1,), (2,), (3,), (2, 4)]
    # Many processors emulate bf16, in which the feature maps of `guided` take minutes.
    for stops in all_stops[-1:] if (preset, precision) == ("guided", "bf16") else all_stops:
        out = tmp_path / "-".join(map(str, stops))
        train_with_stops(config, out, stops)
        assert_same_run(out, tmp_path / "whole")


@pytest.mark.parametrize("first", [{"epochs": 1}, {"steps": 2}, {"steps": 4}])
def test_a_run_resumed_to_more_epochs_equals_one_planned_that_long(
    tmp_path, tiny_config, train_with_stops, assert_same_run, first
):
    train_with_stops(tiny_config(epochs=2), tmp_path / "planned")
    train_with_stops(tiny_config(**first), tmp_path / "extended", changes={"epochs": 2})
    assert_same_run(tmp_path / "extended", tmp_path / "planned")


def test_a_run_with_augmentation_ends_with_the_same_bits(
    tmp_path, tiny_config, train_with_stops, assert_same_run
):
    config = tiny_config(augment="color,translation,cutout", mirror=True, accumulate=3)
    train_with_stops(config, tmp_path / "whole")
    train_with_stops(config, tmp_path / "stopped", stops=[2, 4])
    assert_same_run(tmp_path / "stopped", tmp_path / "whole")
    plain = train_with_stops(tiny_config(accumulate=3), tmp_path / "plain")
    assert not plain.generator["layers.0.weight"].equal(
        read_checkpoint(tmp_path / "whole").generator["layers.0.weight"]
    )


def test_another_seed_gives_another_run(tmp_path, tiny_config, train_with_stops):
    runs = [train_with_stops(tiny_config(seed=s, steps=1), tmp_path / str(s)) for s in (0, 1)]
    assert bits(runs[0].generator) != bits(runs[1].generator)


def test_a_finished_run_resumed_changes_nothing(tmp_path, tiny_config, train):
    train(session.new(tiny_config(), tmp_path / "run", "cpu"))
    before, samples = (tmp_path / "run" / "ckpt.pt").read_bytes(), sample_files(tmp_path / "run")
    outcome, recorder = train(session.resume(tmp_path / "run", {}, "cpu"))
    assert outcome.finished
    assert (recorder.steps, recorder.rows) == ([], [])
    assert (tmp_path / "run" / "ckpt.pt").read_bytes() == before
    assert sample_files(tmp_path / "run") == samples


# What a run reports and writes.


def test_a_callback_is_called_for_every_step_and_epoch(finished):
    _, outcome, recorder = finished
    places = [(p.step, p.epoch, p.step_in_epoch) for p in recorder.steps]
    assert places == [(1, 1, 1), (2, 1, 2), (3, 1, 3), (4, 2, 1)]
    last = recorder.steps[-1]
    assert (last.total_steps, last.epochs, last.steps_per_epoch) == (4, 2, 3)
    assert all(p.images_per_sec > 0 for p in recorder.steps)
    assert recorder.rows == outcome.history  # of the epoch that the run ended inside of, too


@pytest.mark.parametrize("save_every", [1e9, 0.5])
def test_the_seconds_of_an_epoch_include_only_its_steps(
    tmp_path, tiny_config, train, recorder, monkeypatch, save_every
):
    """Saving, sampling and callbacks are left out, before, inside and after the epoch."""
    now, watching = [0.0], recorder()
    one_step, write = loop.train_step, RunDirectory.write

    def lasting(seconds, function):
        def call(*arguments, **options):
            now[0] += seconds
            return function(*arguments, **options)

        return call

    for module in (loop, readback, recording):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(loop, "train_step", lasting(1, one_step))
    monkeypatch.setattr(RunDirectory, "write", lasting(100, write))
    watching.on_epoch = lasting(1000, watching.on_epoch)
    train(session.new(tiny_config(), tmp_path / "run", "cpu"), watching, save_every=save_every)
    timed = ("seconds", "elapsed_seconds", "images_per_sec")
    assert [[row[name] for name in timed] for row in watching.rows] == [[3, 3, 13.3], [3, 6, 13.3]]
    assert now[0] > 2000


def test_previews_change_nothing_and_are_left_out_of_the_seconds(
    tmp_path, tiny_config, train, recorder, monkeypatch, assert_same_run
):
    """A callback that wants samples gets them at every step, however long they take."""
    monkeypatch.setattr(pictures, "_PREVIEW_SECONDS", 0.0)
    monkeypatch.setattr(pictures, "_PREVIEW_SHARE", math.inf)
    monkeypatch.setattr(readback, "_READ_SECONDS", 0.0)
    shown, plain = recorder(wants_samples=True), recorder()
    for watching, name in ((shown, "shown"), (plain, "plain")):
        train(session.new(tiny_config(epochs=2), tmp_path / name, "cpu"), watching)
    assert [step for step, _ in shown.samples] == [1, 2, 3, 4, 5, 6]
    assert [step for step, _ in plain.samples] == [3, 6]
    for (_, mine), (_, others) in zip(shown.samples[2::3], plain.samples, strict=True):
        assert (mine == others).all()
    assert (shown.samples[0][1] != shown.samples[-1][1]).any()
    assert_same_run(tmp_path / "shown", tmp_path / "plain")

    sample, now = pictures.Pictures.preview_if_due, [0.0]

    def slow(*arguments):
        now[0] += 50
        return sample(*arguments)

    for module in (loop, readback, recording):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(pictures.Pictures, "preview_if_due", slow)
    train(session.new(tiny_config(), tmp_path / "slow", "cpu"), recorder(wants_samples=True))
    assert now[0] >= 100
    assert read_checkpoint(tmp_path / "slow").history[0]["seconds"] == 0


def test_progress_has_the_metrics_of_the_last_steps(
    tmp_path, tiny_config, train, recorder, monkeypatch
):
    monkeypatch.setattr(readback, "_READ_SECONDS", 0.0)
    watching = recorder()
    (row,) = train(session.new(tiny_config(), tmp_path / "run", "cpu"), watching)[0].history[:1]
    for name in STEP_METRICS:
        each = [progress.recent[name] for progress in watching.steps[:3]]
        assert sum(each) / 3 == pytest.approx(row[name])
        assert len(set(each)) == 3


def test_a_row_has_the_means_over_the_steps_of_its_epoch(tmp_path, tiny_config, train):
    each = []
    for steps in (1, 2, 3):
        ready = session.new(tiny_config(steps=steps), tmp_path / str(steps), "cpu")
        each.append(train(ready)[0].history[-1]["g_loss"] * steps)
    sums = [each[0], each[1] - each[0], each[2] - each[1]]
    assert sum(sums) / 3 == pytest.approx(each[2] / 3)
    first = read_checkpoint(tmp_path / "1").partial
    assert first["sums"][0] == pytest.approx(each[0])
    assert (first["steps"], first["images"]) == (1, 16)
    assert len(set(sums)) == 3


@pytest.mark.parametrize(
    ("device", "size", "agreed"),
    [("cpu", 2, [*range(1, 41)]), ("cuda", 2, [16, 32]), ("cuda", 1, [*range(1, 41)])],
)
def test_how_often_processes_agree_on_whether_to_stop(device, size, agreed):
    """On a GPU, one that asked after every step would wait for the others and for the device."""
    group = Group()
    group.size = size
    step = SimpleNamespace(
        state=SimpleNamespace(device=torch.device(device), step=0),
        group=group,
        recorder=SimpleNamespace(last_saved=0.0),
        _save_every=0.0,
        _should_stop=lambda: True,
    )
    found = []
    for step.state.step in range(1, 41):
        if (answer := loop.Training._agree(step)) != (False, False):
            found.append(step.state.step)
            assert answer == (True, True)
    assert found == agreed


# How close the samples are to real images


def test_every_epoch_is_measured_and_the_best_is_kept(
    tmp_path, tiny_config, train_with_stops, assert_same_run
):
    config = tiny_config(epochs=3, eval_samples=12)
    found = train_with_stops(config, tmp_path / "whole")
    test = loading.load_test("mnist").images.numpy()
    gauge = EpochEvaluator(features.load("auto", "mnist"), test=test)
    sampler = restore(found, found.config, torch.device("cpu")).sampler
    figures = gauge.measure(sample_seeds(sampler, range(12), found.config.network))
    assert {name: found.history[-1][name] for name in QUALITY_METRICS} == pytest.approx(figures)
    distances = [row["frechet_distance"] for row in found.history]
    kept = read_checkpoint(RunDirectory(tmp_path / "whole").best)
    assert [row["frechet_distance"] for row in kept.history][-1] == min(distances)
    train_with_stops(config, tmp_path / "stopped", stops=[4])
    assert_same_run(tmp_path / "stopped", tmp_path / "whole")


@pytest.mark.parametrize(
    ("save_every", "saved"), [(0, [0, 1, 2, 3, 4, 5]), (1e9, [0, 0, 0, 3, 3, 3])]
)
def test_the_state_is_saved_as_often_as_asked(
    tmp_path, tiny_config, train, recorder, save_every, saved
):
    looking, found = recorder(), []
    looking.on_step = lambda _: found.append(read_checkpoint(tmp_path / "run").step)
    train(session.new(tiny_config(), tmp_path / "run", "cpu"), looking, save_every=save_every)
    assert found == saved


# What goes wrong.


class Watched(Group):
    """A single process that notes when it is isolated."""

    is_isolated = False

    def run_on_first(self, work):
        with self.isolated():
            return work()

    @contextlib.contextmanager
    def isolated(self):
        self.is_isolated = True
        yield
        self.is_isolated = False


def test_whatever_the_first_process_does_for_all_is_isolated(
    tmp_path, tiny_config, train, monkeypatch, recorder
):
    """The others wait meanwhile, so whatever would wait for them is refused."""
    group, done = Watched(), {}

    def watch(owner, name):
        original = getattr(owner, name)

        def call(*arguments, **how):
            done.setdefault(name, set()).add(group.is_isolated)
            return original(*arguments, **how)

        monkeypatch.setattr(owner, name, call)

    work = [(RunDirectory, name) for name in ("write", "write_config", "write_snapshot")]
    work += [(EpochEvaluator, "__init__"), (EpochEvaluator, "measure"), (recording, "sample_seeds")]
    work += [(pictures, "sample_seeds"), (pictures.Pictures, "draw")]
    for owner, name in work:
        watch(owner, name)
    config = tiny_config(epochs=2, eval_samples=10, snapshot_every=1)
    ready = session.new(config, tmp_path / "run", "cpu", group=group)
    train(ready, recorder(wants_samples=True), save_every=1e-9)
    assert done == {name: {True} for _, name in work}
