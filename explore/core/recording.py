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
import math
import os
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explore.errors import DataMissing, InvalidInput, RecordingDamaged

if TYPE_CHECKING:
    import xarray
    from zarr.abc.store import Store

FORMAT = 1
"""Value of the attribute ``explore_format`` in recordings that this version writes and reads."""


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

    store = _checked(_store(str(path)), str(path))
    try:
        dataset = xarray.open_zarr(store, consolidated=True, chunks=None, decode_cf=False)  # type: ignore[arg-type]
    except RecordingDamaged:
        raise
    except FileNotFoundError as error:
        if "://" in str(path):
            raise DataMissing(
                f"nothing at {path}, or not a recording: there is no zarr.json"
            ) from error
        raise RecordingDamaged(
            _damaged(path, "it holds no Zarr group (no zarr.json). Is it a recording?")
        ) from error
    except Exception as error:  # any reader fails in its own way on a damaged file
        if "://" in str(path) and isinstance(error, OSError):
            raise DataMissing(f"{path} cannot be reached: {error}") from error
        raise RecordingDamaged(
            _damaged(path, f"its metadata cannot be read ({type(error).__name__}: {error})")
        ) from error
    if dataset.attrs.get("explore_format") != FORMAT:
        found = dataset.attrs.get("explore_format", "none")
        raise RecordingDamaged(
            f"{path} has explore_format {found}; this version reads {FORMAT}. Is it a recording?"
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
    root = _read_root(folder)
    part = target.with_name(target.name + ".part")
    try:
        with zipfile.ZipFile(
            part, "w", zipfile.ZIP_STORED
        ) as archive:  # chunks are compressed already

            def put(name: str, content: bytes) -> None:
                archive.writestr(zipfile.ZipInfo(name, date_time=(2020, 1, 1, 0, 0, 0)), content)

            put("zarr.json", _sealed(root))
            for name, metadata in root["consolidated_metadata"]["metadata"].items():
                put(f"{name}/zarr.json", _dumps(metadata))
                for key in _chunk_keys(metadata):
                    try:
                        put(f"{name}/{key}", (folder / name / key).read_bytes())
                    except FileNotFoundError as error:
                        raise RecordingDamaged(
                            _damaged(folder, f"{name}/{key} is missing")
                        ) from error
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return target


def that_hold(
    recordings: xarray.Dataset | Sequence[xarray.Dataset], variable: str, what: str
) -> list[xarray.Dataset]:
    """One recording or several as a list, each of which must hold ``variable``, as recordings of ``what`` do.

    Raises:
        InvalidInput: one of them does not.
    """
    given: list[Any] = [recordings] if hasattr(recordings, "data_vars") else list(recordings)
    for recording in given:
        if variable not in recording:
            raise InvalidInput(
                f"expected a recording of {what}; this one, of {recording.attrs.get('name')!r}, holds no {variable}"
            )
    return given


def describe_difference(recorded: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    """One line for each key in which two configurations differ; empty if they do not.

    Example:
        >>> print(describe_difference({"seed": 0, "method": "dm"}, {"seed": 1, "method": "dm"}))
          seed: recorded 0, now 1
    """
    recorded, given = json.loads(_dumps(recorded)), json.loads(_dumps(given))
    keys = [*recorded, *(key for key in given if key not in recorded)]
    missing = "nothing"
    return "\n".join(
        f"  {key}: recorded {recorded.get(key, missing)!r}, now {given.get(key, missing)!r}"
        for key in keys
        if recorded.get(key, missing) != given.get(key, missing)
    )


def _dumps(value: Any, indent: int | None = None) -> bytes:
    separators = (",", ":") if indent is None else None
    return json.dumps(
        value, ensure_ascii=False, default=list, separators=separators, indent=indent
    ).encode()


def _sealed(root: dict[str, Any]) -> bytes:
    """The content of a recording's ``zarr.json``: ``root`` with its own checksum among the attributes."""
    import google_crc32c

    root["attributes"].pop("checksum", None)
    root["attributes"]["checksum"] = google_crc32c.value(_dumps(root))
    return _dumps(root)


def _unsealed(content: bytes, path: object) -> dict[str, Any]:
    """The inverse of ``_sealed``; raises RecordingDamaged if this is not what was written."""
    import google_crc32c

    try:
        root = json.loads(content)
        checksum = root["attributes"].pop("checksum", None)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise RecordingDamaged(_damaged(path, f"zarr.json cannot be read ({error})")) from error
    written = (
        _dumps(root),
        _dumps(root, indent=1),
    )  # the first recordings were indented, which took long to write
    if checksum not in (None, *map(google_crc32c.value, written)):
        raise RecordingDamaged(_damaged(path, "zarr.json is not as it was written"))
    return root


def _read_root(folder: Path) -> dict[str, Any]:
    """The metadata of a recording folder: of the group, and in it of every array."""
    if not (folder / "zarr.json").is_file():
        raise DataMissing(f"{folder} is not a recording folder (no zarr.json in it)")
    root = _unsealed((folder / "zarr.json").read_bytes(), folder)
    if root["attributes"].get("explore_format") != FORMAT or "consolidated_metadata" not in root:
        raise RecordingDamaged(
            f"{folder} is not a recording that this version writes (explore_format {FORMAT})"
        )
    return root


def _damaged(path: object, why: str) -> str:
    return f"{path} is damaged: {why}. Put a whole copy in its place, or remove it and record again"


def _chunk_keys(metadata: Mapping[str, Any]) -> Iterator[str]:
    """Keys of all chunks that an array with this metadata has, relative to the array."""
    sizes = metadata["chunk_grid"]["configuration"]["chunk_shape"]
    counts = [
        math.ceil(length / size) for length, size in zip(metadata["shape"], sizes, strict=True)
    ]
    for index in product(*map(range, counts)):
        yield "/".join(["c", *map(str, index)])


def _store(path: str) -> Store:
    """The Zarr store behind a path or URL, read-only."""
    from zarr.storage import FsspecStore, LocalStore, ZipStore

    if "://" in path:
        import fsspec

        if not path.endswith(".zip"):
            return FsspecStore.from_url(path, read_only=True)
        try:
            path = fsspec.open_local(f"simplecache::{path}")
        except FileNotFoundError as error:
            raise DataMissing(f"nothing at {path}") from error
        except OSError as error:
            raise DataMissing(f"{path} cannot be reached: {error}") from error
    if not Path(path).exists():
        raise DataMissing(
            f"{path} does not exist; expected a recording (a folder, a .zarr.zip file or a URL)"
        )
    if Path(path).is_dir():
        return LocalStore(path, read_only=True)
    try:
        store = ZipStore(path, mode="r")
        store._sync_open()
    except Exception as error:
        raise RecordingDamaged(_damaged(path, f"it is not a whole zip file ({error})")) from error
    return store


def _checked(store: Store, path: str) -> Store:
    """Wrap a store so that a chunk that is missing or not as it was written raises RecordingDamaged."""
    import google_crc32c
    from zarr.storage import WrapperStore, ZipStore

    class Checked(WrapperStore):  # type: ignore[type-arg]
        async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
            try:
                value = await super().get(key, prototype, byte_range)
            except Exception as error:  # a damaged zip file fails in many ways; other stores only if they cannot be reached
                if not isinstance(store, ZipStore):
                    raise
                raise RecordingDamaged(_damaged(path, f"{key} cannot be read ({error})")) from error
            if key == "zarr.json" and value is not None:
                _unsealed(value.to_bytes(), path)
            if "/c/" in key or key.endswith("/c"):
                if value is None:
                    raise RecordingDamaged(_damaged(path, f"{key} is missing"))
                content = value.to_bytes()
                if len(content) < 4 or int.from_bytes(
                    content[-4:], "little"
                ) != google_crc32c.value(content[:-4]):
                    raise RecordingDamaged(_damaged(path, f"{key} is not as it was written"))
            return value

    return Checked(store)


def check_frame(frame: xarray.Dataset) -> None:
    """Refuse a snapshot that cannot be a frame of a recording.

    Raises:
        InvalidInput: it holds no variables, or one of them is of a kind that recordings do not keep.
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
