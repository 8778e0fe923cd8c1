"""What a run may be given as its data: the name of a set, its description in a recording, an ImageSet, or tensors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from weakref import WeakValueDictionary

import torch

from explore.data.image_set import ImageSet
from explore.errors import InvalidInput

_held: WeakValueDictionary[str, ImageSet] = WeakValueDictionary()
"""Sets that some run holds at the moment: many runs on one set read its files once."""


def taken(data: Any) -> tuple[ImageSet | None, torch.Tensor, torch.Tensor]:
    """The set that was given or named, if any, its images and its labels.

    Raises:
        InvalidInput: none of the above, or the description of a run that was made from tensors.
        UnknownName, DataMissing: see ``load``.
    """
    if isinstance(data, str):
        data = _loaded(data, {})
    elif isinstance(data, Mapping):
        if data.get("name") == "tensors":
            raise InvalidInput(
                "this run was made from tensors, which a recording does not keep; give data=(images, labels)"
            )
        data = _loaded(data["name"], data.get("options", {}))
    if isinstance(data, ImageSet):
        return (
            data,
            data.images,
            data.labels,
        )  # bytes: a float copy of a large set would fill the memory
    if isinstance(data, tuple | list) and len(data) == 2:
        return None, data[0], data[1]
    raise InvalidInput(
        f"data must be the name of a set, an ImageSet or (images, labels), got {type(data).__name__}"
    )


def _loaded(name: str, options: Mapping[str, Any]) -> ImageSet:
    from explore.data import load
    from explore.data.datasets.folders import data_folder

    if name == "folder":  # whose files may change from one run to the next
        return load(name, **options)
    key = json.dumps([name, sorted(options.items()), str(data_folder())], default=repr)
    held = _held.get(key)
    if held is None:
        held = _held[key] = load(name, **options)
    return held
