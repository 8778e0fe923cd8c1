"""FigureView: a picture in the browser with alternative text, parts to choose by pointer or keyboard, and pointer events."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from explore.plotting.picture import Target


class FigureView(anywidget.AnyWidget):
    """Shows PNG bytes. Needs no build, no extension and nothing from the network.

    Traits:
        png, alt: the picture and its alternative text; set ``alt`` first, the front end redraws on ``png``.
        targets: boxes that can be chosen (see ``plotting.Target``), as dicts.
        chosen: ``{"index": i, "count": n}`` after target ``i`` was clicked, or chosen by keyboard.
        tracks: whether pointer events are reported.
        pointer: ``{"kind": "down" | "move" | "up", "x": ..., "y": ...}``, fractions from the upper left corner.

    Example:
        >>> view = FigureView()
        >>> view.show(b"png", "a red square", [])
        >>> view.alt
        'a red square'
    """

    _esm = Path(__file__).parent / "figure_view.js"
    png = traitlets.Bytes(b"").tag(sync=True)
    alt = traitlets.Unicode("").tag(sync=True)
    targets: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)
    chosen = traitlets.Dict().tag(sync=True)
    tracks = traitlets.Bool(False).tag(sync=True)
    pointer = traitlets.Dict().tag(sync=True)

    def show(self, png: bytes, alt: str, targets: Sequence[Target]) -> None:
        """Show a picture with its text and targets."""
        boxes = [
            {
                "left": round(t.left, 4),
                "top": round(t.top, 4),
                "right": round(t.right, 4),
                "bottom": round(t.bottom, 4),
                "label": t.label,
            }
            for t in targets
        ]
        self.alt = alt
        if boxes != self.targets:
            self.targets = boxes
        self.png = png


def still(png: bytes, alt: str) -> dict[str, Any]:
    """What stays of a picture in a saved notebook: HTML with alternative text, PNG and text."""
    data = base64.b64encode(png).decode()
    return {
        "text/html": f'<img alt="{html.escape(alt, quote=True)}" src="data:image/png;base64,{data}" style="max-width:100%">',
        "image/png": data,
        "text/plain": alt,
    }
