"""`ganctl.train`: the command's training, from a program."""

from __future__ import annotations

import pytest

import ganctl
from ganctl.errors import GanctlWarning, UsageError
from ganctl.training import health
from ganctl.training.health import SAMPLES_ALIKE

TINY = {"base_channels": 4, "batch_size": 16, "eval_samples": 0, "num_samples": 1,
        "precision": "fp32", "device": "cpu", "epochs": 1}  # fmt: skip


@pytest.mark.usefixtures("tiny_mnist")
def test_it_gives_the_generator_and_a_run_directory(tmp_path):
    rows = []
    model = ganctl.train(out=tmp_path / "run", on_epoch=rows.append, threads=1, **TINY)
    assert [row["step"] for row in rows] == [model.step] == [3]
    assert (tmp_path / "run" / "losses.csv").exists()
    longer = ganctl.train(out=tmp_path / "run", resume=True, epochs=2, device="cpu")
    assert longer.step == 6


@pytest.mark.usefixtures("tiny_mnist")
def test_what_the_command_tells_is_a_warning(tmp_path, monkeypatch):
    monkeypatch.setattr(health, "signs", lambda _: [SAMPLES_ALIKE])
    with pytest.warns(GanctlWarning) as found:
        ganctl.train(out=tmp_path / "run", conditional=False, threads=1, **TINY)
    told = [str(warning.message) for warning in found]
    assert "10 classes, which are not used" in told[0]
    assert found[0].filename == __file__, "it is the caller's line that is warned of"
    assert any(str(SAMPLES_ALIKE.advice) in text for text in told[1:])


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
def test_settings_are_checked_as_those_of_the_command(tmp_path, settings, message):
    with pytest.raises(UsageError, match=message):
        ganctl.train(out=tmp_path / "run", **settings)
    assert not any(tmp_path.iterdir())
