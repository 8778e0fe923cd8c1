"""Dark pictures: the same drawing in light lines on a dark ground, for pages with a dark theme.

Colours are changed where they are drawn, so that no picture needs a second set of them: the
lightness is turned round, and the hue stays. Photographs, maps and other images with many colours
are data, and stay as they are.
"""

from __future__ import annotations

import colorsys
from functools import lru_cache, partial
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.colors import to_rgba

DARKEST, LIGHTEST = 0.09, 0.93
"""The lightness of what is white and of what is black in the light picture."""

BEND = 1.2
"""Colours of medium lightness become lighter than halfway, as text needs a contrast of 4.5:1."""

FEW_COLOURS = 32
"""An image with no more colours is a diagram, whose colours change too."""

PIXELS_LOOKED_AT = 20_000
"""Of an image, to count its colours."""


LINE_METHODS: dict[str, int | None] = {"draw_path": 2, "draw_markers": 4, "draw_text": None}
"""Methods of a renderer, and the position of the filling among their arguments after the first."""


class Canvas(FigureCanvasAgg):
    """A canvas with two renderers, for light and for dark pictures; ``dark`` selects one."""

    dark = False

    def __init__(self, figure: Any = None) -> None:
        super().__init__(figure)
        self._renderers: dict[tuple[Any, ...], RendererAgg] = {}

    def get_renderer(self) -> RendererAgg:
        """Return the renderer of the present tone, size and resolution."""
        width, height = self.figure.bbox.size
        key = (self.dark, width, height, self.figure.dpi)
        if key not in self._renderers:
            tone: Any = DarkRenderer if self.dark else RendererAgg
            self._renderers = {k: r for k, r in self._renderers.items() if k[1:] == key[1:]}
            self._renderers[key] = tone(width, height, self.figure.dpi)
        renderer = self.renderer = self._renderers[key]
        return renderer


class DarkRenderer(RendererAgg):
    """A renderer that turns the lightness of all colours round."""

    def __init__(self, width: float, height: float, dpi: float) -> None:
        super().__init__(width, height, dpi)  # type: ignore[no-untyped-call]
        # Some of these are methods of the class, and others are bound to an object in C++.
        for name in (*LINE_METHODS, "draw_path_collection", "draw_quad_mesh", "draw_image"):
            change = getattr(self, f"_{name}", self._draw_lines)
            setattr(self, name, partial(change, getattr(self, name)))

    def _draw_lines(self, draw: Any, gc: Any, *arguments: Any, **options: Any) -> None:
        """Draw a path, markers or a text; the last argument of the first two is the filling."""
        filled = LINE_METHODS.get(draw.__name__)
        if filled is not None and len(arguments) > filled:
            face = arguments[filled]
            dark = None if face is None else dark_colour(tuple(face))
            arguments = (*arguments[:filled], dark, *arguments[filled + 1 :])
        draw(self._dark(gc), *arguments, **options)

    def _draw_path_collection(self, draw: Any, gc: Any, *arguments: Any, **options: Any) -> None:
        *places, faces, edges = arguments[:7]
        dark = (dark_array(faces), dark_array(edges))
        draw(self._dark(gc), *places, *dark, *arguments[7:], **options)

    def _draw_quad_mesh(self, draw: Any, gc: Any, *arguments: Any) -> None:
        *places, antialiased, edges = arguments
        draw(self._dark(gc), *places, antialiased, dark_array(edges))

    def _draw_image(self, draw: Any, gc: Any, x: float, y: float, image: Any, *more: Any) -> None:
        draw(gc, x, y, dark_diagram(image), *more)

    def _dark(self, gc: Any) -> Any:
        """Return a copy of a graphics context in dark colours; the original is used again."""
        copy: Any = self.new_gc()
        copy.copy_properties(gc)
        copy._rgb = dark_colour(tuple(gc._rgb))
        if gc._hatch_color is not None:
            copy._hatch_color = dark_colour(tuple(to_rgba(gc._hatch_color)))
        return copy


@lru_cache(4096)
def dark_colour(colour: tuple[float, ...]) -> tuple[float, ...]:
    """Return a colour (three or four numbers from 0 to 1) with its lightness turned round.

    Example:
        >>> [round(part, 2) for part in dark_colour((1.0, 1.0, 1.0, 0.5))]
        [0.09, 0.09, 0.09, 0.5]
    """
    hue, lightness, saturation = colorsys.rgb_to_hls(*map(float, colour[:3]))
    turned = LIGHTEST - (LIGHTEST - DARKEST) * lightness**BEND
    return (*colorsys.hls_to_rgb(hue, turned, saturation), *map(float, colour[3:]))


def dark_array(colours: Any) -> Any:
    """Return colours ``[N, 3 or 4]`` of a collection."""
    if len(colours) == 0:
        return colours
    return np.array([dark_colour(tuple(map(float, colour))) for colour in np.asarray(colours)])


def dark_diagram(image: np.ndarray) -> np.ndarray:
    """Return an image ``[H, W, 4]`` of few colours in dark colours, and any other as it is."""
    pixels = np.ascontiguousarray(image).view(np.uint32).ravel()
    step = max(1, len(pixels) // PIXELS_LOOKED_AT)
    if len(np.unique(pixels[::step])) > FEW_COLOURS:
        return image
    colours, index = np.unique(pixels, return_inverse=True)
    rgba = colours.view(np.uint8).reshape(-1, 4)
    dark = np.array([dark_colour(tuple(colour / 255)) for colour in rgba])
    return np.round(dark * 255).astype(np.uint8)[index].reshape(image.shape)
