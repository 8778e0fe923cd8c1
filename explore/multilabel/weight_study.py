"""A study of the weight of KMCL's contrast and reconstruction beside the classification."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from explore.core.runs import BaseRun, stream_seed
from explore.core.tensor_validation import check_device
from explore.data.multilabel_input import resolve_multilabel
from explore.data.multilabel_set import MultilabelSet
from explore.data.stratification import stratified_split
from explore.errors import RunDiverged
from explore.multilabel.config import MultilabelConfig, WeightStudyConfig
from explore.multilabel.metrics import multilabel_report
from explore.multilabel.recordings import WEIGHT_STUDY, WEIGHT_TERMS
from explore.multilabel.training import MultilabelTraining, loss_terms

if TYPE_CHECKING:
    import xarray

HELD_SHARE = 0.2
"""Share of the samples on which the networks are scored."""


def build(config: WeightStudyConfig, data: Any = None) -> WeightStudyRun:
    """Return the run of a configuration."""
    return WeightStudyRun(config, resolve_multilabel(config.data if data is None else data))


class WeightStudyRun(BaseRun):
    """A study of the weight of contrast and reconstruction; a step is one training of KMCL.

    Args:
        options: see ``WeightStudyConfig``.
        source: all samples; a fifth is held out.
    """

    name = "contrast-weights"

    def __init__(self, options: WeightStudyConfig, source: MultilabelSet) -> None:
        self.device = check_device(options.device)
        self.options = options
        self.config: Mapping[str, Any] = options.identity(source.describe())
        seed = stream_seed(options.seed, "holdout") % 2**32
        rows, held = stratified_split(source.labels, [1 - HELD_SHARE, HELD_SHARE], seed)
        self.train, self.held = source.subset(rows).to(self.device), source.subset(held)
        self.class_names = source.label_names
        self._jobs = [
            (weight, run) for run in range(options.seeds) for weight in range(len(options.weights))
        ]
        self.steps, self.every = len(self._jobs), len(self._jobs)
        shape = (len(options.weights), options.seeds)
        self._values = {
            "held_out_map": np.full(shape, np.nan, np.float32),
            "prediction_spread": np.full(shape, np.nan, np.float32),
            "gradient_share": np.full((len(WEIGHT_TERMS), *shape), np.nan, np.float32),
        }
        self._message = "study"

    @property
    def message(self) -> str:
        """The weight of the last step, with its mAP."""
        return self._message

    def advance(self) -> None:
        """Train one network, and measure it on the held-out samples."""
        weight, run = self._jobs[self.step]
        value = self.options.weights[weight]
        training = MultilabelTraining(self._training_options(value, run), self.train)
        training.advance()
        self._values["gradient_share"][:, weight, run] = self._gradient_shares(training, value)
        probabilities = training.run().probabilities(self.held).cpu()
        report = multilabel_report(probabilities, self.held.labels, mask=self.held.mask)
        self._values["held_out_map"][weight, run] = report["mAP"]
        self._values["prediction_spread"][weight, run] = float(probabilities.std(0).mean())
        self._message = f"weight {value:g}, seed {run}: mAP {report['mAP']:.1%}"
        self.step += 1

    def _training_options(self, weight: float, run: int) -> MultilabelConfig:
        options = self.options
        names = [n for n in MultilabelConfig.__dataclass_fields__ if hasattr(options, n)]
        shared = {name: getattr(options, name) for name in names}
        return MultilabelConfig(
            **{**shared, "method": "kmcl", "seed": options.seed + run},
            contrast_weight=weight,
            reconstruction_weight=weight,
        )

    def _gradient_shares(self, training: MultilabelTraining, weight: float) -> list[float]:
        """Return each weighted term's share of the gradient norms of the encoder's weights."""
        batch = self.train.subset(slice(0, self.options.batch))
        # A copy, because a pass in training mode changes the statistics of batch norm.
        network = copy.deepcopy(training.network)
        outputs = network(batch.batch())
        terms = loss_terms(training.options, outputs, batch.labels, batch.mask)
        parameters = list(network.encoder.parameters())
        norms = []
        for name in WEIGHT_TERMS:
            gradients = torch.autograd.grad(
                terms[name], parameters, retain_graph=True, allow_unused=True
            )
            squares = sum(float(g.square().sum()) for g in gradients if g is not None)
            norms.append((1.0 if name == "classification" else weight) * squares**0.5)
        total = sum(norms)
        if not np.isfinite(total):
            raise RunDiverged(f"gradients overflow with the weight {weight:g}; leave it out")
        return [norm / (total or 1.0) for norm in norms]

    def snapshot(self) -> xarray.Dataset:
        """Return all measurements, NaN for what is not trained yet."""
        coordinates = {
            "weight": np.array(self.options.weights),
            "run": np.arange(self.options.seeds),
            "weight_term": np.array(WEIGHT_TERMS, object),
        }
        values = {name: array.copy() for name, array in self._values.items()}
        return WEIGHT_STUDY.frame(values, coordinates)

    def state(self) -> dict[str, Any]:
        """Return the step and all measurements."""
        return {**super().state(), **{name: a.copy() for name, a in self._values.items()}}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a ``state``."""
        super().restore(state)
        self._values = {name: np.array(state[name], np.float32) for name in self._values}
