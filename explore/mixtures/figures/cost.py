"""The picture of a benchmark: seconds against the number of components, with the power that fits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray

from explore.mixtures.figures.density import colour
from explore.plotting.picture import Picture
from explore.plotting.style import GRID_GREY, MARKERS

if TYPE_CHECKING:
    import pandas


def costs(sizes: list[int], seconds: dict[str, list[float]]) -> xarray.Dataset:
    """What ``Costs`` shows: seconds ``[k]`` of each method at each of ``sizes [k]``."""
    data = {"seconds": (("method", "components"), np.array(list(seconds.values())))}
    return xarray.Dataset(
        data, {"method": ("method", np.array(list(seconds), object)), "components": sizes}
    )


def exponent(sizes: np.ndarray, seconds: np.ndarray) -> float:
    """The power of the size that seconds grow with, fitted to their logarithms over the larger half of the sizes."""
    half = len(sizes) // 2
    return float(np.polyfit(np.log(sizes[half:]), np.log(seconds[half:]), 1)[0])


class Costs(Picture):
    """Seconds against components on logarithmic axes."""

    size = (7.2, 4.4)
    title = "What a reduction costs"

    def build(self, data: xarray.Dataset) -> None:
        """One line a method; nothing moves."""
        axes = self.figure.add_axes((0.11, 0.13, 0.86, 0.78))
        axes.set(
            xscale="log", yscale="log", xlabel="components before the reduction", ylabel="seconds"
        )
        axes.set_title("Reduction to 20 components in two dimensions")
        sizes = data["components"].values
        for side, (name, seconds) in enumerate(
            zip(data["method"].values, data["seconds"].values, strict=True)
        ):
            label = f"{name}: grows with N^{exponent(sizes, seconds):.1f}"
            axes.plot(
                sizes,
                seconds,
                color=colour(side),
                marker=MARKERS[("blue", "vermilion", "green")[side]],
                label=label,
            )
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axes.minorticks_off()
        axes.yaxis.set_major_formatter("{x:g}")
        axes.grid(color=GRID_GREY, lw=0.6)
        axes.legend(loc="upper left")

    def show(self, data: xarray.Dataset) -> None:
        """Nothing moves."""

    def describe(self, data: xarray.Dataset) -> str:
        """The fitted powers."""
        sizes = data["components"].values
        told = [
            f"{name} {seconds[-1]:.2g} s at {sizes[-1]:,}, growing with N^{exponent(sizes, seconds):.1f}"
            for name, seconds in zip(data["method"].values, data["seconds"].values, strict=True)
        ]
        return f"Seconds of a reduction to 20 components in two dimensions: {'; '.join(told)}."

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        """All seconds."""
        import pandas

        columns = {
            str(name): seconds
            for name, seconds in zip(data["method"].values, data["seconds"].values, strict=True)
        }
        return pandas.DataFrame({"components": data["components"].values, **columns})
