"""How large a map's area is, and how well it agrees with the mask of the object."""

from __future__ import annotations

from typing import Any

import torch

from explore.core.validation import check_number
from explore.errors import InvalidInput


def activation_area(cam: torch.Tensor, threshold: float | str = 0.5) -> torch.Tensor:
    """Return the share of each map that lies above a threshold.

    Args:
        cam: ``[N, H, W]``, usually in [0, 1].
        threshold: a number, or "mean" for each map's own mean.

    Returns:
        Float ``[N]`` in [0, 1]. A map of zeros has area 0.

    Raises:
        InvalidInput: maps of another form, or a threshold that is neither.

    Source: Comp-DD (arXiv 2410.17193), whose complexity of a class is one minus the mean area, with
    threshold 0.5; EDF's areas are above the mean.

    Example:
        >>> activation_area(torch.tensor([[[1.0, 0.6], [0.5, 0.0]]]))
        tensor([0.5000])
    """
    maps = _check_maps(cam)
    if threshold == "mean":
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
        masks: bool ``[N, H, W]``, the object's pixels.

    Returns:
        Float ``[N]``, 1 for a hit. If several pixels have the largest value, the share of them that
        lie inside. A map of zeros points nowhere: 0.

    Raises:
        InvalidInput: maps or masks of another form.

    Source: excitation backprop (arXiv 1608.00507), without its tolerance of 15 pixels.
    """
    maps, inside = _check_maps(cam), _check_masks(masks, cam)
    largest = maps == maps.amax((1, 2), keepdim=True)
    hits = (largest & inside).sum((1, 2)) / largest.sum((1, 2))
    return torch.where(maps.amax((1, 2)) > 0, hits, 0)


def mass_inside(cam: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Return the share of each map's sum that lies inside the mask.

    Args:
        cam: ``[N, H, W]``, at least 0.
        masks: bool ``[N, H, W]``, the object's pixels.

    Returns:
        Float ``[N]`` in [0, 1]; of a map of zeros 0. A constant map has the share of the mask.

    Raises:
        InvalidInput: maps or masks of another form, or negative values.

    Source: the energy-based pointing game of Score-CAM (arXiv 1910.01279).
    """
    maps, inside = _check_maps(cam), _check_masks(masks, cam)
    if bool((maps < 0).any()):
        raise InvalidInput(f"maps must be at least 0, got {float(maps.min()):g}")
    total = maps.sum((1, 2))
    return torch.where(total > 0, (maps * inside).sum((1, 2)) / total, 0)


def overlap(cam: torch.Tensor, masks: torch.Tensor, threshold: float = 0.5) -> torch.Tensor:
    """Return intersection over union of the mask and the pixels above a threshold.

    Args:
        cam: ``[N, H, W]``.
        masks: bool ``[N, H, W]``, the object's pixels.
        threshold: of the map.

    Returns:
        Float ``[N]`` in [0, 1]; 0 if both are empty.

    Raises:
        InvalidInput: maps or masks of another form, or a threshold that is no number.
    """
    above = _check_maps(cam) > check_number("threshold", threshold)
    inside = _check_masks(masks, cam)
    union = (above | inside).sum((1, 2))
    return torch.where(union > 0, (above & inside).sum((1, 2)) / union, 0)


def _check_maps(cam: Any) -> torch.Tensor:
    if not isinstance(cam, torch.Tensor) or cam.ndim != 3 or not cam.is_floating_point():
        given = list(cam.shape) if isinstance(cam, torch.Tensor) else type(cam).__name__
        raise InvalidInput(f"maps must be floats [N, H, W], got {given}")
    if not cam.numel():
        raise InvalidInput(f"maps must not be empty, got shape {list(cam.shape)}")
    return cam


def _check_masks(masks: Any, cam: torch.Tensor) -> torch.Tensor:
    if not isinstance(masks, torch.Tensor) or masks.dtype != torch.bool or masks.shape != cam.shape:
        given = masks if not isinstance(masks, torch.Tensor) else f"{masks.dtype} {[*masks.shape]}"
        raise InvalidInput(f"masks must be bool {list(cam.shape)} like the maps, got {given}")
    return masks.to(cam.device)
