"""Find the distilled set, the test images and the real images of an evaluation."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from explore.core.products import resolve_product
from explore.data._resolve import loader_options, resolve_dataset
from explore.data.distilled_set import DistilledSet
from explore.data.image_set import ImageSet
from explore.errors import DataMissing, InvalidInput

log = logging.getLogger("explore")


def source_of(distilled: DistilledSet) -> Mapping[str, Any]:
    """Return the description of the data that a set was distilled from; empty if it is unknown."""
    config = distilled.provenance.get("config")
    data = config.get("data") if isinstance(config, Mapping) else None
    return data if isinstance(data, Mapping) else {}


def resolve_distilled_set(value: Any) -> DistilledSet:
    """Return a distilled set.

    Args:
        value: the set, or whatever ``resolve_product`` accepts in its place.

    Raises:
        InvalidInput: none of these, or a description without the config of a run.
    """
    expected = "distilled must be a .safetensors file, a recording beside one, or a DistilledSet"
    return resolve_product(value, DistilledSet, expected)


def resolve_test_images(
    data: str | Mapping[str, Any], source: Mapping[str, Any], split: str
) -> ImageSet | None:
    """Return a split of a data set.

    Args:
        data: the name or the description of the set. A name alone gets the options of ``source``
            if it is the same set.
        source: the description of the data that were distilled.
        split: the split of the set.

    Raises:
        InvalidInput: no name, or data that are tensors.
    """
    description: Mapping[str, Any] = {"name": data} if isinstance(data, str) else data
    name = description.get("name")
    if not name:
        raise InvalidInput(
            "it is unknown which data the set was distilled from; give data=, the set to test on"
        )
    if name == "tensors":
        raise InvalidInput(
            "the set was distilled from tensors, which have no test images; give data=, an ImageSet"
        )
    options = source.get("options") or {} if name == source.get("name") else {}
    options = loader_options(description.get("options") or options)
    if description is source:
        _report_path(options)
    return resolve_dataset({"name": name, "options": {**options, "split": split}})[0]


def resolve_real_images(source: Mapping[str, Any]) -> ImageSet | None:
    """Return the data that were distilled, or None if they cannot be loaded."""
    if source.get("name") in (None, "tensors"):
        return None
    try:
        _report_path(loader_options(source.get("options") or {}))
        return resolve_dataset(source)[0]
    # The files may be missing, or the images are the user's own and cannot be loaded by name.
    except (DataMissing, InvalidInput) as error:
        log.info("test images are not searched among the real images: %s", error)
        return None


def _report_path(options: Mapping[str, Any]) -> None:
    """Report that images are read from a folder which a file names, maybe that of somebody else."""
    if "path" in options:
        log.warning("reading the images in %s, which the distilled set names", options["path"])
