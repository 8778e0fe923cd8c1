"""Activation areas over the steps of a recorded distillation, as a run of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from explore.areas._checks import check_logits
from explore.areas.config import AreasConfig
from explore.areas.recordings import AREA_EVOLUTION, SYNTHETIC_IMAGES, find_recording
from explore.attention.class_maps import ActivationMapper
from explore.attention.localization import activation_area
from explore.core.runs import BaseRun, stream_seed
from explore.data._checks import check_labelled_images
from explore.data.training_data import TrainingData
from explore.errors import InvalidInput
from explore.models.trained.loading import find_network, load_network
from explore.models.trained.small_network import count_classes, train_small_network

if TYPE_CHECKING:
    import xarray


def build(config: AreasConfig, data: Any = None) -> AreasRun:
    """Build the run for the registry."""
    return AreasRun(config, data)


class AreasRun(BaseRun):
    """A run over the frames of a distillation; it measures maps and changes nothing in it.

    The network took no part in the distillation: it is loaded, or trained here on real images. The
    maps are those of each image's own class. A step is one frame of the recording.

    Args:
        options: see ``AreasConfig``.
        data: the real images; by default ``options.data``, or the set that the recording names.

    Raises:
        InvalidInput: a recording without images, images of another shape or of fewer classes, or a
            network that does not take them or has fewer classes.
        DataMissing, UnknownName: recording, data or network; the message says which.
    """

    name = "areas"
    every = 1

    def __init__(self, options: AreasConfig, data: Any = None) -> None:
        (source,) = SYNTHETIC_IMAGES.check(find_recording(options.recording))
        described = source.attrs["config"]["data"]
        data = next(d for d in (data, options.data, described) if d is not None)
        entry = find_network(options.network) if options.network else None
        statistics = entry.statistics if entry else None
        self.real = TrainingData(
            data, device=options.device, statistics=statistics, check=check_labelled_images
        )
        self.device, self.options, self._source = self.real.device, options, source
        self.class_names = [str(name) for name in source.label.values]
        self._check_real()
        rows = self._divide(options)
        if options.network:
            network = load_network(options.network, options.weights)[0].to(self.device)
        else:
            network = train_small_network(
                self.real,
                rows["train"],
                width=options.width,
                epochs=options.epochs,
                seed=options.seed,
            )
        self._check_network(network)
        layer = options.layer or None
        self._mapper = ActivationMapper(network, layer, options.kind, seed=options.seed)
        self._about_maps = self._mapper.describe(self.real.shape)
        self._measure_real(rows["reference"])
        self.steps = source.sizes["step"] - 1
        self.config = options.identity(self.real.describe())

    @property
    def message(self) -> str:
        """The step of the distillation, for the progress line."""
        return f"step {int(self._source.step[self.step])} of the distillation"

    def advance(self) -> None:
        """Go to the next frame. ``snapshot`` measures its images."""
        self.step += 1

    def snapshot(self) -> xarray.Dataset:
        """Return maps, areas and probabilities of the synthetic images in this frame.

        Raises:
            RunDiverged: the network returns NaN.
        """
        frame = self._source.isel(step=self.step)
        pixels = frame["image"].transpose("label", "copy", "y", "x", ...).values
        classes, copies = pixels.shape[:2]
        targets = torch.arange(classes).repeat_interleave(copies)
        images = self.real.from_display(pixels.reshape(-1, *pixels.shape[2:]))
        mapped = self._mapper(images, targets, warn=False)
        check_logits(mapped.logits, self._network_title)
        own = mapped.logits.softmax(1).gather(1, targets.to(mapped.logits.device)[:, None])
        values = {
            "area": activation_area(mapped.maps, self.options.threshold),
            "map": mapped.maps.half(),
            "probability": own[:, 0],
        }
        shaped = {
            name: value.cpu().numpy().reshape(classes, copies, *value.shape[1:])
            for name, value in values.items()
        }
        data = AREA_EVOLUTION.frame(
            {**shaped, "image": pixels, "distillation_step": int(frame.step)},
            {
                "label": np.array(self.class_names, object),
                "real_area": self._real_area,
                "real_deviation": self._real_deviation,
            },
        )
        return data.assign_attrs(
            map=self._about_maps, distillation=dict(self._source.attrs["config"])
        )

    def summary(self) -> str:
        """Return the mean area of synthetic and real images."""
        area = float(self.snapshot()["area"].mean())
        return f"mean area {area:.3f}; of real images {self._real_area.mean():.3f}"

    @property
    def _network_title(self) -> str:
        name = self.options.network
        return f"network {name!r}" if name else "the small network"

    def _divide(self, options: AreasConfig) -> dict[str, np.ndarray]:
        """Return the rows of images that train the network, and of others for comparison."""
        rows: dict[str, list[np.ndarray]] = {"reference": [], "train": []}
        for label, members in enumerate(self.real.members):
            generator = np.random.default_rng(stream_seed(options.seed, "probe", label))
            order = generator.permutation(members)
            count = min(options.reference, max(1, len(order) // 2))
            rows["train"].append(order[count : count + options.images])
            if label < len(self.class_names):  # The data may have more classes.
                rows["reference"].append(order[:count])
        return {name: np.concatenate(parts) for name, parts in rows.items()}

    def _measure_real(self, rows: np.ndarray) -> None:
        labels = self.real.labels[rows]
        mapped = self._mapper(self.real.batch(rows), labels, warn=False)
        check_logits(mapped.logits, self._network_title)
        areas = activation_area(mapped.maps, self.options.threshold).cpu().numpy()
        by_class = [areas[labels.numpy() == label] for label in range(len(self.class_names))]
        self._real_area = np.array([values.mean() for values in by_class], np.float32)
        self._real_deviation = np.array([values.std() for values in by_class], np.float32)

    def _check_real(self) -> None:
        """Check that the real images have the shape and the classes of the recorded ones."""
        sizes, real = self._source["image"].sizes, self.real
        shape = (sizes.get("rgb", 1), sizes["y"], sizes["x"])
        advice = "give data= the images that were distilled"
        if shape != real.shape:
            raise InvalidInput(
                f"the recording has images {'×'.join(map(str, shape))}, {real.name} has "
                f"{'×'.join(map(str, real.shape))}; {advice}"
            )
        if len(self.class_names) > real.classes:
            raise InvalidInput(
                f"the recording has {len(self.class_names)} classes, {real.name} has "
                f"{real.classes}; {advice}"
            )

    def _check_network(self, network: nn.Module) -> None:
        classes = count_classes(network, self.options.network, self.real.name, self.real.shape)
        if classes < len(self.class_names):
            raise InvalidInput(
                f"network {self.options.network!r} has {classes} classes, the recording has "
                f"{len(self.class_names)}; choose a network that was trained on these classes"
            )
