"""Benchmark of one distillation step: the loss as it is usually written, and as ``explore``
computes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import torch
from torch.nn.functional import conv2d, normalize
from typer import Option

from explore.attention.power_sums import chunk_for
from explore.core import benchmark
from explore.distill.matching_loss import matching_terms, real_means, synthetic_means, weighted
from explore.models.convnet import ConvNet

POWER, MMD_WEIGHT = 4.0, 0.01


def plain_loss(
    network: ConvNet, real: torch.Tensor, synthetic: torch.Tensor, classes: int
) -> torch.Tensor:
    """Compute DataDAM's loss as it is usually written.

    All real images go through one forward pass; the maps are ``f.abs().pow(4).sum(1)``.
    """

    def class_means(images: torch.Tensor) -> list[torch.Tensor]:
        maps, embedding = network.taps_and_embed(images)
        attention = [normalize(f.abs().pow(4).sum(1).flatten(1), dim=1) for f in maps[:-1]]
        return [t.view(classes, -1, t.shape[1]).mean(1) for t in (*attention, embedding)]

    with torch.no_grad():
        targets = class_means(real)
    pairs = zip(targets, class_means(synthetic), strict=True)
    *attention, embedding = [(a - b).square().sum() for a, b in pairs]
    return sum(attention, MMD_WEIGHT * embedding)


def explore_loss(
    network: ConvNet,
    real: torch.Tensor,
    synthetic: torch.Tensor,
    classes: int,
    dtype: torch.dtype = torch.float32,
) -> torch.Tensor:
    """Compute the same loss as ``DistillRun`` does."""
    real_labels, synthetic_labels = (
        torch.arange(classes).repeat_interleave(len(images) // classes)
        for images in (real, synthetic)
    )
    target = real_means(network, real, real_labels, classes, POWER, None, dtype)
    means = synthetic_means(network, synthetic, synthetic_labels, classes, POWER, None)
    return weighted(matching_terms(target, means), MMD_WEIGHT)


def convolutions(network: Any, real: torch.Tensor) -> Callable[[], None]:
    """Return a function that computes only the convolutions over the real images, in chunks.

    No implementation on this library can be faster.
    """
    with torch.no_grad():
        chunk = chunk_for(network, real)
        inputs = [real[:chunk]]
        for block in network.blocks[:-1]:
            inputs.append(block(inputs[-1]).to(memory_format=torch.channels_last))
        weights = [b.conv.weight.to(memory_format=torch.channels_last) for b in network.blocks]

    @torch.no_grad()
    def convolve() -> None:
        for _ in range(-(-len(real) // chunk)):
            for block, weight, x in zip(network.blocks, weights, inputs, strict=True):
                conv2d(x, weight, block.conv.bias, padding=block.conv.padding)

    return convolve


def measure(
    size: int, channels: int, width: int, batch: int, classes: int, rounds: int
) -> dict[str, Any]:
    """Return the seconds of one step (loss and gradient) of each candidate; compare the losses."""
    network = ConvNet(channels, classes, size, width=width).requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    real = torch.randn(classes * batch, channels, size, size, generator=generator)
    synthetic = torch.randn(classes, channels, size, size, generator=generator, requires_grad=True)

    def step(loss: Callable[..., torch.Tensor], *options: Any) -> Callable[[], float]:
        def compute() -> float:
            value = loss(network, real, synthetic, classes, *options)
            torch.autograd.grad(value, synthetic)
            return float(value.detach())

        return compute

    steps = {
        "plain": step(plain_loss),
        "explore": step(explore_loss),
        "explore, bfloat16": step(explore_loss, torch.bfloat16),
    }
    limit = convolutions(network, real)
    losses = {name: compute() for name, compute in steps.items()}  # This round is not timed.
    limit()
    seconds = benchmark.time_rounds({**steps, "convolutions alone": limit}, rounds)
    speedup = benchmark.Ratio.of(seconds["plain"], seconds["explore"])
    typical = benchmark.medians(seconds)

    def difference(name: str) -> float:
        return abs(losses[name] - losses["plain"]) / abs(losses["plain"])

    return {
        "setting": f"ConvNet-D{len(network.blocks)}, {width} wide, {channels}×{size}×{size}, "
        f"{batch} images × {classes} classes",
        "seconds": typical,
        "all_seconds": seconds,
        "speedup": speedup.median,
        "speedup_range": speedup[1:],
        "share_of_convolution_limit": typical["convolutions alone"] / typical["explore"],
        "relative_difference": difference("explore"),
        "relative_difference_bfloat16": difference("explore, bfloat16"),
    }


@benchmark.command("distill")
def main(
    rounds: benchmark.Rounds = 7,
    size: Annotated[int, Option(help="Side of the images, in pixels.")] = 32,
    channels: Annotated[int, Option(help="Channels of the images.")] = 3,
    width: Annotated[int, Option(help="Channels of the network.")] = 128,
    batch: Annotated[int, Option(help="Real images per class.")] = 64,
    classes: Annotated[int, Option(help="Number of classes.")] = 10,
    json_file: benchmark.JsonFile = None,
) -> None:
    """Time one distillation step: the loss as it is usually written, and as explore computes it."""
    values = measure(size, channels, width, batch, classes, rounds)
    speedup = benchmark.Ratio(values["speedup"], *values["speedup_range"])
    lines = [
        f"{values['setting']}; {torch.get_num_threads()} threads; "
        f"medians of {rounds} rounds, interleaved",
        *(f"  {name:20} {time:8.4f} s" for name, time in values["seconds"].items()),
        f"plain / explore: {speedup:.2f}",
        f"the convolutions alone are {values['share_of_convolution_limit']:.0%} of our step",
        f"same loss: relative difference {values['relative_difference']:.1e}",
        f"  (bfloat16: {values['relative_difference_bfloat16']:.1e})",
    ]
    benchmark.report(lines, values, json_file)
