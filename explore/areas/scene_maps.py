"""Maps of trained networks on scenes whose object size, clutter and cue are chosen."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
import torch
from torch import nn

from explore.areas._checks import check_logits
from explore.areas.config import CLUTTER_RANGE, COMPARISONS, CUES, SIDE, SIZE_RANGE
from explore.attention.class_maps import ActivationMapper, resize_maps
from explore.attention.faithfulness import randomized
from explore.attention.localization import activation_area, mass_inside, pointing_game
from explore.core.tensor_validation import check_labels, check_network, check_tensor
from explore.core.validation import (
    check_choice,
    check_names,
    check_number,
    check_seed,
    check_whole_number,
    describe,
    to_python,
)
from explore.data.datasets.synthetic_scenes import scenes
from explore.data.image_set import ImageSet
from explore.errors import InvalidInput
from explore.models.trained.loading import load_network

MOST_SCENES = 10_000


@dataclass(frozen=True, eq=False)
class SceneMaps:
    """Scenes and their maps.

    Attributes:
        scenes: the images, with masks.
        labels: int64 ``[N]``, the class of each scene for the chosen cue.
        class_names: names of these classes.
        maps: float ``[N, h, w]`` in [0, 1], at the resolution of the layer.
        accuracy: of the network on the scenes.

    Raises:
        InvalidInput: scenes without masks, maps with NaN, or parts that do not match.
    """

    scenes: ImageSet
    labels: torch.Tensor
    class_names: tuple[str, ...]
    maps: torch.Tensor
    accuracy: float

    def __post_init__(self) -> None:
        if not isinstance(self.scenes, ImageSet) or self.scenes.masks is None:
            raise InvalidInput(
                f"scenes must be an ImageSet with masks, got {describe(self.scenes)}"
            )
        count, names = len(self.scenes), check_names("class_names", self.class_names)
        checked = {
            "labels": check_labels("labels", self.labels, count, len(names), "scene"),
            "class_names": names,
            "maps": check_tensor("maps", self.maps, (count, "h", "w"), finite=True),
            "accuracy": check_number("accuracy", self.accuracy, at_least=0, at_most=1),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @cached_property
    def enlarged(self) -> torch.Tensor:
        """The maps at the size of the images."""
        return resize_maps(self.maps, SIDE)

    @cached_property
    def object_shares(self) -> np.ndarray:
        """The share of each image that is the object."""
        return self._masks.float().mean((1, 2)).numpy()

    @cached_property
    def areas(self) -> np.ndarray:
        """The activation area of each map at the size of the image."""
        return activation_area(self.enlarged).numpy()

    @cached_property
    def pointing(self) -> float:
        """The share of maps whose largest value lies inside the object."""
        return float(pointing_game(self.enlarged, self._masks).mean())

    @cached_property
    def mass(self) -> float:
        """The mean share of the maps' sum that lies inside the object."""
        return float(mass_inside(self.enlarged, self._masks).mean())

    @property
    def _masks(self) -> torch.Tensor:
        masks = self.scenes.masks
        assert masks is not None
        return masks


def scene_maps(
    cue: str,
    object_size: float | None,
    clutter: int | None,
    comparison: str = "trained",
    kind: str = "gradcam",
    layer: str | None = None,
    count: int = 100,
    network: nn.Module | None = None,
    seed: int = 0,
) -> SceneMaps:
    """Compute the maps of one network on scenes that nobody was trained on.

    Args:
        cue: "outline" (the class is the shape) or "texture" (the class is plain or striped).
        object_size: radius / side; None for all sizes of ``SIZE_RANGE``.
        clutter: pieces of clutter; None for all numbers of ``CLUTTER_RANGE``.
        comparison: "trained", "wrong class" (the next one) or "random weights" (the trained ones,
            shuffled within each layer).
        kind, layer: as for ``explore.attention.gradcam``.
        count: number of scenes, at most 10,000.
        network: in place of the shipped network of the cue.
        seed: of the scenes and of the shuffling.

    Raises:
        UnknownName: an unknown cue, comparison, kind or layer.
        InvalidInput: a number out of its range, or no network.
        RunDiverged: the network returns NaN.
    """
    cue = check_choice("cue", cue, CUES)
    comparison = check_choice("comparison", comparison, COMPARISONS)
    if network is not None:
        network = check_network("network", network)
    seed = check_seed(seed)
    images = _scenes(
        SIZE_RANGE if object_size is None else _hashable(object_size),
        CLUTTER_RANGE if clutter is None else _hashable(clutter),
        check_whole_number("count", count, at_least=1, at_most=MOST_SCENES),
        seed,
    )
    labels, class_names = task_labels(images, cue)
    network = _network(CUES[cue]) if network is None else network
    if comparison == "random weights":
        layers = [n for n, m in network.named_modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
        network = randomized(network, layers, seed)
    targets = labels
    if comparison == "wrong class":
        targets = (labels + 1) % len(class_names)
    # Channels last: the poolings of these small maps take half of the time.
    inputs = images.batch().contiguous(memory_format=torch.channels_last)
    mapped = ActivationMapper(network, layer, kind)(inputs, targets, batch=200, warn=False)
    check_logits(mapped.logits, f"the network of {cue}")
    accuracy = float((mapped.logits.argmax(1) == labels).float().mean())
    return SceneMaps(images, labels, class_names, mapped.maps, accuracy)


def _hashable(value: Any) -> Any:
    """Return a number or a range as ``scenes`` takes it, which checks it."""
    value = to_python(value)
    if isinstance(value, float | int | tuple):
        return value
    if isinstance(value, list | np.ndarray | torch.Tensor) and len(value) == 2:
        low, high = (to_python(limit) for limit in value)
        if isinstance(low, float | int) and isinstance(high, float | int):
            return low, high
    return describe(value)


def task_labels(images: ImageSet, cue: str) -> tuple[torch.Tensor, tuple[str, ...]]:
    """Return the classes of scenes for a cue, and their names.

    Raises:
        UnknownName: an unknown cue.
        InvalidInput: images without subclasses, which hold the texture.
    """
    cue = check_choice("cue", cue, CUES)
    if not isinstance(images, ImageSet) or (cue == "texture" and images.subclasses is None):
        raise InvalidInput(f"images must be scenes, got {describe(images)}")
    if cue == "outline":
        return images.labels, tuple(images.class_names)
    assert images.subclasses is not None
    return images.subclasses % 2, ("plain", "striped")


@cache
def _scenes(
    object_size: float | tuple[float, float], clutter: int | tuple[int, int], count: int, seed: int
) -> ImageSet:
    return scenes(
        "test", size=SIDE, count=count, object_size=object_size, clutter=clutter, seed=seed
    )


@cache
def _network(name: str) -> nn.Module:
    return load_network(name)[0]
