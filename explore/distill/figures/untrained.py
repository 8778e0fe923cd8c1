"""The picture of untrained networks: their attention, and how well it classifies images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray
from matplotlib.colors import PowerNorm
from matplotlib.patches import Rectangle

from explore.core.validation import check_number, check_whole_number
from explore.distill.recordings import UNTRAINED
from explore.errors import InvalidInput
from explore.plotting.frame import add_bare_axes, add_heading
from explore.plotting.mosaic import grid_shape, mosaic, tile_box, where
from explore.plotting.picture import Picture, Target
from explore.plotting.selection import selects
from explore.plotting.style import GRID_GREY, LABEL_GREY, PALETTE, SEQUENTIAL

if TYPE_CHECKING:
    import pandas


@selects(UNTRAINED, most=1)
def untrained(
    recordings: Sequence[xarray.Dataset],
    network: int | None = None,
    power: float = 1.0,
    label: str | None = None,
) -> xarray.Dataset:
    """Select what ``Untrained`` shows: one network of a survey at one power, and one image.

    Args:
        recordings: one recording of the method "untrained".
        network: the number of the network (its "step"); the first by default.
        power: of the attention map; one of those in the recording.
        label: class of the image; the first by default.

    Raises:
        InvalidInput: network, power or label are not in the recording.
    """
    (recording,) = recordings
    labels, networks = (
        [str(name) for name in recording.label.values],
        recording.step.values.tolist(),
    )
    powers = recording.power.values.tolist()
    network = networks[0] if network is None else check_whole_number("network", network)
    power = check_number("power", power)
    label = labels[0] if label is None else str(label)
    for name, value, options in (
        ("network", network, networks),
        ("power", power, powers),
        ("label", label, labels),
    ):
        if value not in options:
            raise InvalidInput(f"{name} {value!r} is not in the recording; it has {options}")
    frame = recording.isel(step=networks.index(network))
    k, index = labels.index(label), powers.index(power)
    means, example = frame["attention_1"].values[index], frame["example"].values[k]
    example_attention = frame["example_attention_1"].values[index, k]
    config = recording.attrs["config"]
    return xarray.Dataset(
        {
            "attention": (("label", "y_1", "x_1"), means.astype(np.float32)),
            "example_attention": (("y_1", "x_1"), example_attention.astype(np.float32)),
            "example": (("y", "x", "rgb")[: example.ndim], example),
            "accuracy": ("power", frame["accuracy"].values[:, 0]),
            "chosen": ((), k),
            "at": ((), index),
            "network": ((), network),
        },
        {"power": ("power", recording.power.values), "label": ("label", np.array(labels, object))},
        attrs={"data": str(config["data"]["name"]), "images": int(config["images"])},
    )


class Untrained(Picture):
    """Attention of one untrained network, and the accuracy of its nearest class-mean map."""

    size = (9.6, 3.5)
    title = "Attention of networks that never learnt"

    def build(self, data: xarray.Dataset) -> None:
        """Create the mosaic of class means, one image with its map, and accuracy over the power."""
        self._head = add_heading(self, 0.94, x=0.035)
        box = (0.035, 0.175, 0.40, 0.6)
        axes = add_bare_axes(self, box, "Class-mean attention maps")
        self.panel("mean-maps", axes)
        hint = axes.text(1, 1.03, "(click one)", transform=axes.transAxes, ha="right", va="bottom")
        self.furniture(hint)
        map_style: dict[str, Any] = {"cmap": SEQUENTIAL, "norm": PowerNorm(0.5, 0, 1)}
        self._means = self.moving(axes.imshow(self._sheet(data), **map_style))
        mark_style: dict[str, Any] = {"fill": False, "lw": 2.5, "ec": PALETTE["vermilion"]}
        mark = Rectangle((0, 0), data.sizes["x_1"], data.sizes["y_1"], **mark_style)
        self._mark = self.furniture(self.moving(axes.add_patch(mark)))
        panel = add_bare_axes(self, (0.465, 0.365, 0.125, 0.41), "one image")
        self.panel("image", panel)
        image = panel.imshow(data["example"].values, cmap="gray", vmin=0, vmax=255)
        self._example = self.moving(image)
        panel = add_bare_axes(self, (0.6, 0.365, 0.125, 0.41), "its attention")
        self.panel("map", panel)
        map_style["norm"] = PowerNorm(0.5, 0, 1)
        self._example_map = self.moving(panel.imshow(data["example_attention"].values, **map_style))
        self._build_scale()
        self._build_curve(data)

    def _build_scale(self) -> None:
        """Draw the colours of the maps, each of which has its own largest value."""
        axes = self.figure.add_axes((0.465, 0.25, 0.26, 0.035))
        ramp = np.linspace(0, 1, 128)[None]
        axes.imshow(
            ramp, cmap=SEQUENTIAL, norm=PowerNorm(0.5, 0, 1), aspect="auto", extent=(0, 1, 0, 1)
        )
        axes.set(yticks=[], xticks=[0, 0.25, 0.5, 1], xlabel="share of the map's own maximum")
        axes.xaxis.set_major_formatter("{x:g}")

    def _build_curve(self, data: xarray.Dataset) -> None:
        powers, chance = data.power.values, 1 / data.sizes["label"]
        axes = self._axes = self.figure.add_axes((0.79, 0.175, 0.19, 0.6))
        self.panel("accuracy", axes)
        axes.set(xlabel="power p of the map", ylim=(0, 1), xticks=powers)
        axes.xaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.set_title("images named right")
        axes.axhline(chance, color=PALETTE["grey"], lw=1.2, ls="--")
        axes.text(powers[-1], chance + 0.02, "chance", ha="right", fontsize=9, color=LABEL_GREY)
        axes.grid(axis="y", color=GRID_GREY, lw=0.6)
        axes.set_xlim(powers[0] - 0.6, powers[-1] + 0.6)
        self._curve = self.moving(axes.plot([], [], "o-", color=PALETTE["blue"], ms=5)[0])
        self._point = self.moving(axes.plot([], [], "s", color=PALETTE["vermilion"], ms=10)[0])

    def show(self, data: xarray.Dataset) -> None:
        """Show the maps, each from 0 to its own maximum, and the accuracy."""
        k, index = int(data["chosen"]), int(data["at"])
        accuracy = data["accuracy"].values
        self._head.set_text(
            f"Network {int(data['network'])}, never trained: the nearest of its mean maps names "
            f"{float(accuracy[index]):.0%} of {data.attrs['images']:,} images right"
        )
        self._means.set_data(self._sheet(data))
        self._mark.set_xy(self._tile(data, k)[:2])
        self._example.set_data(data["example"].values)
        self._example_map.set_data(_scaled(data["example_attention"].values))
        self._curve.set_data(data.power.values, accuracy)
        self._point.set_data([data.power.values[index]], [accuracy[index]])

    def describe(self, data: xarray.Dataset) -> str:
        """Return the accuracy at this power, and the place of the attention of one class."""
        k, index = int(data["chosen"]), int(data["at"])
        quarter, share = where(data["attention"].values[k])
        return (
            f"Untrained network {int(data['network'])} on {data.attrs['data']}, "
            f"power {data.power.values[index]:g}: the nearest class-mean map names "
            f"{float(data['accuracy'][index]):.0%} of {data.attrs['images']} images right. "
            f"Class {data.label.values[k]}: {share:.0%} of the mean attention lies in the "
            f"{quarter} quarter."
        )

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        """Return the accuracy at each power."""
        import pandas

        accuracy = (100 * data["accuracy"].values.astype(float)).round(2)
        columns = {"power p of the map": data.power.values, "images named right, %": accuracy}
        return pandas.DataFrame(columns)

    def targets(self, data: xarray.Dataset) -> list[Target]:
        """Return a target for each map, which sets its class, and for each power."""
        maps = [
            Target(
                *self.box(self._means.axes, *self._tile(data, index)),
                f"class {name}",
                {"label": str(name)},
            )
            for index, name in enumerate(data.label.values)
        ]
        return maps + [
            Target(
                *self.box(self._axes, power - 0.5, 0, power + 0.5, 1),
                f"power {power:g}",
                {"power": float(power)},
            )
            for power in data.power.values
        ]

    def _sheet(self, data: xarray.Dataset) -> np.ndarray:
        return mosaic(_scaled(data["attention"].values), grid_shape(data.sizes["label"])[1])

    def _tile(self, data: xarray.Dataset, index: int) -> tuple[float, float, float, float]:
        return tile_box(index, data.sizes["label"], data.sizes["y_1"], data.sizes["x_1"])


def _scaled(maps: np.ndarray) -> np.ndarray:
    """Return maps ``[..., H, W]``, each divided by its maximum; a map of zeros stays so."""
    peaks = maps.max((-2, -1), keepdims=True)
    return maps / np.where(peaks > 0, peaks, 1)
