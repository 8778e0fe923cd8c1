"""How large a map's area is, and how well it agrees with the mask of the object."""

from __future__ import annotations

from typing import Any

import torch

from explore.core.tensor_validation import check_tensor
from explore.core.validation import check_number, to_python
from explore.errors import InvalidInput


def activation_area(cam: torch.Tensor, threshold: float | str = 0.5) -> torch.Tensor:
    """Return the share of each map that lies above a threshold.

    Args:
        cam: floats ``[N, H, W]``, usually in [0, 1]; a tensor, an array or a list.
        threshold: a number, or "mean" for each map's own mean.

    Returns:
        Float ``[N]`` in [0, 1]. A map of zeros has area 0.

    Raises:
        InvalidInput: maps of another form or with NaN, or a threshold that is neither.

    Source: Comp-DD (arXiv 2410.17193), whose complexity of a class is one minus the mean area, with
    threshold 0.5; EDF's areas are above the mean.

    Example:
        >>> activation_area(torch.tensor([[[1.0, 0.6], [0.5, 0.0]]]))
        tensor([0.5000])
    """
    maps = _check_maps(cam)
    threshold = to_python(threshold)
    if isinstance(threshold, str) and threshold == "mean":
        maps = _without_overflow(maps)
        # Because of rounding, the mean of a constant map may be below its values.
        level = maps.mean((1, 2), keepdim=True).maximum(maps.amin((1, 2), keepdim=True))
        return (maps > level).float().mean((1, 2))
    if isinstance(threshold, str):
        raise InvalidInput(f'threshold must be a number or "mean", got {threshold!r}')
    return (maps > check_number("threshold", threshold)).float().mean((1, 2))


def pointing_game(cam: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Return whether the largest value of each map lies inside the mask.

    Args:
        cam: ``[N, H, W]``.
        masks: true or false ``[N, H, W]``, the object's pixels.

    Returns:
        Float ``[N]``, 1 for a hit. If several pixels have the largest value, the share of them that
        lie inside. A map of zeros points nowhere: 0.

    Raises:
        InvalidInput: maps or masks of another form, maps with NaN.

    Source: excitation backprop (arXiv 1608.00507), without its tolerance of 15 pixels.
    """
    maps = _check_maps(cam)
    inside = _check_masks(masks, maps)
    largest = maps == maps.amax((1, 2), keepdim=True)
    hits = (largest & inside).sum((1, 2)) / largest.sum((1, 2))
    return torch.where(maps.amax((1, 2)) > 0, hits, 0)


def mass_inside(cam: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Return the share of each map's sum that lies inside the mask.

    Args:
        cam: ``[N, H, W]``, at least 0.
        masks: true or false ``[N, H, W]``, the object's pixels.

    Returns:
        Float ``[N]`` in [0, 1]; of a map of zeros 0. A constant map has the share of the mask.

    Raises:
        InvalidInput: maps or masks of another form, maps with NaN, or negative values.

    Source: the energy-based pointing game of Score-CAM (arXiv 1910.01279).
    """
    maps = _check_maps(cam)
    inside = _check_masks(masks, maps)
    if bool((maps < 0).any()):
        raise InvalidInput(f"maps must be at least 0, got {float(maps.min()):g}")
    maps = _without_overflow(maps)
    total = maps.sum((1, 2))
    return torch.where(total > 0, (maps * inside).sum((1, 2)) / total, 0)


def overlap(cam: torch.Tensor, masks: torch.Tensor, threshold: float = 0.5) -> torch.Tensor:
    """Return intersection over union of the mask and the pixels above a threshold.

    Args:
        cam: ``[N, H, W]``.
        masks: true or false ``[N, H, W]``, the object's pixels.
        threshold: of the map.

    Returns:
        Float ``[N]`` in [0, 1]; 0 if both are empty.

    Raises:
        InvalidInput: maps or masks of another form, maps with NaN, or no number as threshold.
    """
    maps = _check_maps(cam)
    above = maps > check_number("threshold", threshold)
    inside = _check_masks(masks, maps)
    union = (above | inside).sum((1, 2))
    return torch.where(union > 0, (above & inside).sum((1, 2)) / union, 0)


def _check_maps(cam: Any) -> torch.Tensor:
    """Return maps as floats of at least 32 bits, without gradients."""
    maps = check_tensor("maps", cam, ("N", "H", "W"), finite=True).detach()
    return maps.float() if maps.dtype.itemsize < 4 else maps


def _without_overflow(maps: torch.Tensor) -> torch.Tensor:
    """Divide each map by its largest magnitude if its sum is too large for its type."""
    fits = maps.sum((1, 2)).isfinite()
    if bool(fits.all()):
        return maps
    return maps / torch.where(fits, 1, maps.abs().amax((1, 2)))[:, None, None]


def _check_masks(masks: Any, maps: torch.Tensor) -> torch.Tensor:
    inside = check_tensor("masks", masks, ("N", "H", "W"), kind="flag")
    if inside.shape != maps.shape:
        raise InvalidInput(
            f"masks must be {list(maps.shape)} like the maps, got {list(inside.shape)}"
        )
    return inside.to(maps.device)
