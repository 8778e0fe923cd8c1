"""Where trajectory matching starts: its images, its soft labels and the student's rate."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import torch

from explore.core.runs import stream_seed
from explore.data.training_data import TrainingData
from explore.distill.initial_images import initial_images
from explore.distill.trajectories.config import TrajectoryConfig
from explore.distill.trajectories.expert_trajectories import ExpertTrajectories
from explore.distill.trajectories.gradient import FlatNetwork
from explore.errors import ExploreWarning, InvalidInput

CANDIDATES = 4
"""Real images that are tried for each synthetic image."""

SMALLEST_PROBABILITY = 1e-6
"""Given soft labels of zero become logits of this probability."""


class ExpertLabels:
    """Logits of all experts after their last epoch.

    Source: DATM (arXiv 2310.05773) and the code of EDF: a real image is used if an expert
    classifies it correctly, and its label is the mean of the logits of those that do. Where no
    expert does, the released code divides by zero; here it is the mean of all experts.
    """

    def __init__(self, experts: ExpertTrajectories, source: TrainingData) -> None:
        self._network = FlatNetwork(experts.network().to(source.device))
        self._parameters = experts.parameters[:, -1].to(source.device)
        self._source = source

    @torch.no_grad()
    def logits(
        self, images: torch.Tensor, labels: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the mean logits ``[N, K]``, and how many experts are correct ``[N]``."""
        every = torch.stack([self._network.logits(p, images) for p in self._parameters])
        correct = every.argmax(2) == labels
        weight = correct | ~correct.any(0)
        mean = (every * weight[:, :, None]).sum(0) / weight.sum(0)[:, None]
        return mean, correct.sum(0)

    def select(self, count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return real images that an expert classifies correctly, class by class, and their logits.

        Where a class has too few of them, others fill up, with a warning.
        """
        images, logits, lacking = [], [], 0
        for label, members in enumerate(self._source.members):
            generator = torch.Generator().manual_seed(stream_seed(seed, "init", label))
            order = torch.randperm(len(members), generator=generator)
            rows = members[order[: max(CANDIDATES * count, CANDIDATES)].numpy()]
            batch = self._source.batch(rows)
            target = torch.full((len(rows),), label, device=batch.device)
            mean, correct = self.logits(batch, target)
            chosen = (correct == 0).long().argsort(stable=True)[:count]  # the correct ones first
            lacking += int((correct[chosen] == 0).sum())
            images.append(batch[chosen])
            logits.append(mean[chosen])
        if lacking:
            text = (
                f"{lacking} of the images to start from are classified correctly by no expert; "
                "their soft labels are the mean of all experts"
            )
            warnings.warn(text, ExploreWarning, stacklevel=5)
        return torch.cat(images), torch.cat(logits)

    def of_classes(self, count: int, seed: int) -> torch.Tensor:
        """Return the mean logits of some real images of each class, for ``count`` images each."""
        rows = self._source.sample(CANDIDATES, stream_seed(seed, "init"))
        labels = self._source.labels[rows].to(self._source.device)
        logits, _ = self.logits(self._source.batch(rows), labels)
        means = [logits[labels == label].mean(0) for label in range(self._source.classes)]
        return torch.stack(means).repeat_interleave(count, 0)


def to_logits(probabilities: torch.Tensor) -> torch.Tensor:
    """Return logits whose softmax are the probabilities."""
    return probabilities.clamp(min=SMALLEST_PROBABILITY).log()


@dataclass(frozen=True)
class StartingPoint:
    """Where a run starts.

    Attributes:
        learned: "images" ``[N, C, H, W]``, "rate" and, with a label rate, "labels", the logits of
            soft labels ``[N, K]``.
        fixed_logits: of soft labels that are not learned, those of the user's own set; else None.
        description: what the configuration of the run says of its images.
    """

    learned: dict[str, torch.Tensor]
    fixed_logits: torch.Tensor | None
    description: Any


def _rate_tensor(rate: float, device: torch.device) -> torch.Tensor:
    tensor = torch.tensor(rate, dtype=torch.float32, device=device)
    if not 0 < float(tensor) < math.inf:
        raise InvalidInput(
            f"student_rate {rate:g} is no positive number in float32; choose another"
        )
    return tensor


def starting_point(
    options: TrajectoryConfig, source: TrainingData, experts: ExpertTrajectories
) -> StartingPoint:
    """Return where a run starts.

    With a label rate, real images are those that an expert classifies correctly, and soft labels
    are the experts'. A set of the user's own brings its soft labels and its learning rate along.

    Raises:
        InvalidInput, DataMissing, RecordingDamaged: see ``initial_images``.
    """
    count, seed, rate = options.images_per_class, options.seed, options.student_rate
    labels = torch.arange(source.classes, device=source.device).repeat_interleave(count)
    logits, distilled, description = None, None, options.init
    if options.label_rate and isinstance(options.init, str) and options.init == "real":
        images, logits = ExpertLabels(experts, source).select(count, seed)
    else:
        start = initial_images(options.init, source, count, stream_seed(seed, "init"))
        images, distilled, description = start.images, start.distilled, start.description
        if distilled is not None:
            rate = distilled.learning_rate or rate
        if distilled is not None and distilled.soft:
            logits = to_logits(distilled.labels).to(source.device)
        elif options.label_rate and description == "noise":
            logits = ExpertLabels(experts, source).of_classes(count, seed)
        elif options.label_rate:
            logits, _ = ExpertLabels(experts, source).logits(images, labels)
    learned = {"images": images, "rate": _rate_tensor(rate, source.device)}
    if options.label_rate and logits is not None:
        return StartingPoint({**learned, "labels": logits}, None, description)
    return StartingPoint(learned, logits, description)
