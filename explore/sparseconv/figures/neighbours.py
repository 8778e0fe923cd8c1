"""The picture of what neighbours are worth: real maps beside the same values shuffled, and what each value costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray
from matplotlib.colors import ListedColormap

from explore.plotting.picture import Picture
from explore.plotting.style import EDGE_GREY, FRAME_GREY, LIGHT_GRID_GREY, set_title
from explore.sparseconv.figures.density import LOOKS
from explore.sparseconv.figures.formats import NAMES
from explore.sparseconv.figures.patterns import scaled
from explore.sparseconv.formats.geometry import Geometry
from explore.sparseconv.formats.recorded_maps import count_set_values, set_sizes

if TYPE_CHECKING:
    import pandas

SPARSE = ("cpo", "cps")
SIDES = ("as they are", "shuffled")
SETS = ("#ffffff", "#fdc38d", "#f1703f", "#b4162b", "#4b0417")
"""No value, and 1 to 4 values in a set: rises evenly in darkness."""


def neighbours(
    sides: Mapping[str, np.ndarray],
    geometry: Geometry,
    channel: int,
    sizes: xarray.DataArray,
    kept: float,
    title: str,
) -> xarray.Dataset:
    """What ``Neighbours`` shows.

    Args:
        sides: the maps as they are and shuffled, ``[C, H, W]`` each, keyed by ``SIDES``.
        geometry: of the convolution.
        channel: which is drawn, from 0 on.
        sizes: bytes ``[share, side, format]`` of all maps; coordinate ``density [share]``.
        kept: the share at which ``sides`` are.
        title: of the network and layer.
    """
    data: dict[str, Any] = {
        "sets": (
            ("side", "y", "x"),
            np.stack([scaled(set_sizes(sides[s][channel, None], geometry)[0]) for s in SIDES]),
        ),
        "size": (("side", "format"), sizes.sel(share=kept).values),
        "count": ((), int(np.count_nonzero(sides[SIDES[0]]))),
        "channel": ((), channel),
        "at": ((), int(np.flatnonzero(sizes["share"].values == kept)[0])),
        "title": ((), np.array(title, object)),
        "per_value": (
            ("share", "side", "format"),
            sizes.values / sizes["count"].values[:, None, None],
        ),
        "density": ("share", sizes["density"].values),
    }
    held = [
        np.bincount(count_set_values(sides[s], geometry).ravel(), minlength=5)[1:] for s in SIDES
    ]
    data["held"] = (("side", "values"), np.stack(held))
    known = {
        "side": ("side", np.array(SIDES, object)),
        "format": ("format", np.array(SPARSE, object)),
    }
    return xarray.Dataset(data, known)


class Neighbours(Picture):
    """Two maps coloured by how full their sets are, sets of each kind, and bytes a value over density."""

    size = (9.6, 5.4)
    title = "What neighbours are worth"

    def build(self, data: xarray.Dataset) -> None:
        """Maps above, charts right."""
        self._head = self.moving(
            self.figure.text(0.02, 0.96, "", fontsize=12, fontweight="bold", va="center")
        )
        self._maps = []
        for k, side in enumerate(SIDES):
            axes = self.figure.add_axes((0.02 + 0.285 * k, 0.415, 0.265, 0.47))
            axes.set(xticks=[], yticks=[])
            for edge in axes.spines.values():
                edge.set(visible=True, color=EDGE_GREY)
            set_title(axes, side).set_fontweight("bold")
            self._maps.append(
                self.moving(
                    axes.imshow(data["sets"].values[k], cmap=ListedColormap(SETS), vmin=0, vmax=4)
                )
            )
        self._build_sets()
        self._build_curves(data)

    def _build_sets(self) -> None:
        axes = self.figure.add_axes((0.085, 0.105, 0.47, 0.21))
        set_title(axes, "sets of four rows that hold a value, by how many they hold")
        axes.set(xlim=(0.4, 4.6), ylim=(0, 1.12))
        axes.set_xticks(range(1, 5), [f"{k} value{'s' * (k > 1)}" for k in range(1, 5)])
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.grid(axis="y", color=LIGHT_GRID_GREY, lw=0.6)
        self._bars = []
        for j, side in enumerate(SIDES):
            bars = axes.bar(
                np.arange(1, 5) + (j - 0.5) * 0.38,
                np.ones(4),
                0.36,
                color=SETS[1:] if j == 0 else "white",
                label=side,
            )
            for k, bar in enumerate(bars):
                bar.set(
                    edgecolor=FRAME_GREY if j == 0 else SETS[k + 1],
                    hatch="" if j == 0 else "////",
                    linewidth=0.8,
                )
                self.moving(bar)
            self._bars.append(list(bars))
        self.figure.text(
            0.555, 0.275, "plain: as they are, hatched: shuffled", fontsize=9, ha="right"
        )

    def _build_curves(self, data: xarray.Dataset) -> None:
        axes = self.figure.add_axes((0.655, 0.105, 0.33, 0.65))
        axes.set_xscale("log")
        axes.set(xlim=(0.004, 1.1), ylim=(3.9, 8.1), xlabel="density of the layer (logarithmic)")
        axes.set_xticks([0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1])
        axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:g}%")
        axes.xaxis.set_minor_formatter("")
        axes.grid(color=LIGHT_GRID_GREY, lw=0.6)
        set_title(axes, "bytes that each format needs for one value")
        self._curves = []
        for j in range(len(SIDES)):
            for name in SPARSE:
                look = {
                    **LOOKS[name],
                    "ls": "-" if j == 0 else (0, (3, 2)),
                    "mfc": None if j == 0 else "white",
                    "ms": 5,
                    "lw": 1.2,
                }
                self._curves.append((j, name, self.moving(axes.plot([], [], **look)[0])))
        self._rule = self.moving(axes.axvline(0.1, color=FRAME_GREY, lw=1))
        axes.axhline(4, color=FRAME_GREY, lw=1)
        axes.text(0.0045, 4.04, "the value itself", fontsize=9, va="bottom")
        self._numbers = []
        for k, name in enumerate(SPARSE):
            y = 0.875 - 0.045 * k
            self._numbers.append(
                self.moving(self.figure.text(0.61, y, "", fontsize=9, color=LOOKS[name]["color"]))
            )

    def show(self, data: xarray.Dataset) -> None:
        """Another layer, channel or density."""
        self._head.set_text(str(data["title"].values))
        for image, sets in zip(self._maps, data["sets"].values, strict=True):
            image.set_data(sets)
        for bars, held in zip(self._bars, data["held"].values, strict=True):
            for bar, count in zip(bars, held, strict=True):
                bar.set_height(count / max(1, held.sum()))
        for j, name, line in self._curves:
            line.set_data(
                data["density"].values, data["per_value"].values[:, j, SPARSE.index(name)]
            )
        self._rule.set_xdata([float(data["density"][int(data["at"])])] * 2)
        for k, text in enumerate(self._numbers):
            text.set_text(self._row(data, k))

    def _row(self, data: xarray.Dataset, k: int) -> str:
        real, mixed = data["size"].values[:, k]
        return f"{NAMES[SPARSE[k]]}: {real:,.0f} bytes as they are, {mixed:,.0f} shuffled ({mixed / real - 1:+.0%})"

    def describe(self, data: xarray.Dataset) -> str:
        """Sizes of both, and how full the sets are."""
        full = [f"{held[2:].sum() / max(1, held.sum()):.0%}" for held in data["held"].values]
        return (
            f"{data['title'].values}. {'; '.join(self._row(data, k) for k in range(len(SPARSE)))}. Of the sets that hold a "
            f"value, {full[0]} hold three or four as they are, {full[1]} shuffled."
        )

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        """Bytes a value at every density."""
        import pandas

        return pandas.DataFrame(
            [
                {
                    "density": float(share),
                    "values": side,
                    "format": NAMES[name],
                    "bytes a value": float(data["per_value"].values[i, j, k]),
                }
                for i, share in enumerate(data["density"].values)
                for j, side in enumerate(SIDES)
                for k, name in enumerate(SPARSE)
            ]
        )
