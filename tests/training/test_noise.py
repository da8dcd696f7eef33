import pytest
import torch

from ganctl.training import noise
from ganctl.training.noise import NoiseSource

CPU = torch.device("cpu")


def same(one, other):
    return one.latents.equal(other.latents) and one.seed == other.seed


def test_noise_is_a_function_of_seed_and_step(tiny_config, monkeypatch):
    config = tiny_config(mirror=True)
    source = NoiseSource(config, CPU)
    found = [source.of_step(step) for step in range(40)]
    monkeypatch.setattr(noise, "_STEPS_AHEAD", 1)
    for step in (0, 7, 39):
        alone = NoiseSource(config, CPU).of_step(step)
        assert same(alone, found[step])
        assert alone.mirrored.equal(found[step].mirrored)
    assert len({n.seed for n in found}) == 40
    assert not same(NoiseSource(tiny_config(mirror=True, seed=1), CPU).of_step(0), found[0])


def test_a_run_may_begin_anywhere_and_go_back(tiny_config):
    source = NoiseSource(tiny_config(), CPU)
    later = source.of_step(5)
    assert same(source.of_step(3), NoiseSource(tiny_config(), CPU).of_step(3))
    assert same(source.of_step(5), later)


@pytest.mark.parametrize("batch_size", [16, 40])  # one block, and three
def test_a_process_draws_its_places_of_the_whole_batch(tiny_config, monkeypatch, batch_size):
    monkeypatch.setattr(noise, "_BLOCK", 16)
    config = tiny_config(batch_size=batch_size, mirror=True)
    whole = NoiseSource(config, CPU).of_step(3)
    assert len(set(map(tuple, whole.latents.tolist()))) == batch_size
    source = NoiseSource(config, CPU)
    for places in ([range(4, 12)], [range(5), range(10, batch_size)], [range(9, batch_size)]):
        part = source.of_step(3, places)
        rows = [row for some in places for row in some]
        assert part.latents.equal(whole.latents[rows])
        assert part.seed == whole.seed
        assert part.mirrored.equal(whole.mirrored)


def test_half_of_the_images_are_mirrored_where_that_is_wanted(tiny_config):
    assert NoiseSource(tiny_config(), CPU).of_step(0).mirrored is None
    mirrored = NoiseSource(tiny_config(mirror=True, batch_size=4096), CPU).of_step(0).mirrored
    assert mirrored.dtype == torch.bool
    assert float(mirrored.float().mean()) == pytest.approx(0.5, abs=0.05)
    # and all other chance is as without
    assert same(
        NoiseSource(tiny_config(mirror=True), CPU).of_step(2),
        NoiseSource(tiny_config(), CPU).of_step(2),
    )
