"""The loss of ProbMCL-style training: likelihood of the components, and contrast of mixtures."""

from __future__ import annotations

import math
from typing import Any

import torch

from explore.core.validation import check_choice, check_flag, check_number, check_whole_number
from explore.errors import InvalidInput
from explore.multilabel._checks import check_labels, check_result, full_precision
from explore.multilabel.config import MIN_TEMPERATURE, SIMILARITY_NAMES
from explore.multilabel.contrast import contrast_of_pairs
from explore.multilabel.kernel_mixture import posterior_loss
from explore.multilabel.mixture_density import (
    DensityMixture,
    check_mixture,
    log_similarity_of,
)
from explore.multilabel.overlap import label_overlap, positive_pairs

MANY_LABELS = 20
"""Above this number of labels, "matched" is the default similarity: its cost is not quadratic."""


@full_precision
def probmcl_loss(
    mixture: DensityMixture,
    labels: Any,
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
        temperature: of the contrast, at least 1e-9; about 0.1 with "linear", about 1 with "log".
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
        >>> from explore.multilabel import MixtureDensityHead
        >>> head = MixtureDensityHead(4, 2, hidden=8, latent=2)
        >>> terms = probmcl_loss(head(torch.eye(4)), torch.tensor([[1, 0], [1, 1]]), views=2)
        >>> terms["anchors"], terms["skipped"]
        (4, 0)
    """
    temperature = check_number("temperature", temperature, at_least=MIN_TEMPERATURE)
    contrast_weight = check_number("contrast_weight", contrast_weight, at_least=0)
    scale = check_choice("scale", scale, ("linear", "log"))
    likelihood = check_choice("likelihood", likelihood, ("posterior", "plain"))
    if similarity is not None:
        similarity = check_choice("similarity", similarity, SIMILARITY_NAMES)
    pair_weights = check_flag("pair_weights", pair_weights)
    views = check_whole_number("views", views, at_least=1)
    mixture = check_mixture(mixture)
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
    log_similarity = log_similarity_of(mixture, kind)
    logits = (log_similarity if scale == "log" else log_similarity.exp()) / temperature
    positives = positive_pairs(labels, alpha, overlap)
    weights = None
    if pair_weights:
        weights = torch.where(positives, label_overlap(labels, overlap), 0.0)
        # Their mean over the positives of an anchor is 1.
        total = weights.sum(1, keepdim=True)
        weights = weights * positives.sum(1, keepdim=True) / torch.where(total > 0, total, 1.0)
    contrast = contrast_of_pairs(logits, positives, weights)
    scores = _component_scores(mixture, detached=likelihood == "plain")
    if likelihood == "plain":
        rows = labels.any(1)
        log_density = scores.logsumexp(1)
        fit = -torch.where(rows, log_density, 0.0).sum() / max(int(rows.sum()), 1)
    else:
        fit = posterior_loss(scores, labels)
    total = fit + contrast_weight * contrast.loss
    return {
        "likelihood": fit,
        "contrast": contrast.loss,
        "total": check_result("the loss", total, "latent, means, variances or weights"),
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
