"""Recordings: what a run looked like, step by step, as an xarray.Dataset that lives on Zarr.

A recording is a folder ``run.zarr`` (or one file ``run.zarr.zip``) that any Zarr 3 reader opens.
Data variables have ``step`` as their first dimension, one entry a frame; what does not change
over a run is a coordinate and is stored once. Two things make a recording safe to read at any
moment, also while it is being written or after its writer was killed:

* the group's own ``zarr.json`` holds the metadata of every array (Zarr's consolidated metadata),
  with the number of *committed* frames as the length of ``step``. A frame is committed by
  replacing that one small file atomically, so a reader sees whole frames or does not see them;
* every chunk ends in a CRC-32C, the group's ``zarr.json`` holds its own as the attribute
  ``checksum``, and no chunk may be missing. What is cut short, overwritten or lost is reported as
  ``RecordingDamaged`` by name, not read as zeros.
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
    """Open a recording read-only; frames are read when they are looked at.

    Args:
        path: a folder (``run.zarr``), a packed file (``run.zarr.zip``) or the URL of either.

    Returns:
        Dataset with dimension ``step`` (the step numbers that were recorded) and, in ``attrs``,
        ``config`` (what repeats the run), ``versions`` and ``threads``.

    Raises:
        DataMissing: there is nothing at ``path``.
        RecordingDamaged: it is not a recording, or it cannot be read as it was written.
            Damage inside a frame is found when that frame is read.

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
                f"nothing at {path}, or not a recording: there is no zarr.json"
            ) from error
        raise damaged(path, "it holds no Zarr group (no zarr.json). Is it a recording?") from error
    except Exception as error:  # any reader fails in its own way on a damaged file
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
    """Copy the committed frames of the folder ``recording`` into one file, byte for byte the same each time.

    Args:
        recording: a recording folder.
        to: the file to write, usually ``NAME.zarr.zip``; replaced atomically if it exists.

    Raises:
        DataMissing: ``recording`` is not a folder with a recording in it.
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
    """Return one recording or several as a list, each of which holds a variable.

    Args:
        recordings: one recording, or some.
        name: of the variable that each must hold.
        kind: what recordings with this variable are called in the message.

    Raises:
        InvalidInput: one of them does not hold the variable.
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
    """Return the index of the last frame at or before a step; of the last frame of all for ``None``.

    A step before the first frame has the index 0.
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
    """Return whether the run reached the last step that was planned when it was last recorded."""
    return int(recording["step"][-1]) >= int(recording.attrs.get("steps", 0))


def describe_difference(recorded: Mapping[str, Any], present: Mapping[str, Any]) -> str:
    """Return one line for each key in which two configurations differ; empty if they do not.

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
        InvalidInput: it holds no variables, or one of them is of a kind that recordings do not
            keep.
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
                f"snapshot variable {name!r} has dtype {variable.dtype}; recordings keep numbers and, as coordinates, text"
            )
