"""Checks of what the losses take, and float64 where float32 cannot hold a loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from explore.core.label_hierarchy import check_superclasses
from explore.core.tensor_validation import as_tensor, check_labels, check_tensor
from explore.core.validation import check_number
from explore.errors import InvalidInput
from explore.subclass.config import MAX_TEMPERATURE, MIN_TEMPERATURE

MAX_SINGLE_TEMPERATURE = 32.0
"""With higher temperatures the divergence is computed in float64: T² magnifies its rounding."""

IGNORE_INDEX = -100
"""The label of samples that PyTorch's cross entropy leaves out."""


def check_temperature(value: Any) -> float:
    """Return a temperature as a float.

    Raises:
        InvalidInput: it is no number from ``MIN_TEMPERATURE`` to ``MAX_TEMPERATURE``.
    """
    return check_number("temperature", value, at_least=MIN_TEMPERATURE, at_most=MAX_TEMPERATURE)


def check_logits(name: str, values: Any, batch: bool = False) -> torch.Tensor:
    """Return logits ``[..., S]`` as a tensor of floats that keeps its gradient.

    Args:
        name: how the message calls them.
        values: a tensor, an array or a list. NaN and infinities are allowed.
        batch: expect ``[B, S]`` with B and S of at least 1.

    Raises:
        InvalidInput: another shape or kind.
    """
    tensor = check_tensor(name or "logits", values, (...,), empty=True)
    title = f"{name} logits".strip()
    if batch and tensor.ndim > 2:
        raise InvalidInput(
            f"{title} must be [B, S] with B ≥ 1, got {list(tensor.shape)}; "
            "pixels and positions are samples too: flatten logits by "
            ".movedim(1, -1).flatten(0, -2), and labels by .flatten()"
        )
    if batch and (tensor.ndim != 2 or not tensor.numel()):
        raise InvalidInput(f"{title} must be [B, S] with B ≥ 1, got {list(tensor.shape)}")
    if not tensor.ndim:
        raise InvalidInput(f"{name} must be floats [..., S], got a single number")
    return tensor


def widen(z: torch.Tensor) -> torch.Tensor:
    """Return half precision as float32, which a softmax needs, and other types unchanged."""
    return z.float() if z.dtype.itemsize < 4 else z


def as_tuple(parents: Any, subclasses: int) -> tuple[int, ...]:
    """Return the superclass of each of so many subclasses; see ``check_superclasses``."""
    return tuple(check_superclasses(parents, subclasses).tolist())


@dataclass(frozen=True)
class LossInput:
    """Valid arguments of a distillation loss.

    Attributes:
        student, teacher: logits ``[B, S]``, float32 or float64.
        labels: classes, int64 ``[B]``.
        parents: class of each subclass.
        temperature, weight: T and λ.
    """

    student: torch.Tensor
    teacher: torch.Tensor
    labels: torch.Tensor
    parents: tuple[int, ...]
    temperature: float
    weight: float

    @classmethod
    def check(
        cls, student: Any, teacher: Any, labels: Any, parents: Any, temperature: Any, weight: Any
    ) -> LossInput:
        """Return the arguments of a loss, all on the device of the student.

        Raises:
            InvalidInput: one of them cannot be used.
        """
        student, teacher = (
            check_logits("student", student, True),
            check_logits("teacher", teacher, True),
        )
        if len(student) != len(teacher):
            raise InvalidInput(
                "student and teacher logits must be [B, S] of the same samples, "
                f"got {list(student.shape)} and {list(teacher.shape)}"
            )
        if student.shape != teacher.shape:
            raise InvalidInput(
                f"the student has {student.shape[1]} subclasses, the teacher {teacher.shape[1]}; "
                "both need the same number"
            )
        superclasses = as_tuple(parents, student.shape[1])
        temperature = check_temperature(temperature)
        weight = check_number("distill_weight", weight, at_least=0, at_most=1)
        labels = as_tensor("labels", labels)
        _check_ignored(labels)
        labels = check_labels("labels", labels, len(student), max(superclasses) + 1)
        device = student.device
        logits = widen(student), widen(teacher.detach()).to(device)
        return cls(*logits, labels.to(device), superclasses, temperature, weight)

    @property
    def is_extreme(self) -> bool:
        """Whether the temperature needs float64."""
        return self.temperature > MAX_SINGLE_TEMPERATURE

    def combine(self, soft: torch.Tensor, class_logits: torch.Tensor) -> torch.Tensor:
        """Return λ times the soft term + (1 − λ) times the cross entropy of the classes."""
        return self.weight * soft + (1 - self.weight) * cross_entropy(class_logits, self.labels)


def compute_finite(
    compute: Callable[..., torch.Tensor], is_extreme: bool, *logits: torch.Tensor
) -> torch.Tensor:
    """Return ``compute(*logits)``, in float64 where that is needed.

    Args:
        compute: computes a result from the logits.
        is_extreme: use float64 in any case.
        logits: the arguments. If all are finite but the result is not, it is computed again from
            float64.

    Returns:
        The result in the type of the logits. If a logit is NaN or infinite it may be so too.

    Raises:
        InvalidInput: all logits are finite, but the result is too large for its type.
    """
    dtype = torch.promote_types(logits[0].dtype, logits[-1].dtype)
    if not is_extreme:
        result = compute(*logits)
        if bool(result.isfinite().all()) or not all(_is_finite(z) for z in logits):
            return result
    result = compute(*(z.double() for z in logits)).to(dtype)
    if not bool(result.isfinite().all()) and all(_is_finite(z) for z in logits):
        largest = max(float(z.detach().abs().max()) for z in logits)
        raise InvalidInput(
            f"logits of up to {largest:.3g} have a loss that is larger than any number; "
            "scale them, or choose a higher temperature"
        )
    return result


def _is_finite(z: torch.Tensor) -> bool:
    return bool(torch.isfinite(z).all())


def _check_ignored(labels: torch.Tensor) -> None:
    """Refuse the label with which PyTorch leaves out samples, by its own name."""
    ignored = (labels == IGNORE_INDEX).flatten().nonzero()
    if len(ignored):
        raise InvalidInput(
            f"labels hold {IGNORE_INDEX} (PyTorch's ignore_index) in {len(ignored)} samples, the "
            f"first is {int(ignored[0])}; leave these samples out: logits[labels >= 0]"
        )
