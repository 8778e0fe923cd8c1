"""Writing a recording: allocate once, write frames in place, commit each by replacing one small file."""

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
"""Frames are grouped into chunks of about this size: one a chunk if large, many if small. A chunk
is rewritten whole for each frame in it (1 to 2 ms), and reading 400 small frames takes few reads."""


class Writer:
    """The one writer of a recording folder; a lock keeps a second one away.

    Use ``Writer.create`` or ``Writer.reopen`` as a context manager. ``steps`` lists the committed
    steps; ``append`` adds one.
    """

    def __init__(self, path: Path, lock: Any) -> None:
        import zarr

        self.path, self._lock = path, lock
        self._root = read_root(path)
        self._metadata: dict[str, dict[str, Any]] = self._root["consolidated_metadata"]["metadata"]
        lost = [
            f"{name}/{key}" for name, about in self._metadata.items() for key in chunk_keys(about)
        ]
        lost = [
            key for key in lost if not (path / key).is_file()
        ]  # filled with zeros if it were written to again
        if lost:
            raise damaged(path, f"{', '.join(lost)} missing")
        try:
            with zarr.config.set(
                {"array.write_empty_chunks": True}
            ):  # what the arrays were created with is not stored
                self._arrays = {
                    name: zarr.open_array(path / name, mode="r+") for name in self._metadata
                }
            self.steps: list[int] = np.asarray(
                self._arrays["step"][: self._metadata["step"]["shape"][0]]
            ).tolist()
        except Exception as error:  # any reader fails in its own way on a damaged file
            raise damaged(path, f"{type(error).__name__}: {error}") from error

    @property
    def config(self) -> dict[str, Any]:
        """What the recording says about the run that made it."""
        return self._root["attributes"]["config"]

    @property
    def seconds(self) -> float:
        """Spent in the steps so far, of all runs that wrote here; on disk as of the last frame."""
        return self._root["attributes"].get("seconds", 0.0)

    @seconds.setter
    def seconds(self, value: float) -> None:
        self._root["attributes"]["seconds"] = value

    @property
    def attributes(self) -> dict[str, Any]:
        """All attributes of the recording."""
        return self._root["attributes"]

    @classmethod
    def create(
        cls,
        path: Path,
        attributes: Mapping[str, Any],
        frame: xarray.Dataset,
        step: int,
        capacity: int,
    ) -> Self:
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
            shutil.rmtree(new, ignore_errors=True)
            lock.release()
            raise RecordingFailed(
                f"cannot create {path}: {error}. Nothing was kept; free space or choose a folder"
            ) from error
        except BaseException:
            shutil.rmtree(new, ignore_errors=True)
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
        try:
            for name, array in self._arrays.items():
                if self._evolves(name) and array.shape[0] < capacity:
                    array.resize((capacity, *array.shape[1:]))
        except OSError as error:
            raise RecordingFailed(
                f"no room for more frames in {self.path}: {error}. All frames so far are kept"
            ) from error

    def append(self, frame: xarray.Dataset, step: int) -> None:
        """Write one frame and commit it.

        Raises:
            InvalidInput: variables, dimensions or dtypes are not those of the first frame.
            RecordingDamaged: frames that share a chunk with this one cannot be read any more.
            RecordingFailed: it could not be written (disk full, say); committed frames are untouched.
        """
        index = len(self.steps)
        values = self._like_first(frame)
        self.reserve(index + 1)
        try:
            self._arrays["step"][index] = step
            for name, value in values.items():
                self._arrays[name][index] = value
            self._commit([*self.steps, step], values)
        except OSError as error:
            raise RecordingFailed(
                f"frame of step {step} could not be written to {self.path}: {error}. "
                f"The {index} frames before it are kept; free space and record again, it goes on there"
            ) from error
        except ValueError as error:
            raise damaged(self.path, f"frame of step {step} could not be added: {error}") from error

    def commit(self) -> None:
        """Write the attributes as they are now.

        Raises:
            RecordingFailed: they could not be written; those on disk are kept.
        """
        try:
            self._commit(self.steps, {})
        except OSError as error:
            raise RecordingFailed(
                f"{self.path} could not be written: {error}. All frames are kept"
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

    def _like_first(self, frame: xarray.Dataset) -> dict[str, np.ndarray]:
        first = {name for name in self._arrays if name != "step" and self._evolves(name)}
        if first != set(frame.data_vars):
            now = sorted(map(str, frame.data_vars))
            raise InvalidInput(
                f"all frames hold the same variables; the first had {sorted(first)}, this one {now}"
            )
        for name in first:
            variable, array, dims = (
                frame[name],
                self._arrays[name],
                self._metadata[name]["dimension_names"][1:],
            )
            if (
                list(variable.dims) != dims
                or variable.shape != array.shape[1:]
                or variable.dtype != array.dtype
            ):
                raise InvalidInput(
                    f"{name!r} is {variable.dtype} {dict(variable.sizes)}; "
                    f"the first frame had {array.dtype} {dict(zip(dims, array.shape[1:], strict=True))}"
                )
        return {name: frame[name].values for name in first}

    def _commit(self, steps: list[int], values: Mapping[str, np.ndarray]) -> None:
        root = json.loads(to_json(self._root))  # a copy, so that a failure here leaves no trace
        for name, metadata in root["consolidated_metadata"]["metadata"].items():
            if self._evolves(name):
                metadata["shape"][0] = len(steps)
            if name in values:
                metadata["attributes"].update(
                    _actual_range(values[name], metadata["attributes"].get("actual_range"))
                )
        part = self.path.with_name(self.path.name + ".commit")
        part.write_bytes(seal(root))
        part.replace(self.path / "zarr.json")
        self._root, self._metadata = root, root["consolidated_metadata"]["metadata"]
        self.steps = steps


def lock_for(path: Path) -> Any:
    """Hold the writers' lock of ``path``; the system frees it when the process ends, however it ends.

    Raises:
        RecordingBusy: somebody else holds it.
        RecordingFailed: the folder around ``path`` cannot be written to.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path.with_name(path.name + ".lock"), thread_local=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise RecordingBusy(
            f"{path} is being written by another run; stop that one or record to another path"
        ) from error
    except OSError as error:
        raise RecordingFailed(
            f"cannot record to {path}: {error}. Choose a folder that can be written to"
        ) from error
    return lock


def _actual_range(values: np.ndarray, known: list[float] | None = None) -> dict[str, list[float]]:
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    if values.dtype.kind not in "biuf" or not finite.size:
        return {}
    low, high = float(finite.min()), float(finite.max())
    return {"actual_range": [min(low, known[0]), max(high, known[1])] if known else [low, high]}


def _allocate(
    path: Path, attributes: Mapping[str, Any], frame: xarray.Dataset, capacity: int
) -> None:
    import zarr
    from zarr.codecs import BloscCodec, Crc32cCodec, ZstdCodec
    from zarr.core.dtype import VariableLengthUTF8

    group = zarr.open_group(path, mode="w", zarr_format=3)

    def array(
        name: str,
        shape: tuple[int, ...],
        chunks: tuple[int, ...],
        values: np.ndarray,
        dims: Any,
        about: Any,
    ) -> Any:
        text = values.dtype.kind in "OUT"
        packed = (
            ZstdCodec()
            if text
            else BloscCodec(cname="zstd", clevel=5, shuffle="bitshuffle", typesize=values.itemsize)
        )
        return group.create_array(
            name,
            shape=shape,
            chunks=tuple(max(1, size) for size in chunks),
            dtype=VariableLengthUTF8() if text else values.dtype,  # type: ignore[arg-type]
            dimension_names=dims,
            compressors=(packed, Crc32cCodec()),
            attributes=json.loads(to_json(about)),
            config={"write_empty_chunks": True},  # a missing chunk means damage, never "all zero"
        )

    array(
        "step",
        (capacity,),
        (capacity,),
        np.zeros(1, np.int64),
        ("step",),
        {"long_name": "step", "units": "1"},
    )
    for name, variable in frame.variables.items():
        values, dims = np.asarray(variable.values), [str(dim) for dim in variable.dims]
        if name in frame.coords:
            about = {**variable.attrs, **_actual_range(values)}
            array(str(name), values.shape, values.shape, values, dims, about)[...] = values
        else:
            together = int(np.clip(CHUNK_BYTES // max(1, values.nbytes), 1, capacity))
            array(
                str(name),
                (capacity, *values.shape),
                (together, *values.shape),
                values,
                ["step", *dims],
                variable.attrs,
            )
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
