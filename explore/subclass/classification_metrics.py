"""Metrics of class predictions by scikit-learn: accuracy, F1, AUC, Brier score, calibration."""

from __future__ import annotations

from typing import Any

import numpy as np

from explore.core.array_validation import check_array
from explore.core.validation import check_whole_number, describe
from explore.errors import InvalidInput

SUM_TOLERANCE, HALF_SUM_TOLERANCE = 1e-4, 1e-2
"""How far the sum of a sample's probabilities may be from 1, and in half precision."""


def report(probabilities: Any, labels: Any, positive: int = 1, bins: int = 10) -> dict[str, Any]:
    """Return metrics of class probabilities.

    Args:
        probabilities: ``[N, C]``, such as those of ``class_probabilities``; an array, a list or a
            tensor.
        labels: classes ``[N]``, integers of any type.
        positive: the class for F1, Brier score and calibration. On imbalanced data F1 of the rare
            class and macro F1 differ widely, so a report should name the class.
        bins: of the reliability curve, each with the same number of samples.

    Returns:
        ``accuracy``, ``f1`` (of ``positive``), ``macro_f1``, ``auc`` (of ``positive`` for two
        classes, else the mean over classes; NaN if a class has no sample), ``brier`` (of
        ``positive``), and ``calibration``: ``[bins, 2]``, mean predicted probability and observed
        share of ``positive``.

    Raises:
        InvalidInput: shapes that do not fit, probabilities that do not sum to 1, or no such class.

    Example:
        >>> metrics = report([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]], [0, 0, 1])
        >>> round(metrics["accuracy"], 3), round(metrics["f1"], 3), metrics["auc"]
        (0.667, 0.667, 1.0)
    """
    from sklearn.calibration import calibration_curve
    from sklearn.metrics import accuracy_score, brier_score_loss, f1_score, roc_auc_score

    p = check_array("probabilities", probabilities, ("N", "C"), finite=False)
    y = check_array("labels", labels, ("N",), kind="integer")
    if len(y) != len(p):
        raise InvalidInput(
            "expected probabilities [N, C] and integer labels [N], "
            f"got {describe(p)} and {describe(y)}"
        )
    dtype = getattr(probabilities, "dtype", None)
    is_half = dtype is not None and dtype.itemsize == 2
    tolerance = HALF_SUM_TOLERANCE if is_half else SUM_TOLERANCE
    if not np.isfinite(p).all() or (p < 0).any() or np.abs(p.sum(1) - 1).max() > tolerance:
        raise InvalidInput(
            "probabilities must be 0 or more and sum to 1 in each row; pass a softmax, not logits"
        )
    bins = check_whole_number("bins", bins, at_least=1, at_most=10_000)
    classes = p.shape[1]
    positive = check_whole_number("positive", positive)
    if not 0 <= positive < classes or y.min() < 0 or y.max() >= classes:
        raise InvalidInput(
            f"the classes are 0..{classes - 1}; "
            f"got positive={positive} and labels {y.min()}..{y.max()}"
        )
    p = p.astype(np.float64) / p.sum(1, keepdims=True, dtype=np.float64)
    predictions, is_positive, p_positive = p.argmax(1), y == positive, p[:, positive]
    labels = np.arange(classes)
    if len(np.unique(y)) < classes:
        auc = float("nan")
    elif classes == 2:
        auc = roc_auc_score(is_positive, p_positive)
    else:
        auc = roc_auc_score(y, p, multi_class="ovr", labels=labels)
    curve = calibration_curve(is_positive, p_positive, n_bins=bins, strategy="quantile")
    f1: Any = {"average": "macro", "zero_division": 0}
    return {
        "accuracy": float(accuracy_score(y, predictions)),
        "f1": float(f1_score(y, predictions, labels=[positive], **f1)),
        "macro_f1": float(f1_score(y, predictions, labels=labels, **f1)),
        "auc": float(auc),
        "brier": float(brier_score_loss(is_positive, p_positive, labels=[False, True])),
        "calibration": np.stack(curve[::-1], 1),
    }
