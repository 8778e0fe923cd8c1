"""Test ProbMCL: similarities of mixtures against integrals, the loss against loops, uncertainty against samples."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from loss_inputs import density_mixture as mixture, gradients, select
from oracles import (
    array,
    contrast,
    log_density,
    mixture_similarity as plain_similarity,
    overlap_table,
    posterior_loss,
    random_labels,
)

from explore.multilabel.mixture_density import DensityMixture, MixtureDensityHead
from explore.multilabel.probmcl import probmcl_loss

B, C, Q = 7, 4, 3
KINDS = ["product", "matched"]
TERMS = ("likelihood", "contrast", "total")
each_covariance = pytest.mark.parametrize("covariance", ["isotropic", "diagonal"])
each_kind = pytest.mark.parametrize("kind", KINDS)


def parameters(parts: DensityMixture) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return log weights, means and variances as float64."""
    return array(parts.log_weights), array(parts.means), array(parts.variances)


# ---- the head


@pytest.mark.parametrize("scale", [1.0, 3000.0])
@each_covariance
def test_the_head_has_the_shapes_and_the_floor_of_variances(covariance: str, scale: float) -> None:
    head = MixtureDensityHead(
        20, C, hidden=40, trunk=12, latent=Q, covariance=covariance, variance_floor=0.25
    )
    parts = head(scale * torch.randn(60, 20, generator=torch.Generator().manual_seed(0)))
    assert parts.log_weights.shape == (60, C)
    assert parts.means.shape == (60, C, Q)
    assert parts.variances.shape == ((60, C) if covariance == "isotropic" else (60, C, Q))
    assert parts.latent.shape == (60, Q)
    torch.testing.assert_close(parts.log_weights.exp().sum(1), torch.ones(60))
    assert parts.variances.min() >= 0.25 * (1 - 1e-6)
    assert all(part.isfinite().all() for part in parts)
    if scale > 1:
        assert parts.variances.min().item() == pytest.approx(0.25, rel=1e-5)


@each_covariance
def test_the_seed_decides_the_head_and_the_global_state_does_not(covariance: str) -> None:
    state = torch.get_rng_state()
    heads = [MixtureDensityHead(9, C, 16, 8, Q, covariance, seed=seed) for seed in (3, 3, 4)]
    assert torch.equal(torch.get_rng_state(), state)
    x = torch.randn(4, 9)
    for mine, same, other in zip(*(head(x) for head in heads), strict=True):
        assert torch.equal(mine, same)
        assert not torch.equal(mine, other)


@each_covariance
def test_all_weights_of_the_head_learn_from_the_loss(covariance: str) -> None:
    head = MixtureDensityHead(9, C, 16, 8, Q, covariance)
    x = torch.randn(12, 9, generator=torch.Generator().manual_seed(0))
    probmcl_loss(head(x), random_labels(0, 12, C))["total"].backward()
    for name, weight in head.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.isfinite().all(), name
        assert weight.grad.count_nonzero() > 0, name


# ---- the loss


def test_the_likelihoods_by_hand() -> None:
    # z = 0, components N(0, 1) and N(2, 1) with weights 1/4 and 3/4: densities .398942 and .053991;
    # p = .0997356 + .0404933 = .1402288; posterior of the first .711234: -log .340754; -log p = 1.964479
    parts = DensityMixture(
        torch.tensor([[0.25, 0.75]]).log(),
        torch.tensor([[[0.0], [2.0]]]),
        torch.ones(1, 2),
        torch.zeros(1, 1),
    )
    labels = torch.tensor([[1.0, 0]])
    loss = probmcl_loss(parts, labels, likelihood="posterior")["likelihood"]
    assert loss.item() == pytest.approx(0.340754, abs=1e-5)
    plain = probmcl_loss(parts, labels, likelihood="plain")["likelihood"]
    assert plain.item() == pytest.approx(1.964479, abs=1e-5)


@pytest.mark.parametrize("scale", ["linear", "log"])
@each_kind
@each_covariance
def test_the_loss_equals_loops(covariance: str, kind: str, scale: str) -> None:
    parts, labels = mixture(covariance, seed=4), random_labels(4, B, C, 0.3, empty=1)
    terms = probmcl_loss(
        parts, labels, alpha=0.4, overlap="dice", temperature=0.3, similarity=kind, scale=scale,
        contrast_weight=0.7,
    )  # fmt: skip
    similarity = plain_similarity(*parameters(parts), kind)
    logits = (similarity if scale == "linear" else np.log(similarity)) / 0.3
    positives = overlap_table(array(labels), "dice") >= 0.4 - 1e-9
    loss, anchors, skipped = contrast(logits, positives)
    likelihood = posterior_loss(log_density(array(parts.latent), *parameters(parts)), array(labels))
    assert terms["contrast"].item() == pytest.approx(loss, rel=1e-8)
    assert terms["likelihood"].item() == pytest.approx(likelihood, rel=1e-8)
    assert terms["total"].item() == pytest.approx(likelihood + 0.7 * loss, rel=1e-8)
    assert (terms["anchors"], terms["skipped"]) == (anchors, skipped)
    assert type(terms["anchors"]) is type(terms["skipped"]) is int
    assert 0 < anchors < B


@pytest.mark.parametrize(("classes", "kind"), [(20, "product"), (21, "matched")])
def test_the_defaults(classes: int, kind: str) -> None:
    parts, labels = mixture(classes=classes), random_labels(5, B, classes, 0.5)
    terms, spelled = (
        probmcl_loss(parts, labels, **options)
        for options in (
            {},
            {
                "alpha": 0.5,
                "overlap": "jaccard",
                "temperature": 0.1,
                "similarity": kind,
                "scale": "linear",
                "contrast_weight": 1.0,
                "likelihood": "posterior",
                "views": 1,
            },
        )
    )
    assert terms == spelled
    assert terms["total"].item() == pytest.approx(
        (terms["likelihood"] + terms["contrast"]).item(), rel=1e-12
    )
    similarity = plain_similarity(*parameters(parts), kind)
    positives = overlap_table(array(labels)) >= 0.5 - 1e-9
    loss, anchors, _ = contrast(similarity / 0.1, positives)
    assert anchors > 1
    assert terms["contrast"].item() == pytest.approx(loss, rel=1e-8)


def test_plain_likelihood_sends_no_gradient_to_its_target() -> None:
    parts, labels = mixture(), random_labels(0, B, C)
    loss = probmcl_loss(parts, labels, likelihood="plain")["likelihood"]
    expected = -np.log(np.exp(log_density(array(parts.latent), *parameters(parts))).sum(1)).mean()
    assert loss.item() == pytest.approx(expected, rel=1e-10)
    *rest, latent = gradients(loss, parts)
    assert latent.count_nonzero() == 0
    assert all(part.count_nonzero() > 0 for part in rest)
    posterior = probmcl_loss(parts, labels)["likelihood"]
    assert gradients(posterior, parts)[3].count_nonzero() > 0


def test_two_views_repeat_the_labels() -> None:
    parts, labels = mixture(count=10), random_labels(1, 5, C, 0.3, empty=1)
    two = probmcl_loss(parts, labels, views=2)
    repeated = probmcl_loss(parts, torch.cat([labels, labels]))
    for name, value in repeated.items():
        torch.testing.assert_close(two[name], value)
    # every labelled sample has at least its other view, also if no label is shared
    alone = probmcl_loss(mixture(count=2 * C), torch.eye(C), views=2, alpha=1.0)
    assert (alone["anchors"], alone["skipped"]) == (2 * C, 0)
    similarity = plain_similarity(*parameters(mixture(count=2 * C)), "product")
    positives = np.roll(np.eye(2 * C), C, axis=1) > 0
    assert alone["contrast"].item() == pytest.approx(contrast(similarity / 0.1, positives)[0])
    single = probmcl_loss(mixture(count=2), torch.eye(C)[:1], views=2)
    assert single["anchors"] == 2


def test_recall_takes_the_labels_of_the_anchor() -> None:
    parts, labels = mixture(count=3), torch.tensor([[1.0, 0, 0, 0], [1, 1, 1, 0], [0, 0, 0, 1]])
    terms = probmcl_loss(parts, labels, alpha=0.9, overlap="recall")
    assert (terms["anchors"], terms["skipped"]) == (1, 2)
    positives = np.array([[0, 1, 0], [0, 0, 0], [0, 0, 0]])
    similarity = plain_similarity(*parameters(parts), "product")
    assert terms["contrast"].item() == pytest.approx(contrast(similarity / 0.1, positives)[0])


@pytest.mark.parametrize("scale", ["linear", "log"])
@each_kind
@each_covariance
def test_gradients_of_the_loss_by_finite_differences(
    covariance: str, kind: str, scale: str
) -> None:
    parts, labels = mixture(covariance, 5, 2, classes=3), random_labels(4, 5, 3, empty=1)

    def losses(*values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        terms = probmcl_loss(
            DensityMixture(*values),
            labels,
            similarity=kind,
            scale=scale,
            temperature=0.5,
            alpha=0.3,
        )
        assert terms["anchors"] > 1
        return tuple(terms[name] for name in TERMS)

    torch.autograd.gradcheck(losses, tuple(parts))


def test_a_sample_without_labels_is_a_negative_but_no_anchor() -> None:
    parts = mixture(count=4)
    labels = torch.zeros(4, C)
    labels[[0, 1, 3], 0] = 1
    terms = probmcl_loss(parts, labels)
    assert (terms["anchors"], terms["skipped"]) == (3, 1)
    means, latent = torch.autograd.grad(
        terms["contrast"], parts.means, retain_graph=True
    ) + torch.autograd.grad(terms["total"], parts.latent)
    assert means[2].abs().max() > 1e-4
    assert latent[2].count_nonzero() == 0


@each_covariance
@given(seed=st.integers(0, 2**16), empty=st.integers(0, 2), kind=st.sampled_from(KINDS))
def test_the_order_of_the_batch_does_not_matter(
    covariance: str, seed: int, empty: int, kind: str
) -> None:
    parts, labels = mixture(covariance, seed=seed), random_labels(seed, B, C, 0.25, empty)
    order = torch.randperm(B, generator=torch.Generator().manual_seed(seed))
    before = probmcl_loss(parts, labels, similarity=kind)
    after = probmcl_loss(select(parts, order), labels[order], similarity=kind)
    for name, value in before.items():
        torch.testing.assert_close(after[name], value)


def test_weights_of_pairs_are_normalised_over_the_positives_of_an_anchor() -> None:
    """Section 4.2: the optional weight D(y_i, y_j), normalised over A(i)."""
    parts, labels = mixture(), random_labels(6, B, C, 0.5)
    table = overlap_table(array(labels))
    positives = table >= 0.3 - 1e-9
    np.fill_diagonal(positives, False)
    share = np.where(positives, table, 0)
    share = share / np.maximum(share.sum(1, keepdims=True), 1e-9)
    similarity = plain_similarity(*parameters(parts), "product")
    weights = share * positives.sum(1, keepdims=True)  # the loop divides by the number of positives
    expected, anchors, _ = contrast(similarity / 0.1, positives, weights)
    terms = probmcl_loss(parts, labels, alpha=0.3, pair_weights=True)
    assert len(np.unique(table[positives])) > 2
    assert terms["anchors"] == anchors
    assert terms["contrast"].item() == pytest.approx(expected, rel=1e-6)
