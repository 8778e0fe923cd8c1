"""Checks of images and targets, shared by maps and curves."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from explore.core.tensor_validation import as_tensor, check_tensor
from explore.core.validation import check_items, check_whole_number, describe
from explore.errors import InvalidInput
from explore.models._checks import as_input

MAX_VALUES = 2**27
"""Of one image: more take gigabytes in a network."""


def check_images(model: nn.Module, images: Any, finite: bool = False) -> torch.Tensor:
    """Return images that are floats ``[N, C, H, W]``, one or more, as a network takes them.

    Args:
        model: the network, whose device and floating type they get.
        images: a tensor, an array or a list.
        finite: refuse images with NaN or infinities.

    Raises:
        InvalidInput: they are not.
    """
    tensor = check_tensor("images", images, ("N", "C", "H", "W"), finite=finite)
    return as_input(model, tensor)


def check_targets(targets: Any, count: int) -> torch.Tensor | None:
    """Return the targets as int64 ``[N]``, or None for the predicted classes.

    Raises:
        InvalidInput: they are no whole numbers of at least 0, or not one for each image.
    """
    if targets is None:
        return None
    classes = as_tensor("targets", targets)
    if classes.is_floating_point() or classes.dtype == torch.bool:
        raise InvalidInput(f"targets must be whole numbers, got {describe(targets)}")
    classes = classes.long()
    if classes.ndim == 0:
        classes = classes.expand(count)
    if classes.shape != (count,):
        raise InvalidInput(
            f"targets must be one class, or one for each of {count} images, "
            f"got shape {list(classes.shape)}"
        )
    if int(classes.min()) < 0:
        raise InvalidInput(f"targets must be classes of at least 0, got {int(classes.min())}")
    return classes


def check_shape(shape: Any) -> tuple[int, int, int]:
    """Return the shape of an image, ``(C, H, W)``.

    Raises:
        InvalidInput: it is something else, or has more than ``MAX_VALUES`` values.
    """
    items = check_items("shape", shape)
    if len(items) != 3:
        raise InvalidInput(f"shape must be (C, H, W) of one image, got {describe(shape)}")
    channels, height, width = (check_whole_number("shape", item, at_least=1) for item in items)
    if channels * height * width > MAX_VALUES:
        raise InvalidInput(
            f"shape must be that of an image of at most {MAX_VALUES} values, got {describe(shape)}"
        )
    return channels, height, width
