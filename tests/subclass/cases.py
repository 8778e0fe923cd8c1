"""Special cases of subclass distillation for the tests of all topics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import xarray

from explore.subclass.figures.bits import label_bits
from explore.subclass.figures.logits import logits
from explore.subclass.figures.softened import softened
from explore.subclass.figures.study import students
from explore.subclass.lab import recording_of, study_of


def logits_state(*lessons: str, **state: Any) -> xarray.Dataset:
    return logits([recording_of(lesson) for lesson in lessons], **state)


def student_states(*states: dict[str, Any]) -> list[xarray.Dataset]:
    return [students(study_of("digits"), **state) for state in states]


PICTURES: dict[str, tuple[str, Callable[[], list[xarray.Dataset]]]] = {
    "softened": (
        "explore.subclass.figures.softened:Softened",
        lambda: [
            softened(recording_of("skd")),
            softened(recording_of("skd"), temperature=8.0, image=7),
            softened(recording_of("skd"), temperature=0.25, image=1, who="student"),
        ],
    ),
    "label_bits": (
        "explore.subclass.figures.bits:Bits",
        lambda: [label_bits(recording_of("skd"), temperature=t) for t in (1.0, 0.25, 64.0)],
    ),
    "logits": (
        "explore.subclass.figures.logits:Logits",
        lambda: [
            logits_state("skd", "scratch", step=step, subclass=subclass)
            for step, subclass in ((0, "all"), (100, "3"), (6, "all"), (610, "9"))
        ],
    ),
    "logits of students without a teacher": (
        "explore.subclass.figures.logits:Logits",
        lambda: [
            logits_state("scratch", step=0),
            logits_state("scratch", step=20),
            logits_state("scratch"),
        ],
    ),
    "students": (
        "explore.subclass.figures.study:Students",
        lambda: student_states(
            {},
            {"width": 2},
            {"width": 64, "labels": 800, "teacher_images": -1},
            {"temperature": 16.0},
        ),
    ),
    "scores": (
        "explore.subclass.figures.study:Scores",
        lambda: student_states({}, {"width": 2}, {"labels": 200}),
    ),
}
