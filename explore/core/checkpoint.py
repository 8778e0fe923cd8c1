"""Checkpoints: what resumes a run, in one file beside its recording."""

from __future__ import annotations

import hashlib
import io
import json
import math
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explore.core._chunks import open_part
from explore.core._format import to_json
from explore.core.runs import Run
from explore.core.validation import check_callable, check_whole_number, describe, to_python
from explore.errors import ExploreWarning, InvalidInput, RecordingFailed

DOCUMENT = "__json__"
"""The member of a checkpoint that holds everything but the arrays."""


def checkpoint_path(recording: Path) -> Path:
    """Return where the checkpoint of a recording lies."""
    return recording.with_name(recording.name + ".checkpoint.npz")


def config_hash(config: Mapping[str, Any]) -> str:
    """Return a hash of a configuration; the order of its options does not count.

    Example:
        >>> config_hash({"seed": 0, "method": "dm"}) == config_hash({"method": "dm", "seed": 0})
        True
    """
    text = json.dumps(json.loads(to_json(config)), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def save_checkpoint(run: Run, path: Path, recording: str = "", last_frame: int = 0) -> None:
    """Write what resumes the run, atomically, as an ``.npz`` without pickles.

    Args:
        run: the run.
        path: the file.
        recording: the ``id`` of the recording that it belongs to; empty if that has none.
        last_frame: the step of the last frame in the recording.

    Raises:
        InvalidInput: ``run.state()`` holds something else than arrays and JSON values.
        RecordingFailed: it could not be written; the checkpoint before it is kept.
    """
    state = run.state()
    owner = f"state() of {type(run).__name__}"
    if not isinstance(state, Mapping) or not all(isinstance(name, str) for name in state):
        raise InvalidInput(f"{owner} must be a mapping with texts as keys, got {describe(state)}")
    arrays = {name: value for name, value in state.items() if isinstance(value, np.ndarray)}
    values = {name: value for name, value in state.items() if name not in arrays}
    about = {"recording": recording, "config": config_hash(run.config), "last_frame": last_frame}
    try:
        document = json.dumps({"step": run.step, "state": values, **about}, default=_to_number)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInput(
            f"{owner} must hold NumPy arrays and what JSON can hold: {error}"
        ) from error
    part = path.with_name(path.name + ".part")
    try:
        with open_part(part) as file, zipfile.ZipFile(file, "w") as archive:
            for name, array in {DOCUMENT: np.array(document), **arrays}.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, array, allow_pickle=False)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        text = f"checkpoint {path} could not be written: {error}. The checkpoint before it is kept"
        raise RecordingFailed(text) from error
    except ValueError as error:
        part.unlink(missing_ok=True)
        raise InvalidInput(f"{owner} must hold arrays of numbers or texts: {error}") from error


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read the state that ``save_checkpoint`` wrote; ``step`` is always in it.

    Raises:
        ValueError: the file is no checkpoint; other errors are raised for damaged ones.
    """
    document, arrays = _read(path)
    return {"step": document["step"], **arrays, **document["state"]}


def resume(run: Run, path: Path, recording: str = "", last_frame: int = 0) -> bool:
    """Restore a run from its checkpoint if that is at a later step; return whether this was done.

    A checkpoint of another recording, or of a run with another configuration, is not used, nor one
    that is later than frames which the recording lacks. Recordings of the first versions have no
    ``id``; with them, a checkpoint without one is used if its configuration does not differ.

    Args:
        run: the run.
        path: the file.
        recording: the ``id`` of the recording; empty if it has none.
        last_frame: the step of its last frame.

    Raises:
        RecordingFailed: the system does not read the file, which may be intact.

    Warns:
        ExploreWarning: the checkpoint cannot be used; the run computes from its present step.
    """
    again = f"computing again from step {run.step}"
    try:
        if not path.exists():
            return False
        document, arrays = _read(path)
        step = check_whole_number("step", document["step"], at_least=0)
        state = {"step": step, **arrays, **document["state"]}
        reason = _mismatch(document, run, recording, last_frame)
    except OSError as error:
        raise RecordingFailed(
            f"{path} cannot be read: {error.strerror or error}. Remove the cause and record again, "
            f"or remove the file to compute from step {run.step}"
        ) from error
    except Exception as error:  # a damaged file fails in many ways
        warnings.warn(f"{path} cannot be read ({error}); {again}", ExploreWarning, stacklevel=4)
        return False
    if step <= run.step:
        return False
    if reason:
        warnings.warn(f"{path} {reason}; {again}", ExploreWarning, stacklevel=4)
        return False
    check_callable(f"restore of {type(run).__name__}", getattr(run, "restore", None), "of a state")
    before = run.state()
    try:
        run.restore(state)
    except Exception as error:  # the state of another program, or of another version
        run.restore({"step": run.step, **before})
        text = f"{path} does not fit this run ({type(error).__name__}: {error}); {again}"
        warnings.warn(text, ExploreWarning, stacklevel=4)
        return False
    run.step = step  # for a run that does not derive from BaseRun and leaves it to us
    return True


def _mismatch(document: Mapping[str, Any], run: Run, recording: str, last_frame: int) -> str:
    """Return why a checkpoint does not belong to a recording; empty if it does."""
    if document.get("recording", "") != recording:
        return "belongs to another recording (were folders renamed or copied?)"
    if document.get("config", config_hash(run.config)) != config_hash(run.config):
        return "belongs to a run with another configuration"
    if document.get("last_frame", 0) > last_frame:
        return f"was written after a frame of step {document['last_frame']}, which is missing"
    return ""


def _read(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Read the document and the arrays of a checkpoint.

    Nothing in it is compressed, and no array is larger than the file says, so that a file of
    somebody else takes no more memory than it has bytes.
    """
    size = path.stat().st_size
    arrays = {}
    with path.open("rb") as file, zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        packed = any(member.compress_type != zipfile.ZIP_STORED for member in members)
        if packed or sum(member.file_size for member in members) > size:
            raise ValueError("it holds more than its size")
        for member in members:
            content = io.BytesIO(archive.read(member))
            _check_size(content, member.file_size)
            arrays[member.filename.removesuffix(".npy")] = np.lib.format.read_array(content)
    document = json.loads(str(arrays.pop(DOCUMENT)))
    if not isinstance(document["state"], dict):
        raise ValueError("it holds no state")
    return document, arrays


def _check_size(content: io.BytesIO, size: int) -> None:
    """Compare the size that the header of an array declares with that of its file."""
    version = np.lib.format.read_magic(content)
    read_header = (
        np.lib.format.read_array_header_1_0
        if version == (1, 0)
        else np.lib.format.read_array_header_2_0
    )
    shape, _, dtype = read_header(content)
    if dtype.hasobject or math.prod(shape) * dtype.itemsize != size - content.tell():
        raise ValueError("an array has another size than its header says")
    content.seek(0)


def _to_number(value: Any) -> Any:
    plain = to_python(value)
    if plain is value:
        raise TypeError(f"{describe(value)} is neither an array nor a JSON value")
    return plain
