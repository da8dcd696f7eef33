"""`ganctl.train`: training from a program, with the results of the command."""

from __future__ import annotations

import contextlib
import logging
import re
import warnings

import pytest
import torch

import ganctl
from ganctl import history
from ganctl.errors import GanctlError, GanctlWarning
from ganctl.history import SAMPLES_ALIKE

TINY = {"base_channels": 4, "batch_size": 16, "eval_samples": 0, "num_samples": 1,
        "precision": "fp32", "device": "cpu", "epochs": 1}  # fmt: skip


@pytest.mark.usefixtures("tiny_mnist")
def test_train_returns_the_generator_and_writes_a_run_directory(tmp_path):
    class Steps(ganctl.Callback):
        def on_epoch(self, row, samples):
            rows.append((row["step"], samples.shape))

    rows = []
    model = ganctl.train(out=tmp_path / "run", callbacks=[Steps()], threads=1, **TINY)
    assert rows == [(model.step, (1, 28, 28, 1))] == [(3, (1, 28, 28, 1))]
    assert (tmp_path / "run" / "losses.csv").exists()
    longer = ganctl.train(out=tmp_path / "run", resume=True, epochs=2, device="cpu")
    assert longer.step == 6


@pytest.mark.usefixtures("tiny_mnist")
def test_a_run_begins_with_the_weights_of_a_checkpoint(tmp_path):
    small = {"limit": 32, "batch_size": 16, "steps": 1, "eval_samples": 0, "device": "cpu"}
    ganctl.train(out=tmp_path / "first", base_channels=3, **small)
    second = ganctl.train(out=tmp_path / "second", init_from=tmp_path / "first", seed=4, **small)
    assert second.network.base_channels == 3
    made_by = ganctl.inspect(tmp_path / "second")["made_by"]
    assert made_by["init_from"] == str(tmp_path / "first")
    assert made_by["init_from_new"] == "nothing"
    with pytest.raises(GanctlError, match="init_from begins a new run, and resume=True continues"):
        ganctl.train(out=tmp_path / "second", init_from=tmp_path / "first", resume=True)


@pytest.mark.usefixtures("tiny_mnist")
def test_notices_are_logged_and_problems_are_warnings(tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO, "ganctl")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ganctl.train(out=tmp_path / "run", conditional=False, threads=1, **TINY)
    assert "10 classes, which are not used" in caplog.text
    assert {record.levelname for record in caplog.records} == {"INFO"}
    (tmp_path / "run" / "best.pt").write_bytes((tmp_path / "run" / "ckpt.pt").read_bytes())
    (tmp_path / "run" / "ckpt.pt").write_bytes(b"damaged")
    with pytest.warns(GanctlWarning, match=r"ckpt.pt is not a ganctl checkpoint") as found:
        ganctl.train(out=tmp_path / "run", resume=True, device="cpu")
    assert found[0].filename == __file__, "it is the caller's line that is warned of"
    monkeypatch.setattr(history, "signs", lambda _: [SAMPLES_ALIKE])
    with pytest.warns(GanctlWarning, match=re.escape(str(SAMPLES_ALIKE.advice))):
        ganctl.train(out=tmp_path / "other", threads=1, **TINY)


@pytest.mark.usefixtures("tiny_mnist")
@pytest.mark.parametrize("fails", [False, True])
def test_the_host_keeps_its_threads_and_random_state(tmp_path, fails):
    class Interrupting(ganctl.Callback):
        def on_epoch(self, row, samples):
            if fails:
                raise KeyboardInterrupt

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        state = torch.get_rng_state()
        with pytest.raises(KeyboardInterrupt) if fails else contextlib.nullcontext():
            ganctl.train(out=tmp_path / "run", threads=1, callbacks=[Interrupting()], **TINY)
        assert torch.get_num_threads() == 2
        assert torch.get_rng_state().equal(state)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epoch": 3}, "unknown setting 'epoch'"),
        ({"epochs": "x"}, "epochs must be a whole number, not 'x'"),
        ({"batch_size": 2.5}, "batch_size must be a whole number, not '2.5'"),
        ({"lr_g": []}, "lr_g must be a number"),
        ({"image_size": 30}, "images of 30 do not fit"),
        ({"augment": "foo"}, "unknown augmentation 'foo'"),
        ({"preset": "fats"}, "unknown preset"),
        ({"data": "nowhere"}, "unknown data"),
    ],
)
def test_settings_are_checked_as_the_command_does(tmp_path, settings, message):
    with pytest.raises(GanctlError, match=message):
        ganctl.train(out=tmp_path / "run", **settings)
    assert not any(tmp_path.iterdir())
