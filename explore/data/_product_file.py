"""Write and read the file of a run's product, such as a distilled set: tensors as safetensors,
everything else as JSON in its header."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch

from explore.core.recording import product_path
from explore.data.image_set import sha256_of
from explore.errors import DataMissing, InvalidInput, RecordingDamaged

FORMAT = 1
SUFFIX = ".safetensors"
WHITENING_TENSORS = ("zca_mean", "zca_inverse", "zca_forward")


class _Hashed(Protocol):
    @property
    def sha256(self) -> str: ...


P = TypeVar("P", bound=_Hashed)


@dataclass(frozen=True)
class FileKind:
    """What messages say of one kind of file.

    Attributes:
        name: with its article, such as "a distilled set".
        writer: what writes such a file.
        advice: what to do with a file of another program.
    """

    name: str
    writer: str
    advice: str


def write_file(
    path: str | os.PathLike[str],
    tensors: Mapping[str, torch.Tensor],
    header: Mapping[str, Any],
    kind: FileKind,
) -> Path:
    """Write tensors and a header, atomically, and return the path.

    Raises:
        InvalidInput: the path has another suffix.
    """
    from safetensors.torch import save_file

    path = _check_suffix(path, kind)
    tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
    header = {"format": FORMAT, **header}
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    save_file(tensors, part, {"explore": json.dumps({**header, "seal": _seal(tensors, header)})})
    part.replace(path)
    return path


def read_file(
    path: str | os.PathLike[str], kind: FileKind
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read the tensors and the header that ``write_file`` wrote.

    Raises:
        DataMissing: there is no such file.
        RecordingDamaged: the file is truncated or was changed.
        InvalidInput: another suffix, a file of another program, or a newer format.
    """
    from safetensors import SafetensorError, safe_open

    path = _check_suffix(path, kind)
    if not path.is_file():
        raise DataMissing(f"{path} does not exist; {kind.writer} writes such a file")
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, OSError, ValueError) as error:
        raise damage_error(path, error) from error
    if "explore" not in metadata:
        shapes = ", ".join(f"{name} {list(tensor.shape)}" for name, tensor in tensors.items())
        raise InvalidInput(
            f"{path} was not written by {kind.writer} (it contains {shapes}); {kind.advice}"
        )
    try:
        header = json.loads(metadata["explore"])
        is_newer = header["format"] > FORMAT
    except (ValueError, LookupError, TypeError) as error:
        raise damage_error(path, f"its header is incomplete ({error})") from error
    if is_newer:
        raise InvalidInput(
            f"{path} has format {header['format']}, but this version of explore reads formats up "
            f"to {FORMAT}; install a newer version"
        )
    if header.get("seal") not in (None, _seal(tensors, header)):  # the first files had no seal
        raise damage_error(path, "its header or its whitening was changed")
    return tensors, header


def load_product(
    path: str | os.PathLike[str],
    kind: FileKind,
    key: str,
    contents: str,
    make: Callable[[dict[str, torch.Tensor], dict[str, Any]], P],
) -> P:
    """Read a product whose header holds the hash of its contents.

    Args:
        path: the file, or the recording that it lies beside.
        kind: of the file.
        key: of the header, which files of other products do not have; also their name in messages.
        contents: how messages call what the hash belongs to, such as "weights".
        make: makes the product of the tensors and the header.

    Raises:
        DataMissing: there is no such file.
        RecordingDamaged: the file is truncated or was changed.
        InvalidInput: a file of another kind.
    """
    path = file_of(path)
    tensors, header = read_file(path, kind)
    if key not in header:
        raise InvalidInput(f"{path} holds {', '.join(tensors)}, no {key}; {kind.advice}")
    try:
        product = make(tensors, header)
        is_intact = product.sha256 == header["sha256"]
    except (ValueError, LookupError, TypeError) as error:  # only valid products are written
        raise damage_error(path, error) from error
    if not is_intact:
        raise damage_error(path, f"its {contents} are not those that were saved")
    return product


def damage_error(path: str | os.PathLike[str], reason: object) -> RecordingDamaged:
    """Return the error of a file that cannot be read as it was saved."""
    return RecordingDamaged(f"{path} cannot be read: {reason}; replace it with an undamaged copy")


def path_beside(recording: str | os.PathLike[str]) -> Path:
    """Return the path of a recording's product: ``runs/a.zarr`` → ``runs/a.safetensors``."""
    return product_path(recording, SUFFIX)


def file_of(path: str | os.PathLike[str]) -> Path:
    """Return the path of a product, which may be given as the recording that it lies beside."""
    return path_beside(path) if ".zarr" in Path(path).suffixes else Path(path)


def _seal(tensors: Mapping[str, torch.Tensor], header: Mapping[str, Any]) -> str:
    """Hash the header and the whitening. The header itself holds a hash of images and labels."""
    text = json.dumps({k: v for k, v in header.items() if k != "seal"}, sort_keys=True)
    whitening = [tensors[name] for name in WHITENING_TENSORS if name in tensors]
    return sha256_of(torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8), *whitening)


def _check_suffix(path: str | os.PathLike[str], kind: FileKind) -> Path:
    if Path(path).suffix != SUFFIX:
        raise InvalidInput(f"{kind.name} is a {SUFFIX} file, got {str(path)!r}")
    return Path(path)
