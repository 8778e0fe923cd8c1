"""Benchmark of class activation maps: ``explore``, torchcam and captum on one network and batch."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

import torch
from typer import Option

from explore.attention.class_maps import ActivationMapper
from explore.core import benchmark
from explore.core.runs import stream_seed
from explore.core.validation import check_whole_number
from explore.errors import DependencyMissing, InvalidInput

NETWORKS = ("resnet18", "squeezenet1_0", "mobilenet_v2")
"""Classifiers of torchvision that are timed by default; their weights are random."""

SIDE = 224
"""Pixels a side of an image."""


def torchcam_maps(network: Any, images: torch.Tensor, targets: list[int], layer: str) -> Any:
    """Return the maps of torchcam's Grad-CAM.

    Raises:
        DependencyMissing: torchcam is not installed.
    """
    try:
        from torchcam.methods import GradCAM
    except ImportError as error:
        raise DependencyMissing("torchcam is not installed; pip install torchcam") from error
    with GradCAM(network, layer) as extractor:
        return extractor(targets, network(images))[0]


def captum_maps(network: Any, images: torch.Tensor, targets: list[int], layer: str) -> Any:
    """Return the maps of captum's Grad-CAM.

    Raises:
        DependencyMissing: captum is not installed.
    """
    try:
        from captum.attr import LayerGradCam
    except ImportError as error:
        raise DependencyMissing("captum is not installed; pip install captum") from error
    attributions = LayerGradCam(network, network.get_submodule(layer))
    return attributions.attribute(images, torch.tensor(targets), relu_attributions=True)[:, 0]


@benchmark.command("areas")
def main(
    networks: Annotated[str, Option(help="Classifiers of torchvision, separated by commas.")] = (
        ",".join(NETWORKS)
    ),
    images: Annotated[int, Option(help="Images in the batch.")] = 64,
    rounds: benchmark.Rounds = 5,
    json_file: benchmark.JsonFile = None,
) -> None:
    """Time Grad-CAM of a batch in explore, torchcam and captum."""
    import torchvision

    check_whole_number("images", images, 1)
    generator = torch.Generator().manual_seed(stream_seed(0, "batches"))
    batch = torch.randn(images, 3, SIDE, SIDE, generator=generator)
    targets = list(range(images))
    lines = [f"Grad-CAM of {images} images {SIDE}×{SIDE}; medians of {rounds} rounds, interleaved"]
    values: dict[str, Any] = {"images": images}
    for name in networks.split(","):
        if name not in torchvision.models.list_models(module=torchvision.models):
            raise InvalidInput(f"torchvision has no classifier {name!r}")
        network = torchvision.models.get_model(name, weights=None).eval()
        mapper = ActivationMapper(network)
        ours = mapper(batch, targets, normalize=False, warn=False).maps
        layer = mapper.layer
        candidates: dict[str, Callable[[], Any]] = {
            "explore": partial(mapper, batch, targets, warn=False),
            "torchcam": partial(torchcam_maps, network, batch, targets, layer),
            "captum": partial(captum_maps, network, batch, targets, layer),
        }
        # Unscaled maps: torchcam adds 1e-8 before it scales, which is much for random weights.
        difference = float((candidates["captum"]().detach() - ours).abs().max() / ours.max())
        seconds = benchmark.time_rounds(candidates, rounds, pause=benchmark.PAUSE)
        lines.append(f"{name}, layer {layer}:")
        lines += [
            f"  {candidate:10} {images / median:7.1f} maps/s"
            for candidate, median in benchmark.medians(seconds).items()
        ]
        for rival in ("torchcam", "captum"):
            ratio = benchmark.Ratio.of(seconds[rival], seconds["explore"])
            lines.append(f"  {rival} / explore: {ratio:.2f}")
        lines.append(f"  largest difference to captum's maps: {difference:.1e} of the maximum")
        values[name] = seconds
    benchmark.report(lines, values, json_file)
