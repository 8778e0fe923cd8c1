"""The pictures of a study: scores over the student's width, and every run of every lesson with its paired difference."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray
from matplotlib.collections import LineCollection

from explore.core.recording import require_variable
from explore.core.statistics import mean_and_std, paired_difference
from explore.errors import InvalidInput
from explore.plotting.frame import add_caption, add_heading
from explore.plotting.picture import Picture, Target
from explore.plotting.style import (
    EDGE_GREY,
    FRAME_GREY,
    LABEL_GREY,
    LIGHT_GRID_GREY,
    PALETTE,
    set_title,
)
from explore.subclass.catalog import METHOD_LABELS
from explore.subclass.figures.style import LOOK, SAW, names_of, objects
from explore.subclass.study_tables import MEASURES, chosen

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes

BASE = "scratch"
"""What the others are compared with, where it was studied; else the first."""


def students(
    recordings: xarray.Dataset | Sequence[xarray.Dataset],
    width: int | None = None,
    labels: int | None = None,
    teacher_images: int | None = None,
    temperature: float | None = None,
    measure: str = "accuracy",
) -> xarray.Dataset:
    """What ``Students`` shows: a study's scores over the width, at one number of labels and one teacher's data.

    Args:
        recordings: one recording of ``subclass-study``.
        width, labels, teacher_images, temperature: which of those studied; by default those in the middle for width
            and temperature, the first of the others.
        measure: "accuracy", "f1", "macro_f1", "auc" or "brier".

    Raises:
        InvalidInput: another recording, or a value that was not studied.
    """
    study = require_variable(recordings, "score", "a study of students")[0]
    last = study.isel(step=-1) if "step" in study.dims else study
    widths = last["width"].values.tolist()
    width = middle(widths) if width is None else width
    temperature = (
        middle(last["temperature"].values.tolist()) if temperature is None else temperature
    )
    wanted = {"labels": labels, "teacher_images": teacher_images, "temperature": temperature}
    place = {
        name: last[name].values.tolist()[0] if value is None else value
        for name, value in wanted.items()
    }
    if width not in widths:
        raise InvalidInput(f"width {width} was not studied; it has {', '.join(map(str, widths))}")
    scores = chosen(last, measure, **place).transpose("lesson", "width", "run")
    lessons = names_of(last, "lesson")
    config, outer = study.attrs["config"], chosen(last, measure)
    known = {
        "lesson": ("lesson", objects(lessons)),
        "width": ("width", np.array(widths)),
        "run": ("run", last["run"].values),
        "measure": ((), measure),
    }
    attrs = {
        "data": str(config["data"]["name"]),
        "subclasses": last.sizes["subclass"],
        "low": float(np.nanmin(outer)) if np.isfinite(outer).any() else 0.0,
        "high": float(np.nanmax(outer)) if np.isfinite(outer).any() else 1.0,
        "positive": str(last["class"].values[config["positive"]]),
    }
    data = {"score": (("lesson", "width", "run"), scores.values), "at": ((), widths.index(width))}
    return xarray.Dataset(
        {**data, **{name: ((), value) for name, value in place.items()}}, known, attrs=attrs
    )


HANDLE = 0.036
"""Width of the line before a row that says how its curve is drawn, in pictures."""


class Rows:
    """One row a lesson: every run as a dot, their mean, and the paired difference from the base in words.

    Args:
        picture: to which it belongs.
        axes: where.
        data: see ``students``.
    """

    def __init__(self, picture: Picture, axes: Axes, data: xarray.Dataset) -> None:
        lessons = names_of(data, "lesson")
        self.lessons = lessons
        margin = 0.04 * (data.attrs["high"] - data.attrs["low"]) + 1e-3
        axes.set(
            ylim=(len(lessons) - 0.5, -0.5),
            xlim=(data.attrs["low"] - margin, data.attrs["high"] + margin),
        )
        axes.set_yticks(range(len(lessons)), [METHOD_LABELS.get(name, name) for name in lessons])
        for tick, name in zip(axes.get_yticklabels(), lessons, strict=True):
            tick.set_color(_look(name)["color"])
        axes.xaxis.set_major_formatter(_percent(data))
        axes.grid(axis="x", color=LIGHT_GRID_GREY, lw=0.6)
        axes.tick_params(axis="y", length=0, pad=HANDLE * picture.size[0] * 72 + 2)
        place = axes.get_position()
        legend = picture.figure.add_axes(
            (place.x0 - HANDLE, place.y0, HANDLE - 0.006, place.height)
        )
        legend.set(xlim=(0, 1), ylim=axes.get_ylim())
        legend.set_axis_off()
        for row, name in enumerate(lessons):
            legend.plot(
                [0, 0.5, 1], [row] * 3, ms=5, lw=1.6, markevery=[1], clip_on=False, **_look(name)
            )
        measure = str(data["measure"].values)
        axes.set_xlabel(MEASURES.get(measure, measure))
        self._dots, self._texts = [], []
        for row, name in enumerate(lessons):
            look = {"color": _look(name)["color"], "marker": _look(name)["marker"], "ls": ""}
            self._dots.append(picture.moving(axes.plot([], [], ms=5, alpha=0.6, mew=0, **look)[0]))
            self._texts.append(
                picture.moving(
                    axes.text(
                        1.03, row, "", transform=axes.get_yaxis_transform(), va="center", fontsize=9
                    )
                )
            )
        self._means = picture.moving(
            axes.add_collection(LineCollection([], colors=_colours(lessons), lw=2.5, zorder=3))
        )

    def show(self, scores: np.ndarray, measure: str) -> None:
        """Scores ``[lesson, run]``."""
        base = self.lessons.index(BASE) if BASE in self.lessons else 0
        for row, (dots, text) in enumerate(zip(self._dots, self._texts, strict=True)):
            values = scores[row]
            dots.set_data(values, np.full(len(values), row))
            difference = "" if row == base else _difference(values, scores[base], measure)
            text.set_text(_number(values, measure) + (f"  ({difference})" if difference else ""))
        means = [mean_and_std(values)[0] for values in scores]
        self._means.set_segments(
            [[(mean, row - 0.28), (mean, row + 0.28)] for row, mean in enumerate(means)]
        )


class Students(Picture):
    """Scores over the width of the student; at the right every run at the chosen width."""

    size = (9.6, 4.6)
    title = "Students of every width"
    structural = ("measure", "low", "high")  # the quantity and the limits of its axis

    def build(self, data: xarray.Dataset) -> None:
        """Curves with bands, and the rows of one width."""
        self._head = add_heading(self, 0.945)
        self._note = add_caption(self, 0.02, 0.885)
        lessons, widths = names_of(data, "lesson"), data["width"].values.astype(float)
        axes = self._axes = self.figure.add_axes((0.085, 0.135, 0.29, 0.68))
        margin = 0.04 * (data.attrs["high"] - data.attrs["low"]) + 1e-3
        axes.set_xscale("log", base=2)
        ratio = 1.15 if len(widths) > 1 else 2.0
        axes.set(
            xlim=(widths[0] / ratio, widths[-1] * ratio),
            ylim=(data.attrs["low"] - margin, data.attrs["high"] + margin),
        )
        axes.set_xlabel("width of the student")
        axes.set_ylabel(f"{MEASURES.get(str(data['measure'].values), '')}, mean ± sd")
        axes.set_xticks(widths, [f"{w:g}" for w in widths])
        axes.xaxis.set_minor_formatter("")
        axes.yaxis.set_major_formatter(_percent(data))
        axes.grid(color=LIGHT_GRID_GREY, lw=0.6)
        self._line = self.moving(axes.axvline(widths[0], color=FRAME_GREY, lw=1))
        if widths[0] < data.attrs["subclasses"] < widths[-1]:
            axes.axvline(data.attrs["subclasses"], color=EDGE_GREY, lw=1, ls=(0, (2, 3)))
            text = f"{data.attrs['subclasses']} subclasses"
            axes.text(
                data.attrs["subclasses"],
                0.015,
                text + " ",
                transform=axes.get_xaxis_transform(),
                ha="right",
                fontsize=9,
                color=LABEL_GREY,
            )
        self._aside, self._curves = [], []
        for k, name in enumerate(lessons):
            self._aside.append(
                widths * 1.025 ** (k - (len(lessons) - 1) / 2)
            )  # so that bars stand beside each other
            self._curves.append(self.moving(axes.plot([], [], ms=5, lw=1.6, **_look(name))[0]))
        colours = [colour for colour in _colours(lessons) for _ in widths]
        self._bars = self.moving(axes.add_collection(LineCollection([], colors=colours, lw=1)))
        right = self.figure.add_axes((0.62, 0.135, 0.175, 0.68))
        self._rows = Rows(self, right, data)
        self._title = add_caption(self, 0.44, 0.885)

    def show(self, data: xarray.Dataset) -> None:
        """Everything is of the chosen setting."""
        measure, at = str(data["measure"].values), int(data["at"])
        widths, scores = data["width"].values.astype(float), data["score"].values
        self._head.set_text(f"What the students score on {data.attrs['data']}: {_called(data)}")
        self._note.set_text(_setting(data, short=True))
        self._line.set_xdata([widths[at]] * 2)
        bars = []
        for rows, aside, line in zip(scores, self._aside, self._curves, strict=True):
            mean, deviation = np.array([mean_and_std(values) for values in rows]).T
            line.set_data(aside, mean)
            bars += [
                [(w, m - d), (w, m + d)]
                for w, m, d in zip(aside, mean, np.nan_to_num(deviation), strict=True)
            ]
        self._bars.set_segments(bars)
        self._title.set_text(
            f"width {widths[at]:g}, every run; mean ± sd, minus {_base(data)} (95 %)"
        )
        self._rows.show(scores[:, at], measure)

    def describe(self, data: xarray.Dataset) -> str:
        """Every lesson at the chosen width."""
        return f"{_called(data).capitalize()} on {data.attrs['data']}, {_setting(data)}, width {_width(data)}. {_words(data)}."

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        """One row for each lesson, width and run."""
        return _table(data)

    def targets(self, data: xarray.Dataset) -> list[Target]:
        """Each width can be chosen in the curves."""
        low, high = self._axes.get_ylim()
        widths = data["width"].values.tolist()
        left, right = self._axes.get_xlim()
        edges = [left, *(float(np.sqrt(a * b)) for a, b in itertools.pairwise(widths)), right]
        return [
            Target(*self.box(self._axes, a, high, b, low), f"width {w}", {"width": w})
            for w, (a, b) in zip(widths, itertools.pairwise(edges), strict=True)
        ]


class Scores(Picture):
    """Every run of every lesson at one setting."""

    size = (9.6, 3.4)
    title = "What the students score"
    structural = ("measure", "low", "high")  # the quantity and the limits of its axis

    def build(self, data: xarray.Dataset) -> None:
        """The rows."""
        self._head = add_heading(self, 0.93)
        axes = self.figure.add_axes((0.27, 0.17, 0.5, 0.64))
        self._rows = Rows(self, axes, data)
        set_title(
            axes,
            f"each run; at the right mean ± standard deviation, and the paired difference from {_base(data)} (95 %)",
        ).set_x(-0.24)

    def show(self, data: xarray.Dataset) -> None:
        """The only setting there is."""
        self._head.set_text(
            f"{_called(data).capitalize()} on {data.attrs['data']}, width {_width(data)}: {_setting(data)}"
        )
        self._rows.show(data["score"].values[:, int(data["at"])], str(data["measure"].values))

    def describe(self, data: xarray.Dataset) -> str:
        """Every lesson."""
        return f"{_called(data).capitalize()} on {data.attrs['data']}, {_setting(data)}, width {_width(data)}. {_words(data)}."

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        """One row for each lesson and run."""
        return _table(data)


def middle(values: Sequence[Any]) -> Any:
    """The one in the middle of a list."""
    return values[len(values) // 2]


def _colours(lessons: Sequence[str]) -> list[str]:
    return [_look(name)["color"] for name in lessons]


def _look(lesson: str) -> dict[str, Any]:
    return LOOK.get(lesson, {"color": PALETTE["blue"], "marker": "o", "ls": "-"})


def _base(data: xarray.Dataset) -> str:
    lessons = names_of(data, "lesson")
    return (
        METHOD_LABELS.get(BASE, BASE)
        if BASE in lessons
        else METHOD_LABELS.get(lessons[0], lessons[0])
    )


def _called(data: xarray.Dataset) -> str:
    measure = str(data["measure"].values)
    return MEASURES.get(measure, measure) + (
        f" of “{data.attrs['positive']}”" if measure in ("f1", "brier") else ""
    )


def _width(data: xarray.Dataset) -> str:
    return f"{data['width'].values[int(data['at'])]}"


def _setting(data: xarray.Dataset, short: bool = False) -> str:
    """The setting in words."""
    seen = int(data["teacher_images"])
    labels, teacher = f"{int(data['labels']):,} labelled images", SAW.get(seen, f"{seen:,} images")
    if short:
        return f"{labels}, T = {float(data['temperature']):g}; teacher: {teacher}"
    return f"{labels}, the teacher saw {teacher}, T = {float(data['temperature']):g}"


def _percent(data: xarray.Dataset) -> Any:
    if str(data["measure"].values) in ("auc", "brier"):
        return lambda value, _: f"{value:.2f}"
    return lambda value, _: f"{value:.0%}"


def _number(values: np.ndarray, measure: str) -> str:
    mean, deviation = mean_and_std(values)
    if not np.isfinite(mean):
        return "not trained"
    if measure in ("auc", "brier"):
        return f"{mean:.3f}" + (f" ± {deviation:.3f}" if np.isfinite(deviation) else "")
    return (
        f"{100 * mean:.1f}" + (f" ± {100 * deviation:.1f}" if np.isfinite(deviation) else "") + " %"
    )


def _difference(values: np.ndarray, base: np.ndarray, measure: str) -> str:
    mean, half = paired_difference(values, base)
    if not np.isfinite(mean):
        return ""
    scale, digits = (1, 3) if measure in ("auc", "brier") else (100, 1)
    return f"{scale * mean:+.{digits}f}" + (
        f" ± {scale * half:.{digits}f}" if np.isfinite(half) else ""
    )


def _words(data: xarray.Dataset) -> str:
    measure, at = str(data["measure"].values), int(data["at"])
    scores, lessons = data["score"].values[:, at], names_of(data, "lesson")
    return "; ".join(
        f"{METHOD_LABELS.get(name, name)} {_number(values, measure)}"
        for name, values in zip(lessons, scores, strict=True)
    )


def _table(data: xarray.Dataset) -> pandas.DataFrame:
    import pandas

    rows = [
        {
            "lesson": lesson,
            "width": int(width),
            "run": int(run),
            str(data["measure"].values): float(data["score"].values[i, j, k]),
        }
        for i, lesson in enumerate(names_of(data, "lesson"))
        for j, width in enumerate(data["width"].values)
        for k, run in enumerate(data["run"].values)
    ]
    return pandas.DataFrame(rows)
