"""What is special about activation areas in the tests of all topics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray

from explore.areas import lab
from explore.areas.figures.area_curves import area_curves
from explore.areas.figures.class_complexity import class_complexity
from explore.core.recording import open_recording
from explore.core.resources import shipped


def scene_states() -> list[xarray.Dataset]:
    explorer = lab.object_areas(20)
    states: list[dict[str, Any]] = [
        {"prediction": ""},
        {"prediction": "less", "image": 3},
        {"prediction": "more", "size": 0.1, "layer": "2", "kind": "layercam", "image": 7},
        {"prediction": "same", "comparison": "random weights", "clutter": 8},
    ]
    datasets = []
    for state in states:
        explorer.set(**state)
        datasets.append(explorer.data)
    return datasets


def evolution_states() -> list[xarray.Dataset]:
    recording = open_recording(shipped("data/areas-fashion-datadam.zarr.zip")).load()
    return [
        area_curves(recording, step, label) for step, label in ((0, None), (9, "Bag"), (19, "Coat"))
    ]


def complexity_states() -> list[xarray.Dataset]:
    recording = open_recording(shipped("data/complexity-imagenette.zarr.zip")).load()
    return [class_complexity(recording, step) for step in (0, None, 1)]


def photograph_states() -> list[xarray.Dataset]:
    rows, columns = np.mgrid[0:24, 0:24] / 23
    states = []
    for label, area in (("church", 0.25), ("tench", 0.5), ("golf ball", 0.0)):
        grey = np.repeat((rows + area)[..., None] / 2, 3, 2)
        picture, values = (255 * grey).astype(np.uint8), rows * columns * (area > 0)
        states.append(
            xarray.Dataset(
                {
                    "picture": (("y", "x", "rgb"), picture),
                    "map": (("y", "x"), values),
                    "area": ((), area),
                    "probability": ((), 0.75),
                },
                attrs={
                    "label": label,
                    "predicted": "church",
                    "kind": "Grad-CAM",
                    "layer": "last, 13×13",
                },
            )
        )
    return states


PICTURES: dict[str, tuple[str, Callable[[], list[xarray.Dataset]]]] = {
    "object-areas": ("explore.areas.figures.object_areas:ObjectAreas", scene_states),
    "areas": ("explore.areas.figures.area_curves:AreaCurves", evolution_states),
    "complexity": ("explore.areas.figures.class_complexity:ClassComplexity", complexity_states),
    "photographs": ("explore.areas.figures.photograph_maps:PhotographMaps", photograph_states),
}
