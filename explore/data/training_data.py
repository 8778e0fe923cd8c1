"""The images that a run is made from, in whatever form they come, with what undoes their
normalisation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from explore.core.tensor_validation import check_device
from explore.data._resolve import resolve_dataset
from explore.data.image_set import ImageSet, sha256_of
from explore.data.normalization import denormalize_to_bytes, normalize_bytes, to_bytes
from explore.data.whitening import ZCA
from explore.errors import InvalidInput

if TYPE_CHECKING:
    import xarray


NO_FLIP = ("digits", "mnist")
"""Names of sets in which a mirrored image is no member of its class, also of a user's own sets."""


def may_flip(image_set: ImageSet | None) -> bool | None:
    """Return whether a mirrored image is a member of the same class; None if it is unknown.

    Args:
        image_set: None for tensors, of which it is unknown.

    Example:
        >>> from explore.data import load
        >>> may_flip(load("digits")), may_flip(None)
        (False, None)
    """
    if image_set is None:
        return None
    return False if image_set.flip is None and image_set.name in NO_FLIP else image_set.flip


class TrainingData:
    """Images with labels, in model units (normalised, whitened if asked), on one device.

    Args:
        data: the name of a set, a description ``{"name": ..., "options": {...}}`` as recordings
            hold it, an ``ImageSet``, or a pair ``(images, labels)`` of floats ``[N, ...]`` and
            integers ``[N]``: tensors, arrays or lists. See ``resolve_dataset`` for more forms.
        zca: whiten the images (ZCA, ε = 0.1).
        device: where batches are computed.
        statistics: mean and standard deviation of each channel in the images that trained a
            network, in place of the set's own. Tensors are not normalised.
        check: called as ``check(images, labels, of_set=...)`` before anything is computed; raises
            ``InvalidInput`` where they cannot be used. ``of_set``: they are those of an
            ``ImageSet``.

    Attributes:
        set: the ``ImageSet``; None for tensors.
        labels: int64 ``[N]``.
        shape: of one image, ``(C, H, W)``.
        name: of the set, or "tensors".
        classes: number of classes.
        class_names: their names; of tensors, their numbers.
        flip: whether a mirrored image is a member of the same class; None if it is unknown.

    Raises:
        InvalidInput: ``data`` is none of these, describes tensors, or has another number of
            channels than ``statistics``.
        UnknownName, DataMissing: see ``explore.data.load``.
    """

    def __init__(
        self,
        data: Any,
        *,
        zca: bool = False,
        device: torch.device | str = "",
        statistics: tuple[Any, Any] | None = None,
        check: Callable[..., object] | None = None,
    ) -> None:
        self.device = check_device(device)
        self.set, images, labels = resolve_dataset(data)
        if check is not None:
            check(images, labels, of_set=self.set is not None)
        # Hashed as they came, so that recordings of data in float64 go on.
        self._tensors = (images, labels)
        self.labels, self.shape = labels.long(), tuple(images.shape[1:])
        self.classes = int(self.labels.max()) + 1
        self.name = self.set.name if self.set else "tensors"
        self.flip = may_flip(self.set)
        names = self.set.class_names if self.set else map(str, range(self.classes))
        self.class_names: Sequence[str] = list(names)[
            : self.classes
        ]  # a subset may lack the last ones
        if self.set is None:
            self._low, self._high = float(images.min()), float(images.max())
            self._images = images.float().to(self.device)
            if images.dtype.itemsize < 4:  # Whitening needs more digits.
                images = images.float()
        else:
            self._statistics = statistics or (self.set.mean, self.set.std)
            self._check_channels(len(self._statistics[0]))
            if self.device.type != "cpu":  # bytes lie there and are normalised batch by batch
                self.set = replace(self.set, images=self.set.images.to(self.device))
        self.zca = None
        if zca:
            self.zca = ZCA().fit(normalize_bytes(images, *self._statistics) if self.set else images)

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def sha256(self) -> str:
        """Hash of images and labels."""
        return self.set.sha256 if self.set else sha256_of(*self._tensors)

    @cached_property
    def members(self) -> list[np.ndarray]:
        """The indices of each class's images."""
        return [(self.labels == k).nonzero().flatten().cpu().numpy() for k in range(self.classes)]

    def sample(self, per_class: int, seed: int) -> np.ndarray:
        """Draw indices of ``per_class`` images of each class, without replacement, class by class.

        A class with fewer images gives all of them.
        """
        generator = np.random.default_rng(seed)
        return np.concatenate(
            [generator.choice(m, min(per_class, len(m)), replace=False) for m in self.members]
        )

    def describe(self) -> dict[str, Any]:
        """Return what identifies the data in a recording."""
        options = dict(self.set.options) if self.set else {}
        shape = [len(self), *self.shape]
        return {"name": self.name, "options": options, "shape": shape, "sha256": self.sha256}

    def batch(self, indices: Any = slice(None)) -> torch.Tensor:
        """Return images in model units, ``[n, C, H, W]``."""
        if self.set is None:
            images = self._images[indices]
        else:
            images = normalize_bytes(self.set.images[indices], *self._statistics)
        return self.zca(images) if self.zca else images

    def to_display(self, images: torch.Tensor) -> np.ndarray:
        """Return uint8 ``[n, H, W]`` (one channel) or ``[n, H, W, 3]`` of images in model units."""
        images = images.detach().cpu()
        if self.zca:
            images = self.zca.undo(images)
        if self.set:
            pixels = denormalize_to_bytes(images, *self._statistics)
        else:  # The units of tensors are unknown: display the range of the real images.
            pixels = to_bytes((images - self._low) / (self._high - self._low or 1))
        if pixels.shape[1] < 3:
            return pixels[:, 0].numpy()
        return pixels[:, :3].permute(0, 2, 3, 1).numpy()

    def from_display(self, pixels: np.ndarray) -> torch.Tensor:
        """Return displayed images in model units: the inverse of ``to_display``, up to rounding.

        Args:
            pixels: uint8 ``[n, H, W]`` of data with one channel, ``[n, H, W, 3]`` of colour images.

        Raises:
            InvalidInput: another number of channels.
        """
        values = torch.from_numpy(np.ascontiguousarray(pixels)).to(self.device)
        values = values[:, None] if values.ndim == 3 else values.permute(0, 3, 1, 2)
        if values.shape[1] != self.shape[0]:
            raise InvalidInput(
                f"displayed images have {values.shape[1]} channels, {self.name} has {self.shape[0]}"
            )
        if self.set is None:
            images = values.float() / 255 * (self._high - self._low or 1) + self._low
        else:
            images = normalize_bytes(values, *self._statistics)
        return self.zca(images) if self.zca else images

    @property
    def statistics(self) -> tuple[Sequence[float], Sequence[float]] | None:
        """Mean and standard deviation of each channel; None for tensors."""
        return self._statistics if self.set else None

    def to_units_of(self, other: TrainingData, images: torch.Tensor) -> torch.Tensor:
        """Return images in the model units of other data: another normalisation, or no whitening.

        Nothing is rounded or clipped. Tensors have no normalisation of their own.
        """
        if self.zca:
            images = self.zca.undo(images)
        if self.statistics and other.statistics and self.statistics != other.statistics:
            (mean, std), (other_mean, other_std) = (
                [images.new_tensor(list(values))[:, None, None] for values in statistics]
                for statistics in (self.statistics, other.statistics)
            )
            images = (images * std + mean - other_mean) / other_std
        return other.zca(images) if other.zca else images

    def _check_channels(self, count: int) -> None:
        if count != self.shape[0]:
            raise InvalidInput(
                f"the network was trained on images of {count} channels, those of {self.name} have "
                f"{self.shape[0]}; choose other images or another network"
            )

    def to_dataset(
        self, images: torch.Tensor, labels: torch.Tensor, config: Mapping[str, Any], step: int
    ) -> xarray.Dataset:
        """Return images made from these data, with what undoes normalisation and whitening.

        Args:
            images, labels: in model units, ``[n, C, H, W]`` and ``[n]`` or ``[n, K]``.
            config, step: of the run that made them.
        """
        import xarray

        variables: dict[str, Any] = {
            "images": (("image", "channel", "y", "x"), images.detach().cpu().numpy().copy()),
            "labels": (("image", "class")[: labels.ndim], labels.cpu().numpy()),
        }
        if self.set:
            mean, std = self._statistics
            variables |= {
                "mean": ("channel", np.array(mean)),
                "std": ("channel", np.array(std)),
            }
        if self.zca:
            assert self.zca.mean is not None
            variables |= {
                "zca_mean": ("value", self.zca.mean.cpu().numpy()),
                "zca_inverse": (("value", "value_2"), self.zca.inverse_matrix.cpu().numpy()),  # type: ignore[union-attr]
            }
        return xarray.Dataset(variables, attrs={"config": dict(config), "step": step})
