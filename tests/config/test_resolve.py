"""The settings that depend on the images or the device, and the reasons for their values."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from ganctl.config.presets import preset
from ganctl.config.resolve import explain, resolve
from ganctl.config.schema import override, settings
from ganctl.errors import UsageError


@dataclass
class Facts:
    """The facts about images that settings depend on, without any pixels."""

    count: int = 60_000
    image_shape: tuple[int, int, int] = (1, 28, 28)
    num_classes: int = 0
    has_test_images: bool = True
    value_range: str | None = None

    def __len__(self):
        return self.count


def resolved(config, images, chosen=()):
    return resolve(
        config,
        images,
        chosen=chosen,
        precision=lambda name: "bf16" if name == "auto" else name,
        threads=lambda config: config.threads or 3,
        eval_every=lambda config, _: config.eval_every or 1,
    )


def test_open_settings_get_a_value_and_a_reason():
    found = resolved(preset("fast"), Facts(num_classes=10))
    config = found.config
    assert (config.image_size, config.image_channels) == ("28", 1)
    assert (config.augment, config.precision, config.threads) == ("none", "bf16", 3)
    assert config.network.num_classes == 10
    of_network = {"channels", "height", "width", "stages", "num_classes"}
    assert found.reasons.keys() == of_network | {
        "image_size", "image_channels", "augment", "holdout", "precision", "threads", "eval_every",
    }  # fmt: skip
    assert all(found.reasons.values())


def test_only_what_changed_has_a_reason():
    config = override(preset("fast"), {"precision": "fp32", "threads": 2, "augment": "none"})
    found = resolved(config, Facts())
    before, after = settings(config), settings(found.config)
    changed = {name for name in before if before[name] != after[name]}
    assert changed <= found.reasons.keys()
    assert not {"precision", "threads", "augment"} & found.reasons.keys()


@pytest.mark.parametrize("chosen", [(), ("lr_g",), ("lr_g", "epochs", "batch_size", "r1_weight")])
def test_chosen_settings_are_not_fitted(chosen):
    images = Facts(20, (3, 64, 64))
    config = override(preset("fast"), {"batch_size": 16} if "batch_size" in chosen else {})
    found = resolved(config, images, chosen)
    fitted = {"lr_g", "lr_d", "epochs", "batch_size", "r1_weight"} & found.reasons.keys()
    assert fitted == {"lr_g", "lr_d", "epochs", "batch_size", "r1_weight"} - {*chosen}
    assert found.config.batch_size == (16 if "batch_size" in chosen else 20)


def test_without_chosen_nothing_is_fitted():
    config = override(preset("fast"), {"batch_size": 8})
    found = resolved(config, Facts(20, (3, 64, 64)), None).config
    assert {name: getattr(found, name) for name in ("lr_g", "epochs", "r1_weight", "batch_size")} \
        == {"lr_g": config.lr_g, "epochs": 12, "r1_weight": 0.5, "batch_size": 8}  # fmt: skip


@pytest.mark.parametrize("name", ["fast", "dcgan"])
def test_an_unchosen_batch_size_is_at_most_the_number_of_images(name):
    assert resolved(preset(name), Facts(3)).config.batch_size == 3
    assert resolved(preset(name), Facts()).config.batch_size == preset(name).batch_size
    with pytest.raises(UsageError, match="larger than the data, 3 images"):
        resolved(preset(name), Facts(3), ("batch_size",))


def test_threads_are_chosen_last():
    seen = []
    found = resolve(
        preset("fast"), Facts(20, (3, 64, 64)), chosen=(), precision=lambda _: "fp32",
        threads=lambda config: seen.append(config) or 1, eval_every=lambda *_: 1,
    )  # fmt: skip
    assert override(seen[0], {"threads": 1}) == found.config


@pytest.mark.parametrize(
    ("count", "augment", "reason"),
    [
        (999, "color,translation,cutout", "fewer than 1,000 images"),
        (1000, "translation", "fewer than 5,000 images"),
        (4999, "translation", "fewer than 5,000 images"),
        (5000, "none", "at least 5,000 images"),
    ],
)
def test_the_fewer_images_the_more_they_are_augmented(count, augment, reason):
    found = resolved(preset("fast"), Facts(count))
    assert (found.config.augment, found.reasons["augment"]) == (augment, reason)
    assert resolved(preset("dcgan"), Facts(count)).config.augment == "none"


def test_too_many_steps_are_refused():
    config = override(preset("fast"), {"steps": 10**9})
    with pytest.raises(UsageError, match="a run has at most 20,000"):
        resolved(config, Facts(100))


def test_a_finished_config_explains_what_differs_from_its_preset():
    images = Facts(20, (3, 64, 64), num_classes=2)
    config = override(preset("fast"), {"seed": 7, "lr_g": 1e-5})
    found = resolved(config, images, ("seed", "lr_g"))
    reasons = explain(found.config, len(images), 0)
    before, after = settings(preset("fast")), settings(found.config)
    assert reasons.keys() == {name for name in before if before[name] != after[name]}
    derived = ("lr_d", "epochs", "batch_size", "augment", "num_classes", "stages")
    assert {name: reasons[name] for name in derived} \
        == {name: found.reasons[name] for name in derived}  # fmt: skip
    assert reasons["seed"] == reasons["lr_g"] == "set"


def test_a_preset_as_it_is_has_little_to_explain():
    config = resolved(preset("dcgan"), Facts()).config
    assert explain(config, 60_000, 0).keys() == {
        "image_size", "image_channels", "holdout", "precision", "threads", "eval_every",
    }  # fmt: skip


def test_a_picture_of_too_many_large_samples_is_refused():
    large = Facts(image_shape=(3, 1024, 1024))
    assert resolved(preset("fast"), large).config.num_samples == 9
    config = override(preset("fast"), {"num_samples": 64})
    assert resolved(config, large, chosen={"num_samples"}).config.num_samples == 64
    config = override(config, {"num_samples": 65})
    with pytest.raises(UsageError, match="65 samples of 1024 pixels") as caught:
        resolved(config, large, chosen={"num_samples"})
    assert "num_samples=64" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("count", "share", "num_held_out", "reason"),
    [
        (999, 0.0, 0, "fewer than 1,000 images"),
        (1000, 0.1, 100, "at least 1,000 images, no test images"),
        (50_000, 0.1, 5000, "at least 1,000 images, no test images"),
        (60_000, 0.083, 4980, "about 5,000 are enough"),
        (10**7, 0.0005, 5000, "about 5,000 are enough"),
    ],
)
def test_a_share_is_held_out_where_there_are_no_test_images(count, share, num_held_out, reason):
    found = resolved(preset("fast"), Facts(count, has_test_images=False))
    assert (found.config.holdout, found.reasons["holdout"]) == (share, reason)
    assert found.config.num_held_out(count) == num_held_out
    assert explain(found.config, count - num_held_out, num_held_out)["holdout"] == reason
    with_test = resolved(preset("fast"), Facts(count))
    assert with_test.config.holdout == 0
    assert with_test.reasons["holdout"] == "the dataset has test images"


def test_a_share_that_was_chosen_is_kept():
    config = override(preset("fast"), {"holdout": 0.25})
    found = resolved(config, Facts(100, has_test_images=False), chosen={"holdout"})
    assert found.config.holdout == 0.25
    assert "holdout" not in found.reasons
    assert explain(found.config, 75, 25)["holdout"] == "set"
    none = override(preset("fast"), {"holdout": 0.0})
    found = resolved(none, Facts(5000, has_test_images=False), chosen={"holdout"})
    assert found.config.num_held_out(5000) == 0
    assert "or set" in explain(found.config, 5000, 0)["holdout"]


def test_held_out_images_do_not_count_as_training_images():
    """5,200 images are many, 4,680 are few; a batch has at most as many as are trained on."""
    facts = Facts(5200, has_test_images=False)
    assert resolved(preset("fast"), facts).config.augment == "translation"
    none = override(preset("fast"), {"holdout": 0.0})
    assert resolved(none, facts).config.augment == "none"
    half = override(preset("fast"), {"holdout": 0.5, "batch_size": 64})
    facts = Facts(100, has_test_images=False)
    assert resolved(half, facts, chosen={"holdout"}).config.batch_size == 50
    with pytest.raises(UsageError, match="larger than the data, 50 images"):
        resolved(half, facts, chosen={"holdout", "batch_size"})


@pytest.mark.parametrize(
    ("share", "facts", "message", "hint"),
    [
        (0.1, Facts(5000), "they have test images", "Leave out holdout"),
        (0.5, Facts(3, has_test_images=False), "holdout=0.5 holds out 2 of 3 images", "holdout=0"),
        (0.01, Facts(900, has_test_images=False), "9 of 900 images, and metrics need at least 10",
         "Give a larger share, or train on all images: holdout=0."),
    ],
)  # fmt: skip
def test_a_share_that_cannot_be_held_out_is_refused(share, facts, message, hint):
    config = override(preset("fast"), {"holdout": share})
    with pytest.raises(UsageError, match=message) as caught:
        resolved(config, facts, chosen={"holdout"})
    assert hint in str(caught.value.hint)
