"""Complexity of a data set: how small the areas are by which its classes are recognised."""

from __future__ import annotations

import os
from collections.abc import Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from explore.areas._checks import check_logits
from explore.areas.config import ComplexityConfig
from explore.areas.recordings import COMPLEXITY
from explore.attention.class_maps import ActivationMapper
from explore.attention.localization import activation_area
from explore.core.runs import BaseRun, stream_seed
from explore.core.tensor_validation import check_device
from explore.core.validation import check_path
from explore.data._checks import check_labelled_images
from explore.data.image_files import FILES_NAME, ImageFiles
from explore.data.normalization import IMAGENET_MEAN, IMAGENET_STD, normalize_bytes
from explore.data.training_data import TrainingData
from explore.errors import InvalidInput
from explore.models.trained.loading import find_network, load_network
from explore.models.trained.small_network import count_classes

if TYPE_CHECKING:
    import xarray

MAX_NAMED_FILES = 3
"""How many unreadable files the summary names."""


def build(config: ComplexityConfig, data: Any = None) -> ComplexityRun:
    """Build the run for the registry."""
    return ComplexityRun(config, data)


class ComplexityRun(BaseRun):
    """A run over the images of a data set, one batch a step, in an order that mixes the classes.

    The area of an image is the share of its map above the threshold, at the resolution of the
    layer, for the class that the network predicts. The complexity of a class is one minus its mean
    area, that of the set the mean over its classes. A folder is decoded batch by batch, and only
    one number per image is kept.

    Args:
        options: see ``ComplexityConfig``.
        data: the images, in place of ``options.data``: a folder, the name of a set, an
            ``ImageSet``, or (images, labels).

    Raises:
        InvalidInput, UnknownName, DataMissing: images or network; the message says which.

    Source: Comp-DD (arXiv 2410.17193); SmoothGradCAM++ of ResNet-18 there.
    """

    name = "complexity"

    def __init__(self, options: ComplexityConfig, data: Any = None) -> None:
        entry = find_network(options.network)
        data = options.data if data is None else data
        if data is None or (isinstance(data, str) and not data):
            raise InvalidInput(
                "complexity needs images; give a folder of class folders, or the name of a set"
            )
        statistics = entry.statistics
        source: Any
        self._files: ImageFiles | None = None
        self._images: TrainingData | None = None
        folder = _folder_of(data)
        if folder is not None:
            self._files = ImageFiles.in_folder(
                folder, size=options.size, subset=options.subset, count=options.images or None
            )
            self._statistics = statistics or (IMAGENET_MEAN, IMAGENET_STD)
            labels, source = self._files.labels, self._files
        else:
            if options.subset:
                raise InvalidInput(
                    f"subset={options.subset!r} needs a folder of ImageNet, got {data!r}"
                )
            self._images = TrainingData(
                data, device=options.device, statistics=statistics, check=check_labelled_images
            )
            labels, source = self._images.labels.cpu().numpy(), self._images
        self.device = check_device(options.device)
        self.options, self._labels = options, np.asarray(labels)
        self.class_names = list(source.class_names)
        self._counts = np.bincount(self._labels, minlength=len(self.class_names))
        network = load_network(options.network, options.weights)[0].to(self.device)
        shape = (3, options.size, options.size) if self._images is None else self._images.shape
        description = source.describe()
        count_classes(network, options.network, description["name"], shape)
        layer = options.layer or None
        self._mapper = ActivationMapper(network, layer, options.kind, seed=options.seed)
        self._about_maps = self._mapper.describe(shape)
        self._areas = np.full(len(self._labels), np.nan, np.float32)
        self._unreadable = np.zeros(len(self._labels), bool)
        self._order = self._choose_order()
        self.steps = -(-len(self._order) // options.batch)
        self.config = options.identity(description)

    @property
    def message(self) -> str:
        """Number of images and complexity so far, for the progress line."""
        return f"{int(np.isfinite(self._areas).sum())} images, {self.complexity:.1%}"

    @property
    def complexity(self) -> float:
        """The mean complexity of the classes that have been measured."""
        values = self._by_class()["complexity"]
        return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")

    def advance(self) -> None:
        """Measure the next batch.

        Raises:
            InvalidInput: a file cannot be decoded, and ``skip_unreadable`` is off.
            RunDiverged: the network returns NaN.
        """
        batch = self.options.batch
        rows = self._order[self.step * batch : (self.step + 1) * batch].tolist()
        images, read = self._read(rows)
        if read:
            # The noise of an image depends on its number in the set alone.
            mapped = self._mapper(images, numbers=read, warn=False)
            check_logits(mapped.logits, f"network {self.options.network!r}")
            areas = activation_area(mapped.maps, self.options.threshold)
            self._areas[read] = areas.cpu().numpy()
        self._unreadable[sorted(set(rows) - set(read))] = True
        self.step += 1

    def snapshot(self) -> xarray.Dataset:
        """Return complexity, deviation and number of measured images of each class."""
        return COMPLEXITY.frame(
            {**self._by_class(), "unreadable": int(self._unreadable.sum())},
            {"label": np.array(self.class_names, object), "images": self._counts},
        ).assign_attrs(map=self._about_maps)

    def result(self) -> xarray.Dataset:
        """Return the same, and the area of every image."""
        result = self.snapshot()
        result["area"] = ("image", self._areas.copy())
        result["image_label"] = ("image", self._labels)
        if self._files is not None:
            names = [file.relative_to(self._files.root).as_posix() for file in self._files.files]
            result["file"] = ("image", np.array(names, object))
        return result

    def state(self) -> dict[str, Any]:
        """Return the areas so far."""
        return {
            **super().state(),
            "areas": self._areas.copy(),
            "unreadable": self._unreadable.copy(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go to a ``state``."""
        super().restore(state)
        self._areas = np.array(state["areas"], np.float32)
        self._unreadable = np.array(state["unreadable"], bool)

    def summary(self) -> str:
        """Return the complexity, and which files could not be decoded."""
        text = f"complexity {self.complexity:.1%} over {len(self.class_names)} classes"
        skipped = np.flatnonzero(self._unreadable)
        if len(skipped) and self._files is not None:
            named = ", ".join(str(self._files.files[i]) for i in skipped[:MAX_NAMED_FILES])
            more = " …" if len(skipped) > MAX_NAMED_FILES else ""
            text += f"; {len(skipped)} files could not be decoded: {named}{more}"
        return text

    def _choose_order(self) -> np.ndarray:
        """Return the rows to measure, mixed, so that each class has an early estimate."""
        rows = np.arange(len(self._labels))
        if self.options.images and self._files is None:
            members = [np.flatnonzero(self._labels == label) for label in range(len(self._counts))]
            rows = np.concatenate([m[: self.options.images] for m in members])
        generator = np.random.default_rng(stream_seed(self.options.seed, "probe"))
        return generator.permutation(rows)

    def _read(self, rows: list[int]) -> tuple[torch.Tensor, list[int]]:
        """Return images as the network takes them, and which rows they are."""
        if self._images is not None:
            return self._images.batch(rows), rows
        assert self._files is not None
        try:
            pixels, read = self._files.read(rows, self.options.skip_unreadable)
        except InvalidInput as error:
            raise InvalidInput(f"{error}; remove the file, or give skip_unreadable=True") from error
        return normalize_bytes(pixels.to(self.device), *self._statistics), read

    def _by_class(self) -> dict[str, np.ndarray]:
        """Return complexity, deviation (n - 1) and number of measured images of each class."""
        values = [self._areas[self._labels == label] for label in range(len(self._counts))]
        measured = [area[np.isfinite(area)] for area in values]
        nan = float("nan")
        complexity = [1 - area.mean() if len(area) else nan for area in measured]
        deviation = [area.std(ddof=1) if len(area) > 1 else nan for area in measured]
        return {
            "complexity": np.array(complexity, np.float32),
            "deviation": np.array(deviation, np.float32),
            "measured": np.array([len(area) for area in measured]),
        }


def _folder_of(data: Any) -> str | PathLike[str] | None:
    """Return the folder that data name: by a path, or as a recording describes it; else None."""
    if isinstance(data, Mapping) and data.get("name") == FILES_NAME:
        options = data.get("options")
        path = options.get("path") if isinstance(options, Mapping) else None
        return check_path("the path of a folder of images", path)
    if isinstance(data, PathLike):
        return check_path("data", data)
    if not isinstance(data, str) or "\0" in data:
        return None
    is_path = "/" in data or os.path.isdir(check_path("data", data))  # noqa: PTH112
    return data if is_path else None
