"""Charts, sentences and the table of all layers of a network, for the pictures of a survey."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from explore.models.trained.network_table import NETWORKS
from explore.plotting.picture import Picture, Target
from explore.plotting.style import BAND_GREY, FRAME_GREY, LIGHT_GRID_GREY, PALETTE, set_title
from explore.sparseconv.figures.style import FORMAT_LABELS, FORMAT_STYLES
from explore.sparseconv.formats.recorded_maps import FORMAT_NAMES

if TYPE_CHECKING:
    import pandas

LINE_LETTERS = 130
"""Letters that fit in one line above a picture."""
UNSUPPORTED = "grouped, dilated or unevenly padded, which no format here supports"
RATIO_TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500)
IMAGE_DOT_COLOUR = "#8fb7d3"
OTHERS = "others"
"""The group of the layers that are in no block."""
GROUP_FILLS: tuple[Literal["full", "none", "left", "top"], ...] = ("full", "none", "left", "top")
"""How the markers of each group of layers are filled."""


class LayerCharts:
    """Two charts over the layers: density of all images, and how much smaller each format is.

    Lines connect layers at the same place in their blocks, see ``layer_groups``: in a residual
    network every second layer follows a sum and has a higher density.

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
        self.groups = layer_groups(list(map(str, data["layer"].values)))
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
            self._marks.append(picture.furniture(picture.moving(mark)))
        picture.panel("density", self.density_axes)
        picture.panel("size", self.ratio_axes)
        self.ratio_axes.set_xticklabels([str(k + 1) for k in ticks])

    def _build_density(self, picture: Picture, data: xarray.Dataset) -> None:
        axes, shares = self.density_axes, data["shares"].values
        layers = np.arange(data.sizes["layer"])
        jitter = np.linspace(-0.22, 0.22, len(shares)) if len(shares) > 1 else np.zeros(1)
        x = (layers[None] + jitter[:, None]).ravel()
        axes.plot(x, shares.ravel(), ".", ms=3, color=IMAGE_DOT_COLOUR, ls="")
        axes.set(ylim=(0, 1.03), xticklabels=[])
        axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.4g}%")
        set_title(axes, "density: values that are not zero (small dots: every image)")
        style: dict[str, Any] = {"ms": 5, "ls": "", "color": PALETTE["blue"], "mfcalt": "white"}
        self._densities = []
        for fill, members in zip(GROUP_FILLS, self.groups.values(), strict=False):
            (dots,) = axes.plot(members, members, "o", fillstyle=fill, **style)
            self._densities.append((members, picture.moving(dots)))

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
        self._lines: dict[str, list[tuple[list[int], Any]]] = {}
        for name, style in FORMAT_STYLES.items():
            style = {**style, "ms": 4, "lw": 0.9, "mfcalt": "white"}
            lines = []
            for fill, (place, members) in zip(GROUP_FILLS, self.groups.items(), strict=False):
                style["ls"] = "" if place == OTHERS else "-"
                (line,) = axes.plot(members, np.add(members, 1), fillstyle=fill, **style)
                lines.append((members, picture.moving(line)))
            self._lines[name] = lines
        style = {"color": "black", "lw": 1.4, "drawstyle": "steps-mid"}
        line = picture.moving(axes.plot(layers, layers + 1, ":", **style)[0])
        self._lines["map"] = [(layers.tolist(), line)]
        hint = axes.text(1, 1.03, "(click one)", ha="right", va="bottom", transform=axes.transAxes)
        picture.furniture(hint).set_fontsize(9)
        self._add_legends(bool(data["pointwise"].values.any()))

    def _add_legends(self, pointwise: bool) -> None:
        """Explain the lines, and in a second row the filling of the markers and the bands."""
        axes = self.ratio_axes
        layout: dict[str, Any] = {"handlelength": 1.6, "columnspacing": 1.0}
        handles = [lines[0][1] for lines in self._lines.values()]
        labels = [*(FORMAT_LABELS[name] for name in FORMAT_STYLES), "the map itself"]
        box: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (-0.01, -0.08)}
        first = axes.legend(handles, labels, ncols=5, **layout, **box)
        marks: dict[str, Any] = {}
        style: dict[str, Any] = {"color": FRAME_GREY, "ms": 5, "ls": "", "mfcalt": "white"}
        if len(self.groups) > 1:
            for fill, place in zip(GROUP_FILLS, self.groups, strict=False):
                label = OTHERS if place == OTHERS else f"…{shorten_name(place, 14)}"
                marks[label] = Line2D([], [], marker="o", fillstyle=fill, **style)
        if pointwise:
            marks["kernel 1×1"] = Patch(color=BAND_GREY)
        if marks:
            axes.add_artist(first)
            box["bbox_to_anchor"] = (-0.01, -0.19)
            layout = {"handlelength": 0.8, "columnspacing": 1.0}
            axes.legend(list(marks.values()), list(marks), ncols=len(marks), **layout, **box)

    def show(self, data: xarray.Dataset) -> None:
        """Update dots, lines and marks for an image and a layer."""
        sizes = dict(zip(FORMAT_NAMES, data["size"].values.T, strict=True))
        sizes["map"] = data["map_size"].values
        for members, dots in self._densities:
            dots.set_ydata(data["density"].values[members])
        with np.errstate(divide="ignore", invalid="ignore"):
            for name, lines in self._lines.items():
                ratios = sizes["im2col"] / sizes[name]
                for members, line in lines:
                    line.set_ydata(ratios[members])
        for mark in self._marks:
            mark.set_x(int(data["layer_index"]) - 0.5)
        self._title.set_text(f"times smaller than im2col, in {data['unit'].values}, by convolution")

    def targets(self, picture: Picture, data: xarray.Dataset) -> list[Target]:
        """Return one target a layer: its column of both charts."""
        targets = []
        low = self.ratio_axes.get_ylim()[0]
        for k, name in enumerate(data["layer"].values):
            left, top, right, _ = picture.box(self.density_axes, k - 0.5, 0, k + 0.5, 1.03)
            bottom = picture.box(self.ratio_axes, k - 0.5, low, k + 0.5, 1)[3]
            box = (left, top, right, bottom)
            targets.append(Target(*box, f"convolution {k + 1}, {name}", {"layer": k + 1}))
        return targets

    def value_at(self, picture: Picture, data: xarray.Dataset, x: float, y: float) -> str:
        """Return the numbers of the layer under a pointer; an empty text beside the charts."""
        pixel = picture.figure.transFigure.transform((x, 1 - y))
        for axes in (self.density_axes, self.ratio_axes):
            if not axes.bbox.contains(*pixel):
                continue
            k = int(np.clip(round(picture.place(axes, x, y)[0]), 0, data.sizes["layer"] - 1))
            lines = [f"convolution {k + 1} ({shorten_name(str(data['layer'].values[k]))})"]
            if axes is self.density_axes:
                return "\n".join([*lines, f"density {float(data['density'].values[k]):.1%}"])
            sizes = dict(zip(FORMAT_NAMES, data["size"].values[k], strict=True))
            sizes["map itself"] = data["map_size"].values[k]
            im2col = sizes.pop("im2col")
            for name, size in sizes.items():
                if np.isfinite(size) and size > 0:
                    lines.append(f"{FORMAT_LABELS.get(name, name)} {im2col / size:.3g}×")
            return "\n".join(lines)
        return ""


def layer_groups(names: Sequence[str]) -> dict[str, list[int]]:
    """Return the indices of the layers by their place in a block, which their names end with.

    What follows the last number in a name, such as "conv2" in "layer1.0.conv2", is the place; a
    number at the end belongs to it. All other layers are of the group "others". There is one group,
    with the name "all", if no place or more than ``len(GROUP_FILLS)`` of them occur.

    Example:
        >>> layer_groups(["stem", "1.conv1", "1.conv2", "2.conv1", "2.conv2"])
        {'conv1': [1, 3], 'conv2': [2, 4], 'others': [0]}
        >>> layer_groups(["0", "3", "7"])
        {'all': [0, 1, 2]}
    """
    groups: dict[str, list[int]] = {}
    for k, name in enumerate(names):
        parts = name.split(".")
        numbers = [i for i, part in enumerate(parts[:-1]) if part.isdigit()]
        place = ".".join(parts[numbers[-1] + 1 :]) if numbers else OTHERS
        groups.setdefault(place, []).append(k)
    if OTHERS in groups:
        groups[OTHERS] = groups.pop(OTHERS)
    if not 2 <= len(groups) <= len(GROUP_FILLS):
        return {"all": list(range(len(names)))}
    return groups


def name_network(data: xarray.Dataset) -> str:
    """Return the title of the network as in the menus; its name if it has none."""
    name = str(data.attrs["network"])
    return NETWORKS[name].title if name in NETWORKS else name


def name_layer(data: xarray.Dataset) -> str:
    """Return one line for a picture: the selected layer, its shape, and the work that is left."""
    k = int(data["layer_index"])
    kernel, stride = data["kernel"].values[k], data["stride"].values[k]
    name, number = str(data["layer"].values[k]), f"convolution {k + 1}"
    facts = f": map {_by(data['shape'].values[k])}, kernel {_by(kernel)}"
    if stride.max() > 1:
        facts += f", stride {_by(np.unique(stride))}"
    if np.isfinite(data["size"].values[k]).all():
        left = f"{float(data['work'].values[k]):.0%}"
        facts += f"; skipping zeros leaves {left} of the multiply-adds, in any format"
    else:
        facts += f"; {UNSUPPORTED}"
    return f"{number} ({shorten_name(name, LINE_LETTERS - len(f'{number} (){facts}'))}){facts}"


def describe_layer(data: xarray.Dataset) -> str:
    """Describe the selected layer: its name and work, and the sizes of the formats."""
    return f"Selected: {name_layer(data)}. {_describe_sizes(data)}"


def _describe_sizes(data: xarray.Dataset) -> str:
    """Describe the density of the selected layer and its size in every format."""
    k = int(data["layer_index"])
    size = data["size"].values[k]
    density = f"{float(data['density'].values[k]):.0%} not zero"
    if not np.isfinite(size).all():
        return f"{density}; {UNSUPPORTED}."
    sizes = dict(zip(FORMAT_NAMES, size, strict=True))
    ratios = ", ".join(
        f"{FORMAT_LABELS[name]} {sizes['im2col'] / sizes[name]:.3g}×"
        for name in FORMAT_NAMES[1:]
        if sizes[name]
    )
    map_size = data["map_size"].values[k]
    return (
        f"{density}. "
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
