"""The losses of trajectory matching: MTT's, EDF's, and EDF's multiplier of the images' gradient."""

from __future__ import annotations

import math
from typing import Any

import torch

from explore.core.tensor_validation import check_tensor
from explore.core.validation import check_number, describe, to_python
from explore.errors import InvalidInput

FLAT_MAP = 1e-8
"""A map whose values differ by less is constant and has no area."""

SAFE_LENGTHS = (1e-30, 1e30)
"""Sums of squares outside of these may have lost digits, or all of them, in float32."""

LARGEST_FACTOR = 1e6
"""Of the gradient: a larger one is a mistake."""


def common_pattern_dropout(
    student: torch.Tensor, target: torch.Tensor, start: torch.Tensor, drop_ratio: float = 0.0
) -> torch.Tensor:
    """Return the distance of a student to the expert, relative to the expert's own way.

    Parameters that the student already matches count as common patterns: the share ``drop_ratio``
    of parameters with the smallest squared error is left out, in numerator and denominator alike.

    Args:
        student: flattened parameters ``[P]`` after the student's steps; gradients flow through.
        target: ``[P]``, the expert's later checkpoint.
        start: ``[P]``, the expert's checkpoint from which the student started.
        drop_ratio: from 0 (the loss of MTT) to below 1; of P parameters, ``int(drop_ratio · P)``
            are left out.

    Returns:
        A scalar: 1 for a student that did not move, 0 for one that reached the target (both without
        dropout). It is float64 if one of the vectors is, else float32. NaN in a vector makes it
        NaN.

    Raises:
        InvalidInput: vectors of different lengths, a ratio out of range, an expert whose kept
            parameters did not move, or a distance too large for its type.

    Source: MTT (arXiv 2203.11932, eq. 2); Common Pattern Dropout of EDF (arXiv 2410.17193).

    Example:
        >>> start, target = torch.zeros(4), torch.ones(4)
        >>> student = torch.tensor([1.0, 1.0, 0.5, 0.0])
        >>> common_pattern_dropout(student, target, start).item()
        0.3125
        >>> common_pattern_dropout(student, target, start, drop_ratio=0.5).item()
        0.625
    """
    vectors = [
        check_tensor(name, vector, ("P", ...), empty=True)
        for name, vector in (("student", student), ("target", target), ("start", start))
    ]
    shapes = [list(vector.shape) for vector in vectors]
    if len(shapes[0]) != 1 or shapes != [shapes[0]] * 3 or not shapes[0][0]:
        raise InvalidInput(f"student, target and start must be vectors [P], got {shapes}")
    student, target, start = (v.float() if v.dtype.itemsize < 4 else v for v in vectors)
    ratio = check_number("drop_ratio", drop_ratio, at_least=0, below=1)
    error, length = _distances(student - target, start - target, ratio)
    size = float(length.detach())
    if not SAFE_LENGTHS[0] < size < SAFE_LENGTHS[1] or not torch.isfinite(error):
        return _scaled_distance(student, target, start, ratio)
    return error / length


def _distances(
    errors: torch.Tensor, way: torch.Tensor, ratio: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the sums of squares of the errors and of the way, without what is dropped."""
    errors, way = errors**2, way**2
    if int(ratio * len(errors)):
        remaining = ~_smallest(errors, ratio)
        errors, way = errors[remaining], way[remaining]
    return errors.sum(), way.sum()


def _scaled_distance(
    student: torch.Tensor, target: torch.Tensor, start: torch.Tensor, ratio: float
) -> torch.Tensor:
    """Return the relative distance of parameters so small or large that squares lose digits."""
    wide = [vector.double() for vector in (student, target, start)]
    errors, way = wide[0] - wide[1], wide[2] - wide[1]
    if not all(bool(vector.isfinite().all()) for vector in wide):
        return (errors.sum() + way.sum()) * math.nan  # An infinite way would make it 0.
    largest = float(way.detach().abs().max())
    if largest > 0:
        errors, way = errors / largest, way / largest
    error, length = _distances(errors, way, ratio)
    if float(length.detach()) == 0:
        raise InvalidInput(
            "the expert did not move between its two checkpoints: their parameters are equal"
        )
    result = (error / length).to(torch.promote_types(student.dtype, target.dtype))
    if not torch.isfinite(result):
        raise InvalidInput(
            f"the student is too far from the expert for {result.dtype}; it has diverged"
        )
    return result


def dropped_parameters(
    student: torch.Tensor, target: torch.Tensor, drop_ratio: float
) -> torch.Tensor:
    """Return which parameters ``common_pattern_dropout`` leaves out, as bool ``[P]``.

    Of equal errors, the first are left out.
    """
    return _smallest((student - target) ** 2, drop_ratio)


def _smallest(errors: torch.Tensor, ratio: float) -> torch.Tensor:
    dropped = torch.zeros_like(errors, dtype=torch.bool)
    dropped[errors.detach().argsort(stable=True)[: int(ratio * len(errors))]] = True
    return dropped


def gradient_multiplier(
    cam: torch.Tensor, beta: float = 1.0, threshold: float | str = "mean"
) -> torch.Tensor:
    """Return EDF's factor for each pixel: ``M + β`` where the map M is high, 1 elsewhere.

    Args:
        cam: maps ``[N, H, W]`` in [0, 1]: floats in a tensor, an array or a list.
        beta: at least 0. With 1, the factor is at least 1 everywhere.
        threshold: a map is high where it reaches this number, or, with "mean", its own mean.

    Returns:
        ``[N, H, W]``. A constant map has no discriminative area, so its factor is 1 everywhere. (In
        the released code it is β everywhere.)

    Raises:
        InvalidInput: maps of another form or with NaN, a negative β, or a threshold that is
            neither.

    Source: Discriminative Area Enhancement of EDF (arXiv 2410.17193).

    Example:
        >>> gradient_multiplier(torch.tensor([[[1.0, 0.6], [0.0, 0.0]]]))
        tensor([[[2.0000, 1.6000],
                 [1.0000, 1.0000]]])
    """
    cam = check_tensor("maps", cam, ("N", "H", "W"), finite=True)
    cam = cam.float() if cam.dtype.itemsize < 4 else cam
    beta = check_number("beta", beta, at_least=0, at_most=LARGEST_FACTOR)
    level = _level(cam, threshold)
    is_flat = cam.amax((1, 2), keepdim=True) - cam.amin((1, 2), keepdim=True) < FLAT_MAP
    return torch.where((cam >= level) & ~is_flat, cam + beta, 1.0)


def _level(cam: torch.Tensor, threshold: Any) -> torch.Tensor:
    """Return the value from which each map is high."""
    threshold = to_python(threshold)
    if isinstance(threshold, str):
        if threshold == "mean":
            return cam.mean((1, 2), keepdim=True)
        raise InvalidInput(f'threshold must be a number or "mean", got {describe(threshold)}')
    return cam.new_tensor(check_number("threshold", threshold))


def enhance_gradient(
    grad: torch.Tensor, cam: torch.Tensor, beta: float = 1.0, threshold: float | str = "mean"
) -> torch.Tensor:
    """Return the gradient of images, multiplied pixel by pixel; see ``gradient_multiplier``.

    Args:
        grad: floats ``[N, C, H, W]``, in a tensor, an array or a list.
        cam: maps ``[N, H, W]`` in [0, 1].
        beta, threshold: see ``gradient_multiplier``.

    Returns:
        ``[N, C, H, W]``, in the type of ``grad``. NaN in the gradient stays NaN.

    Raises:
        InvalidInput: shapes that do not fit, a product too large for the type of the gradient, or
            see ``gradient_multiplier``.

    Example:
        >>> enhance_gradient(torch.ones(1, 1, 1, 2), torch.tensor([[[1.0, 0.0]]]))
        tensor([[[[2., 1.]]]])
    """
    grad = check_tensor("grad", grad, ("N", "C", "H", "W"))
    cam = check_tensor("maps", cam, ("N", "H", "W"))
    if cam.shape != (len(grad), *grad.shape[2:]):
        raise InvalidInput(
            f"maps must be [N, H, W] like the gradient [N, C, H, W]; got {list(cam.shape)} and "
            f"{list(grad.shape)}"
        )
    result = grad * gradient_multiplier(cam, beta, threshold)[:, None].to(grad)
    if (torch.isinf(result) & ~torch.isinf(grad)).any():
        raise InvalidInput(f"the multiplied gradient is too large for {grad.dtype}; scale it first")
    return result
