"""Pictures of networks that never learnt, and of the accuracy of networks trained on small sets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray
from matplotlib.colors import PowerNorm
from matplotlib.patches import Rectangle

from explore.core.recording import require_variable
from explore.errors import InvalidInput
from explore.plotting.frame import add_bare_axes, add_heading
from explore.plotting.mosaic import grid_shape, mosaic, tile_box, where
from explore.plotting.picture import Picture, Target
from explore.plotting.style import GRID_GREY, PALETTE, SEQUENTIAL

if TYPE_CHECKING:
    import pandas


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
    recording = require_variable(recordings, "example_attention_1", 'the method "untrained"')[0]
    labels, steps = [str(name) for name in recording.label.values], recording.step.values.tolist()
    network, label = (
        steps[0] if network is None else network,
        labels[0] if label is None else str(label),
    )
    powers = recording.power.values.tolist()
    if network not in steps or power not in powers or label not in labels:
        raise InvalidInput(
            f"network {network}, power {power}, label {label!r}: recorded are {steps}, {powers} and {labels}"
        )
    frame, k = recording.isel(step=steps.index(network)), labels.index(label)
    at = powers.index(power)
    return xarray.Dataset(
        {
            "attention": (
                ("label", "y_1", "x_1"),
                frame["attention_1"].values[at].astype(np.float32),
            ),
            "example_attention": (
                ("y_1", "x_1"),
                frame["example_attention_1"].values[at, k].astype(np.float32),
            ),
            "example": (("y", "x", "rgb")[: frame["example"].ndim - 1], frame["example"].values[k]),
            "accuracy": ("power", frame["accuracy"].values[:, 0]),
            "chosen": ((), k),
            "at": ((), at),
            "network": ((), network),
        },
        {"power": ("power", recording.power.values), "label": ("label", np.array(labels, object))},
        attrs={
            "data": str(recording.attrs["config"]["data"]["name"]),
            "images": int(recording.attrs["config"]["images"]),
        },
    )


class Untrained(Picture):
    """Class-mean attention of one untrained network, one image through it, and how far the nearest map classifies."""

    size = (9.6, 3.4)
    title = "Attention of networks that never learnt"

    def build(self, data: xarray.Dataset) -> None:
        """Mosaic of class means, one image with its map, accuracy over the power."""
        self._head = add_heading(self, 0.94, x=0.035)
        box = (0.035, 0.16, 0.40, 0.61)
        axes = add_bare_axes(self, box, "Class-mean attention maps (click one)")
        self._means = self.moving(
            axes.imshow(self._sheet(data), cmap=SEQUENTIAL, norm=PowerNorm(0.5, 0, 1))
        )
        self._mark = self.moving(
            axes.add_patch(
                Rectangle(
                    (0, 0),
                    data.sizes["x_1"],
                    data.sizes["y_1"],
                    fill=False,
                    lw=2.5,
                    ec=PALETTE["vermilion"],
                )
            )
        )
        self._panels = []
        for place, (name, title) in enumerate(
            (("example", "one image"), ("example_attention", "its attention"))
        ):
            panel = add_bare_axes(self, (0.465 + place * 0.135, 0.36, 0.125, 0.41), title)
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
        self._axes.text(
            data.power.values[-1],
            chance + 0.02,
            "chance",
            ha="right",
            fontsize=9,
            color=PALETTE["grey"],
        )
        self._axes.grid(axis="y", color=GRID_GREY, lw=0.6)
        self._axes.set_xlim(data.power.values[0] - 0.6, data.power.values[-1] + 0.6)
        self._curve = self.moving(self._axes.plot([], [], "o-", color=PALETTE["blue"], ms=5)[0])
        self._point = self.moving(
            self._axes.plot([], [], "s", color=PALETTE["vermilion"], ms=10)[0]
        )

    def show(self, data: xarray.Dataset) -> None:
        """Each map from 0 to its own peak: what counts is where it is bright."""
        chosen, at = int(data["chosen"]), int(data["at"])
        self._head.set_text(
            f"Network {int(data['network'])}, never trained: by the nearest of its mean maps "
            f"it names {float(data['accuracy'][at]):.0%} of {data.attrs['images']:,} images"
        )
        self._means.set_data(self._sheet(data))
        self._mark.set_xy(
            tile_box(chosen, data.sizes["label"], data.sizes["y_1"], data.sizes["x_1"])[:2]
        )
        for name, artist in self._panels:
            values = data[name].values
            artist.set_data(
                values / values.max()
                if name == "example_attention" and values.max() > 0
                else values
            )
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

        return pandas.DataFrame(
            {"power": data.power.values, "accuracy": data["accuracy"].values.astype(float).round(4)}
        )

    def targets(self, data: xarray.Dataset) -> list[Target]:
        """Each map chooses its class, each point its power."""
        found = []
        for index, name in enumerate(data.label.values):
            box = tile_box(index, data.sizes["label"], data.sizes["y_1"], data.sizes["x_1"])
            found.append(
                Target(*self.box(self._means.axes, *box), f"class {name}", {"label": str(name)})
            )
        for power in data.power.values:
            found.append(
                Target(
                    *self.box(self._axes, power - 0.5, 0, power + 0.5, 1),
                    f"power {power:g}",
                    {"power": float(power)},
                )
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
        axes.set(
            yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.5, -0.5), xlim=(0, 1)
        )
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.grid(axis="x", color=GRID_GREY, lw=0.6)
        self._dots = self.moving(axes.plot([], [], "o", color=PALETTE["blue"], ms=5, alpha=0.7)[0])
        self._means = self.moving(axes.plot([], [], "|", color=PALETTE["black"], ms=16, mew=2)[0])
        self._texts = [
            self.moving(axes.text(1.02, row, "", va="center", transform=axes.get_yaxis_transform()))
            for row in range(len(names))
        ]

    def show(self, data: xarray.Dataset) -> None:
        """Dots, means and their numbers."""
        values = data["accuracy"].values
        rows = np.repeat(np.arange(len(values)), values.shape[1])
        self._dots.set_data(values.ravel(), rows)
        self._means.set_data(
            [np.nanmean(v) if np.isfinite(v).any() else np.nan for v in values], range(len(values))
        )
        for text, row in zip(self._texts, values, strict=True):
            text.set_text(_mean_and_spread(row))

    def describe(self, data: xarray.Dataset) -> str:
        """Every mean and standard deviation."""
        rows = [
            f"{name}: {_mean_and_spread(v)}"
            for name, v in zip(data.set.values, data["accuracy"].values, strict=True)
        ]
        return (
            f"Test accuracy on {data.attrs['data']}, mean ± standard deviation over networks. "
            + "; ".join(rows)
            + "."
        )

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        """One row a network."""
        import pandas

        frame = pandas.DataFrame(
            data["accuracy"].values.T.astype(float), columns=[str(name) for name in data.set.values]
        )
        frame.insert(0, "network", range(len(frame)))
        return frame


def _mean_and_spread(values: np.ndarray) -> str:
    known = values[np.isfinite(values)]
    if not len(known):
        return "not measured"
    spread = f" ± {100 * known.std(ddof=1):.1f}" if len(known) > 1 else ""
    return f"{100 * known.mean():.1f}{spread} %"
