"""What pictures of subclasses share: how lessons look and are called, and images with their logits from a recording."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray
from matplotlib.axis import Axis

from explore.errors import InvalidInput
from explore.plotting.style import PALETTE

SAW = {0: "all images", -1: "just the student's"}
"""What a teacher saw, where it is not a number of images."""

LOOK: dict[str, dict[str, Any]] = {
    "scratch": {"color": PALETTE["black"], "marker": "o", "ls": "-"},
    "labels-only": {"color": PALETTE["green"], "marker": "^", "ls": "--"},
    "kd": {"color": PALETTE["purple"], "marker": "D", "ls": "-."},
    "skd": {"color": PALETTE["blue"], "marker": "s", "ls": "-"},
    "random-subclasses": {"color": PALETTE["grey"], "marker": "X", "ls": ":"},
    "found-subclasses": {"color": PALETTE["vermilion"], "marker": "v", "ls": "--"},
}

CLASS_COLOURS = tuple(
    PALETTE[name] for name in ("blue", "vermilion", "green", "purple", "black", "grey")
)
WHO = ("teacher", "student")

HEATS = (
    0.25,
    0.35,
    0.5,
    0.7,
    1.0,
    1.4,
    2.0,
    2.8,
    4.0,
    5.7,
    8.0,
    11.0,
    16.0,
    23.0,
    32.0,
    45.0,
    64.0,
)
"""Temperatures of the curves and of sliders, in half octaves."""


def class_colour(k: int) -> str:
    """Of class k; after six they begin again."""
    return CLASS_COLOURS[k % len(CLASS_COLOURS)]


def grouped(parents: np.ndarray) -> np.ndarray:
    """The order in which the subclasses of a class stand beside each other."""
    return np.argsort(parents, kind="stable")


def frame_of(recording: xarray.Dataset, step: int | None) -> xarray.Dataset:
    """The frame of a step; the last if left out.

    Raises:
        InvalidInput: the step was not recorded.
    """
    steps = recording.step.values.tolist()
    if step is not None and step not in steps:
        raise InvalidInput(f"step {step} was not recorded; there are {', '.join(map(str, steps))}")
    return recording.isel(step=-1 if step is None else steps.index(step))


def logits_in(frame: xarray.Dataset, who: str) -> np.ndarray:
    """Subclass logits ``[image, subclass]`` of teacher or student.

    Raises:
        InvalidInput: neither of them, or the run had no teacher.
    """
    if who not in WHO or f"{who}_logits" not in frame:
        known = [name for name in WHO if f"{name}_logits" in frame]
        raise InvalidInput(f"this recording holds logits of {' and '.join(known)}, not of {who!r}")
    return frame[f"{who}_logits"].values.astype(np.float64)


def names_of(data: xarray.Dataset, coordinate: str) -> list[str]:
    """The names on a coordinate."""
    return [str(name) for name in data[coordinate].values]


def objects(names: Sequence[str]) -> np.ndarray:
    """Names as a coordinate's values."""
    return np.array(names, dtype=object)


def name_ticks(axis: Axis, at: Any, names: Sequence[str]) -> None:
    """Names as tick labels, turned where they are long."""
    turned: dict[str, Any] = {"rotation": 35, "ha": "right"} if max(map(len, names)) > SHORT else {}
    axis.set_ticks(at, list(names), **turned)


SHORT = 3
"""Letters that fit under a bar."""
