"""Test ProbMCL at its edges and the uncertainty of mixtures: empty batches, half precision, extreme mixtures, bad input."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from loss_inputs import convert, density_mixture as mixture, gradients
from oracles import array, random_labels

from explore.errors import InvalidInput
from explore.multilabel.mixture_density import (
    DensityMixture,
    MixtureDensityHead,
    log_mixture_similarity,
    mixture_similarity,
    mixture_uncertainty,
)
from explore.multilabel.probmcl import probmcl_loss

B, C, Q = 7, 4, 3
FIELDS = ("log_weights", "means", "variances", "latent")
KINDS = ["product", "matched"]
TERMS = ("likelihood", "contrast", "total")
each_covariance = pytest.mark.parametrize("covariance", ["isotropic", "diagonal"])
each_kind = pytest.mark.parametrize("kind", KINDS)
each_scale = pytest.mark.parametrize("scale", ["linear", "log"])


def test_a_mixture_is_a_named_tuple_of_four() -> None:
    assert DensityMixture._fields == FIELDS


# ---- the loss


@pytest.mark.parametrize(
    "labels",
    [torch.ones(1, C), torch.zeros(1, C), torch.eye(C), torch.zeros(5, C)],
    ids=["one sample", "one without labels", "no shared label", "no labels"],
)
@each_kind
@each_scale
def test_without_positives_the_contrast_is_an_exact_connected_zero(
    labels: torch.Tensor, kind: str, scale: str
) -> None:
    parts = convert(mixture(count=len(labels)), torch.float32)
    terms = probmcl_loss(parts, labels, similarity=kind, scale=scale)
    assert terms["contrast"].item() == 0.0
    assert (terms["anchors"], terms["skipped"]) == (0, len(labels))
    for part in torch.autograd.grad(terms["contrast"], parts[:3], retain_graph=True):
        assert part.count_nonzero() == 0
    assert terms["total"].isfinite()
    for part in gradients(terms["total"], parts):
        assert part.isfinite().all()


def test_without_labels_the_likelihood_is_an_exact_connected_zero() -> None:
    parts = mixture()
    terms = probmcl_loss(parts, torch.zeros(B, C))
    assert terms["likelihood"].item() == terms["total"].item() == 0.0
    for part in torch.autograd.grad(terms["likelihood"], parts):
        assert part.count_nonzero() == 0


def test_all_labels_cost_nothing() -> None:
    parts = mixture()
    loss = probmcl_loss(parts, torch.ones(B, C))["likelihood"]
    assert loss.item() == pytest.approx(0, abs=1e-12)
    assert all(part.isfinite().all() for part in gradients(loss, parts))


@each_kind
@each_scale
@pytest.mark.parametrize("likelihood", ["posterior", "plain"])
def test_extreme_mixtures_give_finite_losses_and_gradients(
    kind: str, scale: str, likelihood: str
) -> None:
    start, labels = convert(mixture(latent=64), torch.float32), random_labels(0, B, C)
    log_weights = torch.log_softmax(300 * start.log_weights.detach(), 1)
    parts = DensityMixture(
        log_weights.requires_grad_(),
        (100 * start.means.detach()).requires_grad_(),
        torch.full((B, C), 0.01, requires_grad=True),
        (100 * start.latent.detach()).requires_grad_(),
    )
    terms = probmcl_loss(parts, labels, similarity=kind, scale=scale, likelihood=likelihood)
    for name in TERMS:
        assert terms[name].isfinite(), name
    assert all(part.isfinite().all() for part in gradients(terms["total"], parts))
    assert (log_mixture_similarity(parts, kind).detach().fill_diagonal_(-1e6) < -1e3).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@each_covariance
@each_kind
@pytest.mark.parametrize("likelihood", ["posterior", "plain"])
def test_half_precision_is_computed_in_float32(
    covariance: str, kind: str, likelihood: str, dtype: torch.dtype
) -> None:
    parts = mixture(covariance, latent=64)
    wide = parts._replace(means=30 * parts.means, latent=30 * parts.latent)
    half, labels = convert(wide, dtype), random_labels(0, B, C)
    options = {"similarity": kind, "likelihood": likelihood}
    terms = probmcl_loss(half, labels.to(dtype), **options)
    exact = probmcl_loss(convert(half, torch.float32), labels, **options)
    for name in TERMS:
        assert terms[name].dtype == torch.float32, name
        torch.testing.assert_close(terms[name], exact[name])
    for part in gradients(terms["total"] / 1e4, half):
        assert part.isfinite().all()
    assert mixture_similarity(half, kind).dtype == torch.float32
    for name, value in mixture_uncertainty(half).items():
        assert value.dtype == torch.float32, name
        assert value.isfinite().all(), name


@each_covariance
@each_kind
def test_autocast_does_not_lower_the_precision_of_the_loss(covariance: str, kind: str) -> None:
    parts, labels = convert(mixture(covariance), torch.float32), random_labels(0, B, C)
    head = MixtureDensityHead(9, C, 16, 8, Q, covariance)
    expected = probmcl_loss(parts, labels, similarity=kind)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        terms = probmcl_loss(parts, labels, similarity=kind)
        through_head = probmcl_loss(head(torch.ones(B, 9)), labels, similarity=kind)
    for name in TERMS:
        torch.testing.assert_close(terms[name], expected[name])
        assert through_head[name].dtype == torch.float32
        assert through_head[name].isfinite()


@pytest.mark.parametrize("field", FIELDS)
def test_nan_is_named(field: str) -> None:
    parts = mixture()
    values = getattr(parts, field).detach().clone()
    values[3, 1] = math.nan
    with pytest.raises(InvalidInput, match=field):
        probmcl_loss(parts._replace(**{field: values}), random_labels(0, B, C))


@pytest.mark.parametrize("value", [0.5, -1.0, math.nan])
def test_labels_other_than_0_and_1_are_rejected(value: float) -> None:
    labels = random_labels(0, B, C)
    labels[4, 2] = value
    with pytest.raises(InvalidInput, match=r"(?s)\b4\b.*\b2\b"):
        probmcl_loss(mixture(), labels)


@each_covariance
def test_shapes_that_do_not_match_are_rejected(covariance: str) -> None:
    parts, labels = mixture(covariance), random_labels(0, B, C)
    wrong = [
        (parts, labels[:-1], 1),
        (parts, labels[:, :-1], 1),
        (parts, labels, 2),
        (parts._replace(log_weights=parts.log_weights[:, :-1]), labels, 1),
        (parts._replace(means=parts.means[:-1]), labels, 1),
        (parts._replace(variances=parts.variances[:, :-1]), labels, 1),
        (parts._replace(latent=parts.latent[:, :-1]), labels, 1),
    ]
    for bad, table, views in wrong:
        with pytest.raises(InvalidInput):
            probmcl_loss(bad, table, views=views)


@pytest.mark.parametrize(
    "options",
    [
        {"alpha": 0},
        {"alpha": -0.1},
        {"alpha": 1.1},
        {"alpha": math.nan},
        {"overlap": "jacard"},
        {"temperature": 0},
        {"similarity": "cosine"},
        {"scale": "square"},
        {"likelihood": "exact"},
        {"views": 3},
        {"views": 0},
    ],
)
def test_options_out_of_range_are_rejected(options: dict) -> None:
    with pytest.raises(InvalidInput):
        probmcl_loss(mixture(), random_labels(0, B, C), **options)


def test_options_of_the_head_out_of_range_are_rejected() -> None:
    for options in ({"covariance": "full"}, {"variance_floor": 0}, {"variance_floor": -1}):
        with pytest.raises(InvalidInput, match=next(iter(options))):
            MixtureDensityHead(9, C, **options)


# ---- uncertainty


def test_uncertainty_by_hand() -> None:
    # weights 1/4 and 3/4, means 0 and 4, variances 1 and 2: mean 3; aleatoric .25 + 1.5; epistemic .25 * 9 + .75 * 1
    parts = DensityMixture(
        torch.tensor([[0.25, 0.75]]).log(),
        torch.tensor([[[0.0], [4.0]]]),
        torch.tensor([[1.0, 2.0]]),
        torch.zeros(1, 1),
    )
    result = mixture_uncertainty(parts)
    expected = {"aleatoric": 1.75, "epistemic": 3.0, "total": 4.75, "entropy": 0.562335}
    for name, value in expected.items():
        assert result[name].shape == (1,)
        assert result[name].item() == pytest.approx(value, abs=1e-6)
    assert set(result) == {*expected, "log_volume"}


@each_covariance
def test_total_uncertainty_is_the_trace_of_the_covariance_of_samples(covariance: str) -> None:
    parts = mixture(covariance, count=4, seed=1)
    weights = np.exp(array(parts.log_weights))
    variances = array(parts.variances)
    if covariance == "isotropic":
        variances = np.repeat(variances[..., None], Q, axis=-1)
    generator = np.random.default_rng(0)
    result = mixture_uncertainty(parts)
    torch.testing.assert_close(result["total"], result["aleatoric"] + result["epistemic"])
    for n in range(4):
        components = generator.choice(C, size=200_000, p=weights[n] / weights[n].sum())
        means, widths = array(parts.means)[n, components], np.sqrt(variances[n, components])
        samples = means + widths * generator.standard_normal(means.shape)
        # the standard error of a variance from 200,000 samples is below 0.5 %
        assert result["total"][n].item() == pytest.approx(samples.var(0).sum(), rel=0.02)
        assert result["epistemic"][n].item() == pytest.approx(means.var(0).sum(), rel=0.02)
        assert result["aleatoric"][n].item() == pytest.approx((widths**2).sum(1).mean(), rel=0.02)


@each_covariance
def test_uncertainty_at_its_limits(covariance: str) -> None:
    parts = mixture(covariance)
    same = parts._replace(means=parts.means[:, :1].repeat(1, C, 1))
    assert mixture_uncertainty(same)["epistemic"].abs().max() < 1e-12
    moved = mixture_uncertainty(parts._replace(means=parts.means + 1000))
    before = mixture_uncertainty(parts)
    for name, value in moved.items():
        torch.testing.assert_close(value, before[name], rtol=1e-6, atol=1e-6)
    even = parts._replace(log_weights=torch.full((B, C), -math.log(C)).double())
    expected = torch.full((B,), math.log(C)).double()
    torch.testing.assert_close(mixture_uncertainty(even)["entropy"], expected, rtol=1e-6, atol=0)
    sure = torch.full((B, C), -math.inf)
    sure[:, 1] = 0
    certain = mixture_uncertainty(parts._replace(log_weights=sure.double()))
    assert certain["entropy"].tolist() == [0.0] * B
    assert certain["epistemic"].abs().max() < 1e-12
    larger = mixture_uncertainty(parts._replace(variances=2 * parts.variances))
    assert (larger["log_volume"] > before["log_volume"]).all()
    torch.testing.assert_close(larger["aleatoric"], 2 * before["aleatoric"])
