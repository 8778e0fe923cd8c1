"""Write a recording: allocate it once, write frames in place, commit each by replacing one small
file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from explore.core._format import FORMAT, chunk_keys, damaged, read_root, seal, to_json
from explore.core.recording import check_frame
from explore.errors import InvalidInput, RecordingBusy, RecordingFailed

if TYPE_CHECKING:
    import xarray

CHUNK_BYTES = 1 << 18
"""The approximate size of a chunk: it holds one large frame or many small ones. Each frame rewrites
its chunk (1 to 2 ms), and 400 small frames are read with few operations."""


class Writer:
    """The only writer of a recording folder; a lock excludes a second one.

    Use ``Writer.create`` or ``Writer.reopen`` as a context manager. ``steps`` lists the committed
    steps; ``append`` adds one.
    """

    def __init__(self, path: Path, lock: Any) -> None:
        import zarr

        self.path, self._lock = path, lock
        self._root = read_root(path)
        self._metadata: dict[str, dict[str, Any]] = self._root["consolidated_metadata"]["metadata"]
        # Zarr would fill a missing chunk with zeros and then write the next frame into it.
        missing = [
            f"{name}/{key}"
            for name, metadata in self._metadata.items()
            for key in chunk_keys(metadata)
            if not (path / name / key).is_file()
        ]
        if missing:
            raise damaged(path, f"{', '.join(missing)} missing")
        try:
            # Zarr does not store this option with the arrays.
            with zarr.config.set({"array.write_empty_chunks": True}):
                self._arrays = {
                    name: zarr.open_array(path / name, mode="r+") for name in self._metadata
                }
            count = self._metadata["step"]["shape"][0]
            self.steps: list[int] = np.asarray(self._arrays["step"][:count]).tolist()
        except Exception as error:  # A damaged file makes Zarr fail in many ways.
            raise damaged(path, f"{type(error).__name__}: {error}") from error

    @property
    def attributes(self) -> dict[str, Any]:
        """All attributes of the recording; changes are written with the next frame or commit."""
        attributes: dict[str, Any] = self._root["attributes"]
        return attributes

    @classmethod
    def create(
        cls,
        path: Path,
        attributes: Mapping[str, Any],
        frame: xarray.Dataset,
        step: int,
        capacity: int,
    ) -> Self:
        """Allocate a recording for up to ``capacity`` frames like ``frame`` and commit this frame.

        The recording also gets the attributes of the frame, under names that it does not use
        itself. The folder gets its name only when the first frame is complete.
        """
        check_frame(frame)
        lock = lock_for(path)
        new = path.with_name(path.name + ".new")
        try:
            shutil.rmtree(new, ignore_errors=True)  # An earlier writer may have been killed here.
            _allocate(new, {"explore_format": FORMAT, **frame.attrs, **attributes}, frame, capacity)
            writer = cls(new, lock)
            writer.append(frame, step)
            new.rename(path)
        except BaseException as error:
            shutil.rmtree(new, ignore_errors=True)
            lock.release()
            if isinstance(error, OSError):
                raise RecordingFailed(
                    f"cannot create {path}: {error}. "
                    "No file remains; free disk space or choose another folder"
                ) from error
            raise
        return cls(path, lock)

    @classmethod
    def reopen(cls, path: Path) -> Self:
        """Open an existing recording to append frames."""
        lock = lock_for(path)
        try:
            return cls(path, lock)
        except BaseException:
            lock.release()
            raise

    def reserve(self, capacity: int) -> None:
        """Extend the arrays to ``capacity`` frames. Readers use the committed metadata only."""
        try:
            for name, array in self._arrays.items():
                if self._evolves(name) and array.shape[0] < capacity:
                    array.resize((capacity, *array.shape[1:]))
        except OSError as error:
            raise RecordingFailed(
                f"cannot extend {self.path}: {error}. All earlier frames are kept; free disk space"
            ) from error

    def append(self, frame: xarray.Dataset, step: int) -> None:
        """Write one frame and commit it.

        Raises:
            InvalidInput: variables, dimensions or dtypes differ from those of the first frame.
            RecordingDamaged: other frames in the same chunk cannot be read.
            RecordingFailed: the frame could not be written, for example because the disk is full.
                Committed frames are unchanged.
        """
        index = len(self.steps)
        values = self._check_like_first(frame)
        self.reserve(index + 1)
        try:
            self._arrays["step"][index] = step
            for name, value in values.items():
                self._arrays[name][index] = value
            self._commit([*self.steps, step], values)
        except OSError as error:
            raise RecordingFailed(
                f"frame of step {step} could not be written to {self.path}: {error}. "
                f"The {index} frames before it are kept; "
                "free disk space and record again to continue"
            ) from error
        except ValueError as error:
            raise damaged(self.path, f"frame of step {step} could not be added: {error}") from error

    def commit(self) -> None:
        """Write the present attributes.

        Raises:
            RecordingFailed: they could not be written; those on disk are unchanged.
        """
        try:
            self._commit(self.steps, {})
        except OSError as error:
            raise RecordingFailed(
                f"{self.path} could not be written: {error}. All frames are kept"
            ) from error

    def close(self) -> None:
        """Release the lock."""
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _evolves(self, name: str) -> bool:
        return "step" in (self._metadata[name]["dimension_names"] or ())

    def _check_like_first(self, frame: xarray.Dataset) -> dict[str, np.ndarray[Any, Any]]:
        first = {name for name in self._arrays if name != "step" and self._evolves(name)}
        if first != set(frame.data_vars):
            names = sorted(map(str, frame.data_vars))
            raise InvalidInput(
                f"all frames must have the same variables; "
                f"the first frame has {sorted(first)}, this one has {names}"
            )
        for name in first:
            variable, array = frame[name], self._arrays[name]
            dims = self._metadata[name]["dimension_names"][1:]
            sizes = dict(zip(dims, array.shape[1:], strict=True))
            if (*variable.sizes.items(), variable.dtype) != (*sizes.items(), array.dtype):
                raise InvalidInput(
                    f"{name!r} is {variable.dtype} {dict(variable.sizes)}; "
                    f"in the first frame it is {array.dtype} {sizes}"
                )
        return {name: frame[name].values for name in first}

    def _commit(self, steps: list[int], values: Mapping[str, np.ndarray]) -> None:
        root = json.loads(to_json(self._root))  # A failure must not change self._root.
        for name, metadata in root["consolidated_metadata"]["metadata"].items():
            if self._evolves(name):
                metadata["shape"][0] = len(steps)
            if name in values:
                attributes = metadata["attributes"]
                attributes |= _actual_range(values[name], attributes.get("actual_range"))
        part = self.path.with_name(self.path.name + ".commit")
        part.write_bytes(seal(root))
        part.replace(self.path / "zarr.json")
        self._root, self._metadata = root, root["consolidated_metadata"]["metadata"]
        self.steps = steps


def lock_for(path: Path) -> Any:
    """Acquire the writers' lock of ``path``; the system releases it when the process ends.

    Raises:
        RecordingBusy: another writer holds it.
        RecordingFailed: the folder around ``path`` is not writable.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path.with_name(path.name + ".lock"), thread_local=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise RecordingBusy(
            f"{path} is being written by another run; stop that run or record to another path"
        ) from error
    except OSError as error:
        raise RecordingFailed(
            f"cannot record to {path}: {error}. Choose a folder that is writable"
        ) from error
    return lock


def _actual_range(
    values: np.ndarray[Any, Any], earlier: list[float] | None = None
) -> dict[str, list[float]]:
    """Return the CF attribute ``actual_range`` of finite numbers, joined with an earlier one."""
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    if values.dtype.kind not in "biuf" or not finite.size:
        return {}
    low, high = float(finite.min()), float(finite.max())
    return {
        "actual_range": [min(low, earlier[0]), max(high, earlier[1])] if earlier else [low, high]
    }


def _allocate(
    path: Path, attributes: Mapping[str, Any], frame: xarray.Dataset, capacity: int
) -> None:
    import zarr

    group = zarr.open_group(path, mode="w", zarr_format=3)
    step = np.zeros(1, np.int64)
    about_step = {"long_name": "step", "units": "1"}
    _create_array(group, "step", step, (capacity,), capacity, ["step"], about_step)
    for name, variable in frame.variables.items():
        values, dims = np.asarray(variable.values), [str(dim) for dim in variable.dims]
        if name in frame.coords:
            about = {**variable.attrs, **_actual_range(values)}
            array = _create_array(group, str(name), values, values.shape, None, dims, about)
            array[...] = values
        else:
            frames = int(np.clip(CHUNK_BYTES // max(1, values.nbytes), 1, capacity))
            shape, dims = (capacity, *values.shape), ["step", *dims]
            _create_array(group, str(name), values, shape, frames, dims, variable.attrs)
    metadata = {
        name: json.loads((path / name / "zarr.json").read_text())
        for name in ("step", *map(str, frame.variables))
    }
    root = json.loads((path / "zarr.json").read_text())
    root["attributes"] = json.loads(to_json(attributes))
    root["consolidated_metadata"] = {
        "kind": "inline",
        "must_understand": False,
        "metadata": metadata,
    }
    for entry in metadata.values():
        if "step" in entry["dimension_names"]:
            entry["shape"][0] = 0
    (path / "zarr.json").write_bytes(seal(root))


def _create_array(
    group: Any,
    name: str,
    values: np.ndarray[Any, Any],
    shape: tuple[int, ...],
    frames: int | None,
    dims: list[str],
    attributes: Mapping[Any, Any],
) -> Any:
    """Create an array for values of this dtype, with ``frames`` of them in a chunk (None: one
    chunk)."""
    from zarr.codecs import BloscCodec, Crc32cCodec, ZstdCodec
    from zarr.core.dtype import VariableLengthUTF8

    text = values.dtype.kind in "OUT"
    size = values.itemsize
    blosc = BloscCodec(cname="zstd", clevel=5, shuffle="bitshuffle", typesize=size)
    chunks = shape if frames is None else (frames, *shape[1:])
    return group.create_array(
        name,
        shape=shape,
        chunks=tuple(max(1, size) for size in chunks),
        dtype=VariableLengthUTF8() if text else values.dtype,
        dimension_names=dims,
        compressors=(ZstdCodec() if text else blosc, Crc32cCodec()),
        attributes=json.loads(to_json(attributes)),
        config={"write_empty_chunks": True},  # A missing chunk is damage, never all zeros.
    )
