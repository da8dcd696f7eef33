import pytest
import torch

from ganctl import rng, sampling
from ganctl.networks import build_generator
from ganctl.steering import search
from ganctl.steering.search import Search


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """Begin with fewer latents, which is enough for a tiny generator."""
    monkeypatch.setattr(search, "_NUM_CANDIDATES", 256)
    monkeypatch.setattr(search, "_ADAM_STEPS", 40)
    monkeypatch.setattr(search, "_NUM_FINISHED", 2)


@pytest.fixture(scope="module")
def generator(tiny_config):
    network = tiny_config(num_classes=3).network
    built = build_generator(network, torch.Generator().manual_seed(1)).eval().requires_grad_(False)
    return built, network


def targets(generator, seeds):
    built, network = generator
    return built(sampling.inputs_of(seeds, network))


def test_images_of_the_generator_are_found_with_their_classes(generator):
    built, network = generator
    wanted = targets(generator, [40, 41, 42])
    found = Search(built, network).run(wanted)
    assert found[:, network.latent_dim :].argmax(1).tolist() == [1, 2, 0]
    assert (built(found) - wanted).abs().max() < 4 / 255


def test_a_given_class_is_kept_and_images_do_not_depend_on_each_other(generator):
    built, network = generator
    wanted = targets(generator, [40, 42])
    done = []
    found = Search(built, network).run(wanted, [2, 0], done.append)
    assert found[:, network.latent_dim :].argmax(1).tolist() == [2, 0]
    assert done == [1, 2]
    assert torch.equal(Search(built, network).run(wanted[1:], [0])[0], found[1])


def test_large_images_are_searched_in_small_batches(generator, monkeypatch):
    built, network = generator
    wanted = targets(generator, [40])
    monkeypatch.setattr(sampling, "CHUNK", 8)
    found = Search(built, network).run(wanted, [1])
    assert (built(found) - wanted).abs().max() < 4 / 255


def test_the_starts_are_no_seeds():
    stream = rng.Stream.PROJECTION.generator().standard_normal(4)
    assert not any(
        (abs(each.standard_normal(4) - stream) < 1e-3).all()
        for each in rng.sample_generators(range(100))
    )
