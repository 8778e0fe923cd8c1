"""Test the choices of a study: the mean on validation samples decides, test samples do not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from multilabel_toys import vectors
from toys import run_to_end

from explore.data.multilabel_set import MultilabelSet
from explore.errors import RunDiverged
from explore.multilabel import multilabel_report, study as study_module
from explore.multilabel.config import (
    MultilabelConfig,
    MultilabelStudyConfig,
)
from explore.multilabel.study import TUNING_SEED, MultilabelStudyRun

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


class Fake:
    """A training whose scores are those of a table: quality by part, method, rate, weight and seed."""

    calls: list[tuple[str, MultilabelConfig]]
    quality: Any

    def __init__(self, options: MultilabelConfig, source: MultilabelSet) -> None:
        self.options, self.source = options, source

    def run(self) -> Fake:
        return self

    def probabilities(self, samples: MultilabelSet) -> torch.Tensor:
        part = self.parts[samples.sha256]
        self.calls.append((part, self.options))
        quality = self.quality(part, self.options)
        noise = torch.rand(samples.labels.shape, generator=torch.Generator().manual_seed(0))
        return quality * samples.labels + (1 - quality) * noise

    parts: Mapping[str, str]


def faked(monkeypatch: pytest.MonkeyPatch, run: MultilabelStudyRun, quality: Any) -> type[Fake]:
    """Let the study train nothing; its scores follow ``quality(part, options)`` in [0, 1]."""
    monkeypatch.setattr(study_module, "MultilabelTraining", Fake)
    monkeypatch.setattr(Fake, "calls", [], raising=False)
    monkeypatch.setattr(Fake, "quality", staticmethod(quality), raising=False)
    parts = {run.train.sha256: "train", run.validation.sha256: "val", run.test.sha256: "test"}
    assert len(parts) == 3
    monkeypatch.setattr(Fake, "parts", parts, raising=False)
    return Fake


def factor(options: MultilabelConfig) -> float:
    """Return the factor of the default weight."""
    default = {"kmcl": 1 / 32, "kmcl-constant": 1 / 32, "probmcl": 1.0}.get(options.method, 0.1)
    return options.contrast_weight / default  # type: ignore[operator]


# ---- choices


@pytest.mark.parametrize("split", ["test", "val"])
def test_settings_are_chosen_by_the_mean_on_validation_samples(
    split: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The best settings on test samples are the worst on validation samples, and the best single
    training on these is not the best mean."""
    run = study_of(methods=("kmcl", "multisupcon"), rates=(0.001, 0.01), split=split)
    best = {"kmcl": (0.01, 0.1), "multisupcon": (0.001, 10.0)}

    def quality(part: str, options: MultilabelConfig) -> float:
        setting = options.learning_rate, round(factor(options), 4)
        is_best = setting == best[options.method]
        if part == "test":
            return 0.02 if is_best else 0.6
        if setting == (best[options.method][0], 1.0):  # A lucky seed, and a bad one.
            return 0.9 if options.seed == TUNING_SEED else 0.0
        return 0.5 if is_best else 0.1

    fake = faked(monkeypatch, run, quality)
    run_to_end(run)
    frame = run.snapshot()
    assert frame["chosen_rate"].values == pytest.approx([0.01, 0.001])
    assert frame["chosen_weight"].values == pytest.approx([0.1, 10.0])
    choices = 2 * 2 * 3 * 2
    assert [part for part, _ in fake.calls[:choices]] == ["val"] * choices
    for part, options in fake.calls[choices:]:
        assert part in ("val", split)
        assert (options.learning_rate, round(factor(options), 4)) == best[options.method]
    scores = frame["score"].sel(measure="mAP").values
    assert ((scores < 0.85) if split == "test" else (scores > 0.9)).all()
    validation = frame["validation"].values
    assert validation.max() == validation[0, 1, 1, 0], "the lucky seed"


def test_each_training_of_a_choice_has_its_own_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    run = study_of(methods=("probmcl", "asl", "kmcl"), rates=(0.001, 0.01, 0.1))

    def quality(part: str, options: MultilabelConfig) -> float:
        rate = {0.001: 0.0, 0.01: 0.1, 0.1: 0.2}[options.learning_rate]
        weight = (
            {0.1: 0.0, 1.0: 0.3, 10.0: 0.6}[round(factor(options), 4)]
            if options.method != "asl"
            else 0
        )
        return rate + weight + (0.04 if options.seed == TUNING_SEED + 1 else 0.0)

    faked(monkeypatch, run, quality)
    frame = run_to_end(run).snapshot()
    validation = frame["validation"]
    assert validation.dims == ("training_loss", "rate", "weight", "tuning_run")
    noise = torch.rand(run.validation.labels.shape, generator=torch.Generator().manual_seed(0))
    for place in np.ndindex(*validation.shape):
        method, rate, weight, seed = place
        if method == 1 and weight:
            assert np.isnan(validation.values[place])
            continue
        q = 0.1 * rate + 0.3 * (weight if method != 1 else 0) + 0.04 * seed
        probabilities = q * run.validation.labels + (1 - q) * noise
        expected = multilabel_report(probabilities, run.validation.labels)["mAP"]
        assert validation.values[place] == pytest.approx(expected, abs=1e-6)


def test_test_samples_change_no_choice() -> None:
    source = vectors(60)
    run = study_of(source)
    is_test = (source.inputs[:, None] == run.test.inputs).all(2).any(1)
    changed = replace(source, inputs=torch.where(is_test[:, None], 5.0, source.inputs))
    other = run_to_end(study_of(changed)).snapshot()
    frame = run_to_end(run).snapshot()
    for name in ("validation", "chosen_rate", "chosen_weight"):
        assert np.array_equal(frame[name], other[name], equal_nan=True)
    assert not np.array_equal(frame["score"], other["score"])


def test_settings_that_diverge_are_the_worst_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    class Diverging(study_module.MultilabelTraining):
        def run(self) -> study_module.MultilabelTraining:
            if self.options.learning_rate == 0.03:
                raise RunDiverged("the loss is nan")
            return super().run()

    monkeypatch.setattr(study_module, "MultilabelTraining", Diverging)
    study = run_to_end(study_of(methods=("bce",), tuning_seeds=1, seeds=1)).snapshot()
    assert study["validation"].sel(rate=0.03, weight=0.1).values.tolist() == [[0.0]]
    assert float(study["chosen_rate"][0]) == pytest.approx(0.003)
    assert np.isfinite(study["score"].values).all()
