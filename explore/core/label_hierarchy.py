"""Validate which superclass each subclass belongs to, for data, losses and figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explore.core.array_validation import as_array
from explore.core.validation import describe
from explore.errors import InvalidInput


def check_superclasses(
    parents: Any, subclasses: int | None = None, classes: int | None = None
) -> NDArray[np.int64]:
    """Return the superclass of each subclass as an int64 array ``[S]``.

    Superclasses are 0..C-1, and each has at least one subclass. The subclasses of a superclass need
    not be neighbours, and superclasses may have different numbers of subclasses.

    Args:
        parents: S integers of any type, in a list, an array or a tensor; floats are refused, also
            whole ones.
        subclasses: the expected S, for example the width of logits.
        classes: the expected C.

    Raises:
        InvalidInput: ``parents`` are not integers or not ``subclasses`` many, an entry is negative
            or too large, or a class has no subclass.

    Example:
        >>> check_superclasses([0, 1, 0])
        array([0, 1, 0])
        >>> check_superclasses([0, 2])
        Traceback (most recent call last):
        ...
        explore.errors.InvalidInput: parents [0, 2] leave class 1 without a subclass; classes must
        be 0..2 without gaps
    """
    expected = "a list of integers, the class of each subclass, such as [0, 0, 1]"
    array = _integers("parents", parents, expected)
    if not len(array):
        raise InvalidInput(f"parents must be {expected}; got shape [0]")
    if subclasses is not None and len(array) != subclasses:
        raise InvalidInput(
            f"parents has {len(array)} entries, but there are {subclasses} subclasses; "
            "give one for each"
        )
    if array.min() < 0:
        raise InvalidInput(
            f"parents must be 0 or more; subclass {int(array.argmin())} has {int(array.min())}"
        )
    last = int(array.max())
    if classes is not None and last >= classes:
        raise InvalidInput(
            f"parents must be 0..{classes - 1}, as there are {classes} classes; "
            f"subclass {int(array.argmax())} has {last}"
        )
    last = last if classes is None else classes - 1
    # With a huge entry there are gaps in any case, and counting would need much memory.
    huge = last >= 2 * len(array) + 1000
    if huge or not np.bincount(array, minlength=last + 1).all():
        gap = int(np.setdiff1d(np.arange(min(last + 1, len(array) + 1)), array)[0])
        text = array.tolist() if len(array) <= 20 else f"of {len(array)} subclasses"
        raise InvalidInput(
            f"parents {text} leave class {gap} without a subclass; "
            f"classes must be 0..{last} without gaps"
        )
    return array.astype(np.int64)


def _integers(name: str, values: Any, expected: str) -> NDArray[Any]:
    """Return integers as an array of one dimension.

    Raises:
        InvalidInput: the values are something else than ``expected``, as the message says.
    """
    if isinstance(values, Mapping):
        raise InvalidInput(
            f"{name} must be {expected}; got a dictionary, {describe(values)}; "
            f"pass its values in the order of the subclasses: list({name}.values())"
        )
    try:
        array = as_array(name, values)
    except InvalidInput as error:
        if isinstance(values, np.ma.MaskedArray):
            raise
        raise InvalidInput(f"{name} must be {expected}; got {describe(values)}") from error
    if array.ndim != 1 or (len(array) and array.dtype.kind not in "iu"):
        advice = "; convert floats to integers first" if array.dtype.kind == "f" else ""
        raise InvalidInput(
            f"{name} must be {expected}; got {array.dtype} of shape {list(array.shape)}{advice}"
        )
    return array if len(array) else array.astype(np.int64)


def check_labels(labels: Any, subclasses: Any, parents: Any) -> None:
    """Check that the label of each sample is the superclass of its subclass.

    Args:
        labels: class of each sample, ``[N]``.
        subclasses: subclass of each sample, ``[N]``.
        parents: see ``check_superclasses``.

    Raises:
        InvalidInput: the lengths differ, a subclass is out of range, or a label is not the
            superclass of its subclass. The message names the first such sample.

    Example:
        >>> check_labels([0, 1], [2, 2], [0, 1, 0])
        Traceback (most recent call last):
        ...
        explore.errors.InvalidInput: sample 1 has label 1, but its subclass 2 belongs to class 0;
        correct the labels or parents
    """
    superclasses = check_superclasses(parents)
    labels = _integers("labels", labels, "integers, the class of each sample")
    subclasses = _integers("subclasses", subclasses, "integers, the subclass of each sample")
    if labels.shape != subclasses.shape:
        raise InvalidInput(
            "labels and subclasses must be two lists of one length, "
            f"got {list(labels.shape)} and {list(subclasses.shape)}"
        )
    subclasses = check_subclasses(subclasses, len(superclasses))
    expected = superclasses[subclasses]
    if len(wrong := np.flatnonzero(expected != labels)):
        k = int(wrong[0])
        raise InvalidInput(
            f"sample {k} has label {int(labels[k])}, but its subclass {int(subclasses[k])} "
            f"belongs to class {int(expected[k])}; correct the labels or parents"
        )


def check_subclasses(subclasses: Any, count: int) -> NDArray[np.int64]:
    """Return the subclass of each sample as an int64 array ``[N]``.

    Raises:
        InvalidInput: they are not integers, or not in 0..count-1. The message names the first
            such sample.
    """
    array = _integers("subclasses", subclasses, "integers [N], the subclass of each sample")
    if len(wrong := np.flatnonzero((array < 0) | (array >= count))):
        raise InvalidInput(
            f"sample {int(wrong[0])} has subclass {int(array[wrong[0]])}; "
            f"there are 0..{count - 1}, as parents has {count} entries"
        )
    return array.astype(np.int64)
