"""Weights that a network takes over from another one."""

import dataclasses

import pytest
import torch

from ganctl.config.image_settings import stages_for
from ganctl.config.presets import PRESETS
from ganctl.networks import build_discriminator, build_generator, meta_networks, tensors_by_place
from ganctl.networks.transfer import transfer

BUILD = {"generator": build_generator, "discriminator": build_discriminator}


@pytest.fixture(params=PRESETS)
def config(request, tiny_config):
    """Networks of 64x64 pixels in color, of three classes."""
    network = tiny_config(request.param).network
    return resized(dataclasses.replace(network, channels=3, num_classes=3), 64)


def resized(config, size):
    return dataclasses.replace(config, height=size, width=size, stages=stages_for(size, size))


def both(config, changed, part, classes=None):
    """Return the old weights, the new ones before and after a transfer, and what it returned."""
    old = BUILD[part](config, torch.Generator().manual_seed(0))
    new = BUILD[part](changed, torch.Generator().manual_seed(1))
    before = {name: tensor.clone() for name, tensor in new.state_dict().items()}
    found = transfer(part, new, changed, old.state_dict(), config, classes or {})
    return old.state_dict(), before, new.state_dict(), found


@pytest.mark.parametrize("size", [8, 28, 48, 64, 128])
def test_every_tensor_has_a_place_of_its_own_layer(config, size):
    config = resized(config, size)
    for part, places in tensors_by_place(config).items():
        names = [name for tensors in places.values() for name in tensors]
        assert sorted(names) == sorted(meta_networks(config)[part].state_dict())
        assert all(places.values())


@pytest.mark.parametrize("part", BUILD)
def test_all_weights_of_a_network_of_the_same_kind_are_taken(config, part):
    old, before, after, found = both(config, config, part, {0: 0, 1: 1, 2: 2})
    assert all(after[name].equal(old[name]) for name in old)
    assert not all(before[name].equal(old[name]) for name in old)
    assert (found.taken, found.new, found.with_new_classes) == (tuple(old), (), ())


@pytest.mark.parametrize("part", BUILD)
def test_only_the_layer_at_the_image_depends_on_its_channels(config, part):
    old, before, after, found = both(
        config, dataclasses.replace(config, channels=1), part, {0: 0, 1: 1, 2: 2}
    )
    at_image = tensors_by_place(config)[part]
    place = next(each for each in at_image if each.name in ("to image", "from image"))
    assert list(found.new) == at_image[place]
    assert all(after[name].equal(before[name]) for name in found.new)
    assert all(after[name].equal(old[name]) for name in found.taken)


@pytest.mark.parametrize("part", BUILD)
@pytest.mark.parametrize("num_classes", [0, 2, 5])
def test_classes_are_continued_by_number_and_others_begin_anew(config, part, num_classes):
    changed = dataclasses.replace(config, num_classes=num_classes)
    classes = {1: 2} if num_classes else {}
    old, before, after, found = both(config, changed, part, classes)
    assert found.new == ()
    name = next(name for name in after if after[name].shape != old[name].shape)
    axis = 0 if part == "discriminator" else 1
    shared = old[name].shape[axis] - 3
    rows = {key: each[name].movedim(axis, 0) for key, each in
            {"old": old, "before": before, "after": after}.items()}  # fmt: skip
    assert rows["after"][:shared].equal(rows["old"][:shared])
    assert len(rows["after"]) == shared + num_classes
    for number in range(num_classes):
        expected = rows["old"][shared + 2] if number == 1 else rows["before"][shared + number]
        assert rows["after"][shared + number].equal(expected)
    assert (name in found.with_new_classes) == (num_classes > 0)


@pytest.mark.parametrize("part", BUILD)
def test_a_network_without_classes_gives_none(config, part):
    unconditional = dataclasses.replace(config, num_classes=0)
    _, before, after, found = both(unconditional, config, part)
    assert found.new == ()
    name = found.with_new_classes[0]
    axis = 0 if part == "discriminator" else 1
    assert after[name].movedim(axis, 0)[-3:].equal(before[name].movedim(axis, 0)[-3:])
    assert not after[name].equal(before[name])


@pytest.mark.parametrize("part", BUILD)
@pytest.mark.parametrize("size", [32, 128])
def test_stages_are_counted_from_the_image(config, part, size):
    changed = resized(config, size)
    old, before, after, found = both(config, changed, part)
    places, others = tensors_by_place(changed)[part], tensors_by_place(config)[part]
    assert any("image" in place.name and set(names) <= {*found.taken}
               for place, names in places.items())  # fmt: skip
    assert found.new
    for place, names in places.items():
        is_taken = set(names) <= {*found.taken}
        assert is_taken or not set(names) & {*found.taken}  # a layer is taken whole
        assert not (is_taken and " stages" in place.name)
        for name, other in zip(names, others.get(place, names), strict=True):
            if name in found.with_new_classes:
                continue
            assert after[name].equal(old[other] if is_taken else before[name])


@pytest.mark.parametrize("part", BUILD)
def test_nothing_is_taken_from_another_architecture_or_width(config, part):
    other = "dcgan" if config.architecture == "fast" else "fast"
    for changes in ({"architecture": other}, {"base_channels": 6}):
        _, before, after, found = both(config, dataclasses.replace(config, **changes), part)
        assert found.taken == ()
        assert all(after[name].equal(before[name]) for name in after)
