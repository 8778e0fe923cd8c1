"""The trajectories of experts: parameters after each epoch, as a file that runs are made from."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import torch

from explore.core.products import describe_product, resolve_product
from explore.core.tensor_validation import check_tensor
from explore.core.validation import check_names, check_whole_number, describe
from explore.data._product_file import FileKind, load_product, write_file
from explore.data.image_set import sha256_of
from explore.data.training_data import TrainingData
from explore.errors import InvalidInput
from explore.models.convnet import ConvNet, depth_for

log = logging.getLogger("explore")

FILE = FileKind(
    "a file of experts",
    "ExpertTrajectories.save",
    "train experts with: explore run experts",
)
MAX_DEPTH = 30
"""Blocks of a network; each halves the side of the maps."""

ARCHITECTURE = ("width", "depth", "norm")
"""Options of experts that decide their architecture."""


@dataclass(frozen=True, eq=False)
class ExpertTrajectories:
    """Parameters of some experts after each epoch; epoch 0 is before the training.

    Attributes:
        parameters: float32 ``[experts, epochs + 1, P]``, in the order of
            ``network().parameters()``.
        class_names: of the data, in label order.
        provenance: "config" of the run that trained them (method "experts") and its "step".

    Raises:
        InvalidInput: another form, NaN or Inf, parameters that do not fit the architecture, or an
            expert whose parameters do not change.
    """

    parameters: torch.Tensor
    class_names: Sequence[str]
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.provenance, Mapping):
            raise InvalidInput(f"provenance must be a mapping, got {describe(self.provenance)}")
        config = self.provenance.get("config") or {}
        if missing := sorted({*ARCHITECTURE, "data", "epochs", "zca"} - set(config)):
            raise InvalidInput(
                "provenance must hold the config of the run that trained the experts; it lacks "
                f"{', '.join(missing)}"
            )
        class_names = check_names("class_names", self.class_names)
        if not class_names:
            raise InvalidInput("class_names must hold one name or more")
        object.__setattr__(self, "class_names", class_names)
        parameters = check_tensor(
            "parameters", self.parameters, ("experts", "epochs", "P")
        ).detach()
        object.__setattr__(self, "parameters", parameters.float())
        shape = list(parameters.shape)
        if shape[1] < 2:
            raise InvalidInput(
                f"parameters must be float [experts, epochs + 1, P], got {parameters.dtype} {shape}"
            )
        self._check_size(shape[2])
        expected = sum(p.numel() for p in self.network().parameters())
        if shape[2] != expected:
            raise self._architecture_error(shape[2], f"has {expected}")
        if not torch.isfinite(self.parameters).all():
            raise InvalidInput("the parameters of an expert are NaN or infinite")
        still = (self.parameters[:, 1:] == self.parameters[:, :-1]).all(2).nonzero().tolist()
        if still:
            expert, epoch = still[0]
            raise InvalidInput(
                f"expert {expert} has the same parameters after epochs {epoch} and {epoch + 1}; "
                "were the network's own tensors stored in place of copies?"
            )

    def __len__(self) -> int:
        return len(self.parameters)

    def __repr__(self) -> str:
        count, epochs, size = self.parameters.shape
        return f"ExpertTrajectories({count} experts, {epochs - 1} epochs, {size} parameters)"

    @property
    def epochs(self) -> int:
        """The last epoch; there is one checkpoint more."""
        return self.parameters.shape[1] - 1

    @property
    def config(self) -> Mapping[str, Any]:
        """The configuration of the run that trained the experts."""
        config: Mapping[str, Any] = self.provenance["config"]
        return config

    @property
    def sha256(self) -> str:
        """Hash of the parameters."""
        return sha256_of(self.parameters)

    def network(self) -> ConvNet:
        """Return a network of the experts' architecture."""
        channels, size = self._image_shape()
        return ConvNet(channels, len(self.class_names), size, **self._architecture()).float()

    def first(self, count: int) -> Self:
        """Return the first experts.

        Raises:
            InvalidInput: there are fewer.
        """
        count = check_whole_number("expert_count", count, at_least=1)
        if count > len(self):
            raise InvalidInput(
                f"{count} experts are asked for (expert_count), but there are {len(self)}; train "
                "more with: explore run experts --count"
            )
        return type(self)(self.parameters[:count], self.class_names, self.provenance)

    def check_data(self, source: TrainingData) -> None:
        """Check that the experts were trained on these images.

        Raises:
            InvalidInput: they were trained on others.
        """
        trained, given = self.config["data"], source.describe()
        if trained["sha256"] != given["sha256"]:
            kinds = [f"{d['name']} {d['options']} {d['shape']}" for d in (trained, given)]
            raise InvalidInput(
                f"the experts were trained on {kinds[0]}, the run has {kinds[1]}; train experts "
                "on the same images, or give data= those of the experts"
            )

    @classmethod
    def of(cls, run: Any) -> Self:
        """Take the experts from a run of the method "experts" that has ended.

        Raises:
            InvalidInput: another run, or one that has not ended.
        """
        if not (hasattr(run, "parameters") and getattr(run, "name", "") == "experts"):
            raise InvalidInput(f"run must be one of the method experts, got {describe(run)}")
        if run.step < run.steps:
            raise InvalidInput(f"{run!r} has not ended; advance it to its end first")
        provenance = {"config": dict(run.config), "step": run.step}
        return cls(run.parameters.clone(), list(run.class_names), provenance)

    def save(self, path: str | os.PathLike[str]) -> Any:
        """Write one ``.safetensors`` file, atomically.

        Raises:
            InvalidInput: another suffix.
        """
        header = {
            "experts": len(self),
            "class_names": list(self.class_names),
            "provenance": dict(self.provenance),
            "sha256": self.sha256,
        }
        return write_file(path, {"parameters": self.parameters}, header, FILE)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what ``save`` wrote. Nothing in the file is executed.

        Args:
            path: the file, or the recording (``.zarr``, ``.zarr.zip``) that it lies beside.

        Raises:
            DataMissing: there is no such file.
            RecordingDamaged: the file is truncated or was changed.
            InvalidInput: a file of another kind.
        """
        return load_product(
            path,
            FILE,
            "experts",
            "parameters",
            lambda tensors, header: cls(
                tensors["parameters"], header["class_names"], header["provenance"]
            ),
        )

    def _architecture(self) -> dict[str, Any]:
        return {name: self.config[name] for name in ARCHITECTURE}

    def _image_shape(self) -> tuple[int, int]:
        """Return the number of channels and the side of an image."""
        data = self.config["data"]
        shape = list(data.get("shape", ())) if isinstance(data, Mapping) else []
        if len(shape) != 4:
            raise InvalidInput(
                f"the experts' config must hold the shape [N, C, H, W] of their images, got {shape}"
            )
        channels, size = (check_whole_number("a shape", value, at_least=1) for value in shape[1:3])
        return channels, size

    def _check_size(self, count: int) -> None:
        """Check that a file does not describe a network far larger than its parameters."""
        (channels, size), architecture = self._image_shape(), self._architecture()
        width = check_whole_number("width", architecture["width"], at_least=1)
        depth = architecture["depth"]
        if depth is not None:
            depth = check_whole_number("depth", depth, at_least=1, at_most=MAX_DEPTH)
        blocks = depth_for(size) if depth is None else depth
        side = size >> blocks
        first, last = 9 * width * channels, width * side * side * len(self.class_names)
        smallest = first + 9 * (blocks - 1) * width**2 + last
        if smallest > count:
            raise self._architecture_error(count, f"has {smallest} or more")

    def _architecture_error(self, count: int, expected: str) -> InvalidInput:
        return InvalidInput(
            f"experts of another architecture: they have {count} parameters, but a ConvNet "
            f"with {self._architecture()} and {len(self.class_names)} class_names {expected}"
        )


@dataclass(frozen=True)
class Experts:
    """The experts of one run, from one file or from several.

    Attributes:
        trajectories: those to use, in one.
        description: what names them in the configuration of a run.
    """

    trajectories: ExpertTrajectories
    description: Any


def resolve_experts(
    value: Any, data: Any, method: str, count: int | None = None, device: str = ""
) -> Experts:
    """Return the experts of a run.

    Args:
        value: ``ExpertTrajectories``; whatever ``resolve_product`` accepts in their place; options
            of new experts, such as ``{"count": 10, "epochs": 20}``, which are then trained on
            ``data``; or a list of these, whose experts are used together.
        data: the real images; those of the options, or digits, if None.
        method: of the run, for messages.
        count: how many are used; all if None.
        device: where new experts are trained.

    Raises:
        InvalidInput: no experts are given, there are fewer than ``count``, or those of a list have
            other data or another architecture than its first.
        DataMissing, RecordingDamaged: a file does not exist or cannot be read.
    """
    if isinstance(value, list | tuple) and value:
        parts = [_resolve(part, data, method, device) for part in value]
        description: Any = [describe_product(part) for part in parts]
        trajectories = _join(parts)
    else:
        trajectories = _resolve(value, data, method, device)
        description = describe_product(trajectories)
    return Experts(trajectories.first(count) if count else trajectories, description)


def _resolve(value: Any, data: Any, method: str, device: str) -> ExpertTrajectories:
    if isinstance(value, Mapping) and value and "config" not in value:
        from explore.core.registry import build

        options = {"method": "experts", "device": device, **value}
        if "data" not in options and isinstance(data, str | Mapping):
            options["data"] = data
        run: Any = build(options, None if "data" in options else data)
        log.info("training experts: %r", run)
        return ExpertTrajectories.of(run.run())
    expected = (
        f"{method} needs experts: the .safetensors file that `explore run experts` writes, or "
        "options of new ones, such as experts={'count': 10, 'epochs': 20}"
    )
    return resolve_product(value, ExpertTrajectories, expected)


def _join(parts: Sequence[ExpertTrajectories]) -> ExpertTrajectories:
    first = parts[0]
    for part in parts[1:]:
        for name in (*ARCHITECTURE, "data", "epochs", "zca"):
            if part.config[name] != first.config[name]:
                raise InvalidInput(
                    f"experts of one run must agree in {name}, got {first.config[name]!r} and "
                    f"{part.config[name]!r}"
                )
    parameters = torch.cat([part.parameters for part in parts])
    return ExpertTrajectories(parameters, first.class_names, first.provenance)
