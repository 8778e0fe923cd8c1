"""Paint the layout of synthetic scenes as pixels.

Pixel values come from + − × / √, min, max and floor alone, which all processors round in the same
way. Functions such as exp and sin may differ in the last bit, so only the layout uses them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explore.data.datasets._scene_layout import Floats, SceneLayout

VISIBLE_SHARE = 0.5
"""An object of which less would be visible is left out of the picture and of the labels."""
CHUNK_PIXELS = 2**16
"""Pixels that are painted together: one plane of them fits into the cache of a processor."""
# Signed distances to shapes inscribed in the unit circle, negative inside; v points down.
SHAPE_DISTANCES: tuple[Callable[[Floats, Floats], Any], ...] = (
    lambda u, v: np.sqrt(u * u + v * v) - 1,
    lambda u, v: np.maximum(abs(u), abs(v)) - 0.70711,
    lambda u, v: abs(np.sqrt(u * u + v * v) - 0.76) - 0.24,
    lambda u, v: np.maximum(np.minimum(abs(u), abs(v)) - 0.3, np.maximum(abs(u), abs(v)) - 0.954),
    lambda u, v: np.maximum(v, abs(u) * 0.86603 - v * 0.5) - 0.5,
)


def paint(
    layout: SceneLayout, size: int, noise: np.random.Generator
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return uint8 images ``[N, 3, H, W]`` with the labelled and the visible objects.

    The mask of the labelled object is ``[N, H, W]``; visible objects are bool ``[N, J]``.
    """
    count, chunk = len(layout.classes), max(1, CHUNK_PIXELS // size**2)
    images = np.empty((count, 3, size, size), np.uint8)
    masks = np.empty((count, size, size), np.bool_)
    is_visible = layout.is_requested.copy()
    grid = ((np.arange(size) + 0.5) / size).astype(np.float32)
    for rows in (slice(start, start + chunk) for start in range(0, count, chunk)):
        part = SceneLayout._make(values[rows] for values in layout)
        canvas = np.zeros_like(images[rows], np.float32)
        # The scene is painted from front to back; ``uncovered`` is the share that nothing covers
        # yet.
        uncovered = np.ones_like(canvas[:, 0])
        for j in range(part.classes.shape[1]):
            coverage, shade = object_coverage(part, j, grid)
            visible = coverage * uncovered
            is_visible[rows, j] &= visible.sum((1, 2)) >= VISIBLE_SHARE * coverage.sum((1, 2))
            visible *= is_visible[rows, j, None, None]
            if j == 0:
                masks[rows] = visible >= 0.5
            _add(canvas, uncovered, visible, part.colour[:, j], shade)
        for j in range(part.clutter_geometry.shape[1]):
            opacity = _clutter_opacity(part.clutter_geometry[:, j], grid, is_stroke=j % 2 == 1)
            _add(canvas, uncovered, uncovered * opacity, part.clutter_colour[:, j])
        _add(canvas, uncovered, uncovered * grid[:, None], part.background[:, 0])
        _add(canvas, uncovered, uncovered.copy(), part.background[:, 1])
        canvas += 0.08 * noise.random(canvas.shape, np.float32) - 0.04
        images[rows] = np.clip(canvas * 255 + 0.5, 0, 255)
    return images, masks, is_visible


def object_coverage(layout: SceneLayout, j: int, grid: Floats) -> tuple[Floats, Floats]:
    """Return the share of each pixel that object ``j`` covers, and the shade of its stripes, both
    ``[n, H, W]``."""
    geometry, contrast = layout.geometry[:, j], layout.stripe_contrast[:, j]
    u, v = _rotate(grid, geometry[:, :2], geometry[:, 2:4] / geometry[:, 4:5])
    radius, cos, sin, phase = geometry[:, 4:, None, None].swapaxes(0, 1)
    pixels, distance, shade = radius * len(grid), np.empty_like(u), np.zeros_like(u)
    for label, shape_distance in enumerate(SHAPE_DISTANCES):
        rows = layout.classes[:, j] == label
        distance[rows] = shape_distance(u[rows], v[rows])
    striped = contrast > 0
    period = np.maximum(0.7 * pixels, 3)  # Narrower stripes would not be visible.
    wave = (u * cos + v * sin)[striped] * (pixels / period)[striped] + phase[striped]
    shade[striped] = contrast[striped, None, None] * np.clip(
        (4 * abs(wave - np.floor(wave) - 0.5) - 1) * period[striped] / 2, -1, 1
    )
    return np.clip(0.5 - distance * pixels, 0, 1), shade


def _add(
    canvas: Floats, uncovered: Floats, visible: Floats, colour: Floats, shade: Floats | float = 0.0
) -> None:
    """Add a layer in place, and subtract it from what is uncovered."""
    for channel in range(3):
        canvas[:, channel] += visible * (colour[:, channel, None, None] + shade)
    uncovered -= visible


def _clutter_opacity(geometry: Floats, grid: Floats, is_stroke: bool) -> Floats:
    """Return the opacity ``[n, H, W]`` of a thin bent stroke with faint ends, or of a blob without
    an edge."""
    length, width, bend, opacity = geometry[:, 4:, None, None].swapaxes(0, 1)
    u, v = _rotate(grid, geometry[:, :2], geometry[:, 2:4])
    along = np.maximum(1 - (u / length) ** 2, 0)
    if not is_stroke:
        return opacity * np.maximum(along - (v / width) ** 2, 0) ** 2
    distance = abs(v - bend * length * along) - np.maximum(width, 0.6 / len(grid))
    return opacity * np.clip(0.5 - distance * len(grid), 0, 1) * np.minimum(along * 3, 1)


def _rotate(grid: Floats, centre: Floats, axis: Floats) -> tuple[Floats, Floats]:
    """Return the coordinates of all pixels, ``[n, H, W]`` each, along ``axis`` ``[n, 2]`` and
    across it."""
    x = grid[None, None, :] - centre[:, 0, None, None]
    y = grid[None, :, None] - centre[:, 1, None, None]
    cos, sin = axis[:, 0, None, None], axis[:, 1, None, None]
    return x * cos + y * sin, y * cos - x * sin
