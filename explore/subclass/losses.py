"""Class logits from subclass logits, and the distillation losses for subclasses and for classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Literal

import torch
from torch.nn.functional import log_softmax

from explore.core.label_hierarchy import check_superclasses
from explore.core.validation import check_choice
from explore.errors import InvalidInput
from explore.subclass._loss_input import (
    MAX_SINGLE_TEMPERATURE,
    LossInput,
    as_tuple,
    check_logits,
    check_temperature,
    compute_finite,
    widen,
)
from explore.subclass.config import SOFTEN_LEVELS

Parents = Sequence[int] | torch.Tensor | Any
Soften = Literal["subclass", "class"]

MAX_STANDARDIZED = 1e15
"""Logits above this are scaled before they are standardised, so that their squares are finite."""


def class_logits(subclass_logits: Any, parents: Parents) -> torch.Tensor:
    """Return class logits ζ_c = log Σ exp z_j, summed over the subclasses j of class c.

    So softmax(ζ) is the sum of softmax(z) over each class.

    Args:
        subclass_logits: floats ``[..., S]``, a tensor, an array or a list; −Inf masks a subclass.
            NaN makes its sample NaN. Half precision is computed in float32.
        parents: class of each subclass, ``[S]``, in any order; classes may have different sizes.

    Returns:
        ``[..., C]``, of the type of the logits.

    Raises:
        InvalidInput: the logits are no floats, or see
            ``explore.core.label_hierarchy.check_superclasses``.

    Source: Müller, Kornblith, Hinton, arXiv 2002.03936; SKD (arXiv 2207.08063) in our reading.

    Example:
        >>> class_logits(torch.log(torch.tensor([1.0, 2.0, 3.0])), [0, 1, 0]).exp()
        tensor([4., 2.])
    """
    z = check_logits("subclass_logits", subclass_logits)
    return sum_classes(widen(z), as_tuple(parents, z.shape[-1])).to(z.dtype)


def sum_classes(z: torch.Tensor, parents: tuple[int, ...]) -> torch.Tensor:
    """Return the class logits of a valid tensor; see ``class_logits``."""
    index, padded = _groups(parents)
    masked = not bool(torch.isfinite(z).all())
    if padded:  # classes with fewer subclasses are filled up with a column of −Inf
        z = torch.cat([z, z.new_full((*z.shape[:-1], 1), -torch.inf)], -1)
    index = index.to(z.device)
    members = z.index_select(-1, index.flatten()).unflatten(-1, index.shape)
    if not masked:
        return members.logsumexp(-1)
    # logsumexp has no gradient for a class without any unmasked subclass.
    empty = torch.isneginf(members).all(-1, keepdim=True)
    return members.masked_fill(empty, 0.0).logsumexp(-1).masked_fill(empty.squeeze(-1), -torch.inf)


def class_probabilities(
    subclass_logits: Any,
    parents: Parents,
    temperature: float = 1.0,
    soften: Soften = "subclass",
) -> torch.Tensor:
    """Return class probabilities ``[..., C]`` of subclass logits at a temperature.

    Both ways of softening agree at T = 1. At T = 4 they differ by up to 0.07 on random logits.

    Args:
        subclass_logits: floats ``[..., S]``; see ``class_logits``.
        parents: class of each subclass.
        temperature: T, from 0.001 to a million.
        soften: ``"subclass"`` sums softmax(z / T) over each class; ``"class"`` is softmax(ζ / T).

    Raises:
        InvalidInput, UnknownName: an argument is out of range.

    Example:
        >>> class_probabilities(torch.zeros(1, 4), [0, 1, 1, 1])
        tensor([[0.2500, 0.7500]])
    """
    z = check_logits("subclass_logits", subclass_logits)
    checked = as_tuple(parents, z.shape[-1])
    temperature, way = check_temperature(temperature), _check_soften(soften)

    def compute(values: torch.Tensor) -> torch.Tensor:
        return log_class_probabilities(values, checked, temperature, way).exp()

    return compute_finite(compute, False, widen(z)).to(z.dtype)


def subclass_distillation_loss(
    student: Any,
    teacher: Any,
    labels: Any,
    parents: Parents,
    temperature: float = 4.0,
    distill_weight: float = 0.5,
) -> torch.Tensor:
    """Return the loss of subclass distillation (SKD).

    It is λ T² KL(q^t ‖ q^s) over subclasses + (1 − λ) cross entropy of the classes, both means over
    the batch.

    Args:
        student: subclass logits ``[B, S]``, floats in a tensor, an array or a list. The pixels of
            an image are samples too: ``logits.movedim(1, -1).flatten(0, -2)``.
        teacher: subclass logits ``[B, S]``; they get no gradient.
        labels: classes ``[B]``, integers of any type.
        parents: class of each subclass, ``[S]``.
        temperature: T of the first term, from 0.001 to a million. The factor T² keeps the size of
            its gradient: for large T the term tends to a squared distance of logits.
        distill_weight: λ in [0, 1]. Other packages call λ or 1 − λ "alpha".

    Returns:
        A scalar, in nats. It is NaN if a logit is NaN or +Inf, or if all logits of a sample are
        −Inf. Half precision is computed in float32, and the result is float32.

    Raises:
        InvalidInput: shapes that do not fit, T or λ out of range, labels out of range, or finite
            logits whose loss is larger than any number.

    Source: arXiv 2207.08063 and 2109.05587. Their equations were not legible: this form is our
    reading, with λ and T of the subclass-distillation notebook of Müller et al.

    Example:
        >>> z = torch.tensor([[2.0, 0.0, 1.0]])
        >>> labels, parents = torch.tensor([0]), [0, 0, 1]
        >>> float(subclass_distillation_loss(z, z + 5, labels, parents, distill_weight=1.0))
        0.0
    """
    checked = LossInput.check(student, teacher, labels, parents, temperature, distill_weight)

    def compute(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        soft = divergence_of_subclasses(student, teacher, checked.temperature).mean()
        return checked.combine(soft, sum_classes(student, checked.parents))

    return compute_finite(compute, checked.is_extreme, checked.student, checked.teacher)


def class_distillation_loss(
    student: Any,
    teacher: Any,
    labels: Any,
    parents: Parents,
    temperature: float = 4.0,
    distill_weight: float = 0.5,
    soften: Soften = "subclass",
) -> torch.Tensor:
    """Return the loss of conventional knowledge distillation, with the divergence over classes.

    It equals ``subclass_distillation_loss`` if each class has one subclass.

    Args:
        student, teacher, labels, parents, temperature, distill_weight: see
            ``subclass_distillation_loss``.
        soften: see ``class_probabilities``.

    Source: Hinton, Vinyals, Dean, arXiv 1503.02531.
    """
    checked = LossInput.check(student, teacher, labels, parents, temperature, distill_weight)
    way = _check_soften(soften)

    def compute(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        settings = checked.parents, checked.temperature, way
        soft = divergence_of_classes(student, teacher, *settings).mean()
        return checked.combine(soft, sum_classes(student, checked.parents))

    return compute_finite(compute, checked.is_extreme, checked.student, checked.teacher)


def auxiliary_loss(logits: Any, temperature: float = 1.0) -> torch.Tensor:
    """Return the auxiliary loss of Müller et al., with which a teacher discovers subclasses.

    It is a contrastive loss that spreads the samples of a batch over the subclasses. The logits of
    each sample are standardised to v, R = v vᵀ / (T S), and the loss is the mean over i of
    log (1/B) Σ_j exp R_ij − 1/T. It lies between −log B and 0, and is 0 if all rows are equal.
    A row of equal logits counts as orthogonal to all others.

    Args:
        logits: floats ``[B, S]``, a tensor, an array or a list. They are standardised as in the
            source: centred, then divided by √(variance + 1e-9).
        temperature: T, from 0.001 to a million.

    Returns:
        A scalar; NaN if a logit is NaN or infinite.

    Raises:
        InvalidInput: another shape, or T is out of range.

    Source: the notebook published with arXiv 2002.03936.

    Example:
        >>> float(auxiliary_loss(torch.tensor([[1.0, 0.0], [2.0, 0.0]]))) + 0.0
        0.0
    """
    checked = widen(check_logits("", logits, batch=True))
    return spread_of(checked, check_temperature(temperature))


def spread_of(logits: torch.Tensor, temperature: float = 1.0) -> torch.Tensor:
    """Return the auxiliary loss of valid logits; see ``auxiliary_loss``."""
    b, s = logits.shape
    scale = logits.detach().abs().amax(-1, keepdim=True)
    if bool((scale > MAX_STANDARDIZED).any()):
        logits = logits / scale.clamp(min=1)
    centred = logits - logits.mean(-1, keepdim=True)
    v = centred / (centred.square().mean(-1, keepdim=True) + 1e-9).sqrt()
    r = v @ v.T / (temperature * s)
    return r.logsumexp(-1).mean() - 1 / temperature - torch.log(r.new_tensor(float(b)))


def subclass_divergence(student: Any, teacher: Any, temperature: float) -> torch.Tensor:
    """Return T² KL(q^t ‖ q^s) over subclasses for each sample, ``[...]``, from two ``[..., S]``.

    The teacher gets no gradient.

    Raises:
        InvalidInput: the logits are no floats, or T is out of range.
    """
    temperature = check_temperature(temperature)

    def compute(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        return divergence_of_subclasses(student, teacher, temperature)

    return _compute_divergence(compute, student, teacher, temperature)


def class_divergence(
    student: Any,
    teacher: Any,
    parents: Parents,
    temperature: float,
    soften: Soften = "subclass",
) -> torch.Tensor:
    """Return the same over classes."""
    temperature, way = check_temperature(temperature), _check_soften(soften)
    checked = check_logits("student", student)
    superclasses = as_tuple(parents, checked.shape[-1])

    def compute(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        return divergence_of_classes(student, teacher, superclasses, temperature, way)

    return _compute_divergence(compute, checked, teacher, temperature)


def _compute_divergence(
    compute: Callable[..., torch.Tensor], student: Any, teacher: Any, temperature: float
) -> torch.Tensor:
    logits = [check_logits(name, z) for name, z in (("student", student), ("teacher", teacher))]
    if logits[0].shape != logits[1].shape:
        raise InvalidInput(
            "student and teacher logits must have one shape [..., S], "
            f"got {list(logits[0].shape)} and {list(logits[1].shape)}"
        )
    logits = [widen(logits[0]), widen(logits[1].detach()).to(logits[0].device)]
    return compute_finite(compute, temperature > MAX_SINGLE_TEMPERATURE, *logits)


def divergence_of_subclasses(
    student: torch.Tensor, teacher: torch.Tensor, temperature: float
) -> torch.Tensor:
    """Return ``subclass_divergence`` of valid logits."""
    by_teacher, by_student = (log_softmax(z / temperature, -1) for z in (teacher.detach(), student))
    return temperature**2 * _divergence(by_teacher, by_student, temperature)


def divergence_of_classes(
    student: torch.Tensor,
    teacher: torch.Tensor,
    parents: tuple[int, ...],
    temperature: float,
    soften: str = "subclass",
) -> torch.Tensor:
    """Return the same over classes."""
    by_teacher, by_student = (
        log_class_probabilities(z, parents, temperature, soften)
        for z in (teacher.detach(), student)
    )
    return temperature**2 * _divergence(by_teacher, by_student, temperature)


def prior_correction(parents: Parents) -> torch.Tensor:
    """Return biases ``[S]`` with which all classes start at the same probability.

    They are −log K, where K is the number of subclasses in the class of the subclass.

    Example:
        >>> torch.softmax(class_logits(prior_correction([0, 0, 0, 1]), [0, 0, 0, 1]), -1)
        tensor([0.5000, 0.5000])
    """
    checked = torch.from_numpy(check_superclasses(parents))
    return -checked.bincount()[checked].float().log()


def log_class_probabilities(
    z: torch.Tensor, parents: tuple[int, ...], temperature: float, soften: str
) -> torch.Tensor:
    """Return the logarithms of softened class probabilities of valid logits."""
    if soften == "subclass":
        return sum_classes(log_softmax(z / temperature, -1), parents)
    return log_softmax(sum_classes(z, parents) / temperature, -1)


def _check_soften(value: Any) -> str:
    return check_choice("way to soften", value, SOFTEN_LEVELS)


def _divergence(teacher: torch.Tensor, student: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return the KL divergence of log probabilities, summed over the last axis.

    PyTorch's ``reduction="mean"`` would divide the gradient by S. Terms with the teacher's
    probability 0 are 0; those with the probability NaN are NaN. At high temperatures all log
    ratios e are nearly 0, and only p (exp e − 1 − e), which has the same sum, keeps its digits.
    """
    p, e = teacher.exp(), teacher - student
    terms = e if temperature <= MAX_SINGLE_TEMPERATURE else torch.expm1(-e) + e
    return torch.where(p == 0, 0.0, p * terms).sum(-1)


@lru_cache(maxsize=64)
def _groups(parents: tuple[int, ...]) -> tuple[torch.Tensor, bool]:
    """Return the subclasses of each class ``[C, most]``, padded with S, and whether there is
    padding."""
    checked = check_superclasses(parents)
    groups = [(checked == k).nonzero()[0] for k in range(checked.max() + 1)]
    filler, most = len(checked), max(map(len, groups))
    table = torch.tensor([[*group, *[filler] * (most - len(group))] for group in groups])
    return table, bool((table == filler).any())
