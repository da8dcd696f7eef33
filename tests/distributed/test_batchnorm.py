"""Batch normalization over several processes, compared with torch's own over the whole batch."""

from __future__ import annotations

import copy
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from ganctl.distributed.batchnorm import SyncBatchNorm, synchronized
from ganctl.distributed.group import SINGLE, Group


class Threads(Group):
    """A group whose processes are threads."""

    def __init__(self, size):
        self.size = size
        self.barrier = threading.Barrier(size, timeout=20)
        self.tables = {}
        self.local = threading.local()

    def all_gather(self, tensor):
        self.tables[self.local.rank] = tensor
        self.barrier.wait()
        result = torch.stack([self.tables[rank] for rank in range(self.size)])
        self.barrier.wait()
        return result


def layer(dimensions, channels=3, dtype=torch.float32):
    made = (nn.BatchNorm1d if dimensions == 2 else nn.BatchNorm2d)(channels, 1e-3, 0.01)
    rng = torch.Generator().manual_seed(1)
    nn.init.normal_(made.weight, generator=rng)
    nn.init.normal_(made.bias, generator=rng)
    return made.to(dtype)


def values(shape, seed, mean=0.0, dtype=torch.float32):
    made = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).add(mean).to(dtype)
    return made.to(memory_format=torch.channels_last) if len(shape) == 4 else made


def passed(module, x, gradient):
    """Return the output, and the gradients of the input and of both parameters."""
    x = x.detach().requires_grad_()
    output = module(x)
    gradients = torch.autograd.grad(output, [x, module.weight, module.bias], gradient)
    return [output.detach(), *gradients]


@pytest.mark.parametrize("sizes", [(8,), (4, 4), (5, 3), (1, 1), (3, 1, 2)], ids=str)
@pytest.mark.parametrize("shape", [(3,), (3, 5, 4)], ids=str)
def test_several_processes_give_the_result_of_a_single_one(shape, sizes):
    whole = layer(len(shape) + 1)
    x = values((sum(sizes), *shape), 2, mean=1.0)
    gradient = values((sum(sizes), *shape), 3)
    group = Threads(len(sizes))
    members = [synchronized(nn.Sequential(copy.deepcopy(whole)), group)[0] for _ in sizes]

    def member(rank):
        group.local.rank = rank
        return passed(members[rank], x.split(sizes)[rank], gradient.split(sizes)[rank])

    with ThreadPoolExecutor(len(sizes)) as threads:
        outputs, of_x, of_weight, of_bias = zip(
            *threads.map(member, range(len(sizes))), strict=True
        )
    expected = passed(whole, x, gradient)
    found = [torch.cat(outputs), torch.cat(of_x), sum(of_weight), sum(of_bias)]
    assert_close(found, expected, rtol=1e-4, atol=1e-4)
    for other in members:
        assert_close(other.state_dict(), whole.state_dict())
        for name, buffer in other.named_buffers():  # the same bits in all
            assert buffer.equal(members[0].get_buffer(name))


@pytest.mark.parametrize("mean", [0.0, 10.0])
def test_bfloat16_costs_no_more_than_its_own_rounding(mean):
    x = values((32, 8, 7, 7), 2, mean, torch.bfloat16)
    gradient = values((32, 8, 7, 7), 3, dtype=torch.bfloat16)
    exact = passed(layer(4, 8, torch.float64), x.double(), gradient.double())
    module = synchronized(nn.Sequential(layer(4, 8)), SINGLE)[0]
    found = passed(module, x, gradient)
    assert [tensor.dtype for tensor in found[:2]] == [torch.bfloat16] * 2
    assert found[0].is_contiguous(memory_format=torch.channels_last)
    for one, other in zip(found[:2], exact[:2], strict=True):
        assert_close(one.double(), other, rtol=2**-7, atol=2**-7)
    for one, other in zip(found[2:], exact[2:], strict=True):
        assert_close(one.double(), other, rtol=1e-3, atol=1e-3)


def test_names_weights_and_buffers_are_kept():
    network = nn.Sequential(nn.Linear(4, 3), nn.Sequential(layer(2)))
    before = copy.deepcopy(network.state_dict())
    network[1][0].running_mean.fill_(0.5)
    before["1.0.running_mean"].fill_(0.5)
    same = synchronized(network, SINGLE)
    assert isinstance(same[1][0], SyncBatchNorm)
    assert_close(dict(same.state_dict()), dict(before), rtol=0, atol=0)


def test_a_network_in_eval_mode_needs_no_other_process():
    """The first process draws samples while the others wait."""
    group = Threads(2)  # the other is never there
    module = synchronized(nn.Sequential(layer(4)), group)[0].eval()
    x = values((2, 3, 4, 4), 0)
    assert_close(module(x), layer(4).eval()(x))
