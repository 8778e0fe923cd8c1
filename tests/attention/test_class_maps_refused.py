"""Input that class activation maps refuse, and what the messages say."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch
from cam_networks import KIND_NAMES, Returning, flat_network, uniform
from torch import nn

from explore.attention import ActivationMapper, gradcam
from explore.errors import InvalidInput, UnknownName

NETWORK = flat_network()
IMAGES = uniform(3, 2, 6, 7)


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (4, "targets must be classes 0 to 3, as the network has 4 logits; got 4"),
        ([0, 9, 1], "targets must be classes 0 to 3, as the network has 4 logits; got 9"),
        (-1, "targets must be classes of at least 0, got -1"),
        ([0, 1, -3], "targets must be classes of at least 0, got -3"),
        (1.0, "targets must be whole numbers, got 1.0"),
        (np.array([0.0, 1, 2]), "targets must be whole numbers, got float64 [3]"),
        (True, "targets must be whole numbers, got True"),
        (1j, "targets must be real numbers, got"),
        ("cat", "targets must be an array of numbers, got 'cat'"),
        (["0", "1", "2"], "targets must be an array of numbers, got ['0', '1', '2']"),
        ([[0, 1], [2]], "targets must be an array of numbers"),
        (2**70, f"targets must be an array of numbers, got {2**70}"),
        ([0, 1], "targets must be one class, or one for each of 3 images, got shape [2]"),
        ([0], "targets must be one class, or one for each of 3 images, got shape [1]"),
        ([], "targets must be"),
        ([[0], [1], [2]], "one for each of 3 images, got shape [3, 1]"),
    ],
)
def test_targets_that_are_no_classes_are_refused(targets: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(message)):
        gradcam(NETWORK, IMAGES, targets)


def test_a_target_is_checked_in_every_batch() -> None:
    with pytest.raises(InvalidInput, match="got 4"):
        ActivationMapper(NETWORK)(IMAGES, [0, 1, 4], batch=1)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(2, 6, 7), "images must be floats [N, C, H, W], got torch.float32 [2, 6, 7]"),
        (torch.zeros(1, 3, 2, 6, 7), "got torch.float32 [1, 3, 2, 6, 7]"),
        (
            torch.zeros(3, 2, 6, 7, dtype=torch.uint8),
            "got torch.uint8 [3, 2, 6, 7]; convert them, for example by images.float() / 255",
        ),
        (torch.zeros(3, 2, 6, 7, dtype=torch.bool), "got torch.bool [3, 2, 6, 7]"),
        (np.zeros((3, 2, 6, 7), np.uint8), "images must be floats [N, C, H, W], got torch.uint8"),
        ([1.0], "images must be floats [N, C, H, W], got torch.float64 [1]"),
        (None, "images must be an array of numbers, got None"),
        (torch.zeros(0, 2, 6, 7), "images must not be empty, got shape [0, 2, 6, 7]"),
    ],
)
def test_images_of_another_form_are_refused(images: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(message)):
        gradcam(NETWORK, images)


@pytest.mark.parametrize(
    ("function", "shape"),
    [
        (lambda x: x[0], "[4]"),
        (lambda x: x[:, :, None, None], "[3, 4, 1, 1]"),
        (lambda x: x[:-1], "[2, 4]"),
        (lambda x: x.sum(), "[]"),
        (lambda x: (x, x), "tuple"),
        (lambda x: {"logits": x}, "dict"),
        (lambda x: None, "NoneType"),
    ],
)
@pytest.mark.parametrize("layer", ["3", None])
def test_an_output_that_is_no_logits_is_refused(function: Any, shape: str, layer: Any) -> None:
    network = nn.Sequential(*NETWORK, Returning(function))
    message = f"must return logits [N, K] for N images, it returns {shape}; wrap it"
    with pytest.raises(InvalidInput, match=re.escape(message)):
        gradcam(network, IMAGES, 0, layer)


@pytest.mark.parametrize("kind", KIND_NAMES)
@pytest.mark.parametrize(("layer", "shape"), [("4", "[3, 210]"), ("5", "[3, 4]"), ("6", "tuple")])
def test_a_layer_that_returns_no_map_is_refused(kind: str, layer: str, shape: str) -> None:
    network = nn.Sequential(
        *NETWORK, Returning(lambda x: (x, x)), Returning(lambda pair: pair[0] + pair[1])
    )
    message = f"layer '{layer}' must return a map [N, C, H, W], it returns {shape}"
    with pytest.raises(InvalidInput, match=re.escape(message)):
        gradcam(network, IMAGES, layer=layer, kind=kind)


class Branches(nn.Module):
    """A network with a layer that is never called, and one whose output is not used."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = NETWORK[:4], NETWORK[4:]
        self.idle = nn.Conv2d(2, 2, 1)
        self.unused = nn.Conv2d(2, 2, 1).double()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.unused(x)
        return self.head(self.body(x))


@pytest.mark.parametrize("frozen", [True, False])
@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("idle", "layer 'idle' is not called in a forward pass"),
        ("unused", "the logits do not depend on layer 'unused'"),
    ],
)
def test_a_layer_that_does_not_matter_is_refused(layer: str, message: str, frozen: bool) -> None:
    with pytest.raises(InvalidInput, match=message):
        gradcam(Branches().requires_grad_(not frozen), IMAGES, 0, layer)


@pytest.mark.parametrize(
    "name", ["blocks.2.activaton", "blocks.2.activation ", "Blocks.2.activation"]
)
def test_an_unknown_layer_is_answered_with_the_nearest_one(name: str) -> None:
    from explore.models import ConvNet

    network = ConvNet(1, 3, 16, width=4)
    with pytest.raises(UnknownName, match=r"Did you mean 'blocks\.2\.activation'\?"):
        ActivationMapper(network, name)


def test_a_module_is_no_name_of_a_layer() -> None:
    with pytest.raises(UnknownName, match="unknown layer"):
        ActivationMapper(NETWORK, NETWORK[3])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "gradcam+"}, "unknown kind 'gradcam+'"),
        ({"kind": "eigencam"}, "unknown kind 'eigencam'"),
        ({"kind": None}, "unknown kind None"),
        ({"copies": 0}, "copies must be a whole number of at least 1 and at most 10000, got 0"),
        ({"copies": 1.5}, "copies must be a whole number"),
        ({"noise": -0.1}, "noise must be a number of at least 0, got -0.1"),
        ({"noise": float("nan")}, "noise must be a number"),
        ({"seed": -1}, "seed must be a whole number of at least 0"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(message)):
        gradcam(NETWORK, IMAGES, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch": 0}, "batch must be a whole number of at least 1, got 0"),
        ({"numbers": [1, 2]}, "numbers must be 3, one per image, got 2"),
    ],
)
def test_options_of_a_call_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(message)):
        ActivationMapper(NETWORK, kind="smoothgradcam++")(IMAGES, **options)


@pytest.mark.parametrize("size", [0, -1, 2.5, (3, 0), (3, 4, 5), "image", (2, "layer"), True])
def test_sizes_that_are_no_sides_are_refused(size: Any) -> None:
    with pytest.raises(
        InvalidInput, match="size must be a whole number of at least 1 and at most 16384, got"
    ):
        gradcam(NETWORK, IMAGES, size=size)


@pytest.mark.parametrize("model", [None, "resnet18", lambda x: x, nn.Module])
def test_a_model_that_is_no_module_is_refused(model: Any) -> None:
    with pytest.raises(InvalidInput, match=r"model must be a network \(torch\.nn\.Module\), got"):
        gradcam(model, IMAGES)
