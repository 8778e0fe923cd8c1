"""Similarity of Gaussian components: the Bhattacharyya coefficient, in chunks where it is large."""

from __future__ import annotations

import torch
from torch.utils.checkpoint import checkpoint

from explore.errors import InvalidInput
from explore.multilabel._checks import full_precision

CHUNK_VALUES = 2**23
"""Values of an intermediate array at most, 32 MB in float32, if ``chunk`` is not given."""


@full_precision
def component_similarity(
    means: torch.Tensor, variances: torch.Tensor, axes: int = 1, chunk: int | None = None
) -> torch.Tensor:
    """Return the Bhattacharyya coefficient of components of the same label, for all pairs.

    ρ = exp(−Σ_d [¼ (m_i − m_j)² / (v_i + v_j) + ½ log(½ (v_i + v_j)) − ¼ log v_i − ¼ log v_j]).

    Args:
        means, variances: ``[B, K]``, the same on all axes, or ``[B, D, K]``.
        axes: the number of axes D of ``[B, K]``; without effect otherwise.
        chunk: anchors that are computed at once from ``[B, D, K]``. Arrays of a chunk are computed
            again in the backward pass, so the memory does not grow with the square of the batch.
            By default as many as 32 MB hold.

    Returns:
        ``[B, B, K]`` in (0, 1]; 1 for equal parameters.

    Raises:
        InvalidInput: shapes that do not match.

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
    means: torch.Tensor, variances: torch.Tensor, axes: int = 1, chunk: int | None = None
) -> torch.Tensor:
    """Return the Bhattacharyya distance −log ρ, at least 0; see ``component_similarity``."""
    if means.shape != variances.shape or means.ndim not in (2, 3):
        raise InvalidInput(
            f"means and variances must both be [B, K] or [B, D, K], got {list(means.shape)} and "
            f"{list(variances.shape)}"
        )
    if means.ndim == 2:
        return axes * pair_distance(means, variances, means, variances)
    count, size, labels = means.shape
    rows = chunk or max(1, CHUNK_VALUES // max(count * size * labels, 1))
    return torch.cat(
        [
            checkpoint(_summed_distance, m, v, means, variances, use_reentrant=False)
            for m, v in zip(means.split(rows), variances.split(rows), strict=True)
        ]
    )


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
    total = first_variances[:, None] + second_variances[None]
    difference = first_means[:, None] - second_means[None]
    first, second = first_variances.sqrt()[:, None], second_variances.sqrt()[None]
    # ½ log of (v_i + v_j) / (2 √(v_i v_j)), which is an exact 0 for equal variances.
    ratio = 0.5 * torch.log1p((first - second).square() / (2 * first * second))
    return 0.25 * difference.square() / total + ratio


def _summed_distance(*parameters: torch.Tensor) -> torch.Tensor:
    return pair_distance(*parameters).sum(2)
