"""The picture of one layer's maps: where values are not zero and how many windows read each, beside charts of all layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray
from matplotlib.colors import ListedColormap

from explore.core.recording import that_hold
from explore.errors import InvalidInput
from explore.plotting.mosaic import grid_shape, mosaic, tile_box
from explore.plotting.picture import Picture, Target
from explore.plotting.style import EDGE_GREY, FRAME_GREY, GRID_GREY, PALETTE, set_title
from explore.sparseconv.figures.density import (
    LayerCharts,
    charted,
    check_number,
    layer_table,
    ratio_words,
)
from explore.sparseconv.formats.geometry import Geometry
from explore.sparseconv.formats.recorded_maps import count_reading_windows, read_levels

if TYPE_CHECKING:
    import pandas

SHEET = 300
"""Pixels a side in which all channels are drawn, and a single map."""

CLASSES = (
    "#ffffff",
    GRID_GREY,
    PALETTE["vermilion"],
    PALETTE["green"],
    PALETTE["blue"],
    PALETTE["purple"],
    FRAME_GREY,
)
"""Zero, padding or not read, one window, two, three, four, more."""
READERS = ("1 window", "2 windows", "3 windows", "4 windows", "5 or more")


def nze(
    recordings: xarray.Dataset | Sequence[xarray.Dataset],
    step: int | None = None,
    layer: int = 0,
    channel: int = 1,
    unit: str = "bytes",
) -> xarray.Dataset:
    """What ``Patterns`` shows: non-zero elements (NZEs) of one layer for one image.

    Args:
        recordings: one survey with maps (``explore run density --maps``).
        step: which image; the first if left out.
        layer: number of a convolution whose maps are kept (a kernel larger than 1×1), from 1 on; 0 for the sparsest.
        channel: from 1 on; a layer with fewer channels shows its last.
        unit: "bytes" or "elements".

    Raises:
        InvalidInput: another recording, one without maps, no such layer, or a pointwise one.
        UnknownName: another unit.
    """
    (survey, *more) = that_hold(
        recordings, "levels", "a density survey with maps (explore run density --maps)"
    )
    if more:
        raise InvalidInput(f"give one recording, got {1 + len(more)}")
    if "offset" not in survey or not with_maps(survey):
        raise InvalidInput("this survey holds no maps; record it with explore run density --maps")
    data = charted(survey, 0 if step is None else step, layer, unit, with_maps(survey))
    check_number("channel", channel, 1)
    k, at = int(data["chosen"]), int(data["number"])
    maps, geometry = maps_at(survey, at, k)
    chosen = min(channel, len(maps)) - 1
    found = count_reading_windows(maps[chosen], geometry)
    codes = np.where(found < 0, 1, np.where(found == 0, 0, np.minimum(found, len(READERS)) + 1))
    sheet = mosaic((maps != 0).astype(np.uint8), *_layout(maps.shape), fill=2)
    shown = {
        "sheet": (("sheet_y", "sheet_x"), scaled(sheet, 2)),
        "codes": (("code_y", "code_x"), scaled(codes, 1)),
        "picture": (("y", "x", "rgb"), survey["picture"].isel(step=at).values),
        "channel": ((), chosen),
        "share": ((), np.count_nonzero(maps[chosen]) / maps[chosen].size),
        "held": ("windows", [int((codes == code).sum()) for code in range(2, 2 + len(READERS))]),
        "tile": ("side", list(_tile(chosen, maps.shape))),
        "label": ((), int(survey["label"].values[at])),
    }
    known = {
        "class": ("class", survey["class"].values),
        "maps": ("layer", survey["offset"].values >= 0),
    }
    return data.assign(shown).assign_coords(known)


def maps_at(survey: xarray.Dataset, image: int, layer: int) -> tuple[np.ndarray, Geometry]:
    """The maps of a layer, uint8 levels ``[C, H, W]``, and the sizes of the convolution that takes them in.

    Raises:
        InvalidInput: the survey holds no maps of this layer.
    """
    offset = int(survey["offset"].values[layer])
    if offset < 0:
        held = ", ".join(map(str, with_maps(survey)))
        raise InvalidInput(
            f"no maps are kept of convolution {layer + 1}; there are those of {held}"
        )
    shape = tuple(int(n) for n in survey["shape"].values[layer])
    sizes = [tuple(survey[name].values[layer].tolist()) for name in ("kernel", "stride", "padding")]
    return read_levels(survey["levels"].isel(step=image).values, offset, shape), Geometry(
        (1, *shape), *sizes
    )


def with_maps(survey: xarray.Dataset) -> list[int]:
    """Numbers, from 1 on, of the convolutions whose maps a survey holds."""
    return [k + 1 for k, offset in enumerate(survey["offset"].values) if offset >= 0]


def scaled(found: np.ndarray, rest: int = 0) -> np.ndarray:
    """A map drawn in a square of ``SHEET`` pixels, each of its own repeated; the longer side fills it, the rest is ``rest``."""
    side = max(found.shape)
    at = np.arange(SHEET) * side // SHEET
    square = np.full((side, side), rest, found.dtype)
    square[: found.shape[0], : found.shape[1]] = found
    return square[at][:, at]


def _layout(shape: tuple[int, ...]) -> tuple[int, int]:
    """Columns of the sheet of all channels of maps (C, H, W), and the gap between them."""
    return int(np.ceil(np.sqrt(shape[0]))), max(1, shape[2] // 16)


def _tile(channel: int, shape: tuple[int, ...]) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a channel in the pixels of the sheet."""
    (count, high, wide), (columns, gap) = shape, _layout(shape)
    rows = grid_shape(count, columns)[0]
    scale = SHEET / max(rows * (high + gap) - gap, columns * (wide + gap) - gap)
    left, top, right, bottom = (
        (side + 0.5) * scale - 0.5 for side in tile_box(channel, count, high, wide, gap, columns)
    )
    return left, top, right, bottom


class Patterns(Picture):
    """All channels, one of them large with its overlap classes, and the charts over the layers."""

    size = (9.6, 6.4)
    title = "Where values are not zero"

    def build(self, data: xarray.Dataset) -> None:
        """Maps on the left, charts on the right."""
        self._head = self.moving(
            self.figure.text(0.02, 0.965, "", fontsize=12, fontweight="bold", va="center")
        )
        self._words = self.moving(
            self.figure.text(0.02, 0.914, "", fontsize=9, va="center", linespacing=1.4)
        )
        image = self.figure.add_axes((0.02, 0.635, 0.135, 0.2025))
        image.imshow(data["picture"].values)
        self._image = self.moving(image.images[0])
        sheet = self._sheet = self.figure.add_axes((0.185, 0.5, 0.225, 0.3375))
        self._tiles = self.moving(
            sheet.imshow(
                data["sheet"].values,
                cmap=ListedColormap(["#ffffff", PALETTE["blue"], GRID_GREY]),
                vmin=0,
                vmax=2,
            )
        )
        self._box = self.moving(sheet.plot([], [], color=PALETTE["vermilion"], lw=1.8)[0])
        large = self.figure.add_axes((0.02, 0.045, 0.27, 0.405))
        self._codes = self.moving(
            large.imshow(
                data["codes"].values, cmap=ListedColormap(CLASSES), vmin=0, vmax=len(CLASSES) - 1
            )
        )
        for axes in (image, sheet, large):
            axes.set(xticks=[], yticks=[])
            for side in axes.spines.values():
                side.set(visible=True, color=EDGE_GREY)
        set_title(image, "the image")
        self._above = self.moving(set_title(sheet, ""))
        self._below = self.moving(set_title(large, ""))
        self.figure.text(0.305, 0.42, "read by", fontsize=9)
        most = int(
            np.clip(
                -(-data["kernel"].values[:, 1] // np.maximum(1, data["stride"].values[:, 1])),
                1,
                len(READERS),
            ).max()
        )
        self._counts = []
        for k in range(most):
            y = 0.375 - 0.05 * k
            self.figure.text(0.305, y, "■", color=CLASSES[k + 2], fontsize=11, va="center")
            self._counts.append(
                self.moving(self.figure.text(0.325, y, "", fontsize=9, va="center"))
            )
        self.figure.text(
            0.305, 0.375 - 0.05 * most, "■", color=CLASSES[1], fontsize=11, va="center"
        )
        self.figure.text(0.325, 0.375 - 0.05 * most, "padding or not read", fontsize=9, va="center")
        self._charts = LayerCharts(
            self, data, [(0.515, 0.52, 0.47, 0.315), (0.515, 0.12, 0.47, 0.31)]
        )

    def show(self, data: xarray.Dataset) -> None:
        """Another image, layer or channel."""
        self._charts.show(data)
        self._image.set_data(data["picture"].values)
        self._tiles.set_data(data["sheet"].values)
        self._codes.set_data(data["codes"].values)
        left, top, right, bottom = data["tile"].values
        self._box.set_data([left, right, right, left, left], [top, top, bottom, bottom, top])
        count, channel = int(data["shape"].values[int(data["chosen"])][0]), int(data["channel"]) + 1
        self._above.set_text(f"all {count} channels")
        self._below.set_text(f"channel {channel}, {_share(data):.0%} not zero")
        for k, text in enumerate(self._counts):
            text.set_text(f"{READERS[k]}: {int(data['held'].values[k]):,}")
        self._head.set_text(
            f"{data.attrs['network']}, image {int(data['number']) + 1} of {data.sizes['image']}: {_named(data)}"
        )
        self._words.set_text(ratio_words(data))

    def describe(self, data: xarray.Dataset) -> str:
        """The layer, and how many windows read the values of the chosen channel."""
        held = [f"{int(n):,} by {READERS[k]}" for k, n in enumerate(data["held"].values) if n]
        return (
            f"{data.attrs['network']}, image {int(data['number']) + 1}, {_named(data)}. {ratio_words(data)} Channel "
            f"{int(data['channel']) + 1}: {_share(data):.0%} not zero; values read {', '.join(held) or 'by none'}.".replace(
                "\n", " "
            )
        )

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        """Every layer."""
        return layer_table(data)

    def targets(self, data: xarray.Dataset) -> list[Target]:
        """Each layer that has maps, and each channel."""
        shape = tuple(int(n) for n in data["shape"].values[int(data["chosen"])])
        found = [
            t
            for t, has in zip(self._charts.targets(self, data), data["maps"].values, strict=True)
            if has
        ]
        for k in range(shape[0]):
            box = self.box(self._sheet, *_tile(k, shape))
            found.append(Target(*box, f"channel {k + 1}", {"channel": k + 1}))
        return found


def _share(data: xarray.Dataset) -> float:
    """Density of the chosen channel, without the padding."""
    return float(data["share"])


def _named(data: xarray.Dataset) -> str:
    return str(data["class"].values[int(data["label"])])
