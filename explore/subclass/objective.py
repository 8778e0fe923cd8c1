"""The loss of several students at once, each with its own teaching signal.

Soft labels are computed once, before the training. ``Objective.plain`` is the definition of the
loss. Training uses ``Objective.by_formula``: the same values, with the gradient by formula.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch.nn.functional import cross_entropy, log_softmax

from explore.subclass._loss_input import MAX_SINGLE_TEMPERATURE, widen
from explore.subclass.config import TeachingSignal
from explore.subclass.losses import log_class_probabilities, sum_classes


@dataclass(frozen=True)
class StudentSettings:
    """The loss of one student: its teaching signal, λ and T."""

    signal: TeachingSignal
    distill_weight: float
    temperature: float


class _Group(NamedTuple):
    """Students with the same kind of loss."""

    level: str  # of the soft labels; empty without a teacher
    hard_labels: str
    members: torch.Tensor  # indices of the students
    weight: torch.Tensor  # λ, [k]
    temperature: torch.Tensor  # [k, 1]; float64 where T² would magnify the rounding of float32

    @property
    def dtype(self) -> torch.dtype:
        """The type in which the soft term is computed."""
        return self.temperature.dtype

    def to(self, device: torch.device) -> _Group:
        return _Group(*self[:2], *(tensor.to(device) for tensor in self[2:]))


class Objective:
    """The sum of the losses of K students.

    The loss of one is λ T² KL (soft labels) + (1 − λ) cross entropy (hard labels).

    The divergence is computed as a cross entropy, which has the same gradient, plus the negative
    entropy of the teacher's labels, a constant that is computed with the soft labels.

    Args:
        students: settings of the K students; it is faster if those of one kind are neighbours.
        parents: class of each subclass.
        soften: for soft labels of classes; see ``class_probabilities``.
    """

    __name__ = "distillation"

    def __init__(
        self,
        students: Sequence[StudentSettings],
        parents: Sequence[int],
        soften: str = "subclass",
    ) -> None:
        self.parents, self.soften = tuple(parents), soften
        self._parents, self._classes = torch.tensor(self.parents), max(self.parents) + 1
        signals = [student.signal for student in students]
        kinds = [(s.level if s.teacher else "", s.hard_labels) for s in signals]
        self._groups: list[_Group] = []
        for kind in dict.fromkeys(kinds):
            members = [k for k in range(len(kinds)) if kinds[k] == kind]
            weight = torch.tensor([float(students[k].distill_weight) for k in members])
            temperature = torch.tensor([[float(students[k].temperature)] for k in members])
            is_extreme = bool(kind[0]) and float(temperature.max()) > MAX_SINGLE_TEMPERATURE
            temperature = temperature.double() if is_extreme else temperature
            self._groups.append(_Group(*kind, torch.tensor(members), weight, temperature))

    def targets(
        self, labels: torch.Tensor, subclasses: torch.Tensor, teachers: torch.Tensor | None
    ) -> tuple[torch.Tensor, ...]:
        """Return labels, subclasses, soft labels and their negative entropy, for ``__call__``.

        Args:
            labels, subclasses: ``[N, K]``.
            teachers: logits ``[N, K, S]``; None if no student has a teacher.
        """
        n, students = labels.shape
        groups = self._groups_on(labels.device)
        is_extreme = any(group.dtype == torch.float64 for group in groups)
        dtype = torch.float64 if is_extreme else torch.float32
        soft = torch.zeros(n, students, len(self.parents), dtype=dtype, device=labels.device)
        for level, _, members, _, temperature in groups:
            if level and teachers is not None:
                z = teachers.index_select(1, members).to(temperature.dtype)
                parts = [
                    self._soften(z[:, k], level, float(temperature[k])) for k in range(len(members))
                ]
                soft[:, members, : parts[0].shape[-1]] = torch.stack(parts, 1).to(dtype)
        return labels, subclasses, soft, torch.special.xlogy(soft, soft).sum(-1)

    def _soften(self, z: torch.Tensor, level: str, temperature: float) -> torch.Tensor:
        if level == "subclass":
            return torch.softmax(z / temperature, -1)
        return log_class_probabilities(z, self.parents, temperature, self.soften).exp()

    def __call__(self, logits: torch.Tensor, *targets: torch.Tensor) -> torch.Tensor:
        """Return the sum over students of the mean over the batch, for logits ``[B, K, S]``."""
        logits = widen(logits)
        if torch.isfinite(logits).all():
            return _ByFormula.apply(logits, self, *targets)  # type: ignore[no-any-return]
        return self.plain(logits, *targets)

    def plain(self, logits: torch.Tensor, *targets: torch.Tensor) -> torch.Tensor:
        """Return the same with its gradient by autograd. Masked logits (−Inf) are allowed."""
        labels, subclasses, soft, negative_entropy = targets
        total: Any = 0.0
        for level, hard, members, weight, temperature in self._groups_on(logits.device):
            z = logits.index_select(1, members)
            zeta = sum_classes(z, self.parents)
            is_subclass = hard == "subclass"
            target = (subclasses if is_subclass else labels).index_select(1, members)
            flat = (z if is_subclass else zeta).flatten(0, 1)
            loss = cross_entropy(flat, target.flatten(), reduction="none").view(target.shape)
            if level:
                dtype = temperature.dtype
                log = self._log_probabilities(z.to(dtype), zeta.to(dtype), level, temperature)
                q = soft.index_select(1, members)[..., : log.shape[-1]].to(dtype)
                # Where the teacher's probability is 0, the term is 0, also for log = −Inf.
                expected = torch.where(q == 0, 0.0, q * log).sum(-1)
                divergence = negative_entropy.index_select(1, members) - expected
                loss = (1 - weight) * loss + weight * temperature[:, 0].square() * divergence
            total = total + loss.mean(0).sum()
        return total

    def by_formula(
        self, logits: torch.Tensor, *targets: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the loss and its gradient ``[B, K, S]``.

        With p = softmax(z), q = softmax(z / T), c the sums of q over classes, the gradient is

        - hard, subclass: p_j − [j = s]; hard, class: p_j − [π(j) = y] p_j / p_y;
        - soft, subclass: λ T (q_j − q^t_j); soft, class: λ T (q_j − c^t_π(j) q_j / c_π(j)), and
          with softened class logits λ T (c_π(j) − c^t_π(j)) p_j / p_π(j).
        """
        labels, subclasses, soft, negative_entropy = targets
        total, gradient = logits.new_zeros(()), torch.empty_like(logits)
        parents = self._parents.to(logits.device)
        for level, hard, members, weight, temperature in self._groups_on(logits.device):
            is_single = len(members) == logits.shape[1]  # one group: nothing has to be copied
            z = logits if is_single else logits.index_select(1, members)
            target = subclasses if hard == "subclass" else labels
            target = (target if is_single else target.index_select(1, members))[..., None]
            if hard == "subclass":
                log = log_softmax(z, -1)
                loss = -log.gather(-1, target)[..., 0]
                minus_one = torch.full(target.shape, -1.0, device=target.device)
                slope = log.exp().scatter_add(-1, target, minus_one)
            else:
                zeta = sum_classes(z, self.parents)
                norm, correct = zeta.logsumexp(-1, keepdim=True), zeta.gather(-1, target)
                loss = (norm - correct)[..., 0]
                within = (z - correct).masked_fill(parents != target, -torch.inf)
                slope = (z - norm).exp() - within.exp()
            if level:
                q = (soft if is_single else soft.index_select(1, members)).to(temperature.dtype)
                z = z.to(temperature.dtype)
                if level == "subclass":
                    log = log_softmax(z / temperature, -1)
                    soft_slope = log.exp() - q
                else:
                    q = q[..., : self._classes]
                    if self.soften == "subclass":
                        inner = log_softmax(z / temperature, -1)
                        log = sum_classes(inner, self.parents)
                        ratio = (inner - log[..., parents]).exp()
                        soft_slope = inner.exp() - q[..., parents] * ratio
                    else:
                        zeta = sum_classes(z, self.parents)
                        log = log_softmax(zeta / temperature, -1)
                        ratio = (z - zeta[..., parents]).exp()
                        soft_slope = (log.exp() - q)[..., parents] * ratio
                negative = (
                    negative_entropy if is_single else negative_entropy.index_select(1, members)
                )
                divergence = negative - (q * log).sum(-1)
                loss = (1 - weight) * loss + (weight * temperature[:, 0].square()) * divergence
                slope = (1 - weight)[:, None] * slope + (weight[:, None] * temperature) * soft_slope
            total += loss.sum() / len(logits)
            slope = slope.to(logits.dtype)
            if is_single:
                gradient = slope
            else:
                gradient.index_copy_(1, members, slope)
        return total, gradient.div_(len(logits))

    def _groups_on(self, device: torch.device) -> list[_Group]:
        if self._groups and self._groups[0].members.device != device:
            self._groups = [group.to(device) for group in self._groups]
        return self._groups

    def _log_probabilities(
        self, z: torch.Tensor, zeta: torch.Tensor, level: str, temperature: torch.Tensor
    ) -> torch.Tensor:
        """Return the logarithms of the students' softened probabilities."""
        if level == "class" and self.soften == "class":
            return log_softmax(zeta / temperature, -1)
        log = log_softmax(z / temperature, -1)
        return sum_classes(log, self.parents) if level == "class" else log


class _ByFormula(torch.autograd.Function):
    """``Objective.by_formula`` for autograd."""

    @staticmethod
    def forward(
        ctx: Any, logits: torch.Tensor, objective: Objective, *targets: torch.Tensor
    ) -> torch.Tensor:
        total, gradient = objective.by_formula(logits, *targets)
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    def backward(ctx: Any, outer: torch.Tensor) -> Any:
        (gradient,) = ctx.saved_tensors
        return gradient * outer, None, None, None, None, None
