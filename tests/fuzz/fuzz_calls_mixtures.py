"""Valid calls of Gaussian mixtures and their reduction."""

from __future__ import annotations

from typing import Any

import numpy as np
from fuzz_judge import Call
from sklearn.mixture import GaussianMixture as ScikitMixture

from explore.mixtures import GaussianMixture, Yardstick, reduce

WEIGHTS, MEANS = np.array([0.5, 0.3, 0.2]), np.array([[0.0, 0.0], [2.0, 1.0], [0.5, 3.0]])
COVARIANCES = np.stack([np.eye(2), 2 * np.eye(2), 0.5 * np.eye(2)])


def mixture() -> GaussianMixture:
    return GaussianMixture(WEIGHTS.copy(), MEANS.copy(), COVARIANCES.copy())


def other() -> GaussianMixture:
    return GaussianMixture([0.5, 0.5], [[0.0, 0.5], [1.0, 2.0]], [np.eye(2), np.eye(2)])


def pair() -> dict[str, Any]:
    return {"f": mixture(), "g": other()}


def fitted() -> ScikitMixture:
    points = np.random.default_rng(0).normal(size=(50, 2))
    return ScikitMixture(2, random_state=0).fit(points)


def saved() -> str:
    mixture().save("mixture.npz")
    return "mixture.npz"


PAIR = {
    "f": "mixture",
    "g": "mixture",
    "products": "products",
    "kind": "distance",
    "draws": "count",
}
POINTS = np.array([[0.0, 0.0], [1.0, 1.0]])
DISTANCES = ("cauchy_schwarz", "ise", "nise", "pdf_angle", "pdf_chord")

CALLS = {
    "explore.mixtures.GaussianMixture": Call(
        lambda: {
            "weights": WEIGHTS.copy(),
            "means": MEANS.copy(),
            "covariances": COVARIANCES.copy(),
            "normalize": False,
            "jitter": 0.0,
        }
    ),
    "explore.mixtures.GaussianMixture.affine": Call(
        lambda: {"self": mixture(), "matrix": 2 * np.eye(2), "shift": np.ones(2)},
        accepts={"shift": "one number shifts all axes"},
    ),
    "explore.mixtures.GaussianMixture.from_sklearn": Call(
        lambda: {"self": GaussianMixture, "model": fitted()},
        names={"model": "mixture"},
    ),
    "explore.mixtures.GaussianMixture.load": Call(
        lambda: {"self": GaussianMixture, "path": saved(), "normalize": False},
        names={"path": "file|no mixture at"},
    ),
    "explore.mixtures.GaussianMixture.log_pdf": Call(
        lambda: {"self": mixture(), "x": POINTS.copy()}, names={"x": "points"}
    ),
    "explore.mixtures.GaussianMixture.pdf": Call(
        lambda: {"self": mixture(), "x": POINTS.copy()}, names={"x": "points"}
    ),
    "explore.mixtures.GaussianMixture.sample": Call(
        lambda: {"self": mixture(), "count": 5, "rng": 0},
        names={"rng": "seed"},
        accepts={"rng: None": "a new random state"},
    ),
    "explore.mixtures.GaussianMixture.save": Call(
        lambda: {"self": mixture(), "path": "a.npz"},
        after=str,
        accepts={"path": "the name of a file"},
    ),
    "explore.mixtures.GaussianMixture.with_origin": Call(
        lambda: {"self": mixture(), "name": "toy", "options": {}},
        accepts={"name": "any text is a name"},
    ),
    "explore.mixtures.Reduction.at": Call(
        lambda: {"self": reduce(mixture(), 1, "runnalls"), "components": 2}
    ),
    "explore.mixtures.Yardstick": Call(
        lambda: {"original": mixture(), "draws": 50, "seed": 0},
        after=lambda yardstick: yardstick.measure(other()),
        names={"original": "mixture", "draws": "count"},
    ),
    "explore.mixtures.Yardstick.divergence": Call(
        lambda: {"self": Yardstick(mixture(), 50), "g": other()}, names=PAIR
    ),
    "explore.mixtures.Yardstick.measure": Call(
        lambda: {"self": Yardstick(mixture(), 50), "g": other()}, names=PAIR
    ),
    "explore.mixtures.best_weights": Call(lambda: {**pair(), "criterion": "angle"}, names=PAIR),
    **{
        f"explore.mixtures.{name}": Call(lambda: {**pair(), "products": None}, names=PAIR)
        for name in DISTANCES
    },
    "explore.mixtures.distance": Call(lambda: {**pair(), "kind": "angle"}, names=PAIR),
    "explore.mixtures.distance_matrix": Call(
        lambda: {"mixtures": [mixture(), other()], "kind": "angle"},
        names={"mixtures": "mixture", "kind": "distance"},
        accepts={
            f"mixtures: empty {kind}": "a table without rows"
            for kind in ("list", "array", "tensor")
        },
    ),
    "explore.mixtures.gradient": Call(
        lambda: {**pair(), "kind": "cauchy-schwarz", "ff": None}, names=PAIR
    ),
    "explore.mixtures.gram_log": Call(pair, names=PAIR),
    "explore.mixtures.inner_log": Call(pair, names=PAIR),
    "explore.mixtures.kl_divergence": Call(
        lambda: {**pair(), "draws": 50, "rng": 0},
        names={**PAIR, "rng": "seed"},
        accepts={"rng: None": "a new random state"},
    ),
    "explore.mixtures.load_mixture": Call(lambda: {"name": "bivariate"}, names={"name": "mixture"}),
    "explore.mixtures.merge_moments": Call(
        lambda: {"mixture": mixture(), "indices": [0, 1]}, names={"indices": "index|component"}
    ),
    "explore.mixtures.modes": Call(lambda: {"mixture": mixture()}),
    "explore.mixtures.reduce": Call(
        lambda: {"mixture": mixture(), "components": 2, "method": "runnalls"}
    ),
    "explore.mixtures.score_pairs": Call(
        lambda: {"mixture": mixture(), "criterion": "angle", "original": None},
        names={"original": "mixture"},
    ),
    # The lab.
    "explore.mixtures.lab.by_hand": Call(lambda: {"mixture": "standard-1d"}, after=str),
    "explore.mixtures.lab.detour": Call(
        lambda: {"a": None, "c": None}, after=str, names={"a": "mixture", "c": "mixture"}
    ),
    "explore.mixtures.lab.which_two": Call(lambda: {"components": 6}, after=str),
    "explore.mixtures.lab.side_by_side": Call(
        lambda: {"data": "standard-1d", "left": "runnalls", "right": "oggmr"},
        after=str,
        names={"data": "mixture", "left": "method", "right": "method"},
    ),
    "explore.mixtures.lab.reductions": Call(
        lambda: {"mixture": "bivariate", "components": 1, "methods": ["runnalls"]},
        after=str,
        names={"methods": "method"},
    ),
}
