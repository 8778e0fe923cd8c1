"""Options of the methods and of a study, and the teaching signal of each method. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
class TeachingSignal:
    """The labels that a student learns from: soft labels of a teacher, and hard labels.

    Attributes:
        teacher: what the teacher was trained on: "subclass" (the true subclasses), "random"
            (subclasses shuffled within each class), "found" (classes alone, with the auxiliary
            loss), or "" if there is no teacher.
        level: of the soft labels, "subclass" or "class".
        hard_labels: "class" or "subclass".
    """

    teacher: str
    level: str
    hard_labels: str


TEACHING_SIGNALS = {
    "scratch": TeachingSignal("", "class", "class"),
    "labels-only": TeachingSignal("", "class", "subclass"),
    "kd": TeachingSignal("subclass", "class", "class"),
    "skd": TeachingSignal("subclass", "subclass", "class"),
    "random-subclasses": TeachingSignal("random", "subclass", "class"),
    "found-subclasses": TeachingSignal("found", "subclass", "class"),
}
"""The signal of each method. Network, data, steps and seeds of all methods are equal."""

DEFAULT_METHODS = ("scratch", "labels-only", "kd", "skd", "random-subclasses")
"""The methods of a study by default."""

MIN_TEMPERATURE, MAX_TEMPERATURE = 1e-3, 1e6
"""Temperatures outside of these cannot be told from a hard label, or from a squared distance."""

STUDENT_NETWORKS = ("mlp", "convnet")
SOFTEN_LEVELS = ("subclass", "class")


@dataclass(frozen=True, kw_only=True)
class _CommonConfig(BaseConfig):
    """The options that a single run and a study share."""

    data: Any = option("digits", "name of the data set")
    parents: Any = option(
        None,
        "class of each subclass, such as [0,0,1]; by default that of the data set "
        "(for digits: 0 to 4 against 5 to 9)",
    )
    seed: int = seed_option()
    distill_weight: float = option(
        0.5, "weight λ of the soft term; the hard term has the weight 1 − λ", at_least=0, at_most=1
    )
    soften: str = option(
        "subclass",
        "kd: soften the subclass logits (subclass) or the class logits (class)",
        choices=SOFTEN_LEVELS,
    )
    auxiliary: float = option(
        1.0,
        "found-subclasses: weight β of the auxiliary loss of the teacher",
        at_least=0,
    )
    student: str = option(
        "mlp", "network of the student: mlp (one hidden layer) or convnet", choices=STUDENT_NETWORKS
    )
    learning_rate: float = option(0.003, "learning rate of the students (Adam)", above=0)
    batch: int = option(64, "labelled images in one step of a student", at_least=1)
    teacher_width: int = option(
        16,
        "channels of the teacher, a ConvNet with two blocks; 0: an mlp with 256 hidden units",
        at_least=0,
    )
    teacher_rate: float = option(0.005, "learning rate of the teacher (Adam)", above=0)
    teacher_batch: int = option(128, "images in one step of a teacher", at_least=2)
    prior: bool = option(
        True,
        "start with equal class probabilities, also if classes have different numbers of "
        "subclasses",
    )
    device: str = device_option()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.parents is not None and not isinstance(self.parents, list | tuple):
            # Only here, as the command line lists the options without NumPy.
            from explore.core.label_hierarchy import check_superclasses

            object.__setattr__(self, "parents", check_superclasses(self.parents).tolist())


@dataclass(frozen=True, kw_only=True)
class SubclassConfig(_CommonConfig):
    """Options of one run, which trains a teacher and then a student.

    Raises:
        InvalidInput: an option is out of range.
    """

    method: str = option("skd", "one of " + ", ".join(TEACHING_SIGNALS), choices=TEACHING_SIGNALS)
    labels: int = option(200, "labelled images for the student; 0: all images", at_least=0)
    teacher_images: int = option(
        0,
        "images for the teacher, which include those of the student; 0: all images",
        at_least=0,
    )
    width: int = option(16, "hidden units (mlp) or channels (convnet) of the student", at_least=1)
    temperature: float = option(
        4.0,
        "temperature T of the soft term",
        at_least=MIN_TEMPERATURE,
        at_most=MAX_TEMPERATURE,
    )
    epochs: int = option(100, "epochs of the student", at_least=1)
    teacher_epochs: int = option(10, "epochs of the teacher", at_least=1)
    teacher: Any = option(
        "", "a trained teacher, a file that Teacher.save wrote; by default one is trained first"
    )
    curriculum: bool = option(
        False,
        "start with images on which all annotators agree, then add the others in stages "
        "(data sets with agreement only)",
    )
    holdout: int = option(
        200,
        "training images that are held out for the frames; at most a fifth of all",
        at_least=1,
    )

    def identity(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return what repeats a run; earlier recordings do not name a teacher."""
        named = super().identity(data)
        return named if named["teacher"] else {k: v for k, v in named.items() if k != "teacher"}


@dataclass(frozen=True, kw_only=True)
class StudyConfig(_CommonConfig):
    """Options of a study, which trains students for each combination of the listed values.

    Raises:
        InvalidInput: an option is out of range, or a list is empty or holds a value twice.
    """

    method: str = option("subclass-study", "subclass-study")
    methods: Sequence[str] = option(
        DEFAULT_METHODS, "methods to compare: some of " + ", ".join(TEACHING_SIGNALS)
    )
    seeds: int = option(
        5,
        "runs of each combination, each with its own labelled images, teacher and student",
        at_least=1,
    )
    labels: Sequence[int] = option((50, 200), "numbers of labelled images")
    teacher_images: Sequence[int] = option(
        (0,),
        "numbers of images for the teacher; 0: all images, -1: only those of the student",
    )
    widths: Sequence[int] = option((2, 4, 8, 16, 32), "widths of the students")
    temperatures: Sequence[float] = option((4.0,), "temperature T of the soft term")
    updates: int = option(600, "optimisation steps of each student", at_least=1)
    teacher_updates: int = option(150, "optimisation steps of each teacher", at_least=1)
    positive: int = option(1, "class for which F1 is computed", at_least=0)
    split: str = option(
        "test",
        "images on which students are scored: test, or val to choose settings",
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
            "temperatures": lambda value: check_number(
                "temperatures", value, at_least=MIN_TEMPERATURE, at_most=MAX_TEMPERATURE
            ),
            "methods": lambda value: check_choice("method", value, TEACHING_SIGNALS),
        }
        for name, check in checks.items():
            values = check_different(name, getattr(self, name))
            object.__setattr__(self, name, [check(value) for value in values])
