"""What a density survey is given, checked at the door: images with labels, and a device."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from explore.errors import InvalidInput

MOST_CLASSES = 100_000
"""Above every set that there is; the name of each class is kept in a recording."""


def device_of(name: str, model: nn.Module | None) -> torch.device:
    """Where it is computed: as named, where a network of one's own is, or on the CPU."""
    own = next(model.parameters(), None) if isinstance(model, nn.Module) and not name else None
    try:
        return torch.zeros(0, device=name or (own.device if own is not None else "cpu")).device
    except (RuntimeError, AssertionError) as error:  # torch without CUDA asserts
        raise InvalidInput(
            f"device {name!r} cannot be used: {str(error).splitlines()[0]}; leave it out for cpu"
        ) from error


def check_images(images: Any, labels: Any, of_set: bool = False) -> None:
    """Refuse tensors that are no images with labels."""
    if of_set:  # an ImageSet was checked when it was made
        return
    for name, value in (("images", images), ("labels", labels)):
        if not isinstance(value, torch.Tensor):
            raise InvalidInput(
                f"{name} must be a torch tensor (torch.as_tensor makes one), got {type(value).__name__}"
            )
    if images.ndim != 4 or not images.is_floating_point() or not images.numel():
        hint = "; bytes become floats by .float() / 255" if images.dtype == torch.uint8 else ""
        raise InvalidInput(
            f"images must be float [N, C, H, W] with N ≥ 1, got {images.dtype} {list(images.shape)}{hint}"
        )
    if (
        labels.shape != (len(images),)
        or labels.is_floating_point()
        or labels.is_complex()
        or labels.dtype == torch.bool
    ):
        raise InvalidInput(
            f"labels must be integers [{len(images)}], got {labels.dtype} {list(labels.shape)}"
        )
    bad = (~torch.isfinite(images).flatten(1).all(1)).nonzero().flatten()
    if len(bad):
        raise InvalidInput(
            f"{len(bad)} images hold NaN or Inf, the first is number {int(bad[0])}; remove or repair them"
        )
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high > MOST_CLASSES:
        raise InvalidInput(f"labels must be 0 to {MOST_CLASSES}, got {low} to {high}")
