"""Charts, sentences and the table of all layers of a network, for the pictures of a survey."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray

from explore.plotting.picture import Picture, Target
from explore.plotting.style import BAND_GREY, FRAME_GREY, LIGHT_GRID_GREY, PALETTE, set_title
from explore.sparseconv.figures.style import FORMAT_LABELS, FORMAT_STYLES
from explore.sparseconv.formats.recorded_maps import FORMAT_NAMES

if TYPE_CHECKING:
    import pandas

LINE_LETTERS = 138
"""Letters that fit in one line above a picture."""
RATIO_TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500)
IMAGE_DOT_COLOUR = "#8fb7d3"


class LayerCharts:
    """Two charts over the layers: density of all images, and how much smaller each format is.

    Args:
        picture: the picture to which the charts belong. It gets the moving artists.
        data: from ``chart_data``.
        boxes: of both axes, as for ``add_axes``.
    """

    def __init__(
        self,
        picture: Picture,
        data: xarray.Dataset,
        boxes: Sequence[tuple[float, float, float, float]],
    ) -> None:
        self.density_axes, self.ratio_axes = map(picture.figure.add_axes, boxes)
        self._build_density(picture, data)
        self._build_ratios(picture, data)
        count = data.sizes["layer"]
        ticks = np.arange(count)[:: max(1, count // 12)]
        self._marks = []
        for axes in (self.density_axes, self.ratio_axes):
            axes.set_xlim(-0.6, count - 0.4)
            axes.grid(axis="y", color=LIGHT_GRID_GREY, lw=0.6)
            axes.set_xticks(ticks)
            for k in np.flatnonzero(data["pointwise"].values):
                axes.axvspan(k - 0.5, k + 0.5, color=BAND_GREY, zorder=0, lw=0)
            mark = axes.axvspan(-0.5, 0.5, fc="none", ec=PALETTE["vermilion"], lw=1.4)
            self._marks.append(picture.moving(mark))
        self.ratio_axes.set_xticklabels([str(k + 1) for k in ticks])

    def _build_density(self, picture: Picture, data: xarray.Dataset) -> None:
        axes, shares = self.density_axes, data["shares"].values
        layers = np.arange(data.sizes["layer"])
        jitter = np.linspace(-0.22, 0.22, len(shares)) if len(shares) > 1 else np.zeros(1)
        x = (layers[None] + jitter[:, None]).ravel()
        axes.plot(x, shares.ravel(), ".", ms=3, color=IMAGE_DOT_COLOUR, ls="")
        axes.set(ylim=(0, 1.03), xticklabels=[])
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        set_title(axes, "density: values that are not zero (small dots: every image)")
        (dots,) = axes.plot(layers, layers, "o", ms=5, ls="", color=PALETTE["blue"])
        self._densities = picture.moving(dots)

    def _build_ratios(self, picture: Picture, data: xarray.Dataset) -> None:
        axes, layers = self.ratio_axes, np.arange(data.sizes["layer"])
        least, most = data["ratio_range"].values
        low = min(0.8, least)
        axes.set_yscale("log")
        axes.set_ylim(min(0.8, least * 0.9), most * 1.15)
        axes.set_yticks([ratio for ratio in RATIO_TICKS if low <= ratio <= most * 1.1])
        axes.yaxis.set_major_formatter("{x:g}×")
        axes.yaxis.set_minor_formatter("")
        axes.axhline(1, color=FRAME_GREY, lw=1)
        self._title = picture.moving(set_title(axes, ""))
        self._lines: dict[str, Any] = {}
        for name, style in FORMAT_STYLES.items():
            style = {**style, "ms": 4, "lw": 0.9, "label": FORMAT_LABELS[name]}
            self._lines[name] = picture.moving(axes.plot(layers, layers + 1, **style)[0])
        style = {"color": "black", "lw": 1.4, "label": "the map itself"}
        self._lines["map"] = picture.moving(axes.plot(layers, layers + 1, ":", **style)[0])
        box: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (-0.01, -0.08)}
        axes.legend(ncols=5, handlelength=1.6, columnspacing=1.0, **box)

    def show(self, data: xarray.Dataset) -> None:
        """Update dots, lines and marks for an image and a layer."""
        sizes = dict(zip(FORMAT_NAMES, data["size"].values.T, strict=True))
        sizes["map"] = data["map_size"].values
        self._densities.set_ydata(data["density"].values)
        with np.errstate(divide="ignore", invalid="ignore"):
            for name, line in self._lines.items():
                line.set_ydata(sizes["im2col"] / sizes[name])
        for mark in self._marks:
            mark.set_x(int(data["layer_index"]) - 0.5)
        self._title.set_text(f"times smaller than im2col, in {data['unit'].values}, by convolution")

    def targets(self, picture: Picture, data: xarray.Dataset) -> list[Target]:
        """Return one target a layer: its column of the density chart."""
        targets = []
        for k, name in enumerate(data["layer"].values):
            box = picture.box(self.density_axes, k - 0.5, 0, k + 0.5, 1.03)
            targets.append(Target(*box, f"convolution {k + 1}, {name}", {"layer": k + 1}))
        return targets


def describe_layer(data: xarray.Dataset) -> str:
    """Describe the selected layer and its sizes, in two lines."""
    k = int(data["layer_index"])
    size, (c, h, w) = data["size"].values[k], data["shape"].values[k]
    kernel, stride = data["kernel"].values[k], data["stride"].values[k]
    name, number = str(data["layer"].values[k]), f"convolution {k + 1}"
    facts = f": {c}×{h}×{w}, {float(data['density'].values[k]):.0%} not zero"
    if not np.isfinite(size).all():
        return (
            f"{number} ({shorten_name(name)}){facts}; "
            "grouped, dilated or unevenly padded, which no format here supports.\n"
        )
    facts += f", kernel {kernel[0]}×{kernel[1]}"
    if stride.max() > 1:
        facts += f", stride {_by(np.unique(stride))}"
    work = f"{float(data['work'].values[k]):.0%} of the multiply-adds, in any format."
    facts += f". Skipping zeros leaves {work}"
    letters = LINE_LETTERS - len(f"{number} (){facts}")
    if letters >= 10 or len(name) <= letters:
        number += f" ({shorten_name(name, letters)})"
    sizes = dict(zip(FORMAT_NAMES, size, strict=True))
    ratios = ", ".join(
        f"{FORMAT_LABELS[name]} {sizes['im2col'] / sizes[name]:.3g}×"
        for name in FORMAT_NAMES[1:]
        if sizes[name]
    )
    map_size = data["map_size"].values[k]
    return (
        f"{number}{facts}\n"
        f"Smaller than im2col in {data['unit'].values}: {ratios or 'without any value'}. "
        f"Relative to the map: CPO {sizes['cpo'] / map_size:.2f} and "
        f"CPS {sizes['cps'] / map_size:.2f}."
    )


def shorten_name(name: str, most: int = 24) -> str:
    """Replace the middle of a long name by an ellipsis.

    Example:
        >>> shorten_name("features.12.expand3x3")
        'features.12.expand3x3'
        >>> shorten_name("backbone.body.encoder.layers.3.blocks.1.conv")
        'backbone.bo….blocks.1.conv'
    """
    half = most // 2
    return name if len(name) <= most else f"{name[: half - 1]}…{name[-half - 2 :]}"


def layer_table(data: xarray.Dataset) -> pandas.DataFrame:
    """Tabulate every layer: sizes, density of this image, mean and spread over images, formats."""
    import pandas

    shares, unit = data["shares"].values, data["unit"].values
    columns: dict[str, Any] = {
        "layer": [str(name) for name in data["layer"].values],
        "map": [_by(shape) for shape in data["shape"].values],
        "kernel": [_by(kernel) for kernel in data["kernel"].values],
        "stride": [_by(np.unique(stride)) for stride in data["stride"].values],
        "density": data["density"].values,
        "multiply-adds left": data["work"].values,
        "mean density": shares.mean(0),
        "standard deviation": np.full(shares.shape[1], np.nan),
    }
    if len(shares) > 1:
        columns["standard deviation"] = shares.std(0, ddof=1)
    for name, sizes in zip(FORMAT_NAMES, data["size"].values.T, strict=True):
        columns[f"{name}, {unit}"] = sizes
    return pandas.DataFrame(columns)


def _by(sizes: Any) -> str:
    return "×".join(map(str, sizes))
