"""Test the contrast of KMCL: loops over anchors, numbers by hand, and what the correlation of labels does to gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from loss_inputs import gradients, kernel_mixture as mixture
from oracles import (
    array,
    component_table,
    kernel_contrast as plain_contrast,
    overlap_table,
    random_labels,
)

from explore.multilabel.kernel_mixture import KernelMixture
from explore.multilabel.kmcl import kernel_contrast, kmcl_loss
from explore.multilabel.similarity import anchor_similarity, component_similarity

B, D, K = 7, 5, 4
CORRELATIONS = ["outside", "inside", "none"]
each_covariance = pytest.mark.parametrize("covariance", ["isotropic", "anisotropic"])


def similarity(parts: KernelMixture) -> np.ndarray:
    """Return rho by loops."""
    return component_table(array(parts.means), array(parts.variances), parts.features.shape[1])


# ---- contrast


def test_contrast_by_hand() -> None:
    # one feature, one class, variances 1, means 0, 2, 4; rho = e^-1/2 (neighbours) and e^-2; temperature 1/2.
    # samples 0 and 1 share the class: l = 2 rho: anchor 0: log(e^1.213061 + e^0.270671) - 1.213061 = 0.329084,
    # anchor 1: two equal neighbours: log 2 = 0.693147; mean 0.511116
    parts = KernelMixture(
        torch.zeros(3, 1),
        torch.zeros(3, 2),
        torch.tensor([[0.0, 0], [2, 0], [4, 0]]),
        torch.ones(3, 2),
    )
    labels = torch.tensor([[1.0, 0], [1, 0], [0, 1]])
    result = kernel_contrast(parts, labels, temperature=0.5, correlation="outside")
    assert result.loss.item() == pytest.approx(0.511116, abs=1e-6)
    assert (result.anchors, result.skipped) == (2, 1)
    # a second label of sample 0 halves the correlation and changes no similarity: 0.511116 / 2
    labels[0, 1], labels[2, 1] = 1, 0
    result = kernel_contrast(parts, labels, temperature=0.5, correlation="outside")
    assert result.loss.item() == pytest.approx(0.255558, abs=1e-6)
    inside = kernel_contrast(parts, labels, temperature=0.5, correlation="inside")
    assert inside.loss.item() == pytest.approx(0.511116 + math.log(2), abs=1e-5)
    without = kernel_contrast(parts, labels, temperature=0.5, correlation="none")
    assert without.loss.item() == pytest.approx(0.511116, abs=1e-6)


@pytest.mark.parametrize("correlation", CORRELATIONS)
@pytest.mark.parametrize("empty", [0, 2])
@each_covariance
def test_contrast_equals_a_loop(covariance: str, empty: int, correlation: str) -> None:
    parts = mixture(covariance, seed=2)
    labels = random_labels(3, B, K, 0.2, empty)
    result = kernel_contrast(parts, labels, 0.17, correlation)
    loss, anchors, skipped = plain_contrast(similarity(parts), array(labels), 0.17, correlation)
    assert result.loss.item() == pytest.approx(loss, rel=1e-6)  # correlations are float32
    assert (result.anchors, result.skipped) == (anchors, skipped)
    assert skipped >= empty
    table = overlap_table(array(labels))
    assert ((table > 0) & (table < 1)).any()  # or the three correlations would be one


@pytest.mark.parametrize("correlation", CORRELATIONS)
def test_only_outside_the_logarithm_does_the_correlation_scale_gradients(correlation: str) -> None:
    parts, gradient = mixture(count=3, classes=3), {}
    for extra in (0.0, 1.0):  # a label that nobody shares: J of samples 0 and 1 is 1, then 1/2
        labels = torch.tensor([[1.0, 0, extra], [1, 0, 0], [0, 1, 0]])
        loss = kernel_contrast(parts, labels, 0.17, correlation).loss
        gradient[extra] = torch.cat([g.flatten() for g in gradients(loss, parts)[2:]])
    assert gradient[0.0].abs().max() > 0.01
    factor = 0.5 if correlation == "outside" else 1.0
    torch.testing.assert_close(gradient[1.0], factor * gradient[0.0], rtol=1e-4, atol=1e-6)


def test_a_sample_without_labels_is_a_negative_but_no_anchor() -> None:
    parts = mixture(count=4)
    labels = torch.tensor([[1.0, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0]])
    result = kernel_contrast(parts, labels, 0.17, "outside")
    assert (result.anchors, result.skipped) == (3, 1)
    assert gradients(result.loss, parts)[2][2].abs().max() > 1e-4


@pytest.mark.parametrize("correlation", CORRELATIONS)
@each_covariance
def test_gradients_of_the_losses_by_finite_differences(covariance: str, correlation: str) -> None:
    parts, labels = mixture(covariance, 5, 2, classes=3), random_labels(4, 5, 3, empty=1)

    def total(*values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        terms = kmcl_loss(
            KernelMixture(*values), labels, temperature=0.5, correlation=correlation, gamma_neg=0
        )
        return tuple(terms[name] for name in ("reconstruction", "contrast", "total"))

    torch.autograd.gradcheck(total, tuple(parts))


@pytest.mark.parametrize(("alpha", "kind"), [(0.5, "jaccard"), (0.6, "recall"), (1.0, "cosine")])
def test_pairs_may_need_a_larger_overlap(alpha: float, kind: str) -> None:
    parts, labels = mixture(seed=6), random_labels(8, B, K, 0.3)
    table, rho = overlap_table(array(labels), kind), similarity(parts)
    losses = []
    for n in range(B):
        others = [j for j in range(B) if j != n]
        positives = [j for j in others if table[n, j] >= alpha - 1e-9]
        terms = [
            table[n, j] * (np.log(np.exp(rho[n, others, k] / 0.17).sum()) - rho[n, j, k] / 0.17)
            for j in positives
            for k in np.flatnonzero(array(labels[n] * labels[j]))
        ]
        if positives:
            losses.append(sum(terms) / len(positives))
    result = kernel_contrast(parts, labels, 0.17, "outside", alpha=alpha, overlap=kind)
    assert result.loss.item() == pytest.approx(np.mean(losses), rel=1e-6)
    assert (result.anchors, result.skipped) == (len(losses), B - len(losses))
    assert result.loss.item() != pytest.approx(kernel_contrast(parts, labels).loss.item(), rel=1e-2)


@pytest.mark.parametrize("chunk", [None, 1, 3, 100])
@each_covariance
def test_similarities_of_anchors_are_rows_of_the_table(covariance: str, chunk: int | None) -> None:
    parts = mixture(covariance, seed=7)
    axes = D if covariance == "isotropic" else 1
    anchors, labels = torch.tensor([0, 3, 3, 6, 2]), torch.tensor([1, 0, 3, 1, 1])
    weights = torch.rand(5, B, dtype=torch.float64)
    results = []
    for rows in (
        anchor_similarity(parts.means, parts.variances, anchors, labels, axes, chunk=chunk),
        component_similarity(parts.means, parts.variances, axes)[anchors, :, labels],
    ):
        gradient = torch.autograd.grad((rows * weights).sum(), (parts.means, parts.variances))
        results.append((rows, *gradient))
    for first, second in zip(*results, strict=True):
        torch.testing.assert_close(first, second)
    assert results[0][0].shape == (5, B)
