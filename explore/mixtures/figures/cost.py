"""The picture of a benchmark: seconds against the number of components, with the fitted power."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np
import xarray

from explore.mixtures.figures.density import side_style
from explore.plotting.picture import Picture
from explore.plotting.style import GRID_GREY

if TYPE_CHECKING:
    import pandas

LEGEND_CHARACTERS = 32
"""In a line of the legend."""


def costs(sizes: list[int], seconds: dict[str, list[float]]) -> xarray.Dataset:
    """Return the data of ``Costs``: seconds ``[k]`` of each method at each of ``sizes [k]``."""
    data = {"seconds": (("method", "components"), np.array(list(seconds.values())))}
    methods = ("method", np.array(list(seconds), object))
    return xarray.Dataset(data, {"method": methods, "components": sizes})


def exponent(sizes: np.ndarray, seconds: np.ndarray) -> float:
    """Fit the power of the size that the seconds grow with, over the larger half of the sizes."""
    middle = len(sizes) // 2
    return float(np.polyfit(np.log(sizes[middle:]), np.log(seconds[middle:]), 1)[0])


class Costs(Picture):
    """Seconds against components on logarithmic axes."""

    size = (7.2, 4.4)
    title = "What a reduction costs"

    def build(self, data: xarray.Dataset) -> None:
        """Draw one line for each method; nothing changes afterwards."""
        axes = self.figure.add_axes((0.11, 0.13, 0.86, 0.78))
        self.panel("seconds", axes)
        axes.set(
            xscale="log", yscale="log", xlabel="components before the reduction", ylabel="seconds"
        )
        axes.set_title("Reduction to 20 components in two dimensions")
        sizes = data["components"].values
        for side, (name, seconds) in enumerate(_seconds_by_method(data).items()):
            label = f"{name}: grows with N^{exponent(sizes, seconds):.1f}"
            label = textwrap.fill(label, LEGEND_CHARACTERS)
            axes.plot(sizes, seconds, label=label, **{**side_style(side), "ls": "-"})
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axes.minorticks_off()
        axes.yaxis.set_major_formatter("{x:g}")
        axes.grid(color=GRID_GREY, lw=0.6)
        axes.legend(loc="upper left")

    def show(self, data: xarray.Dataset) -> None:
        """Do nothing: the picture does not change."""

    def describe(self, data: xarray.Dataset) -> str:
        """Return the fitted powers in words."""
        sizes = data["components"].values
        texts = [
            f"{name} {seconds[-1]:.2g} s at {sizes[-1]:,}, "
            f"growing with N^{exponent(sizes, seconds):.1f}"
            for name, seconds in _seconds_by_method(data).items()
        ]
        return f"Seconds of a reduction to 20 components in two dimensions: {'; '.join(texts)}."

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        """Return all seconds."""
        import pandas

        columns = {f"{name}, s": seconds for name, seconds in _seconds_by_method(data).items()}
        return pandas.DataFrame(
            {"components before the reduction": data["components"].values, **columns}
        )


def _seconds_by_method(data: xarray.Dataset) -> dict[str, np.ndarray]:
    return dict(zip(map(str, data["method"].values), data["seconds"].values, strict=True))
