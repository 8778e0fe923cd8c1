"""The losses of trajectory matching against hand-computed values and brute force."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings, strategies as st

from explore.distill.trajectories.loss import (
    common_pattern_dropout,
    enhance_gradient,
    gradient_multiplier,
)
from explore.errors import InvalidInput


def vectors(size: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    student, target, start = torch.randn(3, size, generator=generator, dtype=torch.float64)
    return student, target, start


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(0, 99), st.floats(0, 0.99))
def test_the_smallest_errors_are_dropped(size: int, seed: int, ratio: float) -> None:
    student, target, start = vectors(size, seed)
    errors = ((student - target) ** 2).tolist()
    order = sorted(range(size), key=lambda j: errors[j])
    kept = order[int(ratio * size) :]
    expected = sum(errors[j] for j in kept) / sum(float(start[j] - target[j]) ** 2 for j in kept)
    assert float(common_pattern_dropout(student, target, start, ratio)) == pytest.approx(expected)


def test_without_dropout_it_is_mtts_ratio() -> None:
    student, target, start = vectors(30, 1)
    expected = (student - target).norm() ** 2 / (start - target).norm() ** 2
    torch.testing.assert_close(common_pattern_dropout(student, target, start), expected)
    assert float(common_pattern_dropout(start, target, start)) == 1
    assert float(common_pattern_dropout(target, target, start)) == 0


def test_only_kept_parameters_have_a_gradient() -> None:
    student, target, start = vectors(20, 2)
    leaf = student.clone().requires_grad_()
    common_pattern_dropout(leaf, target, start, 0.5).backward()
    assert leaf.grad is not None
    kept = ((student - target) ** 2).argsort()[10:]
    assert set(leaf.grad.nonzero().flatten().tolist()) == set(kept.tolist())


@pytest.mark.parametrize("ratio", [1.0, 1.5, -0.1, float("nan")])
def test_an_impossible_ratio_is_refused(ratio: float) -> None:
    with pytest.raises(InvalidInput, match="drop_ratio must be a number of at least 0 and below 1"):
        common_pattern_dropout(*vectors(4, 0), ratio)


def test_an_expert_that_did_not_move_and_unlike_vectors_are_refused() -> None:
    student, target, _ = vectors(4, 0)
    with pytest.raises(InvalidInput, match="did not move"):
        common_pattern_dropout(student, target, target)
    with pytest.raises(InvalidInput, match=r"must be vectors \[P\]"):
        common_pattern_dropout(student, target[:2], target)


def test_the_multiplier_by_hand() -> None:
    maps = torch.tensor([[[0.0, 0.2], [0.6, 1.0]]])  # mean 0.45
    expected = torch.tensor([[[1.0, 1.0], [1.6, 2.0]]])
    torch.testing.assert_close(gradient_multiplier(maps), expected)
    torch.testing.assert_close(
        gradient_multiplier(maps, beta=0.5, threshold=0.2),
        torch.tensor([[[1.0, 0.7], [1.1, 1.5]]]),
    )


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_a_constant_map_changes_nothing(value: float) -> None:
    grad = torch.randn(2, 3, 4, 4)
    assert torch.equal(enhance_gradient(grad, torch.full((2, 4, 4), value)), grad)


def test_every_channel_is_multiplied_alike() -> None:
    generator = torch.Generator().manual_seed(0)
    grad, maps = torch.randn(2, 3, 5, 5, generator=generator), torch.rand(2, 5, 5)
    factor = gradient_multiplier(maps, 2.0)
    for channel in range(3):
        torch.testing.assert_close(
            enhance_gradient(grad, maps, 2.0)[:, channel], grad[:, channel] * factor
        )


def test_wrong_maps_and_a_negative_beta_are_refused() -> None:
    maps = torch.rand(2, 4, 4)
    with pytest.raises(InvalidInput, match="beta must be a number of at least 0"):
        gradient_multiplier(maps, -0.5)
    with pytest.raises(InvalidInput, match="like the gradient"):
        enhance_gradient(torch.zeros(2, 3, 5, 4), maps)
    with pytest.raises(InvalidInput, match='a number or "mean"'):
        gradient_multiplier(maps, threshold="median")
