"""Folders of synthetic scenes, and complexity runs over them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image

from explore import build
from explore.areas import ComplexityRun
from explore.data import scenes

SHAPES = ("disc", "square", "ring", "cross", "triangle")
SIZE, CELLS = 64, 16 * 16
"""The side of the images, and the values in a map of scenes-vgg's last layer."""


def publish(root: Path, per_class: int = 4) -> Path:
    """Write scenes of 64×64 pixels without loss; a name holds the number of the image in the set."""
    images = scenes("test", size=SIZE, count=5 * per_class)
    for number, (pixels, label) in enumerate(zip(images.images, images.labels, strict=True)):
        folder = root / SHAPES[label]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(folder / f"{number:03}.png")
    return root


def make(data: Any, **options: Any) -> ComplexityRun:
    config = {"network": "scenes-vgg", "kind": "gradcam", "size": SIZE, "batch": 7}
    run = build({"method": "complexity", **config, **options}, data=data)
    assert isinstance(run, ComplexityRun)
    return run
