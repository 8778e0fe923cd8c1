"""Helpers for tests of the pictures: small random maps, shipped surveys, and the texts of a picture."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np


def small_map(seed: int) -> tuple[np.ndarray, tuple[int, int], tuple[int, int]]:
    random = np.random.default_rng(seed)
    kernel, stride = (tuple(int(n) for n in random.integers(1, most, 2)) for most in (4, 4))
    size = [int(random.integers(k, k + 4)) for k in kernel]
    x = np.where(random.random(size) < 0.4, random.integers(1, 10, size), 0).astype(np.float32)
    x[tuple(random.integers(size))] = 7
    return x, kernel, stride  # type: ignore[return-value]


def texts(picture: Any) -> list[tuple[str, Any]]:
    """Return every text that is drawn, with its box in pixels."""
    from matplotlib.text import Text

    picture.png()
    axes = [axis for axes in picture.figure.axes for axis in (axes.xaxis, axes.yaxis)]
    ticks = [tick for axis in axes for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks())]
    labels = {id(label) for tick in ticks for label in (tick.label1, tick.label2)}
    labels -= {
        id(tick.label1) for axis in axes if axis.axes.axison for tick in axis._update_ticks()
    }  # those that are drawn
    artists = [
        t
        for t in picture.figure.findobj(Text)
        if t.get_visible() and t.get_text().strip() and id(t) not in labels
    ]
    renderer = picture._canvas.get_renderer()
    return [(t.get_text(), t.get_window_extent(renderer)) for t in artists]


def check_texts(picture: Any) -> None:
    width, height = picture.figure.bbox.width, picture.figure.bbox.height
    boxes = texts(picture)
    for words, box in boxes:
        inside = min(box.x0, box.y0) >= -1 and box.x1 <= width + 1 and box.y1 <= height + 1
        assert inside, f"{words!r} runs out of the picture"
    for (first, a), (second, b) in itertools.combinations(boxes, 2):
        disjoint = a.x1 - 2 <= b.x0 or b.x1 - 2 <= a.x0 or a.y1 - 2 <= b.y0 or b.y1 - 2 <= a.y0
        assert disjoint, f"{first!r} lies on {second!r}"
