"""Benchmark of subclass distillation: the usual loop, ``explore`` student by student, and all
students at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy, kl_div
from typer import Option

from explore.core import benchmark
from explore.core.runs import stream_seed
from explore.models.convnet import ConvNet
from explore.models.mlp import MLP, MLPs, Several
from explore.models.training import Fit, logits_of
from explore.subclass.config import TEACHING_SIGNALS
from explore.subclass.objective import Objective, StudentSettings

TEMPERATURE, DISTILL_WEIGHT, LEARNING_RATE, BATCH = 4.0, 0.5, 0.003, 64


def plain_loop(
    student: nn.Module,
    teacher: nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    superclasses: torch.Tensor,
    epochs: int,
    cached_logits: torch.Tensor | None = None,
) -> None:
    """Train a student by SKD as it is usually written.

    The teacher computes its logits in each step, unless they are cached.
    """
    optimizer = torch.optim.Adam(student.parameters(), lr=LEARNING_RATE)
    classes = int(superclasses.max()) + 1
    for epoch in range(epochs):
        generator = torch.Generator().manual_seed(stream_seed(0, "batches", epoch))
        for indices in torch.randperm(len(images), generator=generator).split(BATCH):
            x, y = images[indices], labels[indices]
            if cached_logits is None:
                with torch.no_grad():
                    teacher_logits = teacher(x)
            else:
                teacher_logits = cached_logits[indices]
            logits = student(x)
            class_logits = torch.stack(
                [logits[:, superclasses == k].logsumexp(1) for k in range(classes)], 1
            )
            divergence = kl_div(
                (logits / TEMPERATURE).log_softmax(1),
                (teacher_logits / TEMPERATURE).softmax(1),
                reduction="batchmean",
            )
            soft_loss = DISTILL_WEIGHT * TEMPERATURE * TEMPERATURE * divergence
            loss = soft_loss + (1 - DISTILL_WEIGHT) * cross_entropy(class_logits, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def explore_loop(
    network: nn.Module,
    teacher_logits: torch.Tensor,
    images: torch.Tensor,
    labels: torch.Tensor,
    superclasses: torch.Tensor,
    epochs: int,
) -> None:
    """Train all students of ``network`` in the same way by ``Fit`` and ``Objective``; images ``[N,
    K, ...]``."""
    lessons = [
        StudentSettings(TEACHING_SIGNALS["skd"], DISTILL_WEIGHT, TEMPERATURE)
    ] * labels.shape[1]
    objective = Objective(lessons, superclasses.tolist())
    targets = objective.targets(labels, torch.zeros_like(labels), teacher_logits)
    Fit(
        network,
        images,
        targets,
        loss=objective,
        epochs=epochs,
        batch=BATCH,
        learning_rate=LEARNING_RATE,
        optimizer="adam",
        schedule="constant",
        weight_decay=0.0,
    ).run()


def measure(
    students: int, labels: int, width: int, side: int, epochs: int, rounds: int
) -> dict[str, Any]:
    """Return the student steps per second of each candidate, and compare the trained weights."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(labels, 1, side, side, generator=generator)
    superclasses = torch.arange(10) // 5
    y = torch.randint(0, 2, (labels,), generator=generator)
    teacher = ConvNet(1, 10, side, width=16, depth=2, norm="batch", pooling="max").eval()
    teacher_logits = logits_of(teacher, images)

    def plain(cached_logits: torch.Tensor | None = None) -> torch.Tensor:
        student = MLP(side * side, width, 10)
        plain_loop(student, teacher, images, y, superclasses, epochs, cached_logits)
        return torch.cat([p.detach().flatten() for p in student.parameters()])

    def fit_students(network: nn.Module, count: int) -> None:
        logits, x, classes = (
            tensor[:, None].expand(-1, count, *tensor.shape[1:])
            for tensor in (teacher_logits, images, y)
        )
        explore_loop(network, logits, x, classes, superclasses, epochs)

    def one_student() -> torch.Tensor:
        student = MLP(side * side, width, 10)
        fit_students(Several([student]), 1)
        return torch.cat([p.detach().flatten() for p in student.parameters()])

    def all_students() -> torch.Tensor:
        network = MLPs(side * side, width, 10, range(students))
        fit_students(network, students)
        return torch.cat([p[0].detach().flatten() for p in network.parameters()])

    candidates: dict[str, Callable[[], torch.Tensor]] = {
        "plain, teacher in every step": plain,
        "plain, logits cached": lambda: plain(teacher_logits),
        "explore, one student": one_student,
        f"explore, {students} students at once": all_students,
    }
    weights = [train() for train in candidates.values()]  # This round is not timed.
    seconds = benchmark.time_rounds(candidates, rounds)
    steps = epochs * -(-labels // BATCH)
    counts = dict.fromkeys(candidates, 1) | {f"explore, {students} students at once": students}
    rates = {
        name: [counts[name] * steps / time for time in times] for name, times in seconds.items()
    }
    usual, cached, one, together = rates.values()
    return {
        "setting": f"{labels} images 1×{side}×{side}, batch {BATCH}, student {width} wide, "
        "teacher ConvNet 16 wide",
        "steps_a_second": benchmark.medians(rates),
        "one_over_plain": benchmark.Ratio.of(one, usual),
        "one_over_cached": benchmark.Ratio.of(one, cached),
        "together_over_plain": benchmark.Ratio.of(together, usual),
        "together_over_cached": benchmark.Ratio.of(together, cached),
        "largest_difference": max(float((w - weights[0]).abs().max()) for w in weights),
    }


@benchmark.command("subclass")
def main(
    rounds: benchmark.Rounds = 5,
    students: Annotated[int, Option(help="Students that are trained at once.")] = 25,
    labels: Annotated[int, Option(help="Number of labelled images.")] = 200,
    width: Annotated[int, Option(help="Hidden units of each student.")] = 16,
    side: Annotated[int, Option(help="Side of the images, in pixels.")] = 28,
    epochs: Annotated[int, Option(help="Epochs of training of each student.")] = 50,
    json_file: benchmark.JsonFile = None,
) -> None:
    """Time subclass distillation: the usual loop, explore student by student, and all students at
    once."""
    values = measure(students, labels, width, side, epochs, rounds)
    lines = [
        f"{values['setting']}; {torch.get_num_threads()} threads; "
        f"medians of {rounds} rounds, interleaved",
        "student steps a second:",
        *(f"  {name:32} {rate:9,.0f}" for name, rate in values["steps_a_second"].items()),
        f"one student / plain: {values['one_over_plain']:.1f}",
        f"one student / plain with cached logits: {values['one_over_cached']:.1f}",
        f"{students} at once / plain: {values['together_over_plain']:.1f}",
        f"{students} at once / plain with cached logits: {values['together_over_cached']:.1f}",
        "same students at the end: largest difference of a weight "
        f"{values['largest_difference']:.1e}",
    ]
    benchmark.report(lines, values, json_file)
