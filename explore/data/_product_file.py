"""Write and read the file of a run's product, such as a distilled set: tensors as safetensors,
everything else as JSON in its header."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch

from explore.core._format import check_json, is_deep, read_root, unreadable, unseal
from explore.core.recording import current_recording_id, product_path
from explore.core.validation import check_path
from explore.data.image_set import sha256_of
from explore.errors import (
    DataMissing,
    ExploreError,
    InvalidInput,
    RecordingDamaged,
    RecordingFailed,
)

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

    The header also gets the ``id`` of the recording that the product is saved beside, if any.

    Raises:
        InvalidInput: the path has another suffix, or the header holds what JSON cannot hold.
        RecordingFailed: the file cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    path = _check_suffix(path, kind)
    tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
    header = {"format": FORMAT, **header}
    if identifier := current_recording_id():
        header["recording"] = identifier
    check_json(f"the header of {kind.name}", header)
    metadata = {"explore": json.dumps({**header, "seal": _seal(tensors, header)})}
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.unlink(missing_ok=True)  # It may be a link to another place.
        save_file(tensors, part, metadata)
        part.replace(path)
    except (OSError, SafetensorError) as error:  # a full disk is an error of the library
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise RecordingFailed(
            f"{path} could not be written: {error}; free disk space or choose another folder"
        ) from error
    return path


def read_file(
    path: str | os.PathLike[str], kind: FileKind
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read the tensors and the header that ``write_file`` wrote.

    Raises:
        DataMissing: there is no such file.
        RecordingFailed: the system does not read it.
        RecordingDamaged: the file is truncated or was changed.
        InvalidInput: another suffix, a file of another program, or a newer format.
    """
    from safetensors import SafetensorError, safe_open

    path = _check_suffix(path, kind)
    try:
        if not path.is_file():
            raise DataMissing(f"{path} does not exist; {kind.writer} writes such a file")
        with path.open("rb"):  # The library does not tell damage from a refusal of the system.
            pass
    except DataMissing:
        raise
    except OSError as error:
        raise unreadable(path, error) from error
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, OSError, ValueError, RuntimeError, TypeError, KeyError) as error:
        raise damage_error(path, error) from error
    if "explore" not in metadata:
        shapes = ", ".join(f"{name} {list(tensor.shape)}" for name, tensor in tensors.items())
        raise InvalidInput(
            f"{path} was not written by {kind.writer} (it contains {shapes}); {kind.advice}"
        )
    try:
        header = json.loads(metadata["explore"])
        is_newer = header["format"] > FORMAT
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise damage_error(path, f"its header is incomplete ({error})") from error
    if is_deep(header):
        raise damage_error(path, "its header is nested too deeply")
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
    """Return the path of a product, which may be given as the recording that it lies beside.

    Raises:
        InvalidInput: no path, or the file beside the recording belongs to another one.
    """
    place = check_path("path", path)
    if ".zarr" not in place.suffixes:
        return place
    product = path_beside(place)
    theirs, own = _recording_of(product), _attributes_of(place).get("id")
    if own and theirs and own != theirs:
        raise InvalidInput(
            f"{product} does not belong to the recording {place} (were files renamed?); name the "
            "file itself if it is the one that you mean, or make it again"
        )
    return product


def _recording_of(product: Path) -> str:
    """Return the ``id`` of the recording that a product belongs to; empty if it is not known."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(product, "pt") as file:
            header = json.loads((file.metadata() or {})["explore"])
        return str(header.get("recording", ""))
    except (SafetensorError, OSError, ValueError, LookupError, AttributeError, RecursionError):
        return ""  # read_file says what is wrong with it


def _attributes_of(recording: Path) -> dict[str, Any]:
    """Return the attributes of a recording, a folder or a packed file; empty without one."""
    try:
        if recording.is_dir():
            return dict(read_root(recording)["attributes"])
        with zipfile.ZipFile(recording) as archive:
            return dict(unseal(archive.read("zarr.json"), recording)["attributes"])
    except (ExploreError, OSError, zipfile.BadZipFile, LookupError, RuntimeError):
        return {}  # the file may be read without its recording


def _seal(tensors: Mapping[str, torch.Tensor], header: Mapping[str, Any]) -> str:
    """Hash the header and the whitening. The header itself holds a hash of images and labels."""
    text = json.dumps({k: v for k, v in header.items() if k != "seal"}, sort_keys=True)
    whitening = [tensors[name] for name in WHITENING_TENSORS if name in tensors]
    return sha256_of(torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8), *whitening)


def _check_suffix(path: str | os.PathLike[str], kind: FileKind) -> Path:
    place = check_path("path", path)
    if place.suffix != SUFFIX:
        raise InvalidInput(f"{kind.name} is a {SUFFIX} file, got {str(place)!r}")
    return place
