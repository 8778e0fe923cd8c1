"""The picture of a training: logits of a teacher and up to two students, epoch by epoch."""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch

from explore.errors import InvalidInput
from explore.plotting.frame import add_heading
from explore.plotting.picture import Picture, Target
from explore.plotting.selection import nearest_frame, selects, unrecorded_note
from explore.plotting.style import (
    CELL_GREY,
    EDGE_GREY,
    FRAME_GREY,
    LIGHT_GRID_GREY,
    set_title,
    text_colour,
)
from explore.plotting.texts import text_marker
from explore.subclass.catalog import METHOD_LABELS
from explore.subclass.figures.epochs import step_of_epoch
from explore.subclass.figures.style import (
    as_objects,
    class_colour,
    method_style,
    names_of,
    subclass_logits,
)
from explore.subclass.recordings import TRAINING

if TYPE_CHECKING:
    import pandas

ALL = "all"
CURVES = {"accuracy": "classes named right", "bits": "soft label bits, T = 1"}
"""Titles of the curves over the epochs. Recordings hold both quantities of teacher and student."""

EPOCH_TICKS = (0, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)


@selects(TRAINING, most=2)
def logits(
    recordings: Sequence[xarray.Dataset],
    step: int | None = None,
    subclass: str = ALL,
    epoch: int | str | None = None,
) -> xarray.Dataset:
    """Return the data of ``Logits`` at a step of the longest recording. Students have equal epochs.

    The plane is spanned by the first two principal components of the trained teacher's logits (of
    the first student's if there is no teacher). The mean of each sample is subtracted, because the
    softmax does not depend on it. The plane is the same for all steps.

    Args:
        recordings: one or two, with the same images.
        step: the last by default. If it was not recorded, the nearest one is shown, and the picture
            says so.
        subclass: whose images are highlighted; "all" for all images.
        epoch: of the student, or of its teacher as "teacher 3"; in place of a step.

    Raises:
        InvalidInput: another kind of recording, more than two, other images, no such subclass, or
            a step and an epoch.
    """
    listed, first = recordings, recordings[0]
    names, subclasses = names_of(first, "subclass"), first["image_subclass"].values
    for recording in listed[1:]:
        if names_of(recording, "subclass") != names or not np.array_equal(
            recording["image_subclass"].values, subclasses
        ):
            raise InvalidInput(
                "the recordings are of other images; "
                "record them with the same data, seed and holdout"
            )
    if subclass != ALL and subclass not in names:
        raise InvalidInput(
            f"subclass {subclass!r} does not exist; choose {ALL}, {', '.join(names)}"
        )
    longest = max(listed, key=lambda r: int(r.step[-1]))
    if epoch is not None:
        if step is not None:
            raise InvalidInput("give a step or an epoch, not both")
        step = step_of_epoch(longest, epoch)
    frame = longest.isel(step=nearest_frame(longest, step))
    epoch, teacher_epoch = int(frame["student_epoch"]), int(frame["teacher_epoch"])
    student_frames = [r.isel(step=_student_frame(r, epoch)) for r in listed]
    methods = [str(r.attrs["name"]) for r in listed]
    panels = [METHOD_LABELS.get(method, method) for method in methods]
    panel_logits = [subclass_logits(frame, "student") for frame in student_frames]
    final_logits = [subclass_logits(r.isel(step=-1), "student") for r in listed]
    with_teacher = next((r for r in listed if "teacher_logits" in r), None)
    attrs: dict[str, Any] = {
        "data": str(first.attrs["config"]["data"]["name"]),
        "note": unrecorded_note(step, int(frame["step"])),
    }
    if with_teacher is not None:
        index = int(np.searchsorted(with_teacher["teacher_epoch"].values, teacher_epoch))
        panels.insert(0, "the teacher")
        panel_logits.insert(0, subclass_logits(with_teacher.isel(step=index), "teacher"))
        final_logits.insert(0, subclass_logits(with_teacher.isel(step=-1), "teacher"))
        attrs |= {f"teacher_{name}": float(with_teacher[f"teacher_{name}"][-1]) for name in CURVES}
    plane = _principal_plane(final_logits[0])
    attrs["limit"] = float(
        1.12 * max(np.quantile(np.abs(_project(z, plane)), 0.995) for z in final_logits)
    )
    data: dict[str, Any] = {
        "points": (
            ("panel", "image", "axis"),
            np.stack([_project(z, plane) for z in panel_logits]),
        ),
        "epoch": ((), epoch),
        "teacher_epoch": ((), teacher_epoch),
        "highlight": ((), -1 if subclass == ALL else names.index(subclass)),
    }
    for name in CURVES:
        data[name] = ("student", [float(frame[f"student_{name}"]) for frame in student_frames])
    coordinates: dict[str, Any] = {
        "panel": ("panel", as_objects(panels)),
        "student": ("student", as_objects(methods)),
        "subclass": ("subclass", as_objects(names)),
        "parent": ("subclass", first["parent"].values),
        "image_subclass": ("image", subclasses),
        "class": ("class", as_objects(names_of(first, "class"))),
    }
    for k, recording in enumerate(listed):
        epochs = recording["student_epoch"].values
        start = np.flatnonzero(epochs > 0)[0] - 1 if (epochs > 0).any() else 0
        coordinates[f"epoch_{k}"] = (f"frame_{k}", epochs[start:])
        for name in CURVES:
            values = recording[f"student_{name}"].values[start:]
            coordinates[f"{name}_{k}"] = (f"frame_{k}", values)
    return xarray.Dataset(data, coordinates, attrs=attrs)


class Logits(Picture):
    """Two or three planes of logits, and accuracy and bits over the student's epochs."""

    size = (9.6, 6.2)
    title = "Subclass logits while a student learns"

    def build(self, data: xarray.Dataset) -> None:
        """Draw the planes above, the names of the subclasses below them, and the curves."""
        self._head = add_heading(self, 0.965)
        note: dict[str, Any] = {"ha": "right", "va": "center", "color": FRAME_GREY}
        self._note = self.moving(self.figure.text(0.98, 0.965, "", **note))
        panels, limit = names_of(data, "panel"), data.attrs["limit"]
        subclasses = list(zip(names_of(data, "subclass"), data["parent"].values, strict=True))
        width = 0.94 / len(panels)
        self._points: list[list[Any]] = []
        for column, name in enumerate(panels):
            axes = self.figure.add_axes((0.035 + column * width, 0.445, width - 0.03, 0.43))
            plane = f"plane-{column + 1}" if column or name != "the teacher" else "teacher"
            self.panel(plane, axes)
            axes.set(xlim=(-limit, limit), ylim=(-limit, limit), xticks=[], yticks=[])
            axes.axhline(0, color=LIGHT_GRID_GREY, lw=0.8, zorder=0)
            axes.axvline(0, color=LIGHT_GRID_GREY, lw=0.8, zorder=0)
            axes.set_xlabel("first principal component", fontsize=9)
            axes.set_ylabel("second principal component" if column == 0 else "", fontsize=9)
            set_title(axes, name).set_fontweight("bold")
            points = []
            for k, (subclass, parent) in enumerate(subclasses):
                style: dict[str, Any] = {"ms": 7, "mew": 0.3, "color": class_colour(int(parent))}
                line = axes.plot([], [], ls="", marker=text_marker(_glyph(subclass, k)), **style)[0]
                points.append(self.moving(line))
            self._points.append(points)
        self._build_names(data)
        self._build_curves(data)

    def _build_names(self, data: xarray.Dataset) -> None:
        """Draw a row of names under the planes, each of which selects its subclass."""
        self._name_spans: list[tuple[str, float, float]] = []
        names = [ALL, *names_of(data, "subclass")]
        width = 0.94 / len(names)
        for k, name in enumerate(names):
            parent = int(data["parent"].values[k - 1]) if k else 0
            colour = text_colour(class_colour(parent)) if k else FRAME_GREY
            glyph = _glyph(name, k - 1)
            text = name if k == 0 or glyph == name else f"{glyph} {name}"
            most = max(3, int(width * 90))
            text = text if len(text) <= most else f"{text[: most - 1]}…"
            x = 0.035 + (k + 0.5) * width
            chip: dict[str, Any] = {"fc": CELL_GREY, "ec": EDGE_GREY, "lw": 0.8}
            chip["boxstyle"], aspect = (
                "round,pad=0,rounding_size=0.006",
                self.size[0] / self.size[1],
            )
            corner = (x - 0.45 * width, 0.378)
            box = FancyBboxPatch(corner, 0.9 * width, 0.032, mutation_aspect=aspect, **chip)
            self.furniture(self.figure.add_artist(box))
            name_text = self.figure.text(x, 0.393, text, ha="center", va="center", color=colour)
            self.furniture(name_text)
            self._name_spans.append((name, 0.035 + k * width, 0.035 + (k + 1) * width))
        underline = Line2D([], [], color=FRAME_GREY, lw=2)
        self._underline = self.furniture(self.moving(self.figure.add_artist(underline)))

    def _build_curves(self, data: xarray.Dataset) -> None:
        self._lines, self._dots = [], []
        methods = names_of(data, "student")
        last = max(float(data[f"epoch_{k}"][-1]) for k in range(len(methods)))
        for column, (name, title) in enumerate(CURVES.items()):
            axes = self.figure.add_axes((0.075 + column * 0.485, 0.135, 0.42, 0.19))
            self.panel(name, axes)
            axes.set_xscale("symlog", linthresh=10, linscale=0.6)
            axes.set(xlim=(-0.4, last * 1.08), xlabel="student's epochs (logarithmic from 10)")
            axes.set_xticks([epoch for epoch in EPOCH_TICKS if epoch <= last])
            axes.xaxis.set_major_formatter("{x:,.0f}")
            axes.xaxis.set_minor_formatter("")
            axes.grid(color=LIGHT_GRID_GREY, lw=0.6)
            if name == "accuracy":
                axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
                lowest = min(float(data[f"accuracy_{k}"].min()) for k in range(len(methods)))
                axes.set_ylim(lowest - 0.03, 1.02)
            if f"teacher_{name}" in data.attrs:
                style: dict[str, Any] = {"color": FRAME_GREY, "lw": 1.2, "ls": (0, (5, 2))}
                axes.axhline(data.attrs[f"teacher_{name}"], label="the teacher", **style)
            for k, method in enumerate(methods):
                label, style = METHOD_LABELS.get(method, method), method_style(method)
                axes.plot(data[f"epoch_{k}"], data[f"{name}_{k}"], label=label, ms=3.5, **style)
            set_title(axes, title)
            if column == 0:
                handles, texts = axes.get_legend_handles_labels()
                position: dict[str, Any] = {"loc": "lower center", "bbox_to_anchor": (0.5, -0.008)}
                self.figure.legend(handles, texts, ncols=3, **position)
            self._lines.append(self.moving(axes.axvline(0, color=FRAME_GREY, lw=1)))
            style = {"ms": 10, "mfc": "none", "mew": 2, "clip_on": False, "zorder": 4}
            colours = [method_style(method)["color"] for method in methods]
            dots = [axes.plot([], [], "o", mec=colour, **style)[0] for colour in colours]
            self._dots.append((name, [self.moving(dot) for dot in dots]))

    def show(self, data: xarray.Dataset) -> None:
        """Move the points and the marks."""
        highlight, subclasses = int(data["highlight"]), data["image_subclass"].values
        for lines, points in zip(self._points, data["points"].values, strict=True):
            for k, line in enumerate(lines):
                line.set_data(*points[subclasses == k].T)
                line.set_alpha(1.0 if highlight in (-1, k) else 0.13)
        epoch = int(data["epoch"])
        self._head.set_text(_progress(data))
        self._note.set_text(data.attrs["note"])
        _, left, right = self._name_spans[highlight + 1]
        margin = 0.1 * (right - left)
        self._underline.set_data([left + margin, right - margin], [0.366, 0.366])
        for line, (name, dots) in zip(self._lines, self._dots, strict=True):
            line.set_xdata([epoch, epoch])
            for dot, value in zip(dots, data[name].values, strict=True):
                dot.set_data([epoch], [value])

    def describe(self, data: xarray.Dataset) -> str:
        """Say which epoch it is, and give accuracy and bits of each student."""
        methods, accuracy = names_of(data, "student"), data["accuracy"].values
        rows = "; ".join(
            f"{METHOD_LABELS.get(method, method)}: {right:.1%} of the classes right, "
            f"{soft:.2f} bit within the label"
            for method, right, soft in zip(methods, accuracy, data["bits"].values, strict=True)
        )
        k = int(data["highlight"])
        highlight = "" if k < 0 else f" Subclass {data['subclass'].values[k]} stands out."
        note = f" {data.attrs['note']}" if data.attrs["note"] else ""
        return f"{data.attrs['data']}. {_progress(data)}.{note} {rows}.{highlight}"

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        """Return both curves of every student."""
        import pandas

        rows = []
        for k, method in enumerate(names_of(data, "student")):
            columns = (data[f"{name}_{k}"].values for name in ("epoch", *CURVES))
            rows += [
                {
                    "student taught with": METHOD_LABELS.get(method, method),
                    "epoch of the student": int(e),
                    "classes named right, %": round(100 * float(a), 3),
                    "soft label bits, T = 1": round(float(b), 5),
                }
                for e, a, b in zip(*columns, strict=True)
            ]
        return pandas.DataFrame(rows)

    def targets(self, data: xarray.Dataset) -> list[Target]:
        """Return one target for each name under the planes."""
        top, bottom = 1 - 0.415, 1 - 0.37
        labels = {ALL: "all subclasses"}
        return [
            Target(
                left, top, right, bottom, labels.get(name, f"subclass {name}"), {"subclass": name}
            )
            for name, left, right in self._name_spans
        ]


def _progress(data: xarray.Dataset) -> str:
    """Return how long teacher and student have been trained."""
    epoch, teacher_epoch = int(data["epoch"]), int(data["teacher_epoch"])
    if epoch:
        return f"After {epoch:,} epochs of the student"
    if "teacher_accuracy" not in data.attrs:
        return "Before the training of the student"
    if teacher_epoch:
        return f"The teacher after {teacher_epoch} epochs; the student is not trained yet"
    return "Before the training of the teacher"


def _glyph(name: str, k: int) -> str:
    """Return the marker of subclass ``k``: its name if that is one character, else a letter."""
    is_glyph = len(name) == 1 and name.isalnum()
    return name if is_glyph else string.ascii_letters[k % 52]


def _principal_plane(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the centre ``[S]`` and two principal directions ``[S, 2]``, with fixed signs."""
    free = z - z.mean(1, keepdims=True)
    centre = free.mean(0)
    directions = np.linalg.svd(free - centre, full_matrices=False)[2][:2]
    if len(directions) < 2:
        directions = np.vstack([directions, np.zeros_like(directions)])[:2]
    signs = np.where(directions[np.arange(2), np.abs(directions).argmax(1)] < 0, -1, 1)
    return centre, (directions * signs[:, None]).T


def _project(z: np.ndarray, plane: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    centre, directions = plane
    return (z - z.mean(1, keepdims=True) - centre) @ directions


def _student_frame(recording: xarray.Dataset, epoch: int) -> int:
    """Return the last frame with at most so many epochs of the student."""
    return int(np.searchsorted(recording["student_epoch"].values, epoch, side="right")) - 1
