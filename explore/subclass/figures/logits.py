"""The picture of a training: subclass logits of the teacher and up to two students in one fixed plane, epoch by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray

from explore.core.recording import require_variable
from explore.errors import InvalidInput
from explore.plotting.frame import add_heading
from explore.plotting.picture import Picture, Target
from explore.plotting.style import FRAME_GREY, LIGHT_GRID_GREY, PALETTE, set_title
from explore.subclass.catalog import METHOD_LABELS
from explore.subclass.figures.style import LOOK, class_colour, logits_in, names_of, objects

if TYPE_CHECKING:
    import pandas

ALL = "all"
CURVES = {"accuracy": "classes named right", "bits": "soft label bits, T = 1"}
"""What is drawn over the epochs, and recorded of teacher and student alike."""


def logits(
    recordings: xarray.Dataset | Sequence[xarray.Dataset],
    step: int | None = None,
    subclass: str = ALL,
) -> xarray.Dataset:
    """What ``Logits`` shows: teacher and students at a step of the longest recording, students at equal epochs.

    The plane is spanned by the first two principal components of the trained teacher's logits (of the first student's,
    if there is no teacher), each sample's mean taken off, since a softmax does not see it. It never moves.

    Args:
        recordings: one or two, with the same images.
        step: the last if left out.
        subclass: whose images stand out; "all" of them.

    Raises:
        InvalidInput: other recordings, more than two, unlike images, no such subclass.
    """
    given = require_variable(recordings, "student_logits", "subclass distillation")
    if len(given) > 2:
        raise InvalidInput(f"give one or two recordings, got {len(given)}")
    first = given[0]
    names, found = names_of(first, "subclass"), first["image_subclass"].values
    for other in given[1:]:
        if names_of(other, "subclass") != names or not np.array_equal(
            other["image_subclass"].values, found
        ):
            raise InvalidInput(
                "the recordings are of other images; record them with the same data, seed and holdout"
            )
    if subclass != ALL and subclass not in names:
        raise InvalidInput(
            f"subclass {subclass!r} is not known; there are {ALL}, {', '.join(names)}"
        )
    longest = max(given, key=lambda r: int(r.step[-1]))
    taught = next((r for r in given if "teacher_logits" in r), None)
    steps = longest.step.values
    at = int(np.searchsorted(steps, steps[-1] if step is None else step, side="right")) - 1
    now = longest.isel(step=max(0, at))
    epoch = int(now["student_epoch"])
    plane = _plane(
        logits_in((taught or first).isel(step=-1), "teacher" if taught is not None else "student")
    )
    panels = (
        []
        if taught is None
        else [("the teacher", logits_in(_teacher_at(taught, int(now["teacher_epoch"])), "teacher"))]
    )
    frames = [r.isel(step=_at_epoch(r, epoch)) for r in given]
    panels += [
        (METHOD_LABELS.get(str(r.attrs["name"]), str(r.attrs["name"])), logits_in(f, "student"))
        for r, f in zip(given, frames, strict=True)
    ]
    place = np.stack([_shown(z, plane) for _, z in panels])
    last = [
        *([logits_in(taught.isel(step=-1), "teacher")] if taught is not None else []),
        *(logits_in(r.isel(step=-1), "student") for r in given),
    ]
    reach = 1.12 * max(np.quantile(np.abs(_shown(z, plane)), 0.995) for z in last)
    data: dict[str, Any] = {
        "place": (("panel", "image", "axis"), place),
        "epoch": ((), epoch),
        "teacher_epoch": ((), int(now["teacher_epoch"])),
        "chosen": ((), -1 if subclass == ALL else names.index(subclass)),
    }
    for name in CURVES:
        data[name] = ("side", [float(f[f"student_{name}"]) for f in frames])
    known: dict[str, Any] = {
        "panel": ("panel", objects([name for name, _ in panels])),
        "side": ("side", objects([str(r.attrs["name"]) for r in given])),
        "subclass": ("subclass", objects(names)),
        "parent": ("subclass", first["parent"].values),
        "found": ("image", found),
        "class": ("class", objects(names_of(first, "class"))),
    }
    for side, r in enumerate(given):
        learning = r["student_epoch"].values
        after = np.flatnonzero(learning > 0)[0] - 1 if (learning > 0).any() else 0
        known[f"epoch_{side}"] = (f"frame_{side}", learning[after:])
        for name in CURVES:
            known[f"{name}_{side}"] = (f"frame_{side}", r[f"student_{name}"].values[after:])
    attrs: dict[str, Any] = {
        "data": str(first.attrs["config"]["data"]["name"]),
        "reach": float(reach),
    }
    if taught is not None:
        attrs |= {f"teacher_{name}": float(taught[f"teacher_{name}"][-1]) for name in CURVES}
    return xarray.Dataset(data, known, attrs=attrs)


class Logits(Picture):
    """Two or three planes of logits, and accuracy and bits over the student's epochs."""

    size = (9.6, 6.2)
    title = "Subclass logits while a student learns"

    def build(self, data: xarray.Dataset) -> None:
        """Planes above, curves below."""
        self._head = add_heading(self, 0.965)
        panels, reach = names_of(data, "panel"), data.attrs["reach"]
        width = 0.94 / len(panels)
        self._points: list[list[Any]] = []
        for side, name in enumerate(panels):
            axes = self.figure.add_axes((0.035 + side * width, 0.445, width - 0.03, 0.43))
            axes.set(xlim=(-reach, reach), ylim=(-reach, reach), xticks=[], yticks=[])
            axes.axhline(0, color=LIGHT_GRID_GREY, lw=0.8, zorder=0)
            axes.axvline(0, color=LIGHT_GRID_GREY, lw=0.8, zorder=0)
            axes.set_xlabel("first principal component", fontsize=9)
            axes.set_ylabel("second principal component" if side == 0 else "", fontsize=9)
            set_title(axes, name).set_fontweight("bold")
            points = []
            for k, (subclass, parent) in enumerate(
                zip(names_of(data, "subclass"), data["parent"].values, strict=True)
            ):
                marker = f"${_glyph(subclass, k)}$"
                line = axes.plot(
                    [], [], ls="", marker=marker, ms=7, mew=0.3, color=class_colour(int(parent))
                )[0]
                points.append(self.moving(line))
            self._points.append(points)
        self._build_names(data)
        self._build_curves(data)

    def _build_names(self, data: xarray.Dataset) -> None:
        """A row of names under the planes; each chooses its subclass."""
        self._chips: list[tuple[str, float, float]] = []
        names = [ALL, *names_of(data, "subclass")]
        room = 0.94 / len(names)
        for k, name in enumerate(names):
            colour = FRAME_GREY if k == 0 else class_colour(int(data["parent"].values[k - 1]))
            glyph = _glyph(name, k - 1)
            text = name if k == 0 or glyph == name else f"{glyph} {name}"
            self.figure.text(
                0.035 + (k + 0.5) * room,
                0.393,
                text[: max(3, int(room * 95))],
                ha="center",
                va="center",
                color=colour,
            )
            self._chips.append((name, 0.035 + k * room, 0.035 + (k + 1) * room))
        self._mark = self.moving(self.figure.add_artist(_underline()))

    def _build_curves(self, data: xarray.Dataset) -> None:
        self._lines, self._dots = [], []
        last = max(float(data[f"epoch_{side}"][-1]) for side in range(data.sizes["side"]))
        for column, (name, title) in enumerate(CURVES.items()):
            axes = self.figure.add_axes((0.075 + column * 0.485, 0.135, 0.42, 0.19))
            axes.set_xscale("symlog", linthresh=10, linscale=0.6)
            axes.set(xlim=(-0.4, last * 1.08), xlabel="student's epochs (logarithmic from 10)")
            axes.set_xticks(
                [e for e in (0, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000) if e <= last]
            )
            axes.xaxis.set_major_formatter("{x:,.0f}")
            axes.xaxis.set_minor_formatter("")
            axes.grid(color=LIGHT_GRID_GREY, lw=0.6)
            if name == "accuracy":
                axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
                values = [data[f"accuracy_{side}"].values for side in range(data.sizes["side"])]
                axes.set_ylim(min(float(v.min()) for v in values) - 0.03, 1.02)
            if f"teacher_{name}" in data.attrs:
                axes.axhline(
                    data.attrs[f"teacher_{name}"],
                    color=FRAME_GREY,
                    lw=1.2,
                    ls=(0, (5, 2)),
                    label="the teacher",
                )
            for side, lesson in enumerate(names_of(data, "side")):
                look = {"ms": 3.5, **LOOK.get(lesson, {"color": PALETTE["blue"]})}
                axes.plot(
                    data[f"epoch_{side}"],
                    data[f"{name}_{side}"],
                    label=METHOD_LABELS.get(lesson, lesson),
                    **look,
                )
            set_title(axes, title)
            if column == 0:
                handles, texts = axes.get_legend_handles_labels()
                self.figure.legend(
                    handles, texts, loc="lower center", ncols=3, bbox_to_anchor=(0.5, -0.008)
                )
            self._lines.append(self.moving(axes.axvline(0, color=FRAME_GREY, lw=1)))
            dots = [
                self.moving(
                    axes.plot(
                        [],
                        [],
                        "o",
                        ms=10,
                        mfc="none",
                        mew=2,
                        mec=LOOK.get(lesson, {"color": PALETTE["blue"]})["color"],
                    )[0]
                )
                for lesson in names_of(data, "side")
            ]
            self._dots.append((name, dots))

    def show(self, data: xarray.Dataset) -> None:
        """Points and marks."""
        chosen, found = int(data["chosen"]), data["found"].values
        for points, place in zip(self._points, data["place"].values, strict=True):
            for k, line in enumerate(points):
                line.set_data(*place[found == k].T)
                line.set_alpha(1.0 if chosen in (-1, k) else 0.13)
        epoch = int(data["epoch"])
        self._head.set_text(_when(data))
        name, left, right = self._chips[chosen + 1]
        self._mark.set_data(
            [left + 0.1 * (right - left), right - 0.1 * (right - left)], [0.372, 0.372]
        )
        for line, (name, dots) in zip(self._lines, self._dots, strict=True):
            line.set_xdata([epoch, epoch])
            for dot, value in zip(dots, data[name].values, strict=True):
                dot.set_data([epoch], [value])

    def describe(self, data: xarray.Dataset) -> str:
        """When, and how well each student does."""
        rows = [
            f"{METHOD_LABELS.get(lesson, lesson)}: {accuracy:.1%} of the classes right, {soft:.2f} bit within the label"
            for lesson, accuracy, soft in zip(
                names_of(data, "side"), data["accuracy"].values, data["bits"].values, strict=True
            )
        ]
        chosen = int(data["chosen"])
        out = "" if chosen < 0 else f" Subclass {data['subclass'].values[chosen]} stands out."
        return f"{data.attrs['data']}. {_when(data)}. {'; '.join(rows)}.{out}"

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        """Both curves of every student."""
        import pandas

        rows = []
        for side, lesson in enumerate(names_of(data, "side")):
            columns = (data[f"{name}_{side}"].values for name in ("epoch", *CURVES))
            rows += [
                {"student": lesson, "epoch": int(e), "accuracy": float(a), "bits": float(b)}
                for e, a, b in zip(*columns, strict=True)
            ]
        return pandas.DataFrame(rows)

    def targets(self, data: xarray.Dataset) -> list[Target]:
        """Each name chooses its subclass."""
        return [
            Target(
                left,
                1 - 0.415,
                right,
                1 - 0.37,
                "all subclasses" if name == ALL else f"subclass {name}",
                {"subclass": name},
            )
            for name, left, right in self._chips
        ]


def _when(data: xarray.Dataset) -> str:
    epoch, taught = int(data["epoch"]), int(data["teacher_epoch"])
    if epoch:
        return f"After {epoch:,} epochs of the student"
    if "teacher_accuracy" not in data.attrs:
        return "Before the student learns"
    return (
        f"The teacher after {taught} epochs; the student has not begun"
        if taught
        else "Before anybody has learnt"
    )


def _underline() -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], color=FRAME_GREY, lw=2)


def _glyph(name: str, k: int) -> str:
    """What marks the images of a subclass: its name if that is one character, else a letter."""
    return (
        name
        if len(name) == 1 and name.isalnum()
        else "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"[k % 52]
    )


def _plane(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centre ``[S]`` and two directions ``[S, 2]`` of logits with their means taken off; signs fixed."""
    free = z - z.mean(1, keepdims=True)
    centre = free.mean(0)
    directions = np.linalg.svd(free - centre, full_matrices=False)[2][:2]
    if len(directions) < 2:
        directions = np.vstack([directions, np.zeros_like(directions)])[:2]
    signs = np.where(directions[np.arange(2), np.abs(directions).argmax(1)] < 0, -1, 1)
    return centre, (directions * signs[:, None]).T


def _shown(z: np.ndarray, plane: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    centre, directions = plane
    return (z - z.mean(1, keepdims=True) - centre) @ directions


def _at_epoch(recording: xarray.Dataset, epoch: int) -> int:
    """The frame with the most epochs of the student, but no more than these; before them the last before it began."""
    return int(np.searchsorted(recording["student_epoch"].values, epoch, side="right")) - 1


def _teacher_at(recording: xarray.Dataset, epoch: int) -> xarray.Dataset:
    """The first frame in which the teacher has learnt so many epochs."""
    return recording.isel(step=int(np.searchsorted(recording["teacher_epoch"].values, epoch)))
