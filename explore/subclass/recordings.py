"""What the recordings of subclass distillation hold, and the labels of the scores in them."""

from __future__ import annotations

from explore.core.schema import RecordingKind, Variable

METRIC_LABELS = {
    "accuracy": "accuracy",
    "f1": "F1",
    "macro_f1": "macro F1",
    "auc": "AUC",
    "brier": "Brier score",
}
"""The metrics of ``explore.subclass.report`` in a study. A lower Brier score is better."""

SCORE_DIMS = ("lesson", "temperature", "labels", "teacher_images", "width", "run")
"""Dimensions of the scores of one metric.

The methods are called "lesson", because xarray's ``sel`` has an argument "method".
"""


def _role_variables(role: str) -> dict[str, Variable]:
    return {
        f"{role}_logits": Variable(("image", "subclass"), f"subclass logits of the {role}"),
        f"{role}_accuracy": Variable((), f"{role}, accuracy of classes"),
        f"{role}_subclass_accuracy": Variable((), f"{role}, accuracy of subclasses"),
        f"{role}_bits": Variable((), f"{role}, soft label bits at T = 1", "bit"),
        f"{role}_epoch": Variable((), f"epochs in which the {role} has learnt"),
    }


TRAINING = RecordingKind(
    "a subclass training",
    variables={
        **_role_variables("student"),
        **_role_variables("teacher"),
        "divergence": Variable((), "T² KL(teacher ‖ student) over subclasses", "nat"),
        "loss": Variable((), "the student's loss in the last epoch", "nat"),
    },
    coordinates={
        "subclass": Variable(("subclass",), "", ""),
        "class": Variable(("class",), "", ""),
        "parent": Variable(("subclass",), "class of each subclass", ""),
        "image_subclass": Variable(("image",), "subclass of each image", ""),
        "picture": Variable(("image", "y", "x", "rgb"), "held-out images", ""),
    },
)
"""A recording of a teacher and a student. Without a teacher it has only ``teacher_epoch`` of it."""

_TEACHER_DIMS = ("kind", "labels", "teacher_images", "run")

STUDY = RecordingKind(
    "a study of students",
    variables={
        "score": Variable(("measure", *SCORE_DIMS), "score on the test images"),
        "teacher_accuracy": Variable(_TEACHER_DIMS, "accuracy of the teachers"),
        "teacher_bits": Variable(_TEACHER_DIMS, "soft label bits of the teachers at T = 1", "bit"),
    },
    coordinates={
        name: Variable((name,), "", "")
        for name in ("measure", *SCORE_DIMS, "kind", "class", "subclass")
    },
)
"""A recording of a study; scores are NaN until the students are trained."""
