"""The logits and the accuracy of a network, in evaluation mode."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from explore.core.tensor_validation import as_tensor, check_labels, check_network
from explore.core.validation import check_whole_number, describe
from explore.errors import InvalidInput
from explore.models._checks import (
    as_input,
    check_classes,
    check_outputs,
    check_scores,
    counts_message,
    run_network,
)

MAX_BATCH = 2**31
"""A batch of any set of images."""


def accuracy(
    network: nn.Module, images: torch.Tensor, labels: torch.Tensor, batch: int = 500
) -> float:
    """Return the share of images whose largest logit is their label, in evaluation mode.

    The mode of each module is restored afterwards.

    Args:
        network: returns logits ``[N, K]``.
        images, labels, batch: as for ``logits_of``; integers ``[N]`` below K.

    Raises:
        InvalidInput: no images, labels that do not match them or are no classes of the network, or
            logits that are NaN, so that no class is the largest.

    Example:
        >>> accuracy(nn.Flatten(), torch.eye(3)[:, :, None], torch.tensor([0, 1, 0]))
        0.6666666666666666
    """
    images = as_tensor("images", images)
    labels = as_tensor("labels", labels)
    if images.ndim == 0 or labels.ndim == 0 or not len(images) or len(images) != len(labels):
        raise InvalidInput(counts_message(images, labels))
    return hits(network, images, labels, batch) / len(images)


def hits(network: nn.Module, images: torch.Tensor, labels: torch.Tensor, batch: int = 500) -> int:
    """Return the number of images whose largest logit is their label.

    Raises:
        InvalidInput: see ``accuracy``.
    """
    images = as_tensor("images", images)
    labels = check_labels("labels", labels, len(images), samples="image")
    logits = check_outputs(logits_of(network, images, batch), len(images))
    check_classes("labels", labels, logits)
    return int((logits.argmax(1) == labels.to(logits.device)).sum())


@torch.no_grad()
def logits_of(network: nn.Module, images: torch.Tensor, batch: int = 500) -> torch.Tensor:
    """Return the logits of all images in evaluation mode; the mode of each module is restored
    afterwards.

    Args:
        network: returns a tensor ``[N, ..., K]``.
        images: the inputs of the network ``[N, ...]``, one or more: a tensor, an array or a list.
            Floats get the device and the type of the network.
        batch: images in a forward pass; more do not need more memory.

    Returns:
        ``[N, ..., K]``.

    Raises:
        InvalidInput: no network, no images, images that it cannot compute, another output such as
            a tuple, or logits that are NaN or infinite.

    Example:
        >>> logits_of(nn.Flatten(), torch.eye(2)[:, :, None])
        tensor([[1., 0.],
                [0., 1.]])
    """
    check_network("network", network)
    batch = check_whole_number("batch", batch, 1, MAX_BATCH)
    images = as_tensor("images", images)
    if not images.ndim or not len(images):
        raise InvalidInput(f"images must be one or more [N, ...], got {describe(images)}")
    if images.is_floating_point():
        images = as_input(network, images)
    with evaluation_mode(network):
        parts = []
        for part in images.split(batch):
            parts.append(check_outputs(run_network(network, part), len(part), "[N, ...]"))
            check_scores(parts[-1], batch * (len(parts) - 1))
        return torch.cat(parts)


@contextmanager
def evaluation_mode(network: nn.Module) -> Iterator[None]:
    """Switch a network to evaluation mode in this context; each module gets its mode back."""
    training = [module for module in network.modules() if module.training]
    network.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
