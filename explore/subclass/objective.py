"""The loss of several students at once, each with its own lesson: what a teacher says is softened once, before training.

``plain`` is the loss as it is written; what training uses is the same with its gradient by formula, without a graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import cross_entropy, log_softmax

from explore.subclass.config import Lesson
from explore.subclass.losses import class_logits, class_probabilities, wide


@dataclass(frozen=True)
class Taught:
    """One student's lesson with its numbers: λ and T."""

    lesson: Lesson
    distill_weight: float
    temperature: float


class Objective:
    """Sum over K students of what each minimises: λ T² KL of its level + (1 − λ) cross entropy of its hard labels.

    The divergence is taken as a cross entropy, whose gradient is the same, plus the teacher's negative entropy, a
    constant that was computed with the soft labels.

    Args:
        taught: what each of the K students is taught; students of one kind should stand side by side.
        parents: class of each subclass.
        soften: of class-level distillation; see ``class_probabilities``.
    """

    __name__ = "distillation"

    def __init__(
        self, taught: Sequence[Taught], parents: Sequence[int], soften: str = "subclass"
    ) -> None:
        self.parents, self.soften = tuple(parents), soften
        self._parents, self._classes = torch.tensor(self.parents), max(self.parents) + 1
        kinds = [(t.lesson.level if t.lesson.teacher else "", t.lesson.hard) for t in taught]
        self._groups: list[tuple[str, str, torch.Tensor, torch.Tensor, torch.Tensor]] = []
        for level, hard in dict.fromkeys(kinds):
            members = [k for k, kind in enumerate(kinds) if kind == (level, hard)]
            weight = torch.tensor([float(taught[k].distill_weight) for k in members])
            heat = torch.tensor([[float(taught[k].temperature)] for k in members])
            self._groups.append((level, hard, torch.tensor(members), weight, heat))

    def targets(
        self, labels: torch.Tensor, subclasses: torch.Tensor, teachers: torch.Tensor | None
    ) -> tuple[torch.Tensor, ...]:
        """What ``__call__`` takes besides logits: labels, subclasses, soft labels and their negative entropy.

        Args:
            labels, subclasses: ``[N, K]``.
            teachers: logits ``[N, K, S]``; None if nobody has a teacher.
        """
        n, students = labels.shape
        soft = torch.zeros(n, students, len(self.parents), device=labels.device)
        for level, _, members, _, heat in self._on(labels.device):
            if level and teachers is not None:
                z = teachers.index_select(1, members).float()
                found = [
                    self._softened(z[:, k], level, float(heat[k])) for k in range(len(members))
                ]
                soft[:, members, : found[0].shape[-1]] = torch.stack(found, 1)
        return labels, subclasses, soft, torch.special.xlogy(soft, soft).sum(-1)

    def _softened(self, z: torch.Tensor, level: str, temperature: float) -> torch.Tensor:
        if level == "subclass":
            return torch.softmax(z / temperature, -1)
        return class_probabilities(z, self.parents, temperature, self.soften)  # type: ignore[arg-type]

    def __call__(self, logits: torch.Tensor, *targets: torch.Tensor) -> torch.Tensor:
        """Sum over students of the means over the batch, of logits ``[B, K, S]``."""
        logits = wide(logits)
        if torch.isfinite(logits).all():
            return _ByFormula.apply(logits, self, *targets)  # type: ignore[no-any-return]
        return self.plain(logits, *targets)

    def plain(self, logits: torch.Tensor, *targets: torch.Tensor) -> torch.Tensor:
        """The same with its gradient by autograd; takes masks (−Inf) too."""
        labels, subclasses, soft, negative_entropy = targets
        total: Any = 0.0
        for level, hard, at, weight, heat in self._on(logits.device):
            z = logits.index_select(1, at)
            zeta = class_logits(z, self.parents)
            goal = (subclasses if hard == "subclass" else labels).index_select(1, at)
            hot = z if hard == "subclass" else zeta
            own = cross_entropy(hot.flatten(0, 1), goal.flatten(), reduction="none").view(
                goal.shape
            )
            if level:
                log = self._log(z, zeta, level, heat)
                q = soft.index_select(1, at)[..., : log.shape[-1]]
                said = torch.where(q > 0, q * log, 0.0).sum(
                    -1
                )  # what the teacher excludes counts 0, even of −Inf
                divergence = negative_entropy.index_select(1, at) - said
                own = (1 - weight) * own + weight * heat[:, 0].square() * divergence
            total = total + own.mean(0).sum()
        return total

    def by_formula(
        self, logits: torch.Tensor, *targets: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The loss, and its gradient ``[B, K, S]``; p, q and c are softmax(z), softmax(z / T) and its sums over classes:

        - hard, subclass: p_j − [j = s]; hard, class: p_j − [π(j) = y] p_j / p_y;
        - soft, subclass: λ T (q_j − q^t_j); soft, class: λ T (q_j − c^t_π(j) q_j / c_π(j)), and with the classes
          softened λ T (c_π(j) − c^t_π(j)) p_j / p_π(j).
        """
        labels, subclasses, soft, negative_entropy = targets
        total, gradient = logits.new_zeros(()), torch.empty_like(logits)
        parents = self._parents.to(logits.device)
        for level, hard, at, weight, heat in self._on(logits.device):
            alone = len(at) == logits.shape[1]
            z = logits if alone else logits.index_select(1, at)
            goal = subclasses if hard == "subclass" else labels
            goal = (goal if alone else goal.index_select(1, at))[..., None]
            if hard == "subclass":
                log = log_softmax(z, -1)
                own, slope = (
                    -log.gather(-1, goal)[..., 0],
                    log.exp().scatter_add(-1, goal, self._minus_one(goal)),
                )
            else:
                zeta = class_logits(z, self.parents)
                every, mine = zeta.logsumexp(-1, keepdim=True), zeta.gather(-1, goal)
                own = (every - mine)[..., 0]
                slope = (z - every).exp() - (z - mine).masked_fill(
                    parents != goal, -torch.inf
                ).exp()
            if level:
                q = soft if alone else soft.index_select(1, at)
                if level == "subclass":
                    log = log_softmax(z / heat, -1)
                    pull = log.exp() - q
                else:
                    q = q[..., : self._classes]
                    if self.soften == "subclass":
                        inner = log_softmax(z / heat, -1)
                        log = class_logits(inner, self.parents)
                        pull = inner.exp() - q[..., parents] * (inner - log[..., parents]).exp()
                    else:
                        zeta = class_logits(z, self.parents)
                        log = log_softmax(zeta / heat, -1)
                        pull = (log.exp() - q)[..., parents] * (z - zeta[..., parents]).exp()
                negative = negative_entropy if alone else negative_entropy.index_select(1, at)
                own = (1 - weight) * own + (weight * heat[:, 0].square()) * (
                    negative - (q * log).sum(-1)
                )
                slope = (1 - weight)[:, None] * slope + (weight[:, None] * heat) * pull
            total += own.sum() / len(logits)
            if alone:
                gradient = slope
            else:
                gradient.index_copy_(1, at, slope)
        return total, gradient.div_(len(logits))

    def _on(
        self, device: torch.device
    ) -> list[tuple[str, str, torch.Tensor, torch.Tensor, torch.Tensor]]:
        """Groups of students of one kind: level, hard labels, who they are, their λ ``[k]`` and T ``[k, 1]``."""
        if self._groups and self._groups[0][2].device != device:
            self._groups = [
                (level, hard, labels.to(device), weight.to(device), heat.to(device))
                for level, hard, labels, weight, heat in self._groups
            ]
        return self._groups

    def _minus_one(self, goal: torch.Tensor) -> torch.Tensor:
        return torch.full(goal.shape, -1.0, device=goal.device)

    def _log(
        self, z: torch.Tensor, zeta: torch.Tensor, level: str, heat: torch.Tensor
    ) -> torch.Tensor:
        """Logarithms of the students' softened probabilities."""
        if level == "class" and self.soften == "class":
            return log_softmax(zeta / heat, -1)
        log = log_softmax(z / heat, -1)
        return class_logits(log, self.parents) if level == "class" else log


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
