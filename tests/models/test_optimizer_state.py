"""Test the state of optimizers as arrays: training from a restored state gives the same bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from explore.models.optimizer_state import optimizer_arrays, restore_optimizer

OPTIMIZERS = {
    "adam": lambda parameters: torch.optim.Adam(parameters, 0.1),
    "fused": lambda parameters: torch.optim.Adam(parameters, 0.1, fused=True),
    "sgd": lambda parameters: torch.optim.SGD(parameters, 0.1, momentum=0.9),
    "plain": lambda parameters: torch.optim.SGD(parameters, 0.1),
}


def new_parameters() -> list[torch.Tensor]:
    values = [torch.ones(2, 3), torch.full((), 2.0), torch.ones(1, 4, 3, 3)]
    values[2] = values[2].to(memory_format=torch.channels_last)
    return [value.requires_grad_() for value in values]


def train(optimizer: torch.optim.Optimizer, parameters: list[torch.Tensor], steps: range) -> None:
    for step in steps:
        optimizer.zero_grad()
        sum(((p - step) ** 2 * (k + 1)).sum() for k, p in enumerate(parameters)).backward()
        optimizer.step()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_restored_optimizer_goes_on_with_the_same_bits(name: str) -> None:
    first, second = new_parameters(), new_parameters()
    optimizer, other = (OPTIMIZERS[name](parameters) for parameters in (first, second))
    train(optimizer, first, range(3))
    state: dict[str, Any] = {"step": 3, **optimizer_arrays(optimizer, first)}
    copies = {key: np.copy(value) for key, value in state.items()}
    train(other, second, range(1))  # what is restored replaces this
    restore_optimizer(other, second, state)
    with torch.no_grad():
        for a, b in zip(first, second, strict=True):
            b.copy_(a)
    train(optimizer, first, range(3, 6))
    train(other, second, range(3, 6))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    for key, value in copies.items():
        assert np.array_equal(state[key], value), "training changes no state that was handed out"
    keys = {"adam": 9, "fused": 9, "sgd": 3, "plain": 0}[name]
    assert len(copies) == 1 + keys
    assert all(key.startswith("optimizer.") for key in copies if key != "step")


def test_a_new_optimizer_has_no_arrays_and_restoring_them_clears_another() -> None:
    parameters = new_parameters()
    optimizer = OPTIMIZERS["adam"](parameters)
    assert optimizer_arrays(optimizer, parameters) == {}
    train(optimizer, parameters, range(2))
    restore_optimizer(optimizer, parameters, {"loss": 1.0})
    assert optimizer_arrays(optimizer, parameters) == {}
