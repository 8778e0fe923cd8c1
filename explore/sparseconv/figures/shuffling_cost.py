"""The picture of the cost of shuffling: maps, the same values shuffled, and bytes of a value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray
from matplotlib.colors import ListedColormap

from explore.plotting.frame import add_heading, add_image_axes
from explore.plotting.picture import Picture
from explore.plotting.style import FRAME_GREY, LIGHT_GRID_GREY, set_title
from explore.sparseconv.figures.nonzero_maps import fill_square
from explore.sparseconv.figures.style import FORMAT_LABELS, FORMAT_STYLES
from explore.sparseconv.formats.geometry import Geometry
from explore.sparseconv.formats.recorded_maps import count_set_values, set_sizes

if TYPE_CHECKING:
    import pandas

SHUFFLED_FORMATS = ("cpo", "cps")
ARRANGEMENTS = ("as they are", "shuffled")
SET_COLOURS = ("white", "#fdc38d", "#f1703f", "#b4162b", "#4b0417")
"""No value, and 1 to 4 values in a set: evenly rising in darkness."""
SIDE_STYLES: dict[str, dict[str, Any]] = {
    "as they are": {"ls": "-"},
    "shuffled": {"ls": (0, (3, 2)), "mfc": "white"},
}
DENSITY_TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1)
MARKER_SIGNS = {"^": "▲", "s": "■"}
"""The signs before the sentences about each format, which look like its markers."""


def shuffling_cost(
    arrangements: Mapping[str, np.ndarray],
    geometry: Geometry,
    channel: int,
    sizes: xarray.DataArray,
    percent: int,
    title: str,
) -> xarray.Dataset:
    """Compute what ``ShufflingCost`` draws.

    Args:
        arrangements: the maps and the shuffled maps, ``[C, H, W]`` each, by ``ARRANGEMENTS``.
        geometry: of the convolution.
        channel: the channel that is drawn, from 0 on.
        sizes: bytes ``[percent, side, format]`` of all maps; coordinates ``density [percent]`` and
            ``count [percent]``.
        percent: the percentage of the values that is left in ``arrangements``.
        title: names the network and the layer.
    """
    maps = [arrangements[name] for name in ARRANGEMENTS]
    sets = [fill_square(set_sizes(m[channel, None], geometry)[0]) for m in maps]
    counts = [np.bincount(count_set_values(m, geometry).ravel(), minlength=5)[1:] for m in maps]
    per_value = sizes.values / sizes["count"].values[:, None, None]
    variables: dict[str, Any] = {
        "sets": (("side", "y", "x"), np.stack(sets)),
        "size": (("side", "format"), sizes.sel(percent=percent).values),
        "count": ((), int(np.count_nonzero(maps[0]))),
        "channel": ((), channel),
        "percent_index": ((), int(np.flatnonzero(sizes["percent"].values == percent)[0])),
        "title": ((), np.array(title, object)),
        "per_value": (("percent", "side", "format"), per_value),
        "density": ("percent", sizes["density"].values),
        "set_counts": (("side", "values"), np.stack(counts)),
    }
    coordinates = {
        "side": ("side", np.array(ARRANGEMENTS, object)),
        "format": ("format", np.array(SHUFFLED_FORMATS, object)),
    }
    return xarray.Dataset(variables, coordinates)


class ShufflingCost(Picture):
    """Two maps coloured by values in a set, the number of sets, and bytes a value over density."""

    size = (9.6, 5.4)
    title = "What neighbours are worth"

    def build(self, data: xarray.Dataset) -> None:
        """Create the maps above, the bars below and the curves on the right."""
        self._heading = add_heading(self, 0.96)
        self._maps = []
        for k, name in enumerate(ARRANGEMENTS):
            axes = add_image_axes(self, (0.02 + 0.285 * k, 0.415, 0.265, 0.47))
            set_title(axes, name).set_fontweight("bold")
            style = {"cmap": ListedColormap(SET_COLOURS), "vmin": 0, "vmax": 4}
            self._maps.append(self.moving(axes.imshow(data["sets"].values[k], **style)))
            self.panel(f"map-{name.replace(' ', '-')}", axes)
        self._build_bars()
        self._build_curves()
        self._sizes = []
        for k, name in enumerate(SHUFFLED_FORMATS):
            y, style = 0.915 - 0.04 * k, FORMAT_STYLES[name]
            sign = MARKER_SIGNS[str(style["marker"])]
            self.figure.text(0.59, y, sign, fontsize=9, color=style["color"])
            self._sizes.append(self.moving(self.figure.text(0.61, y, "", fontsize=9)))

    def _build_bars(self) -> None:
        axes = self.figure.add_axes((0.085, 0.105, 0.47, 0.21))
        self.panel("sets", axes)
        set_title(axes, "sets of four rows that hold a value, by how many they hold")
        axes.set(xlim=(0.4, 4.6), ylim=(0, 1.12))
        axes.set_xticks(range(1, 5), ["1 value", "2 values", "3 values", "4 values"])
        axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.4g}%")
        axes.grid(axis="y", color=LIGHT_GRID_GREY, lw=0.6)
        x, colours = np.arange(1, 5), SET_COLOURS[1:]
        plain: dict[str, Any] = {"color": colours, "edgecolor": FRAME_GREY}
        hatched: dict[str, Any] = {"color": "white", "edgecolor": colours, "hatch": "////"}
        self._bars = [
            [self.moving(bar) for bar in axes.bar(x + shift, 1, 0.36, linewidth=0.8, **style)]
            for shift, style in ((-0.19, plain), (0.19, hatched))
        ]
        legend = "plain: as they are, hatched: shuffled"
        axes.text(1, 0.8, legend, fontsize=9, ha="right", transform=axes.transAxes)

    def _build_curves(self) -> None:
        axes = self.figure.add_axes((0.655, 0.105, 0.33, 0.675))
        self.panel("curve", axes)
        axes.set_xscale("log")
        axes.set(xlim=(0.004, 1.1), ylim=(3.9, 9.3), xlabel="density of the layer (logarithmic)")
        axes.set_xticks(DENSITY_TICKS)
        axes.xaxis.set_major_formatter(_density_label)
        axes.xaxis.set_minor_formatter("")
        axes.grid(color=LIGHT_GRID_GREY, lw=0.6)
        set_title(axes, "bytes that each format needs for one value")
        self._curves = []
        for j, side in enumerate(ARRANGEMENTS):
            for name in SHUFFLED_FORMATS:
                style = {**FORMAT_STYLES[name], **SIDE_STYLES[side], "ms": 5, "lw": 1.2}
                (curve,) = axes.plot([], [], label=f"{FORMAT_LABELS[name]} {side}", **style)
                self._curves.append((j, name, self.moving(curve)))
        axes.legend(loc="upper right", handlelength=2.8)
        self._density_line = self.moving(axes.axvline(0.1, ymax=0.72, color=FRAME_GREY, lw=1))
        axes.axhline(4, color=FRAME_GREY, lw=1)
        axes.text(0.0045, 4.04, "the value itself: 4 bytes", fontsize=9, va="bottom")

    def show(self, data: xarray.Dataset) -> None:
        """Show one layer, channel and density."""
        self._heading.set_text(str(data["title"].values))
        for image, sets in zip(self._maps, data["sets"].values, strict=True):
            image.set_data(sets)
        for bars, counts in zip(self._bars, data["set_counts"].values, strict=True):
            for bar, count in zip(bars, counts, strict=True):
                bar.set_height(count / max(1, counts.sum()))
        density, per_value = data["density"].values, data["per_value"].values
        for j, name, curve in self._curves:
            curve.set_data(density, per_value[:, j, SHUFFLED_FORMATS.index(name)])
        self._density_line.set_xdata([density[int(data["percent_index"])]] * 2)
        for text, sentence in zip(self._sizes, _size_sentences(data), strict=True):
            text.set_text(sentence)

    def describe(self, data: xarray.Dataset) -> str:
        """Describe the sizes of both arrangements and how many sets hold three or four values."""
        full, shuffled = (
            f"{counts[2:].sum() / max(1, counts.sum()):.0%}" for counts in data["set_counts"].values
        )
        return (
            f"{data['title'].values}. {'; '.join(_size_sentences(data))}. Of the sets that hold a "
            f"value, {full} hold three or four as they are, {shuffled} shuffled."
        )

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        """Tabulate the bytes a value at every density."""
        import pandas

        return pandas.DataFrame(
            {
                "density, %": 100 * float(data["density"].values[i]),
                "values": ARRANGEMENTS[j],
                "format": FORMAT_LABELS[SHUFFLED_FORMATS[k]],
                "bytes a value": float(size),
            }
            for (i, j, k), size in np.ndenumerate(data["per_value"].values)
        )


def describe_growth(data: xarray.Dataset) -> str:
    """Return by how much each format grows if the values are shuffled, in words."""
    growth = data["size"].values[1] / data["size"].values[0] - 1
    pairs = zip(data["format"].values, growth, strict=True)
    return ", ".join(
        f"{FORMAT_LABELS[str(name)]} {f'grows by {g:.0%}' if abs(g) >= 0.005 else 'stays'}"
        for name, g in pairs
    )


def _density_label(density: float, position: float) -> str:
    """Return the text of a tick. It is empty for 50%, which would touch the text of 100%."""
    return "" if density == 0.5 else f"{100 * density:g}%"


def _size_sentences(data: xarray.Dataset) -> list[str]:
    return [
        f"{FORMAT_LABELS[name]}: {size:,.0f} bytes as they are, {shuffled:,.0f} shuffled "
        f"({shuffled / size - 1:+.0%})"
        for name, (size, shuffled) in zip(SHUFFLED_FORMATS, data["size"].values.T, strict=True)
    ]
