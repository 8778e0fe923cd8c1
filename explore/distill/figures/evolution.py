"""The picture of attention matching: one recorded run, or two side by side."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray
from matplotlib.colors import PowerNorm
from matplotlib.patches import Rectangle
from matplotlib.ticker import LogLocator

from explore.core.recording import require_variable
from explore.distill.catalog import METHOD_LABELS
from explore.errors import InvalidInput
from explore.plotting.frame import add_bare_axes
from explore.plotting.mosaic import grid_shape, mosaic, tile_box, where
from explore.plotting.picture import Picture, Target
from explore.plotting.style import GRID_GREY, MARKERS, PALETTE, SEQUENTIAL, set_title

if TYPE_CHECKING:
    import pandas

SIDES = ("blue", "vermilion")
MAPS = (("real_attention", "real"), ("attention", "synthetic"))
HEADROOM = 1.25
"""Maps are drawn up to the brightest real pixel times this; what noise outshines it by in the first steps is clipped."""


def name_of(recording: xarray.Dataset) -> str:
    """How a recording's method is called in pictures."""
    method = str(recording.attrs["config"]["method"])
    return METHOD_LABELS.get(method, method)


def mean_distance(recording: xarray.Dataset) -> np.ndarray:
    """Spatial attention distance, mean over classes and blocks, one number a frame."""
    return recording.attention_distance.mean(("label", "block")).values


def frame_at(recording: xarray.Dataset, step: int) -> int:
    """Index of the last frame at or before ``step`` (the first one if there is none)."""
    return max(0, int(np.searchsorted(recording.step.values, step, side="right")) - 1)


def _data_of(recording: xarray.Dataset) -> str:
    return json.dumps(recording.attrs["config"]["data"], sort_keys=True)


def evolution(
    recordings: xarray.Dataset | Sequence[xarray.Dataset],
    step: int | None = None,
    label: str | None = None,
    by: str = "step",
) -> xarray.Dataset:
    """What ``Evolution`` shows: one or two recordings at a step, with one class looked at closely.

    Args:
        recordings: of one or two attention-matching runs on the same data.
        step: of the first; the last if left out. A step that was not recorded shows the frame before it.
        label: name of the class to look at; the first if left out.
        by: how the second follows: "step" (the same step) or "distance" (the first of its frames whose
            mean attention distance is as small as the first recording's).

    Raises:
        InvalidInput: an unknown label or ``by``, or recordings of different data.
    """
    given = require_variable(recordings, "attention_distance", "an attention-matching run")
    labels = [str(name) for name in given[0].label.values]
    label = labels[0] if label is None else str(label)
    if label not in labels or by not in ("step", "distance"):
        raise InvalidInput(
            f"label {label!r} by {by!r}: label must be one of {', '.join(labels)}; by must be step or distance"
        )
    if len(given) > 2 or any(_data_of(r) != _data_of(given[0]) for r in given):
        raise InvalidInput("give one recording, or two of the same data (name, options and hash)")
    curves = [mean_distance(r) for r in given]
    at = [frame_at(given[0], given[0].step.values[-1] if step is None else step)]
    if len(given) == 2:
        if by == "step":
            at.append(frame_at(given[1], int(given[0].step.values[at[0]])))
        else:
            reached = np.flatnonzero(curves[1] <= curves[0][at[0]])
            at.append(int(reached[0]) if len(reached) else len(curves[1]) - 1)
    frames = max(len(curve) for curve in curves)

    def stacked(values: Sequence[Any], dims: tuple[str, ...]) -> tuple[tuple[str, ...], np.ndarray]:
        return ("side", *dims), np.stack([np.asarray(v) for v in values])

    def padded(values: np.ndarray) -> np.ndarray:
        return np.concatenate([np.asarray(values, float), np.full(frames - len(values), np.nan)])

    k = labels.index(label)
    now = [r.isel(step=i) for r, i in zip(given, at, strict=True)]
    data: dict[str, Any] = {
        "image": stacked(
            [f["image"].isel(copy=0).values for f in now],
            ("label", "y", "x", "rgb")[: now[0]["image"].ndim - 1],
        ),
        "curve": stacked([padded(c) for c in curves], ("frame",)),
        "curve_step": stacked([padded(r.step.values) for r in given], ("frame",)),
        "now": stacked([f.step.values for f in now], ()),
        "distance": stacked([c[i] for c, i in zip(curves, at, strict=True)], ()),
        "class_distance": stacked([f.attention_distance.values[k].mean() for f in now], ()),
        "embedding_distance": stacked([f.embedding_distance.values.mean() for f in now], ()),
        "chosen": ((), k),
    }
    for block in (1, 2):
        for kind, _ in MAPS:
            name = f"{kind}_{block}"
            if all(name in f and f[name].shape == now[0][name].shape for f in now):
                data[name] = stacked(
                    [f[name].values[k].astype(np.float32) for f in now],
                    (f"y_{block}", f"x_{block}"),
                )
        if f"real_attention_{block}" in data and f"attention_{block}" in data:
            data[f"top_{block}"] = (
                (),
                HEADROOM * max(float(r[f"real_attention_{block}"].max()) for r in given),
            )
    known = {
        "side": ("side", np.array([name_of(r) for r in given], object)),
        "label": ("label", np.array(labels, object)),
    }
    about = {
        "data": str(given[0].attrs["config"]["data"]["name"]),
        "by": by,
        "copies": now[0].sizes["copy"],
    }
    return xarray.Dataset(data, known, attrs=about)


def tile_layout(data: xarray.Dataset) -> dict[str, int]:
    """How the mosaic is laid out: beside large maps (one side) it is about square, above small ones it has two rows."""
    count = data.sizes["label"]
    columns = grid_shape(count)[1] if data.sizes["side"] == 2 else math.ceil(math.sqrt(1.2 * count))
    return {"count": count, "height": data.sizes["y"], "width": data.sizes["x"], "columns": columns}


def _note(axes: Any, text: str) -> Any:
    """A small title above a panel."""
    return axes.text(0, 1.03, text, transform=axes.transAxes, fontsize=9, va="bottom")


class Evolution(Picture):
    """Synthetic images, one class's attention beside the real one, and the distance curve; one or two methods."""

    size = (9.6, 5.8)
    title = "Attention while a data set is being distilled"

    def build(self, data: xarray.Dataset) -> None:
        """Two halves (or one, with larger maps) over a shared curve."""
        sides = data.sizes["side"]
        self._tiles = tile_layout(data)
        self._mosaics, self._marks, self._titles, self._images, self._heads = [], [], [], [], []
        panels = [
            "image",
            *(f"{kind}_{block}" for block in (1, 2) for kind, _ in MAPS if f"top_{block}" in data),
        ]
        for side in range(sides):
            left = 0.035 + side * 0.475
            span = 0.445 if sides == 2 else 0.4
            axes = add_bare_axes(
                self, (left, 0.635, span, 0.295) if sides == 2 else (left, 0.38, span, 0.55)
            )
            sheet = mosaic(data["image"].values[side], self._tiles["columns"])
            self._mosaics.append(self.moving(axes.imshow(sheet, cmap="gray", vmin=0, vmax=255)))
            set_title(axes, str(data.side.values[side])).set(
                fontweight="bold", color=PALETTE[SIDES[side]]
            )
            # glyphs are what a redraw waits for: only the numbers move, the method's name is drawn once
            self._titles.append(
                self.moving(
                    axes.text(1, 1.03, "", transform=axes.transAxes, ha="right", va="bottom")
                )
            )
            mark = Rectangle(
                (0, 0),
                data.sizes["x"],
                data.sizes["y"],
                fill=False,
                lw=2.5,
                ec=PALETTE["vermilion"],
            )
            self._marks.append(self.moving(axes.add_patch(mark)))
            row: dict[str, Any] = {}
            for place, name in enumerate(panels):
                if sides == 2:
                    each = span / len(panels)
                    box = (left + place * each, 0.375, each * 0.94, 0.15)
                else:  # the picture, then a row of maps for each block
                    across, down = (
                        (0, 0) if name == "image" else (1 + (place - 1) % 2, (place - 1) // 2)
                    )
                    box = (0.5 + across * 0.165, 0.665 - down * 0.3, 0.15, 0.225)
                panel = add_bare_axes(self, box)
                if name == "image":
                    row[name] = panel.imshow(
                        data["image"].values[side, 0], cmap="gray", vmin=0, vmax=255
                    )
                    self._heads.append(self.moving(_note(panel, "")))
                else:
                    # a power-4 map is nearly one spot: a square-root scale shows the rest; the same limits at every step
                    limits = PowerNorm(0.5, 0, float(data[f"top_{name[-1]}"]))
                    row[name] = panel.imshow(data[name].values[side], cmap=SEQUENTIAL, norm=limits)
                    title = f"attention, block {name[-1]}\n" if name.startswith("real") else ""
                    _note(panel, title + dict(MAPS)[name[:-2]])
                self.moving(row[name])
            self._images.append(row)
        self._axes = self.figure.add_axes((0.085, 0.09, 0.885, 0.205))
        self._axes.set(xscale="symlog", yscale="log", xlabel="step", ylabel="distance")
        self._axes.set_title(
            "Squared distance between real and synthetic mean attention, over classes and blocks"
        )
        self._axes.xaxis.set_major_formatter("{x:g}")
        self._axes.yaxis.set_minor_locator(LogLocator(subs=(2, 3, 5)))
        for which in (self._axes.yaxis.set_major_formatter, self._axes.yaxis.set_minor_formatter):
            which("{x:g}")
        self._axes.grid(color=GRID_GREY, lw=0.6)
        self._axes.set_xlim(-0.4, max(10, np.nanmax(data["curve_step"].values) * 1.15))
        low, high = np.nanmin(data["curve"].values), np.nanmax(data["curve"].values)
        self._axes.set_ylim(max(low, 1e-6) / 1.6, high * 1.6)
        self._curves, self._points = [], []
        for side in range(sides):
            colour = SIDES[side]
            style: dict[str, Any] = {
                "color": PALETTE[colour],
                "label": str(data.side.values[side]),
                "ls": ("-", "--")[side],
            }
            self._curves.append(self.moving(self._axes.plot([], [], **style)[0]))
            self._points.append(
                self.moving(
                    self._axes.plot([], [], MARKERS[colour], color=PALETTE[colour], ms=9)[0]
                )
            )
        if sides > 1:
            self._axes.legend(loc="lower left")

    def show(self, data: xarray.Dataset) -> None:
        """Everything moves together."""
        chosen = int(data["chosen"])
        box = tile_box(chosen, **self._tiles)
        for side in range(data.sizes["side"]):
            images = data["image"].values[side]
            self._mosaics[side].set_data(mosaic(images, self._tiles["columns"]))
            self._marks[side].set_xy(box[:2])
            now = int(data["now"].values[side])
            self._titles[side].set_text(
                f"step {now:,}, distance {data['distance'].values[side]:.3f}"
            )
            self._heads[side].set_text(str(data.label.values[chosen])[:10])
            for name, artist in self._images[side].items():
                artist.set_data(images[chosen] if name == "image" else data[name].values[side])
            self._curves[side].set_data(data["curve_step"].values[side], data["curve"].values[side])
            self._points[side].set_data([now], [data["distance"].values[side]])

    def describe(self, data: xarray.Dataset) -> str:
        """Step, class and distances of each side, and where its attention lies."""
        chosen = str(data.label.values[int(data["chosen"])])
        parts = []
        for side in range(data.sizes["side"]):
            quarter, share = where(data["attention_1"].values[side])
            real_quarter, real_share = where(data["real_attention_1"].values[side])
            parts.append(
                f"{data.side.values[side]} at step {int(data['now'].values[side])}: "
                f"mean attention distance {data['distance'].values[side]:.3f}; "
                f"{share:.0%} of the synthetic attention in block 1 lies in the {quarter} quarter "
                f"(real: {real_share:.0%} in the {real_quarter})"
            )
        copies = f", first of {data.attrs['copies']} images" if data.attrs["copies"] > 1 else ""
        return f"Class {chosen} of {data.attrs['data']}{copies}. " + ". ".join(parts) + "."

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        """The distance curves and where they stand."""
        import pandas

        rows = [
            {
                "method": str(data.side.values[side]),
                "step": int(step),
                "mean attention distance": float(value),
                "shown": bool(step == data["now"].values[side]),
            }
            for side in range(data.sizes["side"])
            for step, value in zip(
                data["curve_step"].values[side], data["curve"].values[side], strict=True
            )
            if np.isfinite(step)
        ]
        return pandas.DataFrame(rows)

    def targets(self, data: xarray.Dataset) -> list[Target]:
        """Each tile chooses its class, each point of the first curve its step."""
        found = []
        for artist in self._mosaics:
            for index, name in enumerate(data.label.values):
                box = tile_box(index, **self._tiles)
                found.append(
                    Target(*self.box(artist.axes, *box), f"class {name}", {"label": str(name)})
                )
        steps = data["curve_step"].values[0]
        steps = steps[np.isfinite(steps)]
        x = self._axes.transData.transform(
            np.column_stack([steps, np.full(len(steps), data["distance"].values[0])])
        )[:, 0]
        edges = (
            np.concatenate([[x[0] - 5], (x[1:] + x[:-1]) / 2, [x[-1] + 5]]) / self.figure.bbox.width
        )
        low, high = self._axes.get_position().y0, self._axes.get_position().y1
        found += [
            Target(
                float(edges[i]),
                1 - high,
                float(edges[i + 1]),
                1 - low,
                f"step {int(step)}",
                {"step": int(step)},
            )
            for i, step in enumerate(steps)
        ]
        return found
