"""A density survey as a run: one image a step goes through a network, and what every convolution takes in is counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from explore.core.runs import stream_seed
from explore.data._resolve import resolve_dataset
from explore.data.image_set import sha256_of
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


class DensityRun:
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
        self.set, images, labels = resolve_dataset(given)
        if self.set is None:
            check_images(images, labels)
        statistics = None
        if model is None:
            network, known = load_network(options.model, options.weights)
            statistics = known.statistics
        else:
            network = model
        self.network = network.to(self.device)
        order = np.random.default_rng(stream_seed(options.seed, "probe")).permutation(len(labels))[
            : options.images
        ]
        if len(order) < 2:  # a run has one step at least
            raise InvalidInput(
                f"the set has {len(order)} image; a survey has two at least (activation_density takes one)"
            )
        self._order, self.labels, self._statistics = np.sort(order), labels, statistics
        self._images = images
        self.options, self.step, self.steps = options, 0, len(order) - 1
        about: dict[str, Any] = {"name": "tensors", "shape": list(images.shape)}
        if self.set is None:
            about |= {"sha256": sha256_of(images, labels)}
        else:
            about |= {
                "name": self.set.name,
                "options": dict(self.set.options),
                "sha256": self.set.sha256,
            }
        self.config: Mapping[str, Any] = options.identity(about)
        if (
            model is not None
        ):  # a recording must not say that it is of the network of the same default name
            self.config = {**self.config, "model": f"your {type(model).__name__}"}

    def __repr__(self) -> str:
        return f"DensityRun({self.config['model']}, image {self.step + 1} of {self.steps + 1})"

    @property
    def message(self) -> str:
        """Nothing is lost or won here: no loss."""
        return "image looked at"

    @property
    def every(self) -> int:
        """Every image is worth recording."""
        return 1

    def advance(self) -> None:
        """Turn to the next image; it is looked at when it is recorded."""
        self.step += 1

    def snapshot(self) -> xarray.Dataset:
        """Density and sizes of every layer for this image, and with ``maps`` the image and where its values are."""
        at = int(self._order[self.step])
        found = frame(convolved_maps(self.network, self._batch(at)), self.options.maps)
        found["index"] = ((), at, {"long_name": "which image of the set", "units": "1"})
        found["label"] = ((), int(self.labels[at]), {"long_name": "its class", "units": "1"})
        names = (
            [str(k) for k in range(int(self.labels.max()) + 1)]
            if self.set is None
            else list(self.set.class_names)
        )
        found = found.assign_coords({"class": ("class", np.array(names, object))})
        if self.options.maps:
            found["picture"] = self._picture(at)
        return found

    def _batch(self, at: int) -> torch.Tensor:
        """One image as the network takes it."""
        if self.set is None:
            x = self._images[at : at + 1].float()
        elif self._statistics is None:
            x = self.set.batch([at])
        else:
            mean, std = (torch.tensor(values)[:, None, None] for values in self._statistics)
            x = (self.set.images[[at]].float() / 255 - mean) / std
        return x.to(self.device)

    def _picture(self, at: int) -> Any:
        image = self._images[at]
        if self.set is None:
            low, high = float(image.min()), float(image.max())
            image = ((image - low) / ((high - low) or 1) * 255).round().byte()
        shown = (
            image[:3].permute(1, 2, 0)
            if len(image) >= 3
            else image[:1].permute(1, 2, 0).expand(-1, -1, 3)
        )
        return (("y", "x", "rgb"), shown.cpu().numpy(), {"long_name": "the image", "units": "1"})

    def result(self) -> xarray.Dataset:
        """The same as ``snapshot``: there is nothing else to hand over."""
        return self.snapshot()

    def state(self) -> dict[str, Any]:
        """Empty: the step number says all."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Nothing to restore but the step, which ``record`` sets."""
