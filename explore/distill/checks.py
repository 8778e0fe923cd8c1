"""Check the images and labels that a method of distillation starts from."""

from __future__ import annotations

from typing import Any

import torch

from explore.data._checks import check_images
from explore.errors import InvalidInput


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
        InvalidInput: no images, one class, another rank or dtype, images that are not square, NaN
            or Inf, labels that are not 0..K-1, or a class with too few images.
    """
    check_images(images, labels, allow_bytes=of_set)
    height, width = images.shape[2:]
    if height != width:
        raise InvalidInput(f"images must be square, got {height}×{width}; crop or resize them")
    low, high = int(labels.min()), int(labels.max())
    # There cannot be more classes than images. A count of a very large label would fill the memory.
    if low < 0 or high >= len(labels):
        raise InvalidInput(
            f"labels must be 0..K-1 without gaps, got {low}..{high} on {len(labels)} images"
        )
    counts = labels.long().bincount()
    if len(counts) < 2:
        raise InvalidInput("there is only one class; distillation needs at least two classes")
    selects = isinstance(init, str) and init in ("real", "kcenter")
    required = images_per_class if selects else 1
    small = (counts < required).nonzero().flatten()
    if len(small):
        label = int(small[0])
        raise InvalidInput(
            f"class {label} has {int(counts[label])} images, but {required} are needed; "
            f"labels must be 0..{len(counts) - 1} without gaps"
        )
    return len(counts)
