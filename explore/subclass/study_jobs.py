"""The steps of a study: the training of one teacher, or of all students of one width."""

from __future__ import annotations

from dataclasses import dataclass

STUDENT_IMAGES_ONLY = -1
"""In ``teacher_images``: the teacher is trained on the images of its student."""


@dataclass(frozen=True)
class TeacherJob:
    """A step that trains one teacher on the first images of a run.

    Attributes:
        kind: see ``TeachingSignal``.
        images: number of images; 0: all.
        run: index of the run.
    """

    kind: str
    images: int
    run: int

    @property
    def key(self) -> str:
        """The name of its logits in a checkpoint."""
        return f"teacher.{self.kind}.{self.images}.{self.run}"


@dataclass(frozen=True)
class StudentsJob:
    """A step that trains the students of one width: every method, temperature and run."""

    labels: int
    teacher_images: int
    width: int

    def teacher_key(self, kind: str, run: int) -> str:
        """Return the key of the teacher of a run."""
        return TeacherJob(kind, teacher_images_of(self.teacher_images, self.labels), run).key


def epochs_for(updates: int, labels: int, batch: int) -> int:
    """Return the number of epochs with at least so many optimisation steps.

    Example:
        >>> epochs_for(600, 200, 64)
        150
    """
    return -(-updates // -(-labels // batch))


def teacher_images_of(teacher_images: int, labels: int) -> int:
    """Return the number of images of a teacher; 0 stands for all."""
    return labels if teacher_images == STUDENT_IMAGES_ONLY else teacher_images
