"""Options of subclass distillation: what each method teaches with, one run's options and a study's; no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, Self

from explore.core.config import check_positive, identity, option
from explore.errors import InvalidInput, UnknownName


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
class _Shared:
    """What one run and a study of many have in common."""

    data: Any = option("digits", "name of the data set")
    parents: Any = option(
        None,
        "class of each subclass, such as [0,0,1]; by default the set's own, or digits 0 to 4 against 5 to 9 and their like",
    )
    seed: int = option(0, "of every random stream")
    distill_weight: float = option(0.5, "weight λ of the soft term; the hard term has 1 − λ")
    soften: str = option(
        "subclass", "kd: sum the softened subclasses (subclass), or soften the summed ones (class)"
    )
    auxiliary: float = option(
        1.0, "weight β of the auxiliary loss that lets a teacher find subclasses itself"
    )
    student: str = option("mlp", "mlp (one hidden layer) or convnet")
    learning_rate: float = option(0.003, "of the students' Adam")
    batch: int = option(64, "labelled images in a student's step")
    teacher_width: int = option(
        16, "channels of the teacher, a ConvNet of two blocks with batch norm; 0: an mlp of 256"
    )
    teacher_rate: float = option(0.005, "of the teacher's Adam")
    teacher_batch: int = option(128, "images in a teacher's step")
    prior: bool = option(
        True, "start all classes alike where they have different numbers of subclasses"
    )
    device: str = option("", "where to compute; not part of what identifies the run")

    def _check_shared(self) -> None:
        wholes = {"seed": 0, "batch": 1, "teacher_width": 0, "teacher_batch": 2}
        for name, low in wholes.items():
            whole(name, getattr(self, name), low)
        for name in ("learning_rate", "teacher_rate"):
            check_positive(name, getattr(self, name))
        if not _number(self.distill_weight) or not 0 <= self.distill_weight <= 1:
            raise InvalidInput(f"distill_weight must be in [0, 1], got {self.distill_weight!r}")
        if not _number(self.auxiliary) or not self.auxiliary >= 0:
            raise InvalidInput(f"auxiliary must be 0 or more, got {self.auxiliary!r}")
        for name, known in (("soften", SOFTEN), ("student", STUDENTS)):
            if getattr(self, name) not in known:
                raise UnknownName(name, getattr(self, name), known)

    def identity(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """What identifies the run in a recording."""
        return identity(self, data)


@dataclass(frozen=True, kw_only=True)
class SubclassConfig(_Shared):
    """Everything that decides one training: a teacher, then a student with what it knows.

    Raises:
        InvalidInput: an option is out of range; the message names it.
    """

    method: str = option("skd", "one of " + ", ".join(LESSONS))
    labels: int = option(200, "labelled images that the student trains on; 0: all")
    teacher_images: int = option(
        0, "images that the teacher sees, the student's among them; 0: all"
    )
    width: int = option(16, "hidden units (mlp) or channels (convnet) of the student")
    temperature: float = option(4.0, "T of the soft term")
    epochs: int = option(100, "passes of the student over its images")
    teacher_epochs: int = option(10, "passes of the teacher over what it sees")
    curriculum: bool = option(
        False,
        "images that annotators agree upon first, the others stage by stage (sets with agreement)",
    )
    holdout: int = option(
        200, "images of the training part that nobody learns from, for the frames; at most a fifth"
    )

    @classmethod
    def make(cls, **given: Any) -> Self:
        """A config; an unknown method is an ``UnknownName``."""
        if given.get("method", "skd") not in LESSONS:
            raise UnknownName("method", given["method"], LESSONS)
        return cls(**given)

    def __post_init__(self) -> None:
        self._check_shared()
        for name, low in {
            "labels": 0,
            "teacher_images": 0,
            "width": 1,
            "epochs": 1,
            "teacher_epochs": 1,
            "holdout": 1,
        }.items():
            whole(name, getattr(self, name), low)
        check_positive("temperature", self.temperature)


@dataclass(frozen=True, kw_only=True)
class StudyConfig(_Shared):
    """Everything that decides a study: many students, each combination of what is listed, several seeds each.

    Raises:
        InvalidInput: an option is out of range, or a list is empty or names a value twice; the message names it.
    """

    method: str = option("subclass-study", "subclass-study")
    methods: Sequence[str] = option(USUAL, "which are compared; of " + ", ".join(LESSONS))
    seeds: int = option(5, "runs of each, each with its own labelled images, teacher and student")
    labels: Sequence[int] = option((50, 200), "numbers of labelled images")
    teacher_images: Sequence[int] = option(
        (0,), "what the teacher saw: 0 for all images, -1 for just the student's, or a number"
    )
    widths: Sequence[int] = option((2, 4, 8, 16, 32), "widths of the students")
    temperatures: Sequence[float] = option((4.0,), "T of the soft term")
    updates: int = option(600, "optimisation steps of each student")
    teacher_updates: int = option(150, "optimisation steps of each teacher")
    positive: int = option(1, "the class that F1 is of")
    split: str = option("test", "what is scored: test, or val to choose settings on")

    def __post_init__(self) -> None:
        self._check_shared()
        whole("seeds", self.seeds, 1)
        whole("updates", self.updates, 1)
        whole("teacher_updates", self.teacher_updates, 1)
        whole("positive", self.positive, 0)
        for name, low in {"labels": 1, "teacher_images": -1, "widths": 1}.items():
            for value in self._listed(name):
                whole(name, value, low)
        for value in self._listed("temperatures"):
            check_positive("temperatures", value)
        for value in self._listed("methods"):
            if value not in LESSONS:
                raise UnknownName("method", value, LESSONS)
        if self.split not in ("val", "test"):
            raise UnknownName("split", self.split, ("val", "test"))

    def _listed(self, name: str) -> Sequence[Any]:
        values = getattr(self, name)
        if (
            isinstance(values, str)
            or not isinstance(values, Sequence)
            or not len(values)
            or len(set(values)) < len(values)
        ):
            raise InvalidInput(f"{name} must be a list of different values, got {values!r}")
        object.__setattr__(self, name, list(values))  # as a recording keeps it
        return values


def whole(name: str, value: Any, low: int) -> None:
    """Refuse what is no integer of at least ``low``."""
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise InvalidInput(f"{name} must be a whole number ≥ {low}, got {value!r}")


def _number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
