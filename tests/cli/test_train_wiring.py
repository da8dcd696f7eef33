"""Every option of `ganctl train` reaches the setting or the argument that it is for."""

import inspect

import pytest

from ganctl.cli.train import train
from ganctl.config import presets, schema, sources
from ganctl.errors import TrainingError
from ganctl.training import session

SETTINGS = {
    # option: (what is typed, the setting, its value)
    "data": ("--data stacked-mnist", "data", "stacked-mnist"),
    "image_size": ("--size 32x48", "image_size", "32x48"),
    "image_channels": ("--channels 3", "image_channels", 3),
    "fit": ("--fit pad", "fit", "pad"),
    "background": ("--background red", "background", "red"),
    "mirror": ("--mirror", "mirror", True),
    "augment": ("--augment cutout,color", "augment", "color,cutout"),
    "limit": ("--limit 33", "limit", 33),
    "image_key": ("--image-key png", "image_key", "png"),
    "value_range": ("--range 0,4095", "value_range", "0,4095"),
    "image_column": ("--image-column left", "image_column", "left"),
    "label_column": ("--label-column fine", "label_column", "fine"),
    "skip_bad": ("--skip-bad", "skip_bad", True),
    "epochs": ("--epochs 7", "epochs", 7),
    "steps": ("--steps 17", "steps", 17),
    "seed": ("--seed 5", "seed", 5),
    "batch_size": ("--batch-size 24", "batch_size", 24),
    "accumulate": ("--accumulate 3", "accumulate", 3),
    "lr_g": ("--lr-g 0.125", "lr_g", 0.125),
    "lr_d": ("--lr-d 0.25", "lr_d", 0.25),
    "latent_dim": ("--latent-dim 50", "latent_dim", 50),
    "conditional": ("--unconditional", "conditional", False),
    "holdout": ("--holdout 0.25", "holdout", 0.25),
    "freeze_d": ("--freeze-d 1", "freeze_d", 1),
    "assignments": ("--set beta2=0.75", "beta2", 0.75),
    "precision": ("--precision bf16", "precision", "bf16"),
    "threads": ("--threads 2", "threads", 2),
    "compile": ("--compile", "compile", True),
    "snapshot_every": ("--snapshot-every 4", "snapshot_every", 4),
    "keep": ("--keep 9", "keep", 9),
    "num_samples": ("--num-samples 6", "num_samples", 6),
}
OTHERS = {
    # option: (what is typed, the argument, its value)
    "device": ("--device cuda:1", "device", "cuda:1"),
    "out": ("--out elsewhere", "out", "elsewhere"),
    "cache_memory": ("--cache-memory 5MB", "cache_memory", 5_000_000),
    "dry_run": ("--dry-run", "to_write", False),
}
ELSEWHERE = {
    "context", "preset", "file", "resume", "init_from", "num_processes", "no_preview", "quiet",
    "json", "save_every", "timeout", "no_graphs", "track",
}  # fmt: skip


@pytest.fixture
def given(cli, monkeypatch):
    """Return the config and the other arguments that a run would begin with, by name."""

    def of(*words):
        found = {}

        def new(config, out, device, **how):
            how.pop("progress")
            found.update(how, config=config, out=str(out), device=device)
            raise TrainingError("as far as this test goes")

        monkeypatch.setattr(session, "new", new)
        assert "as far as this test goes" in cli("train", *words).err
        return found

    return of


def test_every_option_is_tested():
    assert {*SETTINGS, *OTHERS} | ELSEWHERE == set(inspect.signature(train).parameters)


def test_arguments_that_are_not_settings_are_options():
    assert {*sources._ARGUMENTS} <= {*OTHERS} | ELSEWHERE


@pytest.mark.parametrize("preset", presets.PRESETS)
@pytest.mark.parametrize("option", SETTINGS)
def test_an_option_changes_its_setting_and_no_other(given, option, preset):
    words, setting, value = SETTINGS[option]
    before = schema.settings(presets.preset(preset))
    after = given("--preset", preset, *words.split())
    settings = schema.settings(after["config"])
    expected = {**before, setting: value}
    if setting == "steps":
        expected["epochs"] = None
    assert settings == expected
    assert before[setting] != value or setting == "conditional"
    assert set(after["chosen"]) == {setting}


@pytest.mark.parametrize("option", OTHERS)
def test_an_option_that_is_not_a_setting_reaches_its_argument(given, option):
    words, name, value = OTHERS[option]
    before, after = given(), given(*words.split())
    assert after[name] == value != before.get(name)
    assert {**after, name: before.get(name)} == {name: None, **before}


def test_requested_classes_are_chosen(given):
    assert given("--conditional")["chosen"] == {"conditional": True}
    assert given("--preset", "dcgan", "--conditional")["config"].conditional is True


@pytest.mark.parametrize("option", [name for name in SETTINGS if name != "assignments"])
def test_a_setting_can_be_given_by_the_environment_and_by_a_file(
    given, option, monkeypatch, tmp_path
):
    words, setting, value = SETTINGS[option]
    typed = schema.settings(given(*words.split())["config"])
    text = str(value).lower() if isinstance(value, bool) else str(value)
    (tmp_path / "run.toml").write_text(f'{setting} = "{text}"', "utf-8")
    from_file = given("--config", tmp_path / "run.toml")
    monkeypatch.setenv(f"GANCTL_{setting.upper()}", text)
    from_environment = given()
    assert schema.settings(from_file["config"]) == typed
    assert schema.settings(from_environment["config"]) == typed


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        ((), "save_every", 120.0),
        (("--save-every", "7"), "save_every", 7.0),
        ((), "timeout", 300.0),
        (("--timeout", "9"), "timeout", 9.0),
        ((), "use_graphs", True),
        (("--no-graphs",), "use_graphs", False),
    ],
)
def test_what_is_no_setting_reaches_the_session(
    cli, fast_options, tmp_path, monkeypatch, words, name, value
):
    found = {}

    def remember(*_arguments, **how):
        found.update(how)
        raise TrainingError("as far as this test goes")

    monkeypatch.setattr(session.Session, "train", remember)
    result = cli("train", *fast_options, "--out", tmp_path / "run", *words)
    assert "as far as this test goes" in result.err
    assert found[name] == value
