"""ProbMCL-style training: a Gaussian mixture for each sample, their similarity and uncertainty.

The paper's figure gives the head and its two stages. Overlap measure, threshold, similarity and
likelihood could not be obtained: they are our reading, hence the name "ProbMCL-style".
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn.functional import elu, log_softmax

from explore.core.validation import check_choice, check_number, check_seed
from explore.errors import InvalidInput
from explore.models._init import Linear, initialise
from explore.multilabel._checks import (
    check_finite,
    check_parts,
    check_result,
    check_sizes,
    fitting_features,
    full_precision,
)
from explore.multilabel.config import DENSITY_COVARIANCES, SIMILARITY_NAMES
from explore.multilabel.similarity import component_distance, pair_distance

WEIGHT_TOLERANCE = 0.05
"""By which the logarithm of a sum of weights may differ from 0, as those of halves do."""


class DensityMixture(NamedTuple):
    """The Gaussian mixtures of a batch, one component for each label.

    Attributes:
        log_weights: logarithms of weights that sum to 1, ``[B, C]``.
        means: ``[B, C, q]``.
        variances: above 0, ``[B, C]`` (equal on all axes) or ``[B, C, q]``.
        latent: z, the point of each sample in the space of the mixtures, ``[B, q]``.
    """

    log_weights: torch.Tensor
    means: torch.Tensor
    variances: torch.Tensor
    latent: torch.Tensor


class MixtureDensityHead(nn.Module):
    """A mixture density network: it maps features to a Gaussian mixture for each sample.

    Args:
        inputs: width of the features.
        classes: number of labels C, one component each.
        hidden, trunk: widths of the two layers before the three heads.
        latent: axes q of the mixtures.
        covariance: "isotropic" or "diagonal".
        variance_floor: variances are ELU(linear) + 1 + floor.
        seed: of the weights.

    Raises:
        InvalidInput: a size below 1 or a floor that is not above 0.
        UnknownName: another covariance.

    Source: figure of ProbMCL (arXiv 2401.01448): linear layers of 2048 and 128 units, heads without
    activation, with ELU and with softmax. ReLU between them, q and the floor are our reading.

    Example:
        >>> mixture = MixtureDensityHead(8, 3, hidden=16, latent=2)(torch.ones(5, 8))
        >>> mixture.means.shape, mixture.variances.shape
        (torch.Size([5, 3, 2]), torch.Size([5, 3]))
    """

    def __init__(
        self,
        inputs: int,
        classes: int,
        hidden: int = 2048,
        trunk: int = 128,
        latent: int = 16,
        covariance: str = "isotropic",
        variance_floor: float = 0.01,
        seed: int = 0,
    ) -> None:
        super().__init__()
        covariance = check_choice("covariance", covariance, DENSITY_COVARIANCES)
        variance_floor = check_number("variance_floor", variance_floor, above=0)
        inputs, classes, hidden, trunk, latent = check_sizes(
            inputs=inputs, classes=classes, hidden=hidden, trunk=trunk, latent=latent
        )
        check_sizes(trunk=trunk, outputs=classes * latent)
        self.inputs = inputs
        self.variance_floor, self.classes, self.axes = variance_floor, classes, latent
        self.trunk = nn.Sequential(
            Linear(inputs, hidden), nn.ReLU(), Linear(hidden, trunk), nn.ReLU()
        )
        self.means = Linear(trunk, classes * latent)
        self.variances = Linear(trunk, classes * (1 if covariance == "isotropic" else latent))
        self.weights = Linear(trunk, classes)
        self.latent = Linear(trunk, latent)
        initialise(self, check_seed(seed))

    def forward(self, features: Any) -> DensityMixture:
        """Return the mixtures of features ``[B, inputs]``.

        Raises:
            InvalidInput: features of another shape or type.
        """
        features = fitting_features(features, self.inputs, self.latent.weight.dtype)
        trunk = self.trunk(features)
        variances = elu(self.variances(trunk)) + 1 + self.variance_floor
        if variances.shape[1] != self.classes:
            variances = variances.unflatten(1, (self.classes, self.axes))
        return DensityMixture(
            log_softmax(self.weights(trunk), 1),
            self.means(trunk).unflatten(1, (self.classes, self.axes)),
            variances,
            self.latent(trunk),
        )


@full_precision
def mixture_similarity(mixture: DensityMixture, kind: str = "product") -> torch.Tensor:
    """Return the similarity of the mixtures of all pairs of samples, ``[B, B]`` in (0, 1].

    "product" is the product kernel, E(i, j) = ∫ p_i p_j, divided by √(E(i, i) E(j, j)): all pairs
    of components count. "matched" is Σ_k √(π_ik π_jk) ρ^k_ij: components of the same label alone,
    a lower bound of the Bhattacharyya coefficient of both mixtures.

    Args:
        mixture: of B samples.
        kind: "product" or "matched".

    Raises:
        UnknownName: another kind.
        InvalidInput: parameters that are not finite.

    Source: Jebara et al., JMLR 5 (2004), for the product kernel; the matched form is our reading.

    Example:
        >>> head = MixtureDensityHead(4, 2, hidden=8, latent=2)
        >>> mixture_similarity(head(torch.eye(4))).diagonal()
        tensor([1., 1., 1., 1.], grad_fn=<DiagonalBackward0>)
    """
    kind = check_choice("kind", kind, SIMILARITY_NAMES)
    similarity = log_similarity_of(check_mixture(mixture), kind).exp()
    return check_result("the similarity", similarity, "means or variances")


@full_precision
def log_mixture_similarity(mixture: DensityMixture, kind: str = "product") -> torch.Tensor:
    """Return the logarithm of ``mixture_similarity``, which does not underflow for "product".

    Raises:
        InvalidInput, UnknownName: see ``mixture_similarity``; or means so far apart that the
            logarithm overflows.
    """
    kind = check_choice("kind", kind, SIMILARITY_NAMES)
    similarity = log_similarity_of(check_mixture(mixture), kind)
    return check_result("the similarity", similarity, "means or variances")


def log_similarity_of(mixture: DensityMixture, kind: str) -> torch.Tensor:
    """Return the same as ``log_mixture_similarity`` for a mixture that is checked."""
    if kind == "matched":
        half = 0.5 * log_softmax(mixture.log_weights, 1)  # The sum of weights is 1 up to rounding.
        return _at_most_zero((half[:, None] + half[None] - _matched_distance(mixture)).logsumexp(2))
    weights, means, variances, _ = mixture
    count, size = len(means), means.shape[1]
    axes = means.shape[2]
    # All B × C components in one row of pairs.
    flat_means = means.flatten(0, 1)
    flat_weights = weights.flatten()
    if variances.ndim == 2:
        total = variances.flatten()[:, None] + variances.flatten()[None]
        squares = _squared_distances(flat_means)
        log_density = -0.5 * (squares / total + axes * total.log())
    else:
        flat = variances.flatten(0, 1)
        total = flat[:, None] + flat[None]
        difference = flat_means[:, None] - flat_means[None]
        log_density = -0.5 * (difference.square() / total + total.log()).sum(2)
    log_density = log_density - 0.5 * axes * math.log(2 * math.pi)
    pairs = flat_weights[:, None] + flat_weights[None] + log_density
    energy = pairs.view(count, size, count, size).logsumexp((1, 3))
    own = energy.diagonal()
    return _at_most_zero(energy - 0.5 * (own[:, None] + own[None]))


def _at_most_zero(values: torch.Tensor) -> torch.Tensor:
    """Return values without what rounding leaves above 0; the gradient is that of the values."""
    return values - values.detach().clamp(min=0)


def _matched_distance(mixture: DensityMixture) -> torch.Tensor:
    """Return the Bhattacharyya distances of components of the same label, ``[B, B, C]``."""
    means, variances = mixture.means, mixture.variances
    if variances.ndim == 2:
        # The sum over axes is a squared distance, so no array over pairs and axes is needed.
        squares = _squared_distances(means.transpose(0, 1)).permute(1, 2, 0)
        zeros = torch.zeros_like(variances)
        spread = means.shape[2] * pair_distance(zeros, variances, zeros, variances)
        return spread + 0.25 * squares / (variances[:, None] + variances)
    return component_distance(means.transpose(1, 2), variances.transpose(1, 2))


def _squared_distances(points: torch.Tensor) -> torch.Tensor:
    """Return the squared distances of all pairs of rows, ``[..., N, q]`` to ``[..., N, N]``.

    The faster form |a|² + |b|² − 2 a·b would leave a distance between equal rows.
    """
    mode = "donot_use_mm_for_euclid_dist"
    return torch.cdist(points, points, compute_mode=mode).square()


@full_precision
def mixture_uncertainty(mixture: DensityMixture) -> dict[str, torch.Tensor]:
    """Return measures of the uncertainty of each sample's mixture, ``[B]`` each.

    "aleatoric" is the mean variance inside components, "epistemic" the variance of the component
    means, "total" their sum: the variance of the mixture (law of total variance), summed over axes.
    "entropy" is that of the weights, in nats; "log_volume" the mean of log det of the covariances,
    halved.

    Components belong to labels. A sample with three labels therefore has a large "epistemic" spread
    by construction: compare samples with the same number of labels. Other than with an ensemble,
    the values need not grow away from the training data.

    Args:
        mixture: of B samples.

    Raises:
        InvalidInput: parameters that are not finite, or measures that overflow.

    Source: Choi et al., arXiv 1709.02249.

    Example:
        >>> means = torch.tensor([[[0.0], [2.0]]])
        >>> mixture = DensityMixture(
        ...     torch.full((1, 2), 0.5).log(), means, torch.ones(1, 2), torch.zeros(1, 1)
        ... )
        >>> values = mixture_uncertainty(mixture)
        >>> values["aleatoric"], values["epistemic"], values["total"]
        (tensor([1.]), tensor([1.]), tensor([2.]))
    """
    mixture = check_mixture(mixture)
    weights, means, variances = mixture.log_weights.exp(), mixture.means, mixture.variances
    if variances.ndim == 2:
        variances = variances[..., None].expand_as(means)
    centre = (weights[..., None] * means).sum(1, keepdim=True)
    aleatoric = (weights * variances.sum(2)).sum(1)
    epistemic = (weights * (means - centre).square().sum(2)).sum(1)
    measures = {
        "aleatoric": aleatoric,
        "epistemic": epistemic,
        "total": aleatoric + epistemic,
        "entropy": -(weights * mixture.log_weights).nan_to_num(nan=0.0).sum(1),
        "log_volume": 0.5 * (weights * variances.log().sum(2)).sum(1),
    }
    return {k: check_result(k, values, "means or variances") for k, values in measures.items()}


def check_mixture(mixture: Any) -> DensityMixture:
    """Return a mixture of float32 or wider, whose parameters fit and are finite.

    Raises:
        InvalidInput: no mixture, shapes that do not match, values that are not finite, or weights
            whose sum is not 1.
    """
    mixture = DensityMixture(*check_parts(DensityMixture, mixture))
    weights, means, variances, latent = mixture
    fits = means.ndim == 3 and weights.shape == means.shape[:2] and len(latent) == len(means)
    if not (
        fits
        and variances.shape in (weights.shape, means.shape)
        and latent.ndim == 2
        and latent.shape[1] == means.shape[2]
    ):
        shapes = [list(values.shape) for values in mixture]
        raise InvalidInput(
            "log_weights, means, variances and latent must be [B, C], [B, C, q], [B, C] or "
            f"[B, C, q], and [B, q], got {shapes}"
        )
    for name in ("means", "variances", "latent"):
        check_finite(name, getattr(mixture, name))
    if bool(weights.isnan().any()):
        raise InvalidInput("log_weights must be numbers, got NaN")
    total = weights.detach().logsumexp(1)
    if bool((total.abs() > WEIGHT_TOLERANCE).any()):
        raise InvalidInput(
            "log_weights must be logarithms of weights that sum to 1, got a sum of "
            f"{float(total[total.abs().argmax()].exp()):.3g}; use log_softmax of the logits"
        )
    if bool((variances <= 0).any()):
        raise InvalidInput("variances must be above 0")
    return mixture
