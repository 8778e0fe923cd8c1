"""A training whose network becomes NaN ends with an error that names it; it is never scored."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from explore.errors import InvalidInput, RunDiverged
from explore.multilabel import train
from explore.multilabel.config import (
    TRAINING_METHODS,
    MultilabelConfig,
    MultilabelStudyConfig,
    WeightStudyConfig,
)

GENERATOR = torch.Generator().manual_seed(0)
INPUTS = torch.randn(20, 4, generator=GENERATOR)
LABELS = (torch.rand(20, 3, generator=GENERATOR) < 0.5).float()
SMALL = {"epochs": 2, "features": 4, "width": 2}


class Spoiled(nn.Module):
    """An encoder whose features become NaN in training mode."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return features."""
        return self.layer(x) * (float("nan") if self.training else 1.0)


@pytest.mark.parametrize("method", TRAINING_METHODS)
@pytest.mark.parametrize("rate", [1e20, 1e30])
def test_a_rate_that_is_too_large_is_named(method: str, rate: float) -> None:
    options: dict[str, Any] = {**SMALL, "learning_rate": rate}
    run = train((INPUTS, LABELS), method, **options)
    with pytest.raises(RunDiverged, match="rate"):
        run.run().snapshot()


@pytest.mark.parametrize("method", TRAINING_METHODS)
def test_a_network_of_nan_is_not_scored(method: str) -> None:
    run = train((INPUTS, LABELS), method, **SMALL).run()
    with torch.no_grad():
        next(iter(run.network.encoder.parameters())).fill_(float("nan"))
    for call in (run.snapshot, run.summary, lambda: run.predict(INPUTS)):
        with pytest.raises(RunDiverged, match=f"network of {method} returns NaN"):
            call()


def test_an_encoder_that_returns_nan_ends_the_training() -> None:
    run = train((INPUTS, LABELS), "kmcl", encoder=lambda seed: Spoiled(), **SMALL)
    with pytest.raises(RunDiverged, match=r"cannot be computed .*in epoch 1 of kmcl"):
        run.advance()


@pytest.mark.parametrize(
    ("encoder", "words"),
    [
        (lambda: nn.Linear(4, 4), "cannot be called with one seed"),
        (nn.Linear(4, 4), "encoder must be a factory"),
        (torch.zeros(2), "encoder must be a factory"),
        (lambda seed: None, "it returned NoneType"),
        (lambda seed: nn.Embedding(4, 4), "cannot take samples"),
        (lambda seed: nn.Linear(4, 4).double(), "cannot take samples"),
        (lambda seed: nn.LSTM(4, 4), "got tuple"),
    ],
)
def test_encoders_that_do_not_fit_are_refused(encoder: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        train((INPUTS, LABELS), "bce", encoder=encoder, **SMALL)


@pytest.mark.parametrize(
    ("config", "options"),
    [
        (MultilabelConfig, {"temperature": 1e-46}),
        (MultilabelConfig, {"learning_rate": 1e300}),
        (MultilabelConfig, {"views": 1e9}),
        (MultilabelConfig, {"width": 2**40}),
        (MultilabelConfig, {"latent": 10**400}),
        (MultilabelConfig, {"alpha": "0.5"}),
        (MultilabelStudyConfig, {"rates": "0.1"}),
        (MultilabelStudyConfig, {"rates": [1e300]}),
        (MultilabelStudyConfig, {"methods": ["bce", "bce"]}),
        (WeightStudyConfig, {"weights": [float("nan")]}),
    ],
)
def test_options_out_of_range_are_named(config: Any, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=next(iter(options))):
        config(**options)


def test_samples_of_a_prediction_are_checked() -> None:
    run = train((INPUTS, LABELS), "bce", **SMALL).run()
    expected = run.predict(INPUTS)
    for samples in (INPUTS.numpy(), INPUTS.tolist(), INPUTS.double()):
        torch.testing.assert_close(run.predict(samples), expected)
    for samples in (INPUTS[0], INPUTS[:, :2], "text", INPUTS.to_sparse(), INPUTS * float("nan")):
        with pytest.raises(InvalidInput):
            run.predict(samples)
