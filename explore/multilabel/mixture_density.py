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

from explore.core.validation import check_choice, check_number, check_whole_number
from explore.errors import InvalidInput
from explore.models._init import Linear, initialise
from explore.multilabel._checks import check_finite, check_labels, full_precision, widen
from explore.multilabel.config import DENSITY_COVARIANCES, SIMILARITY_NAMES
from explore.multilabel.contrast import pair_contrast
from explore.multilabel.kernel_mixture import posterior_loss
from explore.multilabel.overlap import label_overlap, positive_pairs
from explore.multilabel.similarity import component_distance, pair_distance

MANY_LABELS = 20
"""Above this number of labels, "matched" is the default similarity: its cost is not quadratic."""


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
        check_choice("covariance", covariance, DENSITY_COVARIANCES)
        check_number("variance_floor", variance_floor, above=0)
        if min(inputs, classes, hidden, trunk, latent) < 1:
            raise InvalidInput(
                "inputs, classes, hidden, trunk and latent must be 1 or more, got "
                f"{inputs}, {classes}, {hidden}, {trunk} and {latent}"
            )
        self.variance_floor, self.classes, self.axes = variance_floor, classes, latent
        self.trunk = nn.Sequential(
            Linear(inputs, hidden), nn.ReLU(), Linear(hidden, trunk), nn.ReLU()
        )
        self.means = Linear(trunk, classes * latent)
        self.variances = Linear(trunk, classes * (1 if covariance == "isotropic" else latent))
        self.weights = Linear(trunk, classes)
        self.latent = Linear(trunk, latent)
        initialise(self, seed)

    def forward(self, features: torch.Tensor) -> DensityMixture:
        """Return the mixtures of features ``[B, inputs]``."""
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
    return log_mixture_similarity(mixture, kind).exp()


@full_precision
def log_mixture_similarity(mixture: DensityMixture, kind: str = "product") -> torch.Tensor:
    """Return the logarithm of ``mixture_similarity``, which does not underflow for "product"."""
    check_choice("similarity", kind, SIMILARITY_NAMES)
    mixture = _checked(mixture)
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
def probmcl_loss(
    mixture: DensityMixture,
    labels: torch.Tensor,
    *,
    alpha: float = 0.5,
    overlap: str = "jaccard",
    temperature: float = 0.1,
    similarity: str | None = None,
    scale: str = "linear",
    contrast_weight: float = 1.0,
    likelihood: str = "posterior",
    pair_weights: bool = False,
    views: int = 1,
) -> dict[str, Any]:
    """Return the terms of a ProbMCL-style loss and their sum.

    The contrastive term makes mixtures of samples similar whose label sets overlap by ``alpha`` or
    more; the likelihood ties components to labels.

    Args:
        mixture: of ``views`` · N samples: all first views, then all second views.
        labels: ``[N, C]`` of 0 and 1.
        alpha, overlap: of ``positive_pairs``. Views of one sample with labels have the overlap 1.
        temperature: of the contrast; about 0.1 with "linear", about 1 with "log".
        similarity: "product" or "matched"; by default "matched" for more than 20 labels.
        scale: "linear" compares S / temperature, "log" compares log S / temperature.
        contrast_weight: factor λ of the contrastive term.
        likelihood: "posterior": −log of the share of the present labels' components at z, at least
            0; "plain": −log p(z) with z detached, which is unbounded below without the floor of the
            variances.
        pair_weights: weight positives by their overlap, with a mean of 1 over those of an anchor.
        views: number of views of each sample.

    Returns:
        "likelihood", "contrast" and "total", scalars; "anchors" and "skipped", numbers of rows.

    Raises:
        InvalidInput: labels other than 0 and 1, parameters that are not finite, alpha outside
            (0, 1], or a number of rows that is not views · N.

    Source: ProbMCL (arXiv 2401.01448) for the two terms and the index sets. Everything else is our
    reading, as its values could not be obtained.

    Example:
        >>> head = MixtureDensityHead(4, 2, hidden=8, latent=2)
        >>> terms = probmcl_loss(head(torch.eye(4)), torch.tensor([[1, 0], [1, 1]]), views=2)
        >>> terms["anchors"], terms["skipped"]
        (4, 0)
    """
    check_number("temperature", temperature, above=0)
    check_number("contrast_weight", contrast_weight, at_least=0)
    check_choice("scale", scale, ("linear", "log"))
    check_choice("likelihood", likelihood, ("posterior", "plain"))
    check_whole_number("views", views, at_least=1)
    mixture = _checked(mixture)
    labels = check_labels(labels).to(mixture.means.device)
    if labels.shape[1] != mixture.means.shape[1]:
        raise InvalidInput(
            f"labels have {labels.shape[1]} columns, the mixture {mixture.means.shape[1]} "
            "components"
        )
    if len(mixture.means) != views * len(labels):
        raise InvalidInput(
            f"{views} views of {len(labels)} samples need {views * len(labels)} mixtures, got "
            f"{len(mixture.means)}"
        )
    labels = labels.repeat(views, 1)
    kind = similarity or ("matched" if labels.shape[1] > MANY_LABELS else "product")
    if scale == "linear":
        logits = mixture_similarity(mixture, kind) / temperature
    else:
        logits = log_mixture_similarity(mixture, kind) / temperature
    positives = positive_pairs(labels, alpha, overlap)
    weights = None
    if pair_weights:
        weights = torch.where(positives, label_overlap(labels, overlap), 0.0)
        # Their mean over the positives of an anchor is 1.
        total = weights.sum(1, keepdim=True)
        weights = weights * positives.sum(1, keepdim=True) / torch.where(total > 0, total, 1.0)
    contrast = pair_contrast(logits, positives, weights)
    scores = _component_scores(mixture, detached=likelihood == "plain")
    if likelihood == "plain":
        rows = labels.any(1)
        log_density = scores.logsumexp(1)
        fit = -torch.where(rows, log_density, 0.0).sum() / max(int(rows.sum()), 1)
    else:
        fit = posterior_loss(scores, labels)
    return {
        "likelihood": fit,
        "contrast": contrast.loss,
        "total": fit + contrast_weight * contrast.loss,
        "anchors": contrast.anchors,
        "skipped": contrast.skipped,
    }


def _component_scores(mixture: DensityMixture, detached: bool) -> torch.Tensor:
    """Return log π_k N(z; μ_k, v_k) of each sample and component, ``[B, C]``."""
    z = mixture.latent.detach() if detached else mixture.latent
    variances = mixture.variances
    if variances.ndim == 2:
        variances = variances[..., None].expand_as(mixture.means)
    squares = (z[:, None] - mixture.means).square() / variances
    log_density = -0.5 * (squares + variances.log() + math.log(2 * math.pi)).sum(2)
    return mixture.log_weights + log_density


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
        InvalidInput: parameters that are not finite.

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
    mixture = _checked(mixture)
    weights, means, variances = mixture.log_weights.exp(), mixture.means, mixture.variances
    if variances.ndim == 2:
        variances = variances[..., None].expand_as(means)
    centre = (weights[..., None] * means).sum(1, keepdim=True)
    aleatoric = (weights * variances.sum(2)).sum(1)
    epistemic = (weights * (means - centre).square().sum(2)).sum(1)
    return {
        "aleatoric": aleatoric,
        "epistemic": epistemic,
        "total": aleatoric + epistemic,
        "entropy": -(weights * mixture.log_weights).nan_to_num(nan=0.0).sum(1),
        "log_volume": 0.5 * (weights * variances.log().sum(2)).sum(1),
    }


def _checked(mixture: DensityMixture) -> DensityMixture:
    """Return a mixture of float32 or wider, whose parameters fit and are finite."""
    mixture = DensityMixture(*map(widen, mixture))
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
    if bool((variances <= 0).any()):
        raise InvalidInput("variances must be above 0")
    return mixture
