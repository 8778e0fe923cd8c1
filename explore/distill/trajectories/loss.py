"""The losses of trajectory matching: MTT's, EDF's, and EDF's multiplier of the images' gradient."""

from __future__ import annotations

import torch

from explore.core.validation import check_number
from explore.errors import InvalidInput

FLAT_MAP = 1e-8
"""A map whose values differ by less is constant and has no area."""


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
        dropout).

    Raises:
        InvalidInput: vectors of different lengths, a ratio out of range, or an expert whose kept
            parameters did not move.

    Source: MTT (arXiv 2203.11932, eq. 2); Common Pattern Dropout of EDF (arXiv 2410.17193).

    Example:
        >>> start, target = torch.zeros(4), torch.ones(4)
        >>> student = torch.tensor([1.0, 1.0, 0.5, 0.0])
        >>> common_pattern_dropout(student, target, start).item()
        0.3125
        >>> common_pattern_dropout(student, target, start, drop_ratio=0.5).item()
        0.625
    """
    shapes = [list(vector.shape) for vector in (student, target, start)]
    if student.ndim != 1 or shapes != [shapes[0]] * 3 or not student.numel():
        raise InvalidInput(f"student, target and start must be vectors [P], got {shapes}")
    ratio = check_number("drop_ratio", drop_ratio, at_least=0, below=1)
    errors, way = (student - target) ** 2, (start - target) ** 2
    if int(ratio * len(errors)):
        remaining = ~dropped_parameters(student, target, ratio)
        errors, way = errors[remaining], way[remaining]
    length = way.sum()
    if not float(length) > 0:
        raise InvalidInput(
            "the expert did not move between its two checkpoints: their parameters are equal"
        )
    return errors.sum() / length


def dropped_parameters(
    student: torch.Tensor, target: torch.Tensor, drop_ratio: float
) -> torch.Tensor:
    """Return which parameters ``common_pattern_dropout`` leaves out, as bool ``[P]``.

    Of equal errors, the first are left out.
    """
    errors = ((student - target) ** 2).detach()
    dropped = torch.zeros_like(errors, dtype=torch.bool)
    dropped[errors.argsort(stable=True)[: int(drop_ratio * len(errors))]] = True
    return dropped


def gradient_multiplier(
    cam: torch.Tensor, beta: float = 1.0, threshold: float | str = "mean"
) -> torch.Tensor:
    """Return EDF's factor for each pixel: ``M + β`` where the map M is high, 1 elsewhere.

    Args:
        cam: maps ``[N, H, W]`` in [0, 1].
        beta: at least 0. With 1, the factor is at least 1 everywhere.
        threshold: a map is high where it reaches this number, or, with "mean", its own mean.

    Returns:
        ``[N, H, W]``. A constant map has no discriminative area, so its factor is 1 everywhere. (In
        the released code it is β everywhere.)

    Raises:
        InvalidInput: maps of another form, a negative β, or a threshold that is neither.

    Source: Discriminative Area Enhancement of EDF (arXiv 2410.17193).

    Example:
        >>> gradient_multiplier(torch.tensor([[[1.0, 0.6], [0.0, 0.0]]]))
        tensor([[[2.0000, 1.6000],
                 [1.0000, 1.0000]]])
    """
    if cam.ndim != 3 or not cam.numel() or not cam.is_floating_point():
        raise InvalidInput(f"maps must be floats [N, H, W], got {cam.dtype} {list(cam.shape)}")
    beta = check_number("beta", beta, at_least=0)
    if threshold == "mean":
        level = cam.mean((1, 2), keepdim=True)
    elif isinstance(threshold, str):
        raise InvalidInput(f'threshold must be a number or "mean", got {threshold!r}')
    else:
        level = cam.new_tensor(check_number("threshold", threshold))
    is_flat = cam.amax((1, 2), keepdim=True) - cam.amin((1, 2), keepdim=True) < FLAT_MAP
    return torch.where((cam >= level) & ~is_flat, cam + beta, 1.0)


def enhance_gradient(
    grad: torch.Tensor, cam: torch.Tensor, beta: float = 1.0, threshold: float | str = "mean"
) -> torch.Tensor:
    """Return the gradient of images, multiplied pixel by pixel; see ``gradient_multiplier``.

    Args:
        grad: ``[N, C, H, W]``.
        cam: maps ``[N, H, W]`` in [0, 1].
        beta, threshold: see ``gradient_multiplier``.

    Raises:
        InvalidInput: shapes that do not fit, or see ``gradient_multiplier``.
    """
    if grad.ndim != 4 or cam.shape != (len(grad), *grad.shape[2:]):
        raise InvalidInput(
            f"maps must be [N, H, W] like the gradient [N, C, H, W]; got {list(cam.shape)} and "
            f"{list(grad.shape)}"
        )
    return grad * gradient_multiplier(cam, beta, threshold)[:, None].to(grad)
