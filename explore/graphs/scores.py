"""The area under the ROC curve, by which node scores are compared with known nodes; no torch."""

from __future__ import annotations

from typing import Any

from explore.core.array_validation import check_array


def area_under_curve(scores: Any, truth: Any) -> float:
    """Return the AUROC: the probability that a node of the motif has a higher score than another.

    Ties count one half; NaN if all nodes are of one kind.

    Args:
        scores: ``[n]``.
        truth: bool ``[n]``, the nodes of the motif.

    Raises:
        InvalidInput: arrays of another shape or type, or scores that are not finite.

    Example:
        >>> area_under_curve([0.1, 0.9, 0.9, 0.2], [False, True, False, False])
        0.8333333333333334
    """
    scores = check_array("scores", scores, ("n",), empty=True)
    truth = check_array("truth", truth, scores.shape, kind="flag", empty=True)
    inside, outside = scores[truth], scores[~truth]
    if not len(inside) or not len(outside):
        return float("nan")
    first, second = inside[:, None], outside[None]
    return float(((first > second) + 0.5 * (first == second)).mean())
