"""Test studies of losses: paired seeds, scores, numbers of trainings, splits, resuming."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from multilabel_toys import LABELS, images, vectors
from toys import bits, run_to_end, states_equal

from explore.data import load, load_multilabel
from explore.data.multilabel_set import MultilabelSet
from explore.errors import InvalidInput, UnknownName
from explore.multilabel import choose_threshold, multilabel_report, study as study_module
from explore.multilabel.config import (
    CONTRASTIVE_METHODS,
    TRAINING_METHODS,
    MultilabelConfig,
    MultilabelStudyConfig,
)
from explore.multilabel.recordings import MEASURE_NAMES
from explore.multilabel.study import TUNING_SEED, MultilabelStudyRun
from explore.multilabel.training import MultilabelTraining

pytestmark = pytest.mark.usefixtures("_one_thread")

TINY: dict[str, Any] = {
    "methods": ("bce", "kmcl"),
    "rates": (0.003, 0.03),
    "weights": (0.1, 1.0, 10.0),
    "tuning_seeds": 2,
    "seeds": 3,
    "epochs": 1,
    "classifier_epochs": 1,
    "batch": 32,
    "features": 4,
    "width": 1,
    "latent": 2,
}


def study_of(data: Any = None, **options: Any) -> MultilabelStudyRun:
    config = MultilabelStudyConfig(**{**TINY, **options})
    return MultilabelStudyRun(config, vectors(60) if data is None else data)


# ---- comparisons


@pytest.mark.parametrize("split", ["test", "val"])
@pytest.mark.parametrize("method", ["asl", "kmcl", "probmcl", "mulsupcon"])
def test_scores_are_those_of_plain_trainings(method: str, split: str) -> None:
    rates, weights = (0.002, 0.02), (0.5, 5.0)
    run = study_of(methods=(method,), rates=rates, weights=weights, split=split, seeds=2, seed=4)
    frame = run_to_end(run).snapshot()
    rate = min(rates, key=lambda value: abs(value - float(frame["chosen_rate"].squeeze())))
    weight = float(frame["chosen_weight"].squeeze())
    default = {"kmcl": 1 / 32, "mulsupcon": 0.1, "probmcl": 1.0, "asl": 0.0}[method]
    names = ("epochs", "classifier_epochs", "batch", "features", "width", "latent")
    shared = {name: TINY[name] for name in names}
    for seed in range(2):
        options = MultilabelConfig(
            method=method,
            learning_rate=rate,
            contrast_weight=weight * default,
            reconstruction_weight=weight * default if method == "kmcl" else None,
            seed=4 + seed,
            **shared,
        )
        training = MultilabelTraining(options, run.train).run()
        threshold = choose_threshold(training.probabilities(run.validation), run.validation.labels)
        part = run.test if split == "test" else run.validation
        report = multilabel_report(training.probabilities(part), part.labels, threshold)
        for measure in MEASURE_NAMES:
            score = float(frame["score"].sel(measure=measure, run=seed).squeeze())
            assert score == pytest.approx(report[measure], abs=1e-6), measure


def test_missing_labels_are_left_out_of_thresholds_and_scores() -> None:
    mask = torch.rand(60, 3, generator=torch.Generator().manual_seed(1)) < 0.7
    source = vectors(60, mask=mask)
    run = study_of(source, methods=("bce",), rates=(0.01,), seeds=3, epochs=20, width=4)
    frame = run_to_end(run).snapshot()
    validation, test = run.validation, run.test
    assert validation.mask is not None
    differ = set()
    for seed in range(3):
        options = run.options.training("bce", 0.01, 0.1, seed)
        training = MultilabelTraining(options, run.train).run()
        probabilities = training.probabilities(validation)
        threshold = choose_threshold(probabilities, validation.labels, mask=validation.mask)
        predictions = training.probabilities(test)
        report = multilabel_report(predictions, test.labels, threshold, mask=test.mask)
        scores = frame["score"].sel(run=seed).squeeze().values
        assert scores == pytest.approx([report[measure] for measure in MEASURE_NAMES])
        unmasked = choose_threshold(probabilities, validation.labels)
        for number, other in enumerate(
            [
                multilabel_report(predictions, test.labels, unmasked, mask=test.mask),
                multilabel_report(predictions, test.labels, threshold),
            ]
        ):
            if other["OF1"] != report["OF1"]:
                differ.add(number)
    assert differ == {0, 1}, "thresholds and scores both depend on the mask"


def test_all_losses_of_a_seed_have_the_same_start_and_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    starts: dict[int, set[str]] = {}
    orders: dict[int, set[str]] = {}

    def note(options: MultilabelConfig, source: MultilabelSet) -> MultilabelTraining:
        training = MultilabelTraining(options, source)
        encoder = training.network.encoder
        weights = [value.numpy().tobytes() for value in encoder.state_dict().values()]
        starts.setdefault(options.seed, set()).add(repr(weights))
        augment, batches = training._fit._augment, orders.setdefault(options.seed, set())
        numbers: list[int] = []

        def note_batch(samples: torch.Tensor, number: int) -> torch.Tensor:
            numbers.append(number)
            batches.add(f"{number} {samples.tolist()}")
            assert augment is not None
            return augment(samples, number)

        training._fit._augment = note_batch
        return training

    monkeypatch.setattr(study_module, "MultilabelTraining", note)
    run_to_end(study_of(methods=TRAINING_METHODS, rates=(0.01,), weights=(1.0,), seed=20))
    seeds = [20, 21, 22, TUNING_SEED + 20, TUNING_SEED + 21]
    assert sorted(starts) == seeds
    assert all(len(each) == 1 for each in starts.values()), "one start for all losses"
    assert len(set.union(*starts.values())) == len(seeds), "another start for each seed"
    assert all(len(each) == 2 for each in orders.values()), "two batches, the same for all losses"


@pytest.mark.parametrize(
    ("method", "contrast"),
    [("bce", 0), ("multisupcon", 0.3), ("mulsupcon", 0.3), ("probmcl", 3.0), ("kmcl", 3 / 32)],
)
def test_the_options_of_one_training(method: str, contrast: float) -> None:
    study = MultilabelStudyConfig(**TINY, seed=7, overlap="dice", correlation="none", views=0.5)
    options = study.training(method, 0.02, 3.0, 12)
    assert (options.method, options.learning_rate, options.seed) == (method, 0.02, 12)
    assert options.contrast_weight == pytest.approx(contrast)
    expected = options.contrast_weight if method == "kmcl" else None
    assert options.reconstruction_weight == expected, "one balance beside the classification"
    assert (options.overlap, options.correlation, options.views) == ("dice", "none", 0.5)
    for name in ("epochs", "classifier_epochs", "batch", "features", "width", "latent"):
        assert getattr(options, name) == TINY[name]


# ---- jobs


@pytest.mark.parametrize("methods", [TRAINING_METHODS, ("bce", "kmcl"), ("probmcl",), ("focal",)])
def test_the_number_of_steps(methods: tuple[str, ...]) -> None:
    run = study_of(methods=methods)
    contrastive = len(set(methods) & set(CONTRASTIVE_METHODS))
    plain = len(methods) - contrastive
    choices = 2 * 2 * (3 * contrastive + plain)  # rates × tuning seeds × (weights …)
    assert run.steps == choices + 3 * len(methods)
    assert run.every == run.steps


@pytest.mark.parametrize("method", ["bce", "probmcl"])
def test_a_study_of_one_loss_with_one_setting(method: str) -> None:
    options = {"rates": (0.01,), "weights": (1.0,), "tuning_seeds": 1, "seeds": 1}
    run = study_of(methods=(method,), **options)
    assert run.steps == 2
    messages = [run.message]
    while run.step < run.steps:
        run.advance()
        messages.append(run.message)
    frame = run.snapshot()
    assert frame["score"].shape == (3, 1, 1)
    assert np.isfinite(frame["score"]).all()
    validation = float(frame["validation"].squeeze())
    assert messages[:2] == [
        "study",
        f"choice, rate 0.01, weight × 1, {method}: mAP {validation:.1%}",
    ]
    score = float(frame["score"].sel(measure="mAP").squeeze())
    assert messages[2] == f"comparison, seed 0, {method}: mAP {score:.1%}"


def test_what_is_not_trained_is_nan() -> None:
    run = study_of(methods=("bce", "kmcl"))
    frame = run.snapshot()
    for name in ("score", "validation", "chosen_rate", "chosen_weight"):
        assert np.isnan(frame[name]).all()
    run_to_end(run, 4)
    frame = run.snapshot()
    assert np.isfinite(frame["validation"].values[0, :, 0]).all()
    assert np.isnan(frame["validation"].values[1]).all()
    assert np.isnan(frame["chosen_rate"].values).tolist() == [False, True]
    assert np.isnan(frame["score"]).all()
    frame = run_to_end(run).snapshot()
    assert np.isfinite(frame["score"]).all()
    assert ((frame["score"] >= 0) & (frame["score"] <= 1)).all()
    assert frame["training_loss"].values.tolist() == ["bce", "kmcl"]
    assert frame["measure"].values.tolist() == list(MEASURE_NAMES)


def test_a_resumed_study_has_the_same_scores() -> None:
    options = {"methods": ("kmcl", "probmcl"), "rates": (0.01,), "weights": (1.0, 3.0), "seeds": 2}
    plain = run_to_end(study_of(**options)).snapshot()
    for step in (1, 3, 8, 10, 11):
        first, second = study_of(**options), study_of(**options)
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


# ---- data


def rows_of(part: MultilabelSet) -> set[tuple[float, ...]]:
    return set(map(tuple, part.inputs.flatten(1).tolist()))


@pytest.mark.parametrize("kind", ["pair", "set", "images"])
def test_own_data_are_divided_60_20_20(kind: str) -> None:
    source = images(100) if kind == "images" else vectors(100)
    data = (source.inputs, source.labels) if kind == "pair" else source
    run = study_of(data)
    parts = run.train, run.validation, run.test
    assert [len(part) for part in parts] == pytest.approx([60, 20, 20], abs=1)
    assert sum(len(rows_of(part)) for part in parts) == len(rows_of(source)) == 100
    assert set.union(*map(rows_of, parts)) == rows_of(source)
    for part in parts:
        share = part.labels.mean(0)
        torch.testing.assert_close(share, source.labels.mean(0), atol=0.06, rtol=0)
    again = study_of(data)
    other = study_of(data, seed=1)
    assert torch.equal(again.test.inputs, run.test.inputs)
    assert not torch.equal(other.test.inputs, run.test.inputs)
    if kind == "pair":
        assert run.class_names == ("0", "1", "2")
    else:
        assert run.class_names == LABELS


NAMED = {"name": "scenes", "options": {"count": 30, "objects": [1, 3]}}


@pytest.mark.parametrize("kind", ["description", "multi-label set", "image set"])
def test_sets_with_splits_are_used_as_they_are(kind: str) -> None:
    options: dict[str, Any] = {"count": 30, "objects": (1, 3)}
    data = {
        "description": lambda: NAMED,
        "multi-label set": lambda: load_multilabel("scenes", **options),
        "image set": lambda: load("scenes", **options),
    }[kind]()
    run = study_of(data)
    assert run.train.sha256 == load_multilabel("scenes", **options).sha256
    for name, part in (("val", run.validation), ("test", run.test)):
        assert part.sha256 == load_multilabel("scenes", name, objects=(1, 3)).sha256, name
    recorded = study_of(run.config["data"])
    assert recorded.config == run.config
    assert recorded.test.sha256 == run.test.sha256


def test_the_config_names_all_options() -> None:
    run = study_of(seed=3)
    assert run.config["methods"] == ["bce", "kmcl"]
    assert (run.config["seed"], run.config["method"]) == (3, "multilabel-study")
    assert run.config["data"]["sha256"] == run.train.sha256


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"methods": ()}, InvalidInput, "methods"),
        ({"methods": ("bce", "bce")}, InvalidInput, "methods"),
        ({"methods": ("bce", "softmax")}, UnknownName, "softmax"),
        ({"rates": (0.0,)}, InvalidInput, "rates"),
        ({"rates": (0.1, 0.1)}, InvalidInput, "rates"),
        ({"weights": (-1.0,)}, InvalidInput, "weights"),
        ({"weights": ()}, InvalidInput, "weights"),
        ({"split": "train"}, UnknownName, "split"),
        ({"seeds": 0}, InvalidInput, "seeds"),
        ({"tuning_seeds": 0}, InvalidInput, "tuning_seeds"),
    ],
)
def test_invalid_options_are_refused(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        MultilabelStudyConfig(**options)
