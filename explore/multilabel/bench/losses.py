"""Benchmark of the losses of KMCL and ProbMCL: a loop over anchors, memory, and cost by size.

explore bench multilabel
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any

import numpy as np
import torch
from typer import Option

from explore.core import benchmark
from explore.errors import InvalidInput
from explore.multilabel.bench.inputs import (
    generate_density_mixture,
    generate_kernel_mixture,
    generate_labels,
)
from explore.multilabel.bench.memory import measure_memory
from explore.multilabel.bench.reference import looped_kmcl_loss
from explore.multilabel.kernel_mixture import KernelMixture
from explore.multilabel.kmcl import kmcl_loss
from explore.multilabel.probmcl import probmcl_loss

BATCHES, LABELS = (32, 64, 128, 256), (10, 20, 40, 80)

QUICK_BATCHES, QUICK_LABELS = (4, 8), (5, 10)

SHORT_CALLS = 5
"""Calls of the short candidate in each round, whose median is taken."""

SWEEP_ROUNDS = 3
"""Rounds of the costs by size at most."""

SWEEP_BUDGET = 0.1
"""Seconds for more calls of each size in each round, so that a stall does not decide a median."""

TOLERANCE = 1e-5
"""Relative difference at most between the loss and the loop, in double precision."""


def check_same_loss(mixture: KernelMixture, labels: torch.Tensor) -> float:
    """Return the relative difference between ``kmcl_loss`` and the loop, in double precision.

    Raises:
        InvalidInput: they differ by more than ``TOLERANCE``.
    """
    mixture = KernelMixture(*(values.detach().double() for values in mixture))
    with torch.no_grad():
        total = float(kmcl_loss(mixture, labels)["total"])
        looped = float(looped_kmcl_loss(mixture, labels.double(), loops_over_pairs=False))
    difference = abs(total - looped) / abs(looped)
    if not difference <= TOLERANCE:
        raise InvalidInput(f"the loss is {total}, that of the loop over anchors {looped}")
    return difference


def compare_with_loops(batch: int, labels: int, width: int, rounds: int) -> dict[str, Any]:
    """Return the seconds of a forward and backward pass of the loss and of both loops."""
    mixture, values = generate_kernel_mixture(batch, labels, width), generate_labels(batch, labels)
    difference = check_same_loss(mixture, values)
    candidates: dict[str, Callable[[], Any]] = {
        "explore": lambda: kmcl_loss(mixture, values)["total"].backward(),
        "loop over anchors": lambda: looped_kmcl_loss(
            mixture, values, loops_over_pairs=False
        ).backward(),
        "loop over anchors, positives and labels": lambda: looped_kmcl_loss(
            mixture, values
        ).backward(),
    }
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    candidates["explore"]()
    for _ in range(rounds):
        for name, candidate in candidates.items():
            calls = SHORT_CALLS if name == "explore" else 1
            times = benchmark.time_rounds({name: candidate}, pause=benchmark.PAUSE, calls=calls)
            seconds[name].append(benchmark.medians(times)[name])
    explore, anchors, pairs = seconds.values()
    return {
        "seconds": benchmark.medians(seconds),
        "ratio": benchmark.Ratio.of(pairs, explore),
        "ratio_to_loop_over_anchors": benchmark.Ratio.of(anchors, explore),
        "labels_of_a_sample": float(values.sum(1).mean()),
        "difference": difference,
    }


def time_sizes(
    step: Callable[[int, int], Callable[[], Any]],
    sizes: Mapping[int, tuple[int, int]],
    rounds: int,
) -> dict[str, Any]:
    """Return the seconds of each size and the fitted exponent.

    Args:
        step: returns the function that is timed, for a batch and a number of labels.
        sizes: batch and number of labels, by the size that varies.
        rounds: number of timed rounds.
    """
    candidates = {str(size): step(*values) for size, values in sizes.items()}
    seconds = benchmark.time_rounds(
        candidates, rounds, pause=benchmark.PAUSE, warmups=1, budget=SWEEP_BUDGET
    )
    times = benchmark.medians(seconds)
    exponent = np.polyfit(np.log(list(sizes)), np.log(list(times.values())), 1)[0]
    return {"seconds": times, "exponent": float(exponent)}


def kmcl_step(batch: int, labels: int, width: int = 2048) -> Callable[[], Any]:
    """Return a forward and backward pass of the loss of KMCL."""
    mixture, values = generate_kernel_mixture(batch, labels, width), generate_labels(batch, labels)
    return lambda: kmcl_loss(mixture, values)["total"].backward()


def probmcl_step(batch: int, labels: int, similarity: str) -> Callable[[], Any]:
    """Return a forward and backward pass of the loss of ProbMCL."""
    mixture, values = generate_density_mixture(batch, labels), generate_labels(batch, labels)
    return lambda: probmcl_loss(mixture, values, similarity=similarity)["total"].backward()


def measure_sizes(quick: bool, rounds: int) -> dict[str, Any]:
    """Return the cost of the losses against batch and labels, by a description of each sweep.

    The product kernel compares all pairs of components, (B C)² of them. It is therefore measured
    with ten labels, or with a batch of 32.
    """
    batches, labels = (QUICK_BATCHES, QUICK_LABELS) if quick else (BATCHES, LABELS)
    steps: dict[str, tuple[Callable[[int, int], Callable[[], Any]], int, int]] = {
        "kmcl, isotropic": (kmcl_step, batches[-2], labels[-1]),
        "probmcl, matched": (
            partial(probmcl_step, similarity="matched"),
            batches[-2],
            labels[-1],
        ),
        "probmcl, product": (partial(probmcl_step, similarity="product"), batches[0], labels[0]),
    }
    sweeps = {}
    for name, (step, fixed_batch, fixed_labels) in steps.items():
        by_batch = {size: (size, fixed_labels) for size in batches}
        by_labels = {size: (fixed_batch, size) for size in labels}
        sweeps[f"{name}, {fixed_labels} labels, by batch"] = time_sizes(step, by_batch, rounds)
        sweeps[f"{name}, batch {fixed_batch}, by labels"] = time_sizes(step, by_labels, rounds)
    return sweeps


@benchmark.command("multilabel")
def main(
    batch: Annotated[int, Option(help="Samples B.", min=2)] = 128,
    labels: Annotated[int, Option(help="Labels K.", min=2)] = 80,
    width: Annotated[int, Option(help="Features D of the isotropic form.", min=1)] = 2048,
    latent: Annotated[int, Option(help="Axes D' of the anisotropic form.", min=1)] = 128,
    rounds: benchmark.Rounds = 5,
    quick: Annotated[bool, Option("--quick", help="Small sizes and one round.")] = False,
    json_file: benchmark.JsonFile = None,
) -> None:
    """Time the loss of KMCL beside loops over anchors; measure its memory; fit costs by size.

    All times are those of a forward and a backward pass.
    """
    if quick:
        batch, labels, width, latent, rounds = 16, 8, 32, 8, 1
    loops = compare_with_loops(batch, labels, width, rounds)
    lines = [
        f"loss of KMCL, forward and backward, B = {batch}, K = {labels}, D = {width}, isotropic, "
        f"{loops['labels_of_a_sample']:.1f} labels a sample; medians of {rounds} "
        "interleaved rounds",
        *(f"  {name:40} {1000 * value:9.2f} ms" for name, value in loops["seconds"].items()),
        f"  loop over anchors, positives and labels / explore: {loops['ratio']:.0f}",
        f"  loop over anchors / explore: {loops['ratio_to_loop_over_anchors']:.1f}",
        f"anisotropic, D' = {latent}; memory is that of a process, less the one before the loss",
    ]
    report: dict[str, Any] = {"loops": loops, "memory": {}}
    everything = batch * batch * labels * latent
    for name, chunk_values in {"in chunks": 0, "in one chunk": everything}.items():
        measured = measure_memory(batch, labels, latent, chunk_values)
        needed = measured["bytes"]
        memory = "memory unknown" if needed is None else f"{needed / 1e6:7.0f} MB"
        lines.append(f"  {name:40} {1000 * measured['seconds']:9.2f} ms {memory}")
        report["memory"][name] = measured
    lines.append("cost by size, about three labels a sample, with the fitted exponent")
    report["sizes"] = measure_sizes(quick, min(rounds, SWEEP_ROUNDS))
    for name, sweep in report["sizes"].items():
        times = ", ".join(f"{size}: {1000 * s:.1f} ms" for size, s in sweep["seconds"].items())
        lines.append(f"  {name}: {times}; exponent {sweep['exponent']:.2f}")
    benchmark.report(lines, report, json_file)
