"""The loss of KMCL as a plain program computes it: a loop over anchors.

It shares no function with ``explore.multilabel``, apart from the form of its input.
"""

from __future__ import annotations

import math

import torch
from torch.nn.functional import logsigmoid

from explore.multilabel.kernel_mixture import KernelMixture


def looped_kmcl_loss(
    mixture: KernelMixture,
    labels: torch.Tensor,
    temperature: float = 0.17,
    loops_over_pairs: bool = True,
) -> torch.Tensor:
    """Return the total loss of KMCL for isotropic mixtures, anchor by anchor.

    Args:
        mixture: isotropic, of B samples.
        labels: ``[B, K]`` of 0 and 1; each sample has a label.
        temperature: of the contrast.
        loops_over_pairs: inside the loop over anchors, loop over their positives and over the
            labels that both share. Otherwise all samples and labels of an anchor are computed at
            once.
    """
    terms = _asymmetric(mixture.logits, labels), _reconstruction(mixture, labels)
    contrast = _contrast(mixture, labels, temperature, loops_over_pairs)
    return terms[0] + (terms[1] + contrast) / len(labels)


def _asymmetric(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the asymmetric loss with γ− = 4, γ+ = 0 and a clip of 0.05, a mean over samples."""
    probability = torch.sigmoid(logits)
    shifted = (probability - 0.05).clamp(min=0)
    focus = shifted.detach() ** 4
    present = labels * logsigmoid(logits)
    absent = (1 - labels) * focus * torch.log(1 - shifted)
    return -(present + absent).sum(1).mean()


def _reconstruction(mixture: KernelMixture, labels: torch.Tensor) -> torch.Tensor:
    features, logits, means, variances = mixture
    squares = torch.stack(
        [(features - means[:, [k]]).square().sum(1) for k in range(means.shape[1])], 1
    )
    scores = logsigmoid(logits) - 0.5 * squares / variances
    present = scores.masked_fill(labels == 0, -torch.inf)
    return (scores.logsumexp(1) - present.logsumexp(1)).mean()


def _contrast(
    mixture: KernelMixture, labels: torch.Tensor, temperature: float, loops_over_pairs: bool
) -> torch.Tensor:
    axes, means, variances = mixture.features.shape[1], mixture.means, mixture.variances
    samples = torch.arange(len(labels))
    losses = []
    for n in range(len(labels)):
        shared = labels[n] * labels  # [B, K]
        positives = [j for j in range(len(labels)) if j != n and shared[j].any()]
        if not positives:
            continue
        total = variances[n] + variances
        logarithms = variances[n].log() + variances.log()
        distance = 0.25 * (means[n] - means).square() / total
        distance = distance + 0.5 * (total.log() - math.log(2) - 0.5 * logarithms)
        energy = torch.exp(-axes * distance) / temperature
        log_probability = energy - energy[samples != n].logsumexp(0)
        correlations = shared.sum(1) / (labels[n] + labels).clamp(max=1).sum(1)
        if loops_over_pairs:
            loss = means.new_zeros(())
            for j in positives:
                for k in shared[j].nonzero()[:, 0]:
                    loss = loss - correlations[j] * log_probability[j, k]
        else:
            weights = (correlations * (samples != n))[:, None] * shared
            loss = -(weights * log_probability).sum()
        losses.append(loss / len(positives))
    return torch.stack(losses).mean()
