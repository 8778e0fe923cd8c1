"""The picture of one step of EDF: image, map, multiplier, and the step with and without it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray

from explore.plotting.frame import add_bare_axes, add_caption, add_heading
from explore.plotting.picture import Picture
from explore.plotting.style import SEQUENTIAL

if TYPE_CHECKING:
    import pandas

PANELS = {
    "image": "synthetic image",
    "map": "its map M",
    "multiplier": "multiplier: M + β inside the area",
    "without": "next step without enhancement",
    "with": "next step with enhancement",
    "difference": "what enhancement adds",
}
LARGEST_MULTIPLIER = 3.0
"""Upper end of the colour scale of multipliers, for β up to 2."""


def step_ratio(data: xarray.Dataset) -> float:
    """Return how much longer the step of the image is with enhancement than without."""
    length = float(np.linalg.norm(data["without"].values))
    return float(np.linalg.norm(data["with"].values)) / length if length else 1.0


class EnhancedStep(Picture):
    """Image, map and multiplier above; the next step without and with enhancement below."""

    size = (9.0, 6.0)
    title = "One step with discriminative area enhancement"

    def build(self, data: xarray.Dataset) -> None:
        """Create two rows of panels."""
        kinds: dict[str, dict[str, Any]] = {
            "image": {"cmap": "gray", "vmin": 0, "vmax": 255},
            "map": {"cmap": SEQUENTIAL, "vmin": 0, "vmax": 1},
            "multiplier": {"cmap": SEQUENTIAL, "vmin": 0, "vmax": LARGEST_MULTIPLIER},
        }
        step: dict[str, Any] = {"cmap": "RdBu_r", "vmin": -1, "vmax": 1}
        self._heading = add_heading(self, 0.965)
        self._panels: dict[str, Any] = {}
        for position, (name, title) in enumerate(PANELS.items()):
            row, column = divmod(position, 3)
            box = (0.03 + 0.325 * column, 0.52 - 0.435 * row, 0.29, 0.37)
            axes = add_bare_axes(self, box, title)
            self.panel(name, axes)
            artist = axes.imshow(data[name].values, **kinds.get(name, step))
            self._panels[name] = self.moving(artist)
        self._caption = add_caption(self, 0.03, 0.035)

    def show(self, data: xarray.Dataset) -> None:
        """Show the panels of the current state."""
        for name, artist in self._panels.items():
            artist.set_data(data[name].values)
        self._heading.set_text(
            f"{data.attrs['label']} of {data.attrs['data']}, step {int(data['now'])}, "
            f"β = {data.attrs['beta']:g}"
        )
        self._caption.set_text(
            f"{self._share(data):.0%} of the pixels are inside the area (level: "
            f"{data.attrs['threshold']}); the step is {step_ratio(data):.2f} times as long. Red "
            "becomes brighter, blue darker."
        )

    def _share(self, data: xarray.Dataset) -> float:
        """Return the share of pixels whose multiplier is not 1."""
        return float((data["multiplier"].values != 1).mean())

    def describe(self, data: xarray.Dataset) -> str:
        """Return class, β, the area and the length of the step."""
        values = data["multiplier"].values
        return (
            f"Class {data.attrs['label']} of {data.attrs['data']} at step {int(data['now'])}. With "
            f"β = {data.attrs['beta']:g} and the level {data.attrs['threshold']}, "
            f"{self._share(data):.0%} of the pixels are inside the area; their gradient is "
            f"multiplied by up to {values.max():.2f}, and the step of the image is "
            f"{step_ratio(data):.2f} times as long as without enhancement."
        )

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        """Return map, multiplier and both steps of each pixel."""
        import pandas

        names = {
            "map": "map M",
            "multiplier": "multiplier",
            "without": "next step without enhancement",
            "with": "next step with enhancement",
        }
        rows, columns = np.indices(data["map"].shape)
        table = {"row": rows.ravel(), "column": columns.ravel()}
        values = {text: data[name].values.ravel().round(5) for name, text in names.items()}
        return pandas.DataFrame({**table, **values})
