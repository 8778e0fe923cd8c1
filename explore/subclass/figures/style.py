"""Styles, labels and small helpers that the pictures of subclass distillation share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray
from matplotlib.axis import Axis

from explore.errors import InvalidInput
from explore.plotting.style import PALETTE

TEACHER_DATA_LABELS = {0: "all images", -1: "only the student's images"}
"""Names of the special values of ``teacher_images``. All other values are numbers of images."""

METHOD_STYLES: dict[str, dict[str, Any]] = {
    "scratch": {"color": PALETTE["black"], "marker": "o", "ls": "-"},
    "labels-only": {"color": PALETTE["green"], "marker": "^", "ls": "--"},
    "kd": {"color": PALETTE["purple"], "marker": "D", "ls": "-."},
    "skd": {"color": PALETTE["blue"], "marker": "s", "ls": "-"},
    "random-subclasses": {"color": PALETTE["grey"], "marker": "X", "ls": ":"},
    "found-subclasses": {"color": PALETTE["vermilion"], "marker": "v", "ls": "--"},
}

CLASS_COLOURS = [PALETTE[k] for k in ("blue", "vermilion", "green", "purple", "black", "grey")]
ROLES = ("teacher", "student")

# fmt: off
TEMPERATURE_GRID = (
    0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 5.7, 8.0, 11.0, 16.0, 23.0, 32.0, 45.0, 64.0
)
# fmt: on
"""Temperatures of curves and sliders, in half octaves."""

LONGEST_SHORT_NAME = 3
"""Names with more characters are rotated under a bar."""


def teacher_data_label(count: int) -> str:
    """Return in words on how many images a teacher was trained.

    Example:
        >>> teacher_data_label(0), teacher_data_label(12000)
        ('all images', '12,000 images')
    """
    return TEACHER_DATA_LABELS.get(count, f"{count:,} images")


def method_style(method: str) -> dict[str, Any]:
    """Return colour, marker and line style of a method."""
    return METHOD_STYLES.get(method, {"color": PALETTE["blue"], "marker": "o", "ls": "-"})


def class_colour(k: int) -> str:
    """Return the colour of class ``k``. Colours repeat after six classes."""
    return CLASS_COLOURS[k % len(CLASS_COLOURS)]


def order_by_class(parents: np.ndarray) -> np.ndarray:
    """Return the order of subclasses in which those of one class are neighbours."""
    return np.argsort(parents, kind="stable")


def select_frame(recording: xarray.Dataset, step: int | None) -> xarray.Dataset:
    """Return the frame of a step, or the last frame for ``None``.

    Raises:
        InvalidInput: the step was not recorded.
    """
    steps = recording.step.values.tolist()
    if step is not None and step not in steps:
        raise InvalidInput(
            f"step {step} was not recorded; the steps are {', '.join(map(str, steps))}"
        )
    return recording.isel(step=-1 if step is None else steps.index(step))


def recorded_roles(recording: xarray.Dataset) -> list[str]:
    """Return the roles whose logits a recording holds."""
    return [role for role in ROLES if f"{role}_logits" in recording]


def subclass_logits(frame: xarray.Dataset, role: str) -> np.ndarray:
    """Return the subclass logits ``[image, subclass]`` of the teacher or the student.

    Raises:
        InvalidInput: unknown role, or the run had no teacher.
    """
    roles = recorded_roles(frame)
    if role not in roles:
        raise InvalidInput(
            f"this recording holds the logits of {' and '.join(roles)}, not of {role!r}"
        )
    return frame[f"{role}_logits"].values.astype(np.float64)


def names_of(data: xarray.Dataset, coordinate: str) -> list[str]:
    """Return the values of a coordinate as strings."""
    return [str(name) for name in data[coordinate].values]


def as_objects(names: Sequence[str]) -> np.ndarray:
    """Return names as an array of objects, for a coordinate."""
    return np.array(names, dtype=object)


def set_name_ticks(axis: Axis, positions: Any, names: Sequence[str]) -> None:
    """Set names as tick labels; rotate them if one is long."""
    is_long = max(map(len, names)) > LONGEST_SHORT_NAME
    style: dict[str, Any] = {"rotation": 35, "ha": "right"} if is_long else {}
    axis.set_ticks(positions, list(names), **style)
