"""Resolve the data argument of a run: a name, a description from a recording, a set, or tensors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from weakref import WeakValueDictionary

import torch

from explore.data import load
from explore.data.datasets.folders import data_folder
from explore.data.image_set import ImageSet
from explore.errors import InvalidInput

_loaded_sets: WeakValueDictionary[str, ImageSet] = WeakValueDictionary()
"""Sets that a run still uses. Several runs on one set read its files only once."""


def resolve_dataset(data: Any) -> tuple[ImageSet | None, torch.Tensor, torch.Tensor]:
    """Return the set (None for a pair of tensors), its images and its labels.

    The images of a set are uint8, as a float copy of a large set would fill the memory.

    Args:
        data: the name of a set, its description ``{"name": ..., "options": ...}`` in a recording,
            an ``ImageSet``, or a pair ``(images, labels)``.

    Raises:
        InvalidInput: anything else, or the description of a run that was made from tensors.
        UnknownName, DataMissing: see ``load``.
    """
    if isinstance(data, str):
        data = _load_once(data, {})
    elif isinstance(data, Mapping):
        if data.get("name") == "tensors":
            raise InvalidInput(
                "this run was made from tensors, and a recording does not contain them; "
                "pass data=(images, labels)"
            )
        data = _load_once(data["name"], data.get("options", {}))
    if isinstance(data, ImageSet):
        return data, data.images, data.labels
    if isinstance(data, tuple | list) and len(data) == 2:
        return None, data[0], data[1]
    raise InvalidInput(
        "data must be the name of a set, an ImageSet or (images, labels), "
        f"got {type(data).__name__}"
    )


def _load_once(name: str, options: Mapping[str, Any]) -> ImageSet:
    if name == "folder":  # Its files may change between two runs.
        return load(name, **options)
    key = json.dumps([name, sorted(options.items()), str(data_folder())], default=repr)
    image_set = _loaded_sets.get(key)
    if image_set is None:
        image_set = _loaded_sets[key] = load(name, **options)
    return image_set
