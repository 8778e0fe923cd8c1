"""A study of multi-label losses: settings are chosen on validation samples, then losses compared.

All losses of one seed have the same encoder at the start and the same order of samples, so
differences between losses are paired.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from explore.core.runs import BaseRun, stream_seed
from explore.core.tensor_validation import check_device
from explore.data import load_multilabel
from explore.data._resolve import DOWNLOAD_OPTION
from explore.data.multilabel_input import resolve_multilabel
from explore.data.multilabel_set import MultilabelSet
from explore.data.stratification import stratified_split
from explore.errors import RunDiverged
from explore.multilabel.config import CONTRASTIVE_METHODS, MultilabelStudyConfig
from explore.multilabel.metrics import choose_threshold, multilabel_report
from explore.multilabel.recordings import MEASURE_NAMES, STUDY
from explore.multilabel.training import MultilabelTraining

if TYPE_CHECKING:
    import xarray

TUNING_SEED = 1000
"""Seeds of the trainings that choose settings start here, apart from those of the comparison."""

OWN_SHARES = (0.6, 0.2, 0.2)
"""Training, validation and test share of data without such a division."""


class _Job(NamedTuple):
    """One training of a study. ``rate`` is None for the settings that were chosen."""

    method: int
    run: int
    rate: int | None = None
    weight: int = 0


def build(config: MultilabelStudyConfig, data: Any = None) -> MultilabelStudyRun:
    """Return the run of a configuration."""
    return MultilabelStudyRun(config, config.data if data is None else data)


class MultilabelStudyRun(BaseRun):
    """A study of losses; a step is one training.

    Args:
        options: see ``MultilabelStudyConfig``.
        data: the name of a set or its description, of which the splits train, val and test are
            used; or your own data, which are divided 60 : 20 : 20 by iterative stratification.

    Raises:
        InvalidInput, DataMissing: see ``explore.data.load_multilabel``.
    """

    name = "multilabel-study"

    def __init__(self, options: MultilabelStudyConfig, data: Any) -> None:
        self.device = check_device(options.device)
        self.options = options
        self.train, self.validation, self.test = _divide(data, options.seed)
        self.class_names = self.train.label_names
        self.config: Mapping[str, Any] = options.identity(self.train.describe())
        weights = range(len(options.weights))
        self._jobs = [
            _Job(method, run, rate, weight)
            for method, name in enumerate(options.methods)
            for rate in range(len(options.rates))
            for weight in (weights if name in CONTRASTIVE_METHODS else weights[:1])
            for run in range(options.tuning_seeds)
        ] + [
            _Job(method, run)
            for run in range(options.seeds)
            for method in range(len(options.methods))
        ]
        self.steps, self.every = len(self._jobs), len(self._jobs)
        count = len(options.methods)
        self._scores = np.full((len(MEASURE_NAMES), count, options.seeds), np.nan, np.float32)
        shape = (count, len(options.rates), len(options.weights), options.tuning_seeds)
        self._validation = np.full(shape, np.nan, np.float32)
        self._message = "study"

    @property
    def message(self) -> str:
        """What the last step trained, with its mAP."""
        return self._message

    def advance(self) -> None:
        """Train one network and score it: a choice on validation samples, or the chosen one.

        Raises:
            RunDiverged: a training of the comparison diverged. While settings are chosen, one that
                diverges scores 0.
        """
        options, job = self.options, self._jobs[self.step]
        name = options.methods[job.method]
        if job.rate is not None:
            rate, weight = options.rates[job.rate], options.weights[job.weight]
            report: Mapping[str, Any] = {"mAP": 0.0}
            with suppress(RunDiverged):  # Such settings are the worst choice.
                training = self._fit(name, rate, weight, TUNING_SEED + job.run)
                report = self._report(training, self.validation, 0.5)
            self._validation[job.method, job.rate, job.weight, job.run] = report["mAP"]
            stage = f"choice, rate {rate:g}, weight × {weight:g}"
        else:
            rate, weight = self._choice(job.method)
            training = self._fit(name, rate, weight, job.run)
            probabilities = training.probabilities(self.validation)
            threshold = choose_threshold(
                probabilities, self.validation.labels, mask=self.validation.mask
            )
            scored = self.test if options.split == "test" else self.validation
            report = self._report(training, scored, threshold)
            for index, measure in enumerate(MEASURE_NAMES):
                self._scores[index, job.method, job.run] = report[measure]
            stage = f"comparison, seed {job.run}"
        self._message = f"{stage}, {name}: mAP {report['mAP']:.1%}"
        self.step += 1

    def _fit(self, name: str, rate: float, weight: float, run: int) -> MultilabelTraining:
        """Return a finished training."""
        options = self.options
        config = options.training(name, rate, weight, options.seed + run)
        return MultilabelTraining(config, self.train.to(self.device)).run()

    def _report(
        self, training: MultilabelTraining, samples: MultilabelSet, threshold: float
    ) -> Mapping[str, Any]:
        probabilities = training.probabilities(samples)
        return multilabel_report(probabilities, samples.labels, threshold, mask=samples.mask)

    def _choice(self, method: int) -> tuple[float, float]:
        """Return rate and weight with the best mean mAP on the validation samples."""
        means = self._validation[method].mean(-1)
        rate, weight = map(int, np.unravel_index(np.nanargmax(means), means.shape))
        return self.options.rates[rate], self.options.weights[weight]

    def snapshot(self) -> xarray.Dataset:
        """Return all scores, NaN for what is not trained yet."""
        options = self.options
        count = len(options.methods)
        choices = np.full((2, count), np.nan, np.float32)
        for method in range(count):
            if np.isfinite(self._validation[method].mean(-1)).any():
                choices[:, method] = self._choice(method)
        return STUDY.frame(
            {
                "score": self._scores.copy(),
                "validation": self._validation.copy(),
                "chosen_rate": choices[0],
                "chosen_weight": choices[1],
            },
            {
                "measure": np.array(MEASURE_NAMES, object),
                "training_loss": np.array(options.methods, object),
                "run": np.arange(options.seeds),
                "rate": np.array(options.rates),
                "weight": np.array(options.weights),
                "tuning_run": np.arange(options.tuning_seeds),
            },
        )

    def state(self) -> dict[str, Any]:
        """Return the step and all scores."""
        scores = {"scores": self._scores.copy(), "validation": self._validation.copy()}
        return {**super().state(), **scores}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a ``state``."""
        super().restore(state)
        self._scores = np.array(state["scores"], np.float32)
        self._validation = np.array(state["validation"], np.float32)


def _divide(data: Any, seed: int) -> tuple[MultilabelSet, MultilabelSet, MultilabelSet]:
    """Return training, validation and test samples."""
    source = resolve_multilabel(data)
    if source.options:  # a loader made this set, so it has official splits
        names = ("split", "count", DOWNLOAD_OPTION)  # Files that are here are enough.
        options = {k: v for k, v in source.options.items() if k not in names}
        validation, test = (
            load_multilabel(source.name, part, **options) for part in ("val", "test")
        )
        return source, validation, test
    seed = stream_seed(seed, "split") % 2**32
    train, validation, test = map(
        source.subset, stratified_split(source.labels, list(OWN_SHARES), seed)
    )
    return train, validation, test
