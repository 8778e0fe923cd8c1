"""The picture of a study: the accuracy of each training set on every split, and differences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray

from explore.core.statistics import mean_and_std, paired_difference
from explore.core.validation import check_choice, to_python
from explore.errors import UnknownName
from explore.graphs.catalog import METHOD_LABELS
from explore.graphs.recordings import BASELINE, MEASURE_LABELS, STUDY
from explore.plotting.frame import add_caption, add_heading
from explore.plotting.picture import Picture
from explore.plotting.selection import selects
from explore.plotting.style import EDGE_GREY, GRID_GREY, PALETTE, set_title

if TYPE_CHECKING:
    import pandas


@selects(STUDY, most=1)
def graph_accuracies(
    recordings: Sequence[xarray.Dataset],
    graphs_per_class: int | None = None,
    measure: str = "balanced",
) -> xarray.Dataset:
    """Return the data of ``GraphAccuracies`` from the last frame of a study.

    Args:
        recordings: one study.
        graphs_per_class: the size that is shown; by default the smallest.
        measure: "balanced" or "accuracy".

    Raises:
        InvalidInput: no study.
        UnknownName: a size or measure that was not studied.
    """
    (study,) = recordings
    last = study.isel(step=-1) if "step" in study.dims else study
    check_choice("measure", measure, MEASURE_LABELS)
    sizes = last["graphs_per_class"].values.tolist()
    size = sizes[0] if graphs_per_class is None else to_python(graphs_per_class)
    if size not in sizes:
        raise UnknownName("graphs_per_class", size, map(str, sizes))
    scores = last["graph_score"].sel(measure=measure, graphs_per_class=size).mean("network")
    names = [str(name) for name in last["training_set"].values]
    baseline = BASELINE if BASELINE in names else names[0]
    return xarray.Dataset(
        {"score": (("training_set", "split"), scores.values)},
        {
            "training_set": np.array(names, object),
            "graphs_per_class": size,
            "measure": measure,
        },
        {
            "data": str(study.attrs["config"]["data"]["name"]),
            "baseline": baseline,
        },
    )


class GraphAccuracies(Picture):
    """One row for each training set: every split, the mean, and the difference to the start."""

    size = (9.6, 4.8)
    title = "What networks learn from condensed and from real graphs"
    structural = ("measure",)

    def build(self, data: xarray.Dataset) -> None:
        """Draw one row for each training set, on the left the scores, on the right differences."""
        names = [METHOD_LABELS.get(str(name), str(name)) for name in data["training_set"].values]
        rows = np.arange(len(names))
        self._heading = add_heading(self, 0.955)
        self._caption = add_caption(self, 0.02, 0.9)
        left = self.figure.add_axes((0.2, 0.13, 0.4, 0.68))
        right = self.figure.add_axes((0.65, 0.13, 0.33, 0.68))
        label = MEASURE_LABELS[str(data["measure"].values)]
        left.set(xlim=(0, 1), xlabel=f"{label} on the test graphs")
        right.set(xlim=(-50, 50), xlabel=f"percentage points of {label}")
        left.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.4g}%")
        right.xaxis.set_major_formatter(lambda value, _: points_text(value, 0))
        self.panel("scores", left)
        self.panel("differences", right)
        set_title(left, "each dot is one split, the bar is the mean")
        baseline = METHOD_LABELS.get(data.attrs["baseline"], data.attrs["baseline"])
        set_title(right, f"minus {baseline}, with 95% interval")
        for axes in (left, right):
            axes.set_ylim(len(names) - 0.5, -0.5)
            axes.grid(axis="x", color=GRID_GREY)
            axes.set_axisbelow(True)
        left.set_yticks(rows, names)
        right.set_yticks(rows, names)
        right.tick_params(axis="y", labelleft=False)
        right.axvline(0, color="black", lw=1)
        self._dots = self.moving(
            left.plot([], [], "o", ms=4, color=EDGE_GREY, mfc="none", zorder=2)[0]
        )
        self._means = self.moving(
            left.plot([], [], "|", ms=17, mew=3, color=PALETTE["blue"], zorder=3)[0]
        )
        self._intervals = self.moving(
            right.hlines(rows, rows * 0.0, rows * 0.0, color=PALETTE["blue"], lw=3)
        )
        self._differences = self.moving(
            right.plot([], [], "D", ms=6, color=PALETTE["blue"], mec="white")[0]
        )

    def show(self, data: xarray.Dataset) -> None:
        """Show scores and differences."""
        scores = data["score"].values
        rows = np.arange(len(scores))
        # Splits are moved apart a little, the same split always to the same side.
        offsets = np.linspace(-0.25, 0.25, scores.shape[1]) if scores.shape[1] > 1 else [0.0]
        places = rows[:, None] + np.asarray(offsets)[None]
        self._dots.set_data(scores.ravel(), places.ravel())
        summary = _summary(data)
        self._means.set_data(summary[:, 0], rows)
        self._differences.set_data(100 * summary[:, 2], rows)
        segments = [
            [(middle - half, row), (middle + half, row)]
            for row, (middle, half) in enumerate(100 * summary[:, 2:])
            if np.isfinite(half)
        ]
        self._intervals.set_segments(segments)
        self._heading.set_text(
            f"{data.attrs['data']}: networks trained on {int(data['graphs_per_class'])} "
            f"{'graph' if int(data['graphs_per_class']) == 1 else 'graphs'} of each class"
        )
        measured = int(np.isfinite(scores).any(0).sum())
        self._caption.set_text(
            f"{measured} stratified splits; whole set: all training graphs of the split"
        )

    def describe(self, data: xarray.Dataset) -> str:
        """Return the mean of each training set and its difference in words."""
        parts = []
        for name, (mean, _, difference, half) in zip(
            data["training_set"].values, _summary(data), strict=True
        ):
            text = f"{METHOD_LABELS.get(str(name), str(name))} {mean:.1%}"
            if str(name) != data.attrs["baseline"]:
                interval = f" ± {100 * half:.1f}" if np.isfinite(half) else ""
                text += f" ({points_text(100 * difference)}{interval})"
            parts.append(text)
        baseline = METHOD_LABELS.get(data.attrs["baseline"], data.attrs["baseline"])
        label = MEASURE_LABELS[str(data["measure"].values)]
        return (
            f"{data.attrs['data']}, {int(data['graphs_per_class'])} per class, {label} on test "
            f"graphs and, in brackets, percentage points more than {baseline}, with 95% interval: "
            f"{', '.join(parts)}."
        )

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        """Return mean, standard deviation and paired difference of each training set."""
        import pandas

        baseline = METHOD_LABELS.get(data.attrs["baseline"], data.attrs["baseline"])
        columns = [
            f"mean {MEASURE_LABELS[str(data['measure'].values)]}, %",
            "standard deviation over splits, points",
            f"minus {baseline}, points",
            "± half of the 95% interval, points",
        ]
        rows = pandas.DataFrame(100 * _summary(data), columns=columns)
        names = [METHOD_LABELS.get(str(name), str(name)) for name in data["training_set"].values]
        rows.insert(0, "trained on", names)
        return rows


def points_text(points: float, digits: int = 1) -> str:
    """Return a difference with its sign, such as "−5.0"; 0 has none.

    Example:
        >>> points_text(2.04), points_text(-3, 0), points_text(-0.01)
        ('+2.0', '−3', '0.0')
    """
    text = f"{points:+.{digits}f}"
    return text.lstrip("+-") if not float(text) else text.replace("-", "−")


def _summary(data: xarray.Dataset) -> np.ndarray:
    """Return mean, deviation, difference and half interval of each training set, ``[n, 4]``."""
    scores = data["score"].values
    names = [str(name) for name in data["training_set"].values]
    baseline = scores[names.index(data.attrs["baseline"])]
    return np.array([(*mean_and_std(row), *paired_difference(row, baseline)) for row in scores])
