"""The drawing of one graph in a panel: edges and nodes as artists that follow the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import matplotlib.colors
import numpy as np
from matplotlib.collections import LineCollection

from explore.plotting.picture import Picture, Target
from explore.plotting.style import EDGE_GREY, PALETTE
from explore.plotting.texts import text_marker

ATTENTION_COLOURS = mpl.colors.LinearSegmentedColormap.from_list(
    "attention", mpl.colormaps["Reds"](np.linspace(0, 0.7, 256))
)
"""From white to red; black letters can be read on all of it."""

MARGIN = 0.09
"""Around the positions, in units of the drawing."""

EDGE_WIDTH = 1.2
COLOUR_STEPS = 25
"""Colours of a colour bar."""
TARGET_PIXELS = 9.0


class GraphDrawing:
    """Nodes, edges and a selection in axes of a picture.

    Args:
        picture: that the artists belong to.
        axes: where to draw; their limits are set to the unit square.
        size: area of a node in points².
    """

    def __init__(self, picture: Picture, axes: Any, size: float = 120.0) -> None:
        self._picture, self.axes = picture, axes
        axes.set_axis_off()
        axes.set_aspect("equal")
        axes.set(xlim=(-MARGIN, 1 + MARGIN), ylim=(-MARGIN, 1 + MARGIN))
        self._edges = self._lines(EDGE_GREY, EDGE_WIDTH, "-", 1)
        self._nodes = picture.moving(
            axes.scatter(
                [],
                [],
                s=size,
                c=[],
                cmap=ATTENTION_COLOURS,
                vmin=0,
                vmax=1,
                edgecolors=[],
                linewidths=[],
                zorder=3,
            )
        )
        self._styles: dict[str, Any] = {}
        self._labels: list[Any] = []

    def _lines(self, colour: str, width: float, style: Any, order: float) -> Any:
        lines = LineCollection([], colors=colour, linewidths=width, linestyles=style, zorder=order)
        return self._picture.moving(self.axes.add_collection(lines))

    def add_edge_style(self, name: str, colour: str, width: float, style: Any = "-") -> None:
        """Add a style of edges, by name, for ``show_edges``."""
        self._styles[name] = self._lines(colour, width, style, 2)

    def add_labels(self, names: Sequence[str], size: float = 55.0) -> None:
        """Add a letter for each label of a node, for ``show_labels``."""
        self._labels = [
            self._picture.moving(
                self.axes.plot(
                    [], [], ls="", marker=text_marker(name), ms=size**0.5, color="black",
                    mew=0, zorder=4,
                )[0]
            )
            for name in names
        ]  # fmt: skip

    def show_edges(self, positions: np.ndarray, **pairs: np.ndarray) -> None:
        """Show edges; ``plain`` are grey, others have the style of their name.

        Args:
            positions: ``[n, 2]``.
            **pairs: symmetric bool ``[n, n]`` by the name of a style.
        """
        for name, matrix in pairs.items():
            upper = np.argwhere(np.triu(matrix, 1))
            lines = self._edges if name == "plain" else self._styles[name]
            lines.set_segments(positions[upper])

    def show_nodes(
        self,
        positions: np.ndarray,
        shades: np.ndarray,
        outlined: np.ndarray | None = None,
    ) -> None:
        """Show nodes, from white to dark red.

        Args:
            positions: ``[n, 2]``; nodes at NaN are not drawn.
            shades: ``[n]``, 0 to 1.
            outlined: bool ``[n]``, nodes with a thick black rim, such as those of a motif.
        """
        drawn = np.isfinite(positions).all(1)
        self._nodes.set_offsets(positions[drawn])
        self._nodes.set_array(np.asarray(shades, float)[drawn])
        marked = np.zeros(len(positions), bool) if outlined is None else outlined
        self._nodes.set_edgecolors(["black" if mark else EDGE_GREY for mark in marked[drawn]])
        self._nodes.set_linewidths([2.2 if mark else 0.8 for mark in marked[drawn]])

    def show_labels(self, positions: np.ndarray, labels: np.ndarray) -> None:
        """Show the letter of each node; ``labels [n]`` are indices of ``add_labels``."""
        drawn = np.isfinite(positions).all(1)
        for index, artist in enumerate(self._labels):
            artist.set_data(*positions[drawn & (labels == index)].T)


class SelectionRing:
    """A ring around one node of a drawing.

    Args:
        drawing: of the graph.
        colour: name of a colour of ``PALETTE``.
        marker, size: of the ring, in points.

    Attributes:
        artist: the ring.
    """

    def __init__(self, drawing: GraphDrawing, colour: str, marker: str, size: float = 17.0) -> None:
        self.artist = drawing._picture.moving(
            drawing.axes.plot(
                [], [], ls="", marker=marker, ms=size, mfc="none", mec=PALETTE[colour], mew=2.2,
                zorder=5,
            )[0]
        )  # fmt: skip

    def show(self, position: np.ndarray | None) -> None:
        """Show the ring at a position, or hide it for None."""
        self.artist.set_data(*(([], []) if position is None else position[:, None]))


def shade(attention: np.ndarray) -> np.ndarray:
    """Return values scaled to 0 … 1 over one graph and layer; equal values are 0.5.

    Example:
        >>> shade(np.array([1.0, 3.0, 2.0])).tolist(), shade(np.ones(2)).tolist()
        ([0.0, 1.0, 0.5], [0.5, 0.5])
    """
    values = np.asarray(attention, float)
    span = np.ptp(values)
    if not span > 0:
        return np.full(values.shape, 0.5)
    return np.asarray((values - values.min()) / span)


def node_targets(
    picture: Picture, axes: Any, positions: np.ndarray, states: Sequence[Mapping[str, Any]]
) -> list[Target]:
    """Return one target for each node: a box around it, with the state that it sets."""
    inverse = picture.figure.transFigure.inverted()
    width, height = (TARGET_PIXELS / float(size) for size in picture.figure.bbox.size)
    points = inverse.transform(axes.transData.transform(positions))
    return [
        Target(
            float(x - width),
            float(1 - y - height),
            float(x + width),
            float(1 - y + height),
            f"node {number}",
            state,
        )
        for number, ((x, y), state) in enumerate(zip(points, states, strict=True))
        if np.isfinite(x)
    ]


def add_colour_bar(axes: Any, colours: Any) -> None:
    """Draw the colours of a map from 0 to 1 along the longer side of axes, without ticks.

    It has few enough colours to count as a diagram, so that a dark picture changes them like those
    of the nodes.
    """
    width, height = axes.get_window_extent().size
    shades = np.linspace(0, 1, COLOUR_STEPS)
    pixels = shades[None] if width > height else shades[::-1, None]
    axes.imshow(pixels, cmap=colours, vmin=0, vmax=1, aspect="auto", extent=(0, 1, 0, 1))
    axes.set(xticks=[], yticks=[])
    for edge in axes.spines.values():
        edge.set(visible=True, color=EDGE_GREY)


def add_attention_bar(picture: Picture, box: tuple[float, float, float, float]) -> None:
    """Add the colour bar of attention, from the lowest to the highest node of a panel."""
    axes = picture.figure.add_axes(box)
    add_colour_bar(axes, ATTENTION_COLOURS)
    left, bottom, width, height = box
    for text, y, align in (
        ("highest", bottom + height + 0.03, "bottom"),
        ("lowest", bottom - 0.03, "top"),
    ):
        picture.figure.text(left + width / 2, y, text, ha="center", va=align, fontsize=9)
