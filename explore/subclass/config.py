"""Options of subclass distillation: what each method teaches with, one run's options and a study's; no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from explore.core.config import BaseConfig, device_option, option, seed_option
from explore.core.validation import (
    check_choice,
    check_different,
    check_number,
    check_whole_number,
)


@dataclass(frozen=True)
class Lesson:
    """What a student is taught with: whose soft labels, on which level, and which hard ones."""

    teacher: str
    """Whose logits: "subclass" (a teacher of the true subclasses), "random" (of subclasses shuffled within each class),
    "found" (of classes alone, spread out by the auxiliary loss) or "" (nobody's)."""
    level: str
    """Of the soft term: "subclass" or "class"."""
    hard: str
    """Labels of the hard term: "class" or "subclass"."""


LESSONS = {
    "scratch": Lesson("", "class", "class"),
    "labels-only": Lesson("", "class", "subclass"),
    "kd": Lesson("subclass", "class", "class"),
    "skd": Lesson("subclass", "subclass", "class"),
    "random-subclasses": Lesson("random", "subclass", "class"),
    "found-subclasses": Lesson("found", "subclass", "class"),
}
"""Every method, told apart by these three alone: network, data, steps and seeds are the same."""

USUAL = ("scratch", "labels-only", "kd", "skd", "random-subclasses")
"""What a study compares if nothing else is said."""

STUDENTS = ("mlp", "convnet")
SOFTEN = ("subclass", "class")


@dataclass(frozen=True, kw_only=True)
class _SharedConfig(BaseConfig):
    """Options that one run and a study of many have in common."""

    data: Any = option("digits", "name of the data set")
    parents: Any = option(
        None,
        "class of each subclass, such as [0,0,1]; by default the set's own, "
        "or digits 0 to 4 against 5 to 9 and their like",
    )
    seed: int = seed_option()
    distill_weight: float = option(
        0.5, "weight λ of the soft term; the hard term has 1 − λ", at_least=0, at_most=1
    )
    soften: str = option(
        "subclass",
        "kd: sum the softened subclasses (subclass), or soften the summed ones (class)",
        choices=SOFTEN,
    )
    auxiliary: float = option(
        1.0,
        "weight β of the auxiliary loss with which a teacher finds subclasses itself",
        at_least=0,
    )
    student: str = option("mlp", "mlp (one hidden layer) or convnet", choices=STUDENTS)
    learning_rate: float = option(0.003, "of the students' Adam", above=0)
    batch: int = option(64, "labelled images in a student's step", at_least=1)
    teacher_width: int = option(
        16,
        "channels of the teacher, a ConvNet of two blocks with batch norm; 0: an mlp of 256",
        at_least=0,
    )
    teacher_rate: float = option(0.005, "of the teacher's Adam", above=0)
    teacher_batch: int = option(128, "images in a teacher's step", at_least=2)
    prior: bool = option(
        True,
        "give all classes the same initial probability where they have different numbers "
        "of subclasses",
    )
    device: str = device_option()


@dataclass(frozen=True, kw_only=True)
class SubclassConfig(_SharedConfig):
    """Options of one training: of a teacher, and then of a student that learns from it.

    Raises:
        InvalidInput: an option is out of range; the message names it.
    """

    method: str = option("skd", "one of " + ", ".join(LESSONS), choices=LESSONS)
    labels: int = option(
        200, "labelled images that the student trains on; 0: all images", at_least=0
    )
    teacher_images: int = option(
        0,
        "images that the teacher trains on, the student's among them; 0: all images",
        at_least=0,
    )
    width: int = option(16, "hidden units (mlp) or channels (convnet) of the student", at_least=1)
    temperature: float = option(4.0, "T of the soft term", above=0)
    epochs: int = option(100, "passes of the student over its images", at_least=1)
    teacher_epochs: int = option(10, "passes of the teacher over its images", at_least=1)
    curriculum: bool = option(
        False,
        "train on images with full agreement of the annotators first, then on the others "
        "stage by stage (sets with agreement)",
    )
    holdout: int = option(
        200,
        "images of the training part that are held out for the frames; at most a fifth",
        at_least=1,
    )


@dataclass(frozen=True, kw_only=True)
class StudyConfig(_SharedConfig):
    """Options of a study: students of each combination of what is listed, several seeds each.

    Raises:
        InvalidInput: an option is out of range, or a list is empty or names a value twice; the
            message names it.
    """

    method: str = option("subclass-study", "subclass-study")
    methods: Sequence[str] = option(USUAL, "methods to compare; of " + ", ".join(LESSONS))
    seeds: int = option(
        5, "runs of each, each with its own labelled images, teacher and student", at_least=1
    )
    labels: Sequence[int] = option((50, 200), "numbers of labelled images")
    teacher_images: Sequence[int] = option(
        (0,),
        "images that the teacher trains on: 0 for all, -1 for the student's alone, or a number",
    )
    widths: Sequence[int] = option((2, 4, 8, 16, 32), "widths of the students")
    temperatures: Sequence[float] = option((4.0,), "T of the soft term")
    updates: int = option(600, "optimisation steps of each student", at_least=1)
    teacher_updates: int = option(150, "optimisation steps of each teacher", at_least=1)
    positive: int = option(1, "the class that F1 is computed for", at_least=0)
    split: str = option(
        "test",
        "images that students are scored on: test, or val to choose settings on",
        choices=("val", "test"),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        checks = {
            "labels": lambda value: check_whole_number("labels", value, at_least=1),
            "teacher_images": lambda value: check_whole_number(
                "teacher_images", value, at_least=-1
            ),
            "widths": lambda value: check_whole_number("widths", value, at_least=1),
            "temperatures": lambda value: check_number("temperatures", value, above=0),
            "methods": lambda value: check_choice("method", value, LESSONS),
        }
        for name, check in checks.items():
            values = check_different(name, getattr(self, name))
            object.__setattr__(self, name, [check(value) for value in values])
