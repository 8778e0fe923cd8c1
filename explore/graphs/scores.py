"""The area under the ROC curve, by which node scores are compared with known nodes; no torch."""

from __future__ import annotations

import numpy as np


def area_under_curve(scores: np.ndarray, truth: np.ndarray) -> float:
    """Return the AUROC: the probability that a node of the motif has a higher score than another.

    Ties count one half; NaN if all nodes are of one kind.

    Example:
        >>> area_under_curve(np.array([0.1, 0.9, 0.9, 0.2]), np.array([False, True, False, False]))
        0.8333333333333334
    """
    inside, outside = scores[truth], scores[~truth]
    if not len(inside) or not len(outside):
        return float("nan")
    difference = inside[:, None] - outside[None]
    return float(((difference > 0) + 0.5 * (difference == 0)).mean())
