"""Test KMCL at its edges: empty batches, half precision, missing labels, order of the batch, bad input."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, strategies as st
from loss_inputs import convert, gradients, kernel_mixture as mixture, select
from oracles import random_labels

from explore.errors import InvalidInput
from explore.multilabel.kernel_mixture import (
    KernelMixture,
    KernelMixtureHead,
    kernel_reconstruction,
)
from explore.multilabel.kmcl import kernel_contrast, kmcl_loss
from explore.multilabel.similarity import component_similarity

B, D, K = 7, 5, 4
CORRELATIONS = ["outside", "inside", "none"]
FIELDS = ("features", "logits", "means", "variances")
TERMS = ("classification", "reconstruction", "contrast", "total")
each_covariance = pytest.mark.parametrize("covariance", ["isotropic", "anisotropic"])


@pytest.mark.parametrize("correlation", CORRELATIONS)
@pytest.mark.parametrize(
    "labels",
    [torch.ones(1, K), torch.zeros(1, K), torch.eye(K), torch.zeros(5, K)],
    ids=["one sample", "one without labels", "no shared label", "no labels"],
)
@each_covariance
def test_without_positives_the_contrast_is_an_exact_connected_zero(
    covariance: str, labels: torch.Tensor, correlation: str
) -> None:
    parts = convert(mixture(covariance, len(labels)), torch.float32)
    result = kernel_contrast(parts, labels, 0.17, correlation)
    assert result.loss.item() == 0.0
    assert (result.anchors, result.skipped) == (0, len(labels))
    for part in torch.autograd.grad(result.loss, (parts.means, parts.variances)):
        assert part.count_nonzero() == 0
    terms = kmcl_loss(parts, labels, correlation=correlation)
    assert (terms["anchors"], terms["skipped"]) == (0, len(labels))
    for part in gradients(terms["total"], parts):
        assert part.isfinite().all()
    assert terms["total"].isfinite()


def test_without_labels_the_reconstruction_is_an_exact_connected_zero() -> None:
    parts = mixture()
    loss = kernel_reconstruction(parts, torch.zeros(B, K))
    assert loss.item() == 0.0
    for part in torch.autograd.grad(loss, parts):
        assert part.count_nonzero() == 0


def test_all_labels_give_no_reconstruction_loss() -> None:
    parts = mixture()
    loss = kernel_reconstruction(parts, torch.ones(B, K))
    assert loss.item() == pytest.approx(0, abs=1e-12)
    assert all(part.isfinite().all() for part in gradients(loss, parts))


@each_covariance
def test_kernels_that_vanish_give_finite_gradients(covariance: str) -> None:
    parts = convert(mixture(covariance), torch.float32)
    far = parts._replace(
        features=(1e4 * parts.features).detach().requires_grad_(),
        means=(1e4 * parts.means).detach().requires_grad_(),
        variances=torch.full_like(parts.variances, 0.01, requires_grad=True),
        logits=torch.full_like(parts.logits, -200, requires_grad=True),
    )
    for correlation in CORRELATIONS:
        terms = kmcl_loss(far, random_labels(0, B, K), correlation=correlation)
        for name in TERMS:
            assert terms[name].isfinite(), name
        assert all(part.isfinite().all() for part in gradients(terms["total"], far))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("correlation", CORRELATIONS)
@each_covariance
def test_half_precision_is_computed_in_float32(
    covariance: str, dtype: torch.dtype, correlation: str
) -> None:
    parts = mixture(covariance, width=700)
    wide = parts._replace(features=30 * parts.features, means=20 * parts.means)
    half, labels = convert(wide, dtype), random_labels(0, B, K)
    terms = kmcl_loss(half, labels.to(dtype), correlation=correlation)
    exact = kmcl_loss(convert(half, torch.float32), labels, correlation=correlation)
    for name in TERMS:
        assert terms[name].dtype == torch.float32, name
        torch.testing.assert_close(terms[name], exact[name])
    for part in gradients(terms["total"] / 1e4, half):
        assert part.isfinite().all()


@each_covariance
def test_autocast_does_not_lower_the_precision_of_the_loss(covariance: str) -> None:
    parts, labels = convert(mixture(covariance, width=64), torch.float32), random_labels(0, B, K)
    expected = kmcl_loss(parts, labels)
    head = KernelMixtureHead(64, K, covariance=covariance, latent=8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        terms = kmcl_loss(parts, labels)
        through_head = kmcl_loss(head(parts.features), labels)
    for name in TERMS:
        torch.testing.assert_close(terms[name], expected[name])
        assert through_head[name].dtype == torch.float32
        assert through_head[name].isfinite()


def test_missing_labels_do_not_count() -> None:
    parts, labels = mixture(), random_labels(0, B, K)
    mask = torch.rand(B, K, generator=torch.Generator().manual_seed(1)) < 0.7
    mask[2] = False
    results = [
        kmcl_loss(parts, labels.masked_fill(~mask, value), mask=mask)
        for value in (0.0, 1.0, -1.0, math.nan)
    ]
    for terms in results[1:]:
        for name in TERMS:
            torch.testing.assert_close(terms[name], results[0][name], rtol=0, atol=0)
    assert results[0]["skipped"] >= 1
    everything = kmcl_loss(parts, labels, mask=torch.ones(B, K).bool())
    for name, value in kmcl_loss(parts, labels).items():
        torch.testing.assert_close(everything[name], value)


@each_covariance
def test_components_of_missing_labels_are_left_out(covariance: str) -> None:
    parts, labels = mixture(covariance), random_labels(1, B, K)
    mask = torch.ones(B, K).bool()
    mask[:, 2] = False
    rest = [0, 1, 3]
    _, logits, means, variances = (part[..., rest] for part in parts)
    smaller = KernelMixture(parts.features, logits, means, variances)
    expected = kernel_reconstruction(smaller, labels[:, rest])
    result = kernel_reconstruction(parts, labels, mask)
    torch.testing.assert_close(result, expected)
    assert result.item() != pytest.approx(kernel_reconstruction(parts, labels).item(), rel=1e-3)
    for part in torch.autograd.grad(result, parts[1:]):
        assert part[..., 2].count_nonzero() == 0
        assert part.isfinite().all()


@each_covariance
@given(
    seed=st.integers(0, 2**16), empty=st.integers(0, 2), correlation=st.sampled_from(CORRELATIONS)
)
def test_the_order_of_the_batch_does_not_matter(
    covariance: str, seed: int, empty: int, correlation: str
) -> None:
    parts, labels = mixture(covariance, seed=seed), random_labels(seed, B, K, 0.25, empty)
    order = torch.randperm(B, generator=torch.Generator().manual_seed(seed))
    before = kmcl_loss(parts, labels, correlation=correlation)
    after = kmcl_loss(select(parts, order), labels[order], correlation=correlation)
    for name, value in before.items():
        torch.testing.assert_close(after[name], value)


@pytest.mark.parametrize("field", FIELDS)
def test_nan_is_named(field: str) -> None:
    parts = mixture()
    values = getattr(parts, field).detach().clone()
    values[3, 1] = math.nan
    with pytest.raises(InvalidInput, match=field):
        kmcl_loss(parts._replace(**{field: values}), random_labels(0, B, K))


@pytest.mark.parametrize("value", [0.5, -1.0, math.nan])
def test_labels_other_than_0_and_1_are_rejected(value: float) -> None:
    parts, labels = mixture(), random_labels(0, B, K)
    labels[4, 2] = value
    for call in (
        lambda: kmcl_loss(parts, labels),
        lambda: kernel_reconstruction(parts, labels),
        lambda: kernel_contrast(parts, labels, 0.17, "outside"),
    ):
        with pytest.raises(InvalidInput, match=r"(?s)\b4\b.*\b2\b"):
            call()


@each_covariance
def test_shapes_that_do_not_match_are_rejected(covariance: str) -> None:
    parts, labels = mixture(covariance), random_labels(0, B, K)
    wrong = [
        (parts, labels[:-1]),
        (parts, labels[:, :-1]),
        (parts._replace(logits=parts.logits[:, :-1]), labels),
        (parts._replace(means=parts.means[:-1]), labels),
        (parts._replace(variances=parts.variances[..., :-1]), labels),
    ]
    for bad, table in wrong:
        with pytest.raises(InvalidInput):
            kmcl_loss(bad, table)


def test_options_out_of_range_are_rejected() -> None:
    parts, labels = mixture(), random_labels(0, B, K)
    for options in ({"temperature": 0}, {"temperature": -1}, {"correlation": "within"}):
        with pytest.raises(InvalidInput, match=next(iter(options))):
            kmcl_loss(parts, labels, **options)
    for options in ({"covariance": "full"}, {"variance_floor": 0}, {"variance_floor": -1}):
        with pytest.raises(InvalidInput, match=next(iter(options))):
            KernelMixtureHead(D, K, **options)
    with pytest.raises(InvalidInput):
        component_similarity(parts.means, parts.variances[:-1])


def test_a_mixture_is_a_named_tuple_of_four() -> None:
    assert KernelMixture._fields == FIELDS
