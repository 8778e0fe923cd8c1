"""Epochs of recorded trainings: first those of the teacher, then those of the student."""

from __future__ import annotations

import re
from collections.abc import Sequence

import xarray

from explore.errors import InvalidInput


def epoch_steps(recording: xarray.Dataset) -> dict[int | str, int]:
    """Return the step of each epoch in a recording: the teacher's epochs, then the student's."""
    epochs = (recording[f"{role}_epoch"].values.tolist() for role in ("student", "teacher"))
    has_teacher = "teacher_logits" in recording
    return {
        (f"teacher {teacher}" if has_teacher and not student else int(student)): step
        for step, student, teacher in zip(recording.step.values.tolist(), *epochs, strict=True)
    }


def epoch_positions(recordings: Sequence[xarray.Dataset]) -> list[int | str]:
    """Return the epochs in the longest of several recordings, in order."""
    return list(epoch_steps(max(recordings, key=lambda r: int(r.step[-1]))))


def step_of_epoch(recording: xarray.Dataset, epoch: int | str) -> int:
    """Return the step of an epoch. Without a teacher, its epochs are before the student's first.

    Raises:
        InvalidInput: the recording has no such epoch; the message lists its epochs.
    """
    steps = epoch_steps(recording)
    if "teacher_logits" not in recording and re.fullmatch(r"teacher \d+", str(epoch)):
        return next(iter(steps.values()))
    if epoch not in steps:
        listed = ", ".join(map(str, steps))
        raise InvalidInput(f"epoch {epoch!r} was not recorded; the epochs are {listed}")
    return steps[epoch]
