"""The picture of uncertainties and mistakes, at equal numbers of labels or pooled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray
from numpy.typing import ArrayLike

from explore.core.recording import frame_index, require_variable
from explore.core.statistics import mean_ranks, rank_correlation
from explore.core.validation import check_choice, check_flag, check_number
from explore.multilabel.recordings import TRAINING
from explore.plotting.frame import add_caption, add_heading
from explore.plotting.picture import Picture
from explore.plotting.selection import selects
from explore.plotting.style import FRAME_GREY, GRID_GREY, PALETTE, set_title

if TYPE_CHECKING:
    import pandas

UNCERTAINTY_LABELS = {
    "aleatoric": "aleatoric: sum of variances",
    "epistemic": "epistemic: sum of variances",
    "total": "total: sum of variances",
    "entropy": "entropy of the weights (nats)",
    "log_volume": "log-volume of the mixture",
}

GROUPS = (("exact", "blue", "o", -1), ("not exact", "vermilion", "s", 1))
"""Samples whose label set is predicted exactly, and the others: colour, marker and side."""

GROUP_OFFSET, GROUP_WIDTH = 0.21, 0.3
GOLDEN_RATIO = 0.618034
MARGIN = 0.05
ROW_POSITIONS = (-0.075, -0.17, -0.265)
"""Heights of the rows of text below the axes."""


@selects(TRAINING, most=1)
def uncertainty_by_count(
    recordings: Sequence[xarray.Dataset],
    measure: str = "epistemic",
    by_count: bool = True,
    step: int | None = None,
    threshold: float | None = 0.5,
) -> xarray.Dataset:
    """Return the data of ``UncertaintyByCount``: held-out samples of a training of probmcl.

    Args:
        recordings: one recording of probmcl.
        measure: "aleatoric", "epistemic", "total", "entropy" or "log_volume".
        by_count: compare samples with equally many labels; otherwise all with one another.
        step: of the frame; by default the last one.
        threshold: a label is predicted if its probability is at least the threshold. With None, as
            many labels are predicted as a sample has: those with the largest probabilities.

    Raises:
        InvalidInput: no training, or one without uncertainties; or a threshold outside of [0, 1].
        UnknownName: an uncertainty that was not recorded.
    """
    (run,) = recordings
    require_variable(run, "uncertainty", "a training with uncertainties (explore run probmcl)")
    check_flag("by_count", by_count)
    names = [str(name) for name in run["uncertainty_kind"].values]
    check_choice("measure", measure, names)
    if threshold is not None:
        check_number("threshold", threshold, at_least=0, at_most=1)
    all_values = run["uncertainty"].isel(uncertainty_kind=names.index(measure))
    finite = all_values.values[np.isfinite(all_values.values)].astype(float)
    low, high = (finite.min(), finite.max()) if len(finite) else (0.0, 1.0)
    frame = run.isel(step=frame_index(run, step)) if "step" in run.dims else run
    present = run["present"].transpose("point", "label").values.astype(bool)
    is_known = np.ones_like(present)
    if "known" in run.coords:
        is_known = run["known"].transpose("point", "label").values.astype(bool)
    present = present & is_known
    counts = present.sum(1)
    probability = frame["probability"].transpose("point", "label").values.astype(float)
    predicted = _predicted_labels(probability, counts, is_known, threshold)
    return xarray.Dataset(
        {
            "uncertainty": (
                "point",
                frame["uncertainty"]
                .isel(uncertainty_kind=names.index(measure))
                .values.astype(float),
            ),
            "labels": ("point", counts),
            "exact": ("point", ((predicted == present) | ~is_known).all(1)),
        },
        {
            "label_count": np.unique(counts),
            "measure": measure,
            "by_count": bool(by_count),
            "step": int(frame["step"]) if "step" in frame.coords else -1,
        },
        {
            "data": str(run.attrs["config"]["data"]["name"]),
            "threshold": threshold,
            "has_classifier": bool(np.isfinite(frame["mean_average_precision"].values)),
            "low": float(low),
            "high": float(high),
        },
    )


class UncertaintyByCount(Picture):
    """Uncertainties of samples that are predicted exactly or not, by their number of labels."""

    size = (9.6, 5.0)
    title = "Uncertainty and mistakes at equal numbers of labels"
    structural = ("measure", "low", "high")

    def build(self, data: xarray.Dataset) -> None:
        """Draw the axes, and below them places for the numbers of each number of labels."""
        self._heading = add_heading(self, 0.955)
        self._captions = [add_caption(self, 0.02, y) for y in (0.895, 0.85)]
        axes = self.figure.add_axes((0.115, 0.2, 0.87, 0.55))
        self.panel("uncertainty", axes)
        low, high = float(data.attrs["low"]), float(data.attrs["high"])
        margin = MARGIN * ((high - low) or 1.0)
        slots = data.sizes["label_count"]
        axes.set(xlim=(-0.5, slots - 0.5), ylim=(low - margin, high + margin), xticks=[])
        axes.grid(axis="y", color=GRID_GREY)
        axes.set_axisbelow(True)
        axes.set_ylabel(UNCERTAINTY_LABELS[str(data["measure"].values)])
        styles: list[dict[str, Any]] = [
            {"marker": marker, "mec": PALETTE[colour], "mfc": "none", "ls": "", "ms": 4.5, "mew": 1}
            for _, colour, marker, _ in GROUPS
        ]
        self._dots = [self.moving(axes.plot([], [], zorder=2, **style)[0]) for style in styles]
        self._medians = self.moving(axes.hlines([], 0, 0, color="black", lw=3, zorder=3))
        handles = [
            *(
                axes.plot([], [], **style, label=name)[0]
                for style, (name, *_) in zip(styles, GROUPS, strict=True)
            ),
            axes.plot([], [], color="black", lw=3, label="median")[0],
        ]
        axes.legend(
            handles=handles,
            loc="lower right",
            ncols=3,
            bbox_to_anchor=(1.01, 1.0),
            handlelength=1.2,
        )
        self._title = self.moving(set_title(axes, ""))
        transform = axes.get_xaxis_transform()
        self._texts = [
            [
                self.moving(axes.text(slot, y, "", ha="center", va="center", transform=transform))
                for y in ROW_POSITIONS
            ]
            for slot in range(slots)
        ]
        for y, text in zip(ROW_POSITIONS, ("labels", "exact / all", "AUROC"), strict=True):
            axes.text(-0.109, y, text, va="center", color=FRAME_GREY, transform=axes.transAxes)

    def show(self, data: xarray.Dataset) -> None:
        """Show the dots of both groups, their medians, and the numbers below."""
        groups = _groups(data)
        slots = data.sizes["label_count"]
        centers = range(slots) if bool(data["by_count"]) else [(slots - 1) / 2]
        scale = 1.0 if bool(data["by_count"]) else slots / 1.6
        values, exact = data["uncertainty"].values, data["exact"].values
        # Neighbours in the recording are far from each other: their dots overlap rarely.
        offsets = (np.arange(len(values)) * GOLDEN_RATIO % 1 - 0.5) * GROUP_WIDTH
        segments = []
        for dots, is_right, (*_, side) in zip(self._dots, (True, False), GROUPS, strict=True):
            x, y = [], []
            for center, (_, members) in zip(centers, groups, strict=True):
                chosen = np.flatnonzero(members & (exact == is_right))
                middle = center + side * GROUP_OFFSET * scale
                x.append(middle + offsets[chosen] * scale)
                y.append(values[chosen])
                if np.isfinite(values[chosen]).any():
                    width = 0.5 * GROUP_WIDTH * scale
                    median = float(np.nanmedian(values[chosen]))
                    segments.append([(middle - width, median), (middle + width, median)])
            dots.set_data(np.concatenate(x), np.concatenate(y))
        self._medians.set_segments(segments)
        for slot, texts in enumerate(self._texts):
            lines = ("", "", "")
            if slot < len(groups):
                label, members = groups[slot]
                lines = (
                    label,
                    f"{int(exact[members].sum())} / {int(members.sum())}",
                    _number_text(auroc(values[members], ~exact[members])),
                )
            for text, line in zip(texts, lines, strict=True):
                text.set_text(line)
                text.set_x(centers[min(slot, len(groups) - 1)])
        self._heading.set_text(_heading(data))
        for caption, text in zip(self._captions, _captions(data), strict=True):
            caption.set_text(text)

    def describe(self, data: xarray.Dataset) -> str:
        """Return all AUROCs and the correlation with the number of labels in words."""
        first, second = _captions(data)
        values, exact = data["uncertainty"].values, data["exact"].values
        parts = [
            f"{label} {'label' if label == '1' else 'labels'} "
            f"{_number_text(auroc(values[members], ~exact[members]))}"
            for label, members in _groups(data)
        ]
        numbers = f" By number of labels: {', '.join(parts)}." if bool(data["by_count"]) else ""
        return f"{_heading(data)}. {first}. {second}.{numbers}"

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        """Return one row for each sample."""
        import pandas

        return pandas.DataFrame(
            {
                "number of labels": data["labels"].values,
                "predicted exactly": np.where(data["exact"].values, "yes", "no").astype(object),
                UNCERTAINTY_LABELS[str(data["measure"].values)]: data["uncertainty"].values,
            }
        )


def auroc(scores: ArrayLike, positives: ArrayLike) -> float:
    """Return the share of pairs in which the positive sample has the higher score.

    Ties count one half. Samples whose score is NaN are left out.

    Args:
        scores: ``[n]``.
        positives: bool ``[n]``.

    Returns:
        The area under the ROC curve; NaN without a positive or without a negative sample.

    Example:
        >>> auroc([0.1, 0.4, 0.4, 0.8], [False, False, True, True])
        0.875
    """
    wins, pairs = _pairs(np.asarray(scores, float), np.asarray(positives, bool))
    return wins / pairs if pairs else float("nan")


def auroc_within(scores: ArrayLike, positives: ArrayLike, groups: ArrayLike) -> float:
    """Return the AUROC over pairs of samples of the same group; see ``auroc``.

    Example:
        >>> auroc_within([0.1, 0.2, 0.8, 0.9], [False, True, True, False], [1, 1, 2, 2])
        0.5
    """
    scores, positives, groups = np.asarray(scores, float), np.asarray(positives), np.asarray(groups)
    counts = [
        _pairs(scores[groups == group], positives[groups == group]) for group in np.unique(groups)
    ]
    wins, pairs = (sum(column) for column in zip(*counts, strict=True)) if counts else (0.0, 0)
    return wins / pairs if pairs else float("nan")


def _pairs(scores: np.ndarray, positives: np.ndarray) -> tuple[float, int]:
    """Return in how many pairs the positive sample is higher, and the number of pairs."""
    finite = np.isfinite(scores)
    scores, positives = scores[finite], positives[finite]
    count = int(positives.sum())
    pairs = count * (len(positives) - count)
    if not pairs:
        return 0.0, 0
    return float(mean_ranks(scores)[positives].sum() - count * (count + 1) / 2), pairs


def _predicted_labels(
    probability: np.ndarray, counts: np.ndarray, is_known: np.ndarray, threshold: float | None
) -> np.ndarray:
    """Return the predicted labels, bool ``[point, label]``; see ``uncertainty_by_count``."""
    if threshold is not None:
        return probability >= threshold
    order = np.argsort(-np.where(is_known, probability, -1.0), axis=1, kind="stable")
    place = np.argsort(order, axis=1)
    return place < counts[:, None]


def _groups(data: xarray.Dataset) -> list[tuple[str, np.ndarray]]:
    """Return the name and the members, bool ``[point]``, of each group of samples."""
    counts = data["labels"].values
    if not bool(data["by_count"]):
        return [("all", np.ones(len(counts), bool))]
    return [(f"{count}", counts == count) for count in data["label_count"].values.tolist()]


def _heading(data: xarray.Dataset) -> str:
    name = str(data["measure"].values).replace("_", "-")
    kind = name if name in ("entropy", "log-volume") else f"{name} uncertainty"
    grouping = "at equal numbers of labels" if bool(data["by_count"]) else "all samples pooled"
    step = f", step {int(data['step'])}" if int(data["step"]) >= 0 else ""
    return f"{data.attrs['data']}: {kind} and mistakes, {grouping}{step}"


def _captions(data: xarray.Dataset) -> tuple[str, str]:
    """Return two lines: what is exact, and what the uncertainty goes along with."""
    values, exact, counts = (data[name].values for name in ("uncertainty", "exact", "labels"))
    threshold = data.attrs["threshold"]
    rule = (
        "their labels are the most probable ones"
        if threshold is None
        else f"all labels are right at the threshold {threshold:g}"
    )
    first = f"{int(exact.sum())} of {len(values)} held-out samples are exact: {rule}"
    if not data.attrs["has_classifier"]:
        first += " (the classifier is not trained yet)"
    within, pooled = auroc_within(values, ~exact, counts), auroc(values, ~exact)
    return first, (
        f"AUROC for mistakes: {_number_text(within)} within equal numbers of labels, "
        f"{_number_text(pooled)} pooled; Spearman correlation with the number of labels "
        f"{_number_text(rank_correlation(values, counts))}"
    )


def _number_text(value: float) -> str:
    """Return a number with two digits, or a dash for NaN."""
    return f"{value:.2f}".replace("-", "−") if np.isfinite(value) else "–"
