"""What callbacks receive, and what becomes of those that fail."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from ganctl.errors import PackageError, Setting, TrainingError
from ganctl.training import loop, session
from ganctl.training.callback import Callback, Callbacks, End, Progress, Start

START = Start(
    folder=Path("run"), settings={}, data={}, command="", resumed=False, step=7, total_steps=9,
    steps_per_epoch=3, history=[], quality="",
)  # fmt: skip
PROGRESS = Progress(8, 9, 3, 3, 2, 3, 1.0, {})
VALUES = {
    "on_start": [START], "on_step": [PROGRESS], "on_samples": [1, 1], "on_epoch": [1, 1],
    "on_save": [1, 1], "on_warning": [1, 1], "on_end": [1],
}  # fmt: skip
EVENTS = [name for name in vars(Callback) if name.startswith("on_")]


def events_of(kind=Callback):
    """Return a callback that appends each event's name and values to its list `events`."""

    def forward(name):
        return lambda self, *values: self.events.append((name, *values))

    one = type("Watching", (kind,), {name: forward(name) for name in EVENTS})()
    one.events = []
    return one


def test_a_run_is_reported_from_start_to_end(tmp_path, tiny_config, train, recorder):
    run, watching = tmp_path / "run", recorder(4)
    (start,) = train(session.new(tiny_config(epochs=2), run, "cpu"), watching)[1].starts
    assert (start.folder, start.step, start.steps_per_epoch, start.total_steps) == (run, 0, 3, 6)
    assert (start.settings["batch_size"], start.settings["latent_dim"]) == (16, 8)
    assert (start.data["name"], start.command, start.history) == ("mnist", "test", [])
    assert watching.saves == [(run / "ckpt.pt", step) for step in (0, 3, 4)]
    assert [row["step"] for row in watching.rows] == [3, 4]
    first, unfinished = watching.epoch_samples
    assert (first == watching.samples[0][1]).all()
    assert unfinished is None
    assert watching.ends == [End(4, False, None)]
    again = recorder()
    train(session.resume(run, {}, "cpu"), again)
    assert (again.starts[0].step, again.starts[0].history) == (4, watching.rows[:1])
    assert again.ends == [End(6, True, None)]


def test_a_callback_hears_of_the_error_that_ended_its_run(
    tmp_path, tiny_config, train, recorder, monkeypatch
):
    def failing(*_):
        raise TrainingError("no more")

    monkeypatch.setattr(loop, "train_step", failing)
    watching = recorder()
    with pytest.raises(TrainingError, match="no more") as caught:
        train(session.new(tiny_config(), tmp_path / "run", "cpu"), watching)
    assert watching.ends == [End(0, False, caught.value)]


@pytest.mark.parametrize("event", EVENTS)
def test_a_callback_that_fails_is_turned_off(event, caplog):
    caplog.set_level(logging.DEBUG, "ganctl")

    def fail(self, *values):
        self.events.append((event, *values))
        raise ValueError("not\nhere")

    broken, other = events_of(), events_of()
    broken = type("Broken", (type(broken),), {event: fail})()
    broken.events = []
    both = Callbacks([broken, other])
    for _ in range(2):
        getattr(both, event)(*VALUES[event])
    names = [name for name, *_ in broken.events]
    assert names == [event, "on_warning", *(["on_end"] if event != "on_end" else [])]
    warned = [values for name, *values in other.events if name == "on_warning"]
    message, hint = next(found for found in warned if found != [1, 1])
    assert str(message) == f"Broken is turned off: {event} raised ValueError: not here"
    assert hint == "Training continues without it."
    assert [name for name, *_ in other.events].count(event) == 2 + (event == "on_warning")
    assert "Traceback" in caplog.text


def test_a_callback_that_lacks_a_package_says_how_to_install_it():
    class Lacking(Callback):
        def on_start(self, start):
            raise PackageError.missing(Setting("track", "x"), "y", extra="z")

    other = events_of()
    Callbacks([Lacking(), other]).on_start(START)
    (message, hint) = next(values for name, *values in other.events if name == "on_warning")
    assert str(message) == "Lacking is turned off: track='x' needs y, which is not installed"
    assert message.spelled(lambda setting: f"--{setting.name}").startswith(
        "Lacking is turned off: --track needs"
    )
    assert str(hint) == "Training continues without it. Install it: pip install 'ganctl[z]'"


def test_an_interrupt_and_warnings_as_errors_reach_the_caller():
    for error in (KeyboardInterrupt, UserWarning):

        class Raising(Callback):
            def on_step(self, progress, error=error):
                raise error

        with pytest.raises(error):
            Callbacks([Raising()]).on_step(PROGRESS)


def test_only_the_first_process_has_callbacks(tmp_path, tiny_config, train, monkeypatch):
    ready = session.new(tiny_config(steps=1), tmp_path / "run", "cpu")
    monkeypatch.setattr(type(ready.group), "is_first", property(lambda _: False))
    assert train(ready)[1].starts == []
