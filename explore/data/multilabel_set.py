"""A set of samples with several labels each: images or feature vectors, and a table of 0 and 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
import torch

from explore.core.tensor_validation import check_finite
from explore.core.validation import check_different
from explore.data._checks import describe_tensor
from explore.data.image_set import ImageSet, channel_statistics, sha256_of
from explore.data.normalization import (
    denormalize_to_bytes,
    normalize,
    normalize_bytes,
)
from explore.errors import InvalidInput


@dataclass(frozen=True, eq=False)
class MultilabelSet:
    """Samples with several labels each: images or feature vectors, and a table of 0 and 1.

    Use ``from_tensors`` or ``from_images`` to make a set of your own data.

    Attributes:
        name: of the set in recordings; "tensors" for your own.
        inputs: uint8 ``[N, C, H, W]`` images, or float32 ``[N, F]`` feature vectors; images that
            are float32 already are accepted as well.
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
        self._check_inputs()
        if not isinstance(self.labels, torch.Tensor) or self.labels.ndim != 2:
            raise InvalidInput(
                f"labels must be a tensor [N, K], got {describe_tensor(self.labels)}"
            )
        count, label_count = self.labels.shape
        if count != len(self.inputs) or not label_count:
            raise InvalidInput(
                f"labels must be [{len(self.inputs)}, K], one row for each sample, got "
                f"{list(self.labels.shape)}"
            )
        if len(self.label_names) != label_count:
            raise InvalidInput(f"got {len(self.label_names)} label names for {label_count} labels")
        check_different("label_names", list(self.label_names))
        if self.mask is not None and (
            self.mask.shape != self.labels.shape or self.mask.dtype != torch.bool
        ):
            raise InvalidInput(
                f"mask must be bool {list(self.labels.shape)}, as the labels are, got "
                f"{describe_tensor(self.mask)}"
            )
        self._check_labels()
        if self.mask is not None or self.labels.dtype != torch.float32:
            labels = self.labels.float()
            if self.mask is not None:
                labels = labels.masked_fill(~self.mask, 0)
            object.__setattr__(self, "labels", labels)

    def _check_inputs(self) -> None:
        inputs = self.inputs
        vectors = isinstance(inputs, torch.Tensor) and inputs.ndim == 2
        allowed = [torch.float32] if vectors else [torch.float32, torch.uint8]
        if (
            not isinstance(inputs, torch.Tensor)
            or inputs.ndim not in (2, 4)
            or inputs.dtype not in allowed
        ):
            raise InvalidInput(
                "inputs must be uint8 [N, C, H, W] images or float32 [N, F] feature vectors, got "
                f"{describe_tensor(inputs)}"
            )
        if not inputs.numel():
            raise InvalidInput(f"the set has no samples: inputs are {list(inputs.shape)}")
        columns = inputs.shape[1]
        if self.feature_names and (not vectors or len(self.feature_names) != columns):
            features = f"{columns} features" if vectors else "images"
            raise InvalidInput(f"got {len(self.feature_names)} feature names for {features}")
        if vectors:
            self._check_features()
        elif inputs.is_floating_point():
            check_finite("images", inputs)
        unit = "feature" if vectors else "channel"
        for title, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != columns or not np.isfinite(values).all():
                raise InvalidInput(
                    f"{title} must be {columns} finite numbers, one for each {unit}, got "
                    f"{len(values)}" + (" with NaN or Inf" if len(values) == columns else "")
                )
        if min(self.std) <= 0:
            raise InvalidInput(f"std must be above 0, got {min(self.std)}; use 1 for a constant")

    def _check_features(self) -> None:
        wrong = (~self.inputs.isfinite()).nonzero()
        if len(wrong):
            row, column = wrong[0].tolist()
            name = f" ({self.feature_names[column]!r})" if self.feature_names else ""
            raise InvalidInput(
                f"feature {column}{name} of sample {row} is {self.inputs[row, column].item()}; "
                "replace it by a number, or leave the sample out"
            )

    def _check_labels(self) -> None:
        wrong = (self.labels != 0) & (self.labels != 1)
        if self.mask is not None:
            wrong &= self.mask
        if bool(wrong.any()):
            row, column = wrong.nonzero()[0].tolist()
            raise InvalidInput(
                f"labels must be 0 or 1, but label {column} ({self.label_names[column]!r}) of "
                f"sample {row} is {self.labels[row, column].item():g}; pass mask= for missing "
                "labels: bool [N, K], False where a label is missing"
            )

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
        inputs = _as_tensor("inputs", inputs)
        if inputs.dtype != torch.uint8 or inputs.ndim == 2:
            inputs = inputs.float()
        labels = _as_tensor("labels", labels)
        if not label_names and labels.ndim == 2:
            label_names = tuple(map(str, range(labels.shape[1])))
        columns = inputs.shape[1] if inputs.ndim > 1 else 0
        mean, std = [0.0] * columns, [1.0] * columns
        if inputs.ndim == 2:
            mean, std = feature_statistics(inputs)
        elif inputs.ndim == 4 and inputs.dtype == torch.uint8:
            mean, std = channel_statistics(inputs)
            std = [value if value > 0 else 1.0 for value in std]
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
        """Return samples ``indices`` (by default all), normalised, float32 ``[n, ...]``."""
        x = self.inputs[indices]
        if not self.is_image:
            return (x - x.new_tensor(self.mean)) / x.new_tensor(self.std)
        if x.dtype == torch.uint8:
            return normalize_bytes(x, self.mean, self.std)
        return normalize(x, self.mean, self.std)

    def to_display(self, x: torch.Tensor) -> torch.Tensor:
        """Undo the normalisation of images and clip: uint8 of the shape of ``x``.

        Raises:
            InvalidInput: the samples are feature vectors.
        """
        if not self.is_image:
            raise InvalidInput(f"the samples of {self.name} are feature vectors, not images")
        return denormalize_to_bytes(x.detach(), self.mean, self.std).cpu()

    def subset(self, indices: Any) -> Self:
        """Return the same set with only the samples ``indices``, or those of a mask ``[N]``."""
        numbers = torch.arange(len(self), device=self.inputs.device)
        indices = numbers[indices].reshape(-1)
        mask = None if self.mask is None else self.mask[indices]
        return replace(self, inputs=self.inputs[indices], labels=self.labels[indices], mask=mask)

    def to(self, device: torch.device | str) -> Self:
        """Return the same set with its tensors on a device."""
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


def feature_statistics(features: torch.Tensor) -> tuple[list[float], list[float]]:
    """Return mean and standard deviation (N) of each column of ``[N, F]``; 1 for a constant.

    Example:
        >>> feature_statistics(torch.tensor([[0.0, 5.0], [2.0, 5.0]]))
        ([1.0, 5.0], [1.0, 1.0])
    """
    values = features.double()
    std = values.std(0, correction=0)
    constant = (values == values[:1]).all(0)
    return values.mean(0).tolist(), torch.where(constant, 1.0, std).tolist()


def _as_tensor(name: str, values: Any) -> torch.Tensor:
    try:
        return torch.as_tensor(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidInput(f"{name} cannot be converted to a tensor: {error}") from error
