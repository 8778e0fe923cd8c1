"""The picture of one anchor and five neighbours: arrows show who pulls it, and how hard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray
from matplotlib.patches import FancyArrowPatch

from explore.errors import InvalidInput
from explore.multilabel._label_sets import is_at_least, overlap_of
from explore.multilabel.config import DEFAULT_TEMPERATURES
from explore.multilabel.pulls import anchor_similarity, pulls_on_anchor
from explore.multilabel.recordings import TRAINING
from explore.plotting.frame import add_caption, add_heading, add_image_axes
from explore.plotting.picture import Picture
from explore.plotting.selection import selects
from explore.plotting.style import PALETTE

if TYPE_CHECKING:
    import pandas

WANTED_OVERLAPS = (1.0, 0.6, 0.4, 0.2, 0.0)
"""Jaccard overlaps of the neighbours with the anchor, as far as the samples have them."""

ANCHOR_LABELS = 3
"""Number of labels of the anchor."""

POINTS_PER_PULL = 3.5
"""Width of an arrow for a pull of 1."""

WIDEST = 16.0
"""Width of the widest arrow, in points."""

LEGEND = (
    "blue: the anchor is pulled there; orange, dashed: it is pushed away\n"
    "width and number: the derivative of the loss with respect to the similarity"
)

ROW_HEIGHT = 0.158
"""Distance between two neighbours, in heights of the figure."""


def neighbour_rows(present: np.ndarray) -> list[int]:
    """Return the rows of an anchor and of five neighbours with different overlaps.

    The anchor is the first sample with three labels for which another sample has the same labels;
    if there is none, the sample with the most labels.

    Args:
        present: ``[points, labels]``.

    Raises:
        InvalidInput: fewer than six samples with a label.
    """
    labels = np.asarray(present, float)
    if (labels.sum(1) > 0).sum() <= len(WANTED_OVERLAPS):
        raise InvalidInput("this picture needs six samples with labels, or more")
    overlaps = overlap_of(labels, "jaccard")
    np.fill_diagonal(overlaps, -1)
    fitting = np.flatnonzero((labels.sum(1) == ANCHOR_LABELS) & (overlaps.max(1) > 0.99))
    rows = [int(fitting[0]) if len(fitting) else int(labels.sum(1).argmax())]
    for wanted in WANTED_OVERLAPS:
        distance = abs(overlaps[rows[0]] - wanted)
        distance[rows] = np.inf
        rows.append(int(distance.argmin()))
    return rows


@selects(TRAINING, most=1)
def anchor_pulls(
    recordings: Sequence[xarray.Dataset],
    step: int | None = None,
    correlation: str = "outside",
    overlap: str = "jaccard",
    alpha: float = 0.05,
    hidden: bool = False,
) -> xarray.Dataset:
    """Return the data of ``AnchorPulls``: the pull of five samples on an anchor.

    The six samples are the batch. Their components are those of a recorded step, the temperature
    is that of the training.

    Args:
        recordings: one training with KMCL on images, with isotropic components.
        step: by default the last; between two recorded steps, the first of both.
        correlation, overlap, alpha: see ``explore.multilabel.kernel_contrast``.
        hidden: leave out the pulls.

    Raises:
        InvalidInput: another recording.
        UnknownName: another correlation or overlap.
    """
    (recording,) = recordings
    if "component_mean" not in recording or recording["component_mean"].ndim != 3:
        raise InvalidInput(
            f"the pulls need a training with isotropic KMCL; {recording.attrs['name']} is none"
        )
    if "thumbnail" not in recording:
        raise InvalidInput("the pulls are drawn between images; these samples are none")
    steps = recording["step"].values
    frame = recording.isel(step=-1 if step is None else max(0, int((steps <= step).sum()) - 1))
    present = recording["present"].values
    rows = neighbour_rows(present)
    labels = present[rows].astype(float)
    similarity = anchor_similarity(
        frame["component_mean"].values[rows],
        frame["component_variance"].values[rows],
        0,
        recording.sizes["axis"],
    )
    temperature = recording.attrs["config"]["temperature"] or DEFAULT_TEMPERATURES["kmcl"]
    pulls = pulls_on_anchor(
        similarity,
        labels,
        0,
        temperature=temperature,
        correlation=correlation,
        alpha=alpha,
        overlap=overlap,
    )
    overlaps = overlap_of(labels, overlap, labels[:1])[0]
    names = [str(name) for name in recording["label"].values]
    return xarray.Dataset(
        {
            "pull": ("sample", np.full(len(rows), np.nan) if hidden else pulls),
            "overlap": ("sample", overlaps),
            "similarity": ("sample", similarity.mean(1)),
            "positive": ("sample", is_at_least(overlaps, alpha) & (overlaps > 0)),
            "image": (
                ("sample", *recording["thumbnail"].dims[1:]),
                recording["thumbnail"][rows].values,
            ),
        },
        {
            "label_set": (
                "sample",
                np.array([", ".join(np.array(names)[row > 0]) for row in labels], object),
            ),
            "point": ("sample", np.array(rows)),
            "step": int(frame["step"]),
        },
        {"correlation": correlation, "overlap": overlap, "alpha": alpha},
    )


class AnchorPulls(Picture):
    """The anchor on the left, its neighbours on the right, and an arrow for each pull."""

    size = (9.6, 6.0)
    title = "How hard each image pulls an anchor"

    def build(self, data: xarray.Dataset) -> None:
        """Draw frames for six images, five arrows and their texts."""
        self._heading = add_heading(self, 0.965)
        self._caption = add_caption(self, 0.02, 0.92)
        self._foot = add_caption(self, 0.02, 0.04)
        count = data.sizes["sample"] - 1
        self._images = [self._add_image((0.05, 0.33, 0.2, 0.32), data["image"].values[0])]
        names = [str(name) for name in data["label_set"].values]
        self.figure.text(0.15, 0.3, names[0].replace(", ", "\n"), ha="center", va="top")
        self.figure.text(0.15, 0.665, "anchor", ha="center", va="bottom", fontweight="bold")
        self._texts, self._arrows = [], []
        for number in range(count):
            bottom = 0.735 - number * ROW_HEIGHT
            image = data["image"].values[number + 1]
            self._images.append(self._add_image((0.5, bottom, 0.095, 0.145), image))
            self.figure.text(0.615, bottom + 0.09, names[number + 1], va="center")
            text = self.figure.text(0.615, bottom + 0.055, "", va="center")
            self._texts.append(self.moving(text))
            arrow = FancyArrowPatch(
                (0, 0), (1, 1), transform=self.figure.transFigure, mutation_scale=18, zorder=3
            )
            self.figure.add_artist(arrow)
            self._arrows.append(self.moving(arrow))

    def _add_image(self, box: tuple[float, float, float, float], pixels: np.ndarray) -> Any:
        axes = add_image_axes(self, box)
        return self.moving(axes.imshow(pixels, cmap="gray", vmin=0, vmax=255))

    def show(self, data: xarray.Dataset) -> None:
        """Show images, texts and arrows."""
        for artist, pixels in zip(self._images, data["image"].values, strict=True):
            artist.set_data(pixels)
        pulls = data["pull"].values
        rows = zip(self._texts, self._arrows, range(1, len(pulls)), strict=True)
        for text, arrow, number in rows:
            text.set_text(_row_text(data, number))
            pull = pulls[number]
            middle = 0.735 - (number - 1) * ROW_HEIGHT + 0.0725
            ends = (0.27, 0.49 + 0.035 * (3 - number)), (0.485, middle)
            is_visible = bool(np.isfinite(pull) and abs(pull) > 1e-3)
            arrow.set_visible(is_visible)
            if not is_visible:
                continue
            is_attraction = pull > 0
            # The head shows where the anchor goes: to the neighbour, or away from it.
            first, second = ends if is_attraction else (ends[1], ends[0])
            arrow.set_positions(first, second)
            arrow.set_arrowstyle("-|>")
            arrow.set(
                linewidth=min(POINTS_PER_PULL * abs(pull), WIDEST),
                color=PALETTE["blue"] if is_attraction else PALETTE["vermilion"],
                linestyle="-" if is_attraction else (0, (1.2, 0.6)),
            )
        places = {
            "outside": "J outside of the logarithm: a weight of each pair",
            "inside": "J inside of the logarithm, as in the released code",
            "none": "without J",
        }
        self._heading.set_text(places[data.attrs["correlation"]])
        self._caption.set_text(
            f"overlap: {data.attrs['overlap']}, positive from {data.attrs['alpha']:.2f}; "
            f"components of step {int(data['step'])}"
        )
        hidden = bool(np.isnan(pulls[1:]).all())
        self._foot.set_text("The pulls are hidden until you have predicted." if hidden else LEGEND)

    def describe(self, data: xarray.Dataset) -> str:
        """Return the pulls in words."""
        parts = []
        for number in range(1, data.sizes["sample"]):
            pull = float(data["pull"][number])
            verb = "pull hidden" if np.isnan(pull) else f"pull {pull:+.2f}"
            parts.append(f"overlap {float(data['overlap'][number]):.2f}, {verb}")
        return (
            f"J {data.attrs['correlation']}, {data.attrs['overlap']} from "
            f"{data.attrs['alpha']:.2f}, step {int(data['step'])}. Five images and an anchor with "
            f"{data['label_set'].values[0]}: {'; '.join(parts)}."
        )

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        """Return one row for each neighbour."""
        import pandas

        return pandas.DataFrame(
            {
                "labels": data["label_set"].values[1:],
                f"overlap J ({data.attrs['overlap']})": data["overlap"].values[1:],
                "positive": np.where(data["positive"].values[1:], "yes", "no").astype(object),
                "mean similarity of the components": data["similarity"].values[1:],
                "pull (above 0: pulls, below 0: pushes)": data["pull"].values[1:],
            }
        )


def _row_text(data: xarray.Dataset, number: int) -> str:
    """Return the overlap of a neighbour and its pull."""
    pull = float(data["pull"][number])
    kind = "positive" if bool(data["positive"][number]) else "not positive"
    verb = "pulls" if pull > 0 else "pushes away"
    strength = "?" if np.isnan(pull) else f"{verb}, {abs(pull):.2f}" if abs(pull) > 1e-3 else "0"
    return f"J = {float(data['overlap'][number]):.2f}, {kind}: {strength}"
