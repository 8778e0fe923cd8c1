"""Similarity of Gaussian components: the Bhattacharyya coefficient, in chunks where it is large."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.checkpoint import checkpoint

from explore.core.tensor_validation import check_labels as check_numbers, check_tensor
from explore.core.validation import check_whole_number
from explore.errors import InvalidInput
from explore.multilabel._checks import check_finite, full_precision, widen

MOST_AXES = 2**31

CHUNK_VALUES = 2**20
"""Values of an intermediate array at most, 4 MB in float32, if ``chunk`` is not given.

Larger arrays do not stay in the caches of the processor.
"""


@full_precision
def component_similarity(
    means: Any, variances: Any, axes: int = 1, chunk: int | None = None
) -> torch.Tensor:
    """Return the Bhattacharyya coefficient of components of the same label, for all pairs.

    ρ = exp(−Σ_d [¼ (m_i − m_j)² / (v_i + v_j) + ½ log(½ (v_i + v_j)) − ¼ log v_i − ¼ log v_j]).

    Args:
        means, variances: ``[B, K]``, the same on all axes, or ``[B, D, K]``.
        axes: the number of axes D of ``[B, K]``; without effect otherwise.
        chunk: anchors that are computed at once from ``[B, D, K]``. Arrays of a chunk are computed
            again in the backward pass, so the memory does not grow with the square of the batch.
            By default as many as 4 MB hold.

    Returns:
        ``[B, B, K]`` in (0, 1]; 1 for equal parameters.

    Raises:
        InvalidInput: shapes that do not match, means that are not finite, or variances that are
            not above 0.

    Source: KMCL (arXiv 2307.03967); Bhattacharyya (1943). The released code multiplies the
    anisotropic distance by D in addition to the sum over D; here it is summed only.

    Example:
        >>> ones = torch.ones(2, 1)
        >>> component_similarity(torch.tensor([[0.0], [2.0]]), ones).squeeze()
        tensor([[1.0000, 0.6065],
                [0.6065, 1.0000]])
    """
    return torch.exp(-component_distance(means, variances, axes, chunk))


def component_distance(
    means: Any, variances: Any, axes: int = 1, chunk: int | None = None
) -> torch.Tensor:
    """Return the Bhattacharyya distance −log ρ, at least 0; see ``component_similarity``."""
    means, variances = check_parameters(means, variances)
    axes = check_whole_number("axes", axes, at_least=1, at_most=MOST_AXES)
    chunk = None if chunk is None else check_whole_number("chunk", chunk, at_least=1)
    if means.ndim == 2:
        return _check_distance(axes * pair_distance(means, variances, means, variances))
    if not means.numel():
        return means.new_zeros(len(means), len(means), means.shape[2])
    count, size, labels = means.shape
    rows = min(count, chunk or max(1, CHUNK_VALUES // max(count * size * labels, 1)))
    return _check_distance(
        torch.cat(
            [
                checkpoint(_summed_distance, m, v, means, variances, use_reentrant=False)
                for m, v in zip(means.split(rows), variances.split(rows), strict=True)
            ]
        )
    )


@full_precision
def anchor_similarity(
    means: Any,
    variances: Any,
    anchors: Any,
    labels: Any,
    axes: int = 1,
    chunk: int | None = None,
) -> torch.Tensor:
    """Return the Bhattacharyya coefficients of P single components with those of all samples.

    These are rows of ``component_similarity``: a contrast needs those of an anchor's own labels
    alone, which are few of many.

    Args:
        means, variances: ``[B, K]``, the same on all axes, or ``[B, D, K]``.
        anchors, labels: sample and label of each component, ``[P]``.
        axes, chunk: as in ``component_similarity``; a chunk is a number of components.

    Returns:
        ``[P, B]`` in (0, 1].

    Raises:
        InvalidInput: shapes that do not match, or a sample or label that does not exist.

    Example:
        >>> ones, zero = torch.ones(2, 1), torch.tensor([0])
        >>> anchor_similarity(torch.tensor([[0.0], [2.0]]), ones, zero, zero)
        tensor([[1.0000, 0.6065]])
    """
    means, variances = check_parameters(means, variances)
    axes = check_whole_number("axes", axes, at_least=1, at_most=MOST_AXES)
    chunk = None if chunk is None else check_whole_number("chunk", chunk, at_least=1)
    anchors = check_tensor("anchors", anchors, ("P",), kind="integer", empty=True)
    anchors = check_numbers("anchors", anchors, len(anchors), len(means), "component")
    labels = check_numbers("labels", labels, len(anchors), means.shape[-1], "component")
    anchors, labels = anchors.to(means.device), labels.to(means.device)
    similarity = similarity_of_anchors(means, variances, anchors, labels, axes, chunk)
    _check_distance(similarity)
    return similarity


def similarity_of_anchors(
    means: torch.Tensor,
    variances: torch.Tensor,
    anchors: torch.Tensor,
    labels: torch.Tensor,
    axes: int,
    chunk: int | None = None,
) -> torch.Tensor:
    """Return the same as ``anchor_similarity`` for parameters that are checked."""
    # By label, then sample: [K, B] or [K, B, D].
    means, variances = (values.movedim(-1, 0).contiguous() for values in (means, variances))
    if means.ndim == 2:
        return torch.exp(-axes * _anchor_distance(anchors, labels, means, variances))
    rows = chunk or max(1, CHUNK_VALUES // max(means[0].numel(), 1))
    rows = max(1, min(len(anchors), rows))
    distances = [
        checkpoint(_summed_anchor_distance, *part, means, variances, use_reentrant=False)
        for part in zip(anchors.split(rows), labels.split(rows), strict=True)
    ]
    return torch.exp(-torch.cat(distances))


def check_parameters(means: Any, variances: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Return means and variances as floats of one type, float32 or wider.

    Raises:
        InvalidInput: they are not both ``[B, K]`` or ``[B, D, K]``, means are not finite, or
            variances are not finite and above 0.
    """
    means, variances = (
        widen(check_tensor(name, values, ("B", ...), empty=True))
        for name, values in (("means", means), ("variances", variances))
    )
    if means.shape != variances.shape or means.ndim not in (2, 3):
        raise InvalidInput(
            f"means and variances must both be [B, K] or [B, D, K], got {list(means.shape)} and "
            f"{list(variances.shape)}"
        )
    check_finite("means", means)
    check_finite("variances", variances)
    if bool((variances <= 0).any()):
        raise InvalidInput("variances must be above 0")
    if means.dtype != variances.dtype:
        return means.double(), variances.double()
    return means, variances


def _check_distance(distances: torch.Tensor) -> torch.Tensor:
    """Return distances, which may be infinite, but not NaN."""
    if bool(distances.detach().isnan().any()):
        raise InvalidInput(
            "means or variances are too large in magnitude, so that their distance overflows; "
            "rescale the features"
        )
    return distances


def pair_distance(
    first_means: torch.Tensor,
    first_variances: torch.Tensor,
    second_means: torch.Tensor,
    second_variances: torch.Tensor,
) -> torch.Tensor:
    """Return the Bhattacharyya distance on one axis between all rows of two sets, ``[A, B, ...]``.

    Args:
        first_means, first_variances: ``[A, ...]``.
        second_means, second_variances: ``[B, ...]``.
    """
    return axis_distance(
        first_means[:, None], first_variances[:, None], second_means[None], second_variances[None]
    )


def axis_distance(
    first_means: torch.Tensor,
    first_variances: torch.Tensor,
    second_means: torch.Tensor,
    second_variances: torch.Tensor,
) -> torch.Tensor:
    """Return the Bhattacharyya distance on one axis, element by element."""
    total = first_variances + second_variances
    difference = first_means - second_means
    first, second = first_variances.sqrt(), second_variances.sqrt()
    # ½ log of (v_i + v_j) / (2 √(v_i v_j)), which is an exact 0 for equal variances.
    ratio = 0.5 * torch.log1p((first - second).square() / (2 * first * second))
    return 0.25 * difference.square() / total + ratio


def _summed_distance(*parameters: torch.Tensor) -> torch.Tensor:
    return pair_distance(*parameters).sum(2)


def _anchor_distance(
    anchors: torch.Tensor, labels: torch.Tensor, means: torch.Tensor, variances: torch.Tensor
) -> torch.Tensor:
    """Return the distances on each axis of P components, ``[P, B, ...]``."""
    components = means[labels, anchors][:, None], variances[labels, anchors][:, None]
    return axis_distance(*components, means[labels], variances[labels])


def _summed_anchor_distance(*arguments: torch.Tensor) -> torch.Tensor:
    return _anchor_distance(*arguments).sum(2)
