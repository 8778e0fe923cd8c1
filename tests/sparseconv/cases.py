"""Special cases of sparse convolution for the tests of all topics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray

from explore.sparseconv import lab
from explore.sparseconv.figures.format_cells import format_cells
from explore.sparseconv.figures.layer_density import density
from explore.sparseconv.figures.nonzero_maps import nze
from explore.sparseconv.figures.speedup_by_density import speedup_by_density
from explore.sparseconv.figures.time_by_density import time_by_density
from explore.widgets.explorer import Explorer

MAP = np.array([[1, 0, 0, 4, 0], [0, 2, 0, 5, 0], [3, 0, 0, 6, 7], [0, 0, 0, 0, 8]], np.float32)


def states_of(explorer: Explorer, *states: dict[str, Any]) -> list[xarray.Dataset]:
    datasets = []
    for state in states:
        explorer.set(**state)
        datasets.append(explorer.data)
    return datasets


def speedup_state(factor: float) -> xarray.Dataset:
    layers = {"56² 64→64 3×3": 1.0, "28² 64→64 3×3": 1.2, "8² 3→4 1×7": 0.8, "9² 3→4 3×3 /2": 0.5}
    rows = [
        {
            "layer": layer,
            "density": d,
            "seconds": {"torch": 2.0, "torch, channels last": 1.0, "bitmap": d / speed / factor},
        }
        for layer, speed in layers.items()
        for d in (0.1, 0.3, 0.5)
    ]
    return speedup_by_density(rows, {"machine": "an abacus", "threads": int(2 * factor)})


def own_times(noise: float, slope: float) -> xarray.Dataset:
    """Return times of one layer with a spread over rounds, of which the dense one is ``noise``."""
    rows = []
    for share in (0.05, 0.2, 0.6, 1.0):
        seconds = {"torch": 2.0, "torch, channels last": 1.0, "im2col": 3.0}
        seconds |= {
            "bitmap": 1.3 * share,
            "cpo": slope + 4.5 * share,
            "cps": slope + 4 * share,
        }
        spread = {name: [value / noise**0.5, value * noise**0.5] for name, value in seconds.items()}
        rows.append({"layer": "one", "density": share, "seconds": seconds, "range": spread})
    about = {"machine": "an abacus", "threads": 2}
    return time_by_density(rows, about, "one", "measured here, just now,")


PICTURES: dict[str, tuple[str, Callable[[], list[xarray.Dataset]]]] = {
    "times": (
        "explore.sparseconv.figures.time_by_density:TimeByDensity",
        lambda: states_of(
            lab.times().explorer.set(prediction="at 50% and at 5%"),
            {"layer": "7² 512→512 3×3"},
            {"layer": "56² 64→64 3×3"},
            {"layer": "28² 128→256 3×3 /2"},
        ),
    ),
    "own times": (
        "explore.sparseconv.figures.time_by_density:TimeByDensity",
        lambda: [own_times(1.21, 0.2), own_times(2.0, 0.4), own_times(1.1, 0.1)],
    ),
    "no times": (
        "explore.sparseconv.figures.time_by_density:TimeByDensity",
        lambda: states_of(
            lab.times().explorer.set(prediction="at 50% and at 5%"),
            {"times": "measured here"},
            {"layer": "7² 512→512 3×3"},
        ),
    ),
    "speeds": (
        "explore.sparseconv.figures.speedup_by_density:SpeedupByDensity",
        lambda: [speedup_state(1.0), speedup_state(3.0), speedup_state(0.7)],
    ),
    "nze": (
        "explore.sparseconv.figures.nonzero_maps:NonzeroMaps",
        lambda: [
            nze(lab.survey("scenes-residual"), step=step, layer=layer, channel=channel)
            for step, layer, channel in ((0, 2, 1), (3, 6, 5), (1, 20, 64))
        ],
    ),
    "density": (
        "explore.sparseconv.figures.layer_density:LayerDensity",
        lambda: [
            density(lab.survey("squeezenet"), step=2),
            density(lab.survey("squeezenet"), step=70, layer=25),
            density(lab.survey("squeezenet"), layer=2),
        ],
    ),
    "formats": (
        "explore.sparseconv.figures.format_diagram:FormatDiagram",
        lambda: [format_cells(MAP, 3, 1, value) for value in ("", "2, 4", "4, 5", "3, 1")],
    ),
    "neighbours": (
        "explore.sparseconv.figures.shuffling_cost:ShufflingCost",
        lambda: states_of(
            lab.neighbour_values(),
            {"prediction": "both grow"},
            {"kept": 70, "channel": 3},
            {"layer": 6, "kept": 5, "channel": 64},
        ),
    ),
}
