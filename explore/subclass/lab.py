"""The subclass lab: functions for the cells of its notebook, each of which returns an explorer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from explore.core.recording import open_recording
from explore.core.resources import shipped
from explore.core.runs import spare_core
from explore.core.validation import (
    check_choice,
    check_different,
    check_items,
    check_number,
    check_whole_number,
)
from explore.plotting.selection import check_recordings, list_recordings, single_recording
from explore.subclass.catalog import METHOD_LABELS
from explore.subclass.config import DEFAULT_METHODS, TEACHING_SIGNALS
from explore.subclass.figures.bits import Bits, changes_of_bits, label_bits
from explore.subclass.figures.epochs import epoch_steps
from explore.subclass.figures.logits import ALL, Logits, logits
from explore.subclass.figures.softened import Softened, softened
from explore.subclass.figures.study import Scores, Students, best_students, middle, students
from explore.subclass.figures.style import (
    TEACHER_DATA_LABELS,
    TEMPERATURE_GRID,
    recorded_roles,
    teacher_data_label,
)
from explore.subclass.recordings import METRIC_LABELS, STUDY, TRAINING
from explore.widgets.controls import Choice, Control, Slider
from explore.widgets.explorer import Explorer
from explore.widgets.live import Live
from explore.widgets.prediction import Prediction

if TYPE_CHECKING:
    import xarray

MAX_SEEDS = 1_000
"""More runs of each method would take hours in a notebook."""

SHIPPED_STUDIES = ("digits", "mnist")
"""Data sets whose studies are part of the package."""

DIGITS = {"name": "digits", "options": {}}

TEACHER_LABELS = {
    "skd": "true subclasses",
    "random-subclasses": "random subclasses",
    "found-subclasses": "classes only (it discovers subclasses)",
}
"""Names of the teachers, by the method that uses them."""


def recording_of(lesson: str) -> xarray.Dataset:
    """Return the shipped recording of a method on digits.

    Raises:
        UnknownName: no such method.
    """
    check_choice("lesson", lesson, TEACHING_SIGNALS)
    return open_recording(shipped(f"data/students-{lesson}.zarr.zip")).load()


def study_of(data: str) -> xarray.Dataset:
    """Return the shipped study of many students on a data set.

    Raises:
        UnknownName: the package has no study of that set.
    """
    check_choice("study", data, SHIPPED_STUDIES)
    return open_recording(shipped(f"data/{data}-students.zarr.zip")).load()


def one_image(recording: xarray.Dataset | None = None, image: int = 29) -> Explorer:
    """Return an explorer of the soft label of one image over the temperature.

    Args:
        recording: of a subclass run; by default the shipped one (SKD on digits).
        image: index of the first image.
    """
    recording = recording_of("skd") if recording is None else recording
    recording = single_recording(TRAINING, recording)
    image = check_whole_number("image", image, at_least=0)
    images = list(range(recording.sizes["image"]))
    controls: dict[str, Control] = {
        "temperature": Slider("temperature T", TEMPERATURE_GRID, start=1.0),
        "image": Slider("image", images, start=min(image, images[-1])),
        "who": Choice("by the", recorded_roles(recording)),
    }
    return Explorer(partial(softened, recording), Softened, controls, "soft-label")


def bits_over_temperature(recording: xarray.Dataset | None = None) -> Explorer:
    """Return an explorer of label bits over the temperature, by four definitions.

    The reader first predicts how the bits change, except of an own recording.

    Args:
        recording: of a subclass run; by default the shipped ones (digits, three kinds of teacher).
    """
    if recording is not None:
        recording = single_recording(TRAINING, recording)
    read = cache(recording_of) if recording is None else lambda _: recording

    def source(taught: str = "skd", **state: Any) -> xarray.Dataset:
        return label_bits(read(taught), **state)

    controls: dict[str, Control] = {
        "temperature": Slider("temperature T", TEMPERATURE_GRID, start=1.0),
        "who": Choice("bits of the", recorded_roles(read("skd"))),
    }
    if recording is None:
        names = list(TEACHER_LABELS)
        controls["taught"] = Choice("teacher trained on", names, names=TEACHER_LABELS)
    prediction = Prediction(
        "When the temperature T rises, which of the label bits rise and which fall?",
        [
            "soft and mutual rise",
            "soft rises, mutual falls",
            "soft falls, mutual rises",
            "soft and mutual fall",
        ],
        changes_of_bits,
    )
    covered = prediction if recording is None else None
    return Explorer(source, Bits, controls, "label-bits", covered)


def widths(study: xarray.Dataset | str = "digits") -> Explorer:
    """Return an explorer of the scores of students over their width, for each method.

    Of the study on digits, the reader first predicts which method leads.

    Args:
        study: "digits" or "mnist" for a shipped study, or your own recording of ``subclass-study``.
    """
    is_lesson = isinstance(study, str) and study == "digits"
    study = study_of(study) if isinstance(study, str) else single_recording(STUDY, study)
    names = ("width", "labels", "teacher_images", "temperature", "measure")
    width, labels, images, temperatures, metrics = (study[name].values.tolist() for name in names)
    controls: dict[str, Slider | Choice] = {
        "width": Slider("student's width", width, start=middle(width)),
        "labels": Choice("labelled images", labels, names={n: f"{n:,}" for n in labels}),
        "teacher_images": Choice(
            "teacher trained on", images, names={n: teacher_data_label(n) for n in images}
        ),
        "temperature": Choice("T", temperatures, middle(temperatures)),
        "measure": Choice("score", metrics, names=METRIC_LABELS),
    }
    useful: dict[str, Control] = {
        name: control
        for name, control in controls.items()
        if len(control.values) > 1 or name == "width"
    }
    prediction = Prediction(
        "Which students are best at width 16, and which at width 4?",
        [
            "SKD at both widths",
            "SKD at 16, others at 4",
            "others at 16, SKD at 4",
            "others at both widths",
        ],
        best_students,
    )
    covered = prediction if is_lesson else None
    return Explorer(partial(students, study), Students, useful, "students", covered)


def training(left: str = "skd", right: str = "scratch") -> Explorer:
    """Return an explorer of the logits of a teacher and two students over the epochs."""
    for name, method in (("left", left), ("right", right)):
        check_choice(name, method, DEFAULT_METHODS)
    read = cache(recording_of)

    def source(left: str, right: str, **state: Any) -> xarray.Dataset:
        return logits([read(left), read(right)], **state)

    controls = {
        **_training_controls(read("skd")),  # It has the epochs of the teacher too.
        "left": Choice("left", DEFAULT_METHODS, left, METHOD_LABELS),
        "right": Choice("right", DEFAULT_METHODS, right, METHOD_LABELS),
    }
    return Explorer(source, Logits, controls, "training")


def explorer_of(recording: xarray.Dataset, *others: xarray.Dataset) -> Explorer:
    """Return an explorer of your own recordings: one or two students, or a study."""
    recordings = list_recordings([recording, *others])
    if "score" in recording and not others:
        return widths(recording)
    recordings = check_recordings(TRAINING, recordings, most=2)
    controls = _training_controls(max(recordings, key=lambda r: int(r.step[-1])))
    return Explorer(partial(logits, recordings), Logits, controls, "training")


def _training_controls(recording: xarray.Dataset) -> dict[str, Control]:
    """Return the controls of a training, which opens before the student's first epoch."""
    epochs = list(epoch_steps(recording))
    before = [epoch for epoch in epochs if isinstance(epoch, str) or epoch == 0]
    return {
        "epoch": Slider("epoch", epochs, start=before[-1] if before else None),
        "subclass": Choice("stand out", [ALL, *map(str, recording["subclass"].values)]),
    }


def live(
    labels: Sequence[int] = (50, 100, 200, 400),
    widths: Sequence[int] = (2, 4, 8, 16, 32, 64),
    temperatures: Sequence[float] = (1.0, 2.0, 4.0, 8.0, 16.0),
    seeds: int = 5,
    data: Any = None,
    **options: Any,
) -> LiveStudy:
    """Return a study that is trained in the notebook: teachers once, students in a second or two.

    Args:
        labels, widths, temperatures: the choices of the controls.
        seeds: number of runs of each method.
        data: the name of a set, its description, or two ``ImageSet`` for training and for the
            scores; digits by default.
        **options: other options of ``StudyConfig``.

    Raises:
        InvalidInput: a choice or a number of seeds that a study cannot have.
    """
    settings: dict[str, Sequence[float]] = {
        **{
            name: [check_whole_number(name, n, at_least=1) for n in check_items(name, numbers)]
            for name, numbers in (("labels", labels), ("widths", widths))
        },
        "temperatures": [
            check_number("temperatures", value, above=0)
            for value in check_items("temperatures", temperatures)
        ],
    }
    for name, values in settings.items():
        check_different(name, values)
    seeds = check_whole_number("seeds", seeds, at_least=1, at_most=MAX_SEEDS)
    return LiveStudy(settings, seeds, DIGITS if data is None else data, options)


class LiveStudy(Live):
    """A study at one setting that is trained in the notebook; ``live`` creates it.

    A teacher is trained once for each number of its images, and reused.

    Args:
        settings: the choices of labels, widths and temperatures.
        seeds, data, options: see ``live``.
    """

    def __init__(
        self,
        settings: Mapping[str, Sequence[float]],
        seeds: int,
        data: Any,
        options: dict[str, Any],
    ) -> None:
        self.seeds, self.data, self.options = seeds, data, options
        self._is_default = isinstance(data, Mapping) and data == DIGITS
        self._teachers: dict[str, Any] = {}
        starts = {
            "labels": ("labelled images", 50),
            "widths": ("student's width", 16),
            "temperatures": ("temperature T", 4.0),
        }
        controls: dict[str, Control] = {}
        for name, (label, start) in starts.items():
            values = settings[name]
            start = start if start in values else values[0]
            controls[name] = Choice(
                label, values, start, {value: f"{value:,g}" for value in values}
            )
        controls["teacher_images"] = Choice(
            "teacher trained on", list(TEACHER_DATA_LABELS), 0, TEACHER_DATA_LABELS
        )
        super().__init__(
            controls, self._train, self._explain, self._refresh, "Train", unit="stages"
        )
        self.show(Explorer(self._scores, Scores, {}, "live"))

    def _create_run(self) -> Any:
        from explore.subclass.config import StudyConfig
        from explore.subclass.study import StudyRun

        setting: dict[str, Any] = {name: [value] for name, value in self.state.items()}
        config = StudyConfig(seeds=self.seeds, **setting, **self.options)
        return StudyRun(config, self.data, teachers=self._teachers)

    def _explain(self) -> None:
        self.say("The picture shows the previous setting; press Train for this one.")

    def _train(self, progress: Any, stop: Any) -> Any:
        with spare_core():
            self.run = run = self._create_run()
            self.say("Training. Until the first scores the picture shows the previous setting.")
            while run.step < run.steps and not stop():
                run.advance()
                progress(run.step, run.steps, run.message)
        return run

    def _scores(self) -> xarray.Dataset:
        """Return the scores of the current run, or first those of the shipped study."""
        if self.run is None:
            if self._is_default and not self.options and self.seeds == 5:
                study = students(study_of("digits").sel(lesson=list(DEFAULT_METHODS)), width=16)
                scores = study.isel(width=[int(study["width_index"])]).assign(width_index=0)
                return scores.assign_attrs(data="digits (shipped)")
            self.run = self._create_run()
        return students(self.run.snapshot().assign_attrs(config=self.run.config))

    def _refresh(self) -> None:
        """Update the picture, and show accuracy and bits of the trained teachers."""
        if self.run is None:  # The cell was closed while the job made its last step.
            return
        self.explorer.redraw()
        frame = self.run.snapshot().isel(labels=0, teacher_images=0)
        names = {"subclass": "true", "random": "random", "found": "found"}
        with np.errstate(all="ignore"):
            accuracy = frame["teacher_accuracy"].mean("run", skipna=False).values
            soft_bits = frame["teacher_bits"].mean("run", skipna=False).values
        texts = [
            f"{names[str(kind)]} subclasses: {100 * accuracy[k]:.1f} % right, "
            f"{soft_bits[k]:.2f} soft bits at T = 1"
            for k, kind in enumerate(frame["kind"].values)
            if not np.isnan(accuracy[k])
        ]
        self.say(f"Teachers of {'; of '.join(texts)}." if texts else "")
