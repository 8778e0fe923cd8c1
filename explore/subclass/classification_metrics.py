"""How good class predictions are: accuracy, F1 of a named class, macro F1, AUC and calibration, by scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np

from explore.errors import InvalidInput


def report(probabilities: Any, labels: Any, positive: int = 1, bins: int = 10) -> dict[str, Any]:
    """Scores of class probabilities.

    Args:
        probabilities: ``[N, C]``, e.g. of ``class_probabilities``; an array or a tensor.
        labels: classes ``[N]``, integers.
        positive: the class that F1 is of, and calibration too. Which one a paper means is worth saying: on imbalanced
            data F1 of the rare class and macro F1 differ widely.
        bins: of the reliability curve, each with as many samples.

    Returns:
        ``accuracy``, ``f1`` (of ``positive``), ``macro_f1``, ``auc`` (of ``positive`` against the rest for two classes,
        else the mean over classes; NaN if a class has no sample), ``brier`` (of ``positive``),
        ``calibration``: ``[bins, 2]``, mean predicted probability and observed share of ``positive`` in each bin.

    Raises:
        InvalidInput: shapes that do not fit, probabilities that do not sum to 1, no such class.

    Example:
        >>> found = report([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]], [0, 0, 1])
        >>> round(found["accuracy"], 3), round(found["f1"], 3), found["auc"]
        (0.667, 0.667, 1.0)
    """
    from sklearn.calibration import calibration_curve
    from sklearn.metrics import accuracy_score, brier_score_loss, f1_score, roc_auc_score

    p, y = (
        np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)
        for values in (probabilities, labels)
    )
    if p.ndim != 2 or y.shape != (len(p),) or not len(p) or not np.issubdtype(y.dtype, np.integer):
        raise InvalidInput(
            f"expected probabilities [N, C] and integer labels [N], got {list(p.shape)} and {y.dtype} {list(y.shape)}"
        )
    if not np.isfinite(p).all() or (p < 0).any() or np.abs(p.sum(1) - 1).max() > 1e-4:
        raise InvalidInput(
            "probabilities must be 0 or more and sum to 1 in each row; give a softmax, not logits"
        )
    if isinstance(bins, bool) or bins < 1:
        raise InvalidInput(f"bins must be at least 1, got {bins!r}")
    if (
        isinstance(positive, bool)
        or not 0 <= positive < p.shape[1]
        or y.min() < 0
        or y.max() >= p.shape[1]
    ):
        raise InvalidInput(
            f"there are classes 0..{p.shape[1] - 1}; got positive={positive} and labels {y.min()}..{y.max()}"
        )
    p = p.astype(np.float64) / p.sum(1, keepdims=True, dtype=np.float64)
    guess, is_positive = p.argmax(1), y == positive
    every = np.arange(p.shape[1])
    if len(np.unique(y)) < p.shape[1]:
        auc = float("nan")
    elif p.shape[1] == 2:
        auc = roc_auc_score(is_positive, p[:, positive])
    else:
        auc = roc_auc_score(y, p, multi_class="ovr", labels=every)
    observed, predicted = calibration_curve(
        is_positive, p[:, positive], n_bins=bins, strategy="quantile"
    )
    return {
        "accuracy": float(accuracy_score(y, guess)),
        "f1": float(f1_score(y, guess, labels=[positive], average="macro", zero_division=0)),
        "macro_f1": float(f1_score(y, guess, labels=every, average="macro", zero_division=0)),
        "auc": float(auc),
        "brier": float(brier_score_loss(is_positive, p[:, positive], labels=[False, True])),
        "calibration": np.stack([predicted, observed], 1),
    }
