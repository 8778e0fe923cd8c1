"""The picture of one soft label: bars over subclasses, grouped by class, moving with the temperature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray
from matplotlib.patches import Rectangle

from explore.core.recording import require_variable
from explore.errors import InvalidInput
from explore.plotting.frame import add_caption, add_heading
from explore.plotting.picture import Picture, Target
from explore.plotting.style import BAR_GREY, LIGHT_GRID_GREY, PALETTE
from explore.subclass import label_information as bits
from explore.subclass.figures.style import (
    SHORT,
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

GAP = 0.9
"""Between classes, in bars."""


def softened(
    recordings: xarray.Dataset | Sequence[xarray.Dataset],
    temperature: float = 1.0,
    image: int = 0,
    who: str = "teacher",
    step: int | None = None,
) -> xarray.Dataset:
    """What ``Softened`` shows: one image's soft label at a temperature.

    Args:
        recordings: one recording of a subclass run.
        temperature: T > 0.
        image: which of the held-out images, from 0.
        who: "teacher" or "student".
        step: the last if left out.

    Raises:
        InvalidInput: another recording, no such image, T ≤ 0.
    """
    recording = require_variable(recordings, "student_logits", "subclass distillation")[0]
    if not 0 <= image < recording.sizes["image"]:
        raise InvalidInput(f"image must be 0 to {recording.sizes['image'] - 1}, got {image}")
    z = logits_in(frame_of(recording, step), who)[image]
    parents = recording["parent"].values
    order = grouped(parents)
    q = bits.softmax(z, temperature)
    with np.errstate(divide="ignore"):  # a class may have no probability left
        zeta = np.log(
            bits.class_sums(bits.softmax(z), parents)
        )  # the class logits, but for a constant
    data: dict[str, Any] = {
        "q": ("subclass", q[order]),
        "c": ("class", bits.class_sums(q, parents)),
        "c_of_sum": ("class", bits.softmax(zeta, temperature)),
        "temperature": ((), float(temperature)),
        "image": ((), image),
        "true": ((), int(np.flatnonzero(order == recording["image_subclass"].values[image])[0])),
        "who": ((), who),
    }
    if "picture" in recording:
        data["picture"] = (
            ("y", "x", "rgb")[: recording["picture"].ndim - 1],
            recording["picture"].values[image],
        )
    known = {
        "subclass": ("subclass", objects(names_of(recording, "subclass"))[order]),
        "parent": ("subclass", parents[order]),
        "class": ("class", objects(names_of(recording, "class"))),
    }
    return xarray.Dataset(
        data, known, attrs={"data": str(recording.attrs["config"]["data"]["name"])}
    )


class Softened(Picture):
    """An image, its soft label over subclasses, and the sums over classes behind."""

    size = (9.6, 3.7)
    title = "One soft label"

    def build(self, data: xarray.Dataset) -> None:
        """The image at the left, the bars at the right."""
        self._head = add_heading(self, 0.935)
        left = 0.02
        if "picture" in data:
            panel = self.figure.add_axes((0.02, 0.2, 0.2, 0.6))
            panel.set_axis_off()
            self._picture = self.moving(
                panel.imshow(data["picture"].values, cmap="gray", vmin=0, vmax=255)
            )
            self._true = self.moving(self.figure.text(0.12, 0.13, "", ha="center", va="center"))
            left = 0.25
        axes = self._axes = self.figure.add_axes((left + 0.06, 0.25, 0.92 - left, 0.55))
        parents = data["parent"].values
        self._at = np.arange(len(parents)) + GAP * parents
        axes.set(
            xlim=(self._at[0] - 0.75, self._at[-1] + 0.75), ylim=(0, 1.02), ylabel="probability"
        )
        names = names_of(data, "subclass")
        name_ticks(axes.xaxis, self._at, names)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.grid(axis="y", color=LIGHT_GRID_GREY, lw=0.6)
        axes.set_axisbelow(True)
        self._sums, self._bars, self._numbers, self._traps, self._sum_numbers = [], [], [], [], []
        for k, name in enumerate(names_of(data, "class")):
            members = self._at[parents == k]
            a, b = members[0] - 0.6, members[-1] + 0.6
            light: dict[str, Any] = {"fc": class_colour(k), "alpha": 0.16, "ec": "none"}
            self._sums.append(self.moving(axes.add_patch(Rectangle((a, 0), b - a, 0, **light))))
            dashes = axes.plot(
                [a, b], [0, 0], color=PALETTE["black"], ls=(0, (4, 2)), lw=1.4, zorder=3
            )[0]
            self._traps.append(self.moving(dashes))
            middle = (a + b) / 2
            look: dict[str, Any] = {
                "fontweight": "bold",
                "color": class_colour(k),
                "transform": axes.get_xaxis_transform(),
            }
            axes.text(
                middle,
                -0.13 if max(map(len, names)) <= SHORT else -0.4,
                f"class {name}",
                ha="center",
                va="top",
                **look,
            )
            number = axes.text(
                middle,
                0,
                "",
                ha="center",
                va="bottom",
                color=class_colour(k),
                fontweight="bold",
                zorder=5,
            )
            self._sum_numbers.append(self.moving(number))
        for at, k in zip(self._at, parents, strict=True):
            self._bars.append(
                self.moving(
                    axes.add_patch(
                        Rectangle((at - 0.42, 0), 0.84, 0, fc=class_colour(k), ec="none", zorder=2)
                    )
                )
            )
            self._numbers.append(
                self.moving(axes.text(at, 0, "", ha="center", va="bottom", fontsize=9, zorder=4))
            )
        handles = [Rectangle((0, 0), 1, 1, fc=BAR_GREY, ec="none"), self._traps[0]]
        texts = ["sum over the class", "softmax of the classes' logits / T"]
        self.figure.legend(handles, texts, loc="lower right", ncols=2, bbox_to_anchor=(0.99, 0.0))
        self._note = add_caption(self, left + 0.06, 0.845)

    def show(self, data: xarray.Dataset) -> None:
        """Bars, sums and the words above."""
        t, who = float(data["temperature"]), str(data["who"].values)
        self._head.set_text(
            f"What the {who} says of image {int(data['image'])}, at temperature {t:g}"
        )
        if "picture" in data:
            self._picture.set_data(data["picture"].values)
            self._true.set_text(f"labelled “{data['subclass'].values[int(data['true'])]}”")
        for bar, number, at, value in zip(
            self._bars, self._numbers, self._at, data["q"].values, strict=True
        ):
            bar.set_height(value)
            number.set_position((at, value + 0.012))
            number.set_text(f"{100 * value:.0f}" if 0.005 <= value < 0.97 else "")
        rows = (
            self._sums,
            self._traps,
            self._sum_numbers,
            data["c"].values,
            data["c_of_sum"].values,
        )
        for patch, trap, number, total, other in zip(*rows, strict=True):
            patch.set_height(total)
            trap.set_ydata([other, other])
            high = max(total, other) > 0.86  # then there is room below only
            number.set_position(
                (
                    number.get_position()[0],
                    min(total, other) - 0.02 if high else max(total, other) + 0.015,
                )
            )
            number.set_verticalalignment("top" if high else "bottom")
            trap.set_visible(abs(total - other) > 0.005)
            number.set_text(f"{total:.1%}")
        between, within = (round(value, 2) for value in _bits(data))
        self._note.set_text(
            f"{between + within:.2f} bit in this label: {between:.2f} of the class + {within:.2f} within it"
        )

    def describe(self, data: xarray.Dataset) -> str:
        """The likeliest subclasses, the classes and the bits."""
        names, q = names_of(data, "subclass"), data["q"].values
        best = ", ".join(f"{names[k]} {q[k]:.0%}" for k in np.argsort(-q)[:3])
        classes = ", ".join(
            f"{name} {c:.1%}"
            for name, c in zip(names_of(data, "class"), data["c"].values, strict=True)
        )
        between, within = _bits(data)
        return (
            f"Image {int(data['image'])} of {data.attrs['data']}, labelled {names[int(data['true'])]}: at temperature "
            f"{float(data['temperature']):g} the {data['who'].values} says {best}; classes {classes}. "
            f"{between:.2f} bit of the class and {within:.2f} within it."
        )

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        """One row a subclass."""
        import pandas

        classes = names_of(data, "class")
        rows = {
            "class": [classes[k] for k in data["parent"].values],
            "subclass": names_of(data, "subclass"),
        }
        return pandas.DataFrame({**rows, "probability": data["q"].values.round(5)})

    def targets(self, data: xarray.Dataset) -> list[Target]:
        """None: image and temperature are sliders."""
        return []


def _bits(data: xarray.Dataset) -> tuple[float, float]:
    """Entropy of the class, and what the subclass adds to it."""
    between = float(bits.entropy(data["c"].values))
    return between, float(bits.entropy(data["q"].values)) - between
