"""Checks of what a training starts with, and of the weights with which it ends."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import chain
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from explore.core.tensor_validation import as_tensor, check_finite, check_labels
from explore.errors import InvalidInput
from explore.models._checks import as_input


def check_trainable(network: nn.Module) -> None:
    """Check that a network has weights that an optimizer can change.

    Raises:
        InvalidInput: it has none, all are frozen, or some do not exist before a first forward pass.
    """
    parameters = list(network.parameters())
    if any(isinstance(p, nn.parameter.UninitializedParameter) for p in parameters):
        raise InvalidInput(
            "the network has lazy layers without weights; compute one batch with it first"
        )
    if not any(parameter.requires_grad for parameter in parameters):
        frozen = (
            "they are all frozen; call network.requires_grad_()" if parameters else "it has none"
        )
        raise InvalidInput(f"the network must have weights to train, but {frozen}")


def check_targets(
    labels: Any, loss: Callable[..., torch.Tensor], network: nn.Module, images: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """Return the labels as tensors on the device of the images.

    Raises:
        InvalidInput: no tensors; for cross entropy, neither integers ``[N]`` nor probabilities.
    """
    count = len(images) if images.ndim else 0
    if isinstance(labels, tuple) and any(getattr(label, "ndim", 0) for label in labels):
        tensors = [as_tensor(f"labels[{k}]", label) for k, label in enumerate(labels)]
    else:
        tensors = [as_tensor("labels", list(labels) if isinstance(labels, tuple) else labels)]
    for k, tensor in enumerate(tensors):
        if not tensor.ndim:
            raise InvalidInput(f"labels[{k}] must have one entry for each image, got one number")
    if loss is cross_entropy and len(tensors) == 1 and len(tensors[0]) == count and count:
        if tensors[0].ndim > 1 and tensors[0].is_floating_point():
            check_finite("labels", tensors[0])
            tensors[0] = as_input(network, tensors[0])
        else:
            tensors[0] = check_labels("labels", tensors[0], count, samples="image")
    return tuple(tensor.to(images.device) for tensor in tensors)


@torch.no_grad()
def is_finite(network: nn.Module) -> bool:
    """Return whether all weights and statistics of a network are finite numbers."""
    for values in chain(network.parameters(), network.buffers()):
        if values.is_floating_point() and values.numel():
            low, high = torch.aminmax(values)
            if not (math.isfinite(float(low)) and math.isfinite(float(high))):
                return False
    return True
