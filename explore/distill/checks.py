"""Input checks that all distillation methods share, at the door where images and labels come in."""

from __future__ import annotations

from typing import Any

import torch

from explore.errors import InvalidInput

INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)


def check_images(
    images: torch.Tensor,
    labels: torch.Tensor,
    images_per_class: int = 1,
    init: str = "noise",
    of_set: bool = False,
) -> int:
    """Refuse images that cannot be distilled; return the number of classes.

    ``of_set``: they are the bytes of an ``ImageSet``.

    Raises:
        InvalidInput: empty set, one class, wrong rank or dtype, non-square images, NaN or Inf, labels that
            do not fit or are not 0..K-1, or a class with too few images for ``init``.
    """
    if not isinstance(images, torch.Tensor) or not isinstance(labels, torch.Tensor):
        raise InvalidInput(
            f"images and labels must be torch tensors, got {type(images).__name__} and {type(labels).__name__}"
        )
    if images.ndim != 4 or not (images.is_floating_point() or of_set):
        raise InvalidInput(
            f"images must be float [N, C, H, W], got {images.dtype} {list(images.shape)}"
        )
    if not images.numel():
        raise InvalidInput(
            f"the set is empty: images is {list(images.shape)}; give at least two classes with one image each"
        )
    if images.shape[2] != images.shape[3]:
        raise InvalidInput(
            f"images must be square, got {images.shape[2]}×{images.shape[3]}; crop or resize them first"
        )
    if labels.shape != (len(images),) or labels.dtype not in INTEGERS:
        raise InvalidInput(
            f"labels must be integers [{len(images)}], got {labels.dtype} {list(labels.shape)}"
        )
    bad: Any = () if of_set else (~torch.isfinite(images).flatten(1).all(1)).nonzero().flatten()
    if len(bad):
        raise InvalidInput(
            f"{len(bad)} images hold NaN or Inf, the first is number {int(bad[0])}; remove or repair them"
        )
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= len(
        labels
    ):  # so many classes cannot have an image each; counting them could fill the memory
        raise InvalidInput(
            f"labels must be 0..K-1 without gaps, got {low}..{high} on {len(labels)} images"
        )
    counts = labels.long().bincount()
    if len(counts) < 2:
        raise InvalidInput("there is only one class; matching class means needs at least two")
    need = images_per_class if init != "noise" else 1
    few = (counts < need).nonzero().flatten()
    if len(few):
        label = int(few[0])
        given = f"class {label} has {int(counts[label])} images, {need} are needed"
        raise InvalidInput(f"{given}; labels must be 0..{len(counts) - 1} without gaps")
    return len(counts)
