"""The overlap of label sets, for tensors and for NumPy arrays, without torch."""

from __future__ import annotations

from typing import Any

ROUNDING = 1e-6
"""Overlaps that differ by less are equal: whether 3/5 is 0.6 must not depend on the last bit."""


def overlap_of(labels: Any, kind: str, anchors: Any = None) -> Any:
    """Return the overlap of label sets, ``[A, N]``; see ``explore.multilabel.label_overlap``.

    Args:
        labels: floating-point ``[N, K]`` of 0 and 1, a tensor or an array.
        kind: the measure.
        anchors: ``[A, K]``; by default the same as ``labels``.

    Example:
        >>> import numpy as np
        >>> overlap_of(np.array([[1.0, 1.0], [0.0, 1.0]]), "recall")
        array([[1. , 0.5],
               [1. , 1. ]])
    """
    anchors = labels if anchors is None else anchors
    shared = anchors @ labels.T
    first, second = anchors.sum(1)[:, None], labels.sum(1)[None]
    total = {
        "jaccard": lambda: first + second - shared,
        "dice": lambda: (first + second) / 2,
        "overlap": lambda: (first + second - abs(first - second)) / 2,  # the smaller of both
        "recall": lambda: first + 0 * second,
        "cosine": lambda: (first * second) ** 0.5,
    }[kind]()
    # Nothing is shared wherever one set is empty, so 0 / 1 is 0 there.
    return shared / (total + (total == 0))


def is_at_least(overlap: Any, alpha: float) -> Any:
    """Return whether overlaps reach a threshold, up to rounding."""
    return overlap >= alpha - ROUNDING
