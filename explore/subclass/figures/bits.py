"""The picture of label bits over the temperature: soft bits rise, mutual bits fall."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray

from explore.core.validation import check_number
from explore.plotting.frame import add_heading
from explore.plotting.picture import Picture, Target
from explore.plotting.selection import selects
from explore.plotting.style import (
    FRAME_GREY,
    LIGHT_GRID_GREY,
    PALETTE,
    SEQUENTIAL,
    set_title,
    text_colour,
)
from explore.subclass import label_information
from explore.subclass.figures.style import (
    TEMPERATURE_GRID,
    as_objects,
    class_colour,
    names_of,
    order_by_class,
    select_frame,
    set_name_ticks,
    subclass_logits,
)
from explore.subclass.recordings import TRAINING

if TYPE_CHECKING:
    import pandas

CURVES = {
    "soft": ("blue", "s", "soft: spread within a label"),
    "mutual": ("vermilion", "o", "mutual: what labels tell apart"),
}
"""Colour, marker and legend of each curve."""


@selects(TRAINING, most=1)
def label_bits(
    recordings: Sequence[xarray.Dataset],
    temperature: float = 1.0,
    who: str = "teacher",
    step: int | None = None,
) -> xarray.Dataset:
    """Return the data of ``Bits``: label bits of the held-out images over the temperature.

    Args:
        recordings: one recording of a subclass run.
        temperature: at which the labels are shown.
        who: "teacher" or "student".
        step: the last by default.

    Raises:
        InvalidInput: another kind of recording, T ≤ 0, or a run without a teacher.
    """
    (recording,) = recordings
    temperature = check_number("temperature", temperature, above=0)
    z, parents = subclass_logits(select_frame(recording, step), who), recording["parent"].values
    subclasses = recording["image_subclass"].values
    subclass_names = as_objects(names_of(recording, "subclass"))
    order, rows = order_by_class(parents), np.lexsort((subclasses, parents[subclasses]))
    q = label_information.softmax(z, temperature)
    in_class = parents[None, :] == parents[subclasses][:, None]
    shares = np.where(in_class, q / (q * in_class).sum(1, keepdims=True), np.nan)
    data: dict[str, Any] = {
        "share": (("image", "subclass"), shares[rows][:, order]),
        "temperature": ((), float(temperature)),
        "who": ((), who),
    }
    coordinates = {
        "grid": ("grid", np.array(TEMPERATURE_GRID)),
        "subclass": ("subclass", subclass_names[order]),
        "parent": ("subclass", parents[order]),
        "image_subclass": ("image", subclass_names[subclasses[rows]]),
        "class": ("class", as_objects(names_of(recording, "class"))),
    }
    for kind in CURVES:
        now, *curve = (
            label_information.label_bits(z, parents, t, kind)  # type: ignore[arg-type]
            for t in (temperature, *TEMPERATURE_GRID)
        )
        data[f"{kind}_now"], coordinates[kind] = ((), now), ("grid", np.array(curve))
    attrs = {
        "data": str(recording.attrs["config"]["data"]["name"]),
        "hard": label_information.label_bits(subclasses, parents, kind="hard"),
        "argmax": label_information.label_bits(z, parents, kind="argmax"),
    }
    return xarray.Dataset(data, coordinates, attrs=attrs)


class Bits(Picture):
    """Bits over the temperature at the left, and the labels within their class at the right."""

    size = (9.6, 4.3)
    title = "Label bits"

    def build(self, data: xarray.Dataset) -> None:
        """Draw the curves, and the labels as an image with one row for each sample."""
        self._head = add_heading(self, 0.94)
        self._build_curves(data)
        axes = self.figure.add_axes((0.615, 0.14, 0.275, 0.7))
        self._labels = self.moving(
            axes.imshow(data["share"].values, cmap=SEQUENTIAL, vmin=0, vmax=1, aspect="auto")
        )
        names, rows = names_of(data, "subclass"), names_of(data, "image_subclass")
        set_name_ticks(axes.xaxis, range(len(names)), names)
        starts = [k for k, name in enumerate(rows) if k == 0 or name != rows[k - 1]]
        middles = [(a + b - 1) / 2 for a, b in itertools.pairwise([*starts, len(rows)])]
        axes.set_yticks(middles, [rows[k] for k in starts])
        axes.tick_params(length=0)
        axes.set(xlabel="subclass", ylabel="images, by subclass")
        set_title(axes, "labels within their class (empty: the other)")
        for tick, k in zip(axes.get_xticklabels(), data["parent"].values, strict=True):
            tick.set_color(text_colour(class_colour(int(k))))
        bar_axes = self.figure.add_axes((0.905, 0.14, 0.014, 0.7))
        self.panel("labels", axes, bar_axes)
        bar = self.figure.colorbar(self._labels, cax=bar_axes)
        bar.set_ticks([0, 0.5, 1], labels=["0", "½", "1"])
        bar.set_label("share of the class", labelpad=2)

    def _build_curves(self, data: xarray.Dataset) -> None:
        axes = self._axes = self.figure.add_axes((0.07, 0.14, 0.47, 0.7))
        self.panel("curves", axes)
        hard, argmax = data.attrs["hard"], data.attrs["argmax"]
        top = max(float(np.max([data["soft"], data["mutual"]])), hard, argmax)
        axes.set_xscale("log", base=2)
        axes.set(xlabel="temperature T", ylabel="bits per image", ylim=(-0.03 * top, 1.08 * top))
        axes.set_xlim(TEMPERATURE_GRID[0] / 1.1, TEMPERATURE_GRID[-1] * 1.1)
        axes.set_xticks(TEMPERATURE_GRID[::2])
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter("")
        axes.grid(color=LIGHT_GRID_GREY, lw=0.6)
        self._points = {}
        for name, (key, marker, text) in CURVES.items():
            colour = PALETTE[key]
            axes.plot(data["grid"], data[name], color=colour, marker=marker, ms=4, label=text)
        text = f"hard: given labels, {hard:.2f}"
        axes.axhline(hard, color=PALETTE["black"], ls="--", lw=1.2, label=text)
        text = f"argmax: the likeliest, {argmax:.2f}"
        axes.axhline(argmax, color=PALETTE["grey"], lw=5, alpha=0.35, label=text)
        axes.legend(loc="center right", handlelength=1.6)
        self._line = self.moving(axes.axvline(1, color=FRAME_GREY, lw=1))
        for name, (key, marker, _) in CURVES.items():
            style: dict[str, Any] = {"ms": 11, "mfc": "none", "mew": 2, "mec": PALETTE[key]}
            self._points[name] = self.moving(axes.plot([], [], marker, ls="", **style)[0])

    def show(self, data: xarray.Dataset) -> None:
        """Move the line and the points, and update the labels."""
        t = float(data["temperature"])
        self._line.set_xdata([t, t])
        for name, point in self._points.items():
            point.set_data([t], [float(data[f"{name}_now"])])
        self._labels.set_data(data["share"].values)
        soft, mutual = float(data["soft_now"]), float(data["mutual_now"])
        self._head.set_text(
            f"The {data['who'].values}'s labels at T = {t:g}: "
            f"soft {soft:.2f} bit, mutual {mutual:.2f} bit"
        )

    def describe(self, data: xarray.Dataset) -> str:
        """Give all four numbers, and the range of both curves."""
        soft, mutual = data["soft"].values, data["mutual"].values
        return (
            f"Label bits of the {data['who'].values} on {data.attrs['data']} "
            f"at temperature {float(data['temperature']):g}: "
            f"soft {float(data['soft_now']):.3f}, mutual {float(data['mutual_now']):.3f}; "
            f"hard labels have {data.attrs['hard']:.3f}, the argmax {data.attrs['argmax']:.3f}. "
            f"Over the temperature soft rises from {soft[0]:.2f} to {soft[-1]:.2f}, "
            f"mutual falls from {mutual[0]:.2f} to {mutual[-1]:.2f}."
        )

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        """Return the curves."""
        import pandas

        rows = {f"{name} label bits": data[name].values.round(5) for name in CURVES}
        levels = {f"{name} label bits": round(data.attrs[name], 5) for name in ("hard", "argmax")}
        return pandas.DataFrame({"temperature T": data["grid"].values.round(4), **rows, **levels})

    def targets(self, data: xarray.Dataset) -> list[Target]:
        """Return one target for each temperature of the curves."""
        low, high = self._axes.get_ylim()
        ratio = 2**0.25
        return [
            Target(
                *self.box(self._axes, t / ratio, high, t * ratio, low),
                f"temperature {t:.3g}",
                {"temperature": t},
            )
            for t in data["grid"].values.tolist()
        ]


def changes_of_bits(data: xarray.Dataset) -> str:
    """Return in words how the bits change from the lowest temperature to the highest."""
    changes = {name: data[name].values[-1] - data[name].values[0] for name in ("soft", "mutual")}
    words = [f"{name} {'rises' if change > 0 else 'falls'}" for name, change in changes.items()]
    return f"{', '.join(words)}; hard and argmax stay the same"
