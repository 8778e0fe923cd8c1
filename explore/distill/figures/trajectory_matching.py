"""The picture of trajectory matching: one run or two, with maps, multipliers, areas and dropout."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray
from matplotlib.patches import Rectangle

from explore.distill.catalog import METHOD_LABELS
from explore.distill.config import MAPS_NOTE
from explore.distill.recordings import TRAJECTORY_MATCHING
from explore.errors import InvalidInput
from explore.plotting.frame import add_bare_axes, add_heading, class_targets, step_targets
from explore.plotting.mosaic import grid_shape, mosaic, tile_box
from explore.plotting.picture import Picture, Target
from explore.plotting.selection import nearest_frame, selects, unrecorded_note
from explore.plotting.style import (
    FRAME_GREY,
    GRID_GREY,
    PALETTE,
    SEQUENTIAL,
    TEXT_PALETTE,
    set_title,
)

if TYPE_CHECKING:
    import pandas

SIDE_COLOURS = ("blue", "vermilion")
PANELS = {
    "picture": "image of the class",
    "map": "its map",
    "multiplier": "multiplier",
    "gradient": "its gradient",
}
"""Panels of one image; the gradient is already multiplied."""

DIVERGING = "RdBu_r"


@selects(TRAJECTORY_MATCHING)
def trajectory_matching(
    recordings: Sequence[xarray.Dataset],
    step: int | None = None,
    label: str | None = None,
) -> xarray.Dataset:
    """Select what ``TrajectoryMatching`` shows: one or two recordings at a step, and one class.

    Args:
        recordings: of one or two runs of MTT, DATM or EDF on the same data.
        step: of the recordings; by default the last of the first one. If it was not recorded, the
            nearest one is shown, and the picture says so.
        label: name of the class whose maps are shown; the first by default.

    Raises:
        InvalidInput: an unknown class, or recordings of different data or number of images.
    """
    runs = recordings
    labels = [str(name) for name in runs[0].label.values]
    label = labels[0] if label is None else str(label)
    if label not in labels:
        raise InvalidInput(f"label must be one of {', '.join(labels)}, got {label!r}")
    data = [json.dumps(run.attrs["config"]["data"], sort_keys=True) for run in runs]
    if len(runs) > 2 or len(set(data)) > 1 or len({run["image"].shape[1:] for run in runs}) > 1:
        raise InvalidInput(
            "give one recording, or two of the same data with equally many images per class"
        )
    k = labels.index(label)
    first = nearest_frame(runs[0], step)
    first_step = int(runs[0].step.values[first])
    indices = [first, *(nearest_frame(run, first_step) for run in runs[1:])]
    frames = [run.isel(step=index) for run, index in zip(runs, indices, strict=True)]
    length = max(run.sizes["step"] for run in runs)

    def padded(values: np.ndarray) -> np.ndarray:
        missing = [(0, length - len(values))] + [(0, 0)] * (values.ndim - 1)
        return np.pad(np.asarray(values, float), missing, constant_values=np.nan)

    layers, shares = _by_layer(frames)
    image_dims = ("side", "label", "y", "x", "rgb")[: frames[0]["image"].ndim]
    gradients = [f["gradient"].values[k, 0].mean(0) for f in frames]
    return xarray.Dataset(
        {
            "image": (image_dims, np.stack([f["image"].values[:, 0] for f in frames])),
            "map": (("side", "y", "x"), np.stack([f["map"].values[k, 0] for f in frames])),
            "multiplier": (
                ("side", "y", "x"),
                np.stack([f["multiplier"].values[k, 0].astype(float) for f in frames]),
            ),
            "gradient": (
                ("side", "y", "x"),
                np.stack([g / (np.abs(g).max() or 1) for g in gradients]),
            ),
            "curve_step": (("side", "frame"), np.stack([padded(r.step.values) for r in runs])),
            "curve": (
                ("side", "frame"),
                np.stack([padded(r["area"].values[:, k].mean(1)) for r in runs]),
            ),
            "mean_curve": (
                ("side", "frame"),
                np.stack([padded(r["area"].values.mean((1, 2))) for r in runs]),
            ),
            "area": ("side", [float(f["area"].values[k].mean()) for f in frames]),
            "real_area": ((), float(runs[0]["real_area"].values[k])),
            "dropped_share": (("side", "layer"), shares),
            "loss": ("side", [float(f["loss"]) for f in frames]),
            "rate": ("side", [float(f["learning_rate"]) for f in frames]),
            "now": ("side", [int(f.step) for f in frames]),
            "chosen": ((), k),
        },
        {
            "side": (
                "side",
                np.array(
                    [METHOD_LABELS.get(m, m) for r in runs for m in [r.attrs["config"]["method"]]],
                    object,
                ),
            ),
            "label": ("label", np.array(labels, object)),
            "layer": ("layer", np.array(layers, object)),
        },
        {
            "data": str(runs[0].attrs["config"]["data"]["name"]),
            "note": unrecorded_note(step, first_step),
            "top": 1 + max(float(run.attrs["config"]["beta"]) for run in runs),
            "largest_area": max(
                float(max(run["area"].mean("copy").max(), run["real_area"].max())) for run in runs
            ),
            "curves": zlib.crc32(b"".join(run["area"].values.tobytes() for run in runs)),
        },
    )


def _by_layer(frames: Sequence[xarray.Dataset]) -> tuple[list[str], np.ndarray]:
    """Return the layers in short names, and the share of each that was dropped ``[side, layer]``.

    The weights and biases of a layer are put together.
    """
    names = [_short_name(str(name)) for name in frames[0]["layer"].values]
    sizes = frames[0]["size"].values
    layers = list(dict.fromkeys(names))
    rows = [[name == layer for name in names] for layer in layers]
    shares = [
        [float(np.average(f["dropped_share"].values[r], weights=sizes[r])) for r in rows]
        for f in frames
    ]
    return layers, np.array(shares)


def _short_name(parameter: str) -> str:
    """Return "conv 1" for "blocks.0.conv.weight"."""
    block = re.fullmatch(r"blocks\.(\d+)\.(\w+)\.\w+", parameter)
    if block:
        return f"{block[2]} {int(block[1]) + 1}"
    return "linear" if parameter.startswith("classifier") else parameter.rpartition(".")[0]


class TrajectoryMatching(Picture):
    """Images, map, multiplier and gradient of one or two runs, above areas and dropped shares."""

    size = (9.6, 6.2)
    structural = ("curves",)
    title = "Trajectory matching: areas, multipliers and dropped parameters"

    def build(self, data: xarray.Dataset) -> None:
        """Create a row of panels for each run, above the curves and the dropped shares."""
        count, sides = data.sizes["label"], data.sizes["side"]
        self._tiles = {
            "count": count,
            "height": data.sizes["y"],
            "width": data.sizes["x"],
            "columns": grid_shape(count)[1],
        }
        self._mosaics: list[Any] = []
        self._marks: list[Any] = []
        self._heads: list[Any] = []
        self._panels: list[dict[str, Any]] = []
        for side in range(sides):
            bottom, height = (0.655 - 0.305 * side, 0.225) if sides == 2 else (0.5, 0.38)
            self._build_images(data, side, bottom, height)
            self._build_panels(data, side, bottom, height)
        self._build_curves(data)
        self._build_dropped(data)
        self._heading = add_heading(self, 0.965)
        note: dict[str, Any] = {"ha": "right", "va": "center", "color": FRAME_GREY}
        self._note = self.moving(self.figure.text(0.98, 0.965, "", **note))

    def _build_images(self, data: xarray.Dataset, side: int, bottom: float, height: float) -> None:
        axes = add_bare_axes(self, (0.03, bottom, 0.32, height))
        sheet = mosaic(data["image"].values[side], self._tiles["columns"])
        self._mosaics.append(self.moving(axes.imshow(sheet, cmap="gray", vmin=0, vmax=255)))
        title = set_title(axes, str(data.side.values[side]))
        title.set(fontweight="bold", color=TEXT_PALETTE[SIDE_COLOURS[side]])
        self.panel(f"images-{side + 1}" if data.sizes["side"] > 1 else "images", axes)
        head = axes.text(1, 1.03, "", transform=axes.transAxes, ha="right", va="bottom")
        self._heads.append(self.moving(head))
        style: dict[str, Any] = {"fill": False, "lw": 2.5, "ec": PALETTE["purple"]}
        mark = Rectangle((0, 0), data.sizes["x"], data.sizes["y"], **style)
        self._marks.append(self.furniture(self.moving(axes.add_patch(mark))))

    def _build_panels(self, data: xarray.Dataset, side: int, bottom: float, height: float) -> None:
        kinds: dict[str, dict[str, Any]] = {
            "picture": {"cmap": "gray", "vmin": 0, "vmax": 255},
            "map": {"cmap": SEQUENTIAL, "vmin": 0, "vmax": 1},
            "multiplier": {"cmap": SEQUENTIAL, "vmin": 0, "vmax": data.attrs["top"]},
            "gradient": {"cmap": DIVERGING, "vmin": -1, "vmax": 1},
        }
        panels: dict[str, Any] = {}
        for position, (name, heading) in enumerate(PANELS.items()):
            axes = add_bare_axes(self, (0.38 + 0.155 * position, bottom, 0.145, height))
            if name == "multiplier":
                heading += f" (0 to {data.attrs['top']:g})"
            axes.text(0, 1.03, heading, transform=axes.transAxes, fontsize=9, va="bottom")
            panel = "image" if name == "picture" else name
            self.panel(f"{panel}-{side + 1}" if data.sizes["side"] > 1 else panel, axes)
            panels[name] = self.moving(axes.imshow(self._panel(data, side, name), **kinds[name]))
        self._panels.append(panels)

    def _panel(self, data: xarray.Dataset, side: int, name: str) -> np.ndarray:
        if name == "picture":
            values: np.ndarray = data["image"].values[side, int(data["chosen"])]
            return values
        return np.asarray(data[name].values[side], float)

    def _build_curves(self, data: xarray.Dataset) -> None:
        axes = self._axes = self.figure.add_axes((0.075, 0.09, 0.32, 0.2))
        self.panel("areas", axes)
        axes.set(xscale="symlog", xlabel="step", ylabel="area of the class")
        axes.set_xlim(-0.4, max(10, np.nanmax(data["curve_step"].values) * 1.15))
        axes.set_ylim(0, min(1.02, data.attrs["largest_area"] * 1.1 + 0.02))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.grid(color=GRID_GREY, lw=0.6)
        self._curves, self._mean_curves, self._points = [], [], []
        for side, name in enumerate(data.side.values):
            colour, line = PALETTE[SIDE_COLOURS[side]], ("-", "--")[side]
            thin: dict[str, Any] = {"color": colour, "lw": 0.8, "ls": line}
            (mean,) = axes.plot([], [], label=f"{name}, mean of classes", **thin)
            self._mean_curves.append(self.moving(mean))
            style: dict[str, Any] = {"color": colour, "ls": line, "label": f"{name}, this class"}
            self._curves.append(self.moving(axes.plot([], [], **style)[0]))
            (point,) = axes.plot([], [], "os"[side], color=colour, ms=8)
            self._points.append(self.moving(point))
        (self._real,) = axes.plot([], [], color="black", ls=":", label="real images, this class")
        self.moving(self._real)
        axes.legend(loc="upper left", bbox_to_anchor=(1.02, 1.08), fontsize=9, frameon=False)

    def _build_dropped(self, data: xarray.Dataset) -> None:
        axes = self.figure.add_axes((0.72, 0.09, 0.255, 0.19))
        self.panel("dropped", axes)
        layers = list(data.layer.values)
        self._dropped = []
        for side in range(data.sizes["side"]):
            style: dict[str, Any] = {"color": PALETTE[SIDE_COLOURS[side]], "ls": "none"}
            (points,) = axes.plot([], [], "os"[side], ms=(6, 5)[side], **style)
            self._dropped.append(self.moving(points))
        axes.set(xlim=(-0.03, 1), xlabel="share of the layer", yticks=range(len(layers)))
        axes.set_yticklabels(layers)
        axes.set_ylim(len(layers) - 0.5, -0.5)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.grid(color=GRID_GREY, lw=0.6)
        axes.set_title("Parameters dropped in the last step", loc="left")

    def show(self, data: xarray.Dataset) -> None:
        """Show the images, panels, points and bars of the current frames."""
        box = tile_box(int(data["chosen"]), **self._tiles)
        for side in range(data.sizes["side"]):
            self._mosaics[side].set_data(mosaic(data["image"].values[side], self._tiles["columns"]))
            self._marks[side].set_xy(box[:2])
            loss = float(data["loss"][side])
            text = f"step {int(data['now'][side]):,}"
            self._heads[side].set_text(text if np.isnan(loss) else f"{text}, loss {loss:.3f}")
            for name, artist in self._panels[side].items():
                artist.set_data(self._panel(data, side, name))
            # The curves end at the present step, so that they can be predicted.
            steps = data["curve_step"].values[side]
            past = steps <= int(data["now"][side])
            for curves, name in ((self._curves, "curve"), (self._mean_curves, "mean_curve")):
                curves[side].set_data(steps[past], data[name].values[side][past])
            self._points[side].set_data([int(data["now"][side])], [float(data["area"][side])])
            shares = data["dropped_share"].values[side]
            self._dropped[side].set_data(shares, np.arange(len(shares)))
        self._note.set_text(data.attrs["note"])
        label = str(data.label.values[int(data["chosen"])])
        self._heading.set_text(f"Class {label} of {data.attrs['data']}; {MAPS_NOTE}")
        last = np.nanmax(data["curve_step"].values)
        self._real.set_data([-1, last * 2 + 10], [float(data["real_area"])] * 2)

    def describe(self, data: xarray.Dataset) -> str:
        """Return step, class, areas and dropped share of each run."""
        parts = []
        for side, name in enumerate(data.side.values):
            loss, dropped = float(data["loss"][side]), data["dropped_share"].values[side]
            parts.append(
                f"{name} at step {int(data['now'][side])}: "
                + ("no step yet" if np.isnan(loss) else f"loss {loss:.3f}")
                + f", area {float(data['area'][side]):.0%}, largest multiplier "
                f"{float(data['multiplier'].values[side].max()):.2f}, "
                f"up to {dropped.max():.0%} of a layer dropped"
            )
        label = str(data.label.values[int(data["chosen"])])
        return (
            f"Class {label} of {data.attrs['data']}; {MAPS_NOTE}, and finds an area of "
            f"{float(data['real_area']):.0%} in real images. {data.attrs['note']} ".rstrip()
            + f" {'. '.join(parts)}."
        )

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        """Return the area curves of every run, in percent of an image."""
        import pandas

        label = str(data.label.values[int(data["chosen"])])
        rows = [
            {
                "method": str(name),
                "step": int(step),
                f"area of class {label}, %": round(100 * float(area), 3),
                "mean area of all classes, %": round(100 * float(mean), 3),
            }
            for side, name in enumerate(data.side.values)
            for step, area, mean in zip(
                data["curve_step"].values[side],
                data["curve"].values[side],
                data["mean_curve"].values[side],
                strict=True,
            )
            if np.isfinite(step)
        ]
        return pandas.DataFrame(rows)

    def targets(self, data: xarray.Dataset) -> list[Target]:
        """Return a target for each tile (it sets the class) and each step of the first curve."""
        steps = data["curve_step"].values[0]
        return [
            *class_targets(self, self._mosaics, data.label.values, self._tiles),
            *step_targets(self, self._axes, steps[np.isfinite(steps)]),
        ]
