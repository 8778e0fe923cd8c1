"""Scores of multi-label predictions: mAP, precision, recall and F1, per label and overall."""

from __future__ import annotations

from typing import Any

import numpy as np

from explore.core.array_validation import as_array, check_array
from explore.core.validation import check_choice, check_flag, check_whole_number, describe
from explore.errors import InvalidInput
from explore.multilabel._array_checks import check_label_array

THRESHOLD_KINDS = ("global", "per-label")
THRESHOLD_MEASURES = ("OF1", "CF1")
MOST_CANDIDATES = 20_000
"""Thresholds that ``choose_threshold`` tries at most; 0.5 is always one of them."""


def average_precision(scores: Any, labels: Any, mask: Any = None) -> np.ndarray:
    """Return the average precision of each label.

    It is the mean over the positives of the precision at their score. Equal scores are one
    threshold, so the order of the samples has no effect.

    Args:
        scores: ``[N, K]``; only their order matters.
        labels: ``[N, K]`` of 0 and 1.
        mask: bool ``[N, K]``; pairs that are False do not count (VOC's difficult objects).

    Returns:
        float64 ``[K]``, in 0..1; NaN for a label without a positive.

    Raises:
        InvalidInput: shapes that do not match, labels other than 0 and 1, or scores that are not
            finite.

    Example:
        >>> average_precision([[0.9], [0.8], [0.7]], [[1], [0], [1]]).round(4)
        array([0.8333])
    """
    scores, labels, mask = _checked(scores, labels, mask)
    return np.array(
        [
            _label_average_precision(s[m], y[m])
            for s, y, m in zip(scores.T, labels.T, mask.T, strict=True)
        ]
    )


def _label_average_precision(scores: np.ndarray, labels: np.ndarray) -> float:
    if not labels.any():
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    is_last = np.append(np.diff(scores[order]) != 0, True)  # the last of equal scores
    hits = np.cumsum(labels[order])[is_last]
    precision = hits / (np.flatnonzero(is_last) + 1)
    return float((np.diff(hits, prepend=0) * precision).sum() / hits[-1])


def multilabel_report(
    scores: Any,
    labels: Any,
    threshold: Any = 0.5,
    top_k: int | None = None,
    mask: Any = None,
    legacy: bool = False,
) -> dict[str, float | int]:
    """Return the usual scores of a multi-label classifier.

    A label is predicted where its score is at least the threshold. Labels without a positive are
    left out of mAP, CP, CR and macro F1, and counted. A label that is never predicted has the
    precision 0. CF1 is the harmonic mean of CP and CR, which is not the mean of the labels' F1
    ("macro_f1"). OP, OR and OF1 count all pairs of sample and label.

    Args:
        scores: probabilities ``[N, K]`` in 0..1.
        labels: ``[N, K]`` of 0 and 1.
        threshold: a number, or ``[K]``. Choose it on validation data (``choose_threshold``).
        top_k: predict at most the k largest scores of a sample, and these only above the threshold;
            equal scores are taken in the order of the labels. With ``threshold=0`` exactly k.
        mask: bool ``[N, K]``; pairs that are False do not count.
        legacy: count a label that is never predicted as predicted once in OP, as a meter in wide
            use does; this lowers OP.

    Returns:
        "mAP", "CP", "CR", "CF1", "OP", "OR", "OF1", "macro_f1" in 0..1 (NaN if no label has a
        positive); "labels", "labels_without_positives" and "samples", numbers.

    Raises:
        InvalidInput: shapes that do not match, labels other than 0 and 1, or scores outside 0..1.

    Source: the measures of arXiv 1604.04573 (CNN-RNN) as the field computes them.

    Example:
        >>> report = multilabel_report([[0.9, 0.2], [0.8, 0.6]], [[1, 0], [0, 1]])
        >>> report["CP"], report["CR"], round(report["CF1"], 4), round(report["macro_f1"], 4)
        (0.75, 1.0, 0.8571, 0.8333)
    """
    legacy = check_flag("legacy", legacy)
    scores, labels, mask = _checked(scores, labels, mask)
    _check_probabilities(scores, mask)
    count = scores.shape[1]
    limits = _check_threshold(threshold, count)
    predicted = scores >= limits
    if top_k is not None:
        k = check_whole_number("top_k", top_k, at_least=1, at_most=count)
        rank = np.argsort(np.argsort(-scores, axis=1, kind="stable"), axis=1)
        predicted &= rank < k
    predicted &= mask
    correct = (predicted & (labels > 0)).sum(0).astype(float)
    predictions, positives = predicted.sum(0).astype(float), labels.sum(0)
    rows = positives > 0
    precision = correct[rows] / np.maximum(predictions[rows], 1)
    recall = correct[rows] / positives[rows]
    cp, cr = (_mean(values) for values in (precision, recall))
    if legacy:
        predictions = np.maximum(predictions, 1)
    op = _ratio(correct.sum(), predictions.sum())
    overall_recall = _ratio(correct.sum(), positives.sum())
    f1 = 2 * correct[rows] / (predicted.sum(0)[rows] + positives[rows])
    return {
        "mAP": _mean(average_precision(scores, labels, mask)[rows]),
        "CP": cp,
        "CR": cr,
        "CF1": _harmonic(cp, cr),
        "OP": op,
        "OR": overall_recall,
        "OF1": _harmonic(op, overall_recall),
        "macro_f1": _mean(f1),
        "labels": count,
        "labels_without_positives": int((~rows).sum()),
        "samples": len(scores),
    }


def choose_threshold(
    scores: Any, labels: Any, kind: str = "global", measure: str = "OF1", mask: Any = None
) -> Any:
    """Return the threshold with the best F1. Use validation data, never the test data.

    Args:
        scores: probabilities ``[N, K]`` in 0..1.
        labels: ``[N, K]`` of 0 and 1.
        kind: "global": one threshold with the best ``measure``; "per-label": for each label the one
            with the best F1 of this label, 0.5 for a label without a positive.
        measure: "OF1" or "CF1", for "global".
        mask: bool ``[N, K]``; pairs that are False do not count.

    Returns:
        A number, or ``[K]``: the middle between two neighbouring scores, or 0.5. Of equally good
        values the one that is closest to 0.5. With more than 20,000 middles, as many of
        them are tried, at equal distances in their order.

    Raises:
        InvalidInput, UnknownName: see ``multilabel_report``.

    Example:
        >>> choose_threshold([[0.3], [0.1]], [[1], [0]])
        0.2
    """
    kind = check_choice("kind", kind, THRESHOLD_KINDS)
    measure = check_choice("measure", measure, THRESHOLD_MEASURES)
    scores, labels, mask = _checked(scores, labels, mask)
    _check_probabilities(scores, mask)
    if kind == "global":
        return _best_threshold(scores, labels, mask, measure)
    columns = ([k] for k in range(scores.shape[1]))
    return np.array(
        [_best_threshold(scores[:, k], labels[:, k], mask[:, k], "OF1") for k in columns]
    )


def _best_threshold(
    scores: np.ndarray, labels: np.ndarray, mask: np.ndarray, measure: str
) -> float:
    """Return the middle between two neighbouring scores with the best F1, the lowest, or 0.5."""
    values = np.unique(scores[mask])
    candidates = (values[1:] + values[:-1]) / 2
    if len(candidates) > MOST_CANDIDATES:
        rows = np.linspace(0, len(candidates) - 1, MOST_CANDIDATES).round().astype(int)
        candidates = candidates[rows]
    candidates = np.concatenate([values[:1], candidates, [0.5]])  # The first predicts all.
    candidates = candidates[np.lexsort((candidates, abs(candidates - 0.5)))]
    # Predictions and correct predictions of each candidate and label, [T, K].
    predicted = _count_at_least(scores, mask, candidates)
    correct = _count_at_least(scores, mask & (labels > 0), candidates)
    positives = labels.sum(0)
    if measure == "OF1":
        f1 = 2 * correct.sum(1) / np.maximum(predicted.sum(1) + positives.sum(), 1)
    else:
        rows = positives > 0
        precision = _row_means((correct / np.maximum(predicted, 1))[:, rows])
        recall = _row_means(correct[:, rows] / positives[rows])
        f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-300)
    return float(candidates[int(np.argmax(f1))])


def _count_at_least(scores: np.ndarray, rows: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """Return how many of the selected scores of each column reach each limit, ``[T, K]``."""
    columns = [np.sort(values[chosen]) for values, chosen in zip(scores.T, rows.T, strict=True)]
    return np.stack([len(values) - np.searchsorted(values, limits) for values in columns], 1)


def _row_means(values: np.ndarray) -> np.ndarray:
    """Return the means of rows; 0 for rows without values."""
    return values.sum(1) / max(values.shape[1], 1)


def _checked(scores: Any, labels: Any, mask: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return scores, labels (0 where they are not known) and the mask as NumPy arrays."""
    score_array = check_array("scores", scores, ("N", "K"), finite=False)
    label_array = check_label_array(labels, mask)
    if score_array.shape != label_array.shape:
        raise InvalidInput(
            f"scores and labels must both be [N, K], got {list(score_array.shape)} and "
            f"{list(label_array.shape)}"
        )
    if mask is None:
        mask = np.ones(score_array.shape, bool)
    else:
        mask = check_array("mask", mask, score_array.shape, kind="flag")
    if not np.isfinite(score_array[mask]).all():
        row, column = np.argwhere(mask & ~np.isfinite(score_array))[0]
        raise InvalidInput(
            f"scores must be finite, got NaN or infinity in row {row}, column {column}"
        )
    return score_array, label_array, mask


def _check_probabilities(scores: np.ndarray, mask: np.ndarray) -> None:
    values = scores[mask]
    if values.size and not (values.min() >= 0 and values.max() <= 1):
        raise InvalidInput(
            f"scores must be probabilities in 0..1, got {values.min():g} to {values.max():g}; "
            "use the sigmoid of logits"
        )


def _check_threshold(threshold: Any, count: int) -> np.ndarray:
    limits = as_array("threshold", threshold)
    is_number = limits.dtype.kind in "iuf" and limits.shape in ((), (count,))
    if not is_number or not ((limits >= 0) & (limits <= 1)).all():
        raise InvalidInput(
            f"threshold must be a number in 0..1 or [{count}], got {describe(threshold)}"
        )
    return limits.astype(np.float64)


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _ratio(first: float, second: float) -> float:
    return float(first / second) if second else (float("nan") if first else 0.0)


def _harmonic(first: float, second: float) -> float:
    if np.isnan(first) or np.isnan(second):
        return float("nan")
    return 2 * first * second / (first + second) if first + second else 0.0
