"""Test the learnt adjacency: frequencies of drawn edges, the clock of the temperature, the penalty by hand, finite differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from explore.graphs.adjacency import (
    edge_share,
    most_likely_edges,
    sample_edges,
    sparsity_penalty,
    symmetric,
    temperature_at,
    valid_pairs,
)

MASK = torch.tensor([[True, True, True, True], [True, True, True, False]])
PAIRS = valid_pairs(MASK)


def some_logits(*shape: int, seed: int = 0, scale: float = 3.0) -> torch.Tensor:
    """Return logits that are not symmetric."""
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(*shape, generator=generator, dtype=torch.float64)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_valid_pairs_equal_a_loop() -> None:
    for graph, node, neighbour in np.ndindex(*PAIRS.shape):
        expected = MASK[graph, node] and MASK[graph, neighbour] and node != neighbour
        assert PAIRS[graph, node, neighbour] == bool(expected)
    assert PAIRS.sum((1, 2)).tolist() == [12, 6]


# ---- drawn edges


@given(
    st.integers(0, 10**6),
    st.sampled_from([1.0, 0.1, 0.01]),
    st.sampled_from([torch.float32, torch.float64]),
    st.sampled_from([1.0, 50.0, 1e4]),
)
def test_drawn_edges_are_an_adjacency(
    seed: int, temperature: float, dtype: torch.dtype, scale: float
) -> None:
    logits = some_logits(2, 4, 4, seed=seed, scale=scale).to(dtype)
    edges = sample_edges(logits, temperature, PAIRS, generator(seed))
    assert edges.dtype == dtype
    assert torch.equal(edges, edges.mT)
    assert edges[~PAIRS].count_nonzero() == 0
    assert edges.diagonal(dim1=1, dim2=2).count_nonzero() == 0
    assert ((edges >= 0) & (edges <= 1)).all()
    assert torch.equal(edges, sample_edges(logits, temperature, PAIRS, generator(seed)))
    assert not torch.equal(edges, sample_edges(logits * 0, 1.0, PAIRS, generator(seed + 1)))


def test_one_pair_by_hand() -> None:
    logits = torch.tensor([[9.0, 1.0], [2.0, 9.0]], dtype=torch.float64)  # The log-odds are 1.5.
    pairs = valid_pairs(torch.ones(2, dtype=torch.bool))
    uniform = float(torch.rand(2, 2, generator=generator(5))[0, 1])
    odds = math.exp((1.5 + math.log(uniform) - math.log(1 - uniform)) / 0.5)
    edges = sample_edges(logits, 0.5, pairs, generator(5))
    expected = odds / (1 + odds) * (1 - torch.eye(2, dtype=torch.float64))
    torch.testing.assert_close(edges, expected)


def test_at_the_last_temperature_edges_are_as_frequent_as_their_probability() -> None:
    draws = 20_000
    logits = some_logits(4, 4, scale=1.5)
    edges = sample_edges(
        logits.expand(draws, 4, 4), 0.01, PAIRS[0].expand(draws, 4, 4), generator()
    )
    rows, columns = torch.triu_indices(4, 4, 1)
    probability = torch.sigmoid((logits + logits.T) / 2)[rows, columns]
    drawn = edges[:, rows, columns]
    error = (probability * (1 - probability) / draws).sqrt()
    assert ((drawn.round().mean(0) - probability).abs() <= 4 * error).all()
    assert ((drawn - drawn.round()).abs() > 0.01).double().mean() < 0.05, "edges are nearly hard"
    # Pairs are independent of one another.
    correlation = torch.corrcoef(drawn.round().T) - torch.eye(6)
    assert correlation.abs().max() < 4.5 / math.sqrt(draws)


def test_the_gradient_is_that_of_finite_differences() -> None:
    logits = some_logits(2, 4, 4).requires_grad_()
    for temperature in (1.0, 0.3):
        assert torch.autograd.gradcheck(
            lambda x, t=temperature: sample_edges(x, t, PAIRS, generator(1)), logits
        )
        assert torch.autograd.gradgradcheck(
            lambda x, t=temperature: sample_edges(x, t, PAIRS, generator(1)), logits
        )
    assert torch.autograd.gradcheck(lambda x: sparsity_penalty(x, PAIRS, 0.1), logits)


def test_padding_and_extreme_logits_have_finite_gradients() -> None:
    logits = torch.full((2, 4, 4), 1e4)
    logits[:, 0] = -1e4
    logits.requires_grad_()
    sample_edges(logits, 0.01, PAIRS, generator()).sum().backward()
    assert logits.grad.isfinite().all()
    assert logits.grad[~PAIRS].count_nonzero() == 0


# ---- likely edges


def test_likely_edges_are_those_above_one_half() -> None:
    logits = some_logits(2, 4, 4)
    edges = most_likely_edges(logits, PAIRS)
    for graph, node, neighbour in np.ndindex(*PAIRS.shape):
        log_odds = (logits[graph, node, neighbour] + logits[graph, neighbour, node]) / 2
        expected = bool(PAIRS[graph, node, neighbour]) and 1 / (1 + math.exp(-log_odds)) > 0.5
        assert edges[graph, node, neighbour] == float(expected)
    assert torch.equal(edges, most_likely_edges(logits, PAIRS))
    assert most_likely_edges(torch.zeros(2, 4, 4), PAIRS).count_nonzero() == 0
    assert torch.equal(symmetric(logits), symmetric(logits.mT))


# ---- the clock and the penalty


def test_the_temperature_falls_exponentially_and_then_stays() -> None:
    values = [temperature_at(step, 50) for step in range(101)]
    assert values[0] == 1
    assert values[25] == pytest.approx(0.1)
    assert values[50:] == [0.01] * 51
    ratios = np.divide(values[1:51], values[:50])
    np.testing.assert_allclose(ratios, 0.01 ** (1 / 50))
    assert temperature_at(0, 1) == 1
    assert temperature_at(10**6, 1) == 0.01


def test_the_penalty_counts_valid_pairs_only() -> None:
    logits = torch.full((2, 4, 4), 100.0)
    logits[PAIRS] = 0  # probability one half
    assert float(sparsity_penalty(logits, PAIRS, 0.2)) == pytest.approx(0.3)
    assert float(sparsity_penalty(logits, PAIRS, 0.5)) == 0
    assert float(sparsity_penalty(logits, PAIRS, 0.9)) == 0


def test_the_penalty_equals_a_loop() -> None:
    logits = some_logits(2, 4, 4)
    probabilities = [
        1 / (1 + math.exp(-(logits[g, i, j] + logits[g, j, i]) / 2))
        for g, i, j in np.ndindex(*PAIRS.shape)
        if PAIRS[g, i, j]
    ]
    mean = sum(probabilities) / len(probabilities)
    assert float(edge_share(torch.sigmoid(symmetric(logits)), PAIRS)) == pytest.approx(mean)
    for target in (0.0, mean / 2, mean + 0.1):
        expected = max(0.0, mean - target)
        assert float(sparsity_penalty(logits, PAIRS, target)) == pytest.approx(expected)


def test_graphs_without_a_pair_have_no_penalty() -> None:
    pairs = valid_pairs(torch.ones(3, 1, dtype=torch.bool))
    logits = torch.ones(3, 1, 1, requires_grad=True)
    penalty = sparsity_penalty(logits, pairs, 0.0)
    penalty.backward()
    assert float(penalty.detach()) == 0
    assert logits.grad.count_nonzero() == 0
