import dataclasses
import math
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ganctl.config import presets, schema
from ganctl.config.presets import PRESETS, preset
from ganctl.config.schema import SETTINGS, from_dict, override, to_dict
from ganctl.errors import UsageError


def test_the_dcgan_preset_is_the_classic_recipe_to_the_letter():
    expected = {
        "preset": "dcgan",
        "network": {
            "architecture": "dcgan",
            "base_channels": 64,
            "latent_dim": 100,
            "stages": 2,
            "num_classes": 0,
            "height": 28,
            "width": 28,
            "channels": 1,
        },
        "loss": "bce",
        "conditional": False,
        "updates": "simultaneous",
        "augment": "none",
        "mirror": False,
        "accumulate": 1,
        "batch_size": 256,
        "lr_g": 1e-4,
        "lr_d": 1e-4,
        "beta1": 0.9,
        "beta2": 0.999,
        "data": "mnist",
        "epochs": 50,
        "steps": None,
        "lr_warmup_steps": 0,
        "lr_decay_steps": 0,
        "r1_weight": 0.0,
        "ema_images": 0,
        "num_samples": 16,
    }
    found = to_dict(preset("dcgan"))
    assert {name: found[name] for name in expected} == expected
    assert preset("dcgan").steps_per_epoch(60_000) == 235
    assert preset("dcgan").total_steps(60_000) == 50 * 235


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_knows_its_name_and_starts_from_mnist(name):
    assert preset(name).preset == name
    assert preset(name).data == "mnist"
    assert preset(name).network.image_shape == (1, 28, 28)


def test_fast_is_the_default_and_an_architecture_of_its_own():
    assert presets.DEFAULT_PRESET == "fast"
    assert preset("fast").network.architecture == "fast"


def test_an_unknown_preset_names_the_nearest():
    with pytest.raises(UsageError) as caught:
        preset("dcgn")
    assert "dcgn" in caught.value.message
    assert caught.value.hint == "Did you mean 'dcgan'?"


def test_total_steps_counts_the_smaller_last_batch_unless_steps_are_given():
    by_epochs = override(preset("dcgan"), {"batch_size": 16, "epochs": 3})
    assert by_epochs.total_steps(40) == 9
    assert by_epochs.total_steps(32) == 6
    assert override(by_epochs, {"steps": 7}).total_steps(40) == 7


@pytest.mark.parametrize(("length", "epochs"), [
    ({"epochs": 3}, 3), ({"steps": 1}, 1), ({"steps": 3}, 1), ({"steps": 4}, 2)
])  # fmt: skip
def test_total_epochs_counts_an_incomplete_one(length, epochs):
    config = override(preset("dcgan"), {"batch_size": 16, **length})
    assert config.total_epochs(40) == epochs


def test_override_changes_the_network_and_not_its_argument():
    before = preset("fast")
    after = override(before, {"latent_dim": 7, "lr_g": 0.5})
    assert (after.network.latent_dim, after.lr_g) == (7, 0.5)
    assert before == preset("fast") != after
    assert dataclasses.replace(
        after, network=before.network, lr_g=before.lr_g
    ) == before  # fmt: skip


def test_epochs_and_steps_replace_one_another():
    by_steps = override(preset("dcgan"), {"steps": 9})
    assert (by_steps.epochs, by_steps.steps) == (None, 9)
    by_epochs = override(by_steps, {"epochs": 2})
    assert (by_epochs.epochs, by_epochs.steps) == (2, None)
    with pytest.raises(UsageError, match="not both"):
        override(preset("dcgan"), {"epochs": 1, "steps": 1})
    with pytest.raises(UsageError, match="a run needs a length"):
        dataclasses.replace(preset("dcgan"), epochs=None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0),
        ("steps", 0),
        ("batch_size", 0),
        ("batch_size", 65_537),
        ("latent_dim", 0),
        ("latent_dim", 4097),
        ("base_channels", 0),
        ("base_channels", 513),
        ("height", 30),
        ("width", 4),
        ("width", 1028),
        ("channels", 2),
        ("lr_g", 0.0),
        ("lr_g", math.nan),
        ("lr_d", 1.5),
        ("lr_d", math.inf),
        ("beta1", 1.0),
        ("beta2", -0.1),
        ("lr_decay_steps", -1),
        ("lr_warmup_steps", -1),
        ("r1_weight", -1.0),
        ("r1_weight", math.nan),
        ("r1_interval", 0),
        ("ema_images", -1),
        ("ema_ramp", 0.0),
        ("seed", -1),
        ("seed", 2**32),
        ("limit", 1),
        ("num_samples", 0),
        ("num_samples", 1025),
        ("snapshot_every", -1),
        ("keep", -1),
    ],
)
def test_a_value_out_of_bounds_is_refused_by_name(name, value):
    given = f"{value:g}" if isinstance(value, float) else value
    with pytest.raises(UsageError, match=f"{name} must be .*, not {given}$"):
        override(preset("dcgan"), {name: value})


@pytest.mark.parametrize(
    ("name", "typo", "known"),
    [
        ("architecture", "dcgna", "dcgan"),
        ("loss", "bec", "bce"),
        ("updates", "alternate", "alternating"),
        ("precision", "bf-16", "bf16"),
    ],
)
def test_a_misspelled_choice_names_the_nearest(name, typo, known):
    with pytest.raises(UsageError, match=f"unknown {name} '{typo}'") as caught:
        override(preset("dcgan"), {name: typo})
    assert caught.value.hint == f"Did you mean '{known}'?"


@given(
    name=st.sampled_from(sorted(PRESETS)),
    changes=st.fixed_dictionaries(
        {},
        optional={
            "seed": st.integers(0, schema.MAX_SEED),
            "batch_size": st.integers(2, 65_536),
            "latent_dim": st.integers(1, 4096),
            "height": st.sampled_from([8, 28, 256]),
            "channels": st.sampled_from([1, 3]),
            "lr_g": st.floats(1e-9, 1),
            "limit": st.none() | st.integers(2, 10**9),
            "steps": st.integers(1, 10**9),
        },
    ),
)
def test_a_config_survives_a_round_trip_through_a_dict(name, changes):
    made = override(preset(name), changes)
    assert from_dict(to_dict(made)) == made


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda data: data.pop("seed"), "missing settings: seed"),
        (lambda data: data.update(sede=1), "unknown or missing settings: sede"),
        (lambda data: data["network"].pop("width"), "network has unknown or missing.*width"),
        (lambda data: data.update(network=None), "network is not a table"),
        (lambda data: data.update(seed=True), "seed has the wrong type, bool"),
        (lambda data: data.update(seed=1.0), "seed has the wrong type, float"),
        (lambda data: data.update(seed=None), "seed has the wrong type, NoneType"),
        (lambda data: data.update(lr_g="1e-4"), "lr_g has the wrong type, str"),
        (lambda data: data["network"].update(latent_dim=10**9), "latent_dim must be"),
    ],
)
def test_an_invalid_dict_is_refused(spoil, complaint):
    data = to_dict(preset("dcgan"))
    spoil(data)
    with pytest.raises(UsageError, match=complaint):
        from_dict(data)


@pytest.mark.parametrize("data", [None, [], "dcgan", 7])
def test_only_a_dict_can_be_a_config(data):
    with pytest.raises(UsageError, match="not a table"):
        from_dict(data)


@pytest.mark.parametrize(
    ("text", "setting"),
    [
        ("lr_g=1e-3", ("lr_g", 1e-3)),
        ("lr-g=0.5", ("lr_g", 0.5)),
        ("seed=7", ("seed", 7)),
        ("latent-dim=64", ("latent_dim", 64)),
        ("limit=none", ("limit", None)),
        ("limit=10", ("limit", 10)),
        ("loss=bce", ("loss", "bce")),
        ("conditional=False", ("conditional", False)),
        ("conditional=true", ("conditional", True)),
        ("image_size=64x64", ("image_size", "64")),
        ("augment=cutout,color", ("augment", "color,cutout")),
    ],
)
def test_a_setting_is_parsed_into_its_own_type(text, setting):
    assert schema.parse_setting(text) == setting


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("seed", "is not a setting"),
        ("seed=1.5", "seed must be a whole number, not '1.5'"),
        ("seed=none", "seed must be a whole number, not 'none'"),
        ("lr_g=x", "lr_g must be a number, not 'x'"),
        ("conditional=1", "conditional must be true or false, not '1'"),
        ("num_classes=10", "unknown setting 'num_classes'"),
        ("preset=fast", "preset is not a setting"),
        ("sede=1", "unknown setting 'sede'"),
        ("height=28", "unknown setting 'height'"),
    ],
)
def test_an_invalid_setting_is_refused(text, complaint):
    with pytest.raises(UsageError, match=complaint):
        schema.parse_setting(text)


def test_settings_are_the_flat_view_of_a_config():
    flat = schema.settings(preset("dcgan"))
    assert flat["latent_dim"] == 100
    assert flat["batch_size"] == 256
    assert "network" not in flat
    assert schema.SETTINGS.keys() < flat.keys()


def test_config_does_not_import_torch():
    check = (
        "import sys, ganctl.config.sources, ganctl.config.presets; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", check]).returncode == 0


def test_every_setting_has_a_group_and_help():
    assert [spec.group for spec in SETTINGS.values()] == sorted(
        (spec.group for spec in SETTINGS.values()), key=schema.GROUPS.index
    )
    assert {spec.group for spec in SETTINGS.values()} == {*schema.GROUPS}
    texts = [str(spec.help) for spec in SETTINGS.values()]
    assert all(text[0].isupper() or text[0].isdigit() or re.match(r"\w+(:|,| \()", text)
               for text in texts)  # fmt: skip
    assert all(text.endswith(".") for text in texts)
