"""What a run may be given as its data: the name of a set, its description in a recording, an ImageSet, or tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from explore.data.imageset import ImageSet
from explore.errors import InvalidInput


def taken(data: Any) -> tuple[ImageSet | None, torch.Tensor, torch.Tensor]:
    """The set that was given or named, if any, its images and its labels.

    Raises:
        InvalidInput: none of the above, or the description of a run that was made from tensors.
        UnknownName, DataMissing: see ``load``.
    """
    from explore.data import load

    if isinstance(data, str):
        data = load(data)
    elif isinstance(data, Mapping):
        if data.get("name") == "tensors":
            raise InvalidInput("this run was made from tensors, which a recording does not keep; give data=(images, labels)")
        data = load(data["name"], **data.get("options", {}))
    if isinstance(data, ImageSet):
        return data, data.images, data.labels  # bytes: a float copy of a large set would fill the memory
    if isinstance(data, tuple | list) and len(data) == 2:
        return None, data[0], data[1]
    raise InvalidInput(f"data must be the name of a set, an ImageSet or (images, labels), got {type(data).__name__}")
