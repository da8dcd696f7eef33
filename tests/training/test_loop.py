"""Epochs, cadence, stopping; and a stopped run that ends with the bits of one never stopped."""

import contextlib
import csv
import functools
import itertools
import json
import math
from types import SimpleNamespace

import pytest
import torch

from ganctl import features, history, images
from ganctl.datasets import loading
from ganctl.distributed.group import Group
from ganctl.errors import RunError, TrainingError
from ganctl.evaluation.evaluator import EpochEvaluator
from ganctl.history import QUALITY_METRICS, STEP_METRICS
from ganctl.sampling import sample_seeds
from ganctl.store import RunDirectory, read_checkpoint
from ganctl.training import loop, pictures, readback, session
from ganctl.training import recorder as recording
from ganctl.training.state import restore

NETWORKS = ("generator", "generator_ema", "discriminator", "optimizer_g", "optimizer_d")


def bits(value):
    """Tensors as their bytes, so that == compares every bit."""
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
    """The best checkpoint's step and bits, where one was measured."""
    path = RunDirectory(out).best
    found = path.exists() and read_checkpoint(path)
    return found and (found.step, [bits(getattr(found, part)) for part in NETWORKS])


@pytest.fixture
def assert_same_run(without_times):
    """Two runs ended with the same bits, whatever the clock said."""

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
@pytest.mark.parametrize("preset", ["fast", "dcgan"])
def test_a_run_stopped_and_resumed_ends_with_the_same_bits(
    tmp_path, tiny_config, train_with_stops, assert_same_run, preset, precision
):
    config = tiny_config(preset, precision=precision)
    train_with_stops(config, tmp_path / "whole")
    # at the first step, inside an epoch, at an epoch's end, twice
    for stops in [(1,), (2,), (3,), (2, 4)]:
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


def test_a_run_that_changes_its_images_ends_with_the_same_bits(
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


def test_a_compiler_that_fails_is_told_in_plain_words(tmp_path, tiny_config, train, monkeypatch):
    def failing(graph, inputs):
        raise RuntimeError("no C++ compiler here")

    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=failing))
    with pytest.raises(TrainingError, match=r"torch\.compile failed: .*no C") as caught:
        train(session.new(tiny_config(compile=True), tmp_path / "run", "cpu"))
    assert "without compile=True" in str(caught.value.hint)


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


# What a run tells and writes.


@pytest.fixture
def finished(tmp_path, tiny_config, train):
    """A run of 4 steps: an epoch of 3 and the first step of the next."""
    ready = session.new(tiny_config(steps=4), tmp_path / "run", "cpu")
    outcome, recorder = train(ready)
    return ready, outcome, recorder


def test_an_observer_hears_of_every_step_and_epoch(finished):
    _, outcome, recorder = finished
    places = [(p.step, p.epoch, p.step_in_epoch) for p in recorder.steps]
    assert places == [(1, 1, 1), (2, 1, 2), (3, 1, 3), (4, 2, 1)]
    last = recorder.steps[-1]
    assert (last.total_steps, last.epochs, last.steps_per_epoch) == (4, 2, 3)
    assert all(p.images_per_sec > 0 for p in recorder.steps)
    assert recorder.rows == outcome.history  # of the epoch that the run ended inside of, too


def test_history_counts_steps_and_images_and_times_add_up(finished):
    rows = finished[1].history
    assert finished[1].finished
    assert [(row["epoch"], row["step"], row["images"]) for row in rows] == [(1, 3, 40), (2, 4, 56)]
    total = sum(row["seconds"] for row in rows)
    assert rows[-1]["elapsed_seconds"] == pytest.approx(total, abs=0.002)
    assert all(0 < row["d_real"] < 1 and 0 < row["d_fake"] < 1 for row in rows)


@pytest.mark.parametrize("save_every", [1e9, 0.5])
def test_an_epochs_seconds_are_those_of_its_steps_alone(
    tmp_path, tiny_config, train, recorder, monkeypatch, save_every
):
    """Not of saving and sampling, be it before the epoch, within it, or after it."""
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


def test_samples_shown_inside_an_epoch_change_nothing_but_take_no_updates_time(
    tmp_path, tiny_config, train, recorder, monkeypatch, assert_same_run
):
    """An observer that wants them gets them at every step, and they take long."""
    monkeypatch.setattr(pictures, "_PREVIEW_SECONDS", 0.0)
    monkeypatch.setattr(pictures, "_PREVIEW_SHARE", math.inf)
    monkeypatch.setattr(readback, "_READ_SECONDS", 0.0)
    shown, plain = recorder(wants_samples=True), recorder()
    for observer, name in ((shown, "shown"), (plain, "plain")):
        train(session.new(tiny_config(epochs=2), tmp_path / name, "cpu"), observer)
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


def test_samples_inside_an_epoch_take_a_small_share_of_the_time(monkeypatch, tiny_config, tmp_path):
    """And none at all once there was no memory for them."""
    now, drawn = [100.0], []
    monkeypatch.setattr(pictures, "time", SimpleNamespace(monotonic=lambda: now[0]))
    shown = pictures.Pictures(RunDirectory(tmp_path), tiny_config(), print)

    def sample(_, __=None):
        now[0] += 0.1
        drawn.append(now[0])
        if len(drawn) == 4:
            raise MemoryError
        return "pixels"

    monkeypatch.setattr(shown, "_sample", sample)
    for _ in range(2000):
        now[0] += 0.1
        with contextlib.suppress(MemoryError):
            assert shown.preview_if_due(None) == ("pixels" if now[0] in drawn else None)
    assert len(drawn) == 4
    assert all(second - first > 0.1 / 0.01 for first, second in itertools.pairwise(drawn))


def test_no_memory_for_samples_inside_an_epoch_ends_no_training(
    tmp_path, tiny_config, train, recorder, monkeypatch
):
    def too_much(*_):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(readback, "_READ_SECONDS", 0.0)
    monkeypatch.setattr(pictures.Pictures, "preview_if_due", too_much)
    observer = recorder(wants_samples=True)
    outcome, _ = train(session.new(tiny_config(), tmp_path / "run", "cpu"), observer)
    assert (outcome.finished, observer.problems) == (True, [])


def test_an_observer_hears_what_the_last_steps_measured(
    tmp_path, tiny_config, train, recorder, monkeypatch
):
    monkeypatch.setattr(readback, "_READ_SECONDS", 0.0)
    observer = recorder()
    (row,) = train(session.new(tiny_config(), tmp_path / "run", "cpu"), observer)[0].history[:1]
    for name in STEP_METRICS:
        each = [progress.recent[name] for progress in observer.steps[:3]]
        assert sum(each) / 3 == pytest.approx(row[name])
        assert len(set(each)) == 3


def test_a_row_has_the_means_of_its_epochs_steps(tmp_path, tiny_config, train):
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


def test_an_unfinished_epoch_is_shown_but_is_not_history(finished):
    ready, outcome, _ = finished
    saved = read_checkpoint(ready.run.path)
    assert saved.history == outcome.history[:1]
    assert (saved.step, saved.partial["steps"], saved.partial["images"]) == (4, 1, 16)
    assert [path.name for path in ready.run.samples()] == ["epoch-0001.png", "epoch-0002.png"]


def test_losses_csv_is_the_history(finished):
    ready, outcome, _ = finished
    with (ready.run.path / "losses.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row.pop("signs") for row in rows] == ["", ""]
    assert [
        {name: float(value) if value else None for name, value in row.items()} for row in rows
    ] == outcome.history


def test_losses_csv_is_cut_back_to_what_the_checkpoint_knows(
    tmp_path, tiny_config, train, recorder
):
    def rows():
        with (tmp_path / "run" / "losses.csv").open(newline="") as file:
            return [row["step"] for row in csv.DictReader(file)]

    train(session.new(tiny_config(), tmp_path / "run", "cpu"), recorder(5))
    assert rows() == ["3", "5"]  # of the unfinished epoch, too
    looking, found = recorder(), []
    looking.on_step = lambda _: found.append(rows())
    train(session.resume(tmp_path / "run", {}, "cpu"), looking)
    assert found == [["3"]]
    assert rows() == ["3", "6"]


def test_a_run_directory_holds_what_was_promised(finished):
    run = finished[0].run
    names = {path.name for path in run.path.iterdir()} - {".lock"}
    assert names == {
        "config.json", "losses.csv", "losses.png", "samples", "ckpt.pt", "training.gif"
    }  # fmt: skip
    written = json.loads((run.path / "config.json").read_text())
    assert written["config"]["steps"] == 4
    assert written["data"]["num_images"] == 40
    assert [start["from_step"] for start in written["starts"]] == [0]


def test_samples_are_those_that_the_checkpoint_gives(finished):
    ready = finished[0]
    saved = read_checkpoint(ready.run.path)
    sampler = restore(saved, saved.config, torch.device("cpu")).sampler
    chunks = sample_seeds(sampler, range(4), saved.config.network)
    expected = images.enlarge(images.grid(images.concatenate(chunks)), 3)
    with ready.run.sample(2).open("rb") as file:
        assert (images.read_png(file, expected.shape) == expected).all()


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({"snapshot_every": 1, "keep": 2}, [3, 4]),
        ({"snapshot_every": 2, "keep": 5}, [2, 4]),
        ({"snapshot_every": 3, "keep": 5}, [3]),
        ({"snapshot_every": 0, "keep": 5}, []),
        ({"snapshot_every": 1, "keep": 0}, []),
    ],
)
def test_snapshots_are_kept_as_asked(tmp_path, tiny_config, train, changes, kept):
    ready = session.new(tiny_config(epochs=4, limit=16, **changes), tmp_path / "run", "cpu")
    train(ready)
    assert ready.run.snapshots() == [ready.run.snapshot(epoch) for epoch in kept]
    assert [read_checkpoint(path).step for path in ready.run.snapshots()] == kept


# How near the samples are to real images


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


def test_the_best_is_the_first_with_the_lowest_distance(
    tmp_path, tiny_config, train, recorder, monkeypatch
):
    distances = iter([None, 3.0, 2.0, None, 2.5, 2.0])
    kept = []

    class Told:
        def __init__(self, *_, **__):
            pass

        def measure(self, samples):
            assert sum(map(len, samples)) == 10
            return {"frechet_distance": next(distances)}

    monkeypatch.setattr(session, "EpochEvaluator", Told)
    run = RunDirectory(tmp_path / "run")
    monkeypatch.setattr(
        recorder, "on_epoch",
        lambda self, row: kept.append(run.best.exists() and read_checkpoint(run.best).step),
    )  # fmt: skip
    train(session.new(tiny_config(epochs=6, eval_samples=10), run.path, "cpu"))
    assert kept == [False, 6, 9, 9, 9, 9]


def test_where_no_classifier_knows_the_images_nothing_is_measured(
    tmp_path, tiny_config, train, monkeypatch
):
    monkeypatch.setattr(features, "is_known", lambda *_: False)
    outcome, _ = train(session.new(tiny_config(epochs=1, eval_samples=10), tmp_path / "run", "cpu"))
    assert all(outcome.history[0][name] is None for name in QUALITY_METRICS)
    assert not RunDirectory(tmp_path / "run").best.exists()


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


class Poisoner:
    """After a step, makes one weight of a network something else."""

    def __init__(self, ready, at, network, value):
        self.ready, self.at, self.network, self.value = ready, at, network, value
        self.wants_samples = False

    def on_step(self, progress):
        if progress.step == self.at:
            with torch.no_grad():
                next(getattr(self.ready.state, self.network).parameters()).view(-1)[0] = self.value

    def on_samples(self, pixels, step):
        pass

    def on_epoch(self, row):
        pass

    def on_sign(self, row, sign):
        pass

    def on_problem(self, problem):
        pass

    def should_stop(self):
        return False


@pytest.mark.parametrize("network", ["generator", "discriminator"])
@pytest.mark.parametrize("preset", ["fast", "dcgan"])
def test_a_loss_that_is_no_number_ends_the_run_at_its_step(
    tmp_path, tiny_config, train, preset, network
):
    ready = session.new(tiny_config(preset), tmp_path / "run", "cpu")
    with pytest.raises(TrainingError, match=r"_loss became NaN at step 3;") as caught:
        train(ready, Poisoner(ready, 2, network, torch.nan))
    assert str(ready.run.latest) in str(caught.value.hint)
    assert "lr_g=" in str(caught.value.hint)
    assert read_checkpoint(ready.run.path).step == 0


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize("part", ["discriminator", "generator"])
@pytest.mark.parametrize("preset", ["fast", "dcgan"])
def test_a_gradient_that_is_not_finite_is_named(tmp_path, tiny_config, train, preset, part, value):
    """The losses of that step are still numbers."""
    ready = session.new(tiny_config(preset), tmp_path / "run", "cpu")
    name, parameter = list(getattr(ready.state, part).named_parameters())[1]

    def poisoned(gradient):
        if ready.state.step == 3:  # the step after the third, the fourth
            gradient = gradient.clone()
            gradient.view(-1)[0] = value
        return gradient

    parameter.register_hook(poisoned)
    with pytest.raises(TrainingError) as caught:
        train(ready)
    kind = "NaN" if math.isnan(value) else "infinite"
    expected = f"the gradient of {part} {name} became {kind} at step 4; "
    assert caught.value.message.startswith(expected)
    assert read_checkpoint(ready.run.path).step == 3


def test_samples_that_there_is_no_memory_for_end_no_training(
    tmp_path, tiny_config, train, recorder, monkeypatch
):
    def too_much(*_):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr("ganctl.training.pictures.Pictures.draw_samples", too_much)
    observer = recorder()
    outcome, _ = train(session.new(tiny_config(epochs=2), tmp_path / "run", "cpu"), observer)
    assert outcome.finished
    assert observer.problems == [f"out of memory for the samples of epoch {n}" for n in (1, 2)]
    assert [row["diversity"] for row in outcome.history] == [None, None]


def test_what_is_wrong_with_an_unfinished_epoch_is_told(tmp_path, tiny_config, train, recorder,
                                                        monkeypatch):  # fmt: skip
    sign = history.Sign("wrong", "all is", "nothing helps")
    monkeypatch.setattr(history, "signs", lambda row: [sign])
    observer = recorder()
    train(session.new(tiny_config(steps=2), tmp_path / "run", "cpu"), observer)
    assert observer.signs == [(1, "wrong")]


def test_a_table_that_cannot_be_written_after_a_stop_is_told(
    tmp_path, tiny_config, train, recorder, monkeypatch
):
    def full(*_):
        raise RunError("losses.csv cannot be written: no space left on device")

    monkeypatch.setattr(RunDirectory, "write_losses", full)
    observer = recorder(2)
    outcome, _ = train(session.new(tiny_config(), tmp_path / "run", "cpu"), observer)
    assert not outcome.finished
    assert read_checkpoint(tmp_path / "run").step == 2
    assert observer.problems == ["losses.csv cannot be written: no space left on device"]


@pytest.mark.parametrize("network", ["generator", "ema", "discriminator"])
def test_a_state_that_is_not_finite_is_never_saved(tmp_path, tiny_config, train, network):
    ready = session.new(tiny_config(), tmp_path / "run", "cpu")
    name = {"ema": "generator_ema"}.get(network, network)
    with pytest.raises(TrainingError, match=rf"^{name} .* no longer finite at step 6;"):
        train(ready, Poisoner(ready, 6, network, torch.inf))
    saved = read_checkpoint(ready.run.path)
    assert saved.step == 3
    assert ready.run.samples() == [ready.run.sample(1)]  # nor is it drawn
    assert all(tensor.isfinite().all() for tensor in saved.generator.values())


def test_only_bf16_is_told_to_try_fp32(tmp_path, tiny_config, train):
    for precision in ("fp32", "bf16"):
        ready = session.new(tiny_config(precision=precision), tmp_path / precision, "cpu")
        with pytest.raises(TrainingError) as caught:
            train(ready, Poisoner(ready, 1, "discriminator", torch.nan))
        assert ("precision='fp32'" in str(caught.value.hint)) == (precision == "bf16")


def test_how_often_metrics_are_read_changes_nothing(tmp_path, tiny_config, train, monkeypatch):
    histories = []
    for seconds in (0.0, 1e9):  # after every step; only where an epoch ends
        monkeypatch.setattr(readback, "_READ_SECONDS", seconds)
        ready = session.new(tiny_config(epochs=2), tmp_path / str(seconds), "cpu")
        rows = train(ready)[0].history
        histories.append([{k: v for k, v in row.items() if "sec" not in k} for row in rows])
    assert histories[0] == histories[1]
    assert len(histories[0]) == 2


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
