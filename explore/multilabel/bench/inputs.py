"""Labels and mixtures that the benchmarks of multi-label losses are measured on."""

from __future__ import annotations

import numpy as np
import torch

from explore.multilabel.kernel_mixture import KernelMixture, KernelMixtureHead
from explore.multilabel.mixture_density import DensityMixture, MixtureDensityHead

MOST_LABELS = 5
"""Labels of a sample at most; with one at least, three on average, about as many as in COCO."""


def generate_labels(batch: int, labels: int, seed: int = 0) -> torch.Tensor:
    """Return labels ``[batch, labels]`` of which a few are frequent, as in COCO.

    The label of rank r is drawn with a weight of 1 / r.

    Example:
        >>> generate_labels(1000, 80).sum(1).mean()
        tensor(2.9570)
    """
    generator = np.random.default_rng(seed)
    weights = 1 / np.arange(1, labels + 1)
    values = torch.zeros(batch, labels)
    for row in values:
        count = min(int(generator.integers(1, MOST_LABELS + 1)), labels)
        row[generator.choice(labels, count, replace=False, p=weights / weights.sum())] = 1
    return values


def generate_kernel_mixture(
    batch: int, labels: int, width: int, covariance: str = "isotropic", latent: int = 128
) -> KernelMixture:
    """Return the mixtures of KMCL for random features, as leaves that need gradients."""
    features = torch.randn(batch, width, generator=torch.Generator().manual_seed(0)).relu()
    with torch.no_grad():
        mixture = KernelMixtureHead(width, labels, covariance, latent)(features)
    return KernelMixture(*(values.clone().requires_grad_() for values in mixture))


def generate_density_mixture(batch: int, labels: int, latent: int = 16) -> DensityMixture:
    """Return the mixtures of ProbMCL for random features, as leaves that need gradients."""
    width = 64
    features = torch.randn(batch, width, generator=torch.Generator().manual_seed(0)).relu()
    with torch.no_grad():
        mixture = MixtureDensityHead(width, labels, hidden=width, latent=latent)(features)
    return DensityMixture(*(values.clone().requires_grad_() for values in mixture))
