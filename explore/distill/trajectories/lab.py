"""The lab on EDF: one function for each notebook cell; each returns an explorer of a recording."""

from __future__ import annotations

from functools import partial

import xarray

from explore.core.recording import open_recording
from explore.core.resources import shipped
from explore.core.validation import check_choice
from explore.distill.catalog import RECORDED_TRAJECTORIES
from explore.distill.figures.enhanced_step import EnhancedStep
from explore.distill.figures.trajectory_matching import TrajectoryMatching, trajectory_matching
from explore.distill.recordings import TRAJECTORY_MATCHING
from explore.errors import InvalidInput
from explore.plotting.selection import check_recordings, single_recording
from explore.widgets.controls import Choice, Control, Slider
from explore.widgets.explorer import Explorer

BETAS = (0.0, 0.5, 1.0, 1.5, 2.0)
THRESHOLDS = ("mean", 0.2, 0.5, 0.8)
"""Levels of the area: the map's own mean, and the fixed ones that EDF compares it with."""


def recording_of(method: str) -> xarray.Dataset:
    """Return the shipped recording of "edf" or "mtt", loaded into memory.

    Raises:
        UnknownName: another method.
    """
    check_choice("method", method, RECORDED_TRAJECTORIES)
    return open_recording(shipped(f"data/scenes-{method}.zarr.zip")).load()


def one_step(recording: xarray.Dataset | None = None) -> Explorer:
    """Explore one synthetic image: its map, its multiplier, its next step with and without.

    Args:
        recording: of a run of EDF; the shipped one by default.

    Raises:
        InvalidInput: a recording of another kind, or without a step.
    """
    from explore.distill.trajectories.enhanced_step import enhanced_step

    recording = recording_of("edf") if recording is None else recording
    run = single_recording(TRAJECTORY_MATCHING, recording).load()
    steps = run.step.values.tolist()[1:]  # before the first step there is no gradient
    if not steps:
        raise InvalidInput("the recording holds no step yet; continue its run first")
    controls: dict[str, Control] = {
        "beta": Slider("β", list(BETAS), 1.0),
        "threshold": Choice("level of the area", list(THRESHOLDS)),
        "label": Choice("class", [str(name) for name in run.label.values]),
        "step": Slider("step", steps, steps[-1]),
    }
    return Explorer(partial(enhanced_step, run), EnhancedStep, controls, "one-step")


def side_by_side(*recordings: xarray.Dataset) -> Explorer:
    """Explore recorded runs under one step slider: images, maps, areas, multipliers, dropout.

    Args:
        *recordings: one run or two of trajectory matching; by default EDF and MTT, which ship.

    Raises:
        InvalidInput: recordings of another kind, more than two, or of different data.
    """
    defaults = () if recordings else map(recording_of, RECORDED_TRAJECTORIES)
    runs = check_recordings(TRAJECTORY_MATCHING, [*recordings, *defaults], most=2)
    runs = [run.load() for run in runs]
    steps = runs[0].step.values.tolist()
    controls: dict[str, Control] = {
        "step": Slider("step", steps),
        "label": Choice("class", [str(name) for name in runs[0].label.values]),
    }
    return Explorer(
        partial(trajectory_matching, runs), TrajectoryMatching, controls, "trajectory-matching"
    )
