"""Receptive fields: the closed formula for chains, published values, dependence by brute force."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from cam_networks import Returning, seeded, uniform
from hypothesis import given, settings, strategies as st
from torch import nn
from torchvision import models

from explore.attention import receptive_field
from explore.errors import InvalidInput, UnknownName
from explore.models import ConvNet

Window = tuple[str, int, int, int]
"""Kind of a layer, kernel, stride and dilation."""


@st.composite
def windows(draw: st.DrawFn) -> Window:
    kind = draw(st.sampled_from(["conv", "max", "avg", "relu", "norm"]))
    kernel, stride = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    return kind, kernel, stride, 1 if kind == "avg" else draw(st.integers(1, 3))


def chain(rows: list[Window], columns: list[Window]) -> nn.Sequential:
    """Build layers whose windows differ in height and width."""
    layers: list[nn.Module] = [nn.Conv2d(3, 2, 1)]
    for row, column in zip(rows, columns, strict=True):
        kernel, stride, dilation = zip(row[1:], column[1:], strict=True)
        layers.append(
            {
                "conv": lambda k=kernel, s=stride, d=dilation: nn.Conv2d(2, 2, k, s, dilation=d),
                "max": lambda k=kernel, s=stride, d=dilation: nn.MaxPool2d(k, s, dilation=d),
                "avg": lambda k=kernel, s=stride: nn.AvgPool2d(k, s),
                "relu": lambda: nn.ReLU(inplace=True),
                "norm": lambda: nn.GroupNorm(2, 2),
            }[row[0]]()
        )
    return nn.Sequential(*layers)


def closed_form(chain: list[Window]) -> int:
    """Return 1 + Σ (kernel - 1) · dilation · product of earlier strides."""
    field, jump = 1, 1
    for kind, kernel, stride, dilation in chain:
        if kind in ("conv", "max", "avg"):
            field += (kernel - 1) * dilation * jump
            jump *= stride
    return field


@settings(max_examples=40)
@given(data=st.data(), length=st.integers(0, 5))
def test_chains_follow_the_closed_formula(data: st.DataObject, length: int) -> None:
    rows = [data.draw(windows()) for _ in range(length)]
    columns = [(kind, *data.draw(windows())[1:3], 1) for kind, *_ in rows]
    network = chain(rows, columns)
    fields = closed_form(rows), closed_form(columns)
    # An image that is a little larger than the field, so that nothing is cut.
    shape = (3, *(field + 2**5 for field in fields))
    assert receptive_field(network, str(length), shape) == fields


@pytest.mark.parametrize(
    ("layer", "field"),
    [
        ("conv1", 7),
        ("maxpool", 11),
        ("layer1", 43),
        ("layer2", 99),
        ("layer3", 211),
        ("layer4", 435),
    ],
)
def test_resnet18_has_the_published_fields(layer: str, field: int) -> None:
    # Araujo et al., Computing Receptive Fields of Convolutional Neural Networks (Distill, 2019).
    network = models.resnet18(weights=None)
    size = 448 if layer == "layer4" else 224
    assert receptive_field(network, layer, (3, size, size)) == (field, field)


@pytest.mark.parametrize(
    ("layer", "field"), [("0", 3), ("4", 6), ("9", 16), ("28", 196), ("29", 196), ("30", 212)]
)
def test_vgg16_has_the_published_fields(layer: str, field: int) -> None:
    widths = [width if width == "M" else 2 for width in models.vgg.cfgs["D"]]
    network = models.vgg.make_layers(widths)  # its features, with 2 channels in every layer
    assert receptive_field(network, layer, (3, 256, 256)) == (field, field)


def test_convnet_has_the_field_of_three_convolutions_and_two_poolings() -> None:
    fields = {"blocks.0.conv": 3, "blocks.0.pool": 4, "blocks.1.activation": 8}
    fields |= {"blocks.1": 10, "blocks.2.norm": 18, "blocks.2": 22}
    network = ConvNet(1, 4, 32, width=4)
    for layer, field in fields.items():
        assert receptive_field(network, layer, (1, 32, 32)) == (field, field)


@pytest.mark.parametrize(
    ("shape", "field"), [((16, 16), (16, 16)), ((20, 40), (20, 31)), ((64, 31), (31, 31))]
)
def test_fields_are_cut_at_the_image(shape: tuple[int, int], field: tuple[int, int]) -> None:
    network = nn.Sequential(nn.Conv2d(1, 1, 31, padding=15), nn.ReLU())
    assert receptive_field(network, "1", (1, *shape)) == field


# ---- dependence by brute force


class Block(nn.Module):
    """A residual block with a wide and a narrow branch, on 2 channels."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = (
            nn.Conv2d(2, 2, 3, padding=1),
            nn.Conv2d(2, 2, (1, 3), padding=(0, 1)),
        )
        self.narrow, self.norm = nn.Conv2d(4, 2, 1), nn.BatchNorm2d(2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features = self.second(torch.sigmoid(self.norm(self.first(x))))
        return self.narrow(torch.cat([features, x], 1)) - x


def field_by_changes(network: nn.Module, layer: str, image: torch.Tensor) -> tuple[int, int]:
    """Change one pixel after the other, and return the extent of those that change the middle."""
    outputs: list[torch.Tensor] = []
    _, _, height, width = image.shape
    changed = image.repeat(height * width + 1, 1, 1, 1)
    for k in range(height * width):
        changed[k, :, k // width, k % width] += 3
    module = network.get_submodule(layer)
    with torch.no_grad(), module.register_forward_hook(lambda m, a, y: outputs.append(y)):
        network(changed)
    rows, columns = (size // 2 for size in outputs[0].shape[2:])
    middle = outputs[0][:, :, rows, columns]
    differs = ((middle[:-1] - middle[-1]).abs().amax(1) > 1e-9).view(height, width).nonzero()
    extent = differs.amax(0) - differs.amin(0) + 1
    return int(extent[0]), int(extent[1])


@pytest.mark.parametrize("layer", ["0", "1", "1.second", "2", "3.first", "3", "4"])
@pytest.mark.parametrize("size", [(24, 25), (9, 30)])
def test_fields_are_the_pixels_that_matter(layer: str, size: tuple[int, int]) -> None:
    network = seeded(
        nn.Sequential(nn.Conv2d(2, 2, 2), Block(), nn.AvgPool2d(2), Block(), nn.SiLU()), scale=1
    )
    network = network.double().eval()
    field = receptive_field(network, layer, (2, *size))
    assert field == field_by_changes(network, layer, uniform(1, 2, *size))


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan")])
def test_weights_do_not_matter(value: float) -> None:
    network = chain(
        [("conv", 3, 2, 1), ("relu", 1, 1, 1), ("conv", 3, 1, 2)], [("conv", 5, 1, 1)] * 3
    )
    for parameter in network.parameters():
        nn.init.constant_(parameter, value)
    assert receptive_field(network, "3", (3, 40, 40)) == (3 + 4 * 2, 5 + 4)


@pytest.mark.parametrize(
    "norm", [nn.BatchNorm2d(4), nn.InstanceNorm2d(4), nn.GroupNorm(2, 4), nn.LocalResponseNorm(2)]
)
@pytest.mark.parametrize(
    "activation", [nn.ReLU(), nn.ReLU6(True), nn.Sigmoid(), nn.Tanh(), nn.Hardswish(), nn.PReLU()]
)
def test_norms_and_activations_do_not_count(norm: nn.Module, activation: nn.Module) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), norm, activation, nn.Conv2d(4, 4, 3))
    assert receptive_field(network, "3", (3, 20, 20)) == (5, 5)
    assert receptive_field(network, "2", (3, 20, 20)) == (3, 3)


def test_squeeze_and_excitation_sees_the_whole_image() -> None:
    from torchvision.ops import SqueezeExcitation

    network = nn.Sequential(nn.Conv2d(3, 4, 3), SqueezeExcitation(4, 2), nn.Conv2d(4, 4, 3))
    assert receptive_field(network, "0", (3, 20, 30)) == (3, 3)
    assert receptive_field(network, "2", (3, 20, 30)) == (20, 30)


def test_the_same_pooling_may_stand_in_two_places() -> None:
    pooling = nn.MaxPool2d(3, 1)
    network = nn.Sequential(pooling, nn.Conv2d(3, 2, 1), pooling, nn.Conv2d(2, 2, 1))
    assert receptive_field(network, "3", (3, 20, 20)) == (5, 5)


def test_a_pooling_to_a_given_size_counts_all_its_pixels() -> None:
    for pooling in (nn.AdaptiveMaxPool2d(4), nn.AdaptiveAvgPool2d(4)):  # windows of 5 pixels
        network = nn.Sequential(pooling, nn.Conv2d(3, 2, 2))
        assert receptive_field(network, "1", (3, 20, 20)) == (10, 10)


# ---- what stays as it was, and refusals


def test_the_network_and_the_random_numbers_do_not_change() -> None:
    network = ConvNet(1, 4, 16, width=4).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    random = torch.get_rng_state()
    with torch.inference_mode():
        assert receptive_field(network, "blocks.1.activation", (1, 16, 16)) == (8, 8)
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(module.training for module in network.modules())
    assert all(p.requires_grad and p.grad is None for p in network.parameters())
    assert not any(module._forward_hooks for module in network.modules())


@pytest.mark.parametrize(
    ("layer", "kind", "message"),
    [
        ("1.norn", UnknownName, "Did you mean '1.norm'"),
        ("3", InvalidInput, r"layer '3' must return a map \[N, C, H, W\]"),
        ("4", InvalidInput, r"layer '4' must return a map"),
        ("6", InvalidInput, "layer '6' does not depend on the image"),
        ("7", InvalidInput, "layer '7' does not depend on the image"),
    ],
)
def test_layers_without_a_field_are_refused(layer: str, kind: Any, message: str) -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 2, 3),
        Block(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        Returning(lambda x: (x, x)),
        Returning(lambda pair: pair[0].view(1, 2, 9, 9)),
        Returning(lambda x: x.detach()),
        Returning(lambda x: 0 * x.requires_grad_()),
    )
    assert receptive_field(network, "5", (3, 20, 20)) == receptive_field(network, "2", (3, 20, 20))
    with pytest.raises(kind, match=message):
        receptive_field(network, layer, (3, 20, 20))
