"""What a student is taught with: class logits from subclass logits, and the distillation losses on either level."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal

import torch
from torch.nn.functional import cross_entropy, log_softmax

from explore.core.label_hierarchy import check_parents
from explore.core.validation import check_number
from explore.errors import InvalidInput, UnknownName

Parents = Sequence[int] | torch.Tensor | Any
Soften = Literal["subclass", "class"]


def class_logits(subclass_logits: torch.Tensor, parents: Parents) -> torch.Tensor:
    """ζ_c = log Σ exp z_j over the subclasses j of class c, so that softmax(ζ) is the sum of softmax(z) over classes.

    Args:
        subclass_logits: ``[..., S]``; −Inf masks a subclass.
        parents: class of each subclass, ``[S]``; groups need be neither contiguous nor of one size.

    Returns:
        ``[..., C]``.

    Raises:
        InvalidInput: see ``explore.core.label_hierarchy.check_parents``.

    Source: Müller, Kornblith, Hinton, arXiv 2002.03936; SKD (arXiv 2207.08063) in our reading.

    Example:
        >>> class_logits(torch.log(torch.tensor([1.0, 2.0, 3.0])), [0, 1, 0]).exp()
        tensor([4., 2.])
    """
    if not subclass_logits.is_floating_point():
        raise InvalidInput(f"logits must be floats, got {subclass_logits.dtype}")
    index, padded = _groups(_tuple(parents, subclass_logits.shape[-1]))
    masked = not bool(torch.isfinite(subclass_logits).all())
    if padded:  # a column of −Inf fills the smaller groups up
        subclass_logits = torch.cat(
            [
                subclass_logits,
                subclass_logits.new_full((*subclass_logits.shape[:-1], 1), -torch.inf),
            ],
            -1,
        )
    index = index.to(subclass_logits.device)
    members = subclass_logits.index_select(-1, index.flatten()).unflatten(-1, index.shape)
    if not masked:
        return members.logsumexp(-1)
    gone = torch.isneginf(members).all(
        -1, keepdim=True
    )  # of a class that is masked whole logsumexp has no gradient
    return members.masked_fill(gone, 0.0).logsumexp(-1).masked_fill(gone.squeeze(-1), -torch.inf)


def class_probabilities(
    subclass_logits: torch.Tensor,
    parents: Parents,
    temperature: float = 1.0,
    soften: Soften = "subclass",
) -> torch.Tensor:
    """Class probabilities of a subclass network at a temperature, ``[..., C]``.

    At T = 1 both ways of softening are the same; else they differ, by up to 0.07 at T = 4 on random logits of ours.

    Args:
        subclass_logits: ``[..., S]``.
        parents: class of each subclass.
        temperature: T > 0.
        soften: ``"subclass"`` sums softmax(z / T) over each class; ``"class"`` is softmax(ζ / T).
    """
    return _class_log(subclass_logits, parents, temperature, soften).exp()


def subclass_distillation_loss(
    student: torch.Tensor,
    teacher: torch.Tensor,
    labels: torch.Tensor,
    parents: Parents,
    temperature: float = 4.0,
    distill_weight: float = 0.5,
) -> torch.Tensor:
    """SKD: λ T² KL(q^t ‖ q^s) over subclasses + (1 − λ) cross entropy of the classes, both means over the batch.

    Args:
        student: subclass logits ``[B, S]``.
        teacher: subclass logits ``[B, S]``; no gradient flows to it.
        labels: classes ``[B]``.
        parents: class of each subclass, ``[S]``.
        temperature: T > 0, of the first term. T² keeps its gradient from dying: T² KL tends to a squared distance of logits.
        distill_weight: λ in [0, 1]. (In other packages "alpha" means λ, or 1 − λ.)

    Returns:
        A scalar, in nats.

    Raises:
        InvalidInput: shapes that do not fit (teacher and student of different subclass counts, say), T ≤ 0, λ outside
            [0, 1], labels out of range.

    Source: arXiv 2207.08063 and 2109.05587. Their equations could not be read: this form is our reading, with λ and T of
    the subclass-distillation notebook of Müller et al.

    Example:
        >>> z = torch.tensor([[2.0, 0.0, 1.0]])
        >>> float(subclass_distillation_loss(z, z + 5, torch.tensor([0]), [0, 0, 1], distill_weight=1.0))
        0.0
    """
    labels = _check(student, teacher, labels, parents, temperature, distill_weight)
    student = wide(student)
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
    """Conventional knowledge distillation from the same networks: the divergence is over classes, all else as in SKD.

    With one subclass a class this and ``subclass_distillation_loss`` are the same.

    Args:
        student, teacher, labels, parents, temperature, distill_weight: as there.
        soften: how class probabilities are softened; see ``class_probabilities``.

    Source: Hinton, Vinyals, Dean, arXiv 1503.02531.
    """
    labels = _check(student, teacher, labels, parents, temperature, distill_weight)
    student = wide(student)
    soft = class_divergence(student, teacher, parents, temperature, soften).mean()
    return distill_weight * soft + (1 - distill_weight) * cross_entropy(
        class_logits(student, parents), labels
    )


def auxiliary_loss(logits: torch.Tensor, temperature: float = 1.0) -> torch.Tensor:
    """What makes a teacher find subclasses by itself: it spreads a batch out within the classes (Müller et al.).

    Each sample's logits are standardised (over S), R = v vᵀ / (T S), and the loss is the mean over i of
    log (1/B) Σ_j exp R_ij − 1/T: contrastive, each sample against the batch. Between −log B and 0, 0 if all rows agree;
    a row whose logits are all equal says nothing, and counts as standing across to every other.

    Args:
        logits: ``[B, S]``.
        temperature: T > 0.

    Source: the notebook beside arXiv 2002.03936.

    Example:
        >>> float(auxiliary_loss(torch.tensor([[1.0, 0.0], [2.0, 0.0]]))) + 0.0   # the same once standardised
        0.0
    """
    check_number("temperature", temperature, above=0)
    if logits.ndim != 2 or not logits.numel():
        raise InvalidInput(f"logits must be [B, S] with B ≥ 1, got {list(logits.shape)}")
    logits = wide(logits)
    b, s = logits.shape
    centred = logits - logits.mean(-1, keepdim=True)
    v = centred / (centred.square().mean(-1, keepdim=True) + 1e-9).sqrt()
    r = v @ v.T / (temperature * s)
    return r.logsumexp(-1).mean() - 1 / temperature - torch.log(r.new_tensor(float(b)))


def subclass_divergence(
    student: torch.Tensor, teacher: torch.Tensor, temperature: float
) -> torch.Tensor:
    """T² KL(q^t ‖ q^s) of each sample, over subclasses: ``[..., S]`` twice to ``[...]``; no gradient to the teacher."""
    check_number("temperature", temperature, above=0)
    logs = [log_softmax(wide(z) / temperature, -1) for z in (teacher.detach(), student)]
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
        _class_log(z, parents, temperature, soften) for z in (wide(teacher.detach()), wide(student))
    ]
    return temperature**2 * _divergence(*logs)


def wide(z: torch.Tensor) -> torch.Tensor:
    """Half precision as float32, for a softmax; anything wider as it is."""
    return z.float() if z.dtype in (torch.float16, torch.bfloat16) else z


def prior_correction(parents: Parents) -> torch.Tensor:
    """−log K of each subclass's class, ``[S]``: biases that start all *classes* alike where their sizes K differ.

    Example:
        >>> torch.softmax(class_logits(prior_correction([0, 0, 0, 1]), [0, 0, 0, 1]), -1)
        tensor([0.5000, 0.5000])
    """
    known = torch.from_numpy(check_parents(parents))
    return -known.bincount()[known].float().log()


def _class_log(
    z: torch.Tensor, parents: Parents, temperature: float, soften: Soften
) -> torch.Tensor:
    """Logarithms of softened class probabilities."""
    check_number("temperature", temperature, above=0)
    if soften == "subclass":
        return class_logits(log_softmax(z / temperature, -1), parents)
    if soften == "class":
        return log_softmax(class_logits(z, parents) / temperature, -1)
    raise UnknownName("way to soften", soften, ("subclass", "class"))


def _divergence(teacher: torch.Tensor, student: torch.Tensor) -> torch.Tensor:
    """KL of log probabilities; what the teacher excludes (−Inf) counts 0. Summed over the row: a mean over it too, as
    PyTorch's ``reduction="mean"`` takes, would divide the gradient by S.
    """
    p = teacher.exp()
    return torch.where(p > 0, p * (teacher - student), 0.0).sum(-1)


def _check(
    student: torch.Tensor,
    teacher: torch.Tensor,
    labels: torch.Tensor,
    parents: Parents,
    t: float,
    weight: float,
) -> torch.Tensor:
    """Refuse what does not fit; returns the labels as int64."""
    for name, value in (("student", student), ("teacher", teacher), ("labels", labels)):
        if not isinstance(value, torch.Tensor):
            raise InvalidInput(
                f"{name} must be a torch tensor (torch.as_tensor makes one), got {type(value).__name__}"
            )
    if student.ndim != 2 or teacher.ndim != 2 or len(student) != len(teacher) or not len(student):
        given = f"{list(student.shape)} and {list(teacher.shape)}"
        raise InvalidInput(f"student and teacher logits must be [B, S] with B ≥ 1, got {given}")
    if student.shape != teacher.shape:
        raise InvalidInput(
            f"the student has {student.shape[1]} subclasses, the teacher {teacher.shape[1]}; both need the same"
        )
    known = _tuple(parents, student.shape[1])
    check_number("temperature", t, above=0)
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight <= 1:
        raise InvalidInput(f"distill_weight must be in [0, 1], got {weight!r}")
    whole = (
        not labels.is_floating_point() and not labels.is_complex() and labels.dtype != torch.bool
    )
    if labels.shape != (len(student),) or not whole:
        raise InvalidInput(
            f"labels must be integers [{len(student)}], got {labels.dtype} {list(labels.shape)}"
        )
    if not 0 <= int(labels.min()) <= int(labels.max()) <= max(known):
        raise InvalidInput(
            f"labels must be 0..{max(known)}, got {int(labels.min())}..{int(labels.max())}"
        )
    return labels.long()


def _tuple(parents: Parents, subclasses: int) -> tuple[int, ...]:
    return tuple(check_parents(parents, subclasses).tolist())


@lru_cache(maxsize=64)
def _groups(parents: tuple[int, ...]) -> tuple[torch.Tensor, bool]:
    """Members of each class, ``[C, most]``, where S stands for "none"; and whether it does."""
    known = check_parents(parents)
    members = [(known == k).nonzero()[0] for k in range(known.max() + 1)]
    most = max(map(len, members))
    table = torch.tensor([[*group, *[len(known)] * (most - len(group))] for group in members])
    return table, bool((table == len(known)).any())
