"""How much two label sets have in common, and which pairs are positive."""

from __future__ import annotations

from typing import Any

import torch

from explore.core.validation import check_choice, check_flag, check_number
from explore.multilabel._checks import check_labels, full_precision
from explore.multilabel._label_sets import is_at_least, overlap_of
from explore.multilabel.config import OVERLAP_NAMES


@full_precision
def label_overlap(labels: Any, kind: str = "jaccard", empty_match: bool = False) -> torch.Tensor:
    """Return the overlap of the label sets of all pairs of samples.

    With i the number of shared labels of a and b: "jaccard" i / |a or b|, "dice" 2 i / (|a| + |b|),
    "overlap" i / min(|a|, |b|), "recall" i / |a| (a is the row: the share of the labels of the
    anchor), "cosine" i / √(|a| |b|).

    Args:
        labels: ``[N, K]`` of 0 and 1.
        kind: one of these names.
        empty_match: two samples without labels have the overlap 1 in place of 0.

    Returns:
        float32 ``[N, N]`` in 0..1; 0 where one of both sets is empty.

    Raises:
        InvalidInput: labels other than 0 and 1.
        UnknownName: another kind.

    Source: Jaccard is the weight J of KMCL (arXiv 2307.03967); ProbMCL (arXiv 2401.01448) chooses
    its measure by an ablation that we could not obtain.

    Example:
        >>> label_overlap(torch.tensor([[1, 1, 0], [0, 1, 1]]))
        tensor([[1.0000, 0.3333],
                [0.3333, 1.0000]])
    """
    kind = check_choice("kind", kind, OVERLAP_NAMES)
    empty_match = check_flag("empty_match", empty_match)
    labels = check_labels(labels)
    result: torch.Tensor = overlap_of(labels, kind)
    if empty_match:
        is_empty = labels.sum(1) == 0
        result = torch.where(is_empty[:, None] & is_empty, 1.0, result)
    return result


def positive_pairs(labels: Any, alpha: float = 0.5, kind: str = "jaccard") -> torch.Tensor:
    """Return which pairs of samples have an overlap of at least ``alpha``.

    Args:
        labels: ``[N, K]`` of 0 and 1.
        alpha: threshold in (0, 1]. Close to 0, one shared label is enough; 1 with "jaccard" asks
            for equal label sets.
        kind: see ``label_overlap``.

    Returns:
        bool ``[N, N]``; False on the diagonal and for samples without labels.

    Raises:
        InvalidInput: alpha is not in (0, 1], or labels other than 0 and 1.

    Source: the index set A(i) of ProbMCL (arXiv 2401.01448).

    Example:
        >>> positive_pairs(torch.tensor([[1, 1, 0], [0, 1, 1], [0, 1, 0]]), alpha=0.5)
        tensor([[False, False,  True],
                [False, False,  True],
                [ True,  True, False]])
    """
    alpha = check_number("alpha", alpha, above=0, at_most=1)
    positives = is_at_least(label_overlap(labels, kind), alpha)
    return positives.fill_diagonal_(False)
