"""Resolve the data of a multi-label method: a name, a recorded description, a set or tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from explore.core.validation import check_text
from explore.data import load_multilabel
from explore.data._resolve import loader_options
from explore.data.image_set import ImageSet
from explore.data.multilabel_set import MultilabelSet
from explore.errors import InvalidInput


def resolve_multilabel(data: Any) -> MultilabelSet:
    """Return the multi-label set of a name, of a description, or of your own data.

    Args:
        data: the name of a set; its description ``{"name": ..., "options": ...}`` in a recording; a
            ``MultilabelSet``; an ``ImageSet`` with ``multi_hot``; or a pair ``(inputs, labels)``,
            see ``MultilabelSet.from_tensors``.

    Raises:
        InvalidInput: anything else, or the description of a run that was made from tensors.
        UnknownName, DataMissing: see ``load_multilabel``.

    Example:
        >>> resolve_multilabel({"name": "scenes", "options": {"count": 20}})
        MultilabelSet('scenes': 20 samples, 3×32×32, 5 labels)
    """
    if isinstance(data, str):
        return load_multilabel(data)
    if isinstance(data, Mapping):
        name = check_text("the name of a data set", data.get("name"))
        if name == "tensors":
            raise InvalidInput(
                "this run was made from tensors, and a recording does not contain them; "
                "pass data=(inputs, labels)"
            )
        described = data.get("options")
        options = loader_options({} if described is None else described)
        if "name" in options:
            raise InvalidInput(f"{name} has no option 'name'")
        return load_multilabel(name, **options)
    if isinstance(data, MultilabelSet):
        return data
    if isinstance(data, ImageSet):
        return MultilabelSet.from_images(data)
    if isinstance(data, tuple | list) and len(data) == 2:
        return MultilabelSet.from_tensors(*data)
    raise InvalidInput(
        "data must be the name of a set, a MultilabelSet, an ImageSet with multi_hot or "
        f"(inputs, labels), got {type(data).__name__}"
    )
