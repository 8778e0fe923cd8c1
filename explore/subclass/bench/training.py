"""Benchmark of subclass distillation: the loop that a user would write against ours, and students one by one or all at once."""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy, kl_div

from explore.core.runs import stream_seed
from explore.models.convnet import ConvNet
from explore.models.mlp import MLP, MLPs, Several
from explore.models.training import Fit, logits_of
from explore.subclass.config import LESSONS
from explore.subclass.objective import Objective, Taught

T, WEIGHT, RATE, BATCH = 4.0, 0.5, 0.003, 64


def plain_loop(
    student: nn.Module,
    teacher: nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    parents: torch.Tensor,
    epochs: int,
    cached: torch.Tensor | None = None,
) -> None:
    """SKD as it is usually written: the teacher is asked in every step, unless its logits are ``cached``."""
    optimizer = torch.optim.Adam(student.parameters(), lr=RATE)
    classes = int(parents.max()) + 1
    for epoch in range(epochs):
        generator = torch.Generator().manual_seed(stream_seed(0, "batches", epoch))
        for chosen in torch.randperm(len(images), generator=generator).split(BATCH):
            x, y = images[chosen], labels[chosen]
            if cached is None:
                with torch.no_grad():
                    said = teacher(x)
            else:
                said = cached[chosen]
            logits = student(x)
            of_class = torch.stack(
                [logits[:, parents == k].logsumexp(1) for k in range(classes)], 1
            )
            soft = kl_div((logits / T).log_softmax(1), (said / T).softmax(1), reduction="batchmean")
            loss = WEIGHT * T * T * soft + (1 - WEIGHT) * cross_entropy(of_class, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def our_loop(
    network: nn.Module,
    said: torch.Tensor,
    images: torch.Tensor,
    labels: torch.Tensor,
    parents: Any,
    epochs: int,
) -> None:
    """The same by ``Fit`` and ``Objective``, for all students of ``network``; images ``[N, K, ...]``."""
    goal = Objective([Taught(LESSONS["skd"], WEIGHT, T)] * labels.shape[1], parents.tolist())
    targets = goal.targets(labels, torch.zeros_like(labels), said)
    options: dict[str, Any] = {
        "learning_rate": RATE,
        "optimizer": "adam",
        "schedule": "constant",
        "weight_decay": 0.0,
    }
    Fit(network, images, targets, loss=goal, epochs=epochs, batch=BATCH, **options).run()


def measure(
    students: int, labels: int, width: int, side: int, epochs: int, rounds: int
) -> dict[str, Any]:
    """Student steps a second by each form, in turn, ``rounds`` times after one that is not counted."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(labels, 1, side, side, generator=generator)
    parents = torch.arange(10) // 5
    y = torch.randint(0, 2, (labels,), generator=generator)
    teacher = ConvNet(1, 10, side, width=16, depth=2, norm="batch", pooling="max").eval()
    inputs, said = side * side, logits_of(teacher, images)
    each = (
        images[:, None].expand(-1, students, -1, -1, -1),
        y[:, None].expand(-1, students),
        said[:, None].expand(-1, students, -1),
    )
    ended: dict[str, torch.Tensor] = {}

    def alone(name: str, train: Callable[[nn.Module], None]) -> Callable[[], int]:
        def run() -> int:
            student = MLP(inputs, width, 10)
            train(student)
            ended[name] = torch.cat([p.detach().flatten() for p in student.parameters()])
            return 1

        return run

    def together() -> int:
        network = MLPs(inputs, width, 10, range(students))
        our_loop(network, each[2], each[0], each[1], parents, epochs)
        ended["explore, at once"] = torch.cat(
            [p[0].detach().flatten() for p in network.parameters()]
        )
        return students

    def one(student: nn.Module) -> None:
        our_loop(Several([student]), said[:, None], images[:, None], y[:, None], parents, epochs)

    forms: dict[str, Callable[[], int]] = {
        "plain, teacher in every step": alone(
            "plain", lambda s: plain_loop(s, teacher, images, y, parents, epochs)
        ),
        "plain, logits cached": alone(
            "cached", lambda s: plain_loop(s, teacher, images, y, parents, epochs, said)
        ),
        "explore, one student": alone("explore", one),
        f"explore, {students} students at once": together,
    }
    steps = epochs * -(-labels // BATCH)
    rates: dict[str, list[float]] = {name: [] for name in forms}
    for turn in range(rounds + 1):
        for name, form in forms.items():
            began = time.perf_counter()
            trained = form()
            if turn:
                rates[name].append(trained * steps / (time.perf_counter() - began))
    names = list(forms)

    def ratio(a: str, b: str) -> list[float]:
        found = sorted(x / y for x, y in zip(rates[a], rates[b], strict=True))
        return [statistics.median(found), found[0], found[-1]]

    return {
        "setting": f"{labels} images 1×{side}×{side}, batch {BATCH}, student {width} wide, teacher ConvNet 16 wide",
        "threads": torch.get_num_threads(),
        "processor": platform.processor() or platform.machine(),
        "steps_a_second": {name: statistics.median(found) for name, found in rates.items()},
        "one_over_plain": ratio(names[2], names[0]),
        "one_over_cached": ratio(names[2], names[1]),
        "together_over_plain": ratio(names[3], names[0]),
        "together_over_cached": ratio(names[3], names[1]),
        "largest_difference": max(
            float((ended[name] - ended["plain"]).abs().max()) for name in ended
        ),
    }


def main(arguments: list[str]) -> None:
    """``explore bench subclass``."""
    parser = argparse.ArgumentParser(prog="explore bench subclass", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="counted rounds")
    parser.add_argument("--students", type=int, default=25, help="how many are trained at once")
    parser.add_argument("--labels", type=int, default=200, help="labelled images")
    parser.add_argument("--width", type=int, default=16, help="of the students")
    parser.add_argument("--side", type=int, default=28, help="of the images, in pixels")
    parser.add_argument("--epochs", type=int, default=50, help="of each student")
    parser.add_argument("--json", type=Path, help="write all figures to this file too")
    given = parser.parse_args(arguments)
    found = measure(
        given.students, given.labels, given.width, given.side, given.epochs, given.rounds
    )
    lines = [
        f"{found['setting']}; {found['threads']} threads; medians of {given.rounds} rounds, interleaved",
        "student steps a second:",
    ]
    lines += [f"  {name:32} {rate:9,.0f}" for name, rate in found["steps_a_second"].items()]
    for what, key in (
        ("one student / plain", "one_over_plain"),
        ("one student / plain with cached logits", "one_over_cached"),
        (f"{given.students} at once / plain", "together_over_plain"),
        (f"{given.students} at once / plain with cached logits", "together_over_cached"),
    ):
        middle, low, high = found[key]
        lines.append(f"{what}: {middle:.1f} (from {low:.1f} to {high:.1f}, round by round)")
    lines.append(
        f"same students at the end: largest difference of a weight {found['largest_difference']:.1e}"
    )
    sys.stdout.write("\n".join(lines) + "\n")
    if given.json:
        given.json.write_text(json.dumps(found, indent=1))
