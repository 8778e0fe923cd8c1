"""Frames of studies and trainings with values of the tests' own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray

from explore.multilabel.recordings import (
    MEASURE_NAMES,
    STUDY,
    TRAINING,
    UNCERTAINTY_NAMES,
    WEIGHT_STUDY,
    WEIGHT_TERMS,
)

RATES, WEIGHTS = (0.001, 0.003, 0.01), (0.1, 1.0, 10.0)


def study_frame(
    scores: Mapping[str, Any],
    settings: Mapping[str, tuple[float, float]],
    data: str = "scenes",
    split: str = "test",
) -> xarray.Dataset:
    """Return a study: ``scores[loss]`` are ``[measure, run]``, ``settings[loss]`` rate and weight."""
    score = np.array([scores[name] for name in scores], np.float32).transpose(1, 0, 2)
    chosen = np.array([settings[name] for name in scores], np.float32)
    frame = STUDY.frame(
        {
            "score": score,
            "validation": np.full((len(scores), 3, 3, 1), np.nan, np.float32),
            "chosen_rate": chosen[:, 0],
            "chosen_weight": chosen[:, 1],
        },
        {
            "measure": np.array(MEASURE_NAMES, object),
            "training_loss": np.array(list(scores), object),
            "run": np.arange(score.shape[2]),
            "rate": np.array(RATES),
            "weight": np.array(WEIGHTS),
            "tuning_run": np.arange(1),
        },
    )
    return frame.assign_attrs(config={"data": {"name": data}, "split": split})


def weight_frame(
    weights: Sequence[float], precision: Any, spread: Any, shares: Any, batch: int = 64
) -> xarray.Dataset:
    """Return a study of weights from arrays ``[weight, run]`` and ``[term, weight, run]``."""
    values = {"held_out_map": precision, "prediction_spread": spread, "gradient_share": shares}
    frame = WEIGHT_STUDY.frame(
        {name: np.array(value, np.float32) for name, value in values.items()},
        {
            "weight": np.array(weights, float),
            "run": np.arange(np.shape(precision)[1]),
            "weight_term": np.array(WEIGHT_TERMS, object),
        },
    )
    return frame.assign_attrs(config={"data": {"name": "scenes"}, "batch": batch})


def training_frame(
    probability: Any, present: Any, epistemic: Any, mask: Any = None, precision: float = 0.9
) -> xarray.Dataset:
    """Return a frame of probmcl from arrays ``[point, label]`` and ``[point]``."""
    present, uncertainty = np.array(present, bool), np.zeros((5, len(present)), np.float32)
    uncertainty[UNCERTAINTY_NAMES.index("epistemic")] = epistemic
    coordinates: dict[str, Any] = {
        "label": np.array([f"label {k}" for k in range(present.shape[1])], object),
        "present": present,
        "uncertainty_kind": np.array(UNCERTAINTY_NAMES, object),
    }
    if mask is not None:
        coordinates["known"] = np.array(mask, bool)
    values = {
        "embedding": np.zeros((len(present), 2), np.float16),
        "probability": np.array(probability, np.float16),
        "uncertainty": uncertainty,
        "mean_average_precision": np.float32(precision),
    }
    frame = TRAINING.frame(values, coordinates)
    return frame.assign_attrs(config={"data": {"name": "scenes"}}, name="probmcl")
