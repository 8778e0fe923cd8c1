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
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from explore.core._format import FORMAT, chunk_keys, damaged, read_root, seal, to_json
from explore.errors import DataMissing, InvalidInput, RecordingDamaged

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
        DataMissing: ``path`` does not exist.
        RecordingDamaged: it is not a recording, or it is damaged. Damage inside a frame is
            detected when that frame is read.

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

    from explore.core._checked_store import open_store

    store = open_store(str(path))
    try:
        dataset: xarray.Dataset = xarray.open_zarr(
            store, consolidated=True, chunks=None, decode_cf=False
        )
    except RecordingDamaged:
        raise
    except FileNotFoundError as error:
        if "://" in str(path):
            raise DataMissing(
                f"{path} does not exist or is not a recording: there is no zarr.json"
            ) from error
        raise damaged(path, "it is no Zarr group (no zarr.json). Is it a recording?") from error
    except Exception as error:  # readers raise different errors for damaged files
        if "://" in str(path) and isinstance(error, OSError):
            raise DataMissing(f"{path} cannot be reached: {error}") from error
        raise damaged(
            path, f"its metadata cannot be read ({type(error).__name__}: {error})"
        ) from error
    if dataset.attrs.get("explore_format") != FORMAT:
        number = dataset.attrs.get("explore_format", "none")
        raise RecordingDamaged(
            f"{path} has explore_format {number}; this version reads {FORMAT}. Is it a recording?"
        )
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
        RecordingDamaged: a chunk is missing, or the folder's metadata cannot be read.
    """
    folder, target = Path(recording), Path(to)
    root = read_root(folder)
    part = target.with_name(target.name + ".part")
    try:
        with zipfile.ZipFile(
            part, "w", zipfile.ZIP_STORED
        ) as archive:  # chunks are compressed already

            def put(name: str, content: bytes) -> None:
                archive.writestr(zipfile.ZipInfo(name, date_time=(2020, 1, 1, 0, 0, 0)), content)

            put("zarr.json", seal(root))
            for name, metadata in root["consolidated_metadata"]["metadata"].items():
                put(f"{name}/zarr.json", to_json(metadata))
                for key in chunk_keys(metadata):
                    try:
                        put(f"{name}/{key}", (folder / name / key).read_bytes())
                    except FileNotFoundError as error:
                        raise damaged(folder, f"{name}/{key} is missing") from error
        part.replace(target)
    finally:
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
    listed: list[Any] = [recordings] if hasattr(recordings, "data_vars") else list(recordings)
    for recording in listed:
        if name not in recording:
            method = recording.attrs.get("name")
            raise InvalidInput(
                f"expected a recording of {kind}; this one, of {method!r}, holds no {name}"
            )
    return listed


def frame_index(recording: xarray.Dataset, step: int | None = None) -> int:
    """Return the index of the last frame at or before a step.

    For ``None`` it is the index of the last frame. A step before the first frame has the index 0.
    """
    steps = recording["step"].values
    if step is None:
        return len(steps) - 1
    return max(0, int(np.searchsorted(steps, step, side="right")) - 1)


def product_path(recording: str | os.PathLike[str], suffix: str) -> Path:
    """Return the path of a file beside a recording: ``runs/a.zarr`` → ``runs/a`` and the suffix."""
    path = Path(recording)
    return path.with_name(path.name.partition(".zarr")[0] + suffix)


def has_ended(recording: xarray.Dataset) -> bool:
    """Return whether a recording contains the last step that was planned for its run."""
    return int(recording["step"][-1]) >= int(recording.attrs.get("steps", 0))


def describe_difference(recorded: Mapping[str, Any], present: Mapping[str, Any]) -> str:
    """Return one line for each key in which two configurations differ; "" if they are equal.

    Example:
        >>> print(describe_difference({"seed": 0, "method": "dm"}, {"seed": 1, "method": "dm"}))
          seed: recorded 0, now 1
    """
    recorded, present = json.loads(to_json(recorded)), json.loads(to_json(present))
    keys = [*recorded, *(key for key in present if key not in recorded)]
    missing = "nothing"
    return "\n".join(
        f"  {key}: recorded {recorded.get(key, missing)!r}, now {present.get(key, missing)!r}"
        for key in keys
        if recorded.get(key, missing) != present.get(key, missing)
    )


def check_frame(frame: xarray.Dataset) -> None:
    """Refuse a snapshot that cannot be a frame of a recording.

    Raises:
        InvalidInput: the snapshot has no data variables, or a variable has a type that recordings
            do not store.
    """
    if not frame.data_vars:
        raise InvalidInput(
            "a snapshot needs at least one data variable; coordinates are stored only once"
        )
    for name, variable in frame.variables.items():
        if "step" in variable.dims or name == "step":
            raise InvalidInput(
                f"snapshot variable {name!r} has a dimension 'step'; record() adds it"
            )
        if variable.dtype.kind not in "biuf" and not (
            variable.dtype.kind in "OUT" and name in frame.coords
        ):
            raise InvalidInput(
                f"snapshot variable {name!r} has dtype {variable.dtype}; "
                "recordings store numbers and, as coordinates, text"
            )
