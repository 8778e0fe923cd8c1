"""A density survey as a run: each step measures the inputs of all convolutions for one image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from explore.core.runs import BaseRun, stream_seed
from explore.core.tensor_validation import check_device, check_network
from explore.core.validation import describe
from explore.data._checks import check_labelled_images
from explore.data.training_data import TrainingData
from explore.errors import InvalidInput
from explore.models.trained.loading import find_network, load_network
from explore.sparseconv.config import DensityConfig
from explore.sparseconv.networks.convolution_inputs import convolution_inputs
from explore.sparseconv.networks.density import density_frame
from explore.sparseconv.recordings import DENSITY_SURVEY

if TYPE_CHECKING:
    import xarray


def build(config: DensityConfig, data: Any = None) -> DensityRun:
    """Build the run for the registry."""
    return DensityRun(config, data)


class DensityRun(BaseRun):
    """A run over images, one a step, that trains nothing.

    Args:
        options: see ``DensityConfig``.
        data: an ``ImageSet`` or (images, labels), images float ``[N, C, H, W]`` as the network
            takes them; by default the images that ``options.data`` names.
        model: a network that replaces the one of ``options.model``; it takes normalised images. It
            stays in its mode, and on its device unless ``options.device`` names another.

    Raises:
        InvalidInput, UnknownName, DataMissing: network, weights or images; the message says which.
    """

    name = "density"
    every = 1

    def __init__(
        self, options: DensityConfig, data: Any = None, model: nn.Module | None = None
    ) -> None:
        if not isinstance(options, DensityConfig):
            raise InvalidInput(f"options must be a DensityConfig, got {describe(options)}")
        if model is not None:
            model = check_network("model", model)
        # An unknown network is an error before any data are read.
        entry = find_network(options.model) if model is None else None
        if data is None:
            data = options.data or (entry and entry.images)
        if data is None or (isinstance(data, str) and not data):
            name = options.model if model is None else "the network"
            raise InvalidInput(f"{name} needs images; give data=, such as data='imagenette'")
        self.device = _compute_device(options.device, model)
        self.data = TrainingData(
            data,
            device=self.device,
            statistics=entry.statistics if entry else None,
            check=check_labelled_images,
        )
        network = load_network(options.model, options.weights)[0] if model is None else model
        self.network = network.to(self.device)
        generator = np.random.default_rng(stream_seed(options.seed, "probe"))
        self._order = np.sort(generator.permutation(len(self.data))[: options.images])
        if len(self._order) < 2:  # a run has at least one step
            raise InvalidInput(
                f"the set has {len(self._order)} image; a survey needs at least two. "
                "For one image use activation_density."
            )
        self.options, self.steps = options, len(self._order) - 1
        # The set has the names of all its classes, also of those without an image.
        source = self.data.set or self.data
        self.class_names = list(source.class_names)
        description = self.data.describe()
        if self.data.set is None:
            del description["options"]
        self.config = options.identity(description)
        if model is not None:
            # The recording must not name the default network.
            self.config = {**self.config, "model": f"your {type(model).__name__}"}

    @property
    def message(self) -> str:
        """Text for a progress bar. A survey has no loss."""
        return "image measured"

    def advance(self) -> None:
        """Go to the next image. ``snapshot`` measures it."""
        self.step += 1

    def snapshot(self) -> xarray.Dataset:
        """Return density and sizes of every layer for this image; with ``maps`` also the maps."""
        index = int(self._order[self.step])
        inputs = convolution_inputs(self.network, self.data.batch([index]))
        values: dict[str, Any] = {"index": index, "label": int(self.data.labels[index])}
        if self.options.maps:
            values["picture"] = self._pixels(index)
        class_names = np.array(self.class_names, object)
        frame = DENSITY_SURVEY.frame(values, {"class": class_names})
        return density_frame(inputs, self.options.maps).merge(frame)

    def _pixels(self, index: int) -> np.ndarray:
        """Return an image as uint8 ``[H, W, 3]``. The range of a tensor is stretched to 0 … 255."""
        if self.data.set is not None:
            image = self.data.set.images[index]
        else:
            image = self.data.batch(index)
            low, high = float(image.min()), float(image.max())
            image = ((image - low) / ((high - low) or 1) * 255).round().byte()
        rgb = image[:3] if len(image) >= 3 else image[:1].expand(3, -1, -1)
        return rgb.permute(1, 2, 0).cpu().numpy()


def _compute_device(name: str, model: nn.Module | None) -> torch.device:
    """Return the named device, by default that of the model, else the CPU."""
    parameter = next(model.parameters(), None) if isinstance(model, nn.Module) else None
    default = "cpu" if parameter is None else parameter.device
    return check_device(name or default)
