"""Class activation maps: a case by hand, brute force from the papers, captum and torchcam."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from cam_networks import KIND_NAMES, flat_network, uniform
from torch import nn

from explore.attention import ActivationMapper, gradcam
from explore.data import load
from explore.models.trained.loading import load_network

IMAGES = uniform(5, 2, 6, 7, seed=1) - 0.5


# ---- a case by hand


def hand_network() -> nn.Sequential:
    """Return a network with f₀ = ReLU(x), f₁ = ReLU(2 - x), and the gradients of class 0 below."""
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2))
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([1.0, -1.0]).view(2, 1, 1, 1))
        network[0].bias.copy_(torch.tensor([0.0, 2.0]))
        network[3].weight[0] = torch.tensor([1.0, -3, 4, 2, 2, 4, -1, 3])
        network[3].weight[1] = -1
    return network.double()


# f₀ = [2, 1, 0, 0] and f₁ = [0, 1, 2, 4] (pixels row by row), with sums 3 and 7.
# g₀ = [1, -3, 4, 2] and g₁ = [2, 4, -1, 3], with means 1 and 2.
_PLUS_0, _PLUS_1 = 1 / (2 + 3) + 4 / (2 + 12) + 2 / (2 + 6), 2 / 16 + 4 / 30 + 3 / 23
# Σ f g³ = 2 - 27 = -25 in channel 0 and 64 - 2 + 108 = 170 in channel 1.
_SMOOTH_0 = 1 * 1 / (2 - 25) + 4 * 16 / (32 - 25) + 2 * 4 / (8 - 25)
_SMOOTH_1 = 2 * 4 / (8 + 170) + 4 * 16 / (32 + 170) + 3 * 9 / (18 + 170)
BY_HAND = {
    "gradcam": [2, 3, 4, 8],
    "hirescam": [2, 1, 0, 12],
    "layercam": [2, 4, 0, 12],
    "gradcam++": [2 * _PLUS_0, _PLUS_0 + _PLUS_1, 2 * _PLUS_1, 4 * _PLUS_1],
    "smoothgradcam++": [2 * _SMOOTH_0, _SMOOTH_0 + _SMOOTH_1, 2 * _SMOOTH_1, 4 * _SMOOTH_1],
}


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_maps_are_those_computed_by_hand(kind: str) -> None:
    image = torch.tensor([[[[2.0, 1.0], [0.0, -2.0]]]], dtype=torch.float64)
    options = {"noise": 0} if kind == "smoothgradcam++" else {}
    expected = torch.tensor(BY_HAND[kind], dtype=torch.float64).view(1, 2, 2)
    maps = gradcam(hand_network(), image, 0, kind=kind, normalize=False, **options)
    torch.testing.assert_close(maps, expected, rtol=1e-7, atol=1e-7)
    scaled = (expected - expected.min()) / (expected.max() - expected.min())
    maps = gradcam(hand_network(), image, 0, kind=kind, **options)
    torch.testing.assert_close(maps, scaled, rtol=1e-7, atol=1e-7)


# ---- brute force


def map_and_gradient(network: nn.Sequential, image: torch.Tensor, label: int) -> tuple[Any, Any]:
    """Return f and g [C, h, w] of layer "3", as arrays."""
    f = network[:4](image[None]).detach().requires_grad_()
    (g,) = torch.autograd.grad(network[4:](f)[0, label], f)
    return f[0].detach().numpy(), g[0].numpy()


def plus_plus_weights(network: nn.Sequential, image: torch.Tensor, label: int) -> Any:
    """Return the weights of Grad-CAM++ from derivatives of Y = exp(S), divided by Y.

    α = Y'' / (2 Y'' + Σ_ab f_ab Y''') at each position, and the weight is Σ α ReLU(Y') (eq. 10 and
    11; eq. 19 is their form for the exponential and a network that is linear piece by piece).
    """
    f = network[:4](image[None]).detach().requires_grad_()
    y = network[4:](f)[0, label].exp()
    (first,) = torch.autograd.grad(y, f, create_graph=True)
    weights = np.zeros(f.shape[1])
    for c, i, j in itertools.product(*map(range, f.shape[1:])):
        (second,) = torch.autograd.grad(first[0, c, i, j], f, create_graph=True)
        (third,) = torch.autograd.grad(second[0, c, i, j], f, retain_graph=True)
        d1, d2, d3 = (gradient[0, c, i, j].item() for gradient in (first, second, third))
        alpha = d2 / (2 * d2 + f[0, c].sum().item() * d3)
        weights[c] += alpha * max(d1, 0) / y.item()
    return weights


def brute_force(kind: str, network: nn.Sequential, image: torch.Tensor, label: int) -> Any:
    f, g = map_and_gradient(network, image, label)
    if kind == "gradcam++":
        weights = plus_plus_weights(network, image, label)
    total = np.zeros(f.shape[1:])
    for c, i, j in itertools.product(*map(range, f.shape)):
        factor = {
            "gradcam": lambda c, i, j: g[c].sum() / g[c].size,
            "hirescam": lambda c, i, j: g[c, i, j],
            "layercam": lambda c, i, j: max(g[c, i, j], 0),
            "gradcam++": lambda c, i, j: weights[c],
        }[kind](c, i, j)
        total[i, j] += factor * f[c, i, j]
    return np.maximum(total, 0)


@pytest.mark.parametrize("kind", KIND_NAMES[:-1])
def test_maps_equal_brute_force(kind: str) -> None:
    network = flat_network()
    images = IMAGES[:2] if kind == "gradcam++" else IMAGES
    for label in range(4):
        maps = gradcam(network, images, label, size="layer", kind=kind, normalize=False)
        expected = [brute_force(kind, network, image, label) for image in images]
        np.testing.assert_allclose(maps, expected, rtol=1e-6, atol=1e-8)


def test_smooth_maps_equal_brute_force_over_the_copies_that_the_network_gets() -> None:
    network = flat_network()
    inputs: list[torch.Tensor] = []
    mapper = ActivationMapper(network, "3", "smoothgradcam++", copies=3, noise=0.2, seed=4)
    with network.register_forward_pre_hook(lambda module, args: inputs.append(args[0])):
        maps = mapper(IMAGES, 2, normalize=False).maps
    assert torch.equal(inputs[0], IMAGES)
    assert len(inputs) == 4
    for row in range(len(IMAGES)):
        f, _ = map_and_gradient(network, IMAGES[row], 2)
        pairs = [map_and_gradient(network, copy[row], 2) for copy in inputs[1:]]
        d2, d3 = (sum(g**power for _, g in pairs) / 3 for power in (2, 3))
        alpha = d2 / (2 * d2 + (f * d3).sum((1, 2), keepdims=True))
        weights = (alpha * np.maximum(pairs[-1][1], 0)).sum((1, 2))
        expected = np.maximum(np.einsum("c,cij->ij", weights, pairs[-1][0]), 0)
        np.testing.assert_allclose(maps[row], expected, rtol=1e-4, atol=1e-7)


def test_noise_is_normal_and_of_each_copy_and_seed() -> None:
    network, inputs = flat_network(), []
    images = uniform(200, 2, 6, 7)
    with network.register_forward_pre_hook(lambda module, args: inputs.append(args[0])):
        for seed in (0, 0, 1):
            options: dict[str, Any] = {"copies": 2, "noise": 0.5, "seed": seed}
            ActivationMapper(network, "3", "smoothgradcam++", **options)(images, batch=200)
    first, second, same, _, other, _ = [x - images for x in inputs if not torch.equal(x, images)]
    assert torch.equal(first, same)
    for noise in (first, second, other):  # 16,800 values
        assert abs(float(noise.mean())) < 0.02
        assert abs(float(noise.std()) - 0.5) < 0.02
    for pair in ((first, second), (first, other), (first[:100], first[100:])):
        correlation = np.corrcoef(*(values.flatten() for values in pair))[0, 1]
        assert abs(correlation) < 0.05


def test_no_two_kinds_agree_on_a_flat_head() -> None:
    maps = [gradcam(flat_network(), IMAGES, 1, size="layer", kind=kind) for kind in KIND_NAMES]
    for first, second in itertools.combinations(maps, 2):
        assert float((first - second).abs().max()) > 0.01


@pytest.fixture(scope="module")
def scenes() -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    data = load("scenes", "test", size=64, count=10)
    # In float64, so that the processor's choice of kernels does not matter.
    return load_network("scenes-vgg")[0].double(), data.batch().double(), data.labels


def test_gradcam_and_hirescam_agree_before_global_pooling_and_a_linear_layer(scenes) -> None:
    maps = [gradcam(*scenes, size="layer", kind=kind) for kind in ("gradcam", "hirescam")]
    torch.testing.assert_close(maps[0], maps[1], rtol=1e-9, atol=1e-9)


# ---- other libraries


def residual_network() -> nn.Module:
    from torchvision.models import resnet18

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return resnet18(weights=None, num_classes=5).double().eval()


@pytest.mark.parametrize("name", ["scenes-vgg", "resnet18", "flat"])
def test_gradcam_equals_captums(name: str, scenes) -> None:
    from captum.attr import LayerGradCam

    network, images, labels = scenes
    layer = "14"
    if name == "resnet18":
        network, layer, images = residual_network(), "layer3", images[:3]
        labels = network(images).argmax(1)  # maps of other classes may be zero
    if name == "flat":
        network, images, labels, layer = flat_network(), IMAGES, torch.tensor([0, 3, 1, 2, 2]), "1"
    rival = LayerGradCam(network, network.get_submodule(layer))
    expected = rival.attribute(images, labels, relu_attributions=True)[:, 0].detach()
    maps = gradcam(network, images, labels, layer, "layer", normalize=False)
    torch.testing.assert_close(maps, expected, rtol=1e-9, atol=1e-9 * float(expected.max()))


# GradCAMpp is missing: torchcam 0.5.0 divides a copy (``alpha[mask].div_``), so its coefficients
# lack the denominator of eq. 19.
@pytest.mark.parametrize("kind", ["gradcam", "layercam", "smoothgradcam++"])
@pytest.mark.parametrize("name", ["scenes-vgg", "resnet18"])
def test_maps_equal_torchcams(name: str, kind: str, scenes) -> None:
    from torchcam import methods

    network, images, labels = scenes
    layer = "17"
    if name == "resnet18":
        network, layer, images = residual_network(), "layer3", images[:3]
        labels = network(images).argmax(1)  # maps of other classes may be zero
    mapper = ActivationMapper(network, layer, kind)
    inputs: list[torch.Tensor] = []
    with network.register_forward_pre_hook(lambda module, args: inputs.append(args[0])):
        maps = mapper(images, labels).maps
    names = {"gradcam": "GradCAM", "layercam": "LayerCAM", "smoothgradcam++": "SmoothGradCAMpp"}
    with getattr(methods, names[kind])(network, layer) as extractor:
        if kind == "smoothgradcam++":
            copies = iter(inputs[1:])
            extractor._distrib.sample = lambda shape: next(copies) - images  # the same noise
        scores = network(images.clone().requires_grad_())
        expected = extractor(labels.tolist(), scores)[0].detach()
    assert float(expected.flatten(1).amax(1).min()) > 0.5  # its 1e-8 is small beside the maps
    torch.testing.assert_close(maps, expected, rtol=1e-5, atol=1e-5)
