"""Test the pulls on an anchor against derivatives of the losses, and similarities against those of torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from loss_inputs import density_mixture, kernel_mixture
from multilabel_toys import pulls_by_autograd
from oracles import array, random_labels

from explore.errors import UnknownName
from explore.multilabel import mixture_similarity, pair_contrast
from explore.multilabel.config import CORRELATION_NAMES, OVERLAP_NAMES
from explore.multilabel.overlap import positive_pairs
from explore.multilabel.pulls import (
    anchor_similarity,
    matched_similarity,
    pair_pulls,
    pulls_on_anchor,
)
from explore.multilabel.similarity import component_similarity

seeds = st.integers(0, 2**31)
temperatures = st.sampled_from([0.05, 0.17, 1.0])


def random_similarity(count: int, classes: int, seed: int) -> torch.Tensor:
    """Return symmetric similarities ``[N, N, K]`` in (0, 1] with a diagonal of 1, which need gradients."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.rand(count, count, classes, generator=generator, dtype=torch.float64)
    values = (values + values.transpose(0, 1)) / 2
    values[torch.arange(count), torch.arange(count)] = 1
    return values.requires_grad_()


@pytest.mark.parametrize("correlation", CORRELATION_NAMES)
@pytest.mark.parametrize("overlap", OVERLAP_NAMES)
@given(
    seed=seeds,
    count=st.integers(2, 9),
    classes=st.integers(1, 5),
    alpha=st.sampled_from([None, 0.05, 0.3, 0.5, 0.6, 1.0]),
    temperature=temperatures,
)
def test_pulls_are_the_derivative_of_the_contrast(
    correlation: str,
    overlap: str,
    seed: int,
    count: int,
    classes: int,
    alpha: float | None,
    temperature: float,
) -> None:
    labels = random_labels(seed, count, classes, empty=seed % 2)
    similarity = random_similarity(count, classes, seed)
    expected = pulls_by_autograd(similarity, labels, temperature, correlation, alpha, overlap)
    for anchor in range(count):
        pulls = pulls_on_anchor(
            array(similarity[anchor]),
            labels.numpy(),
            anchor,
            temperature=temperature,
            correlation=correlation,
            alpha=alpha,
            overlap=overlap,
        )
        assert pulls.shape == (count,)
        assert pulls.dtype == np.float64
        np.testing.assert_allclose(pulls, expected[anchor].sum(1), rtol=1e-5, atol=1e-5)
        assert pulls[anchor] == 0


def test_defaults_are_those_of_the_loss() -> None:
    labels, similarity = random_labels(0, 7, 4), random_similarity(7, 4, 0)
    expected = pulls_by_autograd(similarity, labels, 0.17, "outside", None, "jaccard")
    pulls = pulls_on_anchor(array(similarity[2]), labels.numpy(), 2)
    np.testing.assert_allclose(pulls, expected[2].sum(1), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("correlation", CORRELATION_NAMES)
@given(seed=seeds, temperature=temperatures)
def test_what_pulls_and_what_pushes_are_in_balance(
    correlation: str, seed: int, temperature: float
) -> None:
    labels, similarity = random_labels(seed, 8, 4), array(random_similarity(8, 4, seed))
    pulls = pulls_on_anchor(
        similarity[0], labels.numpy(), 0, temperature=temperature, correlation=correlation
    )
    assert pulls.sum() == pytest.approx(0, abs=1e-9)
    shared = (labels[0] * labels).sum(1).numpy() > 0
    assert (pulls[~shared] <= 0).all(), "a sample without a shared label never pulls"


def test_pulls_by_hand() -> None:
    # two labels, temperature 1/2, all similarities equal: p = 1/3 for each of the three others.
    # A = {1, 2}; J = 1 and 1/2. label 0: weight 1 of sample 1; label 1: 1 and 1/2.
    # sample 1: (1 - 1/3) + (1 - 3/2 / 3) = 7/6; sample 2: -1/3 + (1/2 - 1/2); sample 3: -1/3 - 1/2.
    # divided by |A| times the temperature, which is 1
    labels = np.array([[1, 1], [1, 1], [0, 1], [0, 0]])
    pulls = pulls_on_anchor(np.ones((4, 2)), labels, 0, temperature=0.5)
    np.testing.assert_allclose(pulls, [0, 7 / 6, -1 / 3, -5 / 6])
    # without J: label 1 has the weight 2, so 2/3 + 1/3, -1/3 + 1/3, and -1/3 - 2/3
    pulls = pulls_on_anchor(np.ones((4, 2)), labels, 0, temperature=0.5, correlation="none")
    np.testing.assert_allclose(pulls, [0, 1, 0, -1], atol=1e-12)
    # positive from 0.6: sample 1 alone, weight 1 for both labels; 2 * (1 - 1/3), twice -2/3, |A| = 1
    pulls = pulls_on_anchor(np.ones((4, 2)), labels, 0, temperature=0.5, alpha=0.6)
    np.testing.assert_allclose(pulls, 2 * np.array([0, 4 / 3, -2 / 3, -2 / 3]))


@pytest.mark.parametrize("correlation", CORRELATION_NAMES)
@pytest.mark.parametrize("alpha", [None, 0.5])
def test_without_a_positive_there_are_no_pulls(correlation: str, alpha: float | None) -> None:
    labels = np.array([[1, 0, 0], [0, 1, 1], [0, 1, 1], [0, 0, 0]])
    similarity = np.random.default_rng(0).random((4, 3))
    for anchor in (0, 3):
        pulls = pulls_on_anchor(similarity, labels, anchor, correlation=correlation, alpha=alpha)
        assert (pulls == np.zeros(4)).all()
    assert pulls_on_anchor(similarity, labels, 1, correlation=correlation, alpha=alpha).any()
    assert (pulls_on_anchor(similarity[:1], labels[:1], 0) == [0]).all(), "a batch of one"


def test_an_overlap_below_alpha_is_no_positive() -> None:
    labels = np.array([[1, 1, 1, 0], [1, 0, 0, 1], [1, 1, 0, 0]])  # Jaccard 1/4 and 2/3
    similarity = np.full((3, 4), 0.5)
    assert pulls_on_anchor(similarity, labels, 0, alpha=2 / 3)[2] > 0
    assert not pulls_on_anchor(similarity, labels, 0, alpha=0.7).any()
    assert pulls_on_anchor(similarity, labels, 0, alpha=0.5)[1] < 0


@pytest.mark.parametrize("dtype", [bool, np.int8, np.float16, np.float32])
def test_labels_and_similarities_of_any_type(dtype: type) -> None:
    labels = random_labels(1, 8, 4).numpy()
    similarity = array(random_similarity(8, 4, 1))[0].astype(np.float16)
    expected = pulls_on_anchor(similarity.astype(float), labels, 0)
    assert (pulls_on_anchor(similarity, labels.astype(dtype), 0) == expected).all()


def test_a_small_temperature_does_not_overflow() -> None:
    labels, similarity = random_labels(1, 8, 4).numpy(), array(random_similarity(8, 4, 1))[0]
    for correlation in CORRELATION_NAMES:
        pulls = pulls_on_anchor(similarity, labels, 0, temperature=1e-4, correlation=correlation)
        assert np.isfinite(pulls).all()


def test_unknown_names_are_refused() -> None:
    labels, similarity = np.ones((3, 2)), np.ones((3, 2))
    with pytest.raises(UnknownName, match="correlation 'between'"):
        pulls_on_anchor(similarity, labels, 0, correlation="between")
    with pytest.raises(UnknownName, match="overlap 'hamming'"):
        pulls_on_anchor(similarity, labels, 0, overlap="hamming")


# ---- pairs


@given(seed=seeds, count=st.integers(2, 9), temperature=temperatures, share=st.floats(0, 1))
def test_pulls_of_pairs_are_the_derivative_of_the_contrast(
    seed: int, count: int, temperature: float, share: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    similarity = torch.rand(count, count, generator=generator, dtype=torch.float64)
    similarity.requires_grad_()
    positives = torch.rand(count, count, generator=generator) < share
    positives[0, 0] = True  # The anchor itself is ignored.
    contrast = pair_contrast(similarity / temperature, positives)
    gradient = torch.autograd.grad(contrast.loss, similarity)[0]
    for anchor in range(count):
        pulls = pair_pulls(
            array(similarity[anchor]), positives[anchor].numpy(), anchor, temperature
        )
        expected = -contrast.anchors * gradient[anchor].numpy()
        np.testing.assert_allclose(pulls, expected, rtol=1e-9, atol=1e-9)
        assert pulls.sum() == pytest.approx(0, abs=1e-9)


def test_pairs_without_a_positive_have_no_pulls() -> None:
    similarity = np.random.default_rng(0).random(4)
    for positive in ([False] * 4, [False, True, False, False]):
        assert (pair_pulls(similarity, np.array(positive), 1, 0.1) == np.zeros(4)).all()
    small = pair_pulls(similarity, np.array([True, False, False, False]), 1, 1e-4)
    assert np.isfinite(small).all()


# ---- similarities


@given(seed=seeds, count=st.integers(1, 7), classes=st.integers(1, 4), axes=st.integers(1, 200))
def test_similarities_of_isotropic_components(
    seed: int, count: int, classes: int, axes: int
) -> None:
    parts = kernel_mixture(count=count, classes=classes, seed=seed)
    means, variances = parts.means.detach() / axes**0.5, parts.variances.detach()
    expected = component_similarity(means, variances, axes).numpy()
    for anchor in range(count):
        result = anchor_similarity(means.numpy(), variances.numpy(), anchor, axes)
        np.testing.assert_allclose(result, expected[anchor], rtol=1e-9, atol=1e-12)
        assert (result[anchor] == 1).all()


@given(seed=seeds, count=st.integers(1, 7), latent=st.integers(1, 5))
def test_similarities_of_mixtures(seed: int, count: int, latent: int) -> None:
    mixture = density_mixture(count=count, latent=latent, seed=seed)
    means, variances = mixture.means.detach(), mixture.variances.detach()
    wide = variances[:, None].expand(-1, latent, -1)
    components = component_similarity(means.transpose(1, 2), wide).numpy()
    pairs = array(mixture_similarity(mixture, "matched"))
    weights = array(mixture.log_weights.exp())
    for anchor in range(count):
        result = anchor_similarity(means.numpy(), variances.numpy(), anchor, 0)
        np.testing.assert_allclose(result, components[anchor], rtol=1e-9)
        matched = matched_similarity(weights, means.numpy(), variances.numpy(), anchor)
        np.testing.assert_allclose(matched, pairs[anchor], rtol=1e-9)
        assert matched[anchor] == pytest.approx(1)


@pytest.mark.parametrize("alpha", [0.3, 0.5, 1.0])
def test_pulls_of_mixtures_are_the_derivative_of_their_contrast(alpha: float) -> None:
    mixture, labels = density_mixture(count=9), random_labels(5, 9, 4)
    positives = positive_pairs(labels, alpha)
    similarity = mixture_similarity(mixture, "matched")
    contrast = pair_contrast(similarity / 0.1, positives)
    gradient = torch.autograd.grad(contrast.loss, similarity)[0]
    weights, means, variances, _ = map(array, mixture)
    for anchor in range(9):
        matched = matched_similarity(np.exp(weights), means, variances, anchor)
        pulls = pair_pulls(matched, positives[anchor].numpy(), anchor, 0.1)
        np.testing.assert_allclose(
            pulls, -contrast.anchors * gradient[anchor].numpy(), rtol=1e-6, atol=1e-9
        )
