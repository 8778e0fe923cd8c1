"""Test studies of the weight of the contrast: shares of gradients, scores of plain trainings, resuming."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from multilabel_toys import LABELS, images, vectors
from toys import bits, run_to_end, states_equal

from explore.data.multilabel_set import MultilabelSet
from explore.errors import InvalidInput
from explore.multilabel import (
    asymmetric_loss,
    kernel_contrast,
    kernel_reconstruction,
    multilabel_report,
)
from explore.multilabel.config import MultilabelConfig, WeightStudyConfig
from explore.multilabel.recordings import WEIGHT_TERMS
from explore.multilabel.training import MultilabelTraining
from explore.multilabel.weight_study import WeightStudyRun

pytestmark = pytest.mark.usefixtures("_one_thread")

SHARED: dict[str, Any] = {"epochs": 2, "batch": 16, "features": 8, "width": 2}
WEIGHTS = (0.0, 0.05, 2.0)


def study_of(source: MultilabelSet | None = None, **options: Any) -> WeightStudyRun:
    config = WeightStudyConfig(**{**SHARED, "weights": WEIGHTS, "seeds": 2, **options})
    return WeightStudyRun(config, source or vectors(60))


def training_of(run: WeightStudyRun, weight: float, seed: int, **options: Any) -> Any:
    """Return the plain training with KMCL that a study should do."""
    config = MultilabelConfig(
        **{**SHARED, **options},
        method="kmcl",
        learning_rate=0.003,
        contrast_weight=weight,
        reconstruction_weight=weight,
        seed=seed,
    )
    return MultilabelTraining(config, run.train)


@pytest.mark.parametrize("source", [vectors, images])
def test_scores_are_those_of_plain_trainings(source: Any) -> None:
    """To measure the gradients changes no weight and, in images, no statistics of batch norm."""
    run = study_of(source(60), epochs=1, seed=5)
    frame = run_to_end(run).snapshot()
    assert frame["weight"].values.tolist() == list(WEIGHTS)
    for number, weight in enumerate(WEIGHTS):
        for seed in range(2):
            training = training_of(run, weight, 5 + seed, epochs=1).run()
            probabilities = training.probabilities(run.held)
            expected = multilabel_report(probabilities, run.held.labels)["mAP"]
            assert float(frame["held_out_map"][number, seed]) == np.float32(expected)
            spread = float(probabilities.std(0).mean())
            assert float(frame["prediction_spread"][number, seed]) == np.float32(spread)


def gradient_norm(loss: torch.Tensor, network: torch.nn.Module) -> float:
    network.zero_grad()
    loss.backward(retain_graph=True)
    return float(torch.cat([p.grad.flatten() for p in network.encoder.parameters()]).norm())  # type: ignore[union-attr]


@pytest.mark.parametrize("correlation", ["outside", "none"])
def test_shares_are_those_of_the_norms_after_the_first_epoch(correlation: str) -> None:
    run = study_of(correlation=correlation)
    frame = run_to_end(run).snapshot()
    assert frame["weight_term"].values.tolist() == list(WEIGHT_TERMS)
    batch = run.train.subset(slice(0, 16))
    for number, weight in enumerate(WEIGHTS):
        training = training_of(run, weight, 1, correlation=correlation)
        training.advance()
        network = training.network
        outputs = network(batch.batch())
        mixture = outputs.contrasted
        norms = [
            gradient_norm(
                asymmetric_loss(mixture.logits, batch.labels, reduction="sample"), network
            ),
            weight * gradient_norm(kernel_reconstruction(mixture, batch.labels), network),
            weight
            * gradient_norm(
                kernel_contrast(mixture, batch.labels, correlation=correlation).loss, network
            ),
        ]
        expected = np.array(norms) / sum(norms)
        shares = frame["gradient_share"].values[:, number, 1]
        np.testing.assert_allclose(shares, expected, rtol=1e-4, atol=1e-6)


def test_shares_sum_to_1_and_a_weight_of_0_has_none() -> None:
    share = run_to_end(study_of()).snapshot()["gradient_share"]
    assert share.dims == ("weight_term", "weight", "run")
    np.testing.assert_allclose(share.sum("weight_term"), 1, rtol=1e-6)
    assert (share.sel(weight=0.0).values == np.array([[1], [0], [0]])).all()
    assert (share.sel(weight_term="contrast").diff("weight") > 0).all()
    assert (share.sel(weight_term="classification").diff("weight") < 0).all()


def test_without_positives_the_contrast_has_no_share() -> None:
    labels = torch.eye(12).repeat(2, 1)[:14]
    inputs = torch.randn(14, 6, generator=torch.Generator().manual_seed(0))
    run = study_of(MultilabelSet.from_tensors(inputs, labels), batch=4, weights=(1.0,), seeds=1)
    batch = run.train.labels[:4]
    assert bool((batch @ batch.T == torch.eye(4)).all()), "no shared label in the measured batch"
    share = run_to_end(run).snapshot()["gradient_share"].squeeze()
    assert float(share.sel(weight_term="contrast")) == 0
    assert float(share.sum()) == pytest.approx(1)


def test_a_fifth_is_held_out_the_same_for_all_trainings() -> None:
    source = vectors(60)
    run = study_of(source)
    assert (len(run.train), len(run.held)) == (48, 12)
    parts = [tuple(row) for part in (run.train, run.held) for row in part.inputs.tolist()]
    assert sorted(parts) == sorted(map(tuple, source.inputs.tolist()))
    assert run.class_names == LABELS
    assert (run.steps, run.every) == (6, 6)
    other = study_of(source, seed=1)
    assert not torch.equal(other.held.inputs, run.held.inputs)


def test_missing_labels_are_left_out_of_the_score() -> None:
    mask = torch.rand(60, 3, generator=torch.Generator().manual_seed(1)) < 0.7
    run = study_of(vectors(60, mask=mask), weights=(0.1,), seeds=1)
    frame = run_to_end(run).snapshot()
    probabilities = training_of(run, 0.1, 0).run().probabilities(run.held)
    report = multilabel_report(probabilities, run.held.labels, mask=run.held.mask)
    assert float(frame["held_out_map"].squeeze()) == np.float32(report["mAP"])
    assert report["mAP"] != multilabel_report(probabilities, run.held.labels)["mAP"]


def test_what_is_not_trained_is_nan() -> None:
    run = study_of()
    assert run.message == "study"
    done = []
    for step in range(run.steps + 1):
        frame = run.snapshot()
        done.append([int(np.isfinite(frame[name]).sum()) for name in frame.data_vars])
        if step < run.steps:
            run.advance()
    assert done == [[step, step, 3 * step] for step in range(7)]
    score = float(run.snapshot()["held_out_map"][2, 1])
    assert run.message == f"weight 2, seed 1: mAP {score:.1%}"


def test_a_resumed_study_has_the_same_measurements() -> None:
    plain = run_to_end(study_of()).snapshot()
    for step in (1, 4):
        first, second = study_of(), study_of()
        run_to_end(first, step)
        partial, state = first.snapshot(), first.state()
        second.restore(state)
        assert second.step == step
        assert bits(second.snapshot()) == bits(partial)
        assert bits(run_to_end(second).snapshot()) == bits(plain)
        assert bits(first.snapshot()) == bits(partial)
        assert states_equal(state, first.state()), "a run writes into no state that it restored"
        copy = {name: np.array(value) for name, value in state.items()}
        run_to_end(first)
        assert states_equal({name: np.array(value) for name, value in state.items()}, copy)


def test_the_trainings_have_the_options_of_the_study() -> None:
    run = study_of(views=0.5, overlap="dice", learning_rate=0.02)
    options = run._training_options(0.5, 3)
    assert (options.method, options.seed) == ("kmcl", 3)
    assert (options.contrast_weight, options.reconstruction_weight) == (0.5, 0.5)
    names = [
        n
        for n in WeightStudyConfig.__dataclass_fields__
        if n in MultilabelConfig.__dataclass_fields__
    ]
    for name in set(names) - {"method", "seed"}:
        assert getattr(options, name) == getattr(run.options, name), name


@pytest.mark.parametrize(
    "options", [{"weights": ()}, {"weights": (1.0, 1.0)}, {"weights": (-1.0,)}, {"seeds": 0}]
)
def test_invalid_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=next(iter(options))):
        WeightStudyConfig(**options)
