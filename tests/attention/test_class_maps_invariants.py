"""What class activation maps do not depend on and do not change, and maps without values."""

from __future__ import annotations

import gc
import itertools
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from cam_networks import (
    KIND_NAMES,
    Returning,
    count_hooks,
    flat_network,
    pooled_network,
    seeded,
    uniform,
)
from torch import nn

from explore.attention import ActivationMapper, gradcam, receptive_field
from explore.errors import ExploreWarning, InvalidInput
from explore.models import ConvNet

IMAGES = uniform(7, 2, 6, 7, seed=1) - 0.5
TARGETS = [0, 3, 1, 2, 2, 0, 3]
CLOSE: dict[str, float] = {"rtol": 1e-9, "atol": 1e-12}


def same_numbers(first: torch.Tensor, second: torch.Tensor) -> None:
    torch.testing.assert_close(first, second, rtol=1e-7, atol=1e-9)


# ---- batches, targets, sizes


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_maps_do_not_depend_on_the_batch_or_on_other_images(kind: str) -> None:
    mapper = ActivationMapper(flat_network(), kind=kind)
    maps = mapper(IMAGES, TARGETS).maps
    for batch in (1, 3, 7, 100):
        same_numbers(mapper(IMAGES, TARGETS, batch=batch).maps, maps)
    rows = [5, 0, 2]
    targets = [TARGETS[row] for row in rows]
    same_numbers(mapper(IMAGES[rows], targets, numbers=rows).maps, maps[rows])


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_each_image_has_the_map_of_its_own_target(kind: str) -> None:
    mapper = ActivationMapper(flat_network(), kind=kind)
    by_class = torch.stack([mapper(IMAGES, label).maps for label in range(4)], 1)
    same_numbers(mapper(IMAGES, TARGETS).maps, by_class[range(7), TARGETS])
    assert float((by_class[:, 0] - by_class[:, 1]).abs().max()) > 0.01
    for targets in (torch.tensor(TARGETS), torch.tensor(TARGETS, dtype=torch.uint8)):
        result = mapper(IMAGES, targets)
        assert result.targets.tolist() == TARGETS
        assert result.targets.dtype == torch.int64


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_the_usual_target_is_the_predicted_class(kind: str) -> None:
    network = flat_network()
    with torch.no_grad():
        network[5].bias -= network(IMAGES).mean(0)  # so that several classes are predicted
        logits = network(IMAGES)
    predicted = logits.argmax(1)
    assert len(predicted.unique()) > 1
    result = ActivationMapper(network, kind=kind)(IMAGES, batch=3)
    torch.testing.assert_close(result.logits, logits, **CLOSE)
    assert torch.equal(result.targets, predicted)
    same_numbers(result.maps, gradcam(network, IMAGES, predicted, size="layer", kind=kind))


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_each_map_goes_from_0_to_1(kind: str) -> None:
    result = ActivationMapper(flat_network(), kind=kind)(IMAGES)
    assert result.maps.dtype == torch.float64
    assert result.maps.flatten(1).amin(1).tolist() == [0] * 7
    assert result.maps.flatten(1).amax(1).tolist() == [1] * 7
    assert result.valid.all()


@pytest.mark.parametrize("kind", ["gradcam", "hirescam", "layercam"])
def test_the_scale_of_the_logits_does_not_matter(kind: str) -> None:
    # The coefficients of the other kinds depend on it: 1 / (2 + g Σf).
    network = flat_network()
    maps = gradcam(network, IMAGES, TARGETS, kind=kind)
    with torch.no_grad():
        network[5].weight *= 7
    same_numbers(gradcam(network, IMAGES, TARGETS, kind=kind), maps)


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_a_constant_added_to_the_logits_does_not_matter(kind: str) -> None:
    network = flat_network()
    maps = gradcam(network, IMAGES, TARGETS, kind=kind)
    with torch.no_grad():
        network[5].bias += torch.tensor([3.0, -1, 0, 7])
    same_numbers(gradcam(network, IMAGES, TARGETS, kind=kind), maps)


def test_maps_are_resized_linearly_between_the_centres_of_pixels() -> None:
    image = torch.tensor([[[[0.0, 1.0]]]])
    network = pooled_network()
    assert gradcam(network, image, 0).tolist() == [[[0, 1]]]
    assert gradcam(network, image, 0, size=(1, 4)).tolist() == [[[0, 0.25, 0.75, 1]]]
    assert gradcam(network, image, 0, size=2).tolist() == [[[0, 1], [0, 1]]]


@pytest.mark.parametrize("size", [None, 9, (3, 5), [3, 5], torch.Size([2, 2]), "layer"])
def test_maps_have_the_size_that_was_given(size: Any) -> None:
    network = nn.Sequential(*flat_network()[:4], nn.AdaptiveAvgPool2d(1), nn.Flatten())
    network = seeded(nn.Sequential(*network, nn.Linear(5, 4))).double()
    sides = {None: [12, 14], 9: [9, 9], "layer": [12, 14]}
    expected = sides[size] if size is None or isinstance(size, int | str) else list(size)
    images = uniform(3, 2, 12, 14)
    assert list(gradcam(network, images, size=size).shape) == [3, *expected]


# ---- what stays as it was


def outside_state(network: nn.Module) -> list[Any]:
    """Return what a call must not change."""
    return [
        [module.training for module in network.modules()],
        [parameter.requires_grad for parameter in network.parameters()],
        [parameter.grad for parameter in network.parameters()],
        {name: value.tolist() for name, value in network.state_dict().items()},
        count_hooks(network),
        torch.get_rng_state().tolist(),
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
    ]


@pytest.mark.parametrize("mode", [nullcontext, torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("kind", KIND_NAMES)
def test_network_random_numbers_and_modes_do_not_change(kind: str, mode: Any) -> None:
    network = nn.Sequential(flat_network()[:4], nn.BatchNorm2d(5), nn.Dropout(), nn.Flatten())
    network = seeded(nn.Sequential(*network, nn.Linear(210, 4))).double().train()
    network[1].eval()
    network[0][2].weight.requires_grad_(False)
    with network.register_forward_hook(lambda *args: None), mode():
        before = outside_state(network)
        mapper = ActivationMapper(network, kind=kind)
        result = mapper(IMAGES, warn=False)
        mapper.describe((2, 6, 7))
        assert outside_state(network) == before
    assert not any(tensor.requires_grad for tensor in result)
    assert count_hooks(network) == 0


def refuse(x: torch.Tensor) -> torch.Tensor:
    raise ArithmeticError("a fault of the network")


@pytest.mark.parametrize("mode", [nullcontext, torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("layer", [None, "0", "5"])
@pytest.mark.parametrize("function", [refuse, lambda x: x[:, 0, 0], lambda x: x.detach()])
def test_nothing_changes_if_the_call_fails(function: Any, layer: str | None, mode: Any) -> None:
    network = nn.Sequential(*flat_network(), Returning(function)).train()
    with mode():
        before = outside_state(network)
        with pytest.raises((ArithmeticError, IndexError, InvalidInput)):
            gradcam(network, IMAGES, layer=layer)
        assert outside_state(network) == before


def test_a_thousand_maps_leave_no_hooks_and_no_objects() -> None:
    network = flat_network()
    mappers = [ActivationMapper(network, kind=kind) for kind in ("gradcam", "smoothgradcam++")]

    def objects() -> tuple[int, int]:
        gc.collect()
        everything = gc.get_objects()
        return len(everything), sum(issubclass(type(item), torch.Tensor) for item in everything)

    counts = []
    for repeats in (5, 75):
        for mapper, _ in itertools.product(mappers, range(repeats)):
            mapper(IMAGES, TARGETS)
        counts.append(objects())
    assert count_hooks(network) == 0
    assert counts[1][1] <= counts[0][1]
    assert counts[1][0] <= counts[0][0] + 100  # 1,050 maps, 150 calls


# ---- circumstances


@pytest.mark.parametrize("layer", ["0", "1", "2", "3"])
@pytest.mark.parametrize("kind", KIND_NAMES)
def test_activations_that_work_in_place_change_nothing(kind: str, layer: str) -> None:
    maps = [
        gradcam(flat_network(inplace=inplace), IMAGES, TARGETS, layer, kind=kind)
        for inplace in (True, False)
    ]
    same_numbers(*maps)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("kind", KIND_NAMES)
def test_maps_are_the_same_where_gradients_are_off(kind: str, mode: Any) -> None:
    network = flat_network()
    expected = gradcam(network, IMAGES, TARGETS, kind=kind)
    network.requires_grad_(False)
    same_numbers(gradcam(network, IMAGES, TARGETS, kind=kind), expected)
    with mode():
        same_numbers(gradcam(network, IMAGES, TARGETS, kind=kind), expected)
        # In inference mode, autograd cannot keep these.
        images, targets = IMAGES.clone(), torch.tensor(TARGETS)
        same_numbers(gradcam(network, images, targets, kind=kind), expected)


class FrozenBody(nn.Module):
    """A network that computes its body without gradients, as is usual in transfer learning."""

    def __init__(self, network: nn.Sequential) -> None:
        super().__init__()
        self.body, self.head = network[:4], network[4:]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            x = self.body(x)
        return self.head(x)


@pytest.mark.parametrize("mode", [nullcontext, torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("layer", [None, "1", "3"])
def test_a_network_may_switch_gradients_off_in_its_body(layer: str | None, mode: Any) -> None:
    expected = gradcam(flat_network(), IMAGES, TARGETS, layer)
    network = FrozenBody(flat_network())
    layer = None if layer is None else f"body.{layer}"
    with mode():
        before = torch.is_grad_enabled()
        same_numbers(gradcam(network, IMAGES, TARGETS, layer), expected)
        assert torch.is_grad_enabled() == before


class Gated(nn.Module):
    """A network that multiplies the image with a map."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = seeded(nn.Conv2d(2, 2, 3, padding=1), scale=1).double()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (self.gate(x) * x).mean((2, 3))


def test_the_image_may_be_needed_after_the_layer() -> None:
    network = Gated()
    expected = gradcam(network, IMAGES, 0, "gate", kind="hirescam")
    with torch.inference_mode():
        same_numbers(gradcam(network, IMAGES.clone(), 0, "gate", kind="hirescam"), expected)


def test_a_layer_that_is_called_twice_has_the_map_of_its_last_call() -> None:
    network = flat_network()
    shared = nn.Sequential(*network[:3], network[1], *network[4:])
    same_numbers(gradcam(shared, IMAGES, 1, "1"), gradcam(network, IMAGES, 1, "3"))


def test_images_that_need_gradients_get_none() -> None:
    images = IMAGES.clone().requires_grad_()
    assert not gradcam(flat_network(), images, kind="smoothgradcam++").requires_grad
    assert images.grad is None


def test_the_description_tells_maps_apart() -> None:
    network = ConvNet(1, 3, 16, width=4).train()
    description = ActivationMapper(network, kind="smoothgradcam++", copies=2).describe((1, 16, 16))
    assert description == {
        "kind": "smoothgradcam++",
        "network": "ConvNet",
        "layer": "blocks.2.activation",
        "resolution": [4, 4],
        "receptive_field": list(receptive_field(network, "blocks.2.activation", (1, 16, 16))),
        "copies": 2,
        "noise": 0.3,
        "seed": 0,
    }
    assert set(ActivationMapper(network).describe((1, 16, 16))) == set(description) - {
        "copies",
        "noise",
        "seed",
    }


# ---- maps without values


def with_pixel(level: float, value: float) -> torch.Tensor:
    """Return a constant image with another value at one pixel."""
    image = torch.full((1, 4, 4), float(level))
    image[0, 1, 2] = value
    return image


BLANK = {
    "negative everywhere": (with_pixel(1, 2), 1),
    "zero": (with_pixel(0, 0), 0),
    "constant": (with_pixel(0.1, 0.1), 0),
    "constant up to rounding": (with_pixel(0.1, 0.1 + 1e-8), 0),
    "NaN": (with_pixel(1, float("nan")), 0),
    "infinite": (with_pixel(1, float("inf")), 0),
}


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("name", BLANK)
def test_maps_without_values_become_zeros_with_a_warning(name: str, normalize: bool) -> None:
    image, label = BLANK[name]
    good = torch.arange(16.0).view(1, 4, 4)
    images = torch.stack([good, image, good])
    mapper = ActivationMapper(pooled_network(), "1")
    expected = rf"1 of 3 maps of layer '1' are .*became zeros: image 1 \(class {label}\)$"
    with pytest.warns(ExploreWarning, match=expected):
        result = mapper(images, [0, label, 0], normalize=normalize)
    assert result.valid.tolist() == [True, False, True]
    assert not result.maps[1].any()
    torch.testing.assert_close(result.maps[0], good[0] / (15 if normalize else 16))
    assert not mapper(images, [0, label, 0], warn=False).maps[1].any()
    with pytest.warns(ExploreWarning, match="1 of 3 maps"):
        assert not gradcam(pooled_network(), images, [0, label, 0], size=9)[1].any()


def test_a_warning_names_five_maps_at_most() -> None:
    expected = r"8 of 8 maps .*: image 0 \(class 1\), .*, image 4 \(class 1\) and 3 more$"
    with pytest.warns(ExploreWarning, match=expected):
        ActivationMapper(pooled_network())(torch.rand(8, 1, 4, 4), 1)


@pytest.mark.parametrize("factor", [1e-30, 1e-12, 1e12, 1e30])
def test_small_and_large_values_are_no_reason_for_zeros(factor: float) -> None:
    image = torch.arange(16.0).view(1, 1, 4, 4)
    maps = gradcam(pooled_network((factor, 0)), image, 0)
    torch.testing.assert_close(maps, image[:, 0] / 15)
