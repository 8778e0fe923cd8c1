"""The subclass lab: one function a notebook cell, each returning something that shows itself."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from explore.core.recording import open_recording, require_variable
from explore.core.resources import shipped
from explore.core.runs import spare_core
from explore.errors import UnknownName
from explore.subclass.catalog import METHOD_LABELS
from explore.subclass.config import LESSONS, USUAL
from explore.subclass.figures.bits import Bits, label_bits
from explore.subclass.figures.logits import ALL, Logits, logits
from explore.subclass.figures.softened import Softened, softened
from explore.subclass.figures.study import Scores, Students, middle, students
from explore.subclass.figures.style import HEATS, SAW, WHO
from explore.subclass.study_tables import MEASURES
from explore.widgets.controls import Choice, Control, Slider
from explore.widgets.explorer import Explorer
from explore.widgets.live import Live

if TYPE_CHECKING:
    import xarray

STUDIES = ("digits", "mnist")
"""Data sets of which studies ship."""

DIGITS = {"name": "digits", "options": {}}


def recording_of(lesson: str) -> xarray.Dataset:
    """The shipped recording of a student on digits, read whole (it is small).

    Raises:
        UnknownName: no such lesson.
    """
    if lesson not in LESSONS:
        raise UnknownName("lesson", lesson, LESSONS)
    return open_recording(shipped(f"data/students-{lesson}.zarr.zip")).load()


def study_of(data: str) -> xarray.Dataset:
    """The shipped study of many students on a data set.

    Raises:
        UnknownName: none ships of that set.
    """
    if data not in STUDIES:
        raise UnknownName("study", data, STUDIES)
    return open_recording(shipped(f"data/{data}-students.zarr.zip")).load()


def one_image(recording: xarray.Dataset | None = None, image: int = 29) -> Explorer:
    """One image's softmax over subclasses, grouped by class; move the temperature.

    Args:
        recording: of a subclass run; the shipped one (SKD on digits) if left out.
        image: the first one shown.
    """
    known = recording_of("skd") if recording is None else recording
    controls: dict[str, Control] = {
        "temperature": Slider("temperature T", HEATS, start=1.0),
        "image": Slider(
            "image", list(range(known.sizes["image"])), start=min(image, known.sizes["image"] - 1)
        ),
        "who": Choice("by the", _who(known)),
    }
    return Explorer(partial(softened, known), Softened, controls, "soft-label")


TEACHERS = {
    "skd": "true subclasses",
    "random-subclasses": "random subclasses",
    "found-subclasses": "subclasses it found",
}
"""Lessons by the teacher that gives them."""


def bits_over_temperature(recording: xarray.Dataset | None = None) -> Explorer:
    """Label bits over the temperature, by four definitions, and the labels that they are bits of.

    Args:
        recording: of a subclass run; the shipped ones (on digits, by three kinds of teacher) if left out.
    """
    read = cache(recording_of) if recording is None else lambda _: recording
    first = read("skd")

    def source(taught: str = "skd", **state: Any) -> xarray.Dataset:
        return label_bits(read(taught), **state)

    controls: dict[str, Control] = {
        "temperature": Slider("temperature T", HEATS, start=1.0),
        "who": Choice("bits of the", _who(first)),
    }
    if recording is None:
        controls["taught"] = Choice("the teacher learnt", list(TEACHERS), names=TEACHERS)
    return Explorer(source, Bits, controls, "label-bits")


def widths(study: xarray.Dataset | str = "digits") -> Explorer:
    """Scores of students of every width, by what they were taught with.

    Args:
        study: "digits" or "mnist", of which studies ship, or your own recording of ``subclass-study``.
    """
    known = (
        study_of(study)
        if isinstance(study, str)
        else require_variable(study, "score", "a study of students")[0]
    )
    values = {
        name: known[name].values.tolist()
        for name in ("width", "labels", "teacher_images", "temperature")
    }
    controls: dict[str, Control] = {
        "width": Slider("student's width", values["width"], start=middle(values["width"])),
        "labels": Choice("labelled images", values["labels"]),
        "teacher_images": Choice("the teacher saw", values["teacher_images"], names=SAW),
        "temperature": Choice("T", values["temperature"], middle(values["temperature"])),
        "measure": Choice("score", [str(name) for name in known["measure"].values], names=MEASURES),
    }
    shown = {
        name: control
        for name, control in controls.items()
        if len(control.values) > 1 or name == "width"  # type: ignore[union-attr]
    }  # type: ignore[union-attr]
    return Explorer(partial(students, known), Students, shown, "students")


def training(left: str = "skd", right: str = "scratch") -> Explorer:
    """The subclass logits of a teacher and two students in one fixed plane, while they learn; from the shipped recordings."""
    read = cache(recording_of)

    def source(left: str, right: str, **state: Any) -> xarray.Dataset:
        return logits([read(left), read(right)], **state)

    first = read("skd")  # has the teacher's epochs too, and so all steps
    controls: dict[str, Control] = {
        "step": Slider("step", first.step.values.tolist(), start=int(first.step.values[-1])),
        "subclass": Choice("stand out", [ALL, *map(str, first["subclass"].values)]),
        "left": Choice("left", USUAL, left, METHOD_LABELS),
        "right": Choice("right", USUAL, right, METHOD_LABELS),
    }
    return Explorer(source, Logits, controls, "training")


def explorer_of(recording: xarray.Dataset, *others: xarray.Dataset) -> Explorer:
    """Your own recording: of one or two students, step by step, or of a study."""
    if "score" in recording:
        return widths(recording)
    longest = max((recording, *others), key=lambda r: int(r.step[-1]))
    controls: dict[str, Control] = {
        "step": Slider("step", longest.step.values.tolist(), start=int(longest.step.values[-1])),
        "subclass": Choice("stand out", [ALL, *map(str, recording["subclass"].values)]),
    }
    return Explorer(partial(logits, [recording, *others]), Logits, controls, "training")


def live(
    labels: Sequence[int] = (50, 100, 200, 400),
    widths: Sequence[int] = (2, 4, 8, 16, 32, 64),
    temperatures: Sequence[float] = (1.0, 2.0, 4.0, 8.0, 16.0),
    seeds: int = 5,
    data: Any = None,
    **options: Any,
) -> LiveStudy:
    """Choose the setting, train now: teachers once, then students in a second or two.

    Args:
        labels, widths, temperatures: what can be chosen.
        seeds: runs of each lesson.
        data: the name of a set, its description, or two ``ImageSet`` to train and to score on; digits if left out.
        **options: other options of ``StudyConfig``.
    """
    return LiveStudy(labels, widths, temperatures, seeds, DIGITS if data is None else data, options)


class LiveStudy(Live):
    """All runs of all lessons at one setting, trained in the page; created by ``live``.

    A teacher is trained once for each number of its images, and used again.
    """

    def __init__(
        self,
        labels: Sequence[int],
        widths: Sequence[int],
        temperatures: Sequence[float],
        seeds: int,
        data: Any,
        options: dict[str, Any],
    ) -> None:
        self.seeds, self.data, self.options = seeds, data, options
        self._teachers: dict[str, Any] = {}

        def choice(label: str, values: Sequence[float], start: float) -> Choice:
            names = {value: f"{value:g}" for value in values}
            return Choice(label, values, start if start in values else values[0], names)

        controls: dict[str, Control] = {
            "labels": choice("labelled images", labels, 50),
            "widths": choice("student's width", widths, 16),
            "temperatures": choice("temperature T", temperatures, 4.0),
            "teacher_images": Choice("the teacher saw", list(SAW), 0, SAW),
        }
        super().__init__(controls, self._train, self._explain, self._refresh, "Train")
        self.show(Explorer(self._scores, Scores, {}, "live"))

    def _create_run(self) -> Any:
        from explore.subclass.config import StudyConfig
        from explore.subclass.study import StudyRun

        setting: dict[str, Any] = {name: [value] for name, value in self.state.items()}
        config = StudyConfig(seeds=self.seeds, **setting, **self.options)
        return StudyRun(config, self.data, teachers=self._teachers)

    def _explain(self) -> None:
        self.say("The picture shows the setting before; press Train for this one.")

    def _train(self, progress: Any, stop: Any) -> Any:
        with spare_core():
            self.run = run = self._create_run()
            self.say("")
            while run.step < run.steps and not stop():
                run.advance()
                progress(run.step, run.steps, run.message)
        return run

    def _scores(self) -> xarray.Dataset:
        """Of the present run; before the first one, of the shipped study where it has this setting."""
        if self.run is None:
            if self.data == DIGITS and not self.options and self.seeds == 5:
                shown = students(study_of("digits").sel(lesson=list(USUAL)), width=16)
                return (
                    shown.isel(width=[int(shown["at"])])
                    .assign(at=0)
                    .assign_attrs(data="digits (shipped)")
                )
            self.run = self._create_run()
        return students(self.run.snapshot().assign_attrs(config=self.run.config))

    def _refresh(self) -> None:
        self.explorer.redraw()
        kinds = {"subclass": "true", "random": "random", "found": "found"}
        about = [
            f"{kinds[str(kind)]} subclasses: {100 * float(right):.1f} % right, {float(soft):.2f} soft bits at T = 1"
            for kind, right, soft in zip(*self._teachers_now(), strict=True)
            if right == right  # NaN while it is not trained
        ]
        if about:
            self.say("Teachers of " + "; of ".join(about) + ".")

    def _teachers_now(self) -> tuple[Any, Any, Any]:
        """Kinds, mean accuracy and mean bits of the teachers that are trained."""
        import numpy as np

        now = self.run.snapshot()
        with np.errstate(all="ignore"):
            means = (
                now[name].isel(labels=0, teacher_images=0).mean("run", skipna=False).values
                for name in ("teacher_accuracy", "teacher_bits")
            )
            return (now["kind"].values, *means)


def _who(recording: xarray.Dataset) -> list[str]:
    """Whose logits a recording holds."""
    return [name for name in WHO if f"{name}_logits" in recording]
