"""Check what a method of distillation starts from: images, labels and functions of networks."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from explore.attention.power_sums import taps_and_embed
from explore.core.validation import check_callable, describe
from explore.data._checks import check_images
from explore.errors import ExploreError, InvalidInput
from explore.models.taps import Taps

LARGEST_VALUE = 1e6
"""Larger values are no normalised images; their squares would leave the range of float32."""


def check_training_images(
    images: torch.Tensor,
    labels: torch.Tensor,
    images_per_class: int = 1,
    init: Any = "noise",
    of_set: bool = False,
) -> int:
    """Check that images can be distilled and return the number of classes.

    Args:
        images, labels: float ``[N, C, H, W]`` and integers ``[N]``.
        images_per_class: synthetic images of each class.
        init: how they are initialised. Each class must have so many images for "real" and
            "kcenter".
        of_set: the images are those of an ``ImageSet``, as bytes.

    Raises:
        InvalidInput: no images, one class, another rank or dtype, images that are not square or
            not normalised, NaN or Inf, labels that are not 0..K-1, or a class with too few images.
    """
    check_images(images, labels, allow_bytes=of_set)
    if images.is_floating_point():
        largest = float(images.abs().max())
        if largest > LARGEST_VALUE:
            raise InvalidInput(
                f"images must be normalised, got values up to {largest:.3g}; subtract the mean and "
                "divide by the standard deviation of each channel"
            )
    height, width = images.shape[2:]
    if height != width:
        raise InvalidInput(f"images must be square, got {height}×{width}; crop or resize them")
    labels = labels.long()  # PyTorch has no minimum of the unsigned types.
    low, high = int(labels.min()), int(labels.max())
    # There cannot be more classes than images. A count of a very large label would fill the memory.
    if low < 0 or high >= len(labels):
        raise InvalidInput(
            f"labels must be 0..K-1 without gaps, got {low}..{high} on {len(labels)} images"
        )
    counts = labels.bincount()
    if len(counts) < 2:
        raise InvalidInput("there is only one class; distillation needs at least two classes")
    selects = isinstance(init, str) and init in ("real", "kcenter")
    required = images_per_class if selects else 1
    needed_text = describe(required)
    required = min(required, len(labels) + 1)  # a number that fits a tensor
    small = (counts < required).nonzero().flatten()
    if len(small):
        label = int(small[0])
        raise InvalidInput(
            f"class {label} has {int(counts[label])} images, but {needed_text} are needed; "
            f"labels must be 0..{len(counts) - 1} without gaps"
        )
    return len(counts)


def check_factory(factory: Any) -> None:
    """Check that a value can be called with a seed, without a call.

    Raises:
        InvalidInput: it cannot, or it is a network.
    """
    if isinstance(factory, nn.Module):
        raise InvalidInput(
            f"network must be a function that takes a seed and returns a new network, got a "
            f"network ({type(factory).__name__}); pass the function that creates it, such as "
            "lambda seed: create(seed)"
        )
    check_callable("network", factory, "that takes a seed and returns a new network")
    check_signature("network", factory, "a seed")


def check_signature(name: str, function: Callable[..., Any], *arguments: str) -> None:
    """Check that a function takes such arguments by position.

    Raises:
        InvalidInput: it does not.
    """
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError as error:
        raise InvalidInput(
            f"{name} must be a function of {' and '.join(arguments)}, but {error}"
        ) from error
    except ValueError:  # A function in C tells nothing about its arguments.
        pass


def check_maps(network: nn.Module, images: torch.Tensor) -> None:
    """Check that a network returns maps and an embedding of images that can be matched.

    A copy of the network processes the images, so neither the network nor PyTorch's global random
    state changes.

    Args:
        network: in training mode.
        images: two or more real images, ``[n, C, H, W]``.

    Raises:
        InvalidInput: it fails, returns something else, or has no square maps.
    """
    devices = [images.device] if images.device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices=devices), torch.no_grad():
            maps, embedding = _maps_and_embedding(copy.deepcopy(network), images)
    except ExploreError:
        raise
    except Exception as error:  # The code of a user's network may fail in any way.
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InvalidInput(
            f"network cannot process images {list(images.shape)}: {reason}"
        ) from error
    oblong = [list(m.shape[2:]) for m in maps[:-1] if m.shape[2] != m.shape[3]]
    if oblong:
        raise InvalidInput(f"the maps of network must be square, got one of {oblong[0]} pixels")
    if not all(bool(values.isfinite().all()) for values in (*maps, embedding)):
        raise InvalidInput("network returns NaN or Inf for real images; initialise its weights")


def _maps_and_embedding(
    network: nn.Module, images: torch.Tensor
) -> tuple[list[torch.Tensor], torch.Tensor]:
    if not hasattr(network, "taps_and_embed"):
        with Taps(network) as taps:
            output = network(images)
        if taps.embedding is None and not isinstance(output, torch.Tensor):
            raise InvalidInput(
                f"network returns a {type(output).__name__} and has no linear layer, whose input "
                "would be its embedding; return logits [N, K]"
            )
    return taps_and_embed(network, images)
