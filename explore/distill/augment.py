"""Differentiable siamese augmentation (DSA): the same change of real and synthetic images.

Random numbers come from a private generator; the global random state is not used.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import affine_grid, grid_sample, pad

from explore.core.array_validation import check_array
from explore.core.tensor_validation import check_tensor
from explore.core.validation import (
    check_choice,
    check_items,
    check_seed,
    check_whole_number,
    describe,
)
from explore.distill.config import FLIP, OPERATIONS, strategy
from explore.errors import InvalidInput

__all__ = [
    "OPERATIONS",
    "Draw",
    "apply_draw",
    "augment",
    "draw_augmentation",
    "operations_for",
    "strategy",
]

MAX_IMAGES = 10_000_000
"""More are a mistake; the numbers of so many would fill the memory."""

log = logging.getLogger("explore")


def operations_for(name: str, flip: bool | None, data_flip: bool | None) -> tuple[str, ...]:
    """Return the operations of an augmentation of some data.

    Args:
        name: the augmentation; see ``strategy``.
        flip: the option of a run: whether images are mirrored; None for what the data say.
        data_flip: whether a mirrored image is a member of its class; None if it is unknown. Then
            images are mirrored, and the log says so.

    Example:
        >>> operations_for("crop_flip", None, False), operations_for("crop_flip", True, False)
        (('crop',), ('crop', 'flip'))
    """
    allowed = data_flip if flip is None else flip
    operations = strategy(name, allowed is not False)
    if allowed is None and FLIP in operations:
        log.warning(
            "the augmentation mirrors images, although it is unknown whether a mirrored image "
            "belongs to the same class; set flip=False if it does not, flip=True if it does"
        )
    return operations


@dataclass(frozen=True)
class Draw:
    """A random augmentation.

    Attributes:
        operation: the name of the operation.
        numbers: its parameters, ``[M, 3]`` in [0, 1). M is 1, or the number of images.
    """

    operation: str
    numbers: np.ndarray


def draw_augmentation(operations: Sequence[str], seed: int, images: int = 1) -> Draw | None:
    """Draw one operation and its parameters; return None if there are no operations.

    Args:
        operations: the result of ``strategy``. All images of a batch get the same operation.
        seed: of this draw alone.
        images: 1 if all images share their parameters (siamese), else the number of images.

    Raises:
        InvalidInput: no list of operations, no seed, or fewer than one image.
        UnknownName: an unknown operation.

    Example:
        >>> draw_augmentation(("crop", "flip"), seed=3).operation
        'flip'
    """
    names = [check_choice("name in operations", name, OPERATIONS) for name in _items(operations)]
    seed, count = check_seed(seed), check_whole_number("images", images, 0, MAX_IMAGES)
    if not names:
        return None
    generator = np.random.default_rng(seed)
    return Draw(names[generator.integers(len(names))], generator.random((count, 3)))


def augment(images: torch.Tensor, draw: Draw | None) -> torch.Tensor:
    """Apply an augmentation to normalised images ``[N, C, H, W]``; the result is differentiable.

    Half-precision images are changed in float32; the result has their type.

    Raises:
        InvalidInput: images of another form, or a draw whose numbers are not ``[1, 3]`` or ``[N,
            3]`` from 0 to 1.
        UnknownName: a draw of an unknown operation.

    Source: DSA (arXiv 2102.08259), with the ranges of its released code: brightness ±0.5,
    saturation 0–2, contrast 0.5–1.5, crop 1/8 of the side, cutout half of it, scale 1/1.2 to 1.2,
    rotation ±15°. Sampling uses ``align_corners=False``, as in DataDAM's code.

    Example:
        >>> x = torch.rand(2, 1, 8, 8)
        >>> flipped = augment(x, Draw("flip", np.array([[0.3, 0.0, 0.0]])))
        >>> bool((flipped == x.flip(3)).all())
        True
    """
    x = check_tensor("images", images, ("N", "C", "H", "W"), empty=True)
    if draw is None:
        return x
    if not isinstance(draw, Draw):
        raise InvalidInput(f"draw must be that of draw_augmentation, got {describe(draw)}")
    operation = check_choice("augmentation", draw.operation, OPERATIONS)
    numbers = check_array("the numbers of a draw", draw.numbers, ("M", 3))
    if len(numbers) not in (1, len(x)) or not (0 <= numbers.min() <= numbers.max() <= 1):
        raise InvalidInput(
            f"the numbers of a draw must be [1, 3] or [{len(x)}, 3], from 0 to 1; got "
            f"{list(numbers.shape)} from {numbers.min():g} to {numbers.max():g}"
        )
    if not x.numel():
        return x
    wide = x.float() if x.dtype.itemsize < 4 else x
    return apply_draw(wide, Draw(operation, numbers)).to(x.dtype)


def apply_draw(images: torch.Tensor, draw: Draw | None) -> torch.Tensor:
    """Apply an augmentation without checks, for runs; see ``augment``."""
    if draw is None:
        return images
    u = torch.from_numpy(draw.numbers).to(images)[:, :, None, None, None]  # [M, 3, 1, 1, 1]
    return _APPLY[draw.operation](images, u[:, 0], u[:, 1], u[:, 2])


def _items(operations: Sequence[str]) -> Sequence[str]:
    return operations if isinstance(operations, tuple) else check_items("operations", operations)


def _color(x: torch.Tensor, a: torch.Tensor, b: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
    x = x + (a - 0.5)
    grey = x.mean(1, keepdim=True)
    x = (x - grey) * (2 * b) + grey
    mean = x.mean((1, 2, 3), keepdim=True)
    return (x - mean) * (c + 0.5) + mean


def _crop(x: torch.Tensor, a: torch.Tensor, b: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
    n, _channels, h, w = x.shape
    reach_y, reach_x = int(0.125 * h + 0.5), int(0.125 * w + 0.5)
    # A shift by 0..2·reach on the padded image is a shift by -reach..reach on the image. It is
    # clamped, because the largest numbers below 1 are rounded to 1 in the dtype of the images.
    dy = (a * (2 * reach_y + 1)).long().clamp(max=2 * reach_y).view(-1, 1).expand(n, 1)
    dx = (b * (2 * reach_x + 1)).long().clamp(max=2 * reach_x).view(-1, 1).expand(n, 1)
    padded = pad(x, (reach_x, reach_x, reach_y, reach_y))
    rows = dy + torch.arange(h, device=x.device)
    columns = dx + torch.arange(w, device=x.device)
    index = torch.arange(n, device=x.device)[:, None, None]
    pixels = padded.permute(0, 2, 3, 1)[index, rows[:, :, None], columns[:, None, :]]
    return pixels.permute(0, 3, 1, 2)


def _cutout(x: torch.Tensor, a: torch.Tensor, b: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
    h, w = x.shape[2:]

    def span(size: int, position: torch.Tensor) -> torch.Tensor:
        side = int(0.5 * size + 0.5)
        start = (position * (size + 1 - side % 2)).long().clamp(max=size - side % 2) - side // 2
        cells = torch.arange(size, device=x.device)
        return (cells >= start.view(-1, 1)) & (cells < start.view(-1, 1) + side)

    hole = span(h, a)[:, :, None] & span(w, b)[:, None, :]
    return x * (~hole).to(x.dtype)[:, None]


def _flip(x: torch.Tensor, a: torch.Tensor, *_: torch.Tensor) -> torch.Tensor:
    return torch.where(a < 0.5, x.flip(3), x)


def _scale(x: torch.Tensor, a: torch.Tensor, b: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
    sx, sy = (1 / 1.2 + u.flatten() * (1.2 - 1 / 1.2) for u in (a, b))
    zero = torch.zeros_like(sx)
    return _warp(x, torch.stack([sx, zero, zero, zero, sy, zero], 1))


def _rotate(x: torch.Tensor, a: torch.Tensor, *_: torch.Tensor) -> torch.Tensor:
    angle = (a.flatten() - 0.5) * (2 * math.radians(15))
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    return _warp(x, torch.stack([cos, -sin, zero, sin, cos, zero], 1))


def _warp(x: torch.Tensor, theta: torch.Tensor) -> torch.Tensor:
    theta = theta.view(-1, 2, 3).expand(len(x), 2, 3)
    grid = affine_grid(theta, list(x.shape), align_corners=False)
    return grid_sample(x, grid, align_corners=False)


_APPLY: dict[str, Callable[..., torch.Tensor]] = {
    "color": _color,
    "crop": _crop,
    "cutout": _cutout,
    "flip": _flip,
    "scale": _scale,
    "rotate": _rotate,
}
