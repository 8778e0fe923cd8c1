"""The maps of synthetic images: which pixels a trained network uses to name their class."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from explore.attention.class_maps import ActivationMapper, ClassMaps, resize_maps
from explore.attention.localization import activation_area
from explore.core.runs import stream_seed
from explore.data.datasets.imagenet_subsets import IMAGENET_SUBSETS
from explore.data.training_data import TrainingData
from explore.distill.trajectories.config import TrajectoryConfig
from explore.errors import InvalidInput
from explore.models.trained.loading import load_network
from explore.models.trained.small_network import count_classes, train_small_network

REFERENCE = 32
"""Real images of each class whose areas are measured for comparison."""

IMAGENET_CLASSES = 1000


class DiscriminativeAreas:
    """Maps of images in the model units of a data set.

    The network of the maps is loaded by name, or a small one is trained on **all real images**. In
    both cases it has seen the whole training set, so a distillation that uses its maps has more
    information than one that does not.

    Args:
        options: see ``TrajectoryConfig``.
        source: the real images. Whitening is undone before the network sees an image.

    Raises:
        InvalidInput: the network does not take such images, or it is unknown which of its classes
            are those of the data.
        UnknownName, DataMissing: see ``load_network``.

    Source: Discriminative Area Enhancement of EDF (arXiv 2410.17193).
    """

    def __init__(self, options: TrajectoryConfig, source: TrainingData) -> None:
        self._source, self._target_kind = source, options.cam_target
        name, entry = options.cam_network, None
        if name:
            network, entry = load_network(name, options.cam_weights)
        data: Any = source.set
        if data is None:
            images = source.batch()
            data = (source.zca.undo(images) if source.zca else images, source.labels)
        statistics = entry.statistics if entry else None
        self._seen = TrainingData(data, device=source.device, statistics=statistics)
        if name:
            classes = count_classes(network.to(source.device), name, source.name, source.shape)
        else:
            classes = source.classes
            network = train_small_network(
                self._seen,
                np.arange(len(source)),
                width=options.cam_width,
                epochs=options.cam_epochs,
                seed=stream_seed(options.seed, "maps"),
            )
        self._classes = self._class_numbers(classes)
        self._mapper = ActivationMapper(
            network, options.cam_layer or None, options.cam_kind, seed=options.seed
        )
        self._side = source.shape[1]

    def maps(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the maps ``[N, H, W]`` of images in model units, in [0, 1].

        A map that is zero, constant or not finite is zeros.
        """
        return self.measure(images, labels)[0]

    def measure(
        self, images: torch.Tensor, labels: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the maps, and the share ``[N]`` of each above 0.5 at the layer's resolution."""
        maps = self._maps(images, labels).maps
        return resize_maps(maps, self._side), activation_area(maps)

    def real_areas(self, seed: int) -> np.ndarray:
        """Return the mean area of some real images of each class, ``[K]``."""
        rows = self._source.sample(REFERENCE, stream_seed(seed, "probe"))
        labels = self._source.labels[rows]
        areas = self.measure(self._source.batch(rows), labels)[1].cpu().numpy()
        numbers = labels.cpu().numpy()
        means = [areas[numbers == label].mean() for label in range(self._source.classes)]
        return np.array(means, np.float32)

    def describe(self) -> dict[str, Any]:
        """Return what identifies the maps."""
        return self._mapper.describe(self._source.shape)

    def _maps(self, images: torch.Tensor, labels: torch.Tensor) -> ClassMaps:
        targets = None
        if self._target_kind == "official":
            targets = labels
        elif self._target_kind == "label":
            targets = self._classes[labels.cpu()]
        inputs = self._source.to_units_of(self._seen, images.detach())
        return self._mapper(inputs, targets, warn=False)

    def _class_numbers(self, classes: int) -> torch.Tensor:
        """Return the network's number of each class of the data."""
        source = self._source
        if classes == source.classes:
            return torch.arange(classes)
        options = source.set.options if source.set else {}
        subset = options.get("subset", "nette" if source.name == "imagenette" else "")
        if classes == IMAGENET_CLASSES and subset in IMAGENET_SUBSETS:
            return torch.tensor(IMAGENET_SUBSETS[subset].ids[: source.classes])
        if self._target_kind != "label" and classes >= source.classes:
            return torch.arange(source.classes)
        raise InvalidInput(
            f"the network of the maps has {classes} classes and {source.name} has "
            f"{source.classes}; it is unknown which are the same. Choose another cam_network, or "
            "cam_target='predicted'"
        )
