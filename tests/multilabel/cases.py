"""What is special about multi-label learning in the tests of all topics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xarray

from explore.data import load_multilabel
from explore.multilabel import lab
from explore.multilabel.catalog import TOPIC
from explore.multilabel.figures.anchor_pulls import anchor_pulls
from explore.multilabel.figures.contrast_weight import contrast_weight
from explore.multilabel.figures.embedding_data import embedding
from explore.multilabel.figures.losses import training_losses
from explore.multilabel.figures.similarity import similarity_by_overlap
from explore.multilabel.figures.uncertainty import uncertainty_by_count
from explore.multilabel.recordings import (
    MEASURE_NAMES,
    STUDY,
    TRAINING,
    UNCERTAINTY_NAMES,
    WEIGHT_STUDY,
    WEIGHT_TERMS,
)

LOADERS = {method.name: load_multilabel for method in TOPIC.methods}


def random_study() -> xarray.Dataset:
    """Return a study with scores that were not trained."""
    names = ("bce", "focal", "kmcl", "kmcl-constant", "probmcl")
    rng = np.random.default_rng(0)
    means = (
        np.array([0.85, 0.84, 0.86, 0.86, 0.7])[:, None] - np.array([0, 0.09, 0.05])[:, None, None]
    )
    frame = STUDY.frame(
        {
            "score": means + 0.01 * rng.standard_normal((3, 5, 4)),
            "validation": np.full((5, 3, 2, 2), 0.8),
            "chosen_rate": np.float32([0.01, 0.003, 0.003, 0.001, 0.003]),
            "chosen_weight": np.float32([0.1, 0.1, 0.1, 1, 1]),
        },
        {
            "measure": np.array(MEASURE_NAMES, object),
            "training_loss": np.array(names, object),
            "run": np.arange(4),
            "rate": np.array([0.001, 0.003, 0.01]),
            "weight": np.array([0.1, 1.0]),
            "tuning_run": np.arange(2),
        },
    )
    return frame.assign_attrs(config={"data": {"name": "scenes"}, "split": "test"})


def random_weights() -> xarray.Dataset:
    """Return a study of weights whose networks were not trained, with 1/B between two weights."""
    rng = np.random.default_rng(1)
    weights = np.array([0.0, 0.004, 0.03, 0.25, 1.0])
    norms = np.stack([np.ones(5), 3 * weights, 20 * weights])[..., None] * (
        1 + rng.random((3, 5, 3))
    )
    frame = WEIGHT_STUDY.frame(
        {
            "held_out_map": np.linspace(0.8, 0.5, 5)[:, None] + 0.02 * rng.standard_normal((5, 3)),
            "prediction_spread": np.linspace(0.3, 0.05, 5)[:, None] + 0.02 * rng.random((5, 3)),
            "gradient_share": norms / norms.sum(0),
        },
        {
            "weight": weights,
            "run": np.arange(3),
            "weight_term": np.array(WEIGHT_TERMS, object),
        },
    )
    return frame.assign_attrs(config={"data": {"name": "scenes"}, "batch": 64})


def random_uncertainties() -> xarray.Dataset:
    """Return two frames of a training whose uncertainties grow with the number of labels."""
    rng = np.random.default_rng(2)
    counts = np.repeat([1, 2, 3, 4], [30, 25, 20, 15])
    present = np.argsort(rng.random((90, 6)), 1) < counts[:, None]
    frames = []
    for share in (0.6, 0.3):
        hard = rng.random(90) < share
        probability = np.where(present, 0.9, 0.1)
        probability[hard, 0] = 1 - probability[hard, 0]
        uncertainty = counts * 0.4 + 0.3 * hard + 0.3 * rng.random((5, 90))
        values = {
            "embedding": np.zeros((90, 2)),
            "probability": probability,
            "uncertainty": uncertainty,
            "mean_average_precision": 1 - share,
        }
        coordinates = {
            "label": np.array([f"label {k}" for k in range(6)], object),
            "present": present,
            "uncertainty_kind": np.array(UNCERTAINTY_NAMES, object),
        }
        frames.append(TRAINING.frame(values, coordinates))
    joined = xarray.concat(frames, "step").assign_coords(step=[0, 5])
    return joined.assign_attrs(config={"data": {"name": "scenes"}}, name="probmcl")


PULL_STATES: tuple[dict[str, Any], ...] = (
    {"hidden": True},
    {},
    {"correlation": "inside", "step": 20},
    {"alpha": 0.5, "overlap": "dice"},
)

EMBEDDING_STATES: tuple[dict[str, Any], ...] = (
    {},
    {"anchor": 7, "labels": ("disc", "ring"), "mode": "any", "step": 20},
    {"anchor": 7, "labels": ("disc", "ring"), "mode": "exactly"},
    {"step": 0},
)

SIMILARITY_STATES: tuple[dict[str, Any], ...] = ({}, {"step": 8}, {"step": 0})


def embedding_states() -> list[xarray.Dataset]:
    """Return states of the embedding, of which the second has points of all colours."""
    datasets = [embedding(lab.recording_of("kmcl"), **state) for state in EMBEDDING_STATES]
    datasets[1]["overlap"] = "point", np.linspace(0, 1, datasets[1].sizes["point"])
    return datasets


def select_states(
    select: Callable[..., xarray.Dataset], states: Sequence[dict[str, Any]]
) -> Callable[[], list[xarray.Dataset]]:
    """Return a function that selects the data of each state from the shipped KMCL training."""
    return lambda: [select(lab.recording_of("kmcl"), **state) for state in states]


PICTURES: dict[str, tuple[str, Callable[[], list[xarray.Dataset]]]] = {
    "anchor_pulls": (
        "explore.multilabel.figures.anchor_pulls:AnchorPulls",
        select_states(anchor_pulls, PULL_STATES),
    ),
    "label_embedding": (
        "explore.multilabel.figures.embedding:Embedding",
        embedding_states,
    ),
    "label_similarity": (
        "explore.multilabel.figures.similarity:SimilarityByOverlap",
        select_states(similarity_by_overlap, SIMILARITY_STATES),
    ),
    "training_losses": (
        "explore.multilabel.figures.losses:TrainingLosses",
        lambda: [training_losses(random_study(), measure) for measure in MEASURE_NAMES],
    ),
    "contrast_weight": (
        "explore.multilabel.figures.contrast_weight:ContrastWeight",
        lambda: [contrast_weight(random_weights(), weight) for weight in (None, 0.0, 1.0)],
    ),
    "label_uncertainty": (
        "explore.multilabel.figures.uncertainty:UncertaintyByCount",
        lambda: [
            uncertainty_by_count(random_uncertainties(), **state)
            for state in ({}, {"step": 0}, {"by_count": False}, {"step": 0, "by_count": False})
        ],
    ),
}
