"""Test ZCA against NumPy's singular value decomposition, its inverse, and its error messages."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from explore.data import ZCA, load
from explore.errors import InvalidInput


def images(count: int = 200, channels: int = 2, side: int = 4, seed: int = 0) -> torch.Tensor:
    """Return correlated pixels: noise times a random matrix, and a mean that is not 0."""
    generator = torch.Generator().manual_seed(seed)
    values = channels * side * side
    mixed = (
        torch.randn(count, values, generator=generator)
        @ torch.randn(values, values, generator=generator)
        / values**0.5
    )
    return (mixed + torch.randn(values, generator=generator)).view(count, channels, side, side)


def by_numpy(x: torch.Tensor, epsilon: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return mean, W and its inverse by their definition: Σ = U diag(s) Uᵀ, W = U diag((s + ε)^-1/2) Uᵀ."""
    flat = x.double().flatten(1).numpy()
    u, s, _ = np.linalg.svd(np.cov(flat.T))
    return (
        flat.mean(0),
        u @ np.diag((s + epsilon) ** -0.5) @ u.T,
        u @ np.diag((s + epsilon) ** 0.5) @ u.T,
    )


def covariance(x: torch.Tensor) -> np.ndarray:
    return np.cov(x.double().flatten(1).numpy().T)


@pytest.mark.parametrize("epsilon", [0.1, 1e-3, 2.0])
def test_whitening_equals_the_formula(epsilon):
    x, others = images(), images(seed=1)
    zca = ZCA(epsilon).fit(x)
    mean, forward, inverse = by_numpy(x, epsilon)
    np.testing.assert_allclose(zca.forward_matrix, forward, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(zca.inverse_matrix, inverse, rtol=1e-4, atol=1e-5)
    for batch in (x, others):
        expected = ((batch.double().flatten(1).numpy() - mean) @ forward).reshape(batch.shape)
        np.testing.assert_allclose(zca(batch), expected, rtol=1e-3, atol=1e-4)


def test_the_default_epsilon_is_that_of_all_released_code():
    torch.testing.assert_close(ZCA().fit(images())(images()), ZCA(0.1).fit(images())(images()))


def test_the_covariance_of_the_fitted_images_is_nearly_the_identity():
    """It is U diag(s / (s + ε)) Uᵀ, which approaches the identity as ε goes to 0."""
    x = images()
    u, s, _ = np.linalg.svd(covariance(x))
    np.testing.assert_allclose(
        covariance(ZCA(0.1).fit(x)(x)), u @ np.diag(s / (s + 0.1)) @ u.T, atol=1e-4
    )
    np.testing.assert_allclose(
        covariance(ZCA(0).fit(x.double())(x.double())), np.eye(32), atol=1e-8
    )


def test_whitened_images_have_mean_0_and_look_like_the_originals():
    x = images()
    white = ZCA().fit(x)(x)
    assert white.mean(0).abs().max() < 1e-4
    w = ZCA().fit(x).forward_matrix
    torch.testing.assert_close(w, w.T, atol=1e-5, rtol=1e-4)  # zero-phase: symmetric, unlike PCA


@pytest.mark.parametrize("count", [200, 5])  # 5 images of 32 values: a covariance without full rank
def test_undo_is_the_inverse_in_both_directions(count):
    zca, others = ZCA().fit(images(count)), images(7, seed=3)
    torch.testing.assert_close(zca.undo(zca(others)), others, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(zca(zca.undo(others)), others, atol=1e-4, rtol=1e-4)


def test_whitening_and_undo_return_the_digits():
    digits = load("digits")
    x = digits.batch()
    zca = ZCA().fit(x)
    white = zca(x)
    assert torch.equal(digits.to_display(zca.undo(white)), digits.images)
    s = np.linalg.eigvalsh(covariance(x))
    result = np.linalg.eigvalsh(covariance(white))
    np.testing.assert_allclose(
        result, np.sort(np.clip(s, 0, None) / (np.clip(s, 0, None) + 0.1)), atol=1e-3
    )


def test_shape_and_type_do_not_change_and_gradients_flow():
    zca = ZCA().fit(images())
    for dtype in (torch.float32, torch.float64):
        x = images(3).to(dtype).requires_grad_(True)
        white = zca(x)
        assert (white.shape, white.dtype) == (x.shape, dtype)
        (gradient,) = torch.autograd.grad(white.sum(), x)
        assert gradient.isfinite().all()


def test_fitting_does_not_change_the_images():
    x = images()
    ZCA().fit(x)(x)
    assert torch.equal(x, images())


# ---- what it refuses


def test_fitting_again_is_refused_and_leaves_it_as_it_was():
    zca = ZCA().fit(images())
    before = zca(images())
    with pytest.raises(
        InvalidInput,
        match="this ZCA is fitted already; fit a new one on real training images, never",
    ):
        zca.fit(images(seed=1))
    assert torch.equal(zca(images()), before)


def test_whitening_before_fitting_is_refused():
    for use in (ZCA(), ZCA().undo):
        with pytest.raises(InvalidInput, match="this ZCA is not fitted; call fit"):
            use(images())


def test_images_of_another_size_are_refused():
    zca = ZCA().fit(images())
    for use in (zca, zca.undo):
        with pytest.raises(
            InvalidInput, match=r"fitted on images of 32 values, got \[5, 2, 5, 5\]"
        ):
            use(images(5, side=5))


@pytest.mark.parametrize(
    "bad", [torch.zeros(1, 1, 4, 4), torch.zeros(0, 1, 4, 4), torch.zeros(10, 16)]
)
def test_images_without_a_covariance_are_refused(bad):
    with pytest.raises(InvalidInput, match=r"images must be \[N, C, H, W\] with N ≥ 2"):
        ZCA().fit(bad)


@pytest.mark.parametrize("epsilon", [-0.1, float("nan")])
def test_a_negative_epsilon_is_refused(epsilon):
    with pytest.raises(InvalidInput, match="epsilon must be a number of at least 0"):
        ZCA(epsilon)
