"""Names, colours and frames that the pictures of sparse convolution share."""

from __future__ import annotations

from typing import Any

from explore.plotting.picture import Picture
from explore.plotting.style import EDGE_GREY, PALETTE

FORMAT_LABELS = {"im2col": "im2col", "mec": "MEC", "cscc": "CSCC", "cpo": "CPO", "cps": "CPS"}
FORMAT_STYLES: dict[str, dict[str, Any]] = {
    "mec": {"color": PALETTE["grey"], "marker": "v"},
    "cscc": {"color": PALETTE["purple"], "marker": "D"},
    "cpo": {"color": PALETTE["green"], "marker": "^"},
    "cps": {"color": PALETTE["vermilion"], "marker": "s"},
}


def add_heading(picture: Picture, y: float) -> Any:
    """Add the bold first line of a picture, whose text may change."""
    text = picture.figure.text(0.02, y, "", fontsize=12, fontweight="bold", va="center")
    return picture.moving(text)


def add_image_axes(picture: Picture, box: tuple[float, float, float, float]) -> Any:
    """Add axes for an image: a grey frame without ticks."""
    axes = picture.figure.add_axes(box)
    axes.set(xticks=[], yticks=[])
    for edge in axes.spines.values():
        edge.set(visible=True, color=EDGE_GREY)
    return axes
