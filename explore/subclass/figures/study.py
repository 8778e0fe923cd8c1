"""The pictures of a study: scores over the width of the student, and the scores of one setting."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray
from matplotlib.collections import LineCollection

from explore.core.statistics import mean_and_std
from explore.plotting.frame import add_caption, add_heading
from explore.plotting.picture import Picture, Target
from explore.plotting.selection import selects
from explore.plotting.style import (
    EDGE_GREY,
    FRAME_GREY,
    LABEL_GREY,
    LIGHT_GRID_GREY,
)
from explore.subclass.figures.score_rows import (
    ScoreRows,
    axis_label,
    describe_scores,
    method_label,
    metric_label,
    metric_of,
    score_formatter,
    score_limits,
    score_table,
    setting_text,
)
from explore.subclass.figures.style import as_objects, method_style, names_of
from explore.subclass.recordings import STUDY
from explore.subclass.study_tables import check_studied, last_frame, select_scores

if TYPE_CHECKING:
    import pandas


@selects(STUDY, most=1)
def students(
    recordings: Sequence[xarray.Dataset],
    width: int | None = None,
    labels: int | None = None,
    teacher_images: int | None = None,
    temperature: float | None = None,
    measure: str = "accuracy",
) -> xarray.Dataset:
    """Return the data of ``Students``: scores over the width, at one number of labels.

    Args:
        recordings: one recording of ``subclass-study``.
        width, labels, teacher_images, temperature: values that were studied; by default the middle
            one of width and temperature, and the first one of the others.
        measure: "accuracy", "f1", "macro_f1", "auc" or "brier".

    Raises:
        InvalidInput: another kind of recording, or a value that was not studied.
    """
    last = last_frame(recordings[0])
    values = {name: last[name].values.tolist() for name in ("width", "temperature")}
    width = middle(values["width"]) if width is None else width
    check_studied(last, "width", width)
    setting = {
        "labels": last["labels"].values[0].item() if labels is None else labels,
        "teacher_images": (
            last["teacher_images"].values[0].item() if teacher_images is None else teacher_images
        ),
        "temperature": middle(values["temperature"]) if temperature is None else temperature,
    }
    scores = select_scores(last, measure, **setting).transpose("lesson", "width", "run")
    config, finite = last.attrs["config"], last["score"].sel(measure=measure).values
    finite = finite[np.isfinite(finite)]
    attrs = {
        "data": str(config["data"]["name"]),
        "subclasses": last.sizes["subclass"],
        "low": float(finite.min()) if len(finite) else 0.0,
        "high": float(finite.max()) if len(finite) else 1.0,
        "positive": str(last["class"].values[config["positive"]]),
    }
    data: dict[str, Any] = {name: ((), value) for name, value in setting.items()}
    data["score"] = (("lesson", "width", "run"), scores.values)
    data["width_index"] = ((), values["width"].index(width))
    coordinates = {
        "lesson": ("lesson", as_objects(names_of(last, "lesson"))),
        "width": ("width", np.array(values["width"])),
        "run": ("run", last["run"].values),
        "measure": ((), measure),
    }
    return xarray.Dataset(data, coordinates, attrs=attrs)


class _StudyPicture(Picture):
    """What the pictures of a study share."""

    structural = ("measure", "low", "high")  # the metric and the limits of its axis

    def describe(self, data: xarray.Dataset) -> str:
        """Give the score of every method at the selected width."""
        return describe_scores(data)

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        """Return one row for each method, width and run."""
        return score_table(data)


class Students(_StudyPicture):
    """Scores over the width of the student, and the scores of every run at the selected width."""

    size = (9.6, 4.8)
    title = "Students of every width"

    def build(self, data: xarray.Dataset) -> None:
        """Draw the curves with error bars, and the rows of one width."""
        self._head = add_heading(self, 0.945)
        self._note = add_caption(self, 0.02, 0.89)
        styles = [method_style(method) for method in names_of(data, "lesson")]
        widths = data["width"].values.astype(float)
        axes = self._axes = self.figure.add_axes((0.08, 0.13, 0.275, 0.665))
        self.panel("curves", axes)
        axes.set_xscale("log", base=2)
        ratio = 1.35 if len(widths) > 1 else 2.0
        axes.set(xlim=(widths[0] / ratio, widths[-1] * ratio), ylim=score_limits(data))
        axes.set_xlabel("width of the student")
        axes.set_ylabel(f"{axis_label(data)}, mean ± sd")
        axes.set_xticks(widths, [f"{w:g}" for w in widths])
        axes.xaxis.set_minor_formatter("")
        axes.yaxis.set_major_formatter(score_formatter(data))
        axes.grid(color=LIGHT_GRID_GREY, lw=0.6)
        self._line = self.moving(axes.axvline(widths[0], color=FRAME_GREY, lw=1))
        subclasses = data.attrs["subclasses"]
        if widths[0] < subclasses < widths[-1]:
            axes.axvline(subclasses, color=EDGE_GREY, lw=1, ls=(0, (2, 3)))
            style: dict[str, Any] = {"ha": "right", "fontsize": 9, "color": LABEL_GREY}
            transform = axes.get_xaxis_transform()
            axes.text(subclasses, 0.015, f"{subclasses} subclasses ", transform=transform, **style)
        # The methods are shifted horizontally, so that their bars do not overlap.
        shifts = [k - (len(styles) - 1) / 2 for k in range(len(styles))]
        self._x = [widths * 1.05**shift for shift in shifts]
        self._curves = [
            self.moving(axes.plot([], [], ms=5, lw=1.6, **style)[0]) for style in styles
        ]
        colours = [style["color"] for style in styles for _ in widths]
        self._bars = self.moving(axes.add_collection(LineCollection([], colors=colours, lw=1)))
        self._rows = ScoreRows(self, self.figure.add_axes((0.565, 0.13, 0.205, 0.665)), data)
        self._title = add_caption(self, 0.565, 0.82)

    def show(self, data: xarray.Dataset) -> None:
        """Update everything to the selected setting."""
        widths, scores = data["width"].values.astype(float), data["score"].values
        k = int(data["width_index"])
        self._head.set_text(f"{metric_label(data)} of the students on {data.attrs['data']}")
        self._note.set_text(setting_text(data))
        self._line.set_xdata([widths[k]] * 2)
        bars = []
        for rows, x, curve in zip(scores, self._x, self._curves, strict=True):
            mean, deviation = np.array([mean_and_std(values) for values in rows]).T
            curve.set_data(x, mean)
            bars += [
                [(w, m - d), (w, m + d)]
                for w, m, d in zip(x, mean, np.nan_to_num(deviation), strict=True)
            ]
        self._bars.set_segments(bars)
        self._title.set_text(f"every run at width {widths[k]:g}")
        self._rows.show(scores[:, k], metric_of(data))

    def targets(self, data: xarray.Dataset) -> list[Target]:
        """Return one target for each width of the curves."""
        low, high = self._axes.get_ylim()
        widths = data["width"].values.tolist()
        left, right = self._axes.get_xlim()
        edges = [left, *(float(np.sqrt(a * b)) for a, b in itertools.pairwise(widths)), right]
        return [
            Target(*self.box(self._axes, a, high, b, low), f"width {w}", {"width": w})
            for w, (a, b) in zip(widths, itertools.pairwise(edges), strict=True)
        ]


class Scores(_StudyPicture):
    """The scores of every run of every method at one setting."""

    size = (9.6, 3.4)
    title = "Scores of the students"

    def build(self, data: xarray.Dataset) -> None:
        """Draw the rows."""
        self._head = add_heading(self, 0.93)
        axes = self.figure.add_axes((0.27, 0.17, 0.5, 0.62))
        self._rows = ScoreRows(self, axes, data)
        axes.set_title("every run")

    def show(self, data: xarray.Dataset) -> None:
        """Update everything to the only setting of the data."""
        k = int(data["width_index"])
        self._head.set_text(
            f"{metric_label(data)} on {data.attrs['data']}, "
            f"width {data['width'].values[k]}: {setting_text(data)}"
        )
        self._rows.show(data["score"].values[:, k], metric_of(data))


def middle(values: Sequence[Any]) -> Any:
    """Return the element in the middle of a list."""
    return values[len(values) // 2]


def best_students(data: xarray.Dataset) -> str:
    """Return in words which method has the best mean score at the widths 16 and 4."""
    means = data["score"].mean("run")
    sign = -1 if str(data["measure"].values) == "brier" else 1
    methods = names_of(data, "lesson")
    best = (methods[int((sign * means.sel(width=width)).argmax("lesson"))] for width in (16, 4))
    return " and ".join(
        f"{method_label(method)} at {width}" for method, width in zip(best, (16, 4), strict=True)
    )
