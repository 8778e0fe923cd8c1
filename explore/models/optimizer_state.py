"""The state of an optimizer as a flat mapping of arrays, as checkpoints of runs hold it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

PREFIX = "optimizer."


def optimizer_arrays(
    optimizer: torch.optim.Optimizer, parameters: Sequence[torch.Tensor]
) -> dict[str, np.ndarray]:
    """Return copies of all tensors of an optimizer, by ``"optimizer.INDEX.NAME"``."""
    return {
        f"{PREFIX}{index}.{name}": to_array(value)
        for index, parameter in enumerate(parameters)
        for name, value in optimizer.state.get(parameter, {}).items()
        if isinstance(value, torch.Tensor)
    }


def restore_optimizer(
    optimizer: torch.optim.Optimizer,
    parameters: Sequence[torch.Tensor],
    state: Mapping[str, Any],
) -> None:
    """Set the state of an optimizer from ``optimizer_arrays``, among other entries of ``state``."""
    optimizer.state.clear()
    for key, value in state.items():
        if key.startswith(PREFIX):
            _, index, name = key.split(".")
            parameter = parameters[int(index)]
            tensor = torch.tensor(np.asarray(value))  # A copy: training must not change ``state``.
            if tensor.shape == parameter.shape:
                # A fused step relies on the memory format of the parameter.
                tensor = torch.empty_like(parameter, requires_grad=False).copy_(tensor)
            optimizer.state[parameter][name] = tensor.to(parameter.device)


def to_array(tensor: torch.Tensor) -> np.ndarray:
    """Return a copy of a tensor as an array."""
    return tensor.detach().cpu().numpy().copy()
