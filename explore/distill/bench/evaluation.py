"""Benchmark of an evaluation: training on a distilled set and scoring test images, the usual loop against ours, interleaved."""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch.nn.functional import cross_entropy

from explore.data.image_set import ImageSet
from explore.distill.evaluation.protocol import scored
from explore.models._fused.module import fused_blocks
from explore.models.convnet import ConvNet
from explore.models.training import Fit


def plain_training(network: ConvNet, x: torch.Tensor, y: torch.Tensor, epochs: int) -> None:
    """The loop that users write: all modules one after another, the whole distilled set a step."""
    optimizer = torch.optim.SGD(network.parameters(), 0.01, momentum=0.9, weight_decay=5e-4)
    for _ in range(epochs):
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
        optimizer.zero_grad()
        cross_entropy(network(x[order]), y[order]).backward()
        optimizer.step()


def our_training(network: ConvNet, x: torch.Tensor, y: torch.Tensor, epochs: int) -> None:
    """The same as an evaluation does it."""
    with fused_blocks():
        Fit(network, x, y, epochs=epochs, schedule="constant").run()


@torch.no_grad()
def plain_score(network: ConvNet, test: ImageSet) -> float:
    """The usual scoring, 256 images at a time."""
    network.eval()
    right = sum(
        int((network(test.batch(part)).argmax(1) == test.labels[part]).sum())
        for part in torch.arange(len(test)).split(256)
    )
    network.train()
    return right / len(test)


def measure(
    size: int, channels: int, width: int, images: int, epochs: int, rounds: int
) -> dict[str, list[float]]:
    """Seconds of each form, each in turn, ``rounds`` times after one that is not counted."""
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(images, channels, size, size, generator=generator), torch.arange(images) % 10
    pixels = torch.randint(
        0, 256, (1000, channels, size, size), dtype=torch.uint8, generator=generator
    )
    names, half = tuple(map(str, range(10))), (0.5,) * channels
    test = ImageSet("noise", pixels, torch.arange(1000) % 10, names, half, half)
    trained = ConvNet(channels, 10, size, width=width)
    forms: dict[str, Callable[[], object]] = {
        "training, plain": lambda: plain_training(
            ConvNet(channels, 10, size, width=width), x, y, epochs
        ),
        "training, explore": lambda: our_training(
            ConvNet(channels, 10, size, width=width), x, y, epochs
        ),
        "scoring, plain": lambda: plain_score(trained, test),
        "scoring, explore": lambda: scored(trained, test),
    }
    seconds: dict[str, list[float]] = {name: [] for name in forms}
    for turn in range(rounds + 1):
        for name, form in forms.items():
            began = time.perf_counter()
            form()
            if turn:
                seconds[name].append(time.perf_counter() - began)
    return seconds


def main(arguments: list[str]) -> None:
    """``explore bench evaluate``."""
    parser = argparse.ArgumentParser(prog="explore bench evaluate", description=__doc__)
    for name, default, help in (
        ("rounds", 7, "counted rounds"),
        ("size", 32, "side of the images"),
        ("channels", 3, "of the images"),
        ("width", 32, "channels of the network"),
        ("images", 100, "in the distilled set"),
        ("epochs", 10, "of training in a round"),
    ):
        parser.add_argument(f"--{name}", type=int, default=default, help=help)
    given = parser.parse_args(arguments)
    seconds = measure(
        given.size, given.channels, given.width, given.images, given.epochs, given.rounds
    )
    setting = f"ConvNet, {given.width} wide, {given.channels}×{given.size}×{given.size}; {given.epochs} epochs on {given.images} images"
    lines = [
        f"{setting}, 1,000 test images; {torch.get_num_threads()} threads; medians of {given.rounds} rounds, interleaved",
    ]
    lines += [f"  {name:18} {statistics.median(times):8.4f} s" for name, times in seconds.items()]
    for what in ("training", "scoring"):
        ratios = sorted(
            a / b
            for a, b in zip(seconds[f"{what}, plain"], seconds[f"{what}, explore"], strict=True)
        )
        middle = statistics.median(ratios)
        lines.append(
            f"{what}, plain / explore: {middle:.2f} (from {ratios[0]:.2f} to {ratios[-1]:.2f}, round by round)"
        )
    sys.stdout.write("\n".join(lines) + "\n")
