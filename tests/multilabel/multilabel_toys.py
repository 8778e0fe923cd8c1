"""Small sets with several labels, and short trainings, for the tests of multi-label runs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
import torch
from loss_inputs import kernel_mixture
from torch import nn

from explore.data.multilabel_set import MultilabelSet
from explore.multilabel import kernel_contrast, kmcl
from explore.multilabel.config import TRAINING_METHODS, MultilabelConfig
from explore.multilabel.training import MultilabelTraining

LABELS = ("sea", "sky", "sun")

SMALL: dict[str, Any] = {
    "epochs": 2,
    "classifier_epochs": 2,
    "batch": 16,
    "features": 8,
    "width": 2,
    "latent": 2,
}

CLASSIFICATION_METHODS = ("bce", "focal", "asl", "multisupcon", "mulsupcon")
"""Methods with a classifier beside the contrast, or without any contrast."""


def options_of(method: str, **options: Any) -> MultilabelConfig:
    """Return the options of a short training."""
    return MultilabelConfig(**{**SMALL, "method": method, **options})


def random_labels(count: int, seed: int, share: float = 0.4, empty: float = 0.1) -> torch.Tensor:
    """Return labels ``[count, 3]``; the last rows, a share ``empty`` of all, have none."""
    generator = torch.Generator().manual_seed(seed)
    labels = (torch.rand(count, len(LABELS), generator=generator) < share).float()
    labels[torch.arange(count), torch.arange(count) % len(LABELS)] = 1
    labels[count - round(empty * count) :] = 0
    return labels


def vectors(
    count: int = 40, seed: int = 0, mask: torch.Tensor | None = None, empty: float = 0.1
) -> MultilabelSet:
    """Return six features for each sample: two for each label, with little noise."""
    labels = random_labels(count, seed, empty=empty)
    generator = torch.Generator().manual_seed(seed + 1)
    noise = torch.randn(count, 6, generator=generator)
    features = torch.cat([labels, 2 - labels], 1) + 0.3 * noise
    return MultilabelSet.from_tensors(features, labels, LABELS, mask)


def images(count: int = 40, seed: int = 0, channels: int = 1) -> MultilabelSet:
    """Return images 8×8; each label is a bright quadrant."""
    labels = random_labels(count, seed)
    generator = torch.Generator().manual_seed(seed + 1)
    shape = (count, channels, 8, 8)
    pixels = torch.randint(0, 60, shape, generator=generator, dtype=torch.uint8)
    for label, (row, column) in enumerate([(0, 0), (0, 4), (4, 0)]):
        bright = (150 * labels[:, label]).to(torch.uint8)[:, None, None, None]
        pixels[:, :, row : row + 4, column : column + 4] += bright
    return MultilabelSet.from_tensors(pixels, labels, LABELS)


def training_of(
    method: str, source: MultilabelSet | None = None, encoder: Any = None, **options: Any
) -> MultilabelTraining:
    """Return a short training at step 0."""
    return MultilabelTraining(options_of(method, **options), source or vectors(), encoder)


def weights_of(network: nn.Module) -> dict[str, torch.Tensor]:
    """Return a copy of all weights and buffers."""
    return {name: value.clone() for name, value in network.state_dict().items()}


def same_bits(first: nn.Module | dict[str, Any], second: nn.Module | dict[str, Any]) -> bool:
    """Return whether two networks, or two copies of their weights, have the same bits."""
    both = [x.state_dict() if isinstance(x, nn.Module) else x for x in (first, second)]
    return both[0].keys() == both[1].keys() and all(
        torch.equal(both[0][name], both[1][name]) for name in both[0]
    )


def largest_difference(first: nn.Module, second: nn.Module) -> float:
    """Return the largest difference between the weights of two networks."""
    pairs = zip(first.parameters(), second.parameters(), strict=True)
    return max(float((a - b).detach().abs().max()) for a, b in pairs)


def methods_without(names: Iterable[str]) -> list[str]:
    """Return all training methods but some."""
    return [method for method in TRAINING_METHODS if method not in set(names)]


def pulls_by_autograd(
    similarity: torch.Tensor,
    labels: torch.Tensor,
    temperature: float,
    correlation: str,
    alpha: float | None,
    overlap: str,
) -> np.ndarray:
    """Return −∂L_n/∂ρ of each anchor n in KMCL's contrast, ``[N, N, K]``.

    The loss is the mean of L_n over the anchors, and row n of ρ belongs to the anchor n alone.
    """
    count, classes = labels.shape
    parts = kernel_mixture(count=count, classes=classes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            kmcl,
            "anchor_similarity",
            lambda means, variances, rows, columns, axes: similarity[rows, :, columns],
        )
        contrast = kernel_contrast(parts, labels, temperature, correlation, alpha, overlap)
    if not contrast.anchors:
        return np.zeros(similarity.shape)
    gradient = torch.autograd.grad(contrast.loss, similarity)[0]
    result: np.ndarray = -gradient.numpy() * contrast.anchors
    return result
