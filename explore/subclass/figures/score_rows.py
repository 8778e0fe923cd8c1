"""One row of scores for each method, and the texts that the pictures of a study share."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray
from matplotlib.collections import LineCollection
from matplotlib.transforms import ScaledTranslation

from explore.core.statistics import mean_and_std, paired_difference
from explore.plotting.picture import Picture
from explore.plotting.style import LIGHT_GRID_GREY, text_colour
from explore.subclass.catalog import METHOD_LABELS
from explore.subclass.figures.style import method_style, names_of, teacher_data_label
from explore.subclass.recordings import METRIC_LABELS

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes

BASELINE = "scratch"
"""The method to which the others are compared; the first method if it was not studied."""

NOT_A_SHARE = ("auc", "brier")
"""Metrics that are not shown in percent."""

HANDLE_WIDTH = 0.036
"""Width of the legend line before each row, as a fraction of the figure."""

COLUMNS = (4.0, 76.0)
"""Distances of the two columns of numbers from the axes, in points."""

SPREAD = 0.22
"""Runs are drawn up to so far above and below their row, so that equal scores are told apart."""


class ScoreRows:
    """One row for each method: a dot for each run, and two columns with their mean and difference.

    Args:
        picture: to which the moving artists belong.
        axes: for the dots.
        data: see ``explore.subclass.figures.study.students``.
    """

    def __init__(self, picture: Picture, axes: Axes, data: xarray.Dataset) -> None:
        self.methods = methods = names_of(data, "lesson")
        styles = [method_style(method) for method in methods]
        colours = [style["color"] for style in styles]
        axes.set(ylim=(len(methods) - 0.5, -0.5), xlim=score_limits(data))
        axes.set_yticks(range(len(methods)), [method_label(method) for method in methods])
        for tick, colour in zip(axes.get_yticklabels(), colours, strict=True):
            tick.set_color(text_colour(colour))
        axes.xaxis.set_major_formatter(score_formatter(data))
        axes.grid(axis="x", color=LIGHT_GRID_GREY, lw=0.6)
        axes.tick_params(axis="y", length=0, pad=HANDLE_WIDTH * picture.size[0] * 72 + 2)
        axes.set_xlabel(axis_label(data))
        box = axes.get_position()
        legend = picture.figure.add_axes(
            (box.x0 - HANDLE_WIDTH, box.y0, HANDLE_WIDTH - 0.006, box.height)
        )
        legend.set(xlim=(0, 1), ylim=axes.get_ylim())
        legend.set_axis_off()
        handle: dict[str, Any] = {"ms": 5, "lw": 1.6, "markevery": [1], "clip_on": False}
        for row, style in enumerate(styles):
            legend.plot([0, 0.5, 1], [row] * 3, **handle, **style)
        picture.panel("runs", axes, legend)
        self._dots: list[Any] = []
        self._texts: list[list[Any]] = []
        inches = picture.figure.dpi_scale_trans
        shifts = [ScaledTranslation(points / 72, 0, inches) for points in COLUMNS]
        rows, whole = axes.get_yaxis_transform(), axes.transAxes
        difference_head = textwrap.fill(f"minus {baseline_label(data)} (95 %)", 15)
        heads = ("mean ± sd", difference_head)
        for shift, head in zip(shifts, heads, strict=True):
            axes.text(1, 1.01, head, va="bottom", fontsize=9, transform=whole + shift)
        for row, style in enumerate(styles):
            dots = axes.plot([], [], ms=5, alpha=0.6, mew=0, **{**style, "ls": ""})[0]
            self._dots.append(picture.moving(dots))
            texts = [
                axes.text(1, row, "", va="center", fontsize=9, transform=rows + shift)
                for shift in shifts
            ]
            self._texts.append([picture.moving(artist) for artist in texts])
        means = LineCollection([], colors=colours, lw=2.5, zorder=3)
        self._means = picture.moving(axes.add_collection(means))

    def show(self, scores: np.ndarray, metric: str) -> None:
        """Update the rows.

        Args:
            scores: ``[method, run]``.
            metric: their metric.
        """
        base = self.methods.index(BASELINE) if BASELINE in self.methods else 0
        shifts = np.linspace(-SPREAD, SPREAD, scores.shape[1]) if scores.shape[1] > 1 else [0.0]
        for row, (dots, texts) in enumerate(zip(self._dots, self._texts, strict=True)):
            values = scores[row]
            dots.set_data(values, row + np.asarray(shifts))
            difference = "" if row == base else _difference_text(values, scores[base], metric)
            for text, words in zip(texts, (_score_text(values, metric), difference), strict=True):
                text.set_text(words)
        means = [mean_and_std(values)[0] for values in scores]
        self._means.set_segments(
            [[(mean, row - 0.28), (mean, row + 0.28)] for row, mean in enumerate(means)]
        )


def metric_of(data: xarray.Dataset) -> str:
    """Return the metric of the scores."""
    return str(data["measure"].values)


def method_label(method: str) -> str:
    """Return the name of a method in pictures."""
    return METHOD_LABELS.get(method, method)


def baseline_label(data: xarray.Dataset) -> str:
    """Return the name of the method to which the others are compared."""
    methods = names_of(data, "lesson")
    return method_label(BASELINE if BASELINE in methods else methods[0])


def metric_label(data: xarray.Dataset) -> str:
    """Return the name of the metric and its class, as the start of a sentence."""
    metric = metric_of(data)
    suffix = f" of “{data.attrs['positive']}”" if metric in ("f1", "brier") else ""
    label = METRIC_LABELS.get(metric, metric)
    return label[0].upper() + label[1:] + suffix


def axis_label(data: xarray.Dataset) -> str:
    """Return the label of an axis of scores."""
    metric = metric_of(data)
    return METRIC_LABELS.get(metric, metric) + (" (lower is better)" if metric == "brier" else "")


def score_limits(data: xarray.Dataset) -> tuple[float, float]:
    """Return the limits of an axis of scores."""
    low, high = data.attrs["low"], data.attrs["high"]
    margin = 0.04 * (high - low) + 1e-3
    return low - margin, high + margin


def score_formatter(data: xarray.Dataset) -> Any:
    """Return the formatter of an axis of scores."""
    if metric_of(data) in NOT_A_SHARE:
        return lambda value, _: f"{value:.2f}"
    return lambda value, _: f"{value:.0%}"


def setting_text(data: xarray.Dataset) -> str:
    """Return the number of labels, the temperature and the images of the teacher."""
    teacher = teacher_data_label(int(data["teacher_images"]))
    labels, t = int(data["labels"]), float(data["temperature"])
    return f"{labels:,} labelled images, T = {t:g}; teacher: {teacher}"


def describe_scores(data: xarray.Dataset) -> str:
    """Return the alternative text: the scores of every method at the selected width."""
    k = int(data["width_index"])
    scores = "; ".join(
        f"{method_label(method)} {_score_text(values, metric_of(data))}"
        for method, values in zip(names_of(data, "lesson"), data["score"].values[:, k], strict=True)
    )
    return (
        f"{metric_label(data)} on {data.attrs['data']}, {setting_text(data)}, "
        f"width {data['width'].values[k]}; mean ± standard deviation of {data.sizes['run']} runs. "
        f"{scores}."
    )


def score_table(data: xarray.Dataset) -> pandas.DataFrame:
    """Return one row for each method and width: mean, difference, both ± and the score of each run.

    The first ± is the standard deviation of the runs; the second one is half of the 95 % interval
    of the paired difference from the baseline.
    """
    import pandas

    metric, methods = metric_of(data), names_of(data, "lesson")
    base = methods.index(BASELINE) if BASELINE in methods else 0
    scale, unit = (1, "") if metric in NOT_A_SHARE else (100, ", %")
    scores, baseline = scale * data["score"].values.astype(float), baseline_label(data)
    rows = []
    for row, method in enumerate(methods):
        for column, width in enumerate(data["width"].values.tolist()):
            values = scores[row, column]
            mean, deviation = mean_and_std(values)
            difference, half = paired_difference(values, scores[base, column])
            rows.append(
                {
                    "method": method_label(method),
                    "width of the student": width,
                    f"{METRIC_LABELS.get(metric, metric)}{unit}": mean,
                    "± standard deviation": deviation,
                    f"minus {baseline}": difference,
                    "± of the difference, 95 %": half,
                    **{f"run {k + 1}{unit}": float(value) for k, value in enumerate(values)},
                }
            )
    return pandas.DataFrame(rows).round(5)


def _score_text(values: np.ndarray, metric: str) -> str:
    mean, deviation = mean_and_std(values)
    if not np.isfinite(mean):
        return "not trained"
    scale, digits, unit = (1, 3, "") if metric in NOT_A_SHARE else (100, 1, " %")
    spread = f" ± {scale * deviation:.{digits}f}" if np.isfinite(deviation) else ""
    return f"{scale * mean:.{digits}f}{spread}{unit}"


def _difference_text(values: np.ndarray, base: np.ndarray, metric: str) -> str:
    mean, interval = paired_difference(values, base)
    if not np.isfinite(mean):
        return ""
    scale, digits = (1, 3) if metric in NOT_A_SHARE else (100, 1)
    spread = f" ± {scale * interval:.{digits}f}" if np.isfinite(interval) else ""
    return f"{signed(scale * mean, digits)}{spread}"


def signed(value: float, digits: int) -> str:
    """Return a number with its sign; one that rounds to zero has none.

    Example:
        >>> signed(-0.04, 1), signed(-1.25, 1), signed(2, 0)
        ('0.0', '−1.2', '+2')
    """
    text = f"{value:+.{digits}f}"
    return text.replace("-", "−") if float(text) else text[1:]
