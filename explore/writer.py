"""Writing a recording: allocate once, write frames in place, commit each by replacing one small file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from explore.errors import InvalidInput, RecordingBusy, RecordingFailed
from explore.recording import FORMAT, _dumps, check_frame

if TYPE_CHECKING:
    import xarray

CHUNK_BYTES = 1 << 18
"""Frames are grouped into chunks of about this size: one a chunk if large, many if small. A chunk
is rewritten whole for each frame in it (about 1 ms), and reading 400 small frames takes few reads."""


class Writer:
    """The one writer of a recording folder; a lock keeps a second one away.

    Use ``Writer.create`` or ``Writer.reopen`` as a context manager. ``steps`` lists the committed
    steps; ``append`` adds one.
    """

    def __init__(self, path: Path, lock: Any) -> None:
        import zarr

        self.path, self._lock = path, lock
        self._root = json.loads((path / "zarr.json").read_text())
        self._metadata: dict[str, dict[str, Any]] = self._root["consolidated_metadata"]["metadata"]
        self._arrays = {name: zarr.open_array(path / name, mode="r+") for name in self._metadata}
        self.steps: list[int] = self._arrays["step"][: self._metadata["step"]["shape"][0]].tolist()

    @property
    def config(self) -> dict[str, Any]:
        """What the recording says about the run that made it."""
        return self._root["attributes"]["config"]

    @property
    def attributes(self) -> dict[str, Any]:
        """All attributes of the recording."""
        return self._root["attributes"]

    @classmethod
    def create(cls, path: Path, attributes: Mapping[str, Any], frame: xarray.Dataset, step: int, capacity: int) -> Self:
        """Allocate a recording of up to ``capacity`` frames like ``frame`` and commit that frame as the first.

        The folder appears under its name only when its first frame is in it.
        """
        check_frame(frame)
        lock = lock_for(path)
        new = path.with_name(path.name + ".new")
        try:
            shutil.rmtree(new, ignore_errors=True)  # left by a writer that was killed right here
            _allocate(new, {"explore_format": FORMAT, **attributes}, frame, capacity)
            writer = cls(new, lock)
            writer.append(frame, step)
            new.rename(path)
        except OSError as error:
            lock.release()
            raise RecordingFailed(f"cannot create {path}: {error}. Nothing was kept; free space or choose a folder") from error
        except BaseException:
            lock.release()
            raise
        return cls(path, lock)

    @classmethod
    def reopen(cls, path: Path) -> Self:
        """Open an existing recording to go on with it."""
        lock = lock_for(path)
        try:
            return cls(path, lock)
        except BaseException:
            lock.release()
            raise

    def reserve(self, capacity: int) -> None:
        """Make room for ``capacity`` frames in all. Readers see nothing of it: they go by the committed metadata."""
        for name, array in self._arrays.items():
            if self._evolves(name) and array.shape[0] < capacity:
                array.resize((capacity, *array.shape[1:]))

    def append(self, frame: xarray.Dataset, step: int) -> None:
        """Write one frame and commit it.

        Raises:
            InvalidInput: variables, dimensions or dtypes are not those of the first frame.
            RecordingFailed: it could not be written (disk full, say); committed frames are untouched.
        """
        index = len(self.steps)
        self.reserve(index + 1)
        try:
            for name, array in self._arrays.items():
                if name == "step":
                    array[index] = step
                elif self._evolves(name):
                    values = self._like_first(frame, name)
                    array[index] = values
                    self._widen_range(name, values)
            self._commit([*self.steps, step])
        except OSError as error:
            raise RecordingFailed(
                f"frame of step {step} could not be written to {self.path}: {error}. "
                f"The {index} frames before it are kept; free space and record again, it goes on there"
            ) from error

    def close(self) -> None:
        """Let another writer in."""
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _evolves(self, name: str) -> bool:
        return "step" in (self._metadata[name]["dimension_names"] or ())

    def _like_first(self, frame: xarray.Dataset, name: str) -> np.ndarray:
        array, dims = self._arrays[name], self._metadata[name]["dimension_names"][1:]
        if name not in frame.data_vars:
            raise InvalidInput(f"the frame lacks {name!r}; the first frame had it, and all frames hold the same variables")
        variable = frame[name]
        if list(variable.dims) != dims or variable.shape != array.shape[1:] or variable.dtype != array.dtype:
            raise InvalidInput(
                f"{name!r} is {variable.dtype} {dict(variable.sizes)}; "
                f"the first frame had {array.dtype} {dict(zip(dims, array.shape[1:], strict=True))}"
            )
        return variable.values

    def _widen_range(self, name: str, values: np.ndarray) -> None:
        attributes = self._metadata[name]["attributes"]
        attributes.update(_actual_range(values, attributes.get("actual_range")))

    def _commit(self, steps: list[int]) -> None:
        for name, metadata in self._metadata.items():
            if self._evolves(name):
                metadata["shape"][0] = len(steps)
        part = self.path.with_name(self.path.name + ".commit")
        part.write_bytes(_dumps(self._root))
        part.replace(self.path / "zarr.json")
        self.steps = steps


def lock_for(path: Path) -> Any:
    """Hold the writers' lock of ``path``; the system frees it when the process ends, however it ends.

    Raises:
        RecordingBusy: somebody else holds it.
    """
    from filelock import FileLock, Timeout

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_name(path.name + ".lock"), thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise RecordingBusy(f"{path} is being written by another run; stop that one or record to another path") from error
    return lock


def _actual_range(values: np.ndarray, known: list[float] | None = None) -> dict[str, list[float]]:
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    if values.dtype.kind not in "biuf" or not finite.size:
        return {}
    low, high = float(finite.min()), float(finite.max())
    return {"actual_range": [min(low, known[0]), max(high, known[1])] if known else [low, high]}


def _allocate(path: Path, attributes: Mapping[str, Any], frame: xarray.Dataset, capacity: int) -> None:
    import zarr
    from zarr.codecs import BloscCodec, Crc32cCodec, ZstdCodec
    from zarr.core.dtype import VariableLengthUTF8

    group = zarr.open_group(path, mode="w", zarr_format=3)

    def array(name: str, shape: tuple[int, ...], chunks: tuple[int, ...], values: np.ndarray, dims: Any, about: Any) -> Any:
        text = values.dtype.kind in "OUT"
        packed = ZstdCodec() if text else BloscCodec(cname="zstd", clevel=5, shuffle="bitshuffle", typesize=values.itemsize)
        return group.create_array(
            name,
            shape=shape,
            chunks=tuple(max(1, size) for size in chunks),
            dtype=VariableLengthUTF8() if text else values.dtype,
            dimension_names=dims,
            compressors=(packed, Crc32cCodec()),
            attributes=json.loads(_dumps(about)),
            config={"write_empty_chunks": True},  # a missing chunk means damage, never "all zero"
        )

    array("step", (capacity,), (capacity,), np.zeros(1, np.int64), ("step",), {"long_name": "step", "units": "1"})
    for name, variable in frame.variables.items():
        values, dims = np.asarray(variable.values), [str(dim) for dim in variable.dims]
        if name in frame.coords:
            about = {**variable.attrs, **_actual_range(values)}
            array(str(name), values.shape, values.shape, values, dims, about)[...] = values
        else:
            together = int(np.clip(CHUNK_BYTES // max(1, values.nbytes), 1, capacity))
            array(str(name), (capacity, *values.shape), (together, *values.shape), values, ["step", *dims], variable.attrs)
    metadata = {name: json.loads((path / name / "zarr.json").read_text()) for name in ("step", *map(str, frame.variables))}
    root = json.loads((path / "zarr.json").read_text())
    root["attributes"] = json.loads(_dumps(attributes))
    root["consolidated_metadata"] = {"kind": "inline", "must_understand": False, "metadata": metadata}
    for entry in metadata.values():
        if "step" in entry["dimension_names"]:
            entry["shape"][0] = 0
    (path / "zarr.json").write_bytes(_dumps(root))
