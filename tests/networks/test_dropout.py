import numpy as np
import pytest
import torch

from ganctl.batch import Rows
from ganctl.config.presets import preset
from ganctl.networks import build_discriminator
from ganctl.networks.dropout import Dropout, seed_dropout, set_dropout_rows


def dropout(p=0.3, seed=0):
    module = Dropout(p)
    module.reseed(seed)
    return module


@pytest.mark.parametrize("p", [0.1, 0.3, 0.5, 0.9])
def test_a_share_of_p_is_zeroed_and_the_mean_preserved(p):
    count = 200_000
    mask = dropout(p)(torch.ones(count))
    kept = (mask != 0).double().mean().item()
    five_sigma = 5 * (p * (1 - p) / count) ** 0.5
    assert abs(kept - (1 - p)) < five_sigma
    assert abs(mask.double().mean().item() - 1) < five_sigma / (1 - p) + 1e-4
    values = mask.unique()
    assert values[0] == 0
    assert values.numel() == 2
    # p is rounded to a multiple of 2^-16 on the CPU
    assert values[1].item() == pytest.approx(1 / (1 - p), rel=2**-16 / (1 - p))


def test_elements_are_dropped_independently_of_their_neighbors():
    """Four elements share a random number, but must not depend on one another."""
    kept = (dropout(0.5)(torch.ones(4 * 50_000)) != 0).double().view(-1, 4)
    correlation = np.corrcoef(kept.T.numpy())
    assert np.abs(correlation - np.eye(4)).max() < 5 / 50_000**0.5


def test_the_mask_is_a_function_of_the_seed():
    x = torch.ones(1000)
    assert dropout(seed=1)(x).equal(dropout(seed=1)(x))
    assert not dropout(seed=1)(x).equal(dropout(seed=2)(x))


def test_successive_passes_differ_until_reseeded():
    module, x = dropout(seed=5), torch.ones(1000)
    first, second = module(x), module(x)
    assert not first.equal(second)
    module.reseed(5)
    assert module(x).equal(first)
    assert module(x).equal(second)


def test_seed_dropout_gives_every_layer_a_stream_of_its_own():
    network = build_discriminator(preset("dcgan").network, torch.Generator())
    layers = [module for module in network.modules() if isinstance(module, Dropout)]
    x = torch.ones(500)
    seed_dropout(network, 9)
    first = [layer(x) for layer in layers]
    seed_dropout(network, 9)
    again = [layer(x) for layer in layers]
    assert len(layers) == 2
    assert all(map(torch.equal, first, again))
    assert not first[0].equal(first[1])


@pytest.mark.parametrize("module", [dropout().eval(), dropout(p=0)], ids=["eval", "p=0"])
def test_in_eval_mode_and_for_p_0_it_is_the_identity(module):
    x = torch.randn(4, 5)
    assert module(x) is x


def test_the_gradient_is_the_mask():
    x = torch.randn(3, 5, 7, 7).add(10).requires_grad_()
    y = dropout()(x)
    y.sum().backward()
    assert (x.grad == 0).any()
    torch.testing.assert_close(x.grad, y.detach() / x.detach())


@pytest.mark.parametrize("shape", [(1,), (3,), (5, 7), (2, 3, 5, 7), (0, 4)])
def test_any_number_of_elements_works(shape):
    y = dropout(0.5)(torch.ones(shape))
    assert y.shape == shape
    assert set(y.unique().tolist()) <= {0.0, 2.0}


def test_channels_last_tensors_keep_their_layout_and_elements():
    x = torch.arange(1.0, 2 * 3 * 5 * 5 + 1).view(2, 3, 5, 5)
    y = dropout(0.5)(x.to(memory_format=torch.channels_last))
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert (y == 0).any()
    assert torch.equal(y, torch.where(y == 0, 0, 2 * x))


def test_a_view_with_gaps_is_dropped_out_element_by_element():
    x = torch.arange(1.0, 101).view(10, 10)[:, ::3]
    y = dropout(0.5)(x)
    assert (y == 0).any()
    assert torch.equal(y, torch.where(y == 0, 0, 2 * x))


def test_bfloat16_stays_bfloat16():
    y = dropout(0.5)(torch.ones(100, dtype=torch.bfloat16))
    assert y.dtype == torch.bfloat16
    assert y.unique().tolist() == [0.0, 2.0]


def test_the_global_random_state_is_neither_used_nor_changed():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    once = dropout()(torch.ones(100))
    assert torch.get_rng_state().equal(before)
    torch.manual_seed(1)
    assert dropout()(torch.ones(100)).equal(once)


@pytest.mark.parametrize("shape", [(7,), (3, 5, 5)], ids=str)
def test_rows_have_the_masks_that_they_have_in_the_whole_batch(shape):
    x = torch.ones(9, *shape)
    if len(shape) == 3:
        x = x.to(memory_format=torch.channels_last)
    whole, module = dropout()(x), dropout()
    for ranges in ((range(4), range(6, 7)), (range(4, 6), range(7, 9)), (range(9),)):
        module.reseed(0)
        set_dropout_rows(module, Rows(ranges, 9))
        own = Rows(ranges, 9).select(whole)
        assert module(Rows(ranges, 9).select(x)).equal(own)
