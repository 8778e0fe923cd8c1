"""The images that a distillation starts from: real ones, noise, or a set of the user's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from explore.core.products import describe_product, resolve_product
from explore.core.runs import Run
from explore.core.tensor_validation import check_finite, check_tensor
from explore.data.coresets import select
from explore.data.distilled_set import DistilledSet
from explore.data.image_set import sha256_of
from explore.data.training_data import TrainingData
from explore.distill.config import INIT_NAMES, is_file_name
from explore.errors import InvalidInput


@dataclass(frozen=True)
class InitialImages:
    """Where a distillation starts.

    Attributes:
        images: ``[K · count, C, H, W]`` in model units, class by class, on the device of the data.
        description: what the configuration of the run holds: a name, or what names the set.
        distilled: the set that they are from, in the same order; None for real images and noise.
    """

    images: torch.Tensor
    description: Any
    distilled: DistilledSet | None = None


def is_own_start(init: Any) -> bool:
    """Return whether ``init`` is not one of the names, but images of the user's own."""
    return not (isinstance(init, str) and init in INIT_NAMES)


def initial_images(init: Any, source: TrainingData, count: int, seed: int) -> InitialImages:
    """Return the images that a distillation starts from.

    Args:
        init: "real" (random real images), "noise" (standard normal), "kcenter"; or a
            ``DistilledSet``, its file, the recording beside it, a run that distils, the description
            of a set in a recording; or floats ``[K · count, C, H, W]`` in model units, class by
            class: a tensor, an array or a list.
        source: the real images.
        count: images of each class.
        seed: of the random selection or of the noise.

    Raises:
        InvalidInput: images of another shape, number, normalisation or class order; or none of the
            above.
        DataMissing, RecordingDamaged: the file of a set does not exist or cannot be read.
    """
    total = source.classes * count
    if isinstance(init, torch.Tensor | np.ndarray | list | tuple):
        return _of_tensor(init, source, total)
    if is_own_start(init):
        return _of_set(_resolve(init), source, count)
    if init == "noise":
        shape, generator = (total, *source.shape), torch.Generator()
        generator.manual_seed(seed)
        noise = torch.randn(shape, generator=generator, dtype=torch.float32)
        return InitialImages(noise.to(source.device), init)
    if init == "real":
        return InitialImages(source.batch(source.sample(count, seed)).clone(), init)
    indices = select(source.batch(), source.labels, "kcenter", count).cpu().numpy()
    return InitialImages(source.batch(indices).clone(), init)


def _resolve(init: Any) -> DistilledSet:
    if isinstance(init, Mapping) and init.get("name") == "tensor":
        raise InvalidInput(
            "this run started from a tensor, which a recording does not contain; pass init=, the "
            "tensor itself"
        )
    if isinstance(init, str) and not is_file_name(init):
        init = None  # the message below says what is expected
    if isinstance(init, DistilledSet | str | Path | Mapping | Run):
        expected = f"init must be {', '.join(INIT_NAMES)}, a DistilledSet or its .safetensors file"
        return resolve_product(init, DistilledSet, expected)
    raise InvalidInput(
        f"init must be {', '.join(INIT_NAMES)}, a DistilledSet, its .safetensors file or a tensor; "
        f"got {type(init).__name__}"
    )


def _of_tensor(values: Any, source: TrainingData, total: int) -> InitialImages:
    images = check_tensor("init", values, ("N", "C", "H", "W"))
    if images.dtype == torch.bfloat16:  # NumPy cannot hash it.
        images = images.float()
    _check(images, source, total)
    description = {"name": "tensor", "shape": list(images.shape), "sha256": sha256_of(images)}
    return InitialImages(images.detach().float().to(source.device).clone(), description)


def _of_set(distilled: DistilledSet, source: TrainingData, count: int) -> InitialImages:
    _check(distilled.images, source, source.classes * count)
    if list(distilled.class_names) != list(source.class_names):
        raise InvalidInput(
            f"init has the classes {', '.join(distilled.class_names)}; the data have "
            f"{', '.join(source.class_names)}"
        )
    units = (tuple(distilled.mean), tuple(distilled.std))
    if source.statistics and units[0] and not _are_close(units, source.statistics):
        raise InvalidInput(
            f"init is normalised with mean and std {units}, the data with {source.statistics}; "
            "start from a set that was distilled from these data"
        )
    if bool(distilled.zca) != bool(source.zca):
        states = ["whitened" if zca else "not whitened" for zca in (distilled.zca, source.zca)]
        raise InvalidInput(f"init is {states[0]}, but the data are {states[1]}; set zca to match")
    labels = distilled.labels.argmax(1) if distilled.soft else distilled.labels
    order = labels.argsort(stable=True)
    counts = labels.bincount(minlength=source.classes).tolist()
    if set(counts) != {count}:
        raise InvalidInput(
            f"init must have {count} images of each class (images_per_class), got {counts}"
        )
    ordered = DistilledSet(
        distilled.images[order],
        distilled.labels[order],
        distilled.class_names,
        learning_rate=distilled.learning_rate,
    )
    return InitialImages(
        ordered.images.to(source.device).clone(), describe_product(distilled), ordered
    )


def _check(images: torch.Tensor, source: TrainingData, total: int) -> None:
    expected = (total, *source.shape)
    if tuple(images.shape) != expected:
        raise InvalidInput(
            f"init must be float images {list(expected)} (classes × images_per_class, then the "
            f"shape of a real image), got {images.dtype} {list(images.shape)}"
        )
    check_finite("images of init", images.float())


def _are_close(first: Any, second: Any) -> bool:
    pairs = [
        (a, b)
        for left, right in zip(first, second, strict=True)
        for a, b in zip(left, right, strict=True)
    ]
    return all(abs(a - b) < 1e-6 for a, b in pairs)
