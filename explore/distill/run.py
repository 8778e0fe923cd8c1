"""The base of all runs that end with a distilled set, and the function that creates one."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.utils.data import TensorDataset

from explore.core.runs import BaseRun
from explore.core.validation import check_choice
from explore.data.distilled_set import DistilledSet
from explore.data.image_set import ImageSet
from explore.data.training_data import TrainingData
from explore.errors import InvalidInput

if TYPE_CHECKING:
    import xarray

MAX_PIXELS = 2_000_000_000
"""Of a distilled set, with all channels; they take 8 GB."""

NetworkFactory = Callable[[int], nn.Module]
"""``factory(seed)`` returns a new network with weights from the seed."""


class DistilledSetRun(BaseRun):
    """A run whose result is a set of synthetic or selected images with labels.

    Args:
        data: the real images.
        images_per_class: images of each class in the distilled set.

    Attributes:
        source: the real images.
        images: ``[N, C, H, W]``, the images of the set in model units, class by class.
        labels: integers ``[N]``, or probabilities ``[N, K]`` if a subclass sets soft labels.
        learning_rate: the rate for training on the set, if a subclass distils one.
    """

    images: torch.Tensor
    learning_rate: torch.Tensor | float | None = None

    def __init__(self, data: TrainingData, images_per_class: int) -> None:
        self.source, self.device, self.class_names = data, data.device, data.class_names
        self.images_per_class = images_per_class
        count = data.classes * images_per_class * math.prod(data.shape)
        if count > MAX_PIXELS:
            raise InvalidInput(
                f"{images_per_class} images_per_class are too many: the set would have more than "
                f"{MAX_PIXELS:.0e} pixels"
            )
        classes = torch.arange(data.classes, device=data.device)
        self.labels = classes.repeat_interleave(images_per_class)

    def result(self) -> xarray.Dataset:
        """Return the set in model units and full precision, with what undoes its normalisation."""
        result = self.source.to_dataset(self.images, self.labels.detach(), self.config, self.step)
        if self.learning_rate is not None:
            result["learning_rate"] = float(self.learning_rate)
        return result

    def save_product(self, recording: Path) -> Path:
        """Write the distilled set as ``.safetensors`` beside the recording."""
        from explore.data.distilled_set import save_beside

        return save_beside(self, recording)


def distill(
    images: Any,
    labels: Any = None,
    method: str = "datadam",
    *,
    images_per_class: int = 1,
    steps: int | None = None,
    seed: int = 0,
    network: NetworkFactory | None = None,
    augment: str | None = None,
    device: str | None = None,
    **options: Any,
) -> DistilledSetRun:
    """Return a run that distils your images: ``record`` it, or call its ``advance`` in a loop.

    Args:
        images: an ``ImageSet``, whose labels are used; or floats ``[N, C, H, W]``, square and
            normalised as your network expects: a tensor, an array or a list. They are converted to
            float32. Bytes are refused, as their normalisation is unknown.
        labels: integers ``[N]``, 0 to K-1; left out with an ``ImageSet``, a ``TensorDataset`` of
            images and labels, or a ``DistilledSet``.
        method: "dm", "datadam", "channel", "atom"; "mtt", "datm" or "edf", which need
            ``experts=``; or another method of the family "distill".
        images_per_class: synthetic images of each class.
        steps: steps planned; by default the preset's.
        seed: of every random stream.
        network: called with a seed, returns a new network; by default a ``ConvNet``. Any module
            works whose activations are modules; its weights must depend on that seed alone.
        augment: "dsa", "none" or operations such as "crop_flip". Digits are never mirrored. Of
            tensors it is unknown whether they may be: they are, and the log says so; with the
            option ``flip=False`` they are not.
        device: where to compute, such as "cuda"; by default the device of ``images``.
        **options: other options of the method, such as ``preset`` or ``init``; see
            ``DistillConfig`` and ``TrajectoryConfig``.

    Returns:
        A ``DistilledSetRun`` at step 0. Its ``images`` are the synthetic images, class by class.

    Raises:
        InvalidInput: images or labels that cannot be distilled, an option that the method does not
            have, or a value out of range.
        UnknownName: an unknown method, preset or augmentation.

    Example:
        >>> from explore.data import load
        >>> run = distill(load("digits"), method="datadam", preset="lesson", steps=2)
        >>> run.advance()
        >>> run.step, tuple(run.images.shape)
        (1, (10, 1, 16, 16))
    """
    from explore.core import registry

    methods = registry.families()["distill"]
    method = check_choice("method", method, methods)
    if isinstance(labels, str):
        raise InvalidInput(f"labels must be integers [N], got {labels!r}; name a method by method=")
    if labels is not None and isinstance(images, ImageSet | DistilledSet | TensorDataset):
        raise InvalidInput(
            f"a {type(images).__name__} holds its labels; leave labels out, or pass its tensors"
        )
    data = images if labels is None else (images, labels)
    if device is None:
        device = _device_of(images)
    optional = {"steps": steps, "augment": augment, "device": device}
    options |= {name: value for name, value in optional.items() if value is not None}
    config = {"method": method, "images_per_class": images_per_class, "seed": seed, **options}
    builder = registry.resolve(methods[method].builder)
    if network is not None and "network" not in inspect.signature(builder).parameters:
        raise InvalidInput(f"{method} creates its own networks; omit network=")
    arguments = {} if network is None else {"network": network}
    return builder(registry.make_config(methods[method], config), data, **arguments)


def _device_of(images: Any) -> str | None:
    """Return the device of a tensor or of the images of a set; None where there is none."""
    if isinstance(images, TensorDataset):
        images = images.tensors[0]
    tensor = images.images if isinstance(images, ImageSet | DistilledSet) else images
    return str(tensor.device) if isinstance(tensor, torch.Tensor) else None
