"""The layer of the last map: networks of libraries, random ones, and refusals."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from cam_networks import Returning, count_hooks, uniform
from hypothesis import given, settings, strategies as st
from torch import nn
from torchvision import models

from explore.attention import ActivationMapper
from explore.attention._target_layer import find_layer
from explore.errors import InvalidInput
from explore.models import ConvNet, architecture


def layer_of(model: nn.Module, *shape: int) -> str:
    """Return the layer that a mapper finds, after it computed maps."""
    mapper = ActivationMapper(model)
    mapper(uniform(1, *shape, dtype=torch.float32), 0, warn=False)
    return mapper.layer


# ---- known networks


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("resnet18", "layer4"),
        ("vgg11", "features.19"),  # its last ReLU
        ("vgg11_bn", "features.27"),
        ("alexnet", "features.11"),
        ("squeezenet1_0", "features"),  # its classifier is a convolution
        ("squeezenet1_1", "features"),
        ("mobilenet_v2", "features"),
        ("mobilenet_v3_small", "features"),
        ("densenet121", "features"),
        ("efficientnet_b0", "features"),
        ("convnext_tiny", "features"),
        ("shufflenet_v2_x0_5", "conv5"),
        ("swin_t", "permute"),
    ],
)
def test_networks_of_torchvision(name: str, layer: str) -> None:
    with torch.device("meta"):  # shapes without numbers
        model = models.get_model(name, weights=None).eval()
        assert find_layer(model, torch.empty(1, 3, 224, 224)) == layer
    if name in ("vgg11", "vgg11_bn", "alexnet"):
        assert isinstance(model.get_submodule(layer), nn.ReLU)
    assert count_hooks(model) == 0


@pytest.mark.parametrize(
    ("create", "size", "layer"),
    [
        (lambda: ConvNet(3, 10, 32, width=4), 32, "blocks.2.activation"),
        (lambda: ConvNet(3, 9, 32, width=4, pooling="max"), 32, "blocks.2.activation"),
        (lambda: ConvNet(3, 10, 64, width=4), 64, "blocks.3.activation"),
        (lambda: architecture("resnet18", 3, 10, 32, width=4), 32, "10"),  # its last block
        (lambda: models.resnet18(weights=None, num_classes=3), 64, "layer4"),
        (lambda: models.resnet18(weights=None, num_classes=3), 32, "layer3"),  # layer4 has 1 pixel
    ],
)
def test_mappers_find_the_layer_with_their_first_images(create: Any, size: int, layer: str) -> None:
    assert layer_of(create(), 3, size, size) == layer


@pytest.mark.parametrize("name", ["vit_b_32", "vit_b_16"])
def test_vision_transformers_are_refused(name: str) -> None:
    with torch.device("meta"):
        model = models.get_model(name, weights=None).eval()
        message = "the last map is the one of 'conv_proj', and attention layers follow it"
        with pytest.raises(InvalidInput, match=message + ".*give layer='conv_proj'"):
            find_layer(model, torch.empty(1, 3, 224, 224))


class SelfAttention(nn.Module):
    """An attention layer of another library: not nn.MultiheadAttention."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x @ x.transpose(1, 2)).softmax(2) @ x


def small_transformer(attention: nn.Module) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 8, 4, stride=4),
        Returning(lambda x: x.flatten(2).transpose(1, 2)),
        attention,
        Returning(lambda x: x.mean(1)),
        nn.Linear(8, 4),
    )


@pytest.mark.parametrize(
    "attention",
    [
        lambda: SelfAttention(),
        lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True),
    ],
)
def test_other_transformers_are_refused_unless_the_layer_is_given(attention: Any) -> None:
    model = small_transformer(attention())
    images = uniform(2, 3, 16, 16, dtype=torch.float32)
    with pytest.raises(InvalidInput, match="attention layers follow"):
        ActivationMapper(model)(images)
    assert ActivationMapper(model, "0")(images, warn=False).maps.shape == (2, 4, 4)


# ---- random networks


@st.composite
def chains(draw: st.DrawFn) -> tuple[list[nn.Module], int]:
    """Draw layers for images [N, 3, 16, 16] that keep the size or halve it; and their channels."""
    kinds = draw(
        st.lists(st.sampled_from(["conv", "bn", "relu", "silu", "pool", "drop"]), max_size=9)
    )
    layers: list[nn.Module] = [nn.Conv2d(3, 4, 3, padding=1)]
    channels, side = 4, 16
    for kind in kinds:
        if kind == "conv":
            width = draw(st.integers(1, 5))
            layers.append(nn.Conv2d(channels, width, 3, padding=1))
            channels = width
        elif kind == "bn":
            layers.append(nn.BatchNorm2d(channels))
        elif kind == "relu":
            layers.append(nn.ReLU(inplace=draw(st.booleans())))
        elif kind == "silu":
            layers.append(nn.SiLU(inplace=draw(st.booleans())))
        elif kind == "drop":
            layers.append(nn.Dropout2d())
        elif side > 1:
            pooling = draw(st.sampled_from([nn.MaxPool2d(2), nn.AvgPool2d(2), nn.LPPool2d(2, 2)]))
            layers.append(pooling)
            side //= 2
    return layers, channels


def expected_position(layers: list[nn.Module], image: torch.Tensor) -> int | None:
    """Return the last layer that computes a map of more than one pixel and does not pool."""
    position = None
    for index, layer in enumerate(layers):
        image = layer(image)
        computes = isinstance(layer, nn.Conv2d | nn.BatchNorm2d | nn.ReLU | nn.SiLU)
        if computes and image.shape[2] * image.shape[3] > 1:
            position = index
    return position


@settings(max_examples=60)
@given(chain=chains(), nested=st.booleans(), classes=st.integers(1, 6))
def test_random_networks(chain: tuple[list[nn.Module], int], nested: bool, classes: int) -> None:
    layers, channels = chain
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes)]
    image = uniform(1, 3, 16, 16, dtype=torch.float32)
    features = nn.Sequential(*layers).eval()
    position = expected_position(list(features), image)
    assert position is not None  # the first convolution has 16×16 values
    if not nested:
        assert find_layer(nn.Sequential(*layers, *head).eval(), image) == str(position)
        return
    later = features[position + 1 :]
    is_last = all(isinstance(layer, nn.Dropout2d) for layer in later)
    expected = "features" if is_last else f"features.{position}"
    parts = {"features": features, "head": nn.Sequential(*head)}
    model = nn.Sequential()
    for name, part in parts.items():
        model.add_module(name, part)
    assert find_layer(model.eval(), image) == expected


# ---- special forms


@pytest.mark.parametrize("inplace", [True, False])
def test_an_activation_in_place_is_chosen_like_any_other(inplace: bool) -> None:
    # The convolution stands further out, and with inplace=True both return the same tensor.
    tail = nn.Sequential(nn.ReLU(inplace), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    assert layer_of(nn.Sequential(nn.Conv2d(3, 4, 3), tail), 3, 8, 8) == "1.0"


@pytest.mark.parametrize("inplace", [True, False])
def test_an_activation_after_a_pooling_is_no_pooling(inplace: bool) -> None:
    layers = [nn.Conv2d(3, 4, 3), nn.MaxPool2d(2), nn.ReLU(inplace)]
    assert layer_of(nn.Sequential(*layers, nn.Flatten(), nn.Linear(36, 4)), 3, 8, 8) == "2"


def test_only_the_last_convolution_can_be_the_classifier() -> None:
    # All layers have as many channels as there are classes.
    layers = [nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 1)]
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert layer_of(model, 3, 12, 12) == "3"
    wider = nn.Sequential(*layers[:4], nn.Conv2d(4, 5, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert layer_of(wider, 3, 12, 12) == "3"


def test_a_linear_layer_makes_the_last_convolution_an_ordinary_one() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 4))
    assert layer_of(model, 3, 8, 8) == "0"


def test_wrappers_that_pool_do_not_hide_the_map_before() -> None:
    body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Sequential(nn.MaxPool2d(2)))
    assert layer_of(nn.Sequential(body, nn.Flatten(), nn.Linear(36, 4)), 3, 8, 8) == "0.1"


def test_maps_of_one_row_count_and_those_of_one_pixel_do_not() -> None:
    row = [nn.Conv2d(3, 4, (8, 1)), nn.Conv2d(4, 4, (1, 8)), nn.Flatten(), nn.Linear(4, 2)]
    assert layer_of(nn.Sequential(*row), 3, 8, 8) == "0"


def test_a_network_without_convolution_lists_its_layers() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(48, 8), nn.ReLU(), nn.Linear(8, 3))
    message = (
        r"no layer with a map .*; its layers are 0 \(Flatten\), 1 \(Linear\), 2 \(ReLU\), "
        r"3 \(Linear\)\. Class activation maps need a convolution"
    )
    with pytest.raises(InvalidInput, match=message):
        layer_of(model, 3, 4, 4)
    widths = [48] + [5] * 20
    deep = nn.Sequential(nn.Flatten(), *(nn.Linear(a, b) for a, b in pairwise(widths)))
    with pytest.raises(InvalidInput, match=r"11 \(Linear\) and 9 more\. Class"):
        layer_of(deep, 3, 4, 4)
    with pytest.raises(InvalidInput, match=r"its layers are the model itself \(Returning\)"):
        layer_of(Returning(lambda x: x.flatten(1)), 3, 4, 4)
