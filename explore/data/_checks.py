"""Check image and label tensors. All topics share these checks and their error messages."""

from __future__ import annotations

from typing import Any

import torch

from explore.core.tensor_validation import check_finite, check_labels
from explore.data.image_set import ImageSet
from explore.errors import InvalidInput

MOST_CLASSES = 100_000
"""The largest label. A recording holds the name of each class."""

INTEGER_DTYPES = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)


def check_images(
    images: Any,
    labels: Any = None,
    *,
    labels_name: str = "labels",
    any_rank: bool = False,
    allow_bytes: bool = False,
) -> None:
    """Check that images are finite floats ``[N, C, H, W]`` and that labels are integers ``[N]``.

    Args:
        images: the images.
        labels: the labels; None if there are none to check. Their range is not checked.
        labels_name: what error messages call the labels.
        any_rank: accept ``[N, ...]`` with two or more dimensions.
        allow_bytes: accept uint8 images as well, as an ``ImageSet`` holds them.

    Raises:
        InvalidInput: no tensor, another rank or dtype, no images, not one label for each image, or
            NaN or Inf in an image.

    Example:
        >>> check_images(torch.zeros(2, 1, 8, 8), torch.tensor([0, 1]))
        >>> check_images(torch.zeros(2, 8, 8))
        Traceback (most recent call last):
        ...
        explore.errors.InvalidInput: images must be float [N, C, H, W] with N ≥ 1, got
        torch.float32 [2, 8, 8]; for grey images pass images[:, None]
    """
    tensors = {"images": images} if labels is None else {"images": images, labels_name: labels}
    for name, values in tensors.items():
        if not isinstance(values, torch.Tensor):
            advice = "torch.as_tensor creates one"
            if isinstance(values, ImageSet):
                advice = f"pass .batch() and .{labels_name} of the ImageSet"
            raise InvalidInput(
                f"{name} must be a torch tensor ({advice}), got {type(values).__name__}"
            )
    is_bytes = images.dtype == torch.uint8
    rank_fits = images.ndim >= 2 if any_rank else images.ndim == 4
    dtype_fits = images.is_floating_point() or (allow_bytes and is_bytes)
    if not (rank_fits and dtype_fits and images.numel()):
        shape = "[N, ...]" if any_rank else "[N, C, H, W]"
        raise InvalidInput(
            f"images must be float {shape} with N ≥ 1, got {describe_tensor(images)}"
            f"{_advice(images, rank_fits)}"
        )
    if not any_rank and _is_channels_last(images):
        raise InvalidInput(
            f"images must be [N, C, H, W], got {describe_tensor(images)} with the channels last; "
            "pass images.permute(0, 3, 1, 2)"
        )
    if labels is not None:
        is_integer = not (
            labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool
        )
        if labels.shape != (len(images),) or not is_integer:
            check_labels(labels_name, labels, len(images))  # Its message says what to do.
    if images.is_floating_point():
        check_finite("images", images)


def _advice(images: torch.Tensor, rank_fits: bool) -> str:
    """Return what to do about images of another rank or type."""
    if images.dtype == torch.uint8:
        return " (if they are an ImageSet's, pass the set); convert bytes with .float() / 255"
    if not images.is_floating_point():
        return "; convert them with .float() and normalise them"
    if not rank_fits and images.ndim == 3:
        return "; for grey images pass images[:, None]"
    return ""


def _is_channels_last(images: torch.Tensor) -> bool:
    """Return whether the last dimension looks like channels, and the second does not."""
    _, second, third, last = images.shape
    return last in (1, 3) and second not in (1, 3) and third != last


def check_labelled_images(images: Any, labels: Any, of_set: bool) -> None:
    """Check that images and labels can be measured by a trained network.

    Args:
        images: float ``[N, C, H, W]``, finite.
        labels: integers ``[N]``, from 0 to ``MOST_CLASSES``.
        of_set: they are those of an ``ImageSet``, which is checked when it is created.

    Raises:
        InvalidInput: see ``check_images``, or a label is out of range.
    """
    if of_set:
        return
    check_images(images, labels)
    numbers = labels.long()  # PyTorch has no minimum of the unsigned types.
    low, high = int(numbers.min()), int(numbers.max())
    if low < 0 or high > MOST_CLASSES:
        raise InvalidInput(f"labels must be 0 to {MOST_CLASSES}, got {low} to {high}")


def describe_tensor(values: Any) -> str:
    """Return the dtype and shape of a tensor, or the type of anything else, for error messages."""
    if isinstance(values, torch.Tensor):
        return f"{values.dtype} {list(values.shape)}"
    return type(values).__name__
