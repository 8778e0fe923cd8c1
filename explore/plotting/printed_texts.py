"""Texts of a figure as they are drawn: their boxes, overlaps, and texts that are cut off."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.figure import Figure

TOLERANCE = 0.01
"""Inches by which two texts may overlap, or a text may leave the figure: the gap of two lines."""


@dataclass(frozen=True)
class DrawnText:
    """A line of text: its words, its size in points, and the corners of its box in inches."""

    words: str
    size: float
    corners: np.ndarray


class _Recorder(RendererAgg):
    """A renderer that also lists the texts that it draws."""

    def __init__(self, figure: Figure) -> None:
        self.texts: list[DrawnText] = []
        super().__init__(*figure.bbox.size, figure.dpi)  # type: ignore[no-untyped-call]

    def draw_text(
        self,
        gc: Any,
        x: float,
        y: float,
        s: str,
        prop: Any,
        angle: float,
        ismath: Any = False,
        mtext: Any = None,
    ) -> None:
        """Draw a line of text, and list it."""
        renderer: Any = super()  # Matplotlib has no types for the methods of a renderer.
        renderer.draw_text(gc, x, y, s, prop, angle, ismath, mtext)
        if not s.strip() or gc.get_alpha() == 0:
            return
        width, height, descent = renderer.get_text_width_height_descent(s, prop, ismath)
        turn = np.deg2rad(angle)
        along, up = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        base = np.array([x, self.height - y])
        box = [(0, -descent), (width, -descent), (width, height - descent), (0, height - descent)]
        corners = np.array([base + along * right + up * above for right, above in box])
        self.texts.append(DrawnText(s, prop.get_size_in_points(), corners / self.dpi))


def drawn_texts(figure: Figure) -> list[DrawnText]:
    """Return every line of text of a figure that is drawn.

    Example:
        >>> figure = Figure()
        >>> _ = figure.text(0.5, 0.5, "step 3")
        >>> [text.words for text in drawn_texts(figure)]
        ['step 3']
    """
    recorder = _Recorder(figure)
    figure.draw(recorder)
    unique = {(text.words, *text.corners.ravel()): text for text in recorder.texts}
    return list(unique.values())


def overlaps(texts: list[DrawnText]) -> list[tuple[str, str]]:
    """Return the words of each two texts that overlap.

    Example:
        >>> figure = Figure()
        >>> _ = [figure.text(x, 0.5, f"text {x}") for x in (0.1, 0.11, 0.8)]
        >>> overlaps(drawn_texts(figure))
        [('text 0.1', 'text 0.11')]
    """
    return [
        (first.words, second.words)
        for first, second in combinations(texts, 2)
        if _overlap(first.corners, second.corners)
    ]


def cut_off(texts: list[DrawnText], left: float, right: float) -> list[str]:
    """Return the words of the texts that leave a figure between two edges, in inches.

    Example:
        >>> figure = Figure(figsize=(2, 1))
        >>> _ = figure.text(0.9, 0.5, "too long")
        >>> cut_off(drawn_texts(figure), 0, 2)
        ['too long']
    """
    return [
        text.words
        for text in texts
        if text.corners[:, 0].min() < left - TOLERANCE
        or text.corners[:, 0].max() > right + TOLERANCE
    ]


def _overlap(first: np.ndarray, second: np.ndarray) -> bool:
    """Return whether two rotated boxes overlap by more than the tolerance in every direction."""
    for corners in (first, second):
        for side in (corners[1] - corners[0], corners[3] - corners[0]):
            direction = side / max(float(np.hypot(*side)), 1e-9)
            left, right = first @ direction, second @ direction
            if min(left.max(), right.max()) - max(left.min(), right.min()) <= TOLERANCE:
                return False
    return True
