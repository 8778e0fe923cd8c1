"""Benchmark of an evaluation: training on a distilled set and scoring test images, as usual and in
``explore``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import torch
from torch.nn.functional import cross_entropy
from typer import Option

from explore.core import benchmark
from explore.data.image_set import ImageSet
from explore.distill.evaluation.run import measure_accuracy
from explore.models._fused.module import fused_blocks
from explore.models.convnet import ConvNet
from explore.models.training import Fit


def plain_training(network: ConvNet, x: torch.Tensor, y: torch.Tensor, epochs: int) -> None:
    """Train as users write it: one module after another, the whole distilled set in each step."""
    optimizer = torch.optim.SGD(network.parameters(), 0.01, momentum=0.9, weight_decay=5e-4)
    for _ in range(epochs):
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
        optimizer.zero_grad()
        cross_entropy(network(x[order]), y[order]).backward()
        optimizer.step()


def explore_training(network: ConvNet, x: torch.Tensor, y: torch.Tensor, epochs: int) -> None:
    """Train as an evaluation does."""
    with fused_blocks():
        Fit(network, x, y, epochs=epochs, schedule="constant").run()


@torch.no_grad()
def plain_accuracy(network: ConvNet, test: ImageSet) -> float:
    """Return the share of correct predictions, computed as usual with 256 images at a time."""
    network.eval()
    correct = sum(
        int((network(test.batch(indices)).argmax(1) == test.labels[indices]).sum())
        for indices in torch.arange(len(test)).split(256)
    )
    network.train()
    return correct / len(test)


def measure(
    size: int, channels: int, width: int, images: int, epochs: int, rounds: int
) -> dict[str, list[float]]:
    """Return the seconds of training and of scoring, each as usual and in ``explore``."""
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(images, channels, size, size, generator=generator), torch.arange(images) % 10
    shape = (1000, channels, size, size)
    pixels = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    class_names, halves = tuple(map(str, range(10))), (0.5,) * channels
    test = ImageSet("noise", pixels, torch.arange(1000) % 10, class_names, halves, halves)

    def network() -> ConvNet:
        return ConvNet(channels, 10, size, width=width)

    trained = network()
    candidates: dict[str, Callable[[], object]] = {
        "training, plain": lambda: plain_training(network(), x, y, epochs),
        "training, explore": lambda: explore_training(network(), x, y, epochs),
        "scoring, plain": lambda: plain_accuracy(trained, test),
        "scoring, explore": lambda: measure_accuracy(trained, test),
    }
    benchmark.time_rounds(candidates)  # The first round compiles kernels; it does not count.
    return benchmark.time_rounds(candidates, rounds)


@benchmark.command("evaluate")
def main(
    rounds: benchmark.Rounds = 7,
    size: Annotated[int, Option(help="Side of the images, in pixels.")] = 32,
    channels: Annotated[int, Option(help="Channels of the images.")] = 3,
    width: Annotated[int, Option(help="Channels of the network.")] = 32,
    images: Annotated[int, Option(help="Images in the distilled set.")] = 100,
    epochs: Annotated[int, Option(help="Epochs of training in each round.")] = 10,
    json_file: benchmark.JsonFile = None,
) -> None:
    """Time an evaluation: training on a distilled set and scoring test images, as usual and in
    explore."""
    seconds = measure(size, channels, width, images, epochs, rounds)
    values: dict[str, Any] = {"seconds": benchmark.medians(seconds), "all_seconds": seconds}
    lines = [
        f"ConvNet, {width} wide, {channels}×{size}×{size}; {epochs} epochs on {images} images, "
        f"1,000 test images; {torch.get_num_threads()} threads; "
        f"medians of {rounds} rounds, interleaved",
        *(f"  {name:18} {time:8.4f} s" for name, time in values["seconds"].items()),
    ]
    for stage in ("training", "scoring"):
        values[stage] = benchmark.Ratio.of(seconds[f"{stage}, plain"], seconds[f"{stage}, explore"])
        lines.append(f"{stage}, plain / explore: {values[stage]:.2f}")
    benchmark.report(lines, values, json_file)
