"""Checks of the parts of a multi-label set; messages name the sample and the label or feature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from explore.core.array_validation import check_array
from explore.core.tensor_validation import as_tensor, check_finite
from explore.core.validation import check_different, check_names, check_text, describe
from explore.data._json_values import check_json
from explore.errors import InvalidInput


def check_multilabel_set(samples: Any) -> dict[str, Any]:
    """Return all attributes of a set in their own types.

    Raises:
        InvalidInput: see ``MultilabelSet``.
    """
    inputs = _inputs_of(samples)
    labels = as_tensor("labels", samples.labels).detach()
    if labels.ndim != 2:
        raise InvalidInput(f"labels must be a tensor [N, K], got {describe(labels)}")
    count, label_count = labels.shape
    if count != len(inputs) or not label_count:
        raise InvalidInput(
            f"labels must be [{len(inputs)}, K], one row for each sample, got {list(labels.shape)}"
        )
    label_names = check_names("label_names", samples.label_names)
    if len(label_names) != label_count:
        raise InvalidInput(f"got {len(label_names)} label names for {label_count} labels")
    if len(set(label_names)) < label_count:
        check_different("label_names", list(label_names))
    mask = None
    if samples.mask is not None:
        mask = as_tensor("mask", samples.mask)
        if mask.shape != labels.shape or mask.dtype != torch.bool:
            raise InvalidInput(
                f"mask must be bool {list(labels.shape)}, as the labels are, got {describe(mask)}"
            )
        mask = mask.to(inputs.device)
    mean, std = _statistics_of(samples, inputs)
    return {
        "name": check_text("name", samples.name),
        "inputs": inputs,
        "labels": _checked_labels(labels.to(inputs.device), mask, label_names),
        "label_names": label_names,
        "mean": mean,
        "std": std,
        "mask": mask,
        "options": check_json("options", samples.options),
        "feature_names": check_names("feature_names", samples.feature_names),
    }


def _inputs_of(samples: Any) -> torch.Tensor:
    inputs = as_tensor("inputs", samples.inputs).detach()
    if inputs.is_floating_point():
        inputs = inputs.float()
    vectors = inputs.ndim == 2
    allowed = [torch.float32] if vectors else [torch.float32, torch.uint8]
    if inputs.ndim not in (2, 4) or inputs.dtype not in allowed:
        raise InvalidInput(
            "inputs must be uint8 [N, C, H, W] images or float32 [N, F] feature vectors, got "
            f"{describe(inputs)}"
        )
    if not inputs.numel():
        raise InvalidInput(f"the set has no samples: inputs are {list(inputs.shape)}")
    columns = inputs.shape[1]
    names = check_names("feature_names", samples.feature_names)
    if names and (not vectors or len(names) != columns):
        features = f"{columns} features" if vectors else "images"
        raise InvalidInput(f"got {len(names)} feature names for {features}")
    if vectors:
        check_features(inputs, names)
    elif inputs.is_floating_point():
        check_finite("images", inputs)
    return inputs


def _statistics_of(samples: Any, inputs: torch.Tensor) -> list[Sequence[float]]:
    """Return mean and std as Python floats that float32 can hold; lists stay lists."""
    columns, unit = inputs.shape[1], "feature" if inputs.ndim == 2 else "channel"
    results: list[Sequence[float]] = []
    for title, values in (("mean", samples.mean), ("std", samples.std)):
        numbers = check_array(title, values, ("C",), finite=False, empty=True)
        is_finite = np.abs(numbers) <= np.finfo(np.float32).max
        if len(numbers) != columns or not is_finite.all():
            raise InvalidInput(
                f"{title} must be {columns} finite numbers, one for each {unit}, got "
                f"{len(numbers)}" + (" with NaN or Inf" if len(numbers) == columns else "")
            )
        plain = numbers.tolist()
        results.append(plain if isinstance(values, list) else tuple(plain))
    if min(results[1]) < np.finfo(np.float32).tiny:
        raise InvalidInput(f"std must be above 0, got {min(results[1])}; use 1 for a constant")
    return results


def check_features(inputs: torch.Tensor, names: Sequence[str]) -> None:
    """Check that all features are finite.

    Raises:
        InvalidInput: names the first that is not.
    """
    wrong = (~inputs.isfinite()).nonzero()
    if len(wrong):
        row, column = wrong[0].tolist()
        name = f" ({names[column]!r})" if names else ""
        raise InvalidInput(
            f"feature {column}{name} of sample {row} is {inputs[row, column].item()}; "
            "replace it by a number, or leave the sample out of the inputs"
        )


def _checked_labels(
    labels: torch.Tensor, mask: torch.Tensor | None, names: Sequence[str]
) -> torch.Tensor:
    """Return labels as float32, with 0 where they are not known."""
    if not labels.is_floating_point():
        labels = labels.long()  # Unsigned integers cannot be compared.
    wrong = (labels != 0) & (labels != 1)
    if mask is not None:
        wrong &= mask
    if bool(wrong.any()):
        row, column = wrong.nonzero()[0].tolist()
        raise InvalidInput(
            f"labels must be 0 or 1, but label {column} ({names[column]!r}) of "
            f"sample {row} is {labels[row, column].item():g}; pass mask= for missing "
            "labels: bool [N, K], False where a label is missing"
        )
    values = labels.float()
    return values if mask is None else values.masked_fill(~mask, 0)
