import pytest
import torch

from ganctl.batch import Rows
from ganctl.training import noise
from ganctl.training.noise import NoiseSource

CPU = torch.device("cpu")


def same(one, other):
    return one.latents.equal(other.latents) and one.seed == other.seed


def test_noise_is_a_function_of_seed_and_step(tiny_config, monkeypatch):
    config = tiny_config(mirror=True)
    source = NoiseSource(config, CPU)
    found = [source.draw(step) for step in range(40)]
    monkeypatch.setattr(noise, "_MAX_STEPS_AHEAD", 1)
    for step in (0, 7, 39):
        alone = NoiseSource(config, CPU).draw(step)
        assert same(alone, found[step])
        assert alone.mirrored.equal(found[step].mirrored)
    assert len({n.seed for n in found}) == 40
    assert not same(NoiseSource(tiny_config(mirror=True, seed=1), CPU).draw(0), found[0])


def test_the_noise_of_fewer_steps_is_drawn_at_once_for_large_batches(tiny_config, monkeypatch):
    config = tiny_config()
    size = config.batch_size * config.network.latent_dim
    alone = NoiseSource(config, CPU).draw(0)
    drawn, draw = [], NoiseSource._draw
    monkeypatch.setattr(
        NoiseSource, "_draw", lambda self, step, rows: drawn.append(step) or draw(self, step, rows)
    )
    for most, steps in ((3 * size + 1, [0, 1, 2]), (size - 1, [0])):
        monkeypatch.setattr(noise, "_MAX_VALUES_AHEAD", most)
        drawn.clear()
        assert same(NoiseSource(config, CPU).draw(0), alone)
        assert drawn == steps


def test_a_gpu_gets_the_same_noise_from_memory_that_it_can_copy(tiny_config, monkeypatch):
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor.clone())
    for config in (tiny_config(mirror=True), tiny_config()):
        plain = NoiseSource(config, CPU).draw(0)
        found = NoiseSource(config, torch.device("cuda")).draw(0)
        assert same(found, plain)
        assert (found.mirrored is None) == (plain.mirrored is None) == (not config.mirror)
        assert not config.mirror or found.mirrored.equal(plain.mirrored)


def test_steps_may_be_drawn_in_any_order(tiny_config):
    source = NoiseSource(tiny_config(), CPU)
    later = source.draw(5)
    assert same(source.draw(3), NoiseSource(tiny_config(), CPU).draw(3))
    assert same(source.draw(5), later)


@pytest.mark.parametrize("batch_size", [16, 40])  # one block, and three
def test_a_process_draws_its_rows_of_the_whole_batch(tiny_config, monkeypatch, batch_size):
    monkeypatch.setattr(noise, "_BLOCK", 16)
    config = tiny_config(batch_size=batch_size, mirror=True)
    whole = NoiseSource(config, CPU).draw(3)
    assert len(set(map(tuple, whole.latents.tolist()))) == batch_size
    source = NoiseSource(config, CPU)
    for ranges in ([range(4, 12)], [range(5), range(10, batch_size)], [range(9, batch_size)]):
        rows = Rows(tuple(ranges), batch_size)
        part = source.draw(3, rows)
        assert part.latents.equal(rows.select(whole.latents))
        assert part.seed == whole.seed
        assert part.mirrored.equal(whole.mirrored)


def test_half_of_the_images_are_mirrored_if_requested(tiny_config):
    assert NoiseSource(tiny_config(), CPU).draw(0).mirrored is None
    mirrored = NoiseSource(tiny_config(mirror=True, batch_size=4096), CPU).draw(0).mirrored
    assert mirrored.dtype == torch.bool
    assert float(mirrored.float().mean()) == pytest.approx(0.5, abs=0.05)
    # all other random numbers are the same as without
    assert same(
        NoiseSource(tiny_config(mirror=True), CPU).draw(2),
        NoiseSource(tiny_config(), CPU).draw(2),
    )
