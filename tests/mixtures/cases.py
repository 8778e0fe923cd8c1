"""Special cases of mixture reduction for the tests of all topics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray

from explore.core.recording import open_recording
from explore.core.resources import shipped
from explore.mixtures import load_mixture
from explore.mixtures.catalog import TOPIC
from explore.mixtures.figures import dropped_component, editor, triangle_inequality
from explore.mixtures.figures.decision import decision
from explore.mixtures.figures.path_data import reduction
from explore.mixtures.pair_costs import merged_pair

LOADERS = dict.fromkeys((method.name for method in TOPIC.methods), load_mixture)


def reduction_states(mixture: str, *states: dict[str, Any]) -> list[xarray.Dataset]:
    recordings = [
        open_recording(shipped(f"data/{mixture}-{name}.zarr.zip")).load()
        for name in ("runnalls", "oggmr")
    ]
    return [reduction(recordings, **state) for state in states]


def decision_state(*pairs: tuple[int, int] | None) -> xarray.Dataset:
    mixture = load_mixture("standard-1d")
    after = [None if pair is None else merged_pair(mixture, *pair) for pair in pairs]
    numbers = [
        None if pair is None else {"angle": 0.1 * pair[0], "ise": 0.2, "kl": 0.3, "peaks": pair[1]}
        for pair in pairs
    ]
    before = {"angle": 0.0, "ise": 0.0, "kl": 0.0, "peaks": 5.0}
    return decision(mixture, mixture, list(pairs), after, numbers, before)


def editor_states(name: str, *states: tuple[int, float, float, float]) -> list[xarray.Dataset]:
    mixture = load_mixture(name)
    n, d = mixture.means.shape
    datasets = []
    for component, shift, width, weight in states:
        shifts, widths, weights = np.zeros((n, d)), np.ones(n), np.ones(n)
        shifts[component], widths[component], weights[component] = shift, width, weight
        distances = dict.fromkeys(editor.DISTANCE_LABELS, shift + width)
        datasets.append(editor.editor_data(mixture, shifts, widths, weights, component, distances))
    return datasets


def dropped_state(spread: float) -> xarray.Dataset:
    spreads, reverse = np.array([1.0, 10.0, 100.0]), np.full(3, 0.36)
    angle, kl = np.array([4.0, 0.1, 0.004]), np.array([1.0, 400.0, 4e4])
    return dropped_component.dropped_component(spreads, angle, kl, reverse, 0.3, 0.3, 3.0, spread)


def detour_state(share: float) -> xarray.Dataset:
    names = triangle_inequality.DISTANCE_LABELS
    legs = (dict.fromkeys(names, length) for length in (share, 1 - share, 1.1))
    return triangle_inequality.triangle_inequality(*legs, share)


PICTURES: dict[str, tuple[str, Callable[[], list[xarray.Dataset]]]] = {
    "reduction": (
        "explore.mixtures.figures.paths:Paths",
        lambda: reduction_states("standard-1d", {"step": 0}, {}, {"step": 9}),
    ),
    "reduction of digits": (
        "explore.mixtures.figures.paths:Paths",
        lambda: reduction_states(
            "mixture-of-digits", *({"step": step, "measure": "kl"} for step in (20, 55, 59))
        ),
    ),
    "decision": (
        "explore.mixtures.figures.decision:Decision",
        lambda: [
            decision_state(None, None, None),
            decision_state((0, 3), (2, 4), (0, 1)),
            decision_state((1, 9), (2, 4), (0, 1)),
        ],
    ),
    "mixture editor": (
        "explore.mixtures.figures.editor:MixtureEditor",
        lambda: editor_states("standard-1d", (0, 0, 1, 1), (3, 0.5, 2, 1), (5, -0.2, 1, 0)),
    ),
    "mixture editor in 2-D": (
        "explore.mixtures.figures.editor:MixtureEditor",
        lambda: editor_states("bivariate", (0, 0, 1, 1), (1, 0.5, 2, 1), (2, -0.2, 1, 3)),
    ),
    "dropped component": (
        "explore.mixtures.figures.dropped_component:DroppedComponent",
        lambda: [dropped_state(1.0), dropped_state(10.0), dropped_state(100.0)],
    ),
    "triangle inequality": (
        "explore.mixtures.figures.triangle_inequality:TriangleInequality",
        lambda: [detour_state(0.5), detour_state(0.2), detour_state(0.9)],
    ),
}
