"""Test structural attention by hand, against loops over graphs and nodes, and its gradient by finite differences."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, strategies as st
from torch import nn

from explore.errors import InvalidInput
from explore.graphs import structural_attention
from explore.graphs.attention import raise_to

POWERS = (1, 2, 3, 4, 5.0, 0.5, 2.5)


def activations(seed: int, *shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Return values as after ReLU: about half of them are zero."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=dtype).relu()


def naive(graphs: list[torch.Tensor], power: float) -> torch.Tensor:
    """Return the structural attention by loops over graphs, nodes and channels."""
    width = graphs[0].shape[1]
    total = [[0.0] * width for _ in range(width)]
    for graph in graphs:
        for node in graph.tolist():
            for i, a in enumerate(node):
                for j, b in enumerate(node):
                    total[i][j] += a**power * b**power
    result = torch.tensor(total, dtype=torch.float64)
    return result / result.abs().sum()


def test_two_nodes_by_hand() -> None:
    hidden = torch.tensor([[1.0, 2.0], [0.0, 3.0]])
    # P^T P = [[1, 2], [2, 13]] with the power 1; [[1, 4], [4, 97]] with the power 2.
    expected = {1: [[1, 2], [2, 13]], 2: [[1, 4], [4, 97]]}
    for power, product in expected.items():
        total = torch.tensor(product).sum()
        torch.testing.assert_close(
            structural_attention(hidden, power=power), torch.tensor(product) / total
        )
    assert torch.equal(structural_attention(hidden), structural_attention(hidden, power=2))


@pytest.mark.parametrize("power", POWERS)
def test_it_equals_a_loop_over_graphs(power: float) -> None:
    graphs = [activations(size, size, 3) for size in (4, 1, 7)]
    result = structural_attention(torch.cat(graphs), power=power)
    torch.testing.assert_close(result, naive(graphs, power))
    torch.testing.assert_close(result, result.T)
    torch.testing.assert_close(result.sum(), torch.ones((), dtype=torch.float64))
    padded = nn.utils.rnn.pad_sequence(graphs, batch_first=True, padding_value=9.0)
    mask = torch.arange(7) < torch.tensor([[4], [1], [7]])
    torch.testing.assert_close(structural_attention(padded, mask, power), result)


@given(st.integers(0, 10**6), st.sampled_from(POWERS))
def test_numbering_copies_and_padding_change_nothing(seed: int, power: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    hidden = activations(seed, 3, 5, 4) + 1e-3
    expected = structural_attention(hidden, power=power)
    nodes = torch.stack([graph[torch.randperm(5, generator=generator)] for graph in hidden])
    junk = torch.full((3, 2, 4), [float("nan"), float("inf"), -7.0][seed % 3], dtype=hidden.dtype)
    mask = torch.arange(7).expand(3, 7) < 5
    for other, other_mask in (
        (nodes, None),
        (hidden[torch.randperm(3, generator=generator)], None),
        (hidden.repeat(2, 1, 1), None),
        (torch.cat([hidden, junk], 1), mask),
        (hidden, torch.ones(3, 5, dtype=torch.bool)),
    ):
        torch.testing.assert_close(structural_attention(other, other_mask, power), expected)


@pytest.mark.parametrize("power", POWERS)
@pytest.mark.parametrize("masked", [False, True])
def test_zeros_give_zeros_and_a_finite_gradient(power: float, masked: bool) -> None:
    hidden = torch.zeros(2, 3, 4, requires_grad=True)
    mask = torch.zeros(2, 3, dtype=torch.bool) if masked else None
    result = structural_attention(hidden, mask, power)
    assert result.count_nonzero() == 0
    result.sum().backward()
    assert hidden.grad.count_nonzero() == 0


@pytest.mark.parametrize("power", POWERS)
def test_the_gradient_is_that_of_finite_differences(power: float) -> None:
    hidden = activations(0, 4, 3) + 0.1
    weights = torch.rand(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert torch.autograd.gradcheck(
        lambda h: (weights * structural_attention(h, power=power)).sum(), hidden.requires_grad_()
    )
    some_zeros = activations(0, 4, 3).requires_grad_()
    (weights * structural_attention(some_zeros, power=power)).sum().backward()
    assert some_zeros.grad.isfinite().all()


def test_padding_has_no_gradient() -> None:
    hidden = torch.full((1, 3, 2), 2.0)
    hidden[0, 2] = float("inf")
    hidden.requires_grad_()
    structural_attention(hidden, torch.tensor([[True, True, False]]))[0, 0].backward()
    assert hidden.grad.isfinite().all()
    assert hidden.grad[0, 2].count_nonzero() == 0


@pytest.mark.parametrize("power", POWERS)
def test_raising_equals_the_power_of_numpy(power: float) -> None:
    values = activations(3, 20)
    torch.testing.assert_close(raise_to(values, power), torch.from_numpy(values.numpy() ** power))


@pytest.mark.parametrize(
    ("hidden", "options", "message"),
    [
        (torch.ones(3), {}, r"hidden must be \[..., nodes, d\], got \[3\]"),
        (torch.ones(3, 2), {"mask": torch.ones(2, dtype=torch.bool)}, r"mask must be bool \[3\]"),
        (
            torch.ones(2, 3, 2),
            {"mask": torch.ones(2, 3, 2, dtype=torch.bool)},
            r"mask must be bool \[2, 3\], as hidden is \[2, 3, 2\], got torch.bool \[2, 3, 2\]",
        ),
        (torch.ones(3, 2), {"mask": torch.ones(3)}, r"bool \[3\], .* got torch.float32 \[3\]"),
        (torch.ones(3, 2), {"power": 0}, "power must be a number above 0, got 0"),
        (torch.ones(3, 2), {"power": float("nan")}, "power must be a number above 0"),
        (-torch.ones(3, 2), {"power": 0.5}, "at least 0 for the power 0.5, got -1; use the values"),
    ],
)
def test_odd_arguments_are_refused(
    hidden: torch.Tensor, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        structural_attention(hidden, **options)
