"""The learnt adjacency of synthetic graphs: a concrete relaxation of independent edges."""

from __future__ import annotations

import torch

from explore.core.validation import check_whole_number

MOST_STEPS = 2**63
"""Larger numbers are no steps."""

FLOOR = 1e-6
"""Uniform draws are clamped to [FLOOR, 1 − FLOOR], so that their logits are finite."""

LAST_TEMPERATURE = 0.01


def temperature_at(step: int, anneal: int) -> float:
    """Return the temperature of a step: from 1 at step 0 to 0.01 at step ``anneal``, exponentially.

    The step is that of the run, so the temperature does not depend on how often a step draws edges.

    Raises:
        InvalidInput: a step below 0, or ``anneal`` below 1.

    Source: GSTAM's and DosCond's released code, which counts calls in place of steps.

    Example:
        >>> temperature_at(0, 200), round(temperature_at(100, 200), 4), temperature_at(900, 200)
        (1.0, 0.1, 0.01)
    """
    step = check_whole_number("step", step, at_least=0, at_most=MOST_STEPS)
    anneal = check_whole_number("anneal", anneal, at_least=1, at_most=MOST_STEPS)
    return float(max(LAST_TEMPERATURE, LAST_TEMPERATURE ** (step / anneal)))


def symmetric(logits: torch.Tensor) -> torch.Tensor:
    """Return the mean of matrices and their transposes, ``[..., N, N]``."""
    return (logits + logits.mT) / 2


def valid_pairs(mask: torch.Tensor) -> torch.Tensor:
    """Return which pairs of nodes can be joined: bool ``[..., N, N]``, two different real nodes."""
    nodes = mask.shape[-1]
    different = ~torch.eye(nodes, dtype=torch.bool, device=mask.device)
    return mask[..., :, None] & mask[..., None, :] & different


def sample_edges(
    logits: torch.Tensor, temperature: float, pairs: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """Draw relaxed adjacency matrices: ``sigmoid((O + log U − log(1 − U)) / t)``, O symmetric.

    Args:
        logits: ``[..., N, N]``.
        temperature: t; near 0, an edge is there with probability ``sigmoid(O)``.
        pairs: see ``valid_pairs``; all others are 0.
        generator: of the uniform draws U, one for each pair of nodes.

    Returns:
        ``[..., N, N]``, symmetric, in [0, 1], with a zero diagonal; differentiable in ``logits``.

    Source: Maddison et al. and Jang et al., ICLR 2017, as DosCond uses it (arXiv 2206.07746).
    """
    uniform = torch.rand(logits.shape, generator=generator).to(logits)
    upper = uniform.triu(1)
    uniform = (upper + upper.mT).clamp(FLOOR, 1 - FLOOR)
    noise = uniform.log() - (1 - uniform).log()
    return torch.sigmoid((symmetric(logits) + noise) / temperature) * pairs


def most_likely_edges(logits: torch.Tensor, pairs: torch.Tensor) -> torch.Tensor:
    """Return the adjacency of all edges with a probability above one half, in the type of
    ``logits``."""
    return ((symmetric(logits) > 0) & pairs).to(logits.dtype)


def edge_share(probabilities: torch.Tensor, pairs: torch.Tensor) -> torch.Tensor:
    """Return the mean probability over all valid pairs of all graphs, a scalar."""
    return (probabilities * pairs).sum() / pairs.sum().clamp(min=1)


def sparsity_penalty(logits: torch.Tensor, pairs: torch.Tensor, target: float) -> torch.Tensor:
    """Return by how much the mean edge probability exceeds ``target``; 0 if it does not.

    The released code averages over padding, diagonal and logits that are not symmetric; here only
    valid pairs count (our reading).
    """
    return (edge_share(torch.sigmoid(symmetric(logits)), pairs) - target).relu()
