"""The picture of areas over a distillation: images, their maps, and the area of each class."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray
from matplotlib.collections import LineCollection
from matplotlib.patches import Rectangle

from explore.areas.recordings import AREA_EVOLUTION
from explore.core.registry import label_of
from explore.errors import InvalidInput
from explore.plotting.frame import add_bare_axes, add_caption, add_heading, step_targets
from explore.plotting.mosaic import mosaic, tile_box
from explore.plotting.picture import Picture, Target
from explore.plotting.selection import nearest_frame, selects
from explore.plotting.style import BAR_GREY, GRID_GREY, PALETTE, SEQUENTIAL

if TYPE_CHECKING:
    import pandas

COLUMNS = 5


@selects(AREA_EVOLUTION, most=1)
def area_curves(
    recordings: Sequence[xarray.Dataset],
    step: int | None = None,
    label: str | None = None,
) -> xarray.Dataset:
    """Select what ``AreaCurves`` shows: one recording of areas at a step, and one class.

    Args:
        recordings: one recording of ``explore run areas``.
        step: of the recording, one for each frame of the distillation; by default the last.
        label: name of the class whose curve is highlighted; the first by default.

    Raises:
        InvalidInput: another kind of recording, several recordings, or an unknown class.
    """
    (recording,) = recordings
    labels = [str(name) for name in recording.label.values]
    label = labels[0] if label is None else str(label)
    if label not in labels:
        raise InvalidInput(f"label must be one of {', '.join(labels)}, got {label!r}")
    index = nearest_frame(recording, step)
    frame = recording.isel(step=index)
    distillation, about = recording.attrs["distillation"], recording.attrs["map"]
    image_dims = ("label", "y", "x", "rgb")[: frame["image"].ndim - 1]
    side = "×".join(map(str, about["resolution"]))
    return xarray.Dataset(
        {
            "image": (image_dims, frame["image"].isel(copy=0).values),
            "map": (("label", "y_map", "x_map"), frame["map"].isel(copy=0).values.astype(float)),
            "area": ("label", frame["area"].mean("copy").values),
            "curve": (("label", "frame"), recording["area"].mean("copy").values.T),
            "curve_step": ("frame", recording["distillation_step"].values),
            "real_area": ("label", recording["real_area"].values),
            "probability": ("label", frame["probability"].mean("copy").values),
            "now": ((), int(frame["distillation_step"])),
            "frame_now": ((), index),
            "chosen": ((), labels.index(label)),
        },
        {"label": ("label", np.array(labels, object))},
        {
            "data": str(recording.attrs["config"]["data"]["name"]),
            "method": label_of(str(distillation["method"])),
            "kind": str(about["kind"]),
            "layer": f"layer {about['layer']}, {side}",
            "threshold": float(recording.attrs["config"]["threshold"]),
            "curves": zlib.crc32(recording["area"].values.tobytes()),
        },
    )


class AreaCurves(Picture):
    """Synthetic images and their maps above, the area of each class over the steps below."""

    size = (9.6, 5.8)
    structural = ("curves",)
    title = "Activation areas while a data set is being distilled"

    def build(self, data: xarray.Dataset) -> None:
        """Create two mosaics and the curves."""
        count = data.sizes["label"]
        self._tiles = {"count": count, "columns": COLUMNS}
        self._heading = add_heading(self, 0.965)
        self._sheets: dict[str, Any] = {}
        self._marks: list[Any] = []
        style: dict[str, Any] = {"fill": False, "lw": 2.5, "ec": PALETTE["purple"]}
        for position, name in enumerate(("image", "map")):
            axes = add_bare_axes(self, (0.035 + 0.49 * position, 0.55, 0.45, 0.35))
            kind: dict[str, Any] = {"cmap": "gray", "vmin": 0, "vmax": 255}
            if name == "map":
                kind = {"cmap": SEQUENTIAL, "vmin": 0, "vmax": 1}
            sheet = mosaic(data[name].values, COLUMNS, gap=self._gap(data, name))
            self._sheets[name] = self.moving(axes.imshow(sheet, **kind))
            axes.text(
                0, 1.03, ("synthetic images", "their maps")[position], transform=axes.transAxes
            )
            height, width = data[name].shape[1:3]
            mark = Rectangle((0, 0), width, height, **style)
            self._marks.append((name, self.furniture(self.moving(axes.add_patch(mark)))))
            self.panel(("images", "maps")[position], axes)
        self._build_curves(data)
        self._caption = add_caption(self, 0.56, 0.17)

    def _build_curves(self, data: xarray.Dataset) -> None:
        axes = self._axes = self.figure.add_axes((0.085, 0.1, 0.42, 0.4))
        self.panel("areas", axes)
        axes.set(xscale="symlog", xlabel="step of the distillation", ylabel="area")
        axes.set_xlim(-0.4, max(10, float(data["curve_step"].max()) * 1.15))
        top = max(float(np.nanmax(data["curve"].values)), float(data["real_area"].max()))
        axes.set_ylim(0, min(1, top * 1.1 + 0.02))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.grid(color=GRID_GREY, lw=0.6)
        self._classes = LineCollection([], color=BAR_GREY, lw=0.8)
        axes.add_collection(self._classes)
        (self._mean,) = axes.plot([], [], color="black", label="mean of all classes")
        real = float(data["real_area"].mean())
        axes.axhline(real, color="black", ls=":", lw=1.4, label="real images, all classes")
        blue: dict[str, Any] = {"color": PALETTE["blue"]}
        (self._curve,) = axes.plot([], [], label="this class", **blue)
        (self._real,) = axes.plot([], [], ls="--", lw=1.4, label="real images, this class", **blue)
        (self._point,) = axes.plot([], [], "o", ms=8, **blue)
        for artist in (self._classes, self._mean, self._curve, self._real, self._point):
            self.moving(artist)
        axes.legend(loc="upper left", bbox_to_anchor=(1.06, 1.0), borderaxespad=0)

    def _gap(self, data: xarray.Dataset, name: str) -> int:
        """Return the pixels between the tiles; maps are coarser than images."""
        return max(1, round(data[name].shape[1] / 16))

    def _box(self, data: xarray.Dataset, name: str, index: int) -> tuple[float, ...]:
        height, width = data[name].shape[1:3]
        gap = self._gap(data, name)
        return tile_box(index, self._tiles["count"], height, width, gap, self._tiles["columns"])

    def show(self, data: xarray.Dataset) -> None:
        """Show images, maps and points of the current frame."""
        k = int(data["chosen"])
        for name, sheet in self._sheets.items():
            sheet.set_data(mosaic(data[name].values, COLUMNS, gap=self._gap(data, name)))
        for name, mark in self._marks:
            mark.set_xy(self._box(data, name, k)[:2])
        steps, now = data["curve_step"].values, int(data["now"])
        # The curves end at the present step, so that they can be predicted.
        past = steps <= now
        curves = data["curve"].values[:, past]
        self._classes.set_segments([np.column_stack([steps[past], curve]) for curve in curves])
        self._mean.set_data(steps[past], curves.mean(0))
        self._curve.set_data(steps[past], curves[k])
        self._real.set_data([-1, steps[-1] * 2 + 10], [float(data["real_area"][k])] * 2)
        self._point.set_data([now], [float(data["area"][k])])
        name = str(data.label.values[k])
        self._heading.set_text(
            f"{data.attrs['method']} on {data.attrs['data']}, step {now:,}: mean area "
            f"{float(data['area'].mean()):.0%}, of real images "
            f"{float(data['real_area'].mean()):.0%}"
        )
        self._caption.set_text(
            f"{name}: area {float(data['area'][k]):.0%}, of real images "
            f"{float(data['real_area'][k]):.0%};\nprobability of its class "
            f"{float(data['probability'][k]):.0%}. Area: above {data.attrs['threshold']:g}\n"
            f"({data.attrs['kind']}, {data.attrs['layer']})"
        )

    def describe(self, data: xarray.Dataset) -> str:
        """Return step, class and areas, and whether they grew."""
        k, curve = int(data["chosen"]), data["curve"].values.mean(0)
        return (
            f"{data.attrs['method']} on {data.attrs['data']} at step {int(data['now'])}, seen "
            f"through a trained network that took no part in it ({data.attrs['kind']}, "
            f"{data.attrs['layer']}). Class {data.label.values[k]}: area "
            f"{float(data['area'][k]):.0%}, of real images {float(data['real_area'][k]):.0%}. Mean "
            f"of all classes {float(data['area'].mean()):.0%}, at the start {curve[0]:.0%}, of "
            f"real images {float(data['real_area'].mean()):.0%}."
        )

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        """Return the area of each class at each step, and of the real images."""
        import pandas

        names = [f"area of {name}, %" for name in data.label.values]
        values = np.vstack([data["curve"].values.T, data["real_area"].values])
        table = pandas.DataFrame((100 * values).round(3), columns=names)
        steps = [f"{int(step)}" for step in data["curve_step"].values]
        table.insert(0, "step of the distillation", [*steps, "real images"])
        return table

    def targets(self, data: xarray.Dataset) -> list[Target]:
        """Return a target for each tile (it sets the class) and for each frame of the curves."""
        tiles = [
            Target(
                *self.box(sheet.axes, *self._box(data, name, index)),
                f"class {label}",
                {"label": str(label)},
            )
            for name, sheet in self._sheets.items()
            for index, label in enumerate(data.label.values)
        ]
        steps = data["curve_step"].values
        return tiles + step_targets(self, self._axes, steps, range(len(steps)))
