"""Test Taps: maps equal the outputs of the modules, nothing is corrupted, and no hook remains after the block."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import relu

from explore.errors import InvalidInput
from explore.models import ConvNet, Taps


def hooks(net: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in net.modules())


def small(inplace: bool = False) -> nn.Sequential:
    activations = [nn.ReLU(inplace=inplace) for _ in range(3)]
    return nn.Sequential(
        nn.Conv2d(1, 4, 3),
        activations[0],
        nn.Conv2d(4, 4, 3),
        activations[1],
        nn.Flatten(),
        nn.Linear(64, 8),
        activations[2],
        nn.Linear(8, 2),
    )


X = torch.randn(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def test_maps_and_embedding_are_the_outputs_of_the_modules():
    net = small()
    with Taps(net) as taps:
        logits = net(X)
    first = relu(net[0](X))
    second = relu(net[2](first))
    assert list(taps.maps) == ["1", "3"]  # "6" puts out no map
    assert torch.equal(taps.maps["1"], first)
    assert torch.equal(taps.maps["3"], second)
    assert torch.equal(taps.embedding, relu(net[5](second.flatten(1))))
    assert torch.equal(net[7](taps.embedding), logits)


def test_taps_of_a_convnet_equal_its_own_maps():
    net, x = ConvNet(1, 10, 16, width=4), torch.randn(3, 1, 16, 16)
    with Taps(net) as taps:
        net(x)
    maps, embedding = net.taps_and_embed(x)
    assert list(taps.maps) == ["blocks.0.activation", "blocks.1.activation", "blocks.2.activation"]
    assert all(torch.equal(a, b) for a, b in zip(taps.maps.values(), maps, strict=True))
    assert torch.equal(taps.embedding, embedding)


@pytest.mark.parametrize("activation", [nn.PReLU, nn.Tanh, nn.SELU, nn.Hardtanh, nn.Softplus])
def test_every_activation_module_is_recorded(activation):
    net = nn.Sequential(nn.Conv2d(1, 2, 3), activation(), nn.Conv2d(2, 2, 3), activation())
    with Taps(net) as taps:
        output = net(torch.randn(1, 1, 8, 8))
    assert list(taps.maps) == ["1", "3"]
    assert torch.equal(taps.maps["3"], output)


def test_named_layers_only():
    net = small()
    with Taps(net, ["2", "0"]) as taps:
        net(X)
    assert list(taps.maps) == ["0", "2"]  # in the order in which they were computed
    assert torch.equal(taps.maps["0"], net[0](X))


def test_in_place_activations_do_not_corrupt_maps():
    class Doubled(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.act, self.again = (
                nn.Conv2d(1, 4, 3),
                nn.ReLU(inplace=True),
                nn.Sigmoid(),
            )

        def forward(self, x):
            x = self.act(self.conv(x))
            x.mul_(-3)  # a later step overwrites the memory of the first map
            return self.again(x)

    net = Doubled()
    with Taps(net) as taps:
        net(X)
    assert torch.equal(taps.maps["act"], relu(net.conv(X)))


def test_in_place_network_gives_the_same_maps_and_gradients():
    plain, in_place = small(), small(inplace=True)
    in_place.load_state_dict(plain.state_dict())
    gradients = []
    for net in (plain, in_place):
        x = X.clone().requires_grad_(True)
        with Taps(net) as taps:
            net(x)
        sum(f.square().sum() for f in taps.maps.values()).backward()
        gradients.append(x.grad)
    assert torch.equal(*gradients)
    assert gradients[0].abs().sum() > 0


def test_a_module_used_twice_is_numbered():
    class Reused(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second, self.act = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3), nn.ReLU()

        def forward(self, x):
            return self.act(-self.act(self.second(self.act(self.first(x)))))

    net = Reused()
    with Taps(net) as taps:
        net(X)
    assert list(taps.maps) == ["act", "act#2", "act#3"]
    assert torch.equal(taps.maps["act#2"], relu(net.second(taps.maps["act"])))
    assert not taps.maps["act#3"].any()


def test_names_that_begin_alike_are_counted_apart():
    net = nn.Sequential()
    net.add_module("a", nn.ReLU())
    net.add_module("a1", nn.ReLU())
    with Taps(net) as taps:
        net(X)
        net(X)
    assert list(taps.maps) == ["a", "a1", "a#2", "a1#2"]


def test_hooks_are_removed_after_the_block():
    net = small()
    with Taps(net) as taps:
        assert hooks(net) == 5  # three activations, two linear layers
        net(X)
    assert hooks(net) == 0
    net(X + 1)
    assert torch.equal(taps.maps["1"], relu(net[0](X)))  # what was seen inside is kept


def test_hooks_are_removed_after_an_exception():
    net = small()
    with pytest.raises(RuntimeError), Taps(net):
        net(torch.zeros(5, 2, 8, 8))
    assert hooks(net) == 0


def test_other_hooks_remain():
    net, calls = small(), []
    handle = net[1].register_forward_hook(lambda *_: calls.append(1))
    with Taps(net):
        net(X)
    net(X)
    assert len(calls) == 2
    handle.remove()


def test_every_block_starts_with_empty_maps():
    net = small()
    taps = Taps(net)
    for x in (X, X + 1):
        with taps:
            net(x)
        assert list(taps.maps) == ["1", "3"]
        assert torch.equal(taps.maps["1"], relu(net[0](x)))


def test_without_a_linear_layer_there_is_no_embedding():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())
    with Taps(net) as taps:
        net(X)
    assert taps.embedding is None


def test_an_unknown_layer_lists_the_known():
    with pytest.raises(InvalidInput, match="no module named 'conv9'; the model has 0, 1, 2, 3"):
        Taps(small(), ["0", "conv9"])


def test_a_resnet_of_torchvision():
    from torchvision.models import resnet18

    net = resnet18(weights=None, num_classes=7).eval()
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1), requires_grad=True)
    with Taps(net) as taps:
        logits = net(x)
    assert len(taps.maps) == 17  # the stem, and two uses of one ReLU in each of eight blocks
    assert list(taps.maps)[:3] == ["relu", "layer1.0.relu", "layer1.0.relu#2"]
    assert taps.maps["layer4.1.relu#2"].shape == (2, 512, 2, 2)
    assert torch.equal(taps.maps["relu"], relu(net.bn1(net.conv1(x))))
    torch.testing.assert_close(taps.embedding, taps.maps["layer4.1.relu#2"].mean((2, 3)))
    assert torch.equal(net.fc(taps.embedding), logits)
    assert all((f >= 0).all() for f in taps.maps.values())
    sum(f.sum() for f in taps.maps.values()).backward()
    assert x.grad.isfinite().all()
    assert hooks(net) == 0
