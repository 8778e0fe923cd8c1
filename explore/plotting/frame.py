"""What pictures are framed with: a heading, captions, and axes for images, at fixed positions.

Positions and boxes (left, bottom, width, height) are fractions of the figure, from its lower left
corner, as in Matplotlib. So an update never moves a panel, whatever the lengths of the texts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from explore.plotting.mosaic import tile_box
from explore.plotting.picture import Picture, Target
from explore.plotting.style import EDGE_GREY, FRAME_GREY, set_title

Box = tuple[float, float, float, float]


def add_heading(picture: Picture, y: float, x: float = 0.02) -> Any:
    """Add the bold first line of a picture, whose text may change.

    It is a sentence for the screen: ``explore figure --plain`` does not print it.
    """
    text = picture.figure.text(x, y, "", fontsize=12, fontweight="bold", va="center")
    return picture.furniture(picture.moving(text))


def add_caption(picture: Picture, x: float, y: float) -> Any:
    """Add a grey line of text, which may change."""
    return picture.moving(picture.figure.text(x, y, "", va="center", color=FRAME_GREY))


def add_image_axes(picture: Picture, box: Box) -> Any:
    """Add axes for an image, with a grey frame and without ticks."""
    axes = picture.figure.add_axes(box)
    axes.set(xticks=[], yticks=[])
    for edge in axes.spines.values():
        edge.set(visible=True, color=EDGE_GREY)
    return axes


def add_bare_axes(picture: Picture, box: Box, title: str | None = None) -> Any:
    """Add axes for an image, without frame and ticks; the image is in their upper left corner."""
    axes = picture.figure.add_axes(box)
    axes.set_axis_off()
    axes.set_anchor("NW")
    if title is not None:
        set_title(axes, title)
    return axes


def class_targets(
    picture: Picture, mosaics: Iterable[Any], labels: Iterable[Any], tiles: Mapping[str, int]
) -> list[Target]:
    """Return a target for each tile of each mosaic; it sets the state "label" to its class.

    Args:
        picture: with the mosaics.
        mosaics: artists of ``imshow``.
        labels: names of the classes, in the order of the tiles.
        tiles: the layout, as ``tile_box`` takes it.
    """
    return [
        Target(
            *picture.box(artist.axes, *tile_box(index, **tiles)),
            f"class {name}",
            {"label": str(name)},
        )
        for artist in mosaics
        for index, name in enumerate(labels)
    ]


def step_targets(
    picture: Picture, axes: Any, steps: Sequence[float] | np.ndarray, states: Sequence[int] = ()
) -> list[Target]:
    """Return a target for each step of a curve: the strip of the axes that is closest to it.

    Args:
        picture: with the axes.
        axes: their x axis shows steps.
        steps: of the curve, in ascending order.
        states: the value of the state "step" for each of them; by default the steps themselves.
    """
    points = np.column_stack([steps, np.full(len(steps), axes.get_ylim()[0])])
    x = axes.transData.transform(points)[:, 0]
    edges = np.concatenate([[x[0] - 5], (x[1:] + x[:-1]) / 2, [x[-1] + 5]])
    edges = edges / picture.figure.bbox.width
    position = axes.get_position()
    return [
        Target(
            float(edges[i]),
            1 - position.y1,
            float(edges[i + 1]),
            1 - position.y0,
            f"step {int(step)}",
            {"step": int(states[i]) if len(states) else int(step)},
        )
        for i, step in enumerate(steps)
    ]
