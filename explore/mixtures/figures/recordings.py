"""The mixtures in recorded reductions, and the labels of recordings in pictures."""

from __future__ import annotations

import numpy as np
import xarray

from explore.errors import InvalidInput
from explore.mixtures.catalog import METHOD_LABELS
from explore.mixtures.config import METHOD_DEFAULTS
from explore.mixtures.mixture import GaussianMixture


def method_label(recording: xarray.Dataset) -> str:
    """Return the label of a recorded reduction in pictures."""
    name, config = str(recording.attrs["name"]), recording.attrs["config"]
    if name == "oggmr" and config["refine"] == "none":
        return {"angle": "angle, greedy", "ise": "ISE, greedy"}[config["criterion"]]
    refined = config["refine"] != "none" and METHOD_DEFAULTS[name].get("refine", "none") == "none"
    return METHOD_LABELS.get(name, name) + (", refined" if refined else "")


def original_of(recording: xarray.Dataset) -> GaussianMixture:
    """Return the mixture before a recorded reduction."""
    weights, means, covariances = (
        np.asarray(recording[f"original_{name}"].values, float)
        for name in ("weight", "mean", "covariance")
    )
    return GaussianMixture._unchecked(weights, means, covariances)


def mixture_of(frame: xarray.Dataset) -> GaussianMixture:
    """Return the mixture in one recorded frame."""
    alive = frame["alive"].values.astype(bool)
    weights = frame["weight"].values[alive]
    return GaussianMixture._unchecked(
        weights / weights.sum(), frame["mean"].values[alive], frame["covariance"].values[alive]
    )


def check_same_original(recordings: list[xarray.Dataset]) -> None:
    """Check that all recorded reductions began with the same mixture.

    Raises:
        InvalidInput: they did not.
    """
    first, *others = (original_of(recording) for recording in recordings)
    for other in others:
        if not all(
            np.array_equal(getattr(first, name), getattr(other, name))
            for name in ("weights", "means", "covariances")
        ):
            raise InvalidInput(
                "the recordings began with different mixtures; give one recording, "
                "or up to three of the same mixture"
            )
