"""Synthetic scenes: coloured shapes on a cluttered background, with options for size, clutter and
subclasses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from explore.core.validation import check_choice, check_number, check_whole_number, describe
from explore.data._memmap import check_memory
from explore.data.datasets._scene_layout import (
    NOISE_STREAM,
    SHAPE_NAMES,
    SPLIT_COUNTS,
    create_layout,
    random_stream,
)
from explore.data.datasets._scene_painting import paint
from explore.data.image_set import ImageSet
from explore.errors import InvalidInput

SUBCLASS_NAMES = {"texture": ("plain", "striped"), "colour": ("cool", "warm")}
"""What may distinguish the two subclasses of a class, and their names."""
# Measured on train with the default options; the mean is 0.5 by symmetry.
BYTES_PER_SCENE = 20_000
"""A generous estimate of what the layout of a scene needs."""
MEAN, STD = (0.5, 0.5, 0.5), (0.195, 0.195, 0.195)


def scenes(
    split: str = "train",
    *,
    size: int = 32,
    count: int | None = None,
    objects: int | Sequence[int] = 1,
    object_size: float | Sequence[float] = (0.18, 0.30),
    clutter: int | Sequence[int] = 4,
    subclass: str = "texture",
    difference: float = 1.0,
    cooccurrence: float = 0.0,
    seed: int = 0,
) -> ImageSet:
    """Generate scenes of five shapes, each plain or striped (or cool or warm).

    The same arguments give the same bytes. The labelled object is in front, completely inside the
    image, and the largest. The others are of other classes, have 0.6 to 0.9 of its radius, and may
    be partly hidden: an object that would be hidden by more than half is left out. Clutter is
    behind the objects: soft blobs and thin strokes in turn. Colours do not depend on the class.
    Every 5 successive images have each class once, every 10 each subclass, and a smaller set is the
    beginning of a larger one.

    Args:
        split: ``"train"``, ``"val"`` or ``"test"``; they share no scene.
        size: image side in pixels, 32 to 128.
        count: number of images; by default 2000 for train, 500 for val and test.
        objects: number of objects in a scene, 1 to 5, or ``(low, high)``, both included.
        object_size: radius of the circle around the labelled object / image side, 0.05 to 0.48, or
            ``(low, high)``.
        clutter: pieces of clutter in a scene, 0 to 64, or ``(low, high)``, both included.
        subclass: what distinguishes the two subclasses of a class: ``"texture"`` (the labelled
            object is plain or striped) or ``"colour"`` (it is cool or warm, never striped, and of a
            muted colour; its lightness does not depend on the subclass).
        difference: how different the two are, 0 (nothing in the pixels distinguishes them) to 2, as
            a factor on the stripes or on the shift of colour. Other objects do not change.
        cooccurrence: the probability, 0 to 1, that the first of the other objects is the partner of
            the labelled one: disc and square, ring and cross are partners, and the disc is that of
            the triangle. Otherwise each other class is as likely. With one object it changes
            nothing.
        seed: 0 or more.

    Returns:
        images uint8 ``[N, 3, size, size]``, labels int64 ``[N]``, masks bool ``[N, size, size]``
        (the labelled object's pixels), subclasses int64 ``[N]`` (2 · label, + 1 if striped or
        warm), multi_hot float32 ``[N, 5]``. ``mean`` and ``std`` do not depend on the arguments.
        ``scenes(**result.options)`` generates the set ``result`` again.

    Raises:
        InvalidInput: an argument has the wrong type or is out of its range (``UnknownName`` for the
            split).

    Example:
        Simple and complex in EDF's sense:

        >>> easy = scenes(count=50, object_size=0.45, clutter=0)
        >>> hard = scenes(count=50, object_size=0.12, clutter=8)
        >>> bool(easy.masks.float().mean() > 10 * hard.masks.float().mean())
        True

        Subclasses that are hard to distinguish:

        >>> scenes(count=10, subclass="colour", difference=0.25).subclass_names[:2]
        ('cool disc', 'warm disc')
    """
    split = check_choice("split of scenes", split, SPLIT_COUNTS)
    subclass = check_choice("subclass of scenes", subclass, SUBCLASS_NAMES)
    count = SPLIT_COUNTS[split] if count is None else count
    options = {
        "split": split,
        "size": _check("size", size, 32, 128, "pixels a side"),
        "count": _check("count", count, 1, 10**7, "images"),
        "objects": _check("objects", objects, 1, 5, "each of another class", is_range=True),
        "object_size": _check(
            "object_size", object_size, 0.05, 0.48, "radius / image side", is_range=True
        ),
        "clutter": _check("clutter", clutter, 0, 64, "pieces in a scene", is_range=True),
        "subclass": subclass,
        "difference": _check("difference", difference, 0.0, 2.0, "1 is easy to see"),
        "seed": _check("seed", seed, 0, 2**63 - 1, "any integer"),
    }
    probability = _check("cooccurrence", cooccurrence, 0.0, 1.0, "0: the classes are independent")
    if probability:
        # Recordings that were made before this option have no such key.
        options["cooccurrence"] = probability
    count, side = options["count"], options["size"]
    check_memory(
        count * (4 * side**2 + BYTES_PER_SCENE), f"a set of {count} scenes", "fewer or smaller ones"
    )
    layout = create_layout(options)
    images, masks, is_visible = paint(layout, options["size"], random_stream(options, NOISE_STREAM))
    labels = layout.classes[:, 0].copy()
    multi_hot = np.zeros((len(labels), len(SHAPE_NAMES)), np.float32)
    np.put_along_axis(multi_hot, layout.classes, is_visible.astype(np.float32), 1)
    return ImageSet(
        "scenes",
        torch.from_numpy(images),
        torch.from_numpy(labels),
        SHAPE_NAMES,
        MEAN,
        STD,
        options,
        masks=torch.from_numpy(masks),
        subclasses=torch.from_numpy(2 * labels + layout.is_second),
        subclass_names=tuple(
            f"{kind} {shape}" for shape in SHAPE_NAMES for kind in SUBCLASS_NAMES[subclass]
        ),
        multi_hot=torch.from_numpy(multi_hot),
        parents=tuple(label for label in range(len(SHAPE_NAMES)) for _ in range(2)),
        flip=True,
    )


def _check(
    name: str, value: Any, low: float, high: float, meaning: str, is_range: bool = False
) -> Any:
    """Return ``value`` as a Python number, or a range of two values as ``[low, high]``."""
    is_pair = is_range and isinstance(value, list | tuple) and len(value) == 2
    if is_range and getattr(value, "shape", None) == (2,):  # an array or a tensor
        value, is_pair = list(value), True
    kind = type(low)
    check = check_whole_number if kind is int else check_number
    try:
        span = [
            check(name, x, at_least=low, at_most=high)  # type: ignore[arg-type]
            for x in (value if is_pair else [value])
        ]
        fits = span[0] <= span[-1]
    except InvalidInput:
        fits = False
    if not fits:
        number = "an integer" if kind is int else "a number"
        pair = f" or (least, most), such as ({low}, {high})" if is_range else ""
        raise InvalidInput(
            f"{name}={describe(value)} is not possible; "
            f"pass {number} from {low} to {high} ({meaning}){pair}"
        )
    return span if is_pair else span[0]
