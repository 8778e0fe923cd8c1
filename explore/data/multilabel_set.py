"""A set of samples with several labels each: images or feature vectors, and a table of 0 and 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self

import torch

from explore.core.tensor_validation import as_tensor, check_device, check_finite, check_tensor
from explore.core.validation import check_names, describe
from explore.data._indices import check_indices
from explore.data._multilabel_checks import check_features, check_multilabel_set
from explore.data.image_set import ImageSet, channel_statistics, sha256_of
from explore.data.normalization import (
    denormalize_to_bytes,
    normalize,
    normalize_bytes,
)
from explore.errors import InvalidInput

LARGEST = 1e100
"""Features up to this have squares that float64 holds."""


@dataclass(frozen=True, eq=False)
class MultilabelSet:
    """Samples with several labels each: images or feature vectors, and a table of 0 and 1.

    Use ``from_tensors`` or ``from_images`` to make a set of your own data. Arrays and lists are
    accepted where tensors are expected; all is checked once and converted.

    Attributes:
        name: of the set in recordings; "tensors" for your own.
        inputs: uint8 ``[N, C, H, W]`` images, or float32 ``[N, F]`` feature vectors; images that
            are floats already are accepted as well. Other floats become float32.
        labels: float32 ``[N, K]`` of 0 and 1; other types are converted. A label that is not known
            becomes 0.
        label_names: ``K`` different names.
        mean, std: per channel, in units of ``[0, 1]`` intensity, or per feature; ``batch`` returns
            ``(x - mean) / std``.
        mask: bool ``[N, K]``, which labels are known; None if all are.
        options: the arguments of ``load_multilabel`` that create this set.
        feature_names: ``F`` names of the features; may be empty.

    Raises:
        InvalidInput: labels other than 0 and 1 that are not marked as unknown, NaN or infinite
            inputs, or parts that do not match; the message names the first position.

    Example:
        >>> table = [[1, 0, 1], [0, 0, 0]]
        >>> samples = MultilabelSet.from_tensors(torch.rand(2, 5), table, ["sea", "sky", "sun"])
        >>> samples, samples.unlabelled
        (MultilabelSet('tensors': 2 samples, 5 features, 3 labels), 1)
        >>> samples.label_counts.tolist()
        [1, 0, 1]
    """

    name: str
    inputs: torch.Tensor
    labels: torch.Tensor
    label_names: Sequence[str]
    mean: Sequence[float]
    std: Sequence[float]
    mask: torch.Tensor | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    feature_names: Sequence[str] = ()

    def __post_init__(self) -> None:
        for name, value in check_multilabel_set(self).items():
            object.__setattr__(self, name, value)

    @classmethod
    def from_images(cls, image_set: ImageSet) -> Self:
        """Make a set of an image set that has ``multi_hot``, such as scenes and VOC.

        Raises:
            InvalidInput: it has no ``multi_hot``, or that of other classes.

        Example:
            >>> from explore.data import load
            >>> MultilabelSet.from_images(load("scenes", count=10, objects=2))
            MultilabelSet('scenes': 10 samples, 3×32×32, 5 labels)
        """
        if not isinstance(image_set, ImageSet):
            raise InvalidInput(f"image_set must be an ImageSet, got {describe(image_set)}")
        if image_set.multi_hot is None:
            raise InvalidInput(
                f"{image_set.name} has one class for each image and no multi_hot; use a set with "
                "several labels, such as scenes or voc"
            )
        return cls(
            image_set.name,
            image_set.images,
            image_set.multi_hot,
            tuple(image_set.class_names),
            image_set.mean,
            image_set.std,
            options=image_set.options,
        )

    @classmethod
    def from_tensors(
        cls,
        inputs: Any,
        labels: Any,
        label_names: Sequence[str] = (),
        mask: Any = None,
        name: str = "tensors",
    ) -> Self:
        """Make a set of tensors, arrays or lists.

        The mean and the standard deviation of bytes and of feature vectors are those of ``inputs``
        (1 for a constant); float images remain as they are.

        Args:
            inputs: images ``[N, C, H, W]``, as bytes or floats, or feature vectors ``[N, F]``.
            labels: ``[N, K]`` of 0 and 1; any other value where ``mask`` is False.
            label_names: K names; by default "0" to "K − 1".
            mask: bool ``[N, K]``, False for a missing label; None if all are known.
            name: of the set.

        Raises:
            InvalidInput: see ``MultilabelSet``.

        Example:
            >>> images = torch.zeros(2, 1, 8, 8, dtype=torch.uint8)
            >>> mask = [[True, True], [True, False]]
            >>> MultilabelSet.from_tensors(images, [[1, 0], [1, -1]], mask=mask).labels.tolist()
            [[1.0, 0.0], [1.0, 0.0]]
        """
        inputs = _as_tensor("inputs", inputs).detach()
        if inputs.ndim == 2 or inputs.is_floating_point():
            inputs = check_tensor("inputs", inputs, (...,), kind="number", empty=True).float()
        elif inputs.ndim == 4 and inputs.dtype != torch.uint8:
            raise InvalidInput(
                f"images must be bytes (uint8) or floats, got {describe(inputs)}; convert them, "
                "for example by .to(torch.uint8) for 0 to 255"
            )
        labels = _as_tensor("labels", labels)
        label_names = check_names("label_names", label_names)
        if not label_names and labels.ndim == 2:
            label_names = tuple(map(str, range(labels.shape[1])))
        columns = inputs.shape[1] if inputs.ndim > 1 else 0
        mean, std = [0.0] * columns, [1.0] * columns
        if inputs.ndim == 2 and inputs.numel():
            check_features(inputs, ())
            mean, std = feature_statistics(inputs)
        elif inputs.ndim == 4 and inputs.dtype == torch.uint8:
            mean, std = channel_statistics(inputs)
            std = [value if value > 0 else 1.0 for value in std]  # NaN for a single pixel
        mask = None if mask is None else _as_tensor("mask", mask)
        return cls(name, inputs, labels, tuple(label_names), mean, std, mask)

    def __len__(self) -> int:
        return len(self.inputs)

    def __repr__(self) -> str:
        shape = "×".join(map(str, self.shape)) if self.is_image else f"{self.shape[0]} features"
        return (
            f"{type(self).__name__}({self.name!r}: {len(self)} samples, {shape}, "
            f"{len(self.label_names)} labels)"
        )

    @property
    def is_image(self) -> bool:
        """Whether the samples are images."""
        return self.inputs.ndim == 4

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one sample: ``(C, H, W)`` or ``(F,)``."""
        return tuple(self.inputs.shape[1:])

    def batch(self, indices: Any = slice(None)) -> torch.Tensor:
        """Return samples ``indices`` (by default all), normalised, float32 ``[n, ...]``.

        Args:
            indices: a slice; whole numbers, of which negative ones count from the end; one whole
                number, which counts as a list; or a mask ``[N]``.

        Raises:
            InvalidInput: indices of another kind or out of range.
        """
        rows = check_indices("indices", indices, len(self), "samples")
        x = self.inputs[rows if isinstance(rows, slice) else rows.to(self.inputs.device)]
        if not self.is_image:
            return (x - x.new_tensor(self.mean)) / x.new_tensor(self.std)
        if x.dtype == torch.uint8:
            return normalize_bytes(x, self.mean, self.std)
        return normalize(x, self.mean, self.std)

    def to_display(self, x: torch.Tensor) -> torch.Tensor:
        """Undo the normalisation of images and clip: uint8 of the shape of ``x``.

        Raises:
            InvalidInput: the samples are feature vectors, or ``x`` has another number of channels
                or NaN.
        """
        if not self.is_image:
            raise InvalidInput(f"the samples of {self.name} are feature vectors, not images")
        x = as_tensor("images", x).detach()
        check_finite("images", x)
        return denormalize_to_bytes(x, self.mean, self.std).cpu()

    def subset(self, indices: Any) -> Self:
        """Return the same set with only the samples ``indices``; see ``batch``.

        Raises:
            InvalidInput: indices of another kind, out of range, or none.
        """
        rows = check_indices("indices", indices, len(self), "samples")
        if not isinstance(rows, slice):
            rows = rows.to(self.inputs.device)
        mask = None if self.mask is None else self.mask[rows]
        return replace(self, inputs=self.inputs[rows], labels=self.labels[rows], mask=mask)

    def to(self, device: Any) -> Self:
        """Return the same set with its tensors on a device.

        Raises:
            InvalidInput: there is no such device.
        """
        device = check_device(device)
        mask = None if self.mask is None else self.mask.to(device)
        return replace(
            self, inputs=self.inputs.to(device), labels=self.labels.to(device), mask=mask
        )

    @cached_property
    def label_counts(self) -> torch.Tensor:
        """The number of samples that have each label: int64 ``[K]``."""
        return self.labels.sum(0, dtype=torch.float64).long()

    @cached_property
    def unlabelled(self) -> int:
        """The number of samples without any label."""
        return int((self.labels.amax(1) == 0).sum())

    @cached_property
    def sha256(self) -> str:
        """Hash of inputs, labels and the mask of known labels: the identity in a recording."""
        tensors = [self.inputs, self.labels, *([] if self.mask is None else [self.mask])]
        return sha256_of(*tensors)

    def describe(self) -> dict[str, Any]:
        """Return what identifies the set in a recording."""
        return {
            "name": self.name,
            "options": dict(self.options),
            "shape": list(self.inputs.shape),
            "sha256": self.sha256,
        }


def feature_statistics(features: Any) -> tuple[list[float], list[float]]:
    """Return mean and standard deviation (N) of each column of ``[N, F]``; 1 for a constant.

    Raises:
        InvalidInput: features of another shape or type, or with NaN.

    Example:
        >>> feature_statistics(torch.tensor([[0.0, 5.0], [2.0, 5.0]]))
        ([1.0, 5.0], [1.0, 1.0])
    """
    table = check_tensor("features", features, ("N", "F"), kind="number", finite=True).detach()
    values = table.double()
    # Values that double cannot square are scaled.
    scale = values.abs().amax(0)
    scale = torch.where((scale > LARGEST) | ((scale < 1 / LARGEST) & (scale > 0)), scale, 1.0)
    scaled = values / scale
    std = scaled.std(0, correction=0) * scale
    constant = (values == values[:1]).all(0) | (std == 0)
    return (scaled.mean(0) * scale).tolist(), torch.where(constant, 1.0, std).tolist()


def _as_tensor(name: str, values: Any) -> torch.Tensor:
    try:
        return as_tensor(name, values)
    except InvalidInput as error:
        raise InvalidInput(f"{name} cannot be converted to a tensor: {error}") from error
