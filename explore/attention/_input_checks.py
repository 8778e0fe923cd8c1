"""Checks of images, targets and logits, shared by maps and curves."""

from __future__ import annotations

from typing import Any

import torch

from explore.errors import InvalidInput


def check_images(images: Any) -> torch.Tensor:
    """Return images that are floats ``[N, C, H, W]``, one or more.

    Raises:
        InvalidInput: they are not.
    """
    if not isinstance(images, torch.Tensor) or not images.is_floating_point() or images.ndim != 4:
        given = list(images.shape) if hasattr(images, "shape") else type(images).__name__
        kind = getattr(images, "dtype", "")
        raise InvalidInput(f"images must be floats [N, C, H, W], got {given} {kind}".rstrip())
    if not len(images):
        raise InvalidInput("there must be one or more images, got none")
    return images


def check_targets(targets: Any, count: int) -> torch.Tensor | None:
    """Return the targets as int64 ``[N]``, or None for the predicted classes.

    Raises:
        InvalidInput: they are no whole numbers of at least 0, or not one for each image.
    """
    if targets is None:
        return None
    try:
        classes = torch.as_tensor(targets)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidInput(f"targets must be whole numbers, got {targets!r}") from error
    if classes.is_floating_point() or classes.is_complex() or classes.dtype == torch.bool:
        raise InvalidInput(f"targets must be whole numbers, got {classes.dtype}")
    if classes.ndim == 0:
        classes = classes.expand(count)
    if classes.shape != (count,):
        raise InvalidInput(
            f"targets must be one class, or one for each of {count} images, "
            f"got shape {list(classes.shape)}"
        )
    if int(classes.min()) < 0:
        raise InvalidInput(f"targets must be classes of at least 0, got {int(classes.min())}")
    return classes.long()


def check_logits(logits: Any, count: int) -> None:
    """Check that a network returned logits ``[N, K]``.

    Raises:
        InvalidInput: it did not.
    """
    if not isinstance(logits, torch.Tensor) or logits.ndim != 2 or len(logits) != count:
        given = list(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise InvalidInput(
            f"the network must return logits [N, K] for N images, it returns {given}; "
            "wrap it in a module that does"
        )


def check_classes(targets: torch.Tensor, logits: torch.Tensor) -> None:
    """Check that each target is the number of a logit.

    Raises:
        InvalidInput: one is too large.
    """
    if int(targets.max()) >= logits.shape[1]:
        raise InvalidInput(
            f"targets must be classes 0 to {logits.shape[1] - 1}, as the network has "
            f"{logits.shape[1]} logits; got {int(targets.max())}"
        )
