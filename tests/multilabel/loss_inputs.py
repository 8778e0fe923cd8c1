"""Mixtures with gradients, as the tests of the losses pass them in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from explore.multilabel.kernel_mixture import KernelMixture
from explore.multilabel.mixture_density import DensityMixture


def _normal(generator: torch.Generator, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def kernel_mixture(
    covariance: str = "isotropic", count: int = 7, width: int = 5, seed: int = 0, classes: int = 4
) -> KernelMixture:
    """Return a kernel mixture in float64 whose parts need gradients."""
    generator = torch.Generator().manual_seed(seed)
    shape = (count, classes) if covariance == "isotropic" else (count, width, classes)
    features = _normal(generator, count, width)
    logits, means = _normal(generator, count, classes), _normal(generator, *shape)
    variances = _normal(generator, *shape).exp()
    return KernelMixture(*(part.requires_grad_() for part in (features, logits, means, variances)))


def density_mixture(
    covariance: str = "isotropic", count: int = 7, latent: int = 3, seed: int = 0, classes: int = 4
) -> DensityMixture:
    """Return a mixture density in float64 whose parts need gradients."""
    generator = torch.Generator().manual_seed(seed)
    shape = (count, classes) if covariance == "isotropic" else (count, classes, latent)
    log_weights = torch.log_softmax(_normal(generator, count, classes), dim=1)
    means = _normal(generator, count, classes, latent)
    variances = (0.5 * _normal(generator, *shape)).exp()
    z = _normal(generator, count, latent)
    return DensityMixture(*(part.requires_grad_() for part in (log_weights, means, variances, z)))


def convert(parts: Any, dtype: torch.dtype) -> Any:
    """Return a copy of a mixture with another precision."""
    return type(parts)(*(part.detach().to(dtype).requires_grad_() for part in parts))


def select(parts: Any, rows: Any) -> Any:
    """Return a mixture with some of the samples."""
    return type(parts)(*(part[rows] for part in parts))


def gradients(loss: torch.Tensor, parts: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Return gradients of all parts; a part that is not used has zeros."""
    return list(torch.autograd.grad(loss, parts, allow_unused=True, materialize_grads=True))
