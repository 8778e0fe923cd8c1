"""Source: the real images of a distillation run, whatever they were given as, with what undoes their normalisation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from explore.data._resolve import resolve_dataset
from explore.data.image_set import sha256_of
from explore.data.whitening import ZCA
from explore.distill.checks import check_images

if TYPE_CHECKING:
    import xarray

NO_FLIP = ("digits", "mnist")
"""Sets in which a mirrored image is another (or no) member of its class."""


class Source:
    """Real images by index, in model units (normalised, whitened if asked), on one device.

    Args:
        data: the name of a set, a description ``{"name": ..., "options": {...}}`` as recordings keep it, an
            ``ImageSet``, or a pair ``(images, labels)`` of float ``[N, C, H, W]`` and integer ``[N]`` tensors.
        zca: whiten.
        device: where batches are to live.
        images_per_class, init: what the run asks of every class; see ``check_images``.
    """

    def __init__(
        self,
        data: Any,
        zca: bool = False,
        device: str = "",
        images_per_class: int = 1,
        init: str = "noise",
    ) -> None:
        self.device = torch.device(device or "cpu")
        self.set, images, labels = resolve_dataset(data)
        self.classes = check_images(images, labels, images_per_class, init, self.set is not None)
        self.labels = labels.long()
        self.shape = tuple(images.shape[1:])
        self.name = self.set.name if self.set else "tensors"
        self.flip = self.name not in NO_FLIP
        self.zca = ZCA().fit(self.set.batch() if self.set else images) if zca else None
        # the last classes of a subset may be gone
        self.class_names = (
            list(self.set.class_names)[: self.classes]
            if self.set
            else [str(k) for k in range(self.classes)]
        )
        if self.set is None:
            self._low, self._high = float(images.min()), float(images.max())
        if self.set and self.device.type != "cpu":  # bytes on the device, normalised batch by batch
            self.set = replace(self.set, images=self.set.images.to(self.device))
        self._images = None if self.set else images.float().to(self.device)
        self._members = [
            (labels == k).nonzero().flatten().cpu().numpy() for k in range(self.classes)
        ]
        self._hash = self.set.sha256 if self.set else sha256_of(images, labels)

    def describe(self) -> dict[str, Any]:
        """What identifies the data in a recording."""
        options = dict(self.set.options) if self.set else {}
        return {
            "name": self.name,
            "options": options,
            "shape": [len(self.labels), *self.shape],
            "sha256": self._hash,
        }

    def batch(self, indices: Any = slice(None)) -> torch.Tensor:
        """Images ``indices`` in model units."""
        chosen = self._images[indices] if self._images is not None else self.set.batch(indices)  # type: ignore[union-attr]
        return self.zca(chosen) if self.zca else chosen

    def sample(self, per_class: int, seed: int) -> np.ndarray:
        """Indices of ``per_class`` images of each class, without replacement (all of a smaller class), class by class."""
        generator = np.random.default_rng(seed)
        return np.concatenate(
            [generator.choice(m, min(per_class, len(m)), replace=False) for m in self._members]
        )

    def to_display(self, images: torch.Tensor) -> np.ndarray:
        """Model units to uint8 ``[..., H, W]`` (one channel) or ``[..., H, W, 3]``."""
        images = images.detach().cpu()
        if self.zca:
            images = self.zca.undo(images)
        if self.set:
            shown = self.set.to_display(images)
        else:  # nothing is known of the units: show the range of the real images
            shown = (
                ((images - self._low) / (self._high - self._low or 1))
                .mul(255)
                .round()
                .clamp(0, 255)
                .byte()
            )
        return (
            shown[:, 0].numpy() if shown.shape[1] < 3 else shown[:, :3].permute(0, 2, 3, 1).numpy()
        )

    def undo(self) -> Mapping[str, np.ndarray]:
        """What undoes normalisation and whitening, as arrays."""
        arrays = {}
        if self.set:
            arrays = {"mean": np.array(self.set.mean), "std": np.array(self.set.std)}
        if self.zca:
            arrays |= {
                "zca_mean": self.zca.mean.cpu().numpy(),  # type: ignore[union-attr]
                "zca_inverse": self.zca.inverse_matrix.cpu().numpy(),  # type: ignore[union-attr]
            }  # type: ignore[union-attr]
        return arrays

    def packed(
        self, images: torch.Tensor, labels: torch.Tensor, config: Mapping[str, Any], step: int
    ) -> xarray.Dataset:
        """What a run made of these images, in model units and full precision, with what undoes normalisation and whitening."""
        import xarray

        dims = {
            "mean": "channel",
            "std": "channel",
            "zca_mean": "value",
            "zca_inverse": ("value", "value_2"),
        }
        return xarray.Dataset(
            {
                "images": (("image", "channel", "y", "x"), images.detach().cpu().numpy().copy()),
                "labels": ("image", labels.cpu().numpy()),
                **{name: (dims[name], array) for name, array in self.undo().items()},
            },
            attrs={"config": dict(config), "step": step},
        )
