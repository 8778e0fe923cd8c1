"""The parent map of subclasses: which class each one belongs to, checked in one place for data, losses and figures."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from explore.errors import InvalidInput


def check_parents(
    parents: Any, subclasses: int | None = None, classes: int | None = None
) -> NDArray[np.int64]:
    """The parent map as an int64 array ``[S]``: entry j is the class of subclass j; classes are 0..C-1, each with a subclass.

    Groups need be neither contiguous nor of one size.

    Args:
        parents: S integers, in a list, an array or a tensor.
        subclasses: S, where it is known otherwise (the width of logits, say).
        classes: C, where it is known otherwise.

    Raises:
        InvalidInput: no integers, another length than ``subclasses``, a negative entry, or a class without a subclass.

    Example:
        >>> check_parents([0, 1, 0])
        array([0, 1, 0])
        >>> check_parents([0, 2])
        Traceback (most recent call last):
        ...
        explore.errors.InvalidInput: parents [0, 2] leave class 1 without a subclass; classes must be 0..2 without gaps
    """
    found = as_array(parents)
    if found.ndim != 1 or not len(found) or not np.issubdtype(found.dtype, np.integer):
        given = (
            f"{found.dtype} of shape {list(found.shape)}"
            if found.dtype != object
            else repr(parents)
        )
        raise InvalidInput(
            f"parents must be a list of integers, the class of each subclass, such as [0, 0, 1]; got {given}"
        )
    if subclasses is not None and len(found) != subclasses:
        raise InvalidInput(
            f"parents has {len(found)} entries, but there are {subclasses} subclasses; give one for each"
        )
    if found.min() < 0:
        raise InvalidInput(
            f"parents must be 0 or more; subclass {int(found.argmin())} has {int(found.min())}"
        )
    last = int(found.max())
    if classes is not None and last >= classes:
        raise InvalidInput(
            f"parents must be 0..{classes - 1}, as there are {classes} classes; subclass {int(found.argmax())} has {last}"
        )
    last = last if classes is None else classes - 1
    counts = (
        np.bincount(found, minlength=last + 1) if last < 2 * len(found) + 1000 else np.zeros(1)
    )  # a wild entry fills no memory
    if not counts.all():
        gap = int(np.setdiff1d(np.arange(min(last + 1, len(found) + 1)), found)[0])
        shown = found.tolist() if len(found) <= 20 else f"of {len(found)} subclasses"
        raise InvalidInput(
            f"parents {shown} leave class {gap} without a subclass; classes must be 0..{last} without gaps"
        )
    return found.astype(np.int64)


def check_labels(labels: Any, subclasses: Any, parents: Any) -> None:
    """Refuse labels that contradict the parent map, naming the first offending sample.

    Args:
        labels: class of each sample, ``[N]``.
        subclasses: subclass of each sample, ``[N]``.
        parents: see ``check_parents``.

    Raises:
        InvalidInput: lengths differ, a subclass is out of range, or a label is not its subclass's parent.

    Example:
        >>> check_labels([0, 1], [2, 2], [0, 1, 0])
        Traceback (most recent call last):
        ...
        explore.errors.InvalidInput: sample 1 has label 1, but its subclass 2 belongs to class 0; mend the labels or parents
    """
    known = check_parents(parents)
    y, s = as_array(labels), as_array(subclasses)
    if y.shape != s.shape or y.ndim != 1:
        raise InvalidInput(
            f"labels and subclasses must be two lists of one length, got {list(y.shape)} and {list(s.shape)}"
        )
    if len(y) and not np.issubdtype(y.dtype, np.integer):
        raise InvalidInput(f"labels must be integers, got {y.dtype}")
    s = check_subclasses(s, len(known))
    wrong = np.flatnonzero(known[s] != y)
    if len(wrong):
        k = int(wrong[0])
        said = f"sample {k} has label {int(y[k])}, but its subclass {int(s[k])} belongs to class {int(known[s[k]])}"
        raise InvalidInput(f"{said}; mend the labels or parents")


def check_subclasses(subclasses: Any, known: int) -> NDArray[np.int64]:
    """Subclasses of samples as an int64 array ``[N]``.

    Raises:
        InvalidInput: no integers, or not in 0..known-1; the first offending sample is named.
    """
    found = as_array(subclasses)
    if found.ndim != 1 or (len(found) and not np.issubdtype(found.dtype, np.integer)):
        raise InvalidInput(
            f"subclasses must be integers [N], got {found.dtype} {list(found.shape)}"
        )
    wild = np.flatnonzero((found < 0) | (found >= known))
    if len(wild):
        given = f"sample {int(wild[0])} has subclass {int(found[wild[0]])}"
        raise InvalidInput(f"{given}; there are 0..{known - 1}, as parents has {known} entries")
    return found.astype(np.int64)


def as_array(values: Any) -> NDArray[Any]:
    """A list, array or tensor as an array; a ragged list becomes one of objects."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        return np.asarray(
            values.float() if values.dtype.itemsize < 4 and values.is_floating_point() else values
        )
    try:
        return np.asarray(values)
    except ValueError:
        return np.array([None, *values], dtype=object)[1:]
