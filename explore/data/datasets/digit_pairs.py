"""Pairs, or other small groups, of handwritten digits in one image; the labels say which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from explore.core.array_validation import check_array
from explore.core.validation import (
    check_choice,
    check_number,
    check_seed,
    check_whole_number,
    to_python,
)
from explore.data.datasets.digits import digits as handwritten_digits
from explore.data.datasets.mnist import mnist
from explore.data.image_set import ImageSet
from explore.data.multilabel_set import MultilabelSet
from explore.errors import InvalidInput

SPLIT_COUNTS = {"train": 2000, "val": 500, "test": 500}
DIGIT_SIZES = {"digits": 16, "mnist": 28}
"""The sources of digits, and the side of one digit in pixels."""
MOST_OBJECTS = 5
MOST_BYTES = 2**32
LABEL_NAMES = tuple(map(str, range(10)))


def digit_pairs(
    split: str = "train",
    *,
    count: int | None = None,
    objects: int | Sequence[int] = 2,
    digits: str = "digits",
    size: int | None = None,
    cooccurrence: float = 0.0,
    seed: int = 0,
) -> MultilabelSet:
    """Generate grey images with handwritten digits side by side, which do not overlap.

    The same arguments give the same bytes, and a smaller set is the beginning of a larger one. Each
    image is a square with as many columns as digits at most. A digit is in a random column and at
    any height. Each split uses images of the same split of the source only.

    Args:
        split: "train", "val" or "test".
        count: number of images; by default 2000 for train, 500 for val and test.
        objects: number of digits in an image, 1 to 5, or ``(low, high)``, both included.
        digits: the source of the digits: "digits" of scikit-learn, which are always available, or
            "mnist".
        size: side of one digit in pixels; by default 16, or 28 of MNIST.
        cooccurrence: 0 to 1, the probability that a second (or fourth) digit is the partner of the
            one before it: 0 and 1, 2 and 3, 4 and 5, 6 and 7, 8 and 9 are partners. Otherwise a
            digit does not depend on the others, and may be the same again. Each digit remains
            equally frequent.
        seed: 0 or more.

    Returns:
        images uint8 ``[N, 1, S, S]``, S = size · the largest number of digits, and the labels "0"
        to "9": which digits are present. ``mean`` and ``std`` do not depend on split and seed.

    Raises:
        UnknownName: an unknown split or source.
        InvalidInput: a number of the wrong type or out of its range.
        DataMissing: see ``explore.data.datasets.mnist``.

    Example:
        >>> pairs = digit_pairs(count=100, cooccurrence=1)
        >>> pairs
        MultilabelSet('digit-pairs': 100 samples, 1×32×32, 10 labels)
        >>> bool((pairs.labels[:, 0] == pairs.labels[:, 1]).all())
        True
    """
    split = check_choice("split", split, SPLIT_COUNTS)
    digits = check_choice("digits", digits, DIGIT_SIZES)
    count = SPLIT_COUNTS[split] if count is None else check_whole_number("count", count, 1)
    low, high = _check_range(objects)
    size = DIGIT_SIZES[digits] if size is None else check_whole_number("size", size, 8)
    if count * (size * high) ** 2 > MOST_BYTES:
        raise InvalidInput(
            f"{count} images of {size * high}×{size * high} pixels would take more than "
            f"{MOST_BYTES} bytes; use a smaller count or size"
        )
    options: dict[str, Any] = {
        "split": split,
        "count": count,
        "objects": low if low == high else [low, high],
        "digits": digits,
        "size": size,
        "cooccurrence": check_number("cooccurrence", cooccurrence, at_least=0, at_most=1),
        "seed": check_seed(seed),
    }
    source = (mnist if digits == "mnist" else handwritten_digits)(split, size=size)
    # One row of random numbers for each image, so that more images do not change the first ones,
    # and the dial changes partners only.
    key = np.random.SeedSequence(options["seed"], spawn_key=(list(SPLIT_COUNTS).index(split),))
    draws = np.random.default_rng(key).random((count, 1 + 5 * high))
    numbers = low + np.floor(draws[:, 0] * (high - low + 1)).astype(int)
    digit, follow, member, column, height = draws[:, 1:].reshape(count, 5, high).transpose(1, 0, 2)
    classes = np.floor(10 * digit).astype(int)
    for second in range(1, high, 2):
        partner = classes[:, second - 1] ^ 1  # 0 and 1, 2 and 3, …
        follows = follow[:, second] < options["cooccurrence"]
        classes[:, second] = np.where(follows, partner, classes[:, second])
    is_present = np.arange(high) < numbers[:, None]
    return MultilabelSet(
        "digit-pairs",
        _compose(source, classes, is_present, member, column.argsort(1), height),
        _labels(classes, is_present),
        LABEL_NAMES,
        *_statistics(source, (low + high) / 2 / high**2),
        options=options,
    )


def _compose(
    source: ImageSet,
    classes: np.ndarray,
    is_present: np.ndarray,
    member: np.ndarray,
    columns: np.ndarray,
    height: np.ndarray,
) -> torch.Tensor:
    """Return uint8 images ``[N, 1, S, S]``.

    Args:
        source: the single digits.
        classes: ``[N, J]``, the class of each digit.
        is_present: bool ``[N, J]``.
        member: random numbers ``[N, J]`` in [0, 1), which decide on the image of a class.
        columns: ``[N, J]``, the column of each digit, different in each row.
        height: random numbers ``[N, J]`` in [0, 1).
    """
    count, most = classes.shape
    side = source.images.shape[-1]
    labels, singles = source.labels.numpy(), source.images[:, 0].numpy()
    members = [np.flatnonzero(labels == k) for k in range(len(LABEL_NAMES))]
    images = np.zeros((count, 1, side * most, side * most), np.uint8)
    tops = np.floor(height * (side * (most - 1) + 1)).astype(int)
    for image, digit in np.argwhere(is_present):
        rows = members[classes[image, digit]]
        pixels = singles[rows[int(member[image, digit] * len(rows))]]
        top, left = tops[image, digit], side * columns[image, digit]
        images[image, 0, top : top + side, left : left + side] = pixels
    return torch.from_numpy(images)


def _labels(classes: np.ndarray, is_present: np.ndarray) -> torch.Tensor:
    labels = np.zeros((len(classes), len(LABEL_NAMES)), np.float32)
    images, digits = np.nonzero(is_present)
    labels[images, classes[images, digits]] = 1
    return torch.from_numpy(labels)


def _statistics(source: ImageSet, filled: float) -> tuple[list[float], list[float]]:
    """Return mean and deviation of images; a share is filled with digits, the rest is black."""
    mean, std = float(source.mean[0]), float(source.std[0])
    return [filled * mean], [(filled * (std**2 + mean**2) - (filled * mean) ** 2) ** 0.5]


def _check_range(objects: int | Sequence[int]) -> tuple[int, int]:
    """Return the smallest and the largest number of digits."""
    objects = to_python(objects)
    if hasattr(objects, "shape"):  # such as np.array([1, 3])
        objects = check_array("objects", objects, (2,), kind="integer").tolist()
    span = objects if isinstance(objects, list | tuple) and len(objects) == 2 else (objects,) * 2
    low, high = (check_whole_number("objects", n, at_least=1, at_most=MOST_OBJECTS) for n in span)
    if low > high:
        raise InvalidInput(f"objects must be (least, most), such as (1, 3), got {objects!r}")
    return low, high
