"""The loss of several students at once, each with its own lesson: what a teacher says is softened once, before training."""

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

    def __init__(self, taught: Sequence[Taught], parents: Sequence[int], soften: str = "subclass") -> None:
        self.parents, self.soften = tuple(parents), soften
        kinds = [(t.lesson.level if t.lesson.teacher else "", t.lesson.hard) for t in taught]
        self._groups: list[tuple[str, str, torch.Tensor, torch.Tensor, torch.Tensor]] = []
        for level, hard in dict.fromkeys(kinds):
            members = [k for k, kind in enumerate(kinds) if kind == (level, hard)]
            weight = torch.tensor([taught[k].distill_weight if level else 0.0 for k in members])
            heat = torch.tensor([taught[k].temperature for k in members])
            self._groups.append((level, hard, torch.tensor(members), weight, heat))

    def targets(self, labels: torch.Tensor, subclasses: torch.Tensor, teachers: torch.Tensor | None) -> tuple[torch.Tensor, ...]:
        """What ``__call__`` takes besides logits: labels, subclasses, soft labels and their negative entropy.

        Args:
            labels, subclasses: ``[N, K]``.
            teachers: logits ``[N, K, S]``; None if nobody has a teacher.
        """
        n, students = labels.shape
        soft = torch.zeros(n, students, len(self.parents), device=labels.device)
        for level, _, members, _, heat in self._groups:
            if level and teachers is not None:
                z, heat = teachers.index_select(1, members.to(labels.device)).float(), heat.to(labels.device)
                found = [self._softened(z[:, k], level, float(heat[k])) for k in range(len(members))]
                soft[:, members, : found[0].shape[-1]] = torch.stack(found, 1)
        return labels, subclasses, soft, torch.special.xlogy(soft, soft).sum(-1)

    def _softened(self, z: torch.Tensor, level: str, temperature: float) -> torch.Tensor:
        if level == "subclass":
            return torch.softmax(z / temperature, -1)
        return class_probabilities(z, self.parents, temperature, self.soften)  # type: ignore[arg-type]

    def __call__(self, logits: torch.Tensor, *targets: torch.Tensor) -> torch.Tensor:
        """Sum over students of the means over the batch, of logits ``[B, K, S]``."""
        labels, subclasses, soft, negative_entropy = targets
        logits = wide(logits)
        zeta = class_logits(logits, self.parents)
        total: Any = 0.0
        for level, hard, members, weight, heat in self._groups:
            at, weight, heat = (values.to(logits.device) for values in (members, weight, heat))
            z, goal = (logits, subclasses) if hard == "subclass" else (zeta, labels)
            z, goal = z.index_select(1, at), goal.index_select(1, at)
            own = cross_entropy(z.flatten(0, 1), goal.flatten(), reduction="none").view(goal.shape)
            if level:
                log = self._log(logits.index_select(1, at), zeta.index_select(1, at), level, heat[:, None])
                q = soft.index_select(1, at)[..., : log.shape[-1]]
                said = torch.where(q > 0, q * log, 0.0).sum(-1)  # what the teacher excludes counts 0, even of −Inf
                divergence = negative_entropy.index_select(1, at) - said
                own = (1 - weight) * own + weight * heat.square() * divergence
            total = total + own.mean(0).sum()
        return total

    def _log(self, z: torch.Tensor, zeta: torch.Tensor, level: str, heat: torch.Tensor) -> torch.Tensor:
        """Logarithms of the students' softened probabilities."""
        if level == "class" and self.soften == "class":
            return log_softmax(zeta / heat, -1)
        log = log_softmax(z / heat, -1)
        return class_logits(log, self.parents) if level == "class" else log
