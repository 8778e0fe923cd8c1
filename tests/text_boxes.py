"""Texts of a picture that overlap one another, or that are cut off."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.transforms import Bbox

from explore.plotting.picture import Picture

TOLERANCE = 1.0
"""Pixels by which two texts may overlap, or a text may leave the picture."""


@dataclass(frozen=True)
class DrawnText:
    """A line of text that was drawn, with the corners of its ink and its clip box, in pixels."""

    words: str
    corners: np.ndarray
    clip: Bbox | None


def problems(picture: Picture) -> list[str]:
    """Return what is wrong with the texts of a picture in its present state, one line each.

    Two texts overlap by more than one pixel each way, or a text leaves the figure or the box that
    it is clipped to by more than one pixel. Only what is drawn counts.
    """
    texts = drawn_texts(picture)
    edge = Bbox.from_bounds(0, 0, *picture.figure.bbox.size)
    wrong = [f"{text.words!r} is cut off at the edge" for text in texts if _is_cut(text, edge)]
    wrong += [
        f"{first.words!r} overlaps {second.words!r}"
        for first, second in combinations(texts, 2)
        if _overlap(first.corners, second.corners)
    ]
    return wrong


def drawn_texts(picture: Picture) -> list[DrawnText]:
    """Return every line of text that is drawn in the present state, once for each place."""
    with _recorded_texts() as texts:
        picture._backgrounds.clear()
        picture.png()
    return list({(text.words, *text.corners.ravel()): text for text in texts}.values())


@contextmanager
def _recorded_texts() -> Iterator[list[DrawnText]]:
    """Record the lines of text that Matplotlib draws in this context."""
    texts: list[DrawnText] = []
    originals = {kind: kind.draw_text for kind in (RendererAgg, RendererBase)}

    def recorder(original: Any) -> Any:
        def draw_text(
            self: Any,
            gc: Any,
            x: float,
            y: float,
            s: str,
            prop: Any,
            angle: float,
            *more: Any,
            **k: Any,
        ) -> None:
            original(self, gc, x, y, s, prop, angle, *more, **k)
            if s.strip() and gc.get_alpha() != 0:
                texts.append(_measure(self, gc, x, y, s, prop, angle, *more, **k))

        return draw_text

    try:
        for kind, original in originals.items():
            kind.draw_text = recorder(original)  # type: ignore[method-assign]
        yield texts
    finally:
        for kind, original in originals.items():
            kind.draw_text = original  # type: ignore[method-assign]


def _measure(
    renderer: Any,
    gc: Any,
    x: float,
    y: float,
    s: str,
    prop: Any,
    angle: float,
    ismath: Any = False,
    mtext: Any = None,
) -> DrawnText:
    """Return a line of text with the corners of its box, which may be rotated."""
    width, height, descent = renderer.get_text_width_height_descent(s, prop, ismath)
    turn = np.deg2rad(angle)
    right, up = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    base = np.array([x, renderer.get_canvas_width_height()[1] - y])
    box = [(0, -descent), (width, -descent), (width, height - descent), (0, height - descent)]
    corners = np.array([base + right * along + up * above for along, above in box])
    return DrawnText(s, corners, gc.get_clip_rectangle())


def _is_cut(text: DrawnText, edge: Bbox) -> bool:
    """Return whether a text leaves the figure or its clip box; one wholly outside is not drawn."""
    low, high = text.corners.min(axis=0), text.corners.max(axis=0)
    if text.clip is not None:
        left, bottom, right, top = text.clip.extents
        if (high <= (left, bottom)).any() or (low >= (right, top)).any():
            return False
        if _leaves(low, high, text.clip):
            return True
    return _leaves(low, high, edge)


def _leaves(low: np.ndarray, high: np.ndarray, box: Bbox) -> bool:
    left, bottom, right, top = box.extents
    corner, other = np.array([left, bottom]), np.array([right, top])
    return bool((low < corner - TOLERANCE).any() or (high > other + TOLERANCE).any())


def _overlap(first: np.ndarray, second: np.ndarray) -> bool:
    """Return whether two rotated boxes overlap by more than the tolerance in every direction."""
    for corners in (first, second):
        for side in (corners[1] - corners[0], corners[3] - corners[0]):
            direction = side / max(float(np.hypot(*side)), 1e-9)
            one, other = first @ direction, second @ direction
            if min(one.max(), other.max()) - max(one.min(), other.min()) <= TOLERANCE:
                return False
    return True
