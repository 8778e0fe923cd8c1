"""Resolve the data argument of a run: a name, a description from a recording, a set, or tensors."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from typing import Any
from weakref import WeakValueDictionary

import torch

from explore.core.products import without_downloads
from explore.core.tensor_validation import as_tensor
from explore.core.validation import check_text, describe, to_python
from explore.data import load
from explore.data.datasets.folders import data_folder
from explore.data.distilled_set import DistilledSet
from explore.data.image_set import ImageSet
from explore.errors import InvalidInput

log = logging.getLogger("explore")

EXPECTED = "data must be the name of a set, an ImageSet or (images, labels)"

DOWNLOAD_OPTION = "download"
"""The option of a loader that fetches missing files."""

_loaded_sets: WeakValueDictionary[str, ImageSet] = WeakValueDictionary()
"""Sets that a run still uses. Several runs on one set read its files only once."""


def resolve_dataset(data: Any) -> tuple[ImageSet | None, torch.Tensor, torch.Tensor]:
    """Return the set (None for a pair of tensors), its images and its labels.

    The images of a set are uint8, as a float copy of a large set would fill the memory. Pairs of
    arrays or lists become plain tensors without gradients; their values are not checked here.

    Args:
        data: the name of a set, its description ``{"name": ..., "options": ...}`` in a recording,
            an ``ImageSet``, a pair ``(images, labels)`` of tensors, arrays or lists, a
            ``TensorDataset`` of both, or a ``DistilledSet`` with hard labels, which counts as a
            pair. A description never starts a download, as it may come from somebody's file.

    Raises:
        InvalidInput: anything else, or the description of a run that was made from tensors.
        UnknownName, DataMissing: see ``load``.
    """
    if isinstance(data, str):
        data = _load_once(data, {})
    elif isinstance(data, Mapping):
        data = _load_described(data)
    if isinstance(data, ImageSet):
        return data, data.images, data.labels
    images, labels = _pair(data)
    return None, _plain("images", images), _plain("labels", labels)


def loader_options(options: Any) -> dict[str, Any]:
    """Return the options of a description for its loader, without a request for a download.

    A description may come from the file of somebody else, which must not start one unasked.

    Raises:
        InvalidInput: the options are no mapping of names to values.

    Example:
        >>> loader_options({"size": 28, "download": False})
        {'size': 28}
    """
    if not isinstance(options, Mapping) or not all(isinstance(name, str) for name in options):
        raise InvalidInput(
            f"the options of a data set must be names with values, got {describe(options)}"
        )
    if options.get(DOWNLOAD_OPTION):
        log.warning(
            "the description of a data set asks for a download, which is not started; "
            "call explore.data.load(..., download=True) to fetch the set"
        )
    return {name: to_python(value) for name, value in without_downloads(options).items()}


def _load_described(description: Mapping[str, Any]) -> ImageSet:
    if "name" not in description:
        raise InvalidInput(
            f"the description of a data set needs a name, got {describe(dict(description))}"
        )
    name = check_text("the name of a data set", description["name"])
    if name == "tensors":
        raise InvalidInput(
            "this run was made from tensors, and a recording does not contain them; "
            "pass data=(images, labels)"
        )
    return _load_once(name, loader_options(description.get("options") or {}))


def _pair(data: Any) -> tuple[Any, Any]:
    """Return the images and labels of data that are no ``ImageSet``."""
    if isinstance(data, DistilledSet):
        if data.soft:
            raise InvalidInput(
                "the labels of this DistilledSet are soft; pass (images, labels.argmax(1)) of it"
            )
        return data.images, data.labels
    if isinstance(data, torch.utils.data.TensorDataset):
        data = data.tensors
    if not isinstance(data, tuple | list) or len(data) != 2:
        advice = ""
        if isinstance(data, os.PathLike):
            folder = {"name": "folder", "options": {"path": os.fspath(data)}}
            advice = f"; for a folder of images pass {folder}"
        elif isinstance(data, tuple | list):
            advice = f" of {len(data)}"
        elif hasattr(data, "shape"):
            advice = "; labels are missing"
        raise InvalidInput(f"{EXPECTED}, got {type(data).__name__}{advice}")
    images, labels = data
    if isinstance(images, ImageSet):
        raise InvalidInput("an ImageSet holds its labels; pass the set alone")
    return images, labels


def _plain(name: str, values: Any) -> torch.Tensor:
    """Return values as a tensor without gradients, of a type that NumPy has too."""
    tensor = as_tensor(name, values).detach()
    is_short = tensor.is_floating_point() and tensor.dtype.itemsize <= 2
    return tensor.float() if is_short and tensor.dtype != torch.float16 else tensor


def _load_once(name: str, options: Mapping[str, Any]) -> ImageSet:
    if "name" in options:
        raise InvalidInput(f"{name} has no option 'name'")
    if name == "folder":  # Its files may change between two runs.
        return load(name, **options)
    try:
        key = json.dumps([name, sorted(options.items()), str(data_folder())], default=repr)
    except (TypeError, ValueError, RecursionError):  # such as a list that holds itself
        return load(name, **options)
    image_set = _loaded_sets.get(key)
    if image_set is None:
        image_set = _loaded_sets[key] = load(name, **options)
    return image_set
