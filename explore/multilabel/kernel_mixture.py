"""KMCL: a mixture of one exponential kernel for each label, and its three losses.

All terms are computed from logarithms, because the kernels themselves underflow float32 for wide
features.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn.functional import elu, logsigmoid

from explore.core.validation import check_choice, check_number, check_seed
from explore.errors import InvalidInput
from explore.models._init import Linear, initialise
from explore.multilabel._checks import (
    check_finite,
    check_labels,
    check_mask,
    check_parts,
    check_result,
    check_sizes,
    fitting_features,
    full_precision,
)
from explore.multilabel.config import KERNEL_COVARIANCES


class KernelMixture(NamedTuple):
    """The mixtures of a batch: G(f) = Σ_k π_k g_k(f), one component for each label.

    Attributes:
        features: f, ``[B, D]``.
        logits: of π, ``[B, K]``; π = sigmoid(logits) is also the prediction of the classifier.
        means: ``[B, K]``, one value for all D axes ("isotropic"), or ``[B, D, K]``.
        variances: above 0, of the shape of the means.
    """

    features: torch.Tensor
    logits: torch.Tensor
    means: torch.Tensor
    variances: torch.Tensor

    @property
    def probabilities(self) -> torch.Tensor:
        """π, which is not a simplex: each label is present or not by itself."""
        return torch.sigmoid(self.logits)


class KernelMixtureHead(nn.Module):
    """A head that maps pooled features to the kernel mixtures of KMCL, and to predictions.

    Args:
        inputs: width of the features.
        classes: number of labels K.
        covariance: "isotropic" (one mean and variance for each label) or "anisotropic" (one for
            each label and axis; the features are first reduced to ``latent`` axes).
        latent: axes of the anisotropic mixtures.
        variance_floor: v_min; variances are ELU(linear) + 1 + v_min. The released code has + 2, so
            that no variance is below 1, and starts with variance weights of 1.
        seed: of the weights, which are drawn as PyTorch draws those of linear layers.

    Raises:
        InvalidInput: a size below 1 or a floor that is not above 0.
        UnknownName: another covariance.

    Source: KMCL (arXiv 2307.03967), its released kernel mixture module; floor and start of the
    variances are our reading.

    Example:
        >>> mixture = KernelMixtureHead(8, 3)(torch.ones(2, 8))
        >>> mixture.means.shape, bool((mixture.variances > 0.01).all())
        (torch.Size([2, 3]), True)
    """

    def __init__(
        self,
        inputs: int,
        classes: int,
        covariance: str = "isotropic",
        latent: int = 128,
        variance_floor: float = 0.01,
        seed: int = 0,
    ) -> None:
        super().__init__()
        covariance = check_choice("covariance", covariance, KERNEL_COVARIANCES)
        variance_floor = check_number("variance_floor", variance_floor, above=0)
        inputs, classes, latent = check_sizes(inputs=inputs, classes=classes, latent=latent)
        is_isotropic = covariance == "isotropic"
        check_sizes(axes=inputs if is_isotropic else latent, outputs=classes * latent)
        self.inputs, self.variance_floor = inputs, variance_floor
        self.reduce: nn.Module = nn.Identity() if is_isotropic else Linear(inputs, latent)
        axes = inputs if is_isotropic else latent
        outputs = classes if is_isotropic else classes * latent
        self.shape = (classes,) if is_isotropic else (latent, classes)
        self.logits = Linear(axes, classes)
        self.means = Linear(axes, outputs)
        self.variances = Linear(axes, outputs)
        initialise(self, check_seed(seed))

    def forward(self, features: Any) -> KernelMixture:
        """Return the mixtures of features ``[B, inputs]``.

        Raises:
            InvalidInput: features of another shape or type.
        """
        features = fitting_features(features, self.inputs, self.logits.weight.dtype)
        features = self.reduce(features)
        raw = self.variances(features)
        return KernelMixture(
            features,
            self.logits(features),
            self.means(features).unflatten(1, self.shape),
            (elu(raw) + 1 + self.variance_floor).unflatten(1, self.shape),
        )


@full_precision
def kernel_exponents(mixture: KernelMixture) -> torch.Tensor:
    """Return log g_k(f) = −½ Σ_d (f_d − m_dk)² / v_dk for each sample and label, ``[B, K]``.

    For isotropic mixtures, Σ_d (f_d − m)² is computed as Σ_d (f_d − f̄)² + D (f̄ − m)², which needs
    no array over axes and labels at once.

    Raises:
        InvalidInput: parameters that do not fit or are not finite, or exponents that overflow.

    Example:
        >>> one = torch.ones(1, 1)
        >>> kernel_exponents(KernelMixture(torch.full((1, 4), 3.0), one, one, one))
        tensor([[-8.]])
    """
    exponents = mixture_exponents(check_mixture(mixture))
    return check_result("the exponents", exponents, "features, means or variances")


def mixture_exponents(mixture: KernelMixture) -> torch.Tensor:
    """Return the same as ``kernel_exponents`` for a mixture that is checked."""
    features, _, means, variances = mixture
    if means.ndim == 2:
        average = features.mean(1, keepdim=True)
        spread = (features - average).square().sum(1, keepdim=True)
        squares = spread + features.shape[1] * (average - means).square()
        return -0.5 * squares / variances
    return -0.5 * ((features[:, :, None] - means).square() / variances).sum(1)


@full_precision
def kernel_reconstruction(mixture: KernelMixture, labels: Any, mask: Any = None) -> torch.Tensor:
    """Return the reconstruction loss of KMCL, at least 0.

    It is the mean over samples of −log Σ_{k present} π_k g_k(f) / Σ_k π_k g_k(f), the negative
    logarithm of the probability that the feature is of one of the present labels.

    Args:
        mixture: of B samples.
        labels: ``[B, K]`` of 0 and 1; samples without a label are left out.
        mask: bool ``[B, K]``; the components of missing labels are left out.

    Raises:
        InvalidInput: labels other than 0 and 1, or parameters that are not finite.

    Source: KMCL (arXiv 2307.03967), released code, in the logarithm.

    Example:
        >>> parameters = torch.zeros(1, 2), torch.zeros(1, 2), torch.ones(1, 2)
        >>> mixture = KernelMixture(torch.zeros(1, 3), *parameters)
        >>> kernel_reconstruction(mixture, torch.tensor([[1, 0]]))
        tensor(0.6931)
    """
    mixture = check_mixture(mixture)
    labels = fitting_labels(mixture, labels, mask)
    if mask is not None:
        mask = check_mask(mask, tuple(labels.shape)).to(labels.device)
    loss = reconstruction_of(mixture, labels, mask)
    return check_result("the reconstruction", loss, "features, means or variances")


def reconstruction_of(
    mixture: KernelMixture, labels: torch.Tensor, mask: torch.Tensor | None
) -> torch.Tensor:
    """Return the same as ``kernel_reconstruction`` for input that is checked."""
    scores = logsigmoid(mixture.logits) + mixture_exponents(mixture)
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return posterior_loss(scores, labels)


def posterior_loss(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the mean of logsumexp(all scores) − logsumexp(scores of present labels).

    Args:
        scores: logarithms of weighted components, ``[B, K]``.
        labels: ``[B, K]`` of 0 and 1; samples without a label are left out.

    Returns:
        A scalar; an exact 0, connected to the scores, if no sample has a label.
    """
    rows = labels.any(1)
    if not bool(rows.any()):
        return torch.where(torch.isfinite(scores), scores, 0.0).sum() * 0
    # Rows without a label are removed first: a row of −∞ has a gradient of NaN.
    scores, labels = scores[rows], labels[rows]
    present = scores.masked_fill(labels == 0, -torch.inf)
    return (scores.logsumexp(1) - present.logsumexp(1)).mean()


def check_mixture(mixture: Any) -> KernelMixture:
    """Return a mixture of float32 or wider, whose parameters fit and are finite.

    Raises:
        InvalidInput: no mixture, shapes that do not match, or values that are not finite.
    """
    mixture = KernelMixture(*check_parts(KernelMixture, mixture))
    features, logits, means, variances = mixture
    shapes = [logits.shape, (len(logits), *features.shape[1:], *logits.shape[1:])]
    if (
        features.ndim != 2
        or logits.ndim != 2
        or len(features) != len(logits)
        or means.shape not in shapes
        or variances.shape != means.shape
    ):
        raise InvalidInput(
            "features, logits, means and variances must be [B, D], [B, K], and both [B, K] or "
            f"[B, D, K], got {[list(values.shape) for values in mixture]}"
        )
    for name, values in mixture._asdict().items():
        check_finite(name, values)
    if bool((variances <= 0).any()):
        raise InvalidInput("variances must be above 0")
    return mixture


def fitting_labels(mixture: KernelMixture, labels: Any, mask: Any = None) -> torch.Tensor:
    """Return checked labels with a column for each component."""
    labels = check_labels(labels, mask, len(mixture.logits))
    if labels.shape != mixture.logits.shape:
        raise InvalidInput(
            f"labels have {labels.shape[1]} columns, the mixture {mixture.logits.shape[1]} "
            "components"
        )
    return labels.to(mixture.logits)
