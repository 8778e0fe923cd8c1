"""The picture of a motif study: what finds the nodes of the motif, and what the network needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray

from explore.core.statistics import mean_and_std
from explore.errors import UnknownName
from explore.graphs.recordings import MOTIF_STUDY
from explore.plotting.frame import add_caption, add_heading
from explore.plotting.picture import Picture
from explore.plotting.selection import selects
from explore.plotting.style import BAR_GREY, GRID_GREY, PALETTE, set_title

if TYPE_CHECKING:
    import pandas

SCORER_LABELS = {
    "trained gradcam": "trained GCN, Grad-CAM",
    "trained energy": "trained GCN, energy",
    "untrained gradcam": "untrained GCN, Grad-CAM",
    "untrained energy": "untrained GCN, energy",
    "degree": "degree of the node",
    "core number": "core number of the node",
}


@selects(MOTIF_STUDY, most=1)
def motif_attention(
    recordings: Sequence[xarray.Dataset], layer: int | None = None
) -> xarray.Dataset:
    """Return the data of ``MotifAttention`` from the last frame of a study.

    Args:
        recordings: one study.
        layer: whose attention is shown; by default the last one's.

    Raises:
        InvalidInput: no such study.
        UnknownName: a layer that the networks do not have.
    """
    (study,) = recordings
    last = study.isel(step=-1) if "step" in study.dims else study
    layers = last["layer"].values.tolist()
    number = layers[-1] if layer is None else layer
    if number not in layers:
        raise UnknownName("layer", number, map(str, layers))
    shown = last.sel(layer=number)
    return xarray.Dataset(
        {
            "auroc": (("scorer", "run"), shown["auroc"].values),
            "accuracy": (("condition", "run"), shown["accuracy"].values),
        },
        {
            "scorer": np.array([str(name) for name in last["scorer"].values], object),
            "condition": np.array([str(name) for name in last["condition"].values], object),
            "layer": number,
        },
    )


class MotifAttention(Picture):
    """On the left, the AUROC of each score for the motif's nodes; on the right, accuracies."""

    size = (9.6, 4.2)
    title = "Does attention find the motif, and does the network need it?"

    def build(self, data: xarray.Dataset) -> None:
        """Draw one bar for each score and one for each condition, with a dot for each network."""
        self._heading = add_heading(self, 0.94)
        self._caption = add_caption(self, 0.02, 0.87)
        names = [SCORER_LABELS[str(name)] for name in data["scorer"].values]
        conditions = [str(name) for name in data["condition"].values]
        boxes = ((0.22, 0.15, 0.29, 0.6), (0.735, 0.15, 0.245, 0.6))
        titles = ("do high scores lie on the motif?", "does the network need the motif?")
        labels = ("AUROC; 0.5 is chance", "accuracy; 50% is chance")
        self._bars, self._dots = [], []
        for box, title, label, rows in zip(boxes, titles, labels, (names, conditions), strict=True):
            axes = self.figure.add_axes(box)
            axes.set(xlim=(0, 1.02), xlabel=label, ylim=(len(rows) - 0.5, -0.5))
            axes.set_yticks(range(len(rows)), rows)
            self.panel("motif" if rows is names else "accuracy", axes)
            axes.grid(axis="x", color=GRID_GREY)
            axes.set_axisbelow(True)
            if rows is conditions:
                axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.4g}%")
            axes.axvline(0.5, color="black", lw=1, ls=(0, (4, 2)))
            set_title(axes, title)
            bars = axes.barh(range(len(rows)), 0, height=0.6, color=BAR_GREY, zorder=1)
            self._bars.append([self.moving(bar) for bar in bars])
            dots = axes.plot([], [], "o", ms=4, mfc="none", color="black", zorder=3)[0]
            self._dots.append(self.moving(dots))

    def show(self, data: xarray.Dataset) -> None:
        """Show the means as bars and the networks as dots."""
        for bars, dots, name in zip(self._bars, self._dots, ("auroc", "accuracy"), strict=True):
            values = data[name].values
            for row, bar in enumerate(bars):
                bar.set_width(np.nan_to_num(mean_and_std(values[row])[0]))
                is_first = row == 0 or (name == "auroc" and row == 1)
                bar.set_color(PALETTE["blue"] if is_first else BAR_GREY)
            runs = values.shape[1]
            rows = np.arange(len(values))[:, None] + np.linspace(-0.18, 0.18, runs)[None]
            dots.set_data(values.ravel(), rows.ravel())
        self._heading.set_text(f"Layer {int(data['layer'])}: what finds the nodes of the motif?")
        done = int(np.isfinite(data["accuracy"].values[0]).sum())
        self._caption.set_text(f"{done} networks, each with its own split; bars are means")

    def describe(self, data: xarray.Dataset) -> str:
        """Return all means in words."""
        aurocs = ", ".join(
            f"{SCORER_LABELS[str(name)]} {mean_and_std(row)[0]:.2f}"
            for name, row in zip(data["scorer"].values, data["auroc"].values, strict=True)
        )
        accuracies = ", ".join(
            f"{name} {mean_and_std(row)[0]:.0%}"
            for name, row in zip(data["condition"].values, data["accuracy"].values, strict=True)
        )
        return (
            f"AUROC for the nodes of the motif in layer {int(data['layer'])}: {aurocs}. "
            f"Accuracy: {accuracies}."
        )

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        """Return mean and standard deviation of every bar."""
        import pandas

        rows = []
        for measure, unit in (("auroc", "AUROC"), ("accuracy", "accuracy, %")):
            dim, factor = ("scorer", 1) if measure == "auroc" else ("condition", 100)
            for name, values in zip(data[dim].values, data[measure].values, strict=True):
                mean, deviation = mean_and_std(factor * values)
                rows.append((unit, SCORER_LABELS.get(str(name), str(name)), mean, deviation))
        columns = ["measure", "of", "mean", "± standard deviation over networks"]
        return pandas.DataFrame(rows, columns=columns)
