"""The picture of a study of weights: mAP, spread of predictions, and shares of the gradient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray
from matplotlib.collections import PolyCollection
from matplotlib.patches import Patch, Rectangle

from explore.core.statistics import mean_and_std
from explore.core.validation import check_number
from explore.errors import UnknownName
from explore.multilabel.recordings import WEIGHT_STUDY
from explore.plotting.frame import add_caption, add_heading
from explore.plotting.picture import Picture, Target
from explore.plotting.selection import selects
from explore.plotting.style import (
    AREA_GREY,
    EDGE_GREY,
    GRID_GREY,
    LABEL_GREY,
    PALETTE,
    set_title,
)

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes

TERM_COLOURS = {
    "classification": PALETTE["blue"],
    "reconstruction": AREA_GREY,
    "contrast": PALETTE["vermilion"],
}
"""From the bottom of a bar to its top; grey between dark colours is seen without colours too."""

MOST_TICKS = 9
LIMIT_STEP, LIMIT_MARGIN = 0.1, 0.04
BAR_WIDTH, FRAME_WIDTH = 0.7, 0.86
MARGIN = 0.6
"""Room at both ends of the axes of weights, in distances between two weights."""


@selects(WEIGHT_STUDY, most=1)
def contrast_weight(
    recordings: Sequence[xarray.Dataset], weight: float | None = None
) -> xarray.Dataset:
    """Return the data of ``ContrastWeight`` from the last frame of a study of weights.

    Args:
        recordings: one recording of ``contrast-weights``.
        weight: the marked weight; by default the one closest to 1 / batch, the default of KMCL.

    Raises:
        InvalidInput: no such study.
        UnknownName: a weight that was not studied.
    """
    (study,) = recordings
    last = (study.isel(step=-1) if "step" in study.dims else study).sortby("weight")
    weights = last["weight"].values.astype(float)
    default = 1 / int(study.attrs["config"]["batch"])
    if weight is None:
        weight = _closest_weight(weights, default)
    weight = check_number("weight", weight)
    if weight not in weights.tolist():
        raise UnknownName("weight", weight, [f"{value:g}" for value in weights])
    dims = {
        "held_out_map": ("weight", "run"),
        "prediction_spread": ("weight", "run"),
        "gradient_share": ("weight_term", "weight", "run"),
    }
    return xarray.Dataset(
        {
            name: (order, last[name].transpose(*order).values.astype(float))
            for name, order in dims.items()
        },
        {
            "weight": weights,
            "weight_term": np.array([str(name) for name in last["weight_term"].values], object),
            "marked_weight": float(weight),
            "default_weight": default,
        },
        {
            "data": str(study.attrs["config"]["data"]["name"]),
            "low": _rounded(last["held_out_map"].values, np.min, np.floor, 0.0),
            "high": _rounded(last["held_out_map"].values, np.max, np.ceil, 1.0),
            "widest": _rounded(last["prediction_spread"].values, np.max, np.ceil, 0.5),
        },
    )


class ContrastWeight(Picture):
    """Over the weight of contrast and reconstruction: mAP, spread, and shares of the gradient."""

    size = (9.6, 5.8)
    title = "The weight of the contrast beside the classification"
    structural = ("default_weight", "low", "high", "widest")

    def build(self, data: xarray.Dataset) -> None:
        """Draw axes for mAP, spread and shares, with lines where the weight is 1/B and 1."""
        self._heading = add_heading(self, 0.96)
        self._captions = [add_caption(self, 0.02, y) for y in (0.912, 0.872)]
        weights = data["weight"].values
        boxes = (
            (0.085, 0.45, 0.395, 0.26),
            (0.085, 0.095, 0.395, 0.26),
            (0.56, 0.095, 0.42, 0.615),
        )
        self._axes: list[Axes] = [self.figure.add_axes(box) for box in boxes]
        self._frames = []
        for axes in self._axes:
            axes.set(xlim=(-MARGIN, len(weights) - 1 + MARGIN), axisbelow=True)
            axes.grid(axis="y", color=GRID_GREY)
            self._draw_ticks(axes, weights)
            frame = Rectangle(
                (0, 0),
                FRAME_WIDTH,
                1,
                transform=axes.get_xaxis_transform(),
                fc="none",
                ec="black",
                zorder=4,
            )
            self._frames.append(self.furniture(self.moving(axes.add_patch(frame))))
            self._draw_references(axes, weights, float(data["default_weight"]))
        precision, spread, shares = self._axes
        for name, axes in zip(("score", "spread", "gradient"), self._axes, strict=True):
            self.panel(name, axes)
        precision.set(ylim=_limits(data.attrs["low"], data.attrs["high"]))
        precision.tick_params(axis="x", labelbottom=False)
        spread.set(
            ylim=_limits(0.0, data.attrs["widest"]), xlabel="weight of contrast and reconstruction"
        )
        shares.set(ylim=(0, 1), xlabel="weight of contrast and reconstruction")
        for axes in (precision, shares):
            axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.4g}%")
        set_title(precision, "mAP on held-out samples").set_y(1.11)
        set_title(spread, "spread: standard deviation of predictions over samples")
        set_title(shares, "mean share of the gradient after the first epoch").set_y(1.15)
        terms = [str(name) for name in data["weight_term"].values]
        handles = [Patch(color=TERM_COLOURS[name], label=name) for name in terms]
        layout: dict[str, Any] = {"ncols": 3, "handlelength": 1.0, "columnspacing": 1.2}
        shares.legend(handles=handles, loc="lower left", bbox_to_anchor=(-0.02, 1.055), **layout)
        self._dots, self._curves = [], []
        for axes in (precision, spread):
            dots = axes.plot([], [], "o", ms=4, color=EDGE_GREY, mfc="none", zorder=2)[0]
            curve = axes.plot([], [], "-o", ms=4, color=PALETTE["blue"], zorder=3)[0]
            self._dots.append(self.moving(dots))
            self._curves.append(self.moving(curve))
        self._bars = [
            self.moving(
                shares.add_collection(
                    PolyCollection([], fc=TERM_COLOURS[name], ec="white", lw=0.8, zorder=1)
                )
            )
            for name in terms
        ]

    def _draw_ticks(self, axes: Axes, weights: np.ndarray) -> None:
        """Draw one tick for each weight, and labels for as many as there is space for."""
        every = -(-len(weights) // MOST_TICKS)
        labels = [f"{w:g}" if k % every == 0 else "" for k, w in enumerate(weights)]
        axes.set_xticks(range(len(weights)), labels)

    def _draw_references(self, axes: Axes, weights: np.ndarray, default: float) -> None:
        """Draw lines where the weight is 1/B and 1, with labels above all but the second axes."""
        for value, label in ((default, "1/B"), (1.0, "1")):
            x = weight_position(weights, value)
            if not np.isfinite(x):
                continue
            axes.axvline(x, color=LABEL_GREY, lw=1, ls=(0, (2, 2)), zorder=0.6)
            if axes is not self._axes[1]:
                transform = axes.get_xaxis_transform()
                style: dict[str, Any] = {"ha": "center", "fontsize": 9, "color": LABEL_GREY}
                axes.text(x, 1.02, label, transform=transform, **style)

    def show(self, data: xarray.Dataset) -> None:
        """Show all measurements, and mark one weight."""
        weights = data["weight"].values
        marked = weights.tolist().index(float(data["marked_weight"]))
        for frame in self._frames:
            frame.set_x(marked - FRAME_WIDTH / 2)
        names = ("held_out_map", "prediction_spread")
        for name, dots, curve in zip(names, self._dots, self._curves, strict=True):
            values = data[name].values
            runs = values.shape[1]
            offsets = np.linspace(-0.12, 0.12, runs) if runs > 1 else np.zeros(1)
            x = np.arange(len(weights))[:, None] + offsets[None]
            dots.set_data(x.ravel(), values.ravel())
            curve.set_data(range(len(weights)), _means(values))
        shares = _means(data["gradient_share"].values)
        tops = np.cumsum(shares, 0)
        for bars, top, share in zip(self._bars, tops, shares, strict=True):
            bars.set_verts(
                [
                    _rectangle(x, high - height, high)
                    for x, (high, height) in enumerate(zip(top, share, strict=True))
                    if np.isfinite(high)
                ]
            )
        self._heading.set_text(f"{data.attrs['data']}, {_numbers_text(data, marked)}")
        for caption, text in zip(self._captions, _comparison(data), strict=True):
            caption.set_text(text)

    def describe(self, data: xarray.Dataset) -> str:
        """Return the numbers of the marked weight, and the shares of the ends in words."""
        marked = data["weight"].values.tolist().index(float(data["marked_weight"]))
        first, second = _comparison(data)
        return f"{data.attrs['data']}, KMCL with {_numbers_text(data, marked)}. {first}. {second}."

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        """Return one row for each weight: mAP and spread over seeds, and mean shares."""
        import pandas

        names = [str(name) for name in data["weight_term"].values]
        columns = {"weight": data["weight"].values}
        measures = {"mAP, %": 100 * data["held_out_map"], "spread": data["prediction_spread"]}
        for name, values in measures.items():
            means, deviations = zip(*map(mean_and_std, values.values), strict=True)
            columns[name] = np.array(means)
            columns[f"{name}: ± standard deviation over seeds"] = np.array(deviations)
        for name, shares in zip(names, _means(data["gradient_share"].values), strict=True):
            columns[f"{name}: mean share of the gradient, %"] = 100 * shares
        return pandas.DataFrame(columns)

    def targets(self, data: xarray.Dataset) -> list[Target]:
        """Return a target for each weight in each of the three axes."""
        return [
            Target(
                *self.box(axes, x - 0.5, axes.get_ylim()[1], x + 0.5, axes.get_ylim()[0]),
                f"weight {weight:g}",
                {"weight": float(weight)},
            )
            for axes in self._axes
            for x, weight in enumerate(data["weight"].values)
        ]


def weight_position(weights: np.ndarray, value: float) -> float:
    """Return where a weight is on an axis with one position for each of ``weights``.

    Between two positions the axis is logarithmic; it is linear next to 0.

    Args:
        weights: in ascending order, from 0 on.
        value: a weight; outside of ``weights`` its position is NaN.

    Example:
        >>> weight_position(np.array([0.0, 0.01, 1.0]), 0.1)
        1.5
    """
    if not weights[0] <= value <= weights[-1]:
        return float("nan")
    upper = int(np.searchsorted(weights, value))
    if weights[upper] == value:
        return float(upper)
    low, high = float(weights[upper - 1]), float(weights[upper])
    if low == 0:
        return upper - 1 + value / high
    return upper - 1 + float(np.log(value / low) / np.log(high / low))


def _means(values: np.ndarray) -> np.ndarray:
    """Return means over runs, the last axis; NaN where no run is finished."""
    rows = values.reshape(-1, values.shape[-1])
    return np.array([mean_and_std(row)[0] for row in rows]).reshape(values.shape[:-1])


def _numbers_text(data: xarray.Dataset, index: int) -> str:
    """Return the numbers of one weight."""
    weight = f"weight {data['weight'].values[index]:g}"
    precision, spread = (
        float(_means(data[name].values)[index]) for name in ("held_out_map", "prediction_spread")
    )
    if not np.isfinite(precision):
        return f"{weight}: not trained yet"
    share = _means(data["gradient_share"].values)[0, index]
    return (
        f"{weight}: mAP {precision:.1%}, spread {spread:.2f}, "
        f"classification has {share:.0%} of the gradient"
    )


def _closest_weight(weights: np.ndarray, default: float) -> float:
    """Return the weight with the smallest ratio to the default; 0 if no other one was studied."""
    positive = weights[weights > 0]
    if not len(positive):
        return float(weights[0])
    return float(positive[np.abs(np.log(positive / default)).argmin()])


def _comparison(data: xarray.Dataset) -> tuple[str, str]:
    """Return two lines that compare the weight closest to 1/B with the largest one."""
    weights, default = data["weight"].values, float(data["default_weight"])
    precision = _means(data["held_out_map"].values)
    spread = _means(data["prediction_spread"].values)
    share = _means(data["gradient_share"].values)[0]
    runs = int(np.isfinite(data["held_out_map"].values).any(0).sum())
    close = weights.tolist().index(_closest_weight(weights, default))
    indices = dict.fromkeys([close, len(weights) - 1])
    finished = [k for k in indices if np.isfinite(precision[k])]
    seeds = f"{runs} {'seed' if runs == 1 else 'seeds'}; 1/B = {default:.3g} is the default of KMCL"
    if not finished:
        return seeds, "The weight 1/B and the largest weight are not trained yet"
    if len(finished) < 2:
        k = finished[0]
        return seeds, (
            f"At the weight {weights[k]:g} classification has {share[k]:.0%} of the gradient, "
            f"mAP is {precision[k]:.1%}, the spread {spread[k]:.2f}"
        )
    first, last = finished
    return seeds, (
        f"Weight {weights[first]:g} to {weights[last]:g}: share of classification "
        f"{share[first]:.0%} to {share[last]:.0%}, mAP {precision[first]:.1%} to "
        f"{precision[last]:.1%}, spread {spread[first]:.2f} to {spread[last]:.2f}"
    )


def _rounded(
    values: np.ndarray, choose: Callable[..., Any], towards: Callable[..., Any], default: float
) -> float:
    """Return the smallest or largest value, rounded to a multiple of ``LIMIT_STEP``."""
    finite = values[np.isfinite(values)].astype(float)
    if not len(finite):
        return default
    return round(float(towards(round(choose(finite) / LIMIT_STEP, 4))) * LIMIT_STEP, 6)


def _limits(low: float, high: float) -> tuple[float, float]:
    """Return limits of an axis with a margin, so that no dot is cut."""
    margin = LIMIT_MARGIN * ((high - low) or LIMIT_STEP)
    return low - margin, high + margin


def _rectangle(x: float, low: float, high: float) -> list[tuple[float, float]]:
    """Return the corners of one part of a bar."""
    left, right = x - BAR_WIDTH / 2, x + BAR_WIDTH / 2
    return [(left, low), (left, high), (right, high), (right, low)]
