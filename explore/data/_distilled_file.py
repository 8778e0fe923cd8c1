"""A distilled set as one file: tensors by safetensors, all else as JSON in its header, with a seal on it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch

from explore.data.distilled_set import DistilledSet
from explore.data.image_set import sha256_of
from explore.data.whitening import ZCA
from explore.errors import DataMissing, InvalidInput, RecordingDamaged

FORMAT = 1
SUFFIX = ".safetensors"
Kind = TypeVar("Kind", bound=DistilledSet)


def write(distilled: DistilledSet, path: str | os.PathLike[str]) -> Path:
    """See ``DistilledSet.save``."""
    from safetensors.torch import save_file

    path = _checked(path)
    tensors = {"images": distilled.images, "labels": distilled.labels}
    if distilled.zca:
        tensors |= {f"zca_{name}": value for name, value in distilled.zca.fitted().items()}
    tensors = {name: value.contiguous() for name, value in tensors.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    about = {"format": FORMAT, **distilled.about()}
    save_file(tensors, part, {"explore": json.dumps({**about, "seal": _seal(distilled, about)})})
    part.replace(path)
    return path


def read(path: str | os.PathLike[str], kind: type[Kind]) -> Kind:
    """See ``DistilledSet.load``."""
    from safetensors import SafetensorError, safe_open

    path = _checked(path)
    if not path.is_file():
        raise DataMissing(f"{path} is not there; DistilledSet.save(path) writes one")
    try:
        with safe_open(path, "pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
    except (SafetensorError, OSError, ValueError) as error:
        raise RecordingDamaged(
            f"{path} cannot be read: {error}; take it from where it was made"
        ) from error
    if "explore" not in header:
        found = ", ".join(f"{name} {list(value.shape)}" for name, value in tensors.items())
        raise InvalidInput(
            f"{path} was not written by DistilledSet.save (it holds {found}); use DistilledSet.import_, and say its units"
        )
    broken = f"{path} cannot be read as it was saved"
    try:
        about = json.loads(header["explore"])
        newer = about["format"] > FORMAT
    except (ValueError, LookupError, TypeError) as error:
        raise RecordingDamaged(
            f"{broken}: its header is not whole ({error}); take it from where it was made"
        ) from error
    if newer:
        raise InvalidInput(
            f"{path} has format {about['format']}, this explore reads up to {FORMAT}; install a newer one"
        )
    try:
        whitening = None
        if "zca_inverse" in tensors:
            whitening = ZCA.of(
                tensors["zca_mean"],
                tensors["zca_inverse"],
                about["zca_epsilon"],
                tensors["zca_forward"],
            )
        kept = {
            name: about[name]
            for name in ("class_names", "mean", "std", "learning_rate", "provenance", "protocol")
        }
        made, known = (
            kind(tensors["images"], tensors["labels"], zca=whitening, **kept),
            about["sha256"],
        )
    except (ValueError, LookupError, TypeError) as error:  # what was saved had been checked
        raise RecordingDamaged(f"{broken}: {error}; take it from where it was made") from error
    if made.sha256 != known:
        raise RecordingDamaged(
            f"{path} holds other images or labels than were saved; take it from where it was made"
        )
    if about.get("seal") not in (None, _seal(made, about)):  # the first files had none
        raise RecordingDamaged(
            f"{broken}: its header or its whitening was changed; take it from where it was made"
        )
    return made


def beside(recording: str | os.PathLike[str]) -> Path:
    """Where the distilled set of a recording lies: ``runs/a.zarr`` → ``runs/a.safetensors``."""
    path = Path(recording)
    return path.with_name(path.name.partition(".zarr")[0] + SUFFIX)


def keep(run: Any, recording: str | os.PathLike[str]) -> Path:
    """Save what a run has distilled beside its recording; the registry's ``keep`` of methods that distil images."""
    return DistilledSet.of(run).save(beside(recording))


def _seal(distilled: DistilledSet, about: Mapping[str, Any]) -> str:
    """Hash of all that a file says besides images and labels: what is left out of ``sha256``, which names the data."""
    said = json.dumps(
        {name: value for name, value in about.items() if name != "seal"}, sort_keys=True
    )
    whitening = distilled.zca.fitted().values() if distilled.zca else ()
    return sha256_of(torch.frombuffer(bytearray(said.encode()), dtype=torch.uint8), *whitening)


def _checked(path: str | os.PathLike[str]) -> Path:
    if Path(path).suffix != SUFFIX:
        raise InvalidInput(f"a distilled set is a {SUFFIX} file, got {str(path)!r}")
    return Path(path)
