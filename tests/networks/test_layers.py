import torch
from torch.testing import assert_close

from ganctl.networks.layers import Logit


def test_a_logit_is_the_sum_of_a_shared_one_and_one_of_its_class():
    torch.manual_seed(0)
    layer, vectors = Logit(4, 3), torch.randn(2, 4)
    shared, *own = (vectors @ layer.weight.T + layer.bias).T
    classes = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    expected = torch.stack([shared[0] + own[1][0], shared[1] + own[2][1]])[:, None]
    assert_close(layer(vectors, classes), expected)
    assert_close(layer(vectors), shared[:, None])


def test_without_classes_it_is_a_linear_layer():
    layer, vectors = Logit(4, 0), torch.randn(2, 4)
    assert layer.weight.shape == (1, 4)
    assert_close(layer(vectors), vectors @ layer.weight.T + layer.bias)
    assert_close(layer(vectors, torch.empty(2, 0)), layer(vectors))
