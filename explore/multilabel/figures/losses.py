"""The picture of a study of losses: the scores of every seed, and paired differences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray

from explore.core.statistics import mean_and_std, paired_difference
from explore.core.validation import check_choice
from explore.multilabel.recordings import BASELINE
from explore.multilabel.study_tables import (
    chosen_settings,
    last_frame,
    loss_label,
    loss_names,
    split_label,
)
from explore.plotting.frame import add_caption, add_heading
from explore.plotting.picture import Picture
from explore.plotting.selection import selects
from explore.plotting.style import EDGE_GREY, FRAME_GREY, GRID_GREY, PALETTE, set_title

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes

SCORE_STEP, DIFFERENCE_STEP = 0.05, 0.02
"""The limits of the two axes are multiples of these."""

NO_VALUE = "–"


@selects(most=1)
def training_losses(recordings: Sequence[xarray.Dataset], measure: str = "mAP") -> xarray.Dataset:
    """Return the data of ``TrainingLosses`` from the last frame of a study.

    Args:
        recordings: one study.
        measure: "mAP", "CF1" or "OF1".

    Raises:
        InvalidInput: no study.
        UnknownName: a measure that was not studied.
    """
    last = last_frame(recordings)
    check_choice("measure", measure, [str(name) for name in last["measure"].values])
    names = loss_names(last)
    baseline = BASELINE if BASELINE in names else names[0]
    all_scores = last["score"].transpose("measure", "training_loss", "run").values
    low, high = _score_limits(all_scores)
    settings = np.array(chosen_settings(last))
    scores = last["score"].sel(measure=measure).transpose("training_loss", "run").values
    return xarray.Dataset(
        {
            "score": (("training_loss", "run"), scores.astype(float)),
            "rate": ("training_loss", settings[:, 0]),
            "weight": ("training_loss", settings[:, 1]),
        },
        {"training_loss": np.array(names, object), "measure": measure},
        {
            "data": str(last.attrs["config"]["data"]["name"]),
            "split": split_label(last),
            "baseline": baseline,
            "low": low,
            "high": high,
            "widest": _difference_limit(all_scores, names.index(baseline)),
        },
    )


class TrainingLosses(Picture):
    """One row for each loss: every seed, the mean, the paired difference and the settings."""

    size = (9.6, 4.8)
    title = "Losses of multi-label training compared"
    structural = ("low", "high", "widest", "baseline")

    def build(self, data: xarray.Dataset) -> None:
        """Draw one row for each loss: scores, differences, and settings as text."""
        names = [loss_label(str(name)) for name in data["training_loss"].values]
        rows = np.arange(len(names))
        self._heading = add_heading(self, 0.955)
        self._caption = add_caption(self, 0.02, 0.895)
        left = self.figure.add_axes((0.15, 0.14, 0.34, 0.66))
        right = self.figure.add_axes((0.545, 0.14, 0.26, 0.66))
        widest = float(data.attrs["widest"])
        left.set(xlim=(data.attrs["low"], data.attrs["high"]))
        right.set(xlim=(-100 * widest, 100 * widest))
        left.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.4g}%")
        right.xaxis.set_major_formatter(lambda value, _: _points_text(value))
        set_title(left, "a dot is one seed, the bar is the mean")
        set_title(right, f"minus {loss_label(data.attrs['baseline'])}, 95% interval")
        for axes in (left, right):
            axes.set_ylim(len(names) - 0.5, -0.5)
            axes.grid(axis="x", color=GRID_GREY)
            axes.set_axisbelow(True)
            axes.tick_params(axis="y", length=0)
        left.set_yticks(rows, names)
        right.set_yticks(rows, names)
        right.tick_params(axis="y", labelleft=False)
        self.panel("scores", left)
        self.panel("differences", right)
        right.axvline(0, color="black", lw=1)
        self._labels = [self._axis_label(axes) for axes in (left, right)]
        self._dots = self.moving(
            left.plot([], [], "o", ms=4, color=EDGE_GREY, mfc="none", zorder=2)[0]
        )
        self._means = self.moving(
            left.plot([], [], "|", ms=17, mew=3, color=PALETTE["blue"], zorder=3)[0]
        )
        self._intervals = self.moving(right.hlines([], 0, 0, color=PALETTE["blue"], lw=3))
        self._differences = self.moving(
            right.plot([], [], "D", ms=6, color=PALETTE["blue"], mec="white")[0]
        )
        self._settings = [
            [self._setting(right, x, row) for x in (1.16, 1.42)] for row in range(len(names))
        ]
        for x, text in ((1.16, "rate"), (1.42, "weight")):
            set_title(right, text).set(x=x, ha="center")

    def show(self, data: xarray.Dataset) -> None:
        """Show scores, differences and settings."""
        scores, measure = data["score"].values, str(data["measure"].values)
        rows = np.arange(len(scores))
        # Seeds are moved apart a little, the same seed always to the same side.
        offsets = np.linspace(-0.25, 0.25, scores.shape[1]) if scores.shape[1] > 1 else np.zeros(1)
        self._dots.set_data(scores.ravel(), (rows[:, None] + offsets[None]).ravel())
        summary = _summary(data)
        self._means.set_data(summary[:, 0], rows)
        points = 100 * summary[:, 2:]
        self._differences.set_data(points[:, 0], rows)
        self._intervals.set_segments(
            [
                [(middle - width, row), (middle + width, row)]
                for row, (middle, width) in enumerate(points)
                if np.isfinite(width)
            ]
        )
        settings = np.stack([data["rate"].values, data["weight"].values], 1)
        for texts, values in zip(self._settings, settings, strict=True):
            for text, value, pattern in zip(texts, values, ("{:g}", "× {:g}"), strict=True):
                text.set_text(pattern.format(value) if np.isfinite(value) else NO_VALUE)
        for label, text in zip(self._labels, (measure, f"points of {measure}"), strict=True):
            label.set_text(text)
        self._heading.set_text(
            f"{data.attrs['data']}: {measure} of {len(scores)} losses on {data.attrs['split']}"
        )
        self._caption.set_text(
            f"{_seeds_text(data)}; learning rate and weight (a multiple of its default) were "
            "chosen on validation samples"
        )

    def describe(self, data: xarray.Dataset) -> str:
        """Return the mean of each loss and its difference in words."""
        measure, baseline = str(data["measure"].values), loss_label(data.attrs["baseline"])
        parts = []
        for name, (mean, _, difference, interval) in zip(
            data["training_loss"].values, _summary(data), strict=True
        ):
            text = f"{mean:.1%}" if np.isfinite(mean) else "not trained"
            if str(name) != data.attrs["baseline"] and np.isfinite(difference):
                width = f" ± {100 * interval:.1f}" if np.isfinite(interval) else ""
                text += f" ({100 * difference:+.1f}{width})".replace("-", "−")
            parts.append(f"{loss_label(str(name))} {text}")
        return (
            f"{data.attrs['data']}, {measure} on {data.attrs['split']} over {_seeds_text(data)}; "
            f"in brackets points more than {baseline} with 95% interval: {', '.join(parts)}."
        )

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        """Return mean, standard deviation, paired difference and settings of each loss."""
        import pandas

        columns = [
            f"mean {data['measure'].values}, %",
            "standard deviation over seeds, points",
            f"minus {loss_label(data.attrs['baseline'])}, points",
            "± half of the 95% interval, points",
        ]
        rows = pandas.DataFrame(100 * _summary(data), columns=columns)
        rows.insert(0, "loss", [loss_label(str(name)) for name in data["training_loss"].values])
        rows["learning rate"] = data["rate"].values
        rows["weight, times its default"] = data["weight"].values
        return rows

    def _axis_label(self, axes: Axes) -> Any:
        """Add a label below an axis that may change."""
        text = axes.text(0.5, -0.1, "", ha="center", va="top", transform=axes.transAxes)
        return self.moving(text)

    def _setting(self, axes: Axes, x: float, row: int) -> Any:
        """Add the text of a setting on the right of a row."""
        style: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 9, "color": FRAME_GREY}
        return self.moving(axes.text(x, row, "", transform=axes.get_yaxis_transform(), **style))


def _summary(data: xarray.Dataset) -> np.ndarray:
    """Return mean, deviation, difference and half interval of each loss, ``[n, 4]``."""
    scores = data["score"].values
    names = [str(name) for name in data["training_loss"].values]
    baseline = scores[names.index(data.attrs["baseline"])]
    return np.array([(*mean_and_std(row), *paired_difference(row, baseline)) for row in scores])


def _score_limits(scores: np.ndarray) -> tuple[float, float]:
    """Return rounded limits of all scores, between 0 and 1."""
    finite = scores[np.isfinite(scores)]
    if not len(finite):
        return 0.0, 1.0
    ends = np.round(np.array([finite.min(), finite.max()], float) / SCORE_STEP, 4)
    steps = np.floor(ends[0]), np.ceil(ends[1])
    low, high = (round(float(step) * SCORE_STEP, 6) for step in steps)
    if high == low:  # All scores are one and the same multiple of the step.
        low, high = low - SCORE_STEP, high + SCORE_STEP
    return max(0.0, low), min(1.0, high)


def _difference_limit(scores: np.ndarray, baseline: int) -> float:
    """Return the largest difference with its interval in any measure, rounded up; at most 1."""
    ends = [
        abs(difference) + (interval if np.isfinite(interval) else 0.0)
        for rows in scores
        for difference, interval in (paired_difference(row, rows[baseline]) for row in rows)
        if np.isfinite(difference)
    ]
    widest = np.ceil(max(ends, default=0.0) / DIFFERENCE_STEP) * DIFFERENCE_STEP
    return round(float(np.clip(widest, DIFFERENCE_STEP, 1.0)), 6)


def _seeds_text(data: xarray.Dataset) -> str:
    """Return how many seeds have a score, such as "5 seeds"."""
    count = int(np.isfinite(data["score"].values).any(0).sum())
    return f"{count} {'seed' if count == 1 else 'seeds'}"


def _points_text(value: float) -> str:
    """Return a difference with its sign, such as "−5"; 0 has none."""
    return f"{value:+g}".replace("-", "−") if abs(value) > 1e-9 else "0"
