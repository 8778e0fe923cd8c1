"""The picture of one photograph, its class activation map, and the map on top of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import xarray

from explore.plotting.frame import add_bare_axes, add_caption, add_heading
from explore.plotting.mosaic import where
from explore.plotting.picture import Picture
from explore.plotting.style import SEQUENTIAL

if TYPE_CHECKING:
    import pandas

OPACITY = 0.55


class PhotographMaps(Picture):
    """A photograph, its map, and both.

    The Dataset holds ``picture [y, x, rgb]``, ``map [y, x]`` in [0, 1], the scalars ``area`` and
    ``probability``, and the attributes ``label``, ``predicted``, ``kind`` and ``layer``.
    """

    size = (9.6, 3.9)
    title = "Where a network looks in a photograph"

    def build(self, data: xarray.Dataset) -> None:
        """Create the three images."""
        self._heading = add_heading(self, 0.94)
        self._pictures, self._maps = [], []
        for index in range(3):
            axes = add_bare_axes(self, (0.02 + 0.325 * index, 0.11, 0.31, 0.75))
            self.panel(("photograph", "map", "overlay")[index], axes)
            if index != 1:
                self._pictures.append(self.moving(axes.imshow(data["picture"].values)))
            if index != 0:
                style: dict[str, Any] = {"cmap": SEQUENTIAL, "vmin": 0, "vmax": 1}
                style["alpha"] = OPACITY if index == 2 else 1
                self._maps.append(self.moving(axes.imshow(data["map"].values, **style)))
        self._caption = add_caption(self, 0.02, 0.05)

    def show(self, data: xarray.Dataset) -> None:
        """Show another photograph or map."""
        for picture in self._pictures:
            picture.set_data(data["picture"].values)
        for artist in self._maps:
            artist.set_data(data["map"].values)
        self._heading.set_text(
            f"{data.attrs['label']}: SqueezeNet says {data.attrs['predicted']} "
            f"({float(data['probability']):.0%}); area {float(data['area']):.0%}"
        )
        self._caption.set_text(
            f"{data.attrs['kind']} of the predicted class, layer {data.attrs['layer']}; "
            "area: share of the map above 0.5"
        )

    def describe(self, data: xarray.Dataset) -> str:
        """Return classes, area and where the map is."""
        quarter, weight = where(data["map"].values)
        return (
            f"Photograph of the class {data.attrs['label']}, predicted {data.attrs['predicted']} "
            f"with {float(data['probability']):.0%}. {data.attrs['kind']}, layer "
            f"{data.attrs['layer']}: "
            f"area {float(data['area']):.0%}; {weight:.0%} of the map lies in the {quarter} "
            "quarter."
        )

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        """Return the numbers of this photograph."""
        import pandas

        row: dict[str, Any] = {
            "class": data.attrs["label"],
            "predicted class": data.attrs["predicted"],
            "map": data.attrs["kind"],
            "layer": data.attrs["layer"],
            "probability of the predicted class, %": round(100 * float(data["probability"]), 3),
            "area of the map, %": round(100 * float(data["area"]), 3),
        }
        return pandas.DataFrame([row])
