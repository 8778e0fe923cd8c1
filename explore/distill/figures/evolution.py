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

from explore.distill.catalog import METHOD_LABELS
from explore.distill.recordings import ATTENTION_MATCHING
from explore.errors import InvalidInput
from explore.plotting.frame import add_bare_axes, class_targets, step_targets
from explore.plotting.mosaic import grid_shape, mosaic, tile_box, where
from explore.plotting.picture import Picture, Target
from explore.plotting.selection import nearest_frame, selects, unrecorded_note
from explore.plotting.style import (
    FRAME_GREY,
    GRID_GREY,
    MARKERS,
    PALETTE,
    SEQUENTIAL,
    TEXT_PALETTE,
    set_title,
)

if TYPE_CHECKING:
    import pandas

SIDE_COLOURS = ("blue", "vermilion")
MAP_TITLES = {"real_attention": "real", "attention": "synthetic"}
BLOCKS = (1, 2)
LONGEST_NAME = 10
"""Characters of a class name that fit above an image."""
HEADROOM = 1.25
"""Upper limit of a map, as a factor of its brightest real pixel. Brighter noise is clipped."""


def mean_distance(recording: xarray.Dataset) -> np.ndarray:
    """Return the spatial attention distance of each frame, averaged over classes and blocks."""
    return recording.attention_distance.mean(("label", "block")).values


@selects(ATTENTION_MATCHING)
def evolution(
    recordings: Sequence[xarray.Dataset],
    step: int | None = None,
    label: str | None = None,
    by: str = "step",
) -> xarray.Dataset:
    """Select what ``Evolution`` shows: one or two recordings at a step, and the maps of one class.

    Args:
        recordings: of one or two attention-matching runs on the same data.
        step: of the first recording; by default its last. If it was not recorded, the nearest one
            is shown, and the picture says so.
        label: name of the class whose maps are shown; the first by default.
        by: the frame of the second recording: "step" (the same step) or "distance" (the first frame
            whose mean attention distance is as small as that of the first recording).

    Raises:
        InvalidInput: an unknown label or ``by``, or recordings of different data.
    """
    runs = recordings
    labels = [str(name) for name in runs[0].label.values]
    label = labels[0] if label is None else str(label)
    if label not in labels:
        raise InvalidInput(f"label must be one of {', '.join(labels)}, got {label!r}")
    if by not in ("step", "distance"):
        raise InvalidInput(f"by must be step or distance, got {by!r}")
    data = [json.dumps(run.attrs["config"]["data"], sort_keys=True) for run in runs]
    if len(runs) > 2 or len(set(data)) > 1:
        raise InvalidInput("give one recording, or two of the same data (name, options and hash)")
    curves = [mean_distance(run) for run in runs]
    indices = [nearest_frame(runs[0], step)]
    first_step = int(runs[0].step.values[indices[0]])
    if len(runs) == 2 and by == "step":
        indices.append(nearest_frame(runs[1], first_step))
    elif len(runs) == 2:
        near = np.flatnonzero(curves[1] <= curves[0][indices[0]])
        indices.append(int(near[0]) if len(near) else len(curves[1]) - 1)
    frames = [run.isel(step=index) for run, index in zip(runs, indices, strict=True)]
    length, k = max(map(len, curves)), labels.index(label)

    def stacked(values: Sequence[Any], *dims: str) -> tuple[tuple[str, ...], np.ndarray]:
        return ("side", *dims), np.stack([np.asarray(v) for v in values])

    def padded(values: np.ndarray) -> np.ndarray:
        return np.concatenate([np.asarray(values, float), np.full(length - len(values), np.nan)])

    image_dims = ("label", "y", "x", "rgb")[: frames[0]["image"].ndim - 1]
    variables: dict[str, Any] = {
        "image": stacked([f["image"].isel(copy=0).values for f in frames], *image_dims),
        "curve": stacked([padded(curve) for curve in curves], "frame"),
        "curve_step": stacked([padded(run.step.values) for run in runs], "frame"),
        "now": stacked([f.step.values for f in frames]),
        "distance": stacked([curve[i] for curve, i in zip(curves, indices, strict=True)]),
        "class_distance": stacked([f.attention_distance.values.mean(1) for f in frames], "label"),
        "class_curve": stacked(
            [padded(run.attention_distance.values[:, k].mean(1)) for run in runs], "frame"
        ),
        "chosen": ((), k),
    }
    for block in BLOCKS:
        for kind in MAP_TITLES:
            name = f"{kind}_{block}"
            if all(name in f and f[name].shape == frames[0][name].shape for f in frames):
                maps = [f[name].values[k].astype(np.float32) for f in frames]
                variables[name] = stacked(maps, f"y_{block}", f"x_{block}")
        if all(f"{kind}_{block}" in variables for kind in MAP_TITLES):
            peak = max(float(run[f"real_attention_{block}"].max()) for run in runs)
            variables[f"top_{block}"] = ((), HEADROOM * peak)
    methods = [str(run.attrs["config"]["method"]) for run in runs]
    coordinates = {
        "side": ("side", np.array([METHOD_LABELS.get(m, m) for m in methods], object)),
        "label": ("label", np.array(labels, object)),
    }
    name = str(runs[0].attrs["config"]["data"]["name"])
    classes = [run.attention_distance.mean("block").values for run in runs]
    attributes = {
        "data": name,
        "by": by,
        "copies": frames[0].sizes["copy"],
        "note": unrecorded_note(step, first_step),
        "lowest": min(float(values.min()) for values in classes),
        "highest": max(float(values.max()) for values in classes),
    }
    return xarray.Dataset(variables, coordinates, attrs=attributes)


def tile_layout(data: xarray.Dataset) -> dict[str, int]:
    """Return the layout of the mosaic: about square beside the maps of one run, else two rows."""
    count = data.sizes["label"]
    columns = grid_shape(count)[1] if data.sizes["side"] == 2 else math.ceil(math.sqrt(1.2 * count))
    return {"count": count, "height": data.sizes["y"], "width": data.sizes["x"], "columns": columns}


class Evolution(Picture):
    """Synthetic images and attention maps of one or two runs, above their distance curves."""

    size = (9.6, 5.8)
    title = "Attention while a data set is being distilled"

    def build(self, data: xarray.Dataset) -> None:
        """Create a mosaic and a row of maps for each run, above the curves."""
        self._tiles = tile_layout(data)
        self._mosaics: list[Any] = []
        self._marks: list[Any] = []
        self._titles: list[Any] = []
        self._heads: list[Any] = []
        self._images: list[dict[str, Any]] = []
        for side in range(data.sizes["side"]):
            self._build_mosaic(data, side)
            self._build_maps(data, side)
        self._build_curves(data)

    def _build_mosaic(self, data: xarray.Dataset, side: int) -> None:
        left = 0.035 + side * 0.475
        box = (left, 0.635, 0.445, 0.295) if data.sizes["side"] == 2 else (left, 0.38, 0.4, 0.55)
        axes = add_bare_axes(self, box)
        sheet = mosaic(data["image"].values[side], self._tiles["columns"])
        self._mosaics.append(self.moving(axes.imshow(sheet, cmap="gray", vmin=0, vmax=255)))
        title = set_title(axes, str(data.side.values[side]))
        title.set(fontweight="bold", color=TEXT_PALETTE[SIDE_COLOURS[side]])
        self.panel(
            ("images-left", "images-right")[side] if data.sizes["side"] > 1 else "images", axes
        )
        # Text is slow to draw. Only the numbers change, so the method's name is not in this text.
        text = axes.text(1, 1.03, "", transform=axes.transAxes, ha="right", va="bottom")
        self._titles.append(self.moving(text))
        style: dict[str, Any] = {"fill": False, "lw": 2.5, "ec": PALETTE["purple"]}
        mark = Rectangle((0, 0), data.sizes["x"], data.sizes["y"], **style)
        self._marks.append(self.furniture(self.moving(axes.add_patch(mark))))

    def _build_maps(self, data: xarray.Dataset, side: int) -> None:
        blocks = [block for block in BLOCKS if f"top_{block}" in data]
        names = ["image", *(f"{kind}_{block}" for block in blocks for kind in MAP_TITLES)]
        row: dict[str, Any] = {}
        for position, name in enumerate(names):
            if data.sizes["side"] == 2:  # all panels in one row, below the mosaic
                width = 0.445 / len(names)
                left = 0.035 + side * 0.475 + position * width
                box = (left, 0.375, width * 0.94, 0.15)
            else:  # the image, then a row of maps for each block, beside the mosaic
                column = 0 if name == "image" else 1 + (position - 1) % 2
                line = 0 if name == "image" else (position - 1) // 2
                box = (0.5 + column * 0.165, 0.665 - line * 0.3, 0.15, 0.225)
            axes = add_bare_axes(self, box)
            note = axes.text(0, 1.03, "", transform=axes.transAxes, fontsize=9, va="bottom")
            if name == "image":
                image = data["image"].values[side, 0]
                row[name] = axes.imshow(image, cmap="gray", vmin=0, vmax=255)
                self._heads.append(self.moving(note))
            else:
                # Maps of power 4 are almost one spot; a square-root scale shows the rest. The
                # limits are the same at every step.
                kind, block = name.rsplit("_", 1)
                limits = PowerNorm(0.5, 0, float(data[f"top_{block}"]))
                row[name] = axes.imshow(data[name].values[side], cmap=SEQUENTIAL, norm=limits)
                heading = f"attention, block {block}\n" if kind == "real_attention" else ""
                note.set_text(heading + MAP_TITLES[kind])
                ending = ("", ("-left", "-right")[side])[data.sizes["side"] - 1]
                self.panel(f"{MAP_TITLES[kind]}-{block}{ending}", axes)
            self.moving(row[name])
        self._images.append(row)

    def _build_curves(self, data: xarray.Dataset) -> None:
        axes = self._axes = self.figure.add_axes((0.085, 0.09, 0.885, 0.205))
        self.panel("curve", axes)
        axes.set(xscale="symlog", yscale="log", xlabel="step", ylabel="distance")
        self._curve_title = self.moving(set_title(axes, ""))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("{x:g}")
        axes.grid(color=GRID_GREY, lw=0.6)
        axes.set_xlim(-0.4, max(10, np.nanmax(data["curve_step"].values) * 1.15))
        axes.set_ylim(max(data.attrs["lowest"], 1e-6) / 1.3, max(data.attrs["highest"], 1e-5) * 1.3)
        self._curves, self._class_curves, self._points = [], [], []
        for name, colour, line in zip(data.side.values, SIDE_COLOURS, ("-", "--"), strict=False):
            style: dict[str, Any] = {"color": PALETTE[colour], "label": str(name), "ls": line}
            self._curves.append(self.moving(axes.plot([], [], **style)[0]))
            thin = {**style, "lw": 0.9, "label": None}
            self._class_curves.append(self.moving(axes.plot([], [], **thin)[0]))
            (point,) = axes.plot([], [], MARKERS[colour], color=PALETTE[colour], ms=9)
            self._points.append(self.moving(point))
        if data.sizes["side"] > 1:
            axes.legend(loc="lower left")
        note: dict[str, Any] = {"ha": "right", "va": "center", "color": FRAME_GREY}
        self._note = self.moving(self.figure.text(0.97, 0.022, "", **note))

    def show(self, data: xarray.Dataset) -> None:
        """Show images, maps and points of the current frames."""
        k = int(data["chosen"])
        name = str(data.label.values[k])
        self._curve_title.set_text(
            f"Squared distance of mean attention: mean of classes; thin: class {shortened(name)}"
        )
        self._note.set_text(data.attrs["note"])
        box = tile_box(k, **self._tiles)
        for side in range(data.sizes["side"]):
            images, distance = data["image"].values[side], data["distance"].values[side]
            self._mosaics[side].set_data(mosaic(images, self._tiles["columns"]))
            self._marks[side].set_xy(box[:2])
            step = int(data["now"].values[side])
            class_distance = float(data["class_distance"].values[side, k])
            title = f"step {step:,}; distance {distance:.3f}"
            if data.sizes["side"] > 1:
                title += f", class {shortened(name)}: {class_distance:.3f}"
            self._titles[side].set_text(title)
            alone = data.sizes["side"] == 1  # Then there is more space above the image.
            head = f"{shortened(name)}\ndistance {class_distance:.3f}" if alone else shortened(name)
            self._heads[side].set_text(head)
            for panel, artist in self._images[side].items():
                artist.set_data(images[k] if panel == "image" else data[panel].values[side])
            steps = data["curve_step"].values[side]
            self._curves[side].set_data(steps, data["curve"].values[side])
            self._class_curves[side].set_data(steps, data["class_curve"].values[side])
            self._points[side].set_data([step], [distance])

    def describe(self, data: xarray.Dataset) -> str:
        """Return step, class and distance of each run, and the place of its attention."""
        k = int(data["chosen"])
        label = str(data.label.values[k])
        parts = [data.attrs["note"].rstrip(".")] if data.attrs["note"] else []
        for side in range(data.sizes["side"]):
            quarter, share = where(data["attention_1"].values[side])
            real_quarter, real_share = where(data["real_attention_1"].values[side])
            parts.append(
                f"{data.side.values[side]} at step {int(data['now'].values[side])}: "
                f"mean attention distance {data['distance'].values[side]:.3f}, "
                f"of this class {data['class_distance'].values[side, k]:.3f}; "
                f"{share:.0%} of the synthetic attention in block 1 lies in the {quarter} quarter "
                f"(real: {real_share:.0%} in the {real_quarter})"
            )
        copies = f", first of {data.attrs['copies']} images" if data.attrs["copies"] > 1 else ""
        return f"Class {label} of {data.attrs['data']}{copies}. " + ". ".join(parts) + "."

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        """Return the distance curves; for the frames that are shown, also those of all classes."""
        import pandas

        label, rows = str(data.label.values[int(data["chosen"])]), []
        names = [str(name) for name in data.label.values]
        for side, method in enumerate(data.side.values):
            curves = (data[name].values[side] for name in ("curve_step", "curve", "class_curve"))
            for step, mean, value in zip(*curves, strict=True):
                if not np.isfinite(step):
                    continue
                row = {
                    "method": str(method),
                    "step": int(step),
                    "attention distance, mean of all classes": float(mean),
                    f"attention distance, class {label}": float(value),
                }
                if step == data["now"].values[side]:
                    distances = map(float, data["class_distance"].values[side])
                    row |= {
                        f"attention distance, class {name}": distance
                        for name, distance in zip(names, distances, strict=True)
                    }
                rows.append(row)
        return pandas.DataFrame(rows)

    def targets(self, data: xarray.Dataset) -> list[Target]:
        """Return a target for each tile (it sets the class) and each step of the first curve."""
        steps = data["curve_step"].values[0]
        return [
            *class_targets(self, self._mosaics, data.label.values, self._tiles),
            *step_targets(self, self._axes, steps[np.isfinite(steps)]),
        ]


def shortened(name: str) -> str:
    """Return a class name that fits above an image; a mark shows that its end is left out.

    Example:
        >>> shortened("Sneaker"), shortened("English springer")
        ('Sneaker', 'English s…')
    """
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"
