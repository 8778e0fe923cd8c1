"""Test the other architectures: torchvision's as oracles, any size and norm, no change of global state."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from explore.errors import InvalidInput, UnknownName
from explore.models import ARCHITECTURES, Fit, accuracy, architecture

pytestmark = pytest.mark.usefixtures("_one_thread")


@pytest.mark.parametrize("norm", ["instance", "batch", "layer", "group", "none"])
@pytest.mark.parametrize("size", [8, 12, 16, 28, 32])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_images_may_have_any_size_and_every_weight_has_a_gradient(
    name: str, size: int, norm: str
) -> None:
    network = architecture(name, 3, 7, size, width=8, norm=norm, seed=1)
    out = network(torch.randn(4, 3, size, size, generator=torch.Generator().manual_seed(0)))
    assert out.shape == (4, 7)
    out.square().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_weights_come_from_the_seed_and_from_nothing_else(name: str) -> None:
    before = torch.get_rng_state()
    first, repeated, other = (
        architecture(name, 1, 10, 16, width=8, seed=seed) for seed in (3, 3, 4)
    )
    assert torch.equal(torch.get_rng_state(), before)
    weights = [
        torch.cat([p.flatten() for p in network.parameters()])
        for network in (first, repeated, other)
    ]
    assert torch.isfinite(weights[0]).all()
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def same_weights(ours: nn.Module, reference: nn.Module) -> None:
    """Copy our weights in their order into torchvision's network."""
    our_parameters, their_parameters = list(ours.parameters()), list(reference.parameters())
    assert [p.shape for p in our_parameters] == [p.shape for p in their_parameters]
    with torch.no_grad():
        for a, b in zip(our_parameters, their_parameters, strict=True):
            b.copy_(a)


def test_resnet18_is_torchvisions_without_its_large_first_strides() -> None:
    from torchvision.models import resnet18

    ours, reference = (
        architecture("resnet18", 3, 10, 32, width=64, norm="batch", seed=0),
        resnet18(num_classes=10),
    )
    reference.conv1, reference.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.Identity()
    same_weights(ours, reference)
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(ours.eval()(x), reference.eval()(x), rtol=1e-4, atol=1e-5)


def test_vgg11_has_torchvisions_convolutions() -> None:
    from torchvision.models import vgg11_bn

    ours, reference = (
        architecture("vgg11", 3, 10, 32, width=64, norm="batch", seed=0),
        vgg11_bn(num_classes=10).features,
    )
    same_weights(nn.Sequential(*list(ours)[:-2]), reference)
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        ours[:-1].eval()(x), reference.eval()(x).flatten(1), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_can_learn(name: str) -> None:
    images = torch.randn(60, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 0.3
    labels = torch.arange(60) % 3
    for image, label in zip(images, labels, strict=True):
        image[0, 1 + 2 * int(label)] += 2
    network = architecture(name, 1, 3, 8, width=8, norm="batch", seed=0)
    Fit(network, images, labels, epochs=25, learning_rate=0.05, batch=20).run()
    assert accuracy(network, images, labels) > 0.95


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UnknownName, match=r"unknown architecture 'vgg12'.*Did you mean 'vgg11'"):
        architecture("vgg12", 1, 10, 16)
    with pytest.raises(UnknownName, match="unknown norm 'batchnorm'"):
        architecture("vgg11", 1, 10, 16, norm="batchnorm")
    with pytest.raises(InvalidInput, match="8 or more pixels a side, got 4"):
        architecture("alexnet", 1, 10, 4)
