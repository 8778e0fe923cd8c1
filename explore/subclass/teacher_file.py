"""A trained teacher as a file, which other runs of subclass distillation are made from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from torch import nn

from explore.core.label_hierarchy import check_superclasses
from explore.core.tensor_validation import check_tensor
from explore.core.validation import (
    check_choice,
    check_flag,
    check_text,
    check_whole_number,
    describe,
)
from explore.data._product_file import FileKind, load_product, write_file
from explore.data.image_set import sha256_of
from explore.errors import InvalidInput
from explore.subclass._network_checks import hashable
from explore.subclass.config import TEACHING_SIGNALS
from explore.subclass.networks import create_teacher
from explore.subclass.training_data import SubclassData

FILE = FileKind("a teacher", "Teacher.save", "save a teacher with: Teacher.of(run).save(path)")


@dataclass(frozen=True, eq=False)
class Teacher:
    """The weights of a teacher after its last epoch.

    Attributes:
        weights: by name, on the CPU.
        provenance: "config" of the run that trained it, and "step", the number of its epochs.

    Raises:
        InvalidInput: a provenance without the config of such a run.

    Example:
        >>> import tempfile
        >>> from explore.subclass import train
        >>> x, s = torch.randn(40, 2), torch.arange(40) % 4
        >>> first = train(x, s, [0, 0, 1, 1], teacher_epochs=2, epochs=1).run()
        >>> path = Teacher.of(first).save(tempfile.mkdtemp() + "/teacher.safetensors")
        >>> train(x, s, [0, 0, 1, 1], "kd", teacher=path, epochs=2)
        SubclassRun(kd on tensors, step 0 of 2)
    """

    weights: Mapping[str, torch.Tensor]
    provenance: Mapping[str, Any]

    def __post_init__(self) -> None:
        provenance = self.provenance
        config = provenance.get("config") if isinstance(provenance, Mapping) else None
        config = {} if config is None else config
        if not isinstance(config, Mapping):
            raise InvalidInput(f"the config of a teacher must be a mapping, got {describe(config)}")
        if missing := sorted({"method", "data", "parents", "teacher_width", "prior"} - set(config)):
            raise InvalidInput(
                "provenance must hold the config of the run that trained the teacher; it lacks "
                f"{', '.join(missing)}"
            )
        check_choice("method", config["method"], TEACHING_SIGNALS)
        check_whole_number("teacher_width", config["teacher_width"], at_least=0)
        check_flag("prior", config["prior"])
        check_superclasses(config["parents"])
        if not isinstance(config["data"], Mapping) or not {"name", "shape", "sha256"} <= set(
            config["data"]
        ):
            raise InvalidInput("the data of a teacher's config must have name, shape and sha256")
        if not isinstance(self.weights, Mapping) or not self.weights:
            raise InvalidInput(f"weights must be tensors by name, got {describe(self.weights)}")
        for name, values in self.weights.items():
            weight = check_tensor(f"weights {name!r}", values, (...,), kind="number", empty=True)
            if not bool(weight.isfinite().all()):
                raise InvalidInput(f"weights {name!r} hold NaN or Inf; the file is damaged")

    @property
    def kind(self) -> str:
        """What the teacher was trained on: "subclass", "random" or "found" subclasses."""
        return TEACHING_SIGNALS[self.provenance["config"]["method"]].teacher

    @property
    def sha256(self) -> str:
        """Hash of the weights."""
        return sha256_of(*map(hashable, self.weights.values()))

    @classmethod
    def of(cls, run: Any) -> Self:
        """Take the teacher of a run of subclass distillation, after its last epoch.

        Raises:
            InvalidInput: the run has no teacher of its own, or has not trained it to the end.
        """
        if getattr(run, "teacher_fit", None) is None:
            raise InvalidInput(f"expected a run that trains a teacher, got {describe(run)}")
        if run.step < run.teacher_epochs:
            raise InvalidInput(
                f"{run!r} has not trained its teacher to the end; advance it to step "
                f"{run.teacher_epochs} first"
            )
        weights = {
            name: value.cpu().clone() for name, value in sorted(run.teacher.state_dict().items())
        }
        provenance = {"config": dict(run.config), "step": run.teacher_epochs}
        return cls(weights, provenance)

    def network(self, source: SubclassData, kind: str) -> nn.Module:
        """Return the trained network.

        Args:
            source: the data, those of the teacher.
            kind: what its teacher must have been trained on.

        Raises:
            InvalidInput: a teacher of other data, superclasses or subclasses, or of a network that
                is not one of this package.
        """
        config, kind = self.provenance["config"], check_text("kind", kind)
        if kind != self.kind:
            raise InvalidInput(
                f"the method needs a teacher of {kind or 'no'} subclasses, the given one was "
                f"trained by {config['method']} on {self.kind} subclasses"
            )
        trained, given = config["data"], source.describe()
        if trained["sha256"] != given["sha256"] or list(config["parents"]) != list(source.parents):
            raise InvalidInput(
                f"the teacher was trained on {trained['name']} {trained['shape']} with parents "
                f"{list(config['parents'])}, the run has {given['name']} {given['shape']} with "
                f"{list(source.parents)}"
            )
        width = int(config["teacher_width"])
        other = InvalidInput(
            f"the weights are those of another network than teacher_width {width} names; a teacher "
            "of a factory of your own is passed as a network"
        )
        # A file may name any width, and a network of that width could fill the memory.
        if width**2 > sum(weight.numel() for weight in self.weights.values()):
            raise other
        network = create_teacher(source, width, 0, bool(config["prior"]))
        try:
            network.load_state_dict(dict(self.weights))
        except RuntimeError as error:
            raise other from error
        return network.to(source.device)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write one ``.safetensors`` file, atomically.

        Raises:
            InvalidInput: another suffix.
        """
        header = {"teacher": True, "provenance": dict(self.provenance), "sha256": self.sha256}
        return write_file(path, self.weights, header, FILE)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what ``save`` wrote. Nothing in the file is executed.

        Raises:
            DataMissing: there is no such file.
            RecordingDamaged: the file is truncated or was changed.
            InvalidInput: a file of another kind.
        """
        return load_product(
            path,
            FILE,
            "teacher",
            "weights",
            # The order of the names in the file is not that of the network.
            lambda tensors, header: cls(dict(sorted(tensors.items())), header["provenance"]),
        )
