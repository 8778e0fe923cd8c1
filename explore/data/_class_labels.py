"""Check the classes of images against their number and the names of the classes."""

from __future__ import annotations

from typing import Any

import torch

from explore.core.tensor_validation import as_tensor, check_labels
from explore.core.validation import describe
from explore.errors import InvalidInput


def check_class_labels(
    name: str, labels: Any, count: int, classes: int | None = None, names: str = "class names"
) -> torch.Tensor:
    """Return the class of each image as int64 ``[N]``.

    Args:
        name: how the message calls the labels.
        labels: integers of any type, in a tensor, an array or a list.
        count: N, the number of images.
        classes: K, if it is known: each label is below.
        names: what the message says that there are K of.

    Raises:
        InvalidInput: no integers, another number of them, or one outside of 0..K-1.

    Example:
        >>> check_class_labels("labels", [0, 2], 2, classes=2)
        Traceback (most recent call last):
        ...
        explore.errors.InvalidInput: labels must be 0..1, as there are 2 class names; image 1 has 2
    """
    tensor = as_tensor(name, labels)
    if tensor.ndim == 1 and len(tensor) != count:
        raise InvalidInput(
            f"{name} must be integers [{count}], one for each of the images, got {describe(tensor)}"
        )
    is_integer = not tensor.is_floating_point() and tensor.dtype != torch.bool
    if classes is not None and tensor.shape == (count,) and is_integer:
        wrong = ((tensor < 0) | (tensor >= classes)).nonzero()
        if len(wrong):
            index = int(wrong[0])
            expected = f"0..{classes - 1}" if classes else "empty"
            raise InvalidInput(
                f"{name} must be {expected}, as there are {classes} {names}; "
                f"image {index} has {int(tensor[index])}"
            )
    return check_labels(name, tensor, count, samples="image")
