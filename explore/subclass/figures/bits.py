"""The picture of label bits over the temperature: one definition rises, another falls, and the labels show why."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray

from explore.core.recording import require_variable
from explore.plotting.frame import add_heading
from explore.plotting.picture import Picture, Target
from explore.plotting.style import FRAME_GREY, LIGHT_GRID_GREY, PALETTE, SEQUENTIAL, set_title
from explore.subclass import label_information as bits
from explore.subclass.figures.style import (
    HEATS,
    class_colour,
    frame_of,
    grouped,
    logits_in,
    name_ticks,
    names_of,
    objects,
)

if TYPE_CHECKING:
    import pandas

CURVES = {
    "soft": ("blue", "s", "soft: spread within a label"),
    "mutual": ("vermilion", "o", "mutual: what labels tell apart"),
}


def label_bits(
    recordings: xarray.Dataset | Sequence[xarray.Dataset],
    temperature: float = 1.0,
    who: str = "teacher",
    step: int | None = None,
) -> xarray.Dataset:
    """What ``Bits`` shows: label bits of a recorded network's held-out images over the temperature.

    Args:
        recordings: one recording of a subclass run.
        temperature: where the labels are drawn.
        who: "teacher" or "student".
        step: the last if left out.

    Raises:
        InvalidInput: another recording, T ≤ 0, a run without a teacher.
    """
    recording = require_variable(recordings, "student_logits", "subclass distillation")[0]
    z, parents = logits_in(frame_of(recording, step), who), recording["parent"].values
    found = recording["image_subclass"].values
    curves = {
        kind: [bits.label_bits(z, parents, t, kind) for t in HEATS] for kind in ("soft", "mutual")
    }  # type: ignore[arg-type]
    order, rows = grouped(parents), np.lexsort((found, parents[found]))
    q = bits.softmax(z, temperature)
    own = parents[None, :] == parents[found][:, None]
    within = np.where(own, q / (q * own).sum(1, keepdims=True), np.nan)
    data: dict[str, Any] = {
        "within": (("image", "subclass"), within[rows][:, order]),
        "temperature": ((), float(temperature)),
        "soft_now": ((), bits.label_bits(z, parents, temperature, "soft")),
        "mutual_now": ((), bits.label_bits(z, parents, temperature, "mutual")),
        "who": ((), who),
    }
    known = {
        "heat": ("heat", np.array(HEATS)),
        "soft": ("heat", np.array(curves["soft"])),
        "mutual": ("heat", np.array(curves["mutual"])),
        "subclass": ("subclass", objects(names_of(recording, "subclass"))[order]),
        "parent": ("subclass", parents[order]),
        "named": ("image", objects(names_of(recording, "subclass"))[found[rows]]),
        "class": ("class", objects(names_of(recording, "class"))),
    }
    levels = {
        "hard": bits.label_bits(found, parents, kind="hard"),
        "argmax": bits.label_bits(z, parents, kind="argmax"),
    }
    return xarray.Dataset(
        data, known, attrs={"data": str(recording.attrs["config"]["data"]["name"]), **levels}
    )


class Bits(Picture):
    """Bits over the temperature at the left; at the right the labels within their class, one row an image."""

    size = (9.6, 4.3)
    title = "Label bits"

    def build(self, data: xarray.Dataset) -> None:
        """Curves and the sheet of labels."""
        axes = self._axes = self.figure.add_axes((0.07, 0.14, 0.47, 0.7))
        top = max(
            float(np.max([data["soft"], data["mutual"]])), data.attrs["hard"], data.attrs["argmax"]
        )
        axes.set_xscale("log", base=2)
        axes.set(
            xlabel="temperature T",
            ylabel="bits per image",
            xlim=(HEATS[0] / 1.1, HEATS[-1] * 1.1),
            ylim=(-0.03 * top, 1.08 * top),
        )
        axes.set_xticks(HEATS[::2])
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter("")
        axes.grid(color=LIGHT_GRID_GREY, lw=0.6)
        for name, (colour, marker, text) in CURVES.items():
            axes.plot(
                data["heat"], data[name], color=PALETTE[colour], marker=marker, ms=4, label=text
            )
        levels = f"hard: given labels, {data.attrs['hard']:.2f}"
        axes.axhline(data.attrs["hard"], color=PALETTE["black"], ls="--", lw=1.2, label=levels)
        text = f"argmax: the likeliest, {data.attrs['argmax']:.2f}"
        axes.axhline(data.attrs["argmax"], color=PALETTE["grey"], lw=5, alpha=0.35, label=text)
        axes.legend(loc="center right", handlelength=1.6)
        self._line = self.moving(axes.axvline(1, color=FRAME_GREY, lw=1))
        look: dict[str, Any] = {"ms": 11, "mfc": "none", "mew": 2, "ls": ""}
        self._points = {
            name: self.moving(axes.plot([], [], marker, mec=PALETTE[colour], **look)[0])
            for name, (colour, marker, _) in CURVES.items()
        }
        self._head = add_heading(self, 0.94)
        sheet = self.figure.add_axes((0.615, 0.14, 0.275, 0.7))
        self._sheet = self.moving(
            sheet.imshow(data["within"].values, cmap=SEQUENTIAL, vmin=0, vmax=1, aspect="auto")
        )
        names, parents = names_of(data, "subclass"), data["parent"].values
        name_ticks(sheet.xaxis, range(len(names)), names)
        rows = names_of(data, "named")
        starts = [k for k, name in enumerate(rows) if k == 0 or name != rows[k - 1]]
        middles = [(a + b - 1) / 2 for a, b in itertools.pairwise([*starts, len(rows)])]
        sheet.set_yticks(middles, [rows[k] for k in starts])
        sheet.tick_params(length=0)
        sheet.set(xlabel="subclass", ylabel="images, by subclass")
        set_title(sheet, "labels within their class (white: the other)")
        for tick, k in zip(sheet.get_xticklabels(), parents, strict=True):
            tick.set_color(class_colour(int(k)))
        bar = self.figure.colorbar(self._sheet, cax=self.figure.add_axes((0.905, 0.14, 0.014, 0.7)))
        bar.set_ticks([0, 0.5, 1], labels=["0", "½", "1"])
        bar.set_label("share of the class", labelpad=2)

    def show(self, data: xarray.Dataset) -> None:
        """The line, the points and the labels."""
        t = float(data["temperature"])
        self._line.set_xdata([t, t])
        for name, point in self._points.items():
            point.set_data([t], [float(data[f"{name}_now"])])
        self._sheet.set_data(data["within"].values)
        numbers = (
            f"soft {float(data['soft_now']):.2f} bit, mutual {float(data['mutual_now']):.2f} bit"
        )
        self._head.set_text(f"The {data['who'].values}'s labels at T = {t:g}: {numbers}")

    def describe(self, data: xarray.Dataset) -> str:
        """Both numbers at this temperature, and the levels."""
        soft, mutual = data["soft"].values, data["mutual"].values
        return (
            f"Label bits of the {data['who'].values} on {data.attrs['data']} at temperature {float(data['temperature']):g}: "
            f"soft {float(data['soft_now']):.3f}, mutual {float(data['mutual_now']):.3f}; "
            f"hard labels have {data.attrs['hard']:.3f}, the argmax {data.attrs['argmax']:.3f}. Over the temperature soft rises "
            f"from {soft[0]:.2f} to {soft[-1]:.2f}, mutual falls from {mutual[0]:.2f} to {mutual[-1]:.2f}."
        )

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        """The curves."""
        import pandas

        rows = {name: data[name].values.round(5) for name in ("soft", "mutual")}
        levels = {"hard": round(data.attrs["hard"], 5), "argmax": round(data.attrs["argmax"], 5)}
        return pandas.DataFrame({"temperature": data["heat"].values.round(4), **rows, **levels})

    def targets(self, data: xarray.Dataset) -> list[Target]:
        """Each marker's temperature can be chosen."""
        low, high = self._axes.get_ylim()
        root = 2**0.25
        return [
            Target(
                *self.box(self._axes, t / root, high, t * root, low),
                f"temperature {t:.3g}",
                {"temperature": t},
            )
            for t in data["heat"].values.tolist()
        ]
