"""The picture of one soft label: bars over subclasses, grouped by class, at a temperature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray
from matplotlib.legend_handler import HandlerTuple
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from explore.core.validation import check_number, check_whole_number
from explore.errors import InvalidInput
from explore.plotting.frame import add_caption, add_heading
from explore.plotting.picture import Picture, Target
from explore.plotting.selection import selects
from explore.plotting.style import LIGHT_GRID_GREY, PALETTE, text_colour
from explore.subclass import label_information
from explore.subclass.figures.style import (
    LONGEST_SHORT_NAME,
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

CLASS_GAP = 0.9
"""Distance between classes, in bars."""

HIGHEST_SUM, NUMBER_HEIGHT = 0.92, 0.11
"""Above this sum there is no space for its number, which has this height, in probabilities."""


@selects(TRAINING, most=1)
def softened(
    recordings: Sequence[xarray.Dataset],
    temperature: float = 1.0,
    image: int = 0,
    who: str = "teacher",
    step: int | None = None,
) -> xarray.Dataset:
    """Return the data of ``Softened``: the soft label of one image at a temperature.

    Args:
        recordings: one recording of a subclass run.
        temperature: T > 0.
        image: index of the held-out image, from 0.
        who: "teacher" or "student".
        step: the last by default.

    Raises:
        InvalidInput: another kind of recording, no such image, or T ≤ 0.
    """
    (recording,) = recordings
    temperature = check_number("temperature", temperature, above=0)
    image = check_whole_number("image", image)
    if not 0 <= image < recording.sizes["image"]:
        raise InvalidInput(f"image must be 0 to {recording.sizes['image'] - 1}, got {image}")
    z = subclass_logits(select_frame(recording, step), who)[image]
    parents = recording["parent"].values
    order = order_by_class(parents)
    q = label_information.softmax(z, temperature)
    class_sums = label_information.class_sums(label_information.softmax(z), parents)
    with np.errstate(divide="ignore"):  # a class may have the probability 0
        class_logits = np.log(class_sums)  # up to a constant
    true = np.flatnonzero(order == recording["image_subclass"].values[image])[0]
    data: dict[str, Any] = {
        "q": ("subclass", q[order]),
        "c": ("class", label_information.class_sums(q, parents)),
        "c_of_sum": ("class", label_information.softmax(class_logits, temperature)),
        "temperature": ((), float(temperature)),
        "image": ((), image),
        "true": ((), int(true)),
        "who": ((), who),
    }
    if "picture" in recording:
        pixels = recording["picture"].values[image]
        data["picture"] = (("y", "x", "rgb")[: pixels.ndim], pixels)
    coordinates = {
        "subclass": ("subclass", as_objects(names_of(recording, "subclass"))[order]),
        "parent": ("subclass", parents[order]),
        "class": ("class", as_objects(names_of(recording, "class"))),
    }
    attrs = {"data": str(recording.attrs["config"]["data"]["name"])}
    return xarray.Dataset(data, coordinates, attrs=attrs)


class Softened(Picture):
    """An image, its soft label over subclasses, and the sums over classes behind the bars."""

    size = (9.6, 3.7)
    title = "One soft label"

    def build(self, data: xarray.Dataset) -> None:
        """Draw the image at the left and the bars at the right."""
        self._head = add_heading(self, 0.935)
        left = 0.02
        if "picture" in data:
            panel = self.figure.add_axes((0.02, 0.2, 0.2, 0.6))
            panel.set_axis_off()
            self.panel("image", panel)
            image = panel.imshow(data["picture"].values, cmap="gray", vmin=0, vmax=255)
            self._picture = self.moving(image)
            self._true = self.moving(self.figure.text(0.12, 0.13, "", ha="center", va="center"))
            left = 0.25
        axes = self._axes = self.figure.add_axes((left + 0.06, 0.25, 0.92 - left, 0.55))
        self.panel("bars", axes)
        parents, names = data["parent"].values, names_of(data, "subclass")
        self._x = np.arange(len(parents)) + CLASS_GAP * parents
        axes.set(xlim=(self._x[0] - 0.75, self._x[-1] + 0.75), ylim=(0, 1.02), ylabel="probability")
        set_name_ticks(axes.xaxis, self._x, names)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.grid(axis="y", color=LIGHT_GRID_GREY, lw=0.6)
        axes.set_axisbelow(True)
        self._sums, self._dashes, self._sum_numbers = [], [], []
        label_y = -0.13 if max(map(len, names)) <= LONGEST_SHORT_NAME else -0.4
        for k, name in enumerate(names_of(data, "class")):
            members = self._x[parents == k]
            a, b = members[0] - 0.6, members[-1] + 0.6
            fill: dict[str, Any] = {"fc": class_colour(k), "alpha": 0.16, "ec": "none"}
            self._sums.append(self.moving(axes.add_patch(Rectangle((a, 0), b - a, 0, **fill))))
            dashes: dict[str, Any] = {"color": PALETTE["black"], "ls": (0, (4, 2)), "lw": 1.4}
            self._dashes.append(self.moving(axes.plot([a, b], [0, 0], zorder=3, **dashes)[0]))
            colour = text_colour(class_colour(k))
            style: dict[str, Any] = {"ha": "center", "color": colour, "fontweight": "bold"}
            middle, transform = (a + b) / 2, axes.get_xaxis_transform()
            axes.text(middle, label_y, f"class {name}", va="top", transform=transform, **style)
            number = axes.text(middle, 0, "", va="bottom", zorder=5, **style)
            self._sum_numbers.append(self.moving(number))
        self._bars, self._numbers = [], []
        for x, k in zip(self._x, parents, strict=True):
            bar = Rectangle((x - 0.42, 0), 0.84, 0, fc=class_colour(k), ec="none", zorder=2)
            number = axes.text(x, 0, "", ha="center", va="bottom", fontsize=9, zorder=4)
            self._bars.append(self.moving(axes.add_patch(bar)))
            self._numbers.append(self.moving(number))
        self._build_legend(data)
        self._note = add_caption(self, left + 0.06, 0.845)

    def _build_legend(self, data: xarray.Dataset) -> None:
        """Explain the boxes, and the dashes: these only while there are any."""
        boxes = tuple(
            Rectangle((0, 0), 1, 1, fc=class_colour(k), alpha=0.3, ec="none")
            for k in range(min(2, data.sizes["class"]))
        )
        options: dict[str, Any] = {"handler_map": {tuple: HandlerTuple(None, 0)}}
        place: dict[str, Any] = {"loc": "lower right", "bbox_to_anchor": (0.7, 0.0)}
        handles: list[Any] = [boxes]
        self.figure.legend(handles, ["sum over the class (number)"], **place, **options)
        style: dict[str, Any] = {"color": PALETTE["black"], "ls": (0, (4, 2)), "lw": 1.4}
        line = Line2D([0.705, 0.735], [0.045, 0.045], **style)
        self._dash_legend = [
            self.moving(self.figure.add_artist(line)),
            self.moving(
                self.figure.text(
                    0.742, 0.045, "softmax of the classes' logits / T", fontsize=9, va="center"
                )
            ),
        ]

    def show(self, data: xarray.Dataset) -> None:
        """Update the image, the bars, the sums and the texts."""
        t, who = float(data["temperature"]), data["who"].values
        self._head.set_text(f"The {who}'s label of image {int(data['image'])} at temperature {t:g}")
        if "picture" in data:
            self._picture.set_data(data["picture"].values)
            self._true.set_text(f"labelled “{data['subclass'].values[int(data['true'])]}”")
        bars = zip(self._bars, self._numbers, self._x, data["q"].values, strict=True)
        for bar, number, x, value in bars:
            bar.set_height(value)
            number.set_position((x, value + 0.012))
            number.set_text(f"{100 * value:.0f}" if 0.005 <= value < 0.97 else "")
        artists = (self._sums, self._dashes, self._sum_numbers)
        for patch, dashes, number, total, softmax in zip(
            *artists, data["c"].values, data["c_of_sum"].values, strict=True
        ):
            patch.set_height(total)
            dashes.set_ydata([softmax, softmax])
            dashes.set_visible(abs(total - softmax) > 0.005)
            # The number belongs to the box: it stands above its edge, or below it if the dashes or
            # the end of the axis are there.
            is_below = total > HIGHEST_SUM or 0.005 < softmax - total < NUMBER_HEIGHT
            number.set_position((number.get_position()[0], total + (-0.02 if is_below else 0.015)))
            number.set_verticalalignment("top" if is_below else "bottom")
            number.set_text(f"{total:.1%}")
        has_dashes = any(dashes.get_visible() for dashes in self._dashes)
        for artist in self._dash_legend:
            artist.set_visible(has_dashes)
        between, within = (round(value, 2) for value in _entropies(data))
        self._note.set_text(
            f"{between + within:.2f} bit in this label: "
            f"{between:.2f} of the class + {within:.2f} within it"
        )

    def describe(self, data: xarray.Dataset) -> str:
        """Give the likeliest subclasses, the class probabilities and the bits."""
        names, q = names_of(data, "subclass"), data["q"].values
        best = ", ".join(f"{names[k]} {q[k]:.0%}" for k in np.argsort(-q)[:3])
        pairs = zip(names_of(data, "class"), data["c"].values, strict=True)
        classes = ", ".join(f"{name} {c:.1%}" for name, c in pairs)
        between, within = _entropies(data)
        return (
            f"Image {int(data['image'])} of {data.attrs['data']}, "
            f"labelled {names[int(data['true'])]}: at temperature {float(data['temperature']):g} "
            f"the {data['who'].values} predicts {best}; classes {classes}. "
            f"{between:.2f} bit of the class and {within:.2f} within it."
        )

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        """Return one row for each subclass."""
        import pandas

        classes = names_of(data, "class")
        columns = {
            "class": [classes[k] for k in data["parent"].values],
            "subclass": names_of(data, "subclass"),
            "probability, %": (100 * data["q"].values).round(3),
            "sum over the class, %": (100 * data["c"].values[data["parent"].values]).round(3),
        }
        return pandas.DataFrame(columns)

    def targets(self, data: xarray.Dataset) -> list[Target]:
        """Return no targets: image and temperature have sliders."""
        return []


def _entropies(data: xarray.Dataset) -> tuple[float, float]:
    """Return the entropy of the class, and what the subclass adds to it, in bits."""
    between = float(label_information.entropy(data["c"].values))
    return between, float(label_information.entropy(data["q"].values)) - between
