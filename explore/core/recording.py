"""Recordings: the frames of a run, step by step, as an xarray.Dataset stored with Zarr.

A recording is a folder ``run.zarr`` (or one file ``run.zarr.zip``) that any Zarr 3 reader opens.
Data variables have ``step`` as their first dimension, with one entry for each frame. Values that
do not change during a run are coordinates and are stored once. Two rules make it safe to read a
recording at any moment, also while it is being written or after the writing process was killed:

* The ``zarr.json`` of the group contains the metadata of every array (Zarr's consolidated
  metadata), with the number of *committed* frames as the length of ``step``. A frame is committed
  by replacing this small file atomically, so that a reader gets complete frames only.
* Every chunk ends with a CRC-32C, the ``zarr.json`` of the group contains its own as the attribute
  ``checksum``, and no chunk may be missing. A file that is truncated, overwritten or missing is
  reported by its name as ``RecordingDamaged``. It is not read as zeros.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from explore.core._format import FORMAT, damaged, read_root, seal, to_json, unreadable
from explore.core.validation import check_items, check_number, check_path, check_text, describe
from explore.errors import (
    DataMissing,
    ExploreError,
    InvalidInput,
    RecordingDamaged,
    RecordingFailed,
)

if TYPE_CHECKING:
    import xarray


def open_recording(path: str | os.PathLike[str]) -> xarray.Dataset:
    """Open a recording read-only; frames are read when their values are used.

    Args:
        path: a folder (``run.zarr``), a packed file (``run.zarr.zip``) or the URL of either.

    Returns:
        Dataset with the dimension ``step`` (the numbers of the recorded steps). ``attrs`` contains
        ``config`` (with which the run can be repeated), ``versions`` and ``threads``.

    Raises:
        InvalidInput: ``path`` is no path or URL.
        DataMissing: ``path`` does not exist, or its server cannot be reached.
        RecordingDamaged: it is not a recording, or it is damaged. Damage inside a frame is
            detected when that frame is read.
        RecordingFailed: the system does not read it, for lack of a permission or of file handles.

    Example:
        >>> from explore import build, record
        >>> run = build({"method": "dm", "data": "digits", "preset": "lesson", "steps": 2})
        >>> recording = record(run)
        >>> recording.step.values
        array([0, 1, 2])
        >>> recording.attrs["config"]["method"]
        'dm'
    """
    import xarray

    from explore.core._checked_store import location, open_store

    place = location("path", path)
    store = open_store(place)
    try:
        dataset: xarray.Dataset = xarray.open_zarr(
            store, consolidated=True, chunks=None, decode_cf=False
        )
    except ExploreError:
        raise
    except FileNotFoundError as error:
        if "://" in place:
            raise DataMissing(
                f"{place} does not exist or is not a recording: there is no zarr.json"
            ) from error
        raise damaged(place, "it is no Zarr group (no zarr.json). Is it a recording?") from error
    except Exception as error:  # readers raise different errors for damaged files
        if "://" in place and isinstance(error, OSError):
            raise DataMissing(f"{place} cannot be reached: {error}") from error
        raise damaged(
            place, f"its metadata cannot be read ({type(error).__name__}: {error})"
        ) from error
    if dataset.attrs.get("explore_format") != FORMAT:
        number = dataset.attrs.get("explore_format", "none")
        raise RecordingDamaged(
            f"{place} has explore_format {number}; this version reads {FORMAT}. Is it a recording?"
        )
    steps = dataset["step"].values if "step" in dataset.coords else np.zeros(0)
    if steps.dtype.kind not in "iu" or not steps.size or (np.diff(steps) <= 0).any():
        raise damaged(place, "it has no frames, or their steps do not increase")
    dataset.attrs.pop("checksum", None)
    return dataset.set_coords(
        [name for name in dataset.data_vars if "step" not in dataset[name].dims]
    )


def pack(recording: str | os.PathLike[str], to: str | os.PathLike[str]) -> Path:
    """Copy the committed frames of a recording into one file, which always has the same bytes.

    Args:
        recording: the folder of a recording.
        to: the file to write, usually ``NAME.zarr.zip``; replaced atomically if it exists.

    Raises:
        DataMissing: ``recording`` is not the folder of a recording.
        RecordingDamaged: a chunk is missing, was changed or is a link to another place, or the
            folder's metadata cannot be read.
        RecordingFailed: the file cannot be written, or the system does not read the recording.
    """
    from explore.core._array_layout import array_layouts, check_files
    from explore.core._chunks import fault_of, open_part

    folder, target = check_path("recording", recording), check_path("to", to)
    if not target.name or target.is_dir() or target.resolve() == folder.resolve():
        raise InvalidInput(f"to must be the path of a file, got {str(to)!r}")
    root = read_root(folder)
    layouts = array_layouts(root, folder)
    part = target.with_name(target.name + ".part")

    def read(key: str) -> bytes:
        try:
            return (folder / key).read_bytes()
        except OSError as error:
            raise unreadable(folder / key, error) from error

    try:
        check_files(folder, layouts)
        target.parent.mkdir(parents=True, exist_ok=True)
        # Chunks are compressed already.
        with open_part(part) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:

            def put(name: str, content: bytes) -> None:
                archive.writestr(zipfile.ZipInfo(name, date_time=(2020, 1, 1, 0, 0, 0)), content)

            put("zarr.json", seal(root))
            for name, metadata in root["consolidated_metadata"]["metadata"].items():
                put(f"{name}/zarr.json", to_json(metadata))
                for key in layouts[name].keys():  # noqa: SIM118 - not a mapping
                    content = read(f"{name}/{key}")
                    if fault := fault_of(layouts[name], content):
                        raise damaged(folder, f"{name}/{key} {fault}")
                    put(f"{name}/{key}", content)
        part.replace(target)
    except ExploreError:
        raise
    except OSError as error:
        raise RecordingFailed(
            f"{target} could not be written: {error}. "
            "The recording is unchanged; free disk space or choose another folder"
        ) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    return target


def require_variable(
    recordings: xarray.Dataset | Sequence[xarray.Dataset], name: str, kind: str
) -> list[xarray.Dataset]:
    """Return one recording or several as a list, and check that each contains a variable.

    Args:
        recordings: one recording or several.
        name: of the variable.
        kind: what the message calls recordings with this variable.

    Raises:
        InvalidInput: a recording does not contain the variable.
    """
    name = check_text("name", name)
    listed: list[Any] = [recordings]
    if not hasattr(recordings, "data_vars"):
        listed = check_items("recordings", recordings)
    for recording in listed:
        check_dataset(recording, "a recording")
        if name not in recording:
            method = recording.attrs.get("name")
            raise InvalidInput(
                f"expected a recording of {kind}; this one, of {method!r}, holds no {name}"
            )
    return listed


def frame_index(recording: xarray.Dataset, step: int | None = None) -> int:
    """Return the index of the last frame at or before a step.

    For ``None`` it is the index of the last frame. A step before the first frame has the index 0.

    Raises:
        InvalidInput: ``step`` is no number, or the dataset has no frames.
    """
    steps = steps_of(recording)
    if step is None:
        return len(steps) - 1
    step = check_number("step", step)  # type: ignore[assignment]
    return max(0, int(np.searchsorted(steps, step, side="right")) - 1)


def product_path(recording: str | os.PathLike[str], suffix: str) -> Path:
    """Return the path of a file beside a recording: ``runs/a.zarr`` → ``runs/a`` and the suffix."""
    path, suffix = check_path("recording", recording), check_text("suffix", suffix)
    if not path.name or "/" in suffix or "\0" in suffix:
        raise InvalidInput(
            f"recording must be the path of a recording, and suffix an end of a name, got "
            f"{str(recording)!r} and {suffix!r}"
        )
    return path.with_name(path.name.partition(".zarr")[0] + suffix)


_current_id: ContextVar[str] = ContextVar("recording_id", default="")


@contextmanager
def recording_id(identifier: str) -> Iterator[None]:
    """Write this ``id`` of a recording into the products that are saved inside the context."""
    token = _current_id.set(identifier)
    try:
        yield
    finally:
        _current_id.reset(token)


def current_recording_id() -> str:
    """Return the ``id`` of the recording whose product is being saved; empty if there is none."""
    return _current_id.get()


def steps_of(recording: xarray.Dataset) -> NDArray[Any]:
    """Return the numbers of the recorded steps.

    Raises:
        InvalidInput: it is no recording, or has no frames.
    """
    check_dataset(recording, "a recording")
    steps: NDArray[Any] = recording["step"].values if "step" in recording.variables else np.zeros(0)
    if not steps.size:
        raise InvalidInput("expected a recording with frames; this dataset has no step")
    return steps.reshape(-1)


def has_ended(recording: xarray.Dataset) -> bool:
    """Return whether a recording contains the last step that was planned for its run."""
    return int(steps_of(recording)[-1]) >= int(recording.attrs.get("steps", 0))


def describe_difference(recorded: Mapping[str, Any], present: Mapping[str, Any]) -> str:
    """Return one line for each key in which two configurations differ; "" if they are equal.

    Example:
        >>> print(describe_difference({"seed": 0, "method": "dm"}, {"seed": 1, "method": "dm"}))
          seed: recorded 0, now 1
    """
    for name, config in (("recorded", recorded), ("present", present)):
        if not isinstance(config, Mapping):
            raise InvalidInput(f"{name} must be a configuration, got {describe(config)}")
    recorded, present = json.loads(to_json(recorded)), json.loads(to_json(present))
    keys = [*recorded, *(key for key in present if key not in recorded)]
    missing = "nothing"
    return "\n".join(
        f"  {key}: recorded {recorded.get(key, missing)!r}, now {present.get(key, missing)!r}"
        for key in keys
        if recorded.get(key, missing) != present.get(key, missing)
    )


def check_dataset(value: Any, role: str = "a snapshot") -> None:
    """Refuse what is no ``xarray.Dataset``.

    Args:
        value: what to check.
        role: how the message calls it.

    Raises:
        InvalidInput: it is something else.
    """
    import xarray

    if not isinstance(value, xarray.Dataset):
        raise InvalidInput(f"{role} must be an xarray.Dataset, got {describe(value)}")


def check_frame(frame: xarray.Dataset) -> None:
    """Refuse a snapshot that cannot be a frame of a recording.

    Raises:
        InvalidInput: the snapshot has no data variables, or a variable has a name, dimensions or a
            type that recordings do not store.
    """
    from explore.core._array_layout import DTYPES, MAX_CHUNK_BYTES, is_plain_name

    check_dataset(frame)
    if not frame.data_vars:
        raise InvalidInput(
            "a snapshot needs at least one data variable; coordinates are stored only once"
        )
    for name, variable in frame.variables.items():
        about = f"snapshot variable {name!r}"
        if not is_plain_name(name):
            raise InvalidInput(
                f"{about} must have another name: each variable is a folder of the recording, so "
                "its name is a text without / and \\"
            )
        if "step" in variable.dims or name == "step":
            raise InvalidInput(f"{about} has a dimension 'step'; record() adds it")
        if len(set(variable.dims)) < variable.ndim or not all(
            isinstance(dim, str) for dim in variable.dims
        ):
            raise InvalidInput(
                f"{about} has the dimensions {variable.dims}; they must be different texts"
            )
        is_text = name in frame.coords and _holds_texts(variable.values)
        if variable.dtype.newbyteorder("=").name not in DTYPES and not is_text:
            raise InvalidInput(
                f"{about} has dtype {variable.dtype}; "
                "recordings store numbers and, as coordinates, text"
            )
        if not is_text and variable.size * variable.dtype.itemsize > MAX_CHUNK_BYTES:
            raise InvalidInput(f"{about} is larger than 2 GB; store it in parts")


def _holds_texts(values: Any) -> bool:
    if values.dtype.kind == "O":
        return all(isinstance(value, str) for value in values.reshape(-1).tolist())
    return bool(values.dtype.kind in "UT")
