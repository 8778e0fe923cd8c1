"""Test trainings with each loss: learning, equal samples and order, sizes, two stages, states."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from multilabel_toys import (
    images,
    methods_without,
    same_bits,
    training_of,
    vectors,
    weights_of,
)
from torch import nn
from toys import states_equal

from explore.data.multilabel_set import MultilabelSet
from explore.errors import InvalidInput, RunDiverged
from explore.multilabel.classification import asymmetric_loss
from explore.multilabel.config import TRAINING_METHODS
from explore.multilabel.metrics import average_precision
from explore.multilabel.networks import Outputs
from explore.multilabel.training import MultilabelTraining

pytestmark = pytest.mark.usefixtures("_one_thread")

each_method = pytest.mark.parametrize("method", TRAINING_METHODS)


def mean_precision(training: MultilabelTraining, samples: MultilabelSet) -> float:
    scores = training.probabilities(samples).numpy()
    return float(np.nanmean(average_precision(scores, samples.labels)))


# ---- learning


@each_method
def test_the_loss_falls_and_new_samples_are_ranked(method: str) -> None:
    options = {"epochs": 40, "classifier_epochs": 40, "width": 4, "learning_rate": 0.01}
    training = training_of(method, vectors(60), **options)
    losses = []
    while training.step < options["epochs"]:
        training.advance()
        losses.append(training.loss)
    assert np.isfinite(losses).all()
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:2])
    training.run()
    new = vectors(60, seed=9)
    frequency = float(new.labels.mean())
    assert mean_precision(training, new) > 0.5 + 0.5 * frequency
    assert mean_precision(training_of(method), new) < mean_precision(training, new)


@pytest.mark.slow
@each_method
def test_quadrants_of_images_are_learned(method: str) -> None:
    options = {"epochs": 30, "classifier_epochs": 20, "width": 4, "learning_rate": 0.01}
    training = training_of(method, images(80), views=0.5, **options).run()
    assert mean_precision(training, images(80, seed=9)) > 0.75


@each_method
def test_the_same_seed_gives_the_same_weights(method: str) -> None:
    first, second, other = (training_of(method, seed=seed).run() for seed in (1, 1, 2))
    assert same_bits(first.network, second.network)
    assert not same_bits(first.network, other.network)


@each_method
def test_the_global_random_state_is_neither_read_nor_changed(method: str) -> None:
    trainings = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        state = torch.get_rng_state()
        trainings.append(training_of(method, images(24)).run())
        assert torch.equal(torch.get_rng_state(), state)
    assert same_bits(trainings[0].network, trainings[1].network)


def test_losses_give_different_weights() -> None:
    networks = {method: training_of(method).run().network for method in TRAINING_METHODS}
    names = list(networks)
    for number, name in enumerate(names):
        for other in names[:number]:
            assert not same_bits(networks[name].encoder, networks[other].encoder), (name, other)


class Memory(nn.Module):
    """An encoder that returns its inputs and remembers those of the training."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[torch.Tensor] = []
        self.scale = nn.Parameter(torch.ones(6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.batches.append(x.clone())
        return self.scale * x


def batches_of(method: str, source: MultilabelSet, **options: Any) -> list[torch.Tensor]:
    encoder = Memory()
    training_of(method, source, lambda seed: encoder, **options).run()
    return encoder.batches


def test_all_losses_have_the_same_samples_views_and_order() -> None:
    source = vectors()
    expected: list[torch.Tensor] = []
    for method in TRAINING_METHODS:
        batches = batches_of(method, source, epochs=3, seed=5, views=0.2)
        if method == "probmcl":
            assert [len(batch) for batch in batches] == [32, 32, 16] * 3
            for batch in batches:
                first, second = batch.chunk(2)
                distances = torch.cdist(first, second)
                assert torch.equal(distances.argmin(1), torch.arange(len(first))), "view by view"
                assert bool((distances.diagonal() > 0).all()), "two views differ"
            batches = [batch.chunk(2)[0] for batch in batches]
        expected = expected or batches
        assert len(batches) == len(expected) == 9
        assert all(torch.equal(a, b) for a, b in zip(batches, expected, strict=True)), method
    for epoch in range(3):  # Each sample once in an epoch, another view in each.
        rows = torch.cat(expected[3 * epoch : 3 * epoch + 3])
        nearest = torch.cdist(rows, source.batch()).argmin(1)
        assert sorted(nearest.tolist()) == list(range(40))
        assert not torch.equal(nearest, torch.arange(40))
    assert not torch.equal(expected[0], expected[3])


def test_without_views_the_samples_themselves_are_used() -> None:
    source = vectors()
    rows = {tuple(row) for row in source.batch().tolist()}
    for method in ("bce", "probmcl"):
        batches = batches_of(method, source, epochs=2, views=0.0)
        assert {tuple(row) for batch in batches for row in batch.tolist()} == rows


# ---- sizes


def test_a_single_row_is_not_left_to_batch_norm() -> None:
    def encoder(seed: int) -> nn.Module:
        return nn.Sequential(Memory(), nn.BatchNorm1d(6))

    source = vectors(33)
    training = training_of("bce", source, encoder, epochs=20, views=0.0).run()
    batches = training.network.encoder[0].batches  # type: ignore[index]
    assert [len(batch) for batch in batches] == [16, 16] * 20
    samples = {tuple(row) for row in source.batch().tolist()}
    missing = []
    for first, second in zip(batches[::2], batches[1::2], strict=True):
        missing.append(samples - {tuple(row) for row in torch.cat([first, second]).tolist()})
    assert all(len(each) == 1 for each in missing)
    assert len(set.union(*missing)) > 10, "another sample in each epoch"


@pytest.mark.parametrize(("method", "sizes"), [("bce", [16, 16, 1]), ("probmcl", [32, 32, 2])])
def test_no_sample_is_left_out_otherwise(method: str, sizes: list[int]) -> None:
    assert [len(batch) for batch in batches_of(method, vectors(33), epochs=1)] == sizes


def test_two_views_of_a_single_sample_pass_batch_norm() -> None:
    def encoder(seed: int) -> nn.Module:
        return nn.Sequential(Memory(), nn.BatchNorm1d(6))

    training = training_of("probmcl", vectors(33), encoder, epochs=1).run()
    assert [len(b) for b in training.network.encoder[0].batches] == [32, 32, 2]  # type: ignore[index]


@each_method
def test_a_batch_may_be_larger_than_the_set(method: str) -> None:
    training = training_of(method, vectors(5), batch=64).run()
    assert math.isfinite(training.loss)
    assert training.step == training.steps


def test_one_sample_is_refused() -> None:
    with pytest.raises(InvalidInput, match="needs two samples or more, got 1"):
        training_of("bce", vectors(1))
    training_of("bce", vectors(2)).run()


def test_a_rate_that_is_too_large_is_named() -> None:
    with pytest.raises((RunDiverged, InvalidInput), match="rate"):
        training_of("kmcl", learning_rate=1e30, epochs=5).run()


# ---- two stages


def norm_encoder(seed: int) -> nn.Module:
    """Return an encoder with statistics."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 4))


@pytest.mark.parametrize("encoder", [None, norm_encoder], ids=["images", "own"])
def test_the_second_stage_changes_the_classifier_alone(encoder: Any) -> None:
    source = images() if encoder is None else vectors()
    training = training_of("probmcl", source, encoder, epochs=3, classifier_epochs=3)
    start = weights_of(training.network.classifier)  # type: ignore[arg-type]
    assert training.steps == 6
    before, logits = training.probabilities(source), []
    for _ in range(3):
        encoder_before = weights_of(training.network.encoder)
        assert not training.has_classifier
        training.advance()
        assert not same_bits(training.network.encoder, encoder_before)
        classifier = training.network.classifier
        assert same_bits(classifier, start), "the classifier has no part in the first stage"  # type: ignore[arg-type]
    encoder_before = weights_of(training.network.encoder)
    head_before = weights_of(training.network.contrast_head)  # type: ignore[arg-type]
    assert any("running_var" in name for name in encoder_before)
    features = training.outputs(source).features
    last = training.outputs(source).logits
    for _ in range(3):
        training.advance()
        assert training.has_classifier
        assert same_bits(training.network.encoder, encoder_before)
        assert same_bits(training.network.contrast_head, head_before)  # type: ignore[arg-type]
        outputs = training.outputs(source)
        assert torch.equal(outputs.features, features)
        logits.append(outputs.logits)
        assert not torch.equal(logits[-1], last)
        last = outputs.logits
    assert not torch.equal(training.probabilities(source), before)
    assert not same_bits(training.network.classifier, start)  # type: ignore[arg-type]


def test_the_classifier_has_the_asymmetric_loss_of_the_features() -> None:
    source = vectors(12)
    training = training_of("probmcl", source, batch=12, epochs=1, classifier_epochs=1)
    training.advance()
    expected = asymmetric_loss(training.outputs(source).logits, source.labels, reduction="sample")
    training.advance()
    assert training.loss == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("method", methods_without(["probmcl"]))
def test_other_methods_have_one_stage_and_a_classifier_after_an_epoch(method: str) -> None:
    training = training_of(method)
    assert (training.steps, training.has_classifier) == (2, False)
    training.advance()
    assert training.has_classifier


@each_method
def test_any_stage_is_restored_in_a_training_of_any_stage(method: str) -> None:
    """A training that has ended goes back to each epoch, and on from there to the same bits."""
    source = images(24)
    plain = training_of(method, source)
    states = [plain.state()]
    outputs, terms = [plain.probabilities(source)], [plain.terms]
    while plain.step < plain.steps:
        plain.advance()
        states.append(plain.state())
        outputs.append(plain.probabilities(source))
        terms.append(plain.terms)
    ended = training_of(method, source).run()
    for step in (0, plain.steps - 1, 1, plain.steps):
        for other in (training_of(method, source), ended):
            other.restore(states[step])
            assert other.step == step
            assert torch.equal(other.probabilities(source), outputs[step])
            assert other.terms == terms[step]
            other.run()
            assert same_bits(other.network, plain.network)
            assert states_equal(other.state(), states[-1])
            assert other.loss == plain.loss


@each_method
def test_an_evaluation_changes_nothing(method: str) -> None:
    plain, watched = training_of(method), training_of(method)
    while watched.step < watched.steps:
        modes = [module.training for module in watched.network.modules()]
        watched.outputs(watched.source, batch=7)
        assert [module.training for module in watched.network.modules()] == modes
        watched.advance()
    assert same_bits(plain.run().network, watched.network)


@each_method
def test_outputs_do_not_depend_on_the_size_of_a_batch(method: str) -> None:
    training = training_of(method).run()
    whole, parts = training.outputs(training.source), training.outputs(training.source, batch=7)
    for first, second in zip(flat_of(whole), flat_of(parts), strict=True):
        assert len(first) == 40
        torch.testing.assert_close(first, second)
    assert not whole.logits.requires_grad
    probabilities = training.probabilities(training.source)
    torch.testing.assert_close(probabilities, torch.sigmoid(whole.logits))


def flat_of(outputs: Outputs) -> list[torch.Tensor]:
    """Return all tensors of a network's outputs."""
    contrasted = outputs.contrasted
    if contrasted is None:
        return [outputs.features, outputs.logits]
    parts = [contrasted] if isinstance(contrasted, torch.Tensor) else list(contrasted)
    return [outputs.features, outputs.logits, *parts]
