"""Benchmark of the gradient of trajectory matching: unrolled graph, adjoint and TESLA's sum.

explore bench trajectories
"""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
from typer import Option

from explore.core import benchmark
from explore.core.runs import stream_seed
from explore.core.validation import check_whole_number
from explore.distill.figures.gradient_costs import GradientCosts, gradient_costs
from explore.distill.trajectories.config import GRADIENT_KINDS
from explore.distill.trajectories.gradient import (
    FlatNetwork,
    Student,
    TrajectoryGradient,
    flatten_parameters,
    trajectory_gradient,
)
from explore.distill.trajectories.loss import common_pattern_dropout
from explore.models.convnet import ConvNet
from explore.plotting.export import save

CLASS_COUNT, SIDE, BATCH, RATE = 10, 32, 64, 0.02

PEAK_CODE = """
import json, sys
from explore.distill.bench.trajectories import problem, solve

def kilobytes(name):
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))

width, steps, kind = json.loads(sys.argv[1])
solve(*problem(width, 1), kind)
case = problem(width, steps)
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")  # the peak is now the present size
before = kilobytes("VmRSS")
solve(*case, kind)
print(kilobytes("VmHWM") - before)
"""
"""Prints how far a student of N steps raises the memory of a process, in kB (Linux only)."""


def problem(width: int, steps: int) -> tuple[FlatNetwork, torch.Tensor, torch.Tensor, Student]:
    """Return a network, an expert's start and target, and a student with random images."""
    generator = torch.Generator().manual_seed(stream_seed(0, "batches"))
    network = ConvNet(3, CLASS_COUNT, SIDE, width=width)
    start = flatten_parameters(network)
    target = start + 0.01 * torch.randn(start.shape, generator=generator)
    images = torch.randn(BATCH, 3, SIDE, SIDE, generator=generator)
    logits = torch.randn(BATCH, CLASS_COUNT, generator=generator)
    student = Student(images, logits, torch.tensor(RATE), [torch.arange(BATCH)] * steps)
    return FlatNetwork(network), start, target, student


def solve(
    network: FlatNetwork, start: torch.Tensor, target: torch.Tensor, student: Student, kind: str
) -> TrajectoryGradient:
    """Return the gradient of MTT's loss."""
    return trajectory_gradient(
        network, start, student, lambda end: common_pattern_dropout(end, target, start), kind
    )


def peak_megabytes(width: int, steps: int, kind: str) -> float:
    """Return how far N steps raise the memory of a process that has taken one step.

    It is NaN where the operating system does not count it (only Linux does).
    """
    if not sys.platform.startswith("linux"):
        return float("nan")
    arguments = [sys.executable, "-c", PEAK_CODE, json.dumps([width, steps, kind])]
    output = subprocess.run(arguments, check=True, capture_output=True, text=True).stdout
    return float(output) / 1024


def deviation(gradient: TrajectoryGradient, exact: TrajectoryGradient) -> float:
    """Return the distance of two gradients of the images, relative to the second one."""
    return float((gradient.images - exact.images).norm() / exact.images.norm())


def reference(case: tuple[FlatNetwork, torch.Tensor, torch.Tensor, Student], width: int) -> Any:
    """Return the gradient of the same problem in float64, by the adjoint."""
    _, start, target, student = case
    network = FlatNetwork(ConvNet(3, CLASS_COUNT, SIDE, width=width).double())
    exact = student._replace(
        images=student.images.double(), labels=student.labels.double(), rate=student.rate.double()
    )
    return solve(network, start.double(), target.double(), exact, "adjoint")


@benchmark.command("trajectories")
def main(
    width: Annotated[int, Option(help="Channels of the ConvNet.")] = 16,
    steps: Annotated[str, Option(help="Numbers of student steps.")] = "5,10,20,40",
    rounds: benchmark.Rounds = 3,
    figure: Annotated[
        Path | None,
        Option(metavar="FILE", help="Draw the values over steps: .png, .svg, .pdf or .csv."),
    ] = None,
    json_file: benchmark.JsonFile = None,
) -> None:
    """Time the gradient of trajectory matching, and measure its memory and its deviation."""
    check_whole_number("width", width, 1)
    lines = [
        f"ConvNet-D3, {width} wide, 3×{SIDE}×{SIDE}, {BATCH} images a step; medians of {rounds} "
        "rounds, interleaved; deviation from the gradient in float64",
        f"  {'steps':>5}  {'kind':8} {'seconds':>8} {'added memory':>13} {'deviation':>10}",
    ]
    counts = [int(text) for text in steps.split(",")]
    measures: dict[str, dict[str, list[float]]] = {
        kind: {"seconds": [], "memory": [], "deviation": []} for kind in GRADIENT_KINDS
    }
    ratios = {}
    for count in counts:
        case = problem(width, count)
        exact = reference(case, width)
        candidates = {kind: partial(solve, *case, kind) for kind in GRADIENT_KINDS}
        seconds = benchmark.time_rounds(candidates, rounds, pause=benchmark.PAUSE)
        for kind, median in benchmark.medians(seconds).items():
            peak = peak_megabytes(width, count, kind)
            error = deviation(solve(*case, kind), exact)
            lines.append(f"  {count:>5}  {kind:8} {median:8.3f} {peak:10.0f} MB {error:10.1e}")
            for name, value in (("seconds", median), ("memory", peak), ("deviation", error)):
                measures[kind][name].append(value)
        ratios[count] = benchmark.Ratio.of(seconds["adjoint"], seconds["unroll"])
        lines.append(f"         adjoint / unroll: {ratios[count]:.2f}")
    benchmark.report(lines, {"steps": counts, "measures": measures}, json_file)
    if figure:
        data = gradient_costs(counts, measures)
        sys.stdout.write(f"wrote {save(GradientCosts(data), data, figure)}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
