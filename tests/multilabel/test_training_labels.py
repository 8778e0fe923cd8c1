"""Test the terms of each loss in a training: weights, options, missing labels, and sets without shared labels."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from multilabel_toys import (
    CLASSIFICATION_METHODS,
    largest_difference,
    methods_without,
    options_of,
    random_labels,
    same_bits,
    training_of,
    vectors,
    weights_of,
)
from torch import nn

from explore.data.multilabel_set import MultilabelSet
from explore.multilabel.classification import asymmetric_loss, focal_loss
from explore.multilabel.config import CONTRASTIVE_METHODS, TRAINING_METHODS
from explore.multilabel.contrast import mulsupcon_loss, multisupcon_loss
from explore.multilabel.kmcl import kernel_contrast, kmcl_loss
from explore.multilabel.networks import Outputs
from explore.multilabel.probmcl import probmcl_loss
from explore.multilabel.training import loss_terms

pytestmark = pytest.mark.usefixtures("_one_thread")

each_method = pytest.mark.parametrize("method", TRAINING_METHODS)


# ---- terms of the loss


def batch_of(method: str, **options: Any) -> tuple[Any, Outputs, torch.Tensor]:
    """Return the options, outputs and labels of 12 samples."""
    source = vectors(12)
    training = training_of(method, source, **options)
    x = source.batch()
    outputs = training.network(torch.cat([x, x + 0.1]) if training.has_stages else x)
    return training.options, outputs, source.labels


@pytest.mark.parametrize("method", CLASSIFICATION_METHODS)
def test_the_classification_is_a_sum_over_labels(method: str) -> None:
    options, outputs, labels = batch_of(method)
    bce = nn.functional.binary_cross_entropy_with_logits(outputs.logits, labels, reduction="none")
    expected = {
        "focal": focal_loss(outputs.logits, labels, 2.0, reduction="sample"),
        "asl": asymmetric_loss(outputs.logits, labels, 4, 0, 0.05, reduction="sample"),
    }.get(method, bce.sum(1).mean())
    terms = loss_terms(options, outputs, labels)
    torch.testing.assert_close(terms["classification"], expected)
    if method in ("bce", "focal", "asl"):
        assert set(terms) == {"classification", "total"}
        assert torch.equal(terms["total"], terms["classification"])


DEFAULT_WEIGHTS = {"multisupcon": 0.1, "mulsupcon": 0.1, "kmcl": 1 / 16, "kmcl-constant": 1 / 16}


@pytest.mark.parametrize("method", CONTRASTIVE_METHODS)
@pytest.mark.parametrize("weight", [None, 0.0, 2.5])
def test_the_total_is_the_weighted_sum(method: str, weight: float | None) -> None:
    options, outputs, labels = batch_of(method, contrast_weight=weight, reconstruction_weight=0.7)
    terms = loss_terms(options, outputs, labels)
    factor = DEFAULT_WEIGHTS.get(method, 1.0) if weight is None else weight
    total = factor * terms["contrast"]
    total = total + (terms["likelihood"] if method == "probmcl" else terms["classification"])
    if method.startswith("kmcl"):
        total = total + 0.7 * terms["reconstruction"]
    torch.testing.assert_close(terms["total"], total)
    rows = 24 if method == "probmcl" else 12
    assert terms["anchors"] + terms["skipped"] == rows
    assert float(terms["contrast"].detach()) > 0


def test_the_options_reach_the_losses() -> None:
    for alpha, overlap, temperature in [(None, "jaccard", None), (0.8, "dice", 0.3)]:
        own: dict[str, Any] = {"alpha": alpha, "overlap": overlap, "temperature": temperature}
        tau = temperature or 0.1
        options, outputs, labels = batch_of("multisupcon", **own)
        expected = multisupcon_loss(outputs.contrasted, labels, tau, alpha or 0.3, overlap)
        assert torch.equal(loss_terms(options, outputs, labels)["contrast"], expected.loss)
        options, outputs, labels = batch_of("mulsupcon", **own)
        expected = mulsupcon_loss(outputs.contrasted, labels, tau)
        assert torch.equal(loss_terms(options, outputs, labels)["contrast"], expected.loss)
        for similarity in ("matched", "product"):
            options, outputs, labels = batch_of("probmcl", similarity=similarity, **own)
            terms = probmcl_loss(
                outputs.contrasted,
                labels,
                alpha=alpha or 0.5,
                overlap=overlap,
                temperature=tau,
                similarity=similarity,
                views=2,
            )
            assert torch.equal(loss_terms(options, outputs, labels)["total"], terms["total"])
    for method, correlation in [("kmcl", "outside"), ("kmcl", "inside"), ("kmcl-constant", "none")]:
        for alpha, overlap in [(None, "jaccard"), (None, "dice"), (0.8, "jaccard")]:
            chosen: dict[str, Any] = {"alpha": alpha, "overlap": overlap, "temperature": 0.4}
            options, outputs, labels = batch_of(method, correlation=correlation, **chosen)
            terms = kmcl_loss(
                outputs.contrasted,
                labels,
                correlation=correlation,
                contrast_weight=1 / 16,
                reconstruction_weight=None,
                **chosen,
            )
            assert torch.equal(loss_terms(options, outputs, labels)["total"], terms["total"])
            contrast = kernel_contrast(outputs.contrasted, labels, 0.4, correlation, alpha, overlap)
            assert torch.equal(terms["contrast"], contrast.loss)
        assert options_of(method).temperature_used == 0.17


@pytest.mark.parametrize("covariance", ["isotropic", "anisotropic"])
def test_inside_the_logarithm_the_overlap_has_no_effect(covariance: str) -> None:
    """It is a constant there, up to 1e-7; outside, it is a weight."""
    networks = {
        correlation: training_of(
            "kmcl",
            vectors(empty=0.0),
            correlation=correlation,
            covariance=covariance,
            contrast_weight=1.0,
            temperature=1.0,
        )
        .run()
        .network
        for correlation in ("outside", "inside", "none")
    }
    near = largest_difference(networks["inside"], networks["none"])
    far = largest_difference(networks["outside"], networks["none"])
    assert 0 < near < 1e-3 < far
    assert near < 0.1 * far
    constant = training_of(
        "kmcl-constant",
        vectors(empty=0.0),
        covariance=covariance,
        contrast_weight=1.0,
        temperature=1.0,
    )
    assert same_bits(constant.run().network, networks["none"])


# ---- missing labels


def missing_at_random(count: int, seed: int = 3, share: float = 0.7) -> torch.Tensor:
    return torch.rand(count, 3, generator=torch.Generator().manual_seed(seed)) < share


def with_labels(source: MultilabelSet, labels: torch.Tensor, mask: torch.Tensor | None) -> Any:
    return MultilabelSet.from_tensors(source.inputs, labels, source.label_names, mask)


@each_method
def test_labels_that_are_not_known_have_no_influence(method: str) -> None:
    source, mask = vectors(), missing_at_random(40)
    flipped = torch.where(mask, source.labels, 1 - source.labels)
    missing = torch.where(mask, source.labels, -1.0)
    networks = [
        training_of(method, with_labels(source, labels, mask)).run().network
        for labels in (source.labels, flipped, missing)
    ]
    assert same_bits(networks[0], networks[1])
    assert same_bits(networks[0], networks[2])
    absent = with_labels(source, torch.where(mask, source.labels, 0.0), None)
    assert not same_bits(networks[0], training_of(method, absent).run().network), (
        "a missing label is not an absent one"
    )


@each_method
def test_the_terms_do_not_depend_on_missing_labels(method: str) -> None:
    options, outputs, labels = batch_of(method)
    mask = missing_at_random(12)
    first = loss_terms(options, outputs, labels, mask)
    for other in (1 - labels, torch.full_like(labels, torch.nan), torch.full_like(labels, -1)):
        second = loss_terms(options, outputs, torch.where(mask, labels, other), mask)
        assert all(torch.equal(*map(torch.as_tensor, (first[k], second[k]))) for k in first)


@pytest.mark.parametrize("method", methods_without(["probmcl"]))
def test_logits_of_missing_labels_have_no_gradient(method: str) -> None:
    options, outputs, labels = batch_of(method)
    mask = missing_at_random(12)
    terms = loss_terms(options, outputs, labels, mask)
    gradient = torch.autograd.grad(terms["total"], outputs.logits)[0]
    assert bool((gradient[~mask] == 0).all())
    assert bool((gradient[mask] != 0).any())


def test_missing_labels_count_as_absent_in_contrasts() -> None:
    mask = missing_at_random(12)
    for method in CONTRASTIVE_METHODS:
        options, outputs, labels = batch_of(method)
        absent = torch.where(mask, labels, 0.0)
        first = loss_terms(options, outputs, labels, mask)
        second = loss_terms(options, outputs, absent)
        names = ["contrast", *(["likelihood"] if method == "probmcl" else [])]
        assert all(torch.equal(first[name], second[name]) for name in names), method
        if method == "kmcl":
            assert not torch.equal(first["reconstruction"], second["reconstruction"])


@each_method
def test_known_labels_that_are_all_known_change_nothing(method: str) -> None:
    source = vectors()
    all_known = with_labels(source, source.labels, torch.ones(40, 3, dtype=torch.bool))
    first, second = training_of(method, all_known).run(), training_of(method, source).run()
    assert largest_difference(first.network, second.network) < 1e-6


# ---- label sets


@each_method
def test_a_third_of_the_samples_may_have_no_label(method: str) -> None:
    source = vectors(40, empty=0.3)
    assert source.unlabelled == 12
    training = training_of(method, source, batch=8).run()
    assert math.isfinite(training.loss)
    assert all(bool(weight.isfinite().all()) for weight in training.network.parameters())


@each_method
def test_samples_without_any_label_are_accepted(method: str) -> None:
    source = vectors(20, empty=1.0)
    assert source.unlabelled == 20
    training = training_of(method, source)
    encoder = weights_of(training.network.encoder)
    training.run()
    assert all(bool(weight.isfinite().all()) for weight in training.network.parameters())
    if method == "probmcl":  # Neither likelihood nor contrast has anything to learn from.
        assert same_bits(training.network.encoder, encoder)
        assert training.terms["total"] == 0


@pytest.mark.parametrize("method", CONTRASTIVE_METHODS)
def test_without_a_shared_label_the_contrast_is_0(method: str) -> None:
    labels = torch.eye(12)
    inputs = torch.randn(12, 6, generator=torch.Generator().manual_seed(0))
    source = MultilabelSet.from_tensors(inputs, labels)
    training = training_of(method, source, batch=6)
    before = weights_of(training.network.encoder)
    training.advance()
    assert not same_bits(training.network.encoder, before), "it still trains"
    if method == "probmcl":  # Views of one sample are positive.
        assert (training.terms["anchors"], training.terms["skipped"]) == (12, 0)
        assert training.terms["contrast"] > 0
        return
    assert (training.terms["anchors"], training.terms["skipped"]) == (0, 6)
    assert training.terms["contrast"] == 0
    weighted = training_of(method, source, batch=6, contrast_weight=1e6, reconstruction_weight=0.5)
    weighted.advance()
    without = training_of(method, source, batch=6, contrast_weight=0.0, reconstruction_weight=0.5)
    without.advance()
    assert same_bits(weighted.network, without.network)


def test_labels_are_not_changed() -> None:
    source = vectors()
    before = source.labels.clone(), source.inputs.clone()
    for method in TRAINING_METHODS:
        training_of(method, source).run()
    assert torch.equal(source.labels, before[0])
    assert torch.equal(source.inputs, before[1])
    assert torch.equal(random_labels(40, 0), before[0])
