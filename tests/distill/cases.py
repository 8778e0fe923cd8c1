"""Special cases of distillation for the tests of all topics."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import xarray

from explore.core import registry
from explore.core.record import record
from explore.core.recording import open_recording
from explore.core.resources import shipped
from explore.data import load
from explore.distill.figures.evolution import evolution
from explore.distill.figures.trajectory_matching import trajectory_matching
from explore.distill.figures.untrained import untrained
from explore.distill.lab import recording_of
from explore.distill.trajectories.lab import one_step

SEEDLESS = {"class-mean"}
LOADERS = {"evaluate": partial(load, split="test")}


def evolution_states() -> list[xarray.Dataset]:
    recordings = [recording_of("digits", method) for method in ("datadam", "dm")]
    states: list[dict[str, Any]] = [
        {"step": 0},
        {"step": 50, "label": "7"},
        {"step": 3, "label": "2", "by": "distance"},
    ]
    return [evolution(recordings, **state) for state in states]


def trajectory_states() -> list[xarray.Dataset]:
    recordings = []
    for method in ("edf", "mtt"):
        options = registry.method(method).tiny
        recordings.append(record(registry.build({**options, "method": method}), every=1))
    return [
        trajectory_matching(recordings, step, label)
        for step, label in ((0, "0"), (3, "7"), (4, "2"))
    ]


def enhanced_states() -> list[xarray.Dataset]:
    explorer = one_step()
    states: list[dict[str, Any]] = [
        {},
        {"beta": 2.0, "label": "ring", "threshold": 0.5},
        {"beta": 0.0, "label": "ring"},
    ]
    datasets = []
    for state in states:
        explorer.set(**state)
        datasets.append(explorer.data)
    return datasets


def untrained_states() -> list[xarray.Dataset]:
    recording = open_recording(shipped("data/digits-untrained.zarr.zip"))
    states: list[dict[str, Any]] = [
        {},
        {"network": 3, "power": 8.0, "label": "9"},
        {"network": 1, "power": 2.0},
    ]
    return [untrained(recording, **state) for state in states]


def accuracies(values: Any) -> xarray.Dataset:
    return xarray.Dataset(
        {"accuracy": (("set", "network"), np.asarray(values, np.float32))},
        {"set": ("set", np.array([f"set {row}" for row in range(len(values))], object))},
        attrs={"data": "digits", "images": 400},
    )


PICTURES: dict[str, tuple[str, Callable[[], list[xarray.Dataset]]]] = {
    "evolution": ("explore.distill.figures.evolution:Evolution", evolution_states),
    "edf": (
        "explore.distill.figures.trajectory_matching:TrajectoryMatching",
        trajectory_states,
    ),
    "enhanced step": ("explore.distill.figures.enhanced_step:EnhancedStep", enhanced_states),
    "untrained": ("explore.distill.figures.untrained:Untrained", untrained_states),
    "accuracies": (
        "explore.distill.figures.accuracies:Accuracies",
        lambda: [
            accuracies([[0.5, 0.7], [np.nan, np.nan]]),
            accuracies([[0.1, 0.2], [0.9, np.nan]]),
            accuracies([[1, 1], [0, 0]]),
        ],
    ),
}
