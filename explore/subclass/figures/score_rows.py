"""One row of scores for each method, and the texts that the pictures of a study share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray
from matplotlib.collections import LineCollection

from explore.core.statistics import mean_and_std, paired_difference
from explore.plotting.picture import Picture
from explore.plotting.style import LIGHT_GRID_GREY
from explore.subclass.catalog import METHOD_LABELS
from explore.subclass.figures.style import TEACHER_DATA_LABELS, method_style, names_of
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


class ScoreRows:
    """One row for each method: a dot for each run, their mean, and the paired difference as text.

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
            tick.set_color(colour)
        axes.xaxis.set_major_formatter(score_formatter(data))
        axes.grid(axis="x", color=LIGHT_GRID_GREY, lw=0.6)
        axes.tick_params(axis="y", length=0, pad=HANDLE_WIDTH * picture.size[0] * 72 + 2)
        axes.set_xlabel(METRIC_LABELS.get(metric_of(data), metric_of(data)))
        box = axes.get_position()
        legend = picture.figure.add_axes(
            (box.x0 - HANDLE_WIDTH, box.y0, HANDLE_WIDTH - 0.006, box.height)
        )
        legend.set(xlim=(0, 1), ylim=axes.get_ylim())
        legend.set_axis_off()
        handle: dict[str, Any] = {"ms": 5, "lw": 1.6, "markevery": [1], "clip_on": False}
        for row, style in enumerate(styles):
            legend.plot([0, 0.5, 1], [row] * 3, **handle, **style)
        self._dots, self._texts = [], []
        text: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "va": "center"}
        for row, style in enumerate(styles):
            dots = axes.plot([], [], ms=5, alpha=0.6, mew=0, **{**style, "ls": ""})[0]
            self._dots.append(picture.moving(dots))
            self._texts.append(picture.moving(axes.text(1.03, row, "", fontsize=9, **text)))
        means = LineCollection([], colors=colours, lw=2.5, zorder=3)
        self._means = picture.moving(axes.add_collection(means))

    def show(self, scores: np.ndarray, metric: str) -> None:
        """Update the rows.

        Args:
            scores: ``[method, run]``.
            metric: their metric.
        """
        base = self.methods.index(BASELINE) if BASELINE in self.methods else 0
        for row, (dots, text) in enumerate(zip(self._dots, self._texts, strict=True)):
            values = scores[row]
            dots.set_data(values, np.full(len(values), row))
            difference = "" if row == base else _difference_text(values, scores[base], metric)
            text.set_text(_score_text(values, metric) + (f"  ({difference})" if difference else ""))
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
    count = int(data["teacher_images"])
    teacher = TEACHER_DATA_LABELS.get(count, f"{count:,} images")
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
        f"width {data['width'].values[k]}. {scores}."
    )


def score_table(data: xarray.Dataset) -> pandas.DataFrame:
    """Return one row for each method, width and run."""
    scores = data["score"].astype(float).rename(metric_of(data)).reset_coords(drop=True)
    return scores.to_dataframe().reset_index()


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
    return f"{scale * mean:+.{digits}f}{spread}"
