"""The explorers of the subclass lab, the live study, and the numbers in the notebook."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray
from explorers import (
    check_controls,
    check_lab_without,
    check_labels,
    check_picture,
    check_size,
    check_targets,
    explorer_names,
    reveal,
)
from text_boxes import drawn_texts

from explore import build, record
from explore.core.recording import open_recording
from explore.core.resources import shipped
from explore.errors import InvalidInput, UnknownName
from explore.plotting.figure_source import figure_source
from explore.subclass import lab, label_bits, table
from explore.subclass.figures.logits import logits
from explore.subclass.figures.score_rows import signed
from explore.widgets.explorer import Explorer

SMALL = {"name": "digits", "options": {"size": 8, "margin": 0}}
EXPLORERS: dict[str, Callable[[], Explorer]] = {
    "one image": lab.one_image,
    "bits": lab.bits_over_temperature,
    "widths": lab.widths,
    "widths on MNIST": lambda: lab.widths("mnist"),
    "training": lab.training,
    "own recording": lambda: lab.explorer_of(lab.recording_of("labels-only")),
    "own recordings": lambda: lab.explorer_of(lab.recording_of("scratch"), lab.recording_of("kd")),
    "own study": lambda: lab.explorer_of(lab.study_of("digits")),
}


@pytest.fixture(
    params=explorer_names(EXPLORERS, ("own recordings", "own study", "widths on MNIST"))
)
def explorer(request: pytest.FixtureRequest) -> Explorer:
    return EXPLORERS[request.param]()


def test_every_control_has_a_name_and_every_value_is_shown(explorer: Explorer) -> None:
    check_controls(explorer)


def test_every_target_has_a_control(explorer: Explorer) -> None:
    check_targets(explorer)


def test_the_saved_picture_is_small(explorer: Explorer) -> None:
    check_size(explorer)


def test_no_slider_shows_a_long_number(explorer: Explorer) -> None:
    check_labels(explorer)


def test_the_lab_opens_without_torch() -> None:
    check_lab_without(
        ("torch", "numba"), "subclass", ("one_image", "bits_over_temperature", "widths", "training")
    )


def test_the_bars_are_the_recorded_softmax() -> None:
    explorer, recording = lab.one_image(), lab.recording_of("skd")
    explorer.set(temperature=4.0, image=7)
    z = recording["teacher_logits"].values[-1, 7].astype(float) / 4
    expected = np.exp(z) / np.exp(z).sum()
    assert explorer.picture.table(explorer.data)["probability, %"].values == pytest.approx(
        100 * expected, abs=1e-2
    )


def test_bits_are_those_of_the_recorded_logits() -> None:
    explorer, recording = reveal(lab.bits_over_temperature()), lab.recording_of("skd")
    explorer.set(temperature=2.0, who="student")
    z = recording["student_logits"].values[-1].astype(float)
    assert float(explorer.data["soft_now"]) == pytest.approx(
        label_bits(z, recording["parent"].values, 2.0), abs=1e-6
    )


def test_the_plane_is_fixed_and_students_have_equal_epochs() -> None:
    read = lab.recording_of
    first, last = (logits([read("skd"), read("scratch")], step=step) for step in (110, 610))
    assert first.attrs["limit"] == last.attrs["limit"]
    assert np.array_equal(
        first["points"].values[0], last["points"].values[0]
    )  # the training of the teacher is complete
    alone = logits(read("scratch"), step=int(first["epoch"]))
    assert int(alone["epoch"]) == int(first["epoch"])
    assert float(first["accuracy"][1]) == float(alone["accuracy"][0])


def test_the_training_of_the_teacher_is_shown() -> None:
    read = lab.recording_of
    early, late = (logits([read("scratch"), read("skd")], step=step) for step in (0, 10))
    assert int(early["teacher_epoch"]) == 0
    assert int(late["teacher_epoch"]) == 10
    assert not np.array_equal(early["points"].values[0], late["points"].values[0])


def test_the_slider_of_a_training_counts_epochs() -> None:
    explorer = lab.training()
    assert explorer.epoch == "teacher 10"  # before the student's first epoch
    assert explorer.controls["epoch"].values[:2] == ["teacher 0", "teacher 1"]
    students = [e for e in explorer.controls["epoch"].values if not isinstance(e, str)]
    for epoch in students[::6]:
        explorer.epoch = epoch
        assert int(explorer.data["epoch"]) == epoch
    assert students[-1] == 600
    explorer.set(left="labels-only", right="scratch", epoch="teacher 3")
    assert int(explorer.data["epoch"]) == 0  # Neither of them has a teacher.
    alone = lab.explorer_of(lab.recording_of("scratch"))
    assert alone.epoch == 0
    assert alone.controls["epoch"].values[-1] == 600


def test_a_figure_of_a_training_has_a_slider_over_epochs() -> None:
    source = figure_source("logits")
    assert list(source.positions())[7:10] == ["teacher 8", "teacher 10", 1]
    assert int(source.data({"epoch": 600})["epoch"]) == 600
    assert int(source.data({"epoch": "teacher 3"})["teacher_epoch"]) == 3
    with pytest.raises(InvalidInput, match="epoch 599 was not recorded; the epochs are teacher 0,"):
        source.data({"epoch": 599})
    with pytest.raises(InvalidInput, match="a step or an epoch, not both"):
        source.data({"epoch": 600, "step": 610})


def test_predictions_are_answered_by_the_data() -> None:
    widths = reveal(lab.widths())
    assert widths.view.note.endswith(
        "shows: subclass distillation (SKD) at 16 and SKD, subclasses found at 4."
    )
    widths.set(labels=800)
    assert "class distillation (KD) at 4." in widths.view.note
    bits = reveal(lab.bits_over_temperature())
    assert bits.view.note.endswith("soft rises, mutual falls; hard and argmax stay the same.")


def test_every_run_lies_inside_of_the_axis_of_its_score() -> None:
    explorer = reveal(lab.widths())
    for measure in explorer.controls["measure"].values:
        explorer.measure = measure
        curves, runs = explorer.picture.figure.axes[:2]
        for axes, axis in ((curves, 1), (runs, 0)):
            low, high = (axes.get_xlim, axes.get_ylim)[axis]()
            lines = [line.get_xydata() for line in axes.lines if len(line.get_xdata()) > 2]
            points = np.concatenate(lines)[:, axis]
            assert ((points >= low) & (points <= high)).all(), measure
    assert curves.get_ylabel() == "Brier score (lower is better), mean ± sd"


def test_differences_have_a_minus_and_zero_has_no_sign() -> None:
    assert [signed(v, 1) for v in (-0.04, 0.04, -1.26, 1.26)] == ["0.0", "0.0", "−1.3", "+1.3"]


def test_the_legend_of_the_dashes_is_shown_with_them_only() -> None:
    explorer = lab.one_image()
    legend = "softmax of the classes' logits / T"
    for temperature, shown in ((1.0, False), (4.0, True)):
        explorer.temperature = temperature
        assert (legend in {t.words for t in drawn_texts(explorer.picture)}) == shown


def test_recordings_of_other_images_are_refused(tmp_path: Path) -> None:
    tiny = {"data": SMALL, "labels": 40, "epochs": 2, "holdout": 20, "method": "scratch"}
    other = record(build({**tiny, "seed": 1}), tmp_path / "other.zarr")
    with pytest.raises(InvalidInput, match="other images"):
        logits([record(build(tiny), tmp_path / "one.zarr"), other])


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UnknownName, match="'kdd'"):
        lab.recording_of("kdd")
    with pytest.raises(UnknownName, match="'cifar'"):
        lab.widths("cifar")


# ---- live


@pytest.fixture
def live() -> lab.LiveStudy:
    return lab.live(
        labels=(30, 60),
        widths=(2, 4),
        seeds=2,
        data=SMALL,
        updates=5,
        teacher_updates=3,
        teacher_width=2,
    )


def test_live_trains_at_its_settings_and_reuses_its_teachers(live: lab.LiveStudy) -> None:
    assert "not trained" in live.explorer.alt
    check_picture(live.explorer, "not trained")
    live.job.start(inline=True)
    check_picture(live.explorer, "trained")
    assert live.job.error is None
    assert "30 labelled images" in live.explorer.alt
    assert "not trained" not in live.explorer.alt
    teachers = dict(live.run.teachers)
    assert len(teachers) == 4  # of true and of random subclasses, in two runs
    live.settings.labels = 60
    assert "Train" in live.message
    live.job.start(inline=True)
    assert "60 labelled images" in live.explorer.alt
    assert all(live.run.teachers[key] is network for key, network in teachers.items())
    live.settings.teacher_images = -1
    live.job.start(inline=True)
    assert "only the student's images" in live.explorer.alt
    assert len(live.run.teachers) == 8


@pytest.mark.usefixtures("_one_thread")  # another number of threads rounds differently
def test_the_live_lab_starts_with_the_shipped_study() -> None:
    live = lab.live()
    assert "digits (shipped)" in live.explorer.alt
    assert "width 16" in live.explorer.alt
    table_of_runs = live.explorer.picture.table(live.explorer.data)
    row = table_of_runs.query("method == 'subclass distillation (SKD)'")
    shipped_rows = lab.study_of("digits")["score"].isel(step=-1)
    values = {
        "measure": "accuracy",
        "lesson": "skd",
        "temperature": 4.0,
        "labels": 50,
        "teacher_images": 0,
        "width": 16,
        "run": 0,
    }
    assert row["run 1, %"].item() == pytest.approx(100 * float(shipped_rows.sel(values)))
    assert row["accuracy, %"].item() == pytest.approx(94.4, abs=0.051)
    assert row["minus class labels"].item() == pytest.approx(10.8, abs=0.051)
    assert row["± of the difference, 95 %"].item() == pytest.approx(2.4, abs=0.051)


def test_live_shows_the_accuracy_of_its_teachers(live: lab.LiveStudy) -> None:
    live.job.start(inline=True)
    assert "Teachers of true subclasses:" in live.message
    assert "soft bits" in live.message


def test_live_equals_the_study_from_the_registry(live: lab.LiveStudy) -> None:
    live.job.start(inline=True)
    run = build(live.run.config)
    while run.step < run.steps:
        run.advance()
    xarray.testing.assert_identical(run.snapshot(), live.run.snapshot())


def test_live_stops_and_shows_errors(live: lab.LiveStudy) -> None:
    live.job.stop()
    live.options["labels"] = [10**6]
    live.job.start(inline=True)
    assert live.job.error is not None
    assert "TypeError" in live.job.text or "InvalidInput" in live.job.text


# ---- the numbers in the notebook


@pytest.mark.slow
def test_the_numbers_of_the_table() -> None:
    setting = {"labels": 50, "teacher_images": 0, "temperature": 4.0, "width": 16}
    order = ("scratch", "labels-only", "kd", "skd", "random-subclasses", "found-subclasses")
    expected = {
        (83.7, 89.3, 85.3, 94.4, 85.7, 92.1): setting,
        (92.7, 77.3, 93.8, 83.0, 89.6, 86.4): {**setting, "labels": 800, "width": 4},
        (95.8, 96.7, 96.4, 97.4, 93.3, 96.3): {**setting, "labels": 800},
        (83.7, 89.3, 84.0, 89.7, 79.7, 87.3): {**setting, "teacher_images": -1},
    }
    for numbers, setting in expected.items():
        accuracy = accuracies(setting)
        assert [accuracy[lesson] for lesson in order] == pytest.approx(numbers, abs=0.051)


def accuracies(setting: dict[str, float], measure: str = "accuracy") -> dict[str, float]:
    rows = table(open_recording(shipped("data/digits-students.zarr.zip")), measure)
    for name, value in setting.items():
        rows = rows[rows[name] == value]
    return {
        lesson: 100 * value for lesson, value in zip(rows["lesson"], rows[measure], strict=True)
    }


@pytest.mark.slow
def test_the_four_regimes_that_the_notebook_names() -> None:
    setting = {"labels": 50, "teacher_images": 0, "temperature": 4.0, "width": 16}
    accuracy = accuracies(setting)
    assert (
        accuracy["skd"] > accuracy["labels-only"] + 3 > accuracy["kd"] + 3 > accuracy["scratch"] + 3
    )
    assert accuracy["skd"] > accuracy["random-subclasses"] + 5
    narrow = accuracies({**setting, "width": 4, "labels": 800})
    assert narrow["skd"] < narrow["scratch"] - 5
    alone = accuracies({**setting, "teacher_images": -1})
    assert abs(alone["skd"] - alone["labels-only"]) < 1
    many = accuracies({**setting, "labels": 800})
    assert many["skd"] - many["scratch"] < 2.5
