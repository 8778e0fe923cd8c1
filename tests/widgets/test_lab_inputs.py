"""Functions of all labs: unknown names, recordings of another kind and wrong types are refused."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
import pytest
import xarray

from explore.core.recording import open_recording
from explore.core.resources import shipped
from explore.errors import ExploreError

STRANGE = (3, "runs/a.zarr", ["a"])
"""No recordings."""


@cache
def recording(name: str) -> xarray.Dataset:
    return open_recording(shipped(f"data/{name}.zarr.zip"))


def other(topic: str) -> xarray.Dataset:
    """Return a recording of another topic."""
    return recording("digits-dm" if topic != "distill" else "standard-1d-runnalls")


OF_RECORDINGS = [
    "distill.lab:untrained_networks",
    "distill.lab:explorer_of",
    "distill.trajectories.lab:one_step",
    "distill.trajectories.lab:side_by_side",
    "graphs.lab:learnt_edges",
    "graphs.lab:step_by_step",
    "graphs.lab:compare_accuracies",
    "graphs.lab:motif_check",
    "multilabel.lab:who_pulls",
    "multilabel.lab:see_embedding",
    "multilabel.lab:compare_similarity",
    "multilabel.lab:compare_uncertainty",
    "multilabel.lab:turn_weight",
    "multilabel.lab:compare_losses",
    "subclass.lab:one_image",
    "subclass.lab:bits_over_temperature",
    "subclass.lab:widths",
    "subclass.lab:explorer_of",
]


def function(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(import_module(f"explore.{module}"), attribute)


@pytest.mark.parametrize("name", OF_RECORDINGS)
def test_what_is_no_recording_of_the_lab_is_refused(name: str) -> None:
    topic = name.partition(".")[0]
    for strange in STRANGE:
        with pytest.raises(ExploreError):
            function(name)(strange)
    with pytest.raises(ExploreError, match="expected a recording of"):
        function(name)(other(topic))
    with pytest.raises(ExploreError, match="holds no frames"):
        function(name)(other(topic).isel(step=slice(0, 0)))


@pytest.mark.parametrize(
    ("name", "arguments", "options", "message"),
    [
        ("distill.lab:recording_of", ("mnist", "dm"), {}, "not of 'mnist'"),
        ("distill.lab:recording_of", (["digits"], "dm"), {}, r"not of \['digits'\]"),
        ("distill.lab:one_run", ("digits", "skd"), {}, "unknown method 'skd'"),
        ("distill.lab:side_by_side", ("digits", "dm", "skd"), {}, "unknown right 'skd'"),
        ("distill.lab:live", ("digits", "skd"), {}, "unknown method 'skd'; known: atom"),
        ("distill.lab:live", ("digits", ["dm"]), {}, "unknown method"),
        ("distill.lab:live", ("nothing",), {}, "unknown data set"),
        ("distill.lab:live", (3,), {}, "data must be a text, got 3"),
        ("distill.lab:live", ("digits",), {"steps": 0}, "steps must be a whole number"),
        ("distill.lab:live", ("digits",), {"steps": "9"}, "steps must be a whole number"),
        ("distill.lab:live", ("digits",), {"folder": ""}, "folder must be a path"),
        ("distill.lab:live", ("digits",), {"seed": "1"}, "seed must be a whole number"),
        ("distill.lab:live", ("digits",), {"side": 3}, "has no option 'side'"),
        ("distill.trajectories.lab:recording_of", ("dm",), {}, "unknown method 'dm'"),
        ("mixtures.lab:which_two", (2,), {}, "components must be a whole number of at least 3"),
        ("mixtures.lab:which_two", ("6",), {}, "components must be a whole number"),
        ("mixtures.lab:which_two", (float("nan"),), {}, "components must be a whole number"),
        ("mixtures.lab:side_by_side", ("claw",), {}, "unknown recorded mixture 'claw'"),
        ("mixtures.lab:side_by_side", ("digits", "west"), {}, "unknown left 'west'"),
        ("mixtures.lab:reductions", ("standard-1d", 3, []), {}, "give one to three methods"),
        ("mixtures.lab:reductions", ("standard-1d", 3, 5), {}, "methods must be a list of names"),
        ("mixtures.lab:reductions", (np.zeros(3),), {}, "mixture must be a GaussianMixture"),
        ("mixtures.lab:reductions", ("standard-1d", 3, ["dm"]), {}, "dm"),
        ("mixtures.lab:by_hand", (3,), {}, "mixture must be a GaussianMixture"),
        ("mixtures.lab:detour", ("standard-1d", 3), {}, "c must be a GaussianMixture"),
        ("areas.lab:areas_over_steps", (3,), {}, "recording must be a text, got 3"),
        ("areas.lab:areas_over_steps", ("nothing",), {}, "there is no recording nothing"),
        ("areas.lab:complexity", ("nothing.zarr",), {}, "there is no recording nothing.zarr"),
        ("areas.lab:complexity", (3,), {}, "recording must be a path, got 3"),
        ("areas.lab:object_areas", ("80",), {}, "count must be a whole number"),
        ("areas.lab:photographs", (0,), {}, "count must be a whole number"),
        ("subclass.lab:recording_of", ("dm",), {}, "unknown lesson 'dm'"),
        ("subclass.lab:study_of", (["digits"],), {}, "unknown study"),
        ("subclass.lab:widths", ("yeast",), {}, "unknown study 'yeast'"),
        ("subclass.lab:training", ("dm",), {}, "unknown left 'dm'"),
        ("subclass.lab:one_image", (None, "3"), {}, "image must be a whole number"),
        ("subclass.lab:live", (), {"labels": 50}, "labels must be a list, got 50"),
        ("subclass.lab:live", (), {"labels": []}, "labels must be a list of different values"),
        ("subclass.lab:live", (), {"labels": [5, 5]}, "labels must be a list of different"),
        ("subclass.lab:live", (), {"widths": ["8"]}, "widths must be a whole number"),
        ("subclass.lab:live", (), {"temperatures": [0]}, "temperatures must be a number above 0"),
        ("subclass.lab:live", (), {"seeds": 0}, "seeds must be a whole number"),
        ("sparseconv.lab:copies", ("abc",), {}, "x must be an array of numbers"),
        ("sparseconv.lab:copies", ([[1, float("nan")]],), {}, "x must be finite"),
        ("sparseconv.lab:copies", ([1, 2],), {}, r"x must be numbers \[H, W\]"),
        ("sparseconv.lab:neighbour_values", ("nothing",), {}, "there is no recording nothing"),
        ("sparseconv.lab:neighbour_values", (3,), {}, "network must be a path, got 3"),
        ("sparseconv.lab:neighbour_values", (), {"image": "1"}, "image must be"),
        ("sparseconv.lab:densities", (["vgg"],), {}, "network must be a path"),
        ("graphs.lab:recording_of", ("dm",), {}, "unknown method 'dm'"),
        ("graphs.lab:edit_graph", (), {"seed": "1"}, "seed must be a whole number"),
        ("multilabel.lab:recording_of", ("dm",), {}, "unknown method 'dm'"),
        ("multilabel.lab:study_of", ("digits",), {}, "unknown data 'digits'"),
    ],
)
def test_wrong_names_and_types_are_refused(
    name: str, arguments: tuple[Any, ...], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ExploreError, match=message):
        function(name)(*arguments, **options)


def test_two_recordings_of_one_method_are_refused() -> None:
    run = recording("motifs-gstam")
    with pytest.raises(ExploreError, match="two of the recordings are of 'gstam'"):
        function("graphs.lab:step_by_step")(run, run)
    training = recording("scenes-kmcl")
    with pytest.raises(ExploreError, match="two of the recordings are of 'kmcl'"):
        function("multilabel.lab:see_embedding")(training, training)


def test_mixtures_of_different_dimensions_have_no_way() -> None:
    mixture = function("mixtures.examples:load_mixture")
    with pytest.raises(ExploreError, match="a and c must have equally many dimensions, got 1 and"):
        function("mixtures.lab:detour")(mixture("standard-1d"), mixture("digits"))
