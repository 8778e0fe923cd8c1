"""Pictures of attention matching: a recorded run or two side by side, and networks that never learnt."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray
from matplotlib.colors import PowerNorm
from matplotlib.patches import Rectangle
from matplotlib.ticker import LogLocator

from explore.errors import InvalidInput
from explore.plotting.mosaic import grid_shape, mosaic, tile_box, where
from explore.plotting.picture import Picture, Target
from explore.plotting.style import MARKERS, PALETTE, SEQUENTIAL, set_title

if TYPE_CHECKING:
    import pandas

NAMES = {"dm": "DM", "datadam": "DataDAM", "channel": "channel only", "atom": "ATOM"}
SIDES = ("blue", "vermilion")
MAPS = (("real_attention", "real"), ("attention", "synthetic"))
HEADROOM = 1.25
"""Maps are drawn up to the brightest real pixel times this; what noise outshines it by in the first steps is clipped."""


def name_of(recording: xarray.Dataset) -> str:
    """How a recording's method is called in pictures."""
    method = str(recording.attrs["config"]["method"])
    return NAMES.get(method, method)


def mean_distance(recording: xarray.Dataset) -> np.ndarray:
    """Spatial attention distance, mean over classes and blocks, one number a frame."""
    return recording.attention_distance.mean(("label", "block")).values


def frame_at(recording: xarray.Dataset, step: int) -> int:
    """Index of the last frame at or before ``step`` (the first one if there is none)."""
    return max(0, int(np.searchsorted(recording.step.values, step, side="right")) - 1)


def _of(recordings: xarray.Dataset | Sequence[xarray.Dataset], variable: str, what: str) -> list[xarray.Dataset]:
    """The recordings as a list, each of which must hold ``variable``."""
    given = [recordings] if isinstance(recordings, xarray.Dataset) else list(recordings)
    for recording in given:
        if variable not in recording:
            raise InvalidInput(
                f"expected a recording of {what}; this one, of {recording.attrs.get('name')!r}, holds no {variable}"
            )
    return given


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
    given = _of(recordings, "attention_distance", "an attention-matching run")
    labels = [str(name) for name in given[0].label.values]
    label = labels[0] if label is None else str(label)
    if label not in labels or by not in ("step", "distance"):
        raise InvalidInput(f"label {label!r} by {by!r}: label must be one of {', '.join(labels)}; by must be step or distance")
    if len(given) > 2 or any(r.sizes["y"] != given[0].sizes["y"] or list(map(str, r.label.values)) != labels for r in given):
        raise InvalidInput("give one recording, or two of the same data")
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
        "image": stacked([f["image"].isel(copy=0).values for f in now], ("label", "y", "x", "rgb")[: now[0]["image"].ndim - 1]),
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
            if name in now[0]:
                data[name] = stacked([f[name].values[k].astype(np.float32) for f in now], (f"y_{block}", f"x_{block}"))
        if f"real_attention_{block}" in data:
            data[f"top_{block}"] = ((), HEADROOM * max(float(r[f"real_attention_{block}"].max()) for r in given))
    known = {"side": ("side", np.array([name_of(r) for r in given], object)), "label": ("label", np.array(labels, object))}
    return xarray.Dataset(data, known, attrs={"data": str(given[0].attrs["config"]["data"]["name"]), "by": by})


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
        panels = ["image", *(f"{kind}_{block}" for block in (1, 2) for kind, _ in MAPS if f"{kind}_{block}" in data)]
        for side in range(sides):
            left = 0.035 + side * 0.475
            span = 0.445 if sides == 2 else 0.4
            axes = self.figure.add_axes((left, 0.635, span, 0.295) if sides == 2 else (left, 0.38, span, 0.55))
            sheet = mosaic(data["image"].values[side], self._tiles["columns"])
            self._mosaics.append(self.moving(axes.imshow(sheet, cmap="gray", vmin=0, vmax=255)))
            axes.set_axis_off()
            axes.set_anchor("NW")
            self._titles.append(self.moving(set_title(axes, "")))
            self._titles[-1].set(fontweight="bold", color=PALETTE[SIDES[side]])
            mark = Rectangle((0, 0), data.sizes["x"], data.sizes["y"], fill=False, lw=2.5, ec=PALETTE["vermilion"])
            self._marks.append(self.moving(axes.add_patch(mark)))
            row: dict[str, Any] = {}
            for place, name in enumerate(panels):
                if sides == 2:
                    each = span / len(panels)
                    panel = self.figure.add_axes((left + place * each, 0.375, each * 0.94, 0.15))
                else:  # the picture, then a row of maps for each block
                    across, down = (0, 0) if name == "image" else (1 + (place - 1) % 2, (place - 1) // 2)
                    panel = self.figure.add_axes((0.5 + across * 0.165, 0.665 - down * 0.3, 0.15, 0.225))
                panel.set_axis_off()
                panel.set_anchor("NW")
                if name == "image":
                    row[name] = panel.imshow(data["image"].values[side, 0], cmap="gray", vmin=0, vmax=255)
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
        self._axes.set_title("Squared distance between real and synthetic mean attention, over classes and blocks")
        self._axes.xaxis.set_major_formatter("{x:g}")
        self._axes.yaxis.set_minor_locator(LogLocator(subs=(2, 3, 5)))
        for which in (self._axes.yaxis.set_major_formatter, self._axes.yaxis.set_minor_formatter):
            which("{x:g}")
        self._axes.grid(color="#dddddd", lw=0.6)
        self._axes.set_xlim(-0.4, max(10, np.nanmax(data["curve_step"].values) * 1.15))
        low, high = np.nanmin(data["curve"].values), np.nanmax(data["curve"].values)
        self._axes.set_ylim(max(low, 1e-6) / 1.6, high * 1.6)
        self._curves, self._points = [], []
        for side in range(sides):
            colour = SIDES[side]
            style: dict[str, Any] = {"color": PALETTE[colour], "label": str(data.side.values[side]), "ls": ("-", "--")[side]}
            self._curves.append(self.moving(self._axes.plot([], [], **style)[0]))
            self._points.append(self.moving(self._axes.plot([], [], MARKERS[colour], color=PALETTE[colour], ms=9)[0]))
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
            self._titles[side].set_text(f"{data.side.values[side]}, step {now:,}: distance {data['distance'].values[side]:.3f}")
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
        return f"Class {chosen} of {data.attrs['data']}. " + ". ".join(parts) + "."

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
            for step, value in zip(data["curve_step"].values[side], data["curve"].values[side], strict=True)
            if np.isfinite(step)
        ]
        return pandas.DataFrame(rows)

    def targets(self, data: xarray.Dataset) -> list[Target]:
        """Each tile chooses its class, each point of the first curve its step."""
        found = []
        for artist in self._mosaics:
            for index, name in enumerate(data.label.values):
                box = tile_box(index, **self._tiles)
                found.append(Target(*self.box(artist.axes, *box), f"class {name}", {"label": str(name)}))
        steps = data["curve_step"].values[0]
        steps = steps[np.isfinite(steps)]
        x = self._axes.transData.transform(np.column_stack([steps, np.full(len(steps), data["distance"].values[0])]))[:, 0]
        edges = np.concatenate([[x[0] - 5], (x[1:] + x[:-1]) / 2, [x[-1] + 5]]) / self.figure.bbox.width
        low, high = self._axes.get_position().y0, self._axes.get_position().y1
        found += [
            Target(float(edges[i]), 1 - high, float(edges[i + 1]), 1 - low, f"step {int(step)}", {"step": int(step)})
            for i, step in enumerate(steps)
        ]
        return found


def untrained(
    recordings: xarray.Dataset | Sequence[xarray.Dataset],
    network: int | None = None,
    power: float = 1.0,
    label: str | None = None,
) -> xarray.Dataset:
    """What ``Untrained`` shows: one network of a survey at one power, with one image looked at closely.

    Args:
        recordings: one recording of the method "untrained".
        network: which of its networks (its "step"); the first if left out.
        power: of the attention map; one of those recorded.
        label: class of the image to look at; the first if left out.

    Raises:
        InvalidInput: network, power or label was not recorded.
    """
    recording = _of(recordings, "example_attention_1", 'the method "untrained"')[0]
    labels, steps = [str(name) for name in recording.label.values], recording.step.values.tolist()
    network, label = steps[0] if network is None else network, labels[0] if label is None else str(label)
    powers = recording.power.values.tolist()
    if network not in steps or power not in powers or label not in labels:
        raise InvalidInput(f"network {network}, power {power}, label {label!r}: recorded are {steps}, {powers} and {labels}")
    frame, k = recording.isel(step=steps.index(network)), labels.index(label)
    at = powers.index(power)
    return xarray.Dataset(
        {
            "attention": (("label", "y_1", "x_1"), frame["attention_1"].values[at].astype(np.float32)),
            "example_attention": (("y_1", "x_1"), frame["example_attention_1"].values[at, k].astype(np.float32)),
            "example": (("y", "x", "rgb")[: frame["example"].ndim - 1], frame["example"].values[k]),
            "accuracy": ("power", frame["accuracy"].values[:, 0]),
            "chosen": ((), k),
            "at": ((), at),
            "network": ((), network),
        },
        {"power": ("power", recording.power.values), "label": ("label", np.array(labels, object))},
        attrs={"data": str(recording.attrs["config"]["data"]["name"]), "images": int(recording.attrs["config"]["images"])},
    )


class Untrained(Picture):
    """Class-mean attention of one untrained network, one image through it, and how far the nearest map classifies."""

    size = (9.6, 3.4)
    title = "Attention of networks that never learnt"

    def build(self, data: xarray.Dataset) -> None:
        """Mosaic of class means, one image with its map, accuracy over the power."""
        self._head = self.moving(self.figure.text(0.035, 0.94, "", fontsize=12, fontweight="bold", va="center"))
        axes = self.figure.add_axes((0.035, 0.16, 0.40, 0.61))
        axes.set_axis_off()
        axes.set_anchor("NW")
        set_title(axes, "Class-mean attention maps (click one)")
        self._means = self.moving(axes.imshow(self._sheet(data), cmap=SEQUENTIAL, norm=PowerNorm(0.5, 0, 1)))
        self._mark = self.moving(
            axes.add_patch(Rectangle((0, 0), data.sizes["x_1"], data.sizes["y_1"], fill=False, lw=2.5, ec=PALETTE["vermilion"]))
        )
        self._panels = []
        for place, (name, title) in enumerate((("example", "one image"), ("example_attention", "its attention"))):
            panel = self.figure.add_axes((0.465 + place * 0.135, 0.36, 0.125, 0.41))
            panel.set_axis_off()
            panel.set_anchor("NW")
            set_title(panel, title)
            look: dict[str, Any] = (
                {"cmap": "gray", "vmin": 0, "vmax": 255}
                if name == "example"
                else {"cmap": SEQUENTIAL, "norm": PowerNorm(0.5, 0, 1)}
            )
            self._panels.append((name, self.moving(panel.imshow(data[name].values, **look))))
        self._axes = self.figure.add_axes((0.79, 0.16, 0.19, 0.61))
        self._axes.set(xlabel="power p of the map", ylim=(0, 1), xticks=data.power.values)
        self._axes.xaxis.set_major_formatter("{x:g}")
        self._axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        self._axes.set_title("images named right")
        chance = 1 / data.sizes["label"]
        self._axes.axhline(chance, color=PALETTE["grey"], lw=1.2, ls="--")
        self._axes.text(data.power.values[-1], chance + 0.02, "chance", ha="right", fontsize=9, color=PALETTE["grey"])
        self._axes.grid(axis="y", color="#dddddd", lw=0.6)
        self._axes.set_xlim(data.power.values[0] - 0.6, data.power.values[-1] + 0.6)
        self._curve = self.moving(self._axes.plot([], [], "o-", color=PALETTE["blue"], ms=5)[0])
        self._point = self.moving(self._axes.plot([], [], "s", color=PALETTE["vermilion"], ms=10)[0])

    def show(self, data: xarray.Dataset) -> None:
        """Each map from 0 to its own peak: what counts is where it is bright."""
        chosen, at = int(data["chosen"]), int(data["at"])
        self._head.set_text(
            f"Network {int(data['network'])}, never trained: by the nearest of its mean maps "
            f"it names {float(data['accuracy'][at]):.0%} of {data.attrs['images']:,} images"
        )
        self._means.set_data(self._sheet(data))
        self._mark.set_xy(tile_box(chosen, data.sizes["label"], data.sizes["y_1"], data.sizes["x_1"])[:2])
        for name, artist in self._panels:
            values = data[name].values
            artist.set_data(values / values.max() if name == "example_attention" and values.max() > 0 else values)
        self._curve.set_data(data.power.values, data["accuracy"].values)
        self._point.set_data([data.power.values[at]], [data["accuracy"].values[at]])

    def describe(self, data: xarray.Dataset) -> str:
        """Accuracy at this power and where the looked-at map lies."""
        chosen, at = int(data["chosen"]), int(data["at"])
        quarter, share = where(data["attention"].values[chosen])
        return (
            f"Untrained network {int(data['network'])} on {data.attrs['data']}, power {data.power.values[at]:g}: "
            f"the nearest class-mean map names {float(data['accuracy'][at]):.0%} of {data.attrs['images']} images. "
            f"Class {data.label.values[chosen]}: {share:.0%} of the mean attention lies in the {quarter} quarter."
        )

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        """Accuracy at each power."""
        import pandas

        return pandas.DataFrame({"power": data.power.values, "accuracy": data["accuracy"].values.astype(float).round(4)})

    def targets(self, data: xarray.Dataset) -> list[Target]:
        """Each map chooses its class, each point its power."""
        found = []
        for index, name in enumerate(data.label.values):
            box = tile_box(index, data.sizes["label"], data.sizes["y_1"], data.sizes["x_1"])
            found.append(Target(*self.box(self._means.axes, *box), f"class {name}", {"label": str(name)}))
        for power in data.power.values:
            found.append(
                Target(*self.box(self._axes, power - 0.5, 0, power + 0.5, 1), f"power {power:g}", {"power": float(power)})
            )
        return found

    def _sheet(self, data: xarray.Dataset) -> np.ndarray:
        maps = data["attention"].values
        peaks = maps.max((1, 2), keepdims=True)
        return mosaic(maps / np.where(peaks > 0, peaks, 1), grid_shape(data.sizes["label"])[1])


class Accuracies(Picture):
    """Test accuracy of networks trained on each of several small sets: every network, mean and standard deviation."""

    size = (9.6, 2.6)
    title = "Accuracy of networks trained on each set"

    def build(self, data: xarray.Dataset) -> None:
        """One row a set."""
        names = [str(name) for name in data.set.values]
        axes = self.figure.add_axes((0.2, 0.2, 0.68, 0.62))
        axes.set_title(
            f"Test accuracy on {data.attrs['data']} ({data.attrs['images']:,} images), {data.sizes['network']} networks a row"
        )
        axes.set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.5, -0.5), xlim=(0, 1))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.grid(axis="x", color="#dddddd", lw=0.6)
        self._dots = self.moving(axes.plot([], [], "o", color=PALETTE["blue"], ms=5, alpha=0.7)[0])
        self._means = self.moving(axes.plot([], [], "|", color=PALETTE["black"], ms=16, mew=2)[0])
        self._texts = [
            self.moving(axes.text(1.02, row, "", va="center", transform=axes.get_yaxis_transform())) for row in range(len(names))
        ]

    def show(self, data: xarray.Dataset) -> None:
        """Dots, means and their numbers."""
        values = data["accuracy"].values
        rows = np.repeat(np.arange(len(values)), values.shape[1])
        self._dots.set_data(values.ravel(), rows)
        self._means.set_data([np.nanmean(v) if np.isfinite(v).any() else np.nan for v in values], range(len(values)))
        for text, row in zip(self._texts, values, strict=True):
            text.set_text(_mean_and_spread(row))

    def describe(self, data: xarray.Dataset) -> str:
        """Every mean and standard deviation."""
        rows = [f"{name}: {_mean_and_spread(v)}" for name, v in zip(data.set.values, data["accuracy"].values, strict=True)]
        return f"Test accuracy on {data.attrs['data']}, mean ± standard deviation over networks. " + "; ".join(rows) + "."

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        """One row a network."""
        import pandas

        frame = pandas.DataFrame(data["accuracy"].values.T.astype(float), columns=[str(name) for name in data.set.values])
        frame.insert(0, "network", range(len(frame)))
        return frame


def _mean_and_spread(values: np.ndarray) -> str:
    known = values[np.isfinite(values)]
    if not len(known):
        return "not measured"
    spread = f" ± {100 * known.std(ddof=1):.1f}" if len(known) > 1 else ""
    return f"{100 * known.mean():.1f}{spread} %"
