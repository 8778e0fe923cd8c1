"""What the recordings of this topic hold, and where they are; no torch is imported."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from explore.core.recording import open_recording
from explore.core.resources import shipped
from explore.core.schema import RecordingKind, Variable
from explore.core.validation import check_path, check_text
from explore.errors import DataMissing, InvalidInput

if TYPE_CHECKING:
    import xarray

SYNTHETIC_IMAGES = RecordingKind(
    "a run that distils images (such as explore run datadam)",
    {"image": Variable(("label", "copy", "y", "x", "rgb"), "synthetic image", "display")},
    {"label": Variable(("label",), "", "")},
)
"""What this topic reads of a distillation's recording."""

AREA_EVOLUTION = RecordingKind(
    "areas of synthetic images",
    {
        "area": Variable(("label", "copy"), "share of the map above the threshold"),
        "map": Variable(("label", "copy", "y_map", "x_map"), "class activation map, 0 to 1"),
        "probability": Variable(("label", "copy"), "probability of the image's own class"),
        "image": Variable(("label", "copy", "y", "x", "rgb"), "synthetic image", "display"),
        "distillation_step": Variable((), "step of the distillation"),
    },
    {
        "label": Variable(("label",), "", ""),
        "real_area": Variable(("label",), "mean area of real images of the class"),
        "real_deviation": Variable(("label",), "standard deviation of the area of real images"),
    },
)
"""Activation areas over the steps of a distillation, seen through one trained network."""

COMPLEXITY = RecordingKind(
    "the complexity of a data set",
    {
        "complexity": Variable(("label",), "one minus the mean area of the class"),
        "deviation": Variable(("label",), "standard deviation of the area within the class"),
        "measured": Variable(("label",), "number of images measured", "images"),
        "unreadable": Variable((), "number of files that could not be decoded", "images"),
    },
    {
        "label": Variable(("label",), "", ""),
        "images": Variable(("label",), "number of images of the class", "images"),
    },
)
"""Complexity of each class in the sense of Comp-DD; NaN before its first image is measured."""


def find_recording(name: Any) -> xarray.Dataset:
    """Open a recording by its path or URL, or by the name of one that ships.

    Raises:
        InvalidInput: no text or path.
        DataMissing: there is neither.
    """
    if isinstance(name, os.PathLike):
        return open_recording(check_path("recording", name))
    name = check_text("recording", name)
    if "\0" in name:
        raise InvalidInput(f"recording must be a path or a name, got {name!r}")
    is_path = "/" in name or name.endswith((".zarr", ".zip")) or os.path.exists(name)  # noqa: PTH110
    if not is_path:
        try:
            return open_recording(shipped(f"data/{name}.zarr.zip"))
        except DataMissing:
            raise DataMissing(
                f"there is no recording {name}, and none of this name ships; give the path of one, "
                "such as runs/datadam.zarr"
            ) from None
    return open_recording(name)
