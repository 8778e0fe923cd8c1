"""The base of all runs whose result is a distilled set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from explore.core.runs import BaseRun
from explore.data.training_data import TrainingData

if TYPE_CHECKING:
    import xarray


class DistilledSetRun(BaseRun):
    """A run that ends with synthetic or selected images and their labels.

    Args:
        data: the real images.
        images_per_class: images of each class in the distilled set.

    Attributes:
        source: the real images.
        images: ``[N, C, H, W]``, the images of the set in model units, class by class.
        labels: ``[N]``, the class of each.
    """

    images: torch.Tensor

    def __init__(self, data: TrainingData, images_per_class: int) -> None:
        self.source, self.device, self.class_names = data, data.device, data.class_names
        classes = torch.arange(data.classes, device=data.device)
        self.labels = classes.repeat_interleave(images_per_class)

    def result(self) -> xarray.Dataset:
        """Return the images in model units and full precision, with what undoes their normalisation."""
        return self.source.to_dataset(self.images, self.labels, self.config, self.step)

    def save_product(self, recording: Path) -> Path:
        """Write the distilled set as ``.safetensors`` beside the recording."""
        from explore.data.distilled_set import save_beside

        return save_beside(self, recording)
