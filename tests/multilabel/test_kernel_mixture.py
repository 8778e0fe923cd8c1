"""Test KMCL: kernels, similarities and the three losses against loops and integrals, and section 3.6's numerical facts."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from loss_inputs import convert, gradients, kernel_mixture as mixture
from oracles import (
    array,
    asymmetric_entries,
    component_table,
    exponents,
    kernel_contrast as plain_contrast,
    posterior_loss,
    random_labels,
)
from scipy.integrate import quad
from scipy.stats import norm

from explore.multilabel.kernel_mixture import (
    KernelMixture,
    KernelMixtureHead,
    kernel_exponents,
    kernel_reconstruction,
)
from explore.multilabel.kmcl import kmcl_loss
from explore.multilabel.similarity import component_similarity

B, D, K = 7, 5, 4
CORRELATIONS = ["outside", "inside", "none"]
each_covariance = pytest.mark.parametrize("covariance", ["isotropic", "anisotropic"])


def similarity(parts: KernelMixture) -> np.ndarray:
    """Return rho by loops."""
    return component_table(array(parts.means), array(parts.variances), parts.features.shape[1])


def log_joint(parts: KernelMixture) -> np.ndarray:
    """Return log(pi g) by loops."""
    logits = array(parts.logits)
    kernels = exponents(array(parts.features), array(parts.means), array(parts.variances))
    return -np.logaddexp(0, -logits) + kernels


# ---- the head


@pytest.mark.parametrize("scale", [1.0, 300.0])
@each_covariance
def test_the_head_has_the_shapes_and_the_floor_of_variances(covariance: str, scale: float) -> None:
    head = KernelMixtureHead(20, K, covariance=covariance, latent=6, variance_floor=0.25)
    features = scale * torch.randn(50, 20, generator=torch.Generator().manual_seed(0))
    parts = head(features)
    shape = (50, K) if covariance == "isotropic" else (50, 6, K)
    assert parts.features.shape == (50, 20 if covariance == "isotropic" else 6)
    assert parts.logits.shape == (50, K)
    assert parts.means.shape == parts.variances.shape == shape
    assert parts.variances.min() >= 0.25 * (1 - 1e-6)
    assert parts.variances.isfinite().all()
    if scale > 1:
        assert parts.variances.min().item() == pytest.approx(0.25, rel=1e-5)
    torch.testing.assert_close(parts.probabilities, torch.sigmoid(parts.logits))
    if covariance == "isotropic":
        assert torch.equal(parts.features, features)


@each_covariance
def test_means_and_logits_of_the_head_are_linear(covariance: str) -> None:
    head = KernelMixtureHead(9, K, covariance=covariance, latent=3).double()
    a, b = torch.randn(2, 5, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for field in ("features", "logits", "means"):
        first, second, middle = (getattr(head(x), field) for x in (a, b, (a + b) / 2))
        torch.testing.assert_close(middle, (first + second) / 2)


@each_covariance
def test_the_seed_decides_the_head_and_the_global_state_does_not(covariance: str) -> None:
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = KernelMixtureHead(9, K, covariance=covariance, seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    second, other = (KernelMixtureHead(9, K, covariance=covariance, seed=s) for s in (3, 4))
    x = torch.randn(4, 9)
    for mine, same in zip(first(x), second(x), strict=True):
        assert torch.equal(mine, same)
    assert not torch.equal(first(x).means, other(x).means)
    assert not torch.equal(first(x).logits, other(x).logits)


@each_covariance
def test_all_weights_of_the_head_learn_from_the_loss(covariance: str) -> None:
    head = KernelMixtureHead(9, K, covariance=covariance, latent=3)
    x = torch.randn(8, 9, generator=torch.Generator().manual_seed(0))
    kmcl_loss(head(x), random_labels(0, 8, K))["total"].backward()
    for name, weight in head.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.isfinite().all(), name
        assert weight.grad.count_nonzero() > 0, name


# ---- kernels and similarities


def test_exponents_by_hand() -> None:
    # -1/2 ((1 - 0)^2 + (3 - 0)^2) / 2 = -2.5 and -1/2 ((1 - 2)^2 + (3 - 2)^2) / 1 = -1
    parts = KernelMixture(
        torch.tensor([[1.0, 3]]),
        torch.zeros(1, 2),
        torch.tensor([[0.0, 2]]),
        torch.tensor([[2.0, 1]]),
    )
    torch.testing.assert_close(kernel_exponents(parts), torch.tensor([[-2.5, -1.0]]))


@each_covariance
def test_exponents_equal_a_loop(covariance: str) -> None:
    parts = mixture(covariance)
    expected = exponents(array(parts.features), array(parts.means), array(parts.variances))
    np.testing.assert_allclose(array(kernel_exponents(parts)), expected, rtol=1e-10)


def test_similarity_by_hand() -> None:
    # equal variances 1, means 0 and 2: exp(-1/4 * 4 / 2) = 0.606531; means equal, variances 1 and 3:
    # exp(-1/2 (ln 4 - ln 2 - 1/2 ln 3)) = 0.930605; over two axes the squares of both
    means, variances = torch.tensor([[0.0, 1], [2, 1]]), torch.tensor([[1.0, 1], [1, 3]])
    for axes in (1, 2):
        rho = component_similarity(means, variances, axes)[0, 1]
        expected = torch.tensor([0.606531, 0.930605]) ** axes
        torch.testing.assert_close(rho, expected, rtol=0, atol=1e-6)


def test_similarity_equals_the_integral() -> None:
    means = torch.tensor([[0.3], [-1.0], [2.5]], dtype=torch.float64)
    variances = torch.tensor([[0.5], [2.0], [0.1]], dtype=torch.float64)
    rho = component_similarity(means, variances)[:, :, 0]
    for i, j in np.ndindex(3, 3):
        first, second = (norm(means[n].item(), variances[n].item() ** 0.5) for n in (i, j))
        integral = quad(lambda z, f=first, s=second: math.sqrt(f.pdf(z) * s.pdf(z)), -15, 15)[0]
        assert rho[i, j].item() == pytest.approx(integral, abs=1e-7)


@each_covariance
def test_similarity_equals_a_loop_and_has_the_bounds(covariance: str) -> None:
    parts = mixture(covariance, seed=1)
    rho = component_similarity(parts.means, parts.variances, D if covariance == "isotropic" else 1)
    np.testing.assert_allclose(array(rho), similarity(parts), rtol=1e-8, atol=1e-12)
    torch.testing.assert_close(rho, rho.transpose(0, 1))
    assert (rho > 0).all()
    assert (rho <= 1).all()


@pytest.mark.parametrize("width", [1, 128, 2048])
@each_covariance
def test_equal_parameters_have_similarity_one_in_float32(covariance: str, width: int) -> None:
    parts = convert(mixture(covariance, 3, width, classes=6), torch.float32)
    means, variances = (part[[0, 1, 0, 2, 1]] for part in (parts.means, parts.variances))
    rho = component_similarity(means, variances, width if covariance == "isotropic" else 1)
    for i, j in [(n, n) for n in range(5)] + [(0, 2), (2, 0), (1, 4)]:
        torch.testing.assert_close(rho[i, j], torch.ones(6), rtol=0, atol=1e-6)
    assert (rho <= 1).all()
    assert (rho[0, 1] < 0.999).any()


def test_isotropic_equals_anisotropic_with_repeated_parameters() -> None:
    parts = mixture()
    means, variances = (part[:, None].repeat(1, D, 1) for part in (parts.means, parts.variances))
    full = KernelMixture(parts.features, parts.logits, means, variances)
    torch.testing.assert_close(
        component_similarity(parts.means, parts.variances, D),
        component_similarity(means, variances),
    )
    labels = random_labels(0, B, K)
    for correlation in CORRELATIONS:
        first, second = (kmcl_loss(p, labels, correlation=correlation) for p in (parts, full))
        for term in ("classification", "reconstruction", "contrast", "total"):
            torch.testing.assert_close(first[term], second[term])
        for one, other in zip(
            gradients(first["total"], parts), gradients(second["total"], parts), strict=True
        ):
            torch.testing.assert_close(one, other)


@pytest.mark.parametrize("chunk", [1, 3, 7, 100])
@each_covariance
def test_chunks_change_nothing(covariance: str, chunk: int) -> None:
    parts, weights = mixture(covariance), torch.rand(B, B, K, dtype=torch.float64)
    axes = D if covariance == "isotropic" else 1
    results = []
    for size in (None, chunk):
        rho = component_similarity(parts.means, parts.variances, axes, chunk=size)
        results.append(
            (rho, *torch.autograd.grad((rho * weights).sum(), (parts.means, parts.variances)))
        )
    for first, second in zip(*results, strict=True):
        torch.testing.assert_close(first, second)


@each_covariance
def test_gradients_of_kernels_and_similarities_by_finite_differences(covariance: str) -> None:
    parts = mixture(covariance, 4, 3, classes=2)
    axes = 3 if covariance == "isotropic" else 1
    torch.autograd.gradcheck(lambda *p: kernel_exponents(KernelMixture(*p)), tuple(parts))
    torch.autograd.gradcheck(
        lambda means, variances: component_similarity(means, variances, axes),
        (parts.means, parts.variances),
    )


# ---- reconstruction


def test_reconstruction_by_hand() -> None:
    # log g = 0 and -2, pi equal: -log(1 / (1 + e^-2)) = 0.126928 and -log(e^-2 / (1 + e^-2)) = 2.126928
    row = [[1.0, 1.0]]
    parts = KernelMixture(
        torch.zeros(1, 1), torch.zeros(1, 2), torch.tensor([[0.0, 2]]), torch.tensor(row)
    )
    for labels, expected in (([[1.0, 0]], 0.126928), ([[0.0, 1]], 2.126928), (row, 0.0)):
        loss = kernel_reconstruction(parts, torch.tensor(labels))
        assert loss.item() == pytest.approx(expected, abs=1e-6)
    # pi = 1/2 and 3/4: -log(0.5 / (0.5 + 0.75 e^-2)) = 0.184821
    parts = parts._replace(logits=torch.tensor([[0.0, math.log(3)]]))
    loss = kernel_reconstruction(parts, torch.tensor([[1.0, 0]]))
    assert loss.item() == pytest.approx(0.184821, abs=1e-6)


@pytest.mark.parametrize("empty", [0, 3])
@each_covariance
def test_reconstruction_equals_a_loop(covariance: str, empty: int) -> None:
    parts, labels = mixture(covariance), random_labels(0, B, K, empty=empty)
    loss = kernel_reconstruction(parts, labels)
    assert loss.item() == pytest.approx(posterior_loss(log_joint(parts), array(labels)), rel=1e-10)
    assert loss > 0
    for part in gradients(loss, parts):
        assert part.isfinite().all()
        assert part[:empty].count_nonzero() == 0


@each_covariance
def test_wide_features_do_not_underflow(covariance: str) -> None:
    """Section 3.6: all kernels are 0 in float32, and yet the loss is right and the means learn."""
    generator = torch.Generator().manual_seed(0)
    width, shape = 2048, (B, K) if covariance == "isotropic" else (B, 2048, K)
    exact = KernelMixture(
        0.3 * torch.rand(B, width, generator=generator).double(),
        torch.randn(B, K, generator=generator).double(),
        1 + 0.2 * torch.rand(shape, generator=generator).double(),
        2 + 0.5 * torch.rand(shape, generator=generator).double(),
    )
    labels = random_labels(0, B, K)
    parts = convert(exact, torch.float32)
    assert kernel_exponents(parts).exp().count_nonzero() == 0
    loss = kernel_reconstruction(parts, labels)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(posterior_loss(log_joint(exact), array(labels)), rel=1e-3)
    _, _, means, variances = gradients(loss, parts)
    for part in (means, variances):
        assert part.isfinite().all()
        assert part.abs().max() > 1e-3 / width


# ---- the loss


@each_covariance
def test_the_terms_and_their_weights(covariance: str) -> None:
    parts, labels = mixture(covariance), random_labels(5, B, K, 0.3, empty=1)
    terms = kmcl_loss(parts, labels)
    expected = {
        "classification": asymmetric_entries(
            array(parts.logits), array(labels), 4, 0, 0.05
        ).sum() / B,
        "reconstruction": posterior_loss(log_joint(parts), array(labels)),
        "contrast": plain_contrast(similarity(parts), array(labels), 0.17, "outside")[0],
    }  # fmt: skip
    for name, value in expected.items():  # correlations are float32
        assert terms[name].item() == pytest.approx(value, rel=1e-6), name
    first, second, third = expected.values()
    assert terms["total"].item() == pytest.approx(first + (second + third) / B, rel=1e-6)
    assert terms["anchors"] + terms["skipped"] == B
    assert type(terms["anchors"]) is type(terms["skipped"]) is int
    weights = {
        "classification_weight": 0.5,
        "reconstruction_weight": 0.0,
        "contrast_weight": 3.0,
    }
    weighted = kmcl_loss(parts, labels, **weights)
    assert weighted["total"].item() == pytest.approx(0.5 * first + 3 * third, rel=1e-6)
    assert weighted["reconstruction"].item() == pytest.approx(second, rel=1e-8)
    changed = kmcl_loss(
        parts, labels, temperature=1.0, correlation="inside", gamma_neg=1, gamma_pos=2, clip=0.2,
        reconstruction_weight=2.0,
    )  # fmt: skip
    first = asymmetric_entries(array(parts.logits), array(labels), 1, 2, 0.2).sum() / B
    third = plain_contrast(similarity(parts), array(labels), 1.0, "inside")[0]
    assert changed["total"].item() == pytest.approx(first + 2 * second + third / B, rel=1e-6)
