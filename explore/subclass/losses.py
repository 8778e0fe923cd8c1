"""Class logits from subclass logits, and the distillation losses for subclasses and for classes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal

import torch
from torch.nn.functional import cross_entropy, log_softmax

from explore.core.label_hierarchy import check_superclasses
from explore.core.validation import check_number
from explore.data._checks import INTEGER_DTYPES, describe_tensor
from explore.errors import InvalidInput, UnknownName

Parents = Sequence[int] | torch.Tensor | Any
Soften = Literal["subclass", "class"]


def class_logits(subclass_logits: torch.Tensor, parents: Parents) -> torch.Tensor:
    """Return class logits ζ_c = log Σ exp z_j, summed over the subclasses j of class c.

    So softmax(ζ) is the sum of softmax(z) over each class.

    Args:
        subclass_logits: ``[..., S]``; −Inf masks a subclass.
        parents: class of each subclass, ``[S]``, in any order; classes may have different sizes.

    Returns:
        ``[..., C]``.

    Raises:
        InvalidInput: see ``explore.core.label_hierarchy.check_superclasses``.

    Source: Müller, Kornblith, Hinton, arXiv 2002.03936; SKD (arXiv 2207.08063) in our reading.

    Example:
        >>> class_logits(torch.log(torch.tensor([1.0, 2.0, 3.0])), [0, 1, 0]).exp()
        tensor([4., 2.])
    """
    if not subclass_logits.is_floating_point():
        raise InvalidInput(f"logits must be floats, got {subclass_logits.dtype}")
    index, padded = _groups(_as_tuple(parents, subclass_logits.shape[-1]))
    masked = not bool(torch.isfinite(subclass_logits).all())
    if padded:  # classes with fewer subclasses are filled up with a column of −Inf
        column = subclass_logits.new_full((*subclass_logits.shape[:-1], 1), -torch.inf)
        subclass_logits = torch.cat([subclass_logits, column], -1)
    index = index.to(subclass_logits.device)
    members = subclass_logits.index_select(-1, index.flatten()).unflatten(-1, index.shape)
    if not masked:
        return members.logsumexp(-1)
    # logsumexp has no gradient for a class without any unmasked subclass.
    empty = torch.isneginf(members).all(-1, keepdim=True)
    return members.masked_fill(empty, 0.0).logsumexp(-1).masked_fill(empty.squeeze(-1), -torch.inf)


def class_probabilities(
    subclass_logits: torch.Tensor,
    parents: Parents,
    temperature: float = 1.0,
    soften: Soften = "subclass",
) -> torch.Tensor:
    """Return class probabilities ``[..., C]`` of subclass logits at a temperature.

    Both ways of softening agree at T = 1. At T = 4 they differ by up to 0.07 on random logits.

    Args:
        subclass_logits: ``[..., S]``.
        parents: class of each subclass.
        temperature: T > 0.
        soften: ``"subclass"`` sums softmax(z / T) over each class; ``"class"`` is softmax(ζ / T).
    """
    return _log_class_probabilities(subclass_logits, parents, temperature, soften).exp()


def subclass_distillation_loss(
    student: torch.Tensor,
    teacher: torch.Tensor,
    labels: torch.Tensor,
    parents: Parents,
    temperature: float = 4.0,
    distill_weight: float = 0.5,
) -> torch.Tensor:
    """Return the loss of subclass distillation (SKD).

    It is λ T² KL(q^t ‖ q^s) over subclasses + (1 − λ) cross entropy of the classes, both means over
    the batch.

    Args:
        student: subclass logits ``[B, S]``.
        teacher: subclass logits ``[B, S]``; they get no gradient.
        labels: classes ``[B]``.
        parents: class of each subclass, ``[S]``.
        temperature: T > 0, of the first term. The factor T² keeps the size of its gradient: for
            large T the term tends to a squared distance of logits.
        distill_weight: λ in [0, 1]. Other packages call λ or 1 − λ "alpha".

    Returns:
        A scalar, in nats.

    Raises:
        InvalidInput: shapes that do not fit, T ≤ 0, λ outside [0, 1], or labels out of range.

    Source: arXiv 2207.08063 and 2109.05587. Their equations were not legible: this form is our
    reading, with λ and T of the subclass-distillation notebook of Müller et al.

    Example:
        >>> z = torch.tensor([[2.0, 0.0, 1.0]])
        >>> labels, parents = torch.tensor([0]), [0, 0, 1]
        >>> float(subclass_distillation_loss(z, z + 5, labels, parents, distill_weight=1.0))
        0.0
    """
    labels = _check(student, teacher, labels, parents, temperature, distill_weight)
    student = widen(student)
    soft = subclass_divergence(student, teacher, temperature).mean()
    return distill_weight * soft + (1 - distill_weight) * cross_entropy(
        class_logits(student, parents), labels
    )


def class_distillation_loss(
    student: torch.Tensor,
    teacher: torch.Tensor,
    labels: torch.Tensor,
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
    labels = _check(student, teacher, labels, parents, temperature, distill_weight)
    student = widen(student)
    soft = class_divergence(student, teacher, parents, temperature, soften).mean()
    return distill_weight * soft + (1 - distill_weight) * cross_entropy(
        class_logits(student, parents), labels
    )


def auxiliary_loss(logits: torch.Tensor, temperature: float = 1.0) -> torch.Tensor:
    """Return the auxiliary loss of Müller et al., with which a teacher discovers subclasses.

    It is a contrastive loss that spreads the samples of a batch over the subclasses. The logits of
    each sample are standardised to v, R = v vᵀ / (T S), and the loss is the mean over i of
    log (1/B) Σ_j exp R_ij − 1/T. It lies between −log B and 0, and is 0 if all rows are equal.
    A row of equal logits counts as orthogonal to all others.

    Args:
        logits: ``[B, S]``.
        temperature: T > 0.

    Source: the notebook published with arXiv 2002.03936.

    Example:
        >>> float(auxiliary_loss(torch.tensor([[1.0, 0.0], [2.0, 0.0]]))) + 0.0
        0.0
    """
    check_number("temperature", temperature, above=0)
    if logits.ndim != 2 or not logits.numel():
        raise InvalidInput(f"logits must be [B, S] with B ≥ 1, got {list(logits.shape)}")
    logits = widen(logits)
    b, s = logits.shape
    centred = logits - logits.mean(-1, keepdim=True)
    v = centred / (centred.square().mean(-1, keepdim=True) + 1e-9).sqrt()
    r = v @ v.T / (temperature * s)
    return r.logsumexp(-1).mean() - 1 / temperature - torch.log(r.new_tensor(float(b)))


def subclass_divergence(
    student: torch.Tensor, teacher: torch.Tensor, temperature: float
) -> torch.Tensor:
    """Return T² KL(q^t ‖ q^s) over subclasses for each sample, ``[...]``, from two ``[..., S]``.

    The teacher gets no gradient.
    """
    check_number("temperature", temperature, above=0)
    logs = [log_softmax(widen(z) / temperature, -1) for z in (teacher.detach(), student)]
    return temperature**2 * _divergence(*logs)


def class_divergence(
    student: torch.Tensor,
    teacher: torch.Tensor,
    parents: Parents,
    temperature: float,
    soften: Soften = "subclass",
) -> torch.Tensor:
    """The same over classes."""
    logs = [
        _log_class_probabilities(z, parents, temperature, soften)
        for z in (widen(teacher.detach()), widen(student))
    ]
    return temperature**2 * _divergence(*logs)


def widen(z: torch.Tensor) -> torch.Tensor:
    """Return half precision as float32, which a softmax needs, and other types unchanged."""
    return z.float() if z.dtype in (torch.float16, torch.bfloat16) else z


def prior_correction(parents: Parents) -> torch.Tensor:
    """Return biases ``[S]`` with which all classes start at the same probability.

    They are −log K, where K is the number of subclasses in the class of the subclass.

    Example:
        >>> torch.softmax(class_logits(prior_correction([0, 0, 0, 1]), [0, 0, 0, 1]), -1)
        tensor([0.5000, 0.5000])
    """
    checked = torch.from_numpy(check_superclasses(parents))
    return -checked.bincount()[checked].float().log()


def _log_class_probabilities(
    z: torch.Tensor, parents: Parents, temperature: float, soften: Soften
) -> torch.Tensor:
    """Return the logarithms of softened class probabilities."""
    check_number("temperature", temperature, above=0)
    if soften == "subclass":
        return class_logits(log_softmax(z / temperature, -1), parents)
    if soften == "class":
        return log_softmax(class_logits(z, parents) / temperature, -1)
    raise UnknownName("way to soften", soften, ("subclass", "class"))


def _divergence(teacher: torch.Tensor, student: torch.Tensor) -> torch.Tensor:
    """Return the KL divergence of log probabilities, summed over the last axis.

    PyTorch's ``reduction="mean"`` would divide the gradient by S. Terms with the teacher's
    probability 0 are 0.
    """
    p = teacher.exp()
    return torch.where(p > 0, p * (teacher - student), 0.0).sum(-1)


def _check(
    student: torch.Tensor,
    teacher: torch.Tensor,
    labels: torch.Tensor,
    parents: Parents,
    temperature: float,
    weight: float,
) -> torch.Tensor:
    """Return the labels as int64, after all arguments were checked."""
    for name, value in (("student", student), ("teacher", teacher), ("labels", labels)):
        if not isinstance(value, torch.Tensor):
            raise InvalidInput(
                f"{name} must be a torch tensor (torch.as_tensor creates one), "
                f"got {type(value).__name__}"
            )
    if student.ndim != 2 or teacher.ndim != 2 or len(student) != len(teacher) or not len(student):
        raise InvalidInput(
            "student and teacher logits must be [B, S] with B ≥ 1, "
            f"got {list(student.shape)} and {list(teacher.shape)}"
        )
    if student.shape != teacher.shape:
        raise InvalidInput(
            f"the student has {student.shape[1]} subclasses, the teacher {teacher.shape[1]}; "
            "both need the same number"
        )
    last_class = max(_as_tuple(parents, student.shape[1]))
    check_number("temperature", temperature, above=0)
    check_number("distill_weight", weight, at_least=0, at_most=1)
    if labels.shape != (len(student),) or labels.dtype not in INTEGER_DTYPES:
        raise InvalidInput(
            f"labels must be integers [{len(student)}], got {describe_tensor(labels)}"
        )
    lowest, highest = int(labels.min()), int(labels.max())
    if not 0 <= lowest <= highest <= last_class:
        raise InvalidInput(f"labels must be 0..{last_class}, got {lowest}..{highest}")
    return labels.long()


def _as_tuple(parents: Parents, subclasses: int) -> tuple[int, ...]:
    return tuple(check_superclasses(parents, subclasses).tolist())


@lru_cache(maxsize=64)
def _groups(parents: tuple[int, ...]) -> tuple[torch.Tensor, bool]:
    """Return the subclasses of each class ``[C, most]``, padded with S, and whether there is
    padding."""
    checked = check_superclasses(parents)
    groups = [(checked == k).nonzero()[0] for k in range(checked.max() + 1)]
    filler, most = len(checked), max(map(len, groups))
    table = torch.tensor([[*group, *[filler] * (most - len(group))] for group in groups])
    return table, bool((table == filler).any())
