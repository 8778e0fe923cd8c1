"""A density survey as a run: one image a step goes through a network, and what every convolution takes in is counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from explore.core.runs import BaseRun, stream_seed
from explore.data.training_data import TrainingData
from explore.errors import InvalidInput
from explore.sparseconv.config import NETWORKS, DensityConfig
from explore.sparseconv.networks.density import convolved_maps, frame
from explore.sparseconv.networks.model_zoo import known_network, load_network
from explore.sparseconv.networks.validation import check_images, device_of

if TYPE_CHECKING:
    import xarray


def build(config: DensityConfig, data: Any = None) -> DensityRun:
    """The registry's builder."""
    return DensityRun(config, data)


class DensityRun(BaseRun):
    """Look at one image a step; a ``Run`` that trains nothing.

    Args:
        options: see ``DensityConfig``.
        data: an ``ImageSet`` or (images, labels), images float ``[N, C, H, W]`` as the network takes them; what
            ``options.data`` names if left out.
        model: a network of your own, in place of the one that ``options.model`` names; takes normalised images. It stays
            in the mode and on the device that it is in, unless ``options.device`` names another.

    Raises:
        InvalidInput, UnknownName, DataMissing: network, weights or images; the message says which.
    """

    name = "density"
    every = 1

    def __init__(
        self, options: DensityConfig, data: Any = None, model: nn.Module | None = None
    ) -> None:
        if model is None:
            known_network(options.model)  # says so at once if there is no such network
        usual = NETWORKS.get(options.model) if model is None else None
        given = (options.data or usual) if data is None else data
        if given is None or (isinstance(given, str) and not given):
            name = options.model if model is None else "the network"
            raise InvalidInput(
                f"which images are to go through {name}? give data=, such as data='imagenette'"
            )
        self.device = device_of(options.device, model)
        statistics = None
        if model is None:
            network, known = load_network(options.model, options.weights)
            statistics = known.statistics
        else:
            network = model
        self.network = network.to(self.device)
        self.data = TrainingData(
            given, device=self.device, statistics=statistics, check=check_images
        )
        order = np.random.default_rng(stream_seed(options.seed, "probe")).permutation(
            len(self.data)
        )[: options.images]
        if len(order) < 2:  # a run has one step at least
            raise InvalidInput(
                f"the set has {len(order)} image; a survey has two at least (activation_density takes one)"
            )
        self._order = np.sort(order)
        self.options, self.steps = options, len(order) - 1
        names: Any = self.data.class_names if self.data.set is None else self.data.set.class_names
        self.class_names = list(names)
        about = self.data.describe()
        if self.data.set is None:
            del about["options"]
        self.config: Mapping[str, Any] = options.identity(about)
        if (
            model is not None
        ):  # a recording must not say that it is of the network of the same default name
            self.config = {**self.config, "model": f"your {type(model).__name__}"}

    @property
    def message(self) -> str:
        """Nothing is lost or won here: no loss."""
        return "image looked at"

    def advance(self) -> None:
        """Turn to the next image; it is looked at when it is recorded."""
        self.step += 1

    def snapshot(self) -> xarray.Dataset:
        """Density and sizes of every layer for this image, and with ``maps`` the image and where its values are."""
        index = int(self._order[self.step])
        maps = convolved_maps(self.network, self.data.batch([index]))
        dataset = frame(maps, self.options.maps)
        dataset["index"] = ((), index, {"long_name": "which image of the set", "units": "1"})
        label = int(self.data.labels[index])
        dataset["label"] = ((), label, {"long_name": "its class", "units": "1"})
        if self.options.maps:
            dataset["picture"] = self._picture(index)
        return dataset.assign_coords({"class": ("class", np.array(self.class_names, object))})

    def _picture(self, index: int) -> Any:
        images = self.data.set
        if images is not None:
            image = images.images[index]
        else:
            image = self.data.batch(index)
            low, high = float(image.min()), float(image.max())
            image = ((image - low) / ((high - low) or 1) * 255).round().byte()
        shown = (
            image[:3].permute(1, 2, 0)
            if len(image) >= 3
            else image[:1].permute(1, 2, 0).expand(-1, -1, 3)
        )
        return (("y", "x", "rgb"), shown.cpu().numpy(), {"long_name": "the image", "units": "1"})
