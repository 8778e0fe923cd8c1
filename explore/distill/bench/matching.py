"""Benchmark of one distillation step: the plain form that a user would write against ours, interleaved in one run."""

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
from torch.nn.functional import conv2d, normalize

from explore.attention.power_sums import chunk_for
from explore.distill.matching import matching_terms, real_means, synthetic_means, weighted
from explore.models.convnet import ConvNet

POWER, LAMBDA = 4.0, 0.01


def plain_loss(
    network: ConvNet, real: torch.Tensor, synthetic: torch.Tensor, classes: int
) -> torch.Tensor:
    """DataDAM's loss as it is usually written: one forward pass over all real images, maps by ``f.abs().pow(4).sum(1)``."""

    def means(images: torch.Tensor) -> list[torch.Tensor]:
        maps, embedding = network.taps_and_embed(images)
        units = [normalize(f.abs().pow(4).sum(1).flatten(1), dim=1) for f in maps[:-1]]
        return [t.view(classes, -1, t.shape[1]).mean(1) for t in (*units, embedding)]

    with torch.no_grad():
        targets = means(real)
    *attention, embedding = [
        (a - b).square().sum() for a, b in zip(targets, means(synthetic), strict=True)
    ]
    return sum(attention, LAMBDA * embedding)


def our_loss(
    network: ConvNet,
    real: torch.Tensor,
    synthetic: torch.Tensor,
    classes: int,
    dtype: torch.dtype = torch.float32,
) -> torch.Tensor:
    """The same loss as ``DistillRun`` computes it."""
    labels = [
        torch.arange(classes).repeat_interleave(len(images) // classes)
        for images in (real, synthetic)
    ]
    target = real_means(network, real, labels[0], classes, POWER, None, dtype)
    return weighted(
        matching_terms(
            target, synthetic_means(network, synthetic, labels[1], classes, POWER, None)
        ),
        LAMBDA,
    )


def convolutions(network: Any, real: torch.Tensor) -> Callable[[], None]:
    """The convolutions over the real images alone, in the same chunks: what no implementation on this library can go below."""
    with torch.no_grad():
        chunk = chunk_for(network, real)
        inputs = [real[:chunk]]
        for block in network.blocks[:-1]:
            inputs.append(block(inputs[-1]).to(memory_format=torch.channels_last))
        weights = [
            block.conv.weight.to(memory_format=torch.channels_last) for block in network.blocks
        ]

    @torch.no_grad()
    def run() -> None:
        for _ in range(-(-len(real) // chunk)):
            for block, weight, x in zip(network.blocks, weights, inputs, strict=True):
                conv2d(x, weight, block.conv.bias, padding=block.conv.padding)

    return run


def measure(
    size: int, channels: int, width: int, batch: int, classes: int, rounds: int
) -> dict[str, Any]:
    """Median seconds of one step (loss and gradient), each form in turn, ``rounds`` times after one that is not counted."""
    network = ConvNet(channels, classes, size, width=width).requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    real = torch.randn(classes * batch, channels, size, size, generator=generator)
    synthetic = torch.randn(classes, channels, size, size, generator=generator, requires_grad=True)

    def step(loss: Callable[[], torch.Tensor]) -> Callable[[], float]:
        def run() -> float:
            value = loss()
            torch.autograd.grad(value, synthetic)
            return float(value.detach())

        return run

    forms: dict[str, Callable[[], Any]] = {
        "plain": step(lambda: plain_loss(network, real, synthetic, classes)),
        "explore": step(lambda: our_loss(network, real, synthetic, classes)),
        "explore, bfloat16": step(
            lambda: our_loss(network, real, synthetic, classes, torch.bfloat16)
        ),
        "convolutions alone": convolutions(network, real),
    }
    values: dict[str, Any] = {}
    seconds: dict[str, list[float]] = {name: [] for name in forms}
    for turn in range(rounds + 1):
        for name, form in forms.items():
            began = time.perf_counter()
            values[name] = form()
            if turn:
                seconds[name].append(time.perf_counter() - began)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    ratios = sorted(a / b for a, b in zip(seconds["plain"], seconds["explore"], strict=True))
    return {
        "setting": f"ConvNet-D{len(network.blocks)}, {width} wide, {channels}×{size}×{size}, {batch} images × {classes} classes",
        "threads": torch.get_num_threads(),
        "processor": platform.processor() or platform.machine(),
        "seconds": medians,
        "all_seconds": seconds,
        "speedup": statistics.median(ratios),
        "speedup_range": [ratios[0], ratios[-1]],
        "share_of_convolution_limit": medians["convolutions alone"] / medians["explore"],
        "relative_difference": abs(values["explore"] - values["plain"]) / abs(values["plain"]),
        "relative_difference_bfloat16": abs(values["explore, bfloat16"] - values["plain"])
        / abs(values["plain"]),
    }


def main(arguments: list[str]) -> None:
    """``explore bench distill``."""
    parser = argparse.ArgumentParser(prog="explore bench distill", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="counted rounds")
    parser.add_argument("--size", type=int, default=32, help="side of the images")
    parser.add_argument("--channels", type=int, default=3, help="of the images")
    parser.add_argument("--width", type=int, default=128, help="channels of the network")
    parser.add_argument("--batch", type=int, default=64, help="real images a class")
    parser.add_argument("--classes", type=int, default=10, help="classes")
    parser.add_argument("--json", type=Path, help="write all figures to this file too")
    given = parser.parse_args(arguments)
    found = measure(
        given.size, given.channels, given.width, given.batch, given.classes, given.rounds
    )
    lines = [
        f"{found['setting']}; {found['threads']} threads; medians of {given.rounds} rounds, interleaved"
    ]
    lines += [f"  {name:20} {value:8.4f} s" for name, value in found["seconds"].items()]
    low, high = found["speedup_range"]
    lines += [
        f"plain / explore: {found['speedup']:.2f} (from {low:.2f} to {high:.2f}, round by round)",
        f"the convolutions alone are {found['share_of_convolution_limit']:.0%} of our step",
        f"same loss: relative difference {found['relative_difference']:.1e}",
        f"  (bfloat16: {found['relative_difference_bfloat16']:.1e})",
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    if given.json:
        given.json.write_text(json.dumps(found, indent=1))
