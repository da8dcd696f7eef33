import torch
from torch import nn
from torch.testing import assert_close

from ganctl.networks.layers import Layer, Logit, layer_table


def small_network():
    with torch.device("meta"):
        return nn.Sequential(
            nn.Conv2d(1, 3, 5, stride=2, padding=2),
            nn.Sequential(nn.BatchNorm2d(3), nn.Flatten()),
            nn.Linear(3 * 4 * 4, 1, bias=False),
        )


def test_each_leaf_is_a_row_in_the_order_of_the_data():
    assert layer_table(small_network(), (1, 8, 8)) == [
        Layer("0", "Conv2d", (3, 4, 4), trained=3 * 25 + 3, kept=0),
        Layer("1.0", "BatchNorm2d", (3, 4, 4), trained=6, kept=6),
        Layer("1.1", "Flatten", (48,), trained=0, kept=0),
        Layer("2", "Linear", (1,), trained=48, kept=0),
    ]


def test_keras_counts_running_statistics_too():
    assert Layer("", "", (), trained=6, kept=6).parameters == 12


def test_the_network_is_left_as_it_was():
    network = small_network()
    layer_table(network, (1, 8, 8))
    assert layer_table(network, (1, 8, 8)) == layer_table(network, (1, 8, 8))
    assert not any(module._forward_hooks for module in network.modules())


def test_a_class_adds_a_logit_of_its_own():
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
