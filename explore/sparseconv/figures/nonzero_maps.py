"""The picture ``nze``: the non-zero elements (NZEs) of one layer, with charts of all layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray
from matplotlib.colors import ListedColormap

from explore.errors import InvalidInput
from explore.plotting.frame import add_heading, add_image_axes
from explore.plotting.mosaic import grid_shape, mosaic, tile_box
from explore.plotting.picture import Picture, Target
from explore.plotting.selection import selects
from explore.plotting.style import FRAME_GREY, GRID_GREY, PALETTE, set_title
from explore.sparseconv.figures.layer_charts import (
    LayerCharts,
    describe_layer,
    layer_table,
    name_layer,
    name_network,
)
from explore.sparseconv.figures.survey_data import (
    chart_data,
    check_number,
    layer_maps,
    layers_with_maps,
    single_survey,
)
from explore.sparseconv.formats.recorded_maps import count_reading_windows

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes

SQUARE_PIXELS = 300
"""Width and height of the square in which a map, or all channels, are drawn."""

UNREAD_CODE, UNREAD_COLOUR = 1, GRID_GREY
"""Padding, and values that no window reads."""
WINDOW_COUNT_COLOURS = {
    "1 window": PALETTE["vermilion"],
    "2 windows": PALETTE["green"],
    "3 windows": PALETTE["blue"],
    "4 windows": PALETTE["purple"],
    "5 or more": FRAME_GREY,
}
CODE_COLOURS = ("white", UNREAD_COLOUR, *WINDOW_COUNT_COLOURS.values())
"""Zero, unread, and values by the number of windows that read them."""


@selects(most=1)
def nze(
    recordings: Sequence[xarray.Dataset],
    step: int | None = None,
    layer: int = 0,
    channel: int = 1,
    unit: str = "bytes",
) -> xarray.Dataset:
    """Select what ``NonzeroMaps`` draws: non-zero elements (NZEs) of one layer for one image.

    Args:
        recordings: one survey with maps (``explore run density --maps``).
        step: of the image; None selects the first.
        layer: number of a convolution with recorded maps (a kernel larger than 1×1), from 1 on; 0
            selects the sparsest.
        channel: from 1 on. A number above the last channel selects the last.
        unit: "bytes" or "elements".

    Raises:
        InvalidInput: the recording is of another kind or without maps, or the layer does not exist
            or has no maps.
        UnknownName: the unit is unknown.
    """
    kind = "a density survey with maps (explore run density --maps)"
    survey = single_survey(recordings, "levels", kind)
    layers = layers_with_maps(survey) if "offset" in survey else []
    if not layers:
        raise InvalidInput("this survey holds no maps; record it with explore run density --maps")
    data = chart_data(survey, 0 if step is None else step, layer, unit, layers)
    check_number("channel", channel, 1)
    image = int(data["image_index"])
    maps, geometry = layer_maps(survey, image, int(data["layer_index"]))
    index = min(channel, len(maps)) - 1
    windows = count_reading_windows(maps[index], geometry)
    most = len(WINDOW_COUNT_COLOURS)
    codes = np.where(windows > 0, np.minimum(windows, most) + 1, 0)
    codes[windows < 0] = UNREAD_CODE
    sheet = mosaic((maps != 0).astype(np.uint8), *_sheet_layout(maps.shape), fill=2)
    variables = {
        "sheet": (("sheet_y", "sheet_x"), fill_square(sheet, 2)),
        "codes": (("code_y", "code_x"), fill_square(codes, UNREAD_CODE)),
        "picture": (("y", "x", "rgb"), survey["picture"].isel(step=image).values),
        "channel": ((), index),
        "share": ((), np.count_nonzero(maps[index]) / maps[index].size),
        "counts": ("windows", np.bincount(codes.ravel(), minlength=2 + most)[2:]),
        "tile": ("side", list(_tile_box(index, maps.shape))),
        "label": ((), int(survey["label"].values[image])),
    }
    coordinates = {
        "class": ("class", survey["class"].values),
        "maps": ("layer", survey["offset"].values >= 0),
    }
    return data.assign(variables).assign_coords(coordinates)


def fill_square(pixels: np.ndarray, fill: int = 0) -> np.ndarray:
    """Enlarge a map to a square of ``SQUARE_PIXELS``, by repeating pixels.

    The longer side fills the square. The rest has the value ``fill``.
    """
    side = max(pixels.shape)
    index = np.arange(SQUARE_PIXELS) * side // SQUARE_PIXELS
    square = np.full((side, side), fill, pixels.dtype)
    square[: pixels.shape[0], : pixels.shape[1]] = pixels
    return square[index][:, index]


def _sheet_layout(shape: tuple[int, ...]) -> tuple[int, int]:
    """Columns of the sheet with all channels of maps (C, H, W), and the gap between them."""
    return int(np.ceil(np.sqrt(shape[0]))), max(1, shape[2] // 16)


def _tile_box(channel: int, shape: tuple[int, ...]) -> tuple[float, ...]:
    """Left, top, right and bottom of a channel in the pixels of the sheet."""
    (count, height, width), (columns, gap) = shape, _sheet_layout(shape)
    rows = grid_shape(count, columns)[0]
    side = max(rows * (height + gap) - gap, columns * (width + gap) - gap)
    box = tile_box(channel, count, height, width, gap, columns)
    return tuple((edge + 0.5) * (SQUARE_PIXELS / side) - 0.5 for edge in box)


class NonzeroMaps(Picture):
    """All channels, one of them enlarged with its reading windows, and the charts of all layers."""

    size = (9.6, 6.4)
    title = "Where values are not zero"

    def build(self, data: xarray.Dataset) -> None:
        """Create the maps on the left and the charts on the right."""
        self._heading = add_heading(self, 0.965)
        text = self.figure.text(0.02, 0.92, "", fontsize=9, va="center")
        self._sentences = self.moving(text)
        image = add_image_axes(self, (0.02, 0.635, 0.135, 0.2025))
        self._image = self.moving(image.imshow(data["picture"].values))
        set_title(image, "the image")
        sheet = self._sheet = add_image_axes(self, (0.185, 0.5, 0.225, 0.3375))
        colours = ListedColormap(["white", PALETTE["blue"], GRID_GREY])
        self._tiles = self.moving(sheet.imshow(data["sheet"].values, cmap=colours, vmin=0, vmax=2))
        self._box = self.moving(sheet.plot([], [], color=PALETTE["vermilion"], lw=1.8)[0])
        self._sheet_title = self.moving(set_title(sheet, ""))
        self.furniture(self._box)
        place: dict[str, Any] = {"transform": sheet.transAxes, "ha": "right", "va": "bottom"}
        hint = sheet.text(1, 1.03, "(click one)", fontsize=9, **place)
        self.furniture(hint)
        channel = add_image_axes(self, (0.02, 0.045, 0.27, 0.405))
        style = {"cmap": ListedColormap(CODE_COLOURS), "vmin": 0, "vmax": len(CODE_COLOURS) - 1}
        self._codes = self.moving(channel.imshow(data["codes"].values, **style))
        self._channel_title = self.moving(set_title(channel, ""))
        self._build_legend(channel, data)
        self.panel("channels", sheet)
        self.panel("channel", channel)
        boxes = [(0.515, 0.545, 0.47, 0.3), (0.515, 0.145, 0.47, 0.3)]
        self._charts = LayerCharts(self, data, boxes)

    def _build_legend(self, axes: Axes, data: xarray.Dataset) -> None:
        """Explain the colours on the right of the axes; there it is printed with them."""
        style: dict[str, Any] = {"transform": axes.transAxes, "va": "center", "clip_on": False}
        axes.text(1.05, 0.94, "read by", fontsize=9, **style)
        windows = -(-data["kernel"].values[:, 1] // np.maximum(1, data["stride"].values[:, 1]))
        most = int(np.clip(windows, 1, len(WINDOW_COUNT_COLOURS)).max())
        colours = [*list(WINDOW_COUNT_COLOURS.values())[:most], UNREAD_COLOUR]
        texts = []
        for k, colour in enumerate(colours):
            y = 0.815 - 0.123 * k
            axes.text(1.05, y, "■", color=colour, fontsize=11, **style)
            texts.append(axes.text(1.13, y, "", fontsize=9, **style))
        self._counts = [self.moving(text) for text in texts[:-1]]
        texts[-1].set_text("padding or not read")

    def show(self, data: xarray.Dataset) -> None:
        """Show one image, layer and channel."""
        self._charts.show(data)
        self._image.set_data(data["picture"].values)
        self._tiles.set_data(data["sheet"].values)
        self._codes.set_data(data["codes"].values)
        left, top, right, bottom = data["tile"].values
        self._box.set_data([left, right, right, left, left], [top, top, bottom, bottom, top])
        self._sheet_title.set_text(f"all {_layer_shape(data)[0]} channels")
        share = f"{float(data['share']):.0%} not zero"
        self._channel_title.set_text(f"channel {int(data['channel']) + 1}, {share}")
        for text, (name, count) in zip(self._counts, _window_counts(data).items(), strict=False):
            text.set_text(f"{name}: {count:,}")
        number = f"image {int(data['image_index']) + 1} of {data.sizes['image']}"
        self._heading.set_text(f"{name_network(data)}, {number}: {_class_name(data)}")
        self._sentences.set_text(name_layer(data))

    def describe(self, data: xarray.Dataset) -> str:
        """Describe the layer, and how many windows read the values of the channel."""
        counts = [f"{count:,} by {name}" for name, count in _window_counts(data).items() if count]
        return (
            f"{name_network(data)}, image {int(data['image_index']) + 1}, {_class_name(data)}. "
            f"{describe_layer(data)} Channel {int(data['channel']) + 1}: "
            f"{float(data['share']):.0%} not zero; values read {', '.join(counts) or 'by none'}."
        )

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        """Tabulate every layer."""
        return layer_table(data)

    def value_at(self, data: xarray.Dataset, x: float, y: float) -> str:
        """Return the numbers of the layer under a pointer."""
        return self._charts.value_at(self, data, x, y)

    def targets(self, data: xarray.Dataset) -> list[Target]:
        """Return one target for each layer with maps and for each channel."""
        layers = zip(self._charts.targets(self, data), data["maps"].values, strict=True)
        targets = [target for target, has_maps in layers if has_maps]
        shape = _layer_shape(data)
        for k in range(shape[0]):
            box = self.box(self._sheet, *_tile_box(k, shape))
            targets.append(Target(*box, f"channel {k + 1}", {"channel": k + 1}))
        return targets


def _layer_shape(data: xarray.Dataset) -> tuple[int, ...]:
    return tuple(data["shape"].values[int(data["layer_index"])].tolist())


def _class_name(data: xarray.Dataset) -> str:
    return str(data["class"].values[int(data["label"])])


def _window_counts(data: xarray.Dataset) -> dict[str, int]:
    """Values of the channel by the number of windows that read them."""
    return dict(zip(WINDOW_COUNT_COLOURS, data["counts"].values.tolist(), strict=True))
