"""The picture of similarity against label overlap, for pairs of held-out samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray

from explore.core.statistics import rank_correlation
from explore.core.validation import check_choice
from explore.multilabel._label_sets import ROUNDING, overlap_of
from explore.multilabel.catalog import METHOD_LABELS
from explore.multilabel.pulls import anchor_similarity, matched_similarity
from explore.multilabel.recordings import TRAINING
from explore.plotting.frame import add_caption, add_heading
from explore.plotting.picture import Picture
from explore.plotting.selection import selects
from explore.plotting.style import GRID_GREY, PALETTE, set_title

if TYPE_CHECKING:
    import pandas

SIMILARITY_LABELS = {
    "features": "cosine of the features",
    "components": "similarity of the mixtures",
}

BIN_EDGES = (0.0, 0.3 + ROUNDING, 0.6 + ROUNDING, 1 - ROUNDING)
BIN_NAMES = ("0", "≤ 0.3", "≤ 0.6", "< 1", "1")
"""Bins of the Jaccard overlap: no shared label, up to 0.3, and so on, up to equal label sets."""

QUARTILES = ("lower quartile", "median", "upper quartile")


@selects(TRAINING)
def similarity_by_overlap(
    recordings: Sequence[xarray.Dataset],
    step: int | None = None,
    similarity: str = "features",
) -> xarray.Dataset:
    """Return the data of ``SimilarityByOverlap``: quartiles over all pairs of held-out samples.

    Args:
        recordings: trainings on the same samples.
        step: by default the last; of a shorter training, its last one before.
        similarity: "features" (cosine) or "components": the mean Bhattacharyya coefficient of the
            components of a label (KMCL), or the matched similarity (probmcl). A training without
            recorded components shows its features.

    Raises:
        InvalidInput: another recording.
        UnknownName: another similarity.
    """
    check_choice("similarity", similarity, SIMILARITY_LABELS)
    runs = recordings
    quartiles, correlations, kinds, steps = [], [], [], []
    for run in runs:
        all_steps = run["step"].values
        index = len(all_steps) - 1 if step is None else max(0, int((all_steps <= step).sum()) - 1)
        kind = similarity if "component_mean" in run else "features"
        values = _similarities(run, run.isel(step=index), kind)
        overlaps = overlap_of(run["present"].values.astype(float), "jaccard")
        pairs = np.triu_indices(len(values), 1)
        quartiles.append(_quartiles(values[pairs], overlaps[pairs]))
        correlations.append(_rank_correlation(values[pairs], overlaps[pairs]))
        kinds.append(SIMILARITY_LABELS[kind])
        steps.append(int(all_steps[index]))
    names = [training_label(run) for run in runs]
    return xarray.Dataset(
        {
            "similarity": (("training", "overlap", "quartile"), np.array(quartiles)),
            "correlation": ("training", np.array(correlations)),
            "measure": ("training", np.array(kinds, object)),
            "training_step": ("training", np.array(steps)),
        },
        {
            "training": np.array(names, object),
            "overlap": np.array(BIN_NAMES, object),
            "quartile": np.array(QUARTILES, object),
        },
        {"similarity_kind": similarity},
    )


def training_label(run: xarray.Dataset) -> str:
    """Return the name of a training in pictures."""
    name = str(run.attrs["name"])
    return METHOD_LABELS.get(name, name)


def describe_order(data: xarray.Dataset) -> str:
    """Return the trainings by their rank correlation, the largest first."""
    order = np.argsort(-data["correlation"].values, kind="stable")
    names, values = data["training"].values[order], data["correlation"].values[order]
    parts = (f"{name} {value:.2f}" for name, value in zip(names, values, strict=True))
    return f"rank correlation {', '.join(parts)}"


def _similarities(run: xarray.Dataset, frame: xarray.Dataset, kind: str) -> np.ndarray:
    """Return the similarities of all pairs, ``[P, P]``."""
    count = run.sizes["point"]
    if kind == "features":
        features = frame["embedding"].values.astype(float)
        unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
        return np.asarray(unit @ unit.T)
    means, variances = frame["component_mean"].values, frame["component_variance"].values
    if means.ndim == 2:
        axes = run.sizes["axis"]
        rows = [anchor_similarity(means, variances, row, axes).mean(1) for row in range(count)]
    else:
        weights = frame["component_weight"].values
        rows = [matched_similarity(weights, means, variances, row) for row in range(count)]
    return np.array(rows)


def _quartiles(values: np.ndarray, overlaps: np.ndarray) -> np.ndarray:
    """Return the quartiles of each bin, ``[bins, 3]``; NaN for a bin without pairs."""
    bins = np.digitize(overlaps, BIN_EDGES, right=True)
    result = np.full((len(BIN_NAMES), 3), np.nan)
    for number in range(len(BIN_NAMES)):
        if (bins == number).any():
            result[number] = np.quantile(values[bins == number], (0.25, 0.5, 0.75))
    return result


def _rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Return Spearman's correlation; 0 if all values of one side are equal."""
    if np.ptp(first) < 1e-12 or np.ptp(second) < 1e-12:
        return 0.0
    return rank_correlation(first, second)


class SimilarityByOverlap(Picture):
    """One panel for each training: the similarity of pairs by the overlap of their labels."""

    size = (9.6, 4.4)
    title = "Does similarity follow the labels?"
    structural = ("similarity_kind",)

    def build(self, data: xarray.Dataset) -> None:
        """Draw a panel for each training."""
        self._heading = add_heading(self, 0.95)
        self._caption = add_caption(self, 0.02, 0.03)
        count = data.sizes["training"]
        width = 0.905 / count
        self._bars, self._medians, self._titles = [], [], []
        places = np.arange(len(BIN_NAMES))
        # A cosine may be below 0, the similarity of mixtures may not.
        limits = (-1.05 if data.attrs["similarity_kind"] == "features" else -0.05, 1.05)
        for number in range(count):
            axes = self.figure.add_axes((0.09 + number * width, 0.2, width - 0.045, 0.5))
            letters = str(data["training"].values[number]).lower()
            self.panel("".join(c if c.isascii() and c.isalnum() else "-" for c in letters), axes)
            axes.set(xlim=(-0.6, len(places) - 0.4), ylim=limits)
            axes.set_xticks(places, BIN_NAMES)
            axes.set_xlabel("overlap of the labels (Jaccard)")
            axes.grid(axis="y", color=GRID_GREY)
            axes.set_axisbelow(True)
            if number == 0:
                axes.set_ylabel("similarity of two samples")
            self._titles.append(self.moving(set_title(axes, "")))
            self._bars.append(
                self.moving(axes.vlines(places, 0 * places, 0 * places, lw=14, alpha=0.45))
            )
            self._bars[-1].set_color(PALETTE["blue"])
            self._medians.append(
                self.moving(axes.plot([], [], "_", ms=20, mew=3, color=PALETTE["black"])[0])
            )

    def show(self, data: xarray.Dataset) -> None:
        """Show quartiles and correlations."""
        for number in range(data.sizes["training"]):
            low, middle, high = data["similarity"].values[number].T
            rows = np.flatnonzero(np.isfinite(middle))
            self._bars[number].set_segments([[(k, low[k]), (k, high[k])] for k in rows])
            self._medians[number].set_data(rows, middle[rows])
            self._titles[number].set_text(
                f"{data['training'].values[number]}, step {int(data['training_step'][number])}\n"
                f"{data['measure'].values[number]}\n"
                f"rank correlation {float(data['correlation'][number]):.2f}"
            )
        self._heading.set_text("Does the similarity follow the overlap of the labels?")
        self._caption.set_text(
            "bars: the middle half of all pairs of held-out samples; lines: medians"
        )

    def describe(self, data: xarray.Dataset) -> str:
        """Return the correlations and the medians of the extreme bins in words."""
        parts = []
        for number, name in enumerate(data["training"].values):
            medians = data["similarity"].values[number, :, 1]
            medians = medians[np.isfinite(medians)]
            parts.append(
                f"{name} at step {int(data['training_step'][number])} "
                f"({data['measure'].values[number]}): rank correlation "
                f"{float(data['correlation'][number]):.2f}, median {medians[0]:.2f} for the least "
                f"and {medians[-1]:.2f} for the largest overlap"
            )
        return "Similarity of pairs against the overlap of their labels. " + "; ".join(parts) + "."

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        """Return the quartiles of each training and bin."""
        import pandas

        rows = [
            [name, overlap, *data["similarity"].values[i, k]]
            for i, name in enumerate(data["training"].values)
            for k, overlap in enumerate(data["overlap"].values)
        ]
        return pandas.DataFrame(rows, columns=["training", "overlap", *QUARTILES])
