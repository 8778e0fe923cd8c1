"""The picture of density and size over the layers of a network, and the charts that other pictures of a survey share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray

from explore.core.recording import that_hold
from explore.errors import InvalidInput, UnknownName
from explore.plotting.picture import Picture, Target
from explore.plotting.style import BAND_GREY, FRAME_GREY, LIGHT_GRID_GREY, PALETTE, set_title
from explore.sparseconv.figures.formats import NAMES
from explore.sparseconv.formats.recorded_maps import FORMAT_NAMES

if TYPE_CHECKING:
    import pandas

UNITS = {"bytes": "bytes", "elements": "elements, as the papers count"}
LINE = 138
"""Letters in a line above the picture."""
LOOKS: dict[str, dict[str, Any]] = {
    "mec": {"color": PALETTE["grey"], "marker": "v"},
    "cscc": {"color": PALETTE["purple"], "marker": "D"},
    "cpo": {"color": PALETTE["green"], "marker": "^"},
    "cps": {"color": PALETTE["vermilion"], "marker": "s"},
}


def density(
    recordings: xarray.Dataset | Sequence[xarray.Dataset],
    step: int | None = None,
    layer: int = 0,
    unit: str = "bytes",
) -> xarray.Dataset:
    """What ``Density`` shows: every convolution of one network, over the images of its survey.

    Args:
        recordings: one survey (``explore run density``).
        step: which image; the first if left out.
        layer: number of a convolution, from 1 on; 0 for the sparsest with a kernel larger than 1×1.
        unit: "bytes" or "elements".

    Raises:
        InvalidInput: another recording, or no such layer.
        UnknownName: another unit.
    """
    (survey, *more) = that_hold(recordings, "density", "a density survey")
    if more:
        raise InvalidInput(f"give one recording, got {1 + len(more)}")
    return charted(survey, 0 if step is None else step, layer, unit)


def check_number(name: str, given: Any, least: int, most: float = np.inf, what: str = "") -> None:
    """Refuse what is no whole number from ``least`` to ``most``."""
    if (
        isinstance(given, bool)
        or not isinstance(given, int | np.integer)
        or not least <= given <= most
    ):
        bounds = f"{least} or more" if most == np.inf else f"{least} to {most:.0f}"
        raise InvalidInput(f"{name} must be {bounds}{what}, got {given!r}")


def charted(
    survey: xarray.Dataset, step: int, layer: int, unit: str, offered: Sequence[int] | None = None
) -> xarray.Dataset:
    """What the charts need of a survey at one of its images; ``offered`` are the convolutions that layer 0 chooses among,
    usually all with a kernel larger than 1×1.
    """
    if unit not in UNITS:
        raise UnknownName("unit", unit, UNITS)
    names = [str(name) for name in survey["layer"].values]
    shares = survey["density"].values
    check_number("step", step, 0)
    check_number("layer", layer, 0, len(names), ", the number of a convolution (0: the sparsest)")
    if not layer:
        wide = (
            ~survey["pointwise"].values
            if offered is None
            else np.isin(np.arange(1, len(names) + 1), offered)
        )
        layer = 1 + int(np.where(wide if wide.any() else True, shares.mean(0), np.inf).argmin())
    at = max(0, int(np.searchsorted(survey.step.values, step, side="right")) - 1)
    sizes = survey[unit].values
    whole = (4 if unit == "bytes" else 1) * survey["shape"].values.prod(1)[:, None]
    known = {
        "layer": ("layer", np.array(names, object)),
        "format": ("format", np.array(FORMAT_NAMES, object)),
        "shares": (("image", "layer"), shares),
        "ratio_range": ("end", _range(sizes, whole)),
        "shape": (("layer", "chw"), survey["shape"].values),
        "pointwise": ("layer", survey["pointwise"].values),
        **{
            name: (("layer", "axis"), survey[name].values)
            for name in ("kernel", "stride", "padding")
        },
    }
    data = {
        "density": ("layer", shares[at]),
        "size": (("layer", "format"), sizes[at]),
        "work": ("layer", survey["work"].values[at]),
        "chosen": ((), layer - 1),
        "number": ((), at),
        "unit": ((), list(UNITS).index(unit)),
    }
    return xarray.Dataset(data, known, attrs={"network": str(survey.attrs["config"]["model"])})


def _range(sizes: np.ndarray, whole: np.ndarray) -> list[float]:
    """Least and most of the ratios that are drawn: of every format, and of the maps themselves."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.concatenate([sizes[..., :1] / sizes, sizes[..., :1] / whole], -1)
    found = ratios[np.isfinite(ratios)]
    return [float(found.min(initial=1.0)), float(found.max(initial=2.0))]


class LayerCharts:
    """Two charts over the layers of a network: density of all images, and how much smaller than im2col each format is.

    Args:
        picture: that they are part of; gets what moves.
        data: from ``charted``.
        boxes: of both axes, as for ``add_axes``.
    """

    def __init__(
        self,
        picture: Picture,
        data: xarray.Dataset,
        boxes: Sequence[tuple[float, float, float, float]],
    ) -> None:
        count, figure = data.sizes["layer"], picture.figure
        places, shares = np.arange(count), data["shares"].values
        self._marks = []
        top = self.top = figure.add_axes(boxes[0])
        jitter = np.linspace(-0.22, 0.22, len(shares)) if len(shares) > 1 else np.zeros(1)
        x = (places[None] + jitter[:, None]).ravel()
        top.plot(x, shares.ravel(), ".", ms=3, color="#8fb7d3", ls="")
        top.set(ylim=(0, 1.03), xticklabels=[])
        top.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        set_title(top, "density: values that are not zero (small dots: every image)")
        self._now = picture.moving(
            top.plot(places, places, "o", ms=5, ls="", color=PALETTE["blue"])[0]
        )
        low = self.low = figure.add_axes(boxes[1])
        low.set_yscale("log")
        least, most = data["ratio_range"].values
        low.set_ylim(min(0.8, least * 0.9), most * 1.15)
        low.set_yticks(
            [
                v
                for v in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500)
                if min(0.8, least) <= v <= most * 1.1
            ]
        )
        low.yaxis.set_major_formatter("{x:g}×")
        low.yaxis.set_minor_formatter("")
        low.axhline(1, color=FRAME_GREY, lw=1)
        self._head = picture.moving(set_title(low, ""))
        self._lines = {
            name: picture.moving(
                low.plot(places, np.ones(count), ms=4, lw=0.9, **look, label=NAMES[name])[0]
            )
            for name, look in LOOKS.items()
        }
        self._map = picture.moving(
            low.plot(places, np.ones(count), ":", color="black", lw=1.4, label="the map itself")[0]
        )
        low.legend(
            ncols=5,
            loc="upper left",
            bbox_to_anchor=(-0.01, -0.08),
            handlelength=1.6,
            columnspacing=1.0,
        )
        step = max(1, count // 12)
        for axes in (top, low):
            axes.set_xlim(-0.6, count - 0.4)
            axes.grid(axis="y", color=LIGHT_GRID_GREY, lw=0.6)
            axes.set_xticks(places[::step])
            for k in np.flatnonzero(data["pointwise"].values):
                axes.axvspan(k - 0.5, k + 0.5, color=BAND_GREY, zorder=0, lw=0)
            self._marks.append(
                picture.moving(axes.axvspan(-0.5, 0.5, fc="none", ec=PALETTE["vermilion"], lw=1.4))
            )
        low.set_xticklabels([str(k + 1) for k in places[::step]])

    def show(self, data: xarray.Dataset) -> None:
        """Dots, lines and marks of an image and a layer."""
        chosen, size = int(data["chosen"]), data["size"].values
        self._now.set_ydata(data["density"].values)
        with np.errstate(divide="ignore", invalid="ignore"):
            for name, line in self._lines.items():
                line.set_ydata(size[:, 0] / size[:, FORMAT_NAMES.index(name)])
            self._map.set_ydata(size[:, 0] / map_sizes(data))
        for mark in self._marks:
            mark.set_x(chosen - 0.5)
        self._head.set_text(
            f"times smaller than im2col, in {list(UNITS)[int(data['unit'])]}, by convolution"
        )

    def targets(self, picture: Picture, data: xarray.Dataset) -> list[Target]:
        """Each layer's column of the upper chart chooses it."""
        return [
            Target(
                *picture.box(self.top, k - 0.5, 0, k + 0.5, 1.03),
                f"convolution {k + 1}, {name}",
                {"layer": k + 1},
            )
            for k, name in enumerate(data["layer"].values)
        ]


def map_sizes(data: xarray.Dataset) -> np.ndarray:
    """What the maps themselves take, ``[layer]``, in the unit that is shown."""
    each = 4 if list(UNITS)[int(data["unit"])] == "bytes" else 1
    return np.asarray(each * data["shape"].values.prod(1), float)


def ratio_words(data: xarray.Dataset) -> str:
    """The chosen layer and its sizes in one sentence."""
    k = int(data["chosen"])
    size, (c, h, w) = data["size"].values[k], data["shape"].values[k]
    kernel, stride = data["kernel"].values[k], data["stride"].values[k]
    name = str(data["layer"].values[k])
    about = f": {c}×{h}×{w}, {float(data['density'].values[k]):.0%} not zero"
    if not np.isfinite(size).all():
        return f"convolution {k + 1} ({shortened(name)}){about}; grouped, dilated or unevenly padded, which no format here knows.\n"
    sides = f"kernel {kernel[0]}×{kernel[1]}" + (
        f", stride {'×'.join(map(str, np.unique(stride)))}" if stride.max() > 1 else ""
    )
    unit = list(UNITS)[int(data["unit"])]
    sizes = ", ".join(
        f"{NAMES[name]} {size[0] / value:.3g}×"
        for name, value in zip(FORMAT_NAMES[1:], size[1:], strict=True)
        if value
    )
    whole = map_sizes(data)[k]
    beside = " and ".join(
        f"{NAMES[name]} {size[FORMAT_NAMES.index(name)] / whole:.2f}" for name in ("cpo", "cps")
    )
    about += f", {sides}. Skipping zeros leaves {float(data['work'].values[k]):.0%} of the multiply-adds, in any format."
    room = LINE - len(f"convolution {k + 1} (){about}")
    shown = f" ({shortened(name, room)})" if room >= 10 or len(name) <= room else ""
    return (
        f"convolution {k + 1}{shown}{about}\n"
        f"Smaller than im2col in {unit}: {sizes or 'without any value'}. Beside the map itself, as 1: {beside}."
    )


def shortened(name: str, most: int = 24) -> str:
    """A name without its middle, if it is long.

    Example:
        >>> shortened("features.12.expand3x3"), shortened("backbone.body.encoder.layers.3.blocks.1.conv")
        ('features.12.expand3x3', 'backbone.bo….blocks.1.conv')
    """
    half = most // 2
    return name if len(name) <= most else f"{name[: half - 1]}…{name[-half - 2 :]}"


def layer_table(data: xarray.Dataset) -> pandas.DataFrame:
    """Every layer: sizes, density of this image, mean and spread over images, and the size of each format."""
    import pandas

    shares, unit = data["shares"].values, list(UNITS)[int(data["unit"])]
    columns: dict[str, Any] = {
        "layer": [str(name) for name in data["layer"].values],
        "map": ["×".join(map(str, shape)) for shape in data["shape"].values],
        "kernel": ["×".join(map(str, kernel)) for kernel in data["kernel"].values],
        "stride": ["×".join(map(str, np.unique(stride))) for stride in data["stride"].values],
        "density": data["density"].values,
        "multiply-adds left": data["work"].values,
        "mean density": shares.mean(0),
        "standard deviation": shares.std(0, ddof=1)
        if len(shares) > 1
        else np.full(shares.shape[1], np.nan),
    }
    return pandas.DataFrame(
        {
            **columns,
            **{f"{name}, {unit}": data["size"].values[:, k] for k, name in enumerate(FORMAT_NAMES)},
        }
    )


class Density(Picture):
    """Both charts, and the chosen layer in words."""

    size = (9.6, 5.6)
    title = "Density and size, layer by layer"

    def build(self, data: xarray.Dataset) -> None:
        """Charts and their heads."""
        self._head = self.moving(
            self.figure.text(0.02, 0.963, "", fontsize=12, fontweight="bold", va="center")
        )
        self._words = self.moving(
            self.figure.text(0.02, 0.905, "", fontsize=9, va="center", linespacing=1.4)
        )
        self._charts = LayerCharts(
            self, data, [(0.065, 0.535, 0.915, 0.275), (0.065, 0.125, 0.915, 0.315)]
        )

    def show(self, data: xarray.Dataset) -> None:
        """One image and one layer."""
        self._charts.show(data)
        grey = "; grey: kernel 1×1" if data["pointwise"].values.any() else ""
        number, count = int(data["number"]) + 1, data.sizes["image"]
        self._head.set_text(f"{data.attrs['network']}, image {number} of {count}{grey}")
        self._words.set_text(ratio_words(data))

    def describe(self, data: xarray.Dataset) -> str:
        """The range of densities, and the chosen layer."""
        shares = data["density"].values
        return (
            f"{data.attrs['network']}, image {int(data['number']) + 1} of {data.sizes['image']}: {shares.min():.0%} to "
            f"{shares.max():.0%} of what its {len(shares)} convolutions take in is not zero. {ratio_words(data)}".replace(
                "\n", " "
            )
        )

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        """Every layer."""
        return layer_table(data)

    def targets(self, data: xarray.Dataset) -> list[Target]:
        """Each column chooses its layer."""
        return self._charts.targets(self, data)
