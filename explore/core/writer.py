"""Write a recording: allocate it once, write frames in place, commit each by replacing one small
file."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from explore.core._array_layout import array_layouts, check_files
from explore.core._array_writer import ArrayWriter, array_metadata, write_constant
from explore.core._chunks import change_of, fingerprint_of, replace_file
from explore.core._format import FORMAT, check_json, damaged, read_root, seal, to_json
from explore.core.recording import check_dataset, check_frame
from explore.errors import ExploreError, InvalidInput, RecordingBusy, RecordingFailed

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
        self.path, self._lock = path, lock
        self._root = read_root(path)
        layouts = array_layouts(self._root, path)
        self._metadata: dict[str, dict[str, Any]] = self._root["consolidated_metadata"]["metadata"]
        count = layouts["step"].shape[0]
        self._fingerprint = fingerprint_of(path / "zarr.json")
        check_files(path, layouts)
        self._arrays = {
            name: ArrayWriter(path, layout, self._metadata[name], count)
            for name, layout in layouts.items()
        }
        self.steps: list[int] = self._arrays["step"].read().tolist()
        self._published = -1
        if any(later <= step for step, later in zip(self.steps, self.steps[1:], strict=False)):
            raise damaged(path, "its steps do not increase")

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
        """Create a recording and commit its first frame.

        The recording also gets the attributes of the frame, under names that it does not use
        itself, and an ``id``, by which its checkpoint and its product know it. The folder gets its
        name only when the first frame is complete.

        Args:
            path: the folder.
            attributes: of the recording.
            frame: the first frame.
            step: its step.
            capacity: the number of frames that are expected; chunks hold no more.
        """
        check_frame(frame)
        about = {"explore_format": FORMAT, **frame.attrs, **attributes, "id": uuid.uuid4().hex}
        about = check_json("attributes of the recording", about)
        lock = lock_for(path)
        new = path.with_name(path.name + ".new")
        try:
            shutil.rmtree(new, ignore_errors=True)  # An earlier writer may have been killed here.
            _allocate(new, about, frame, capacity)
            writer = cls(new, lock)
            writer.append(frame, step)
            new.rename(path)
            return cls(path, lock)
        except BaseException as error:
            shutil.rmtree(new, ignore_errors=True)
            lock.release()
            if isinstance(error, OSError) and not isinstance(error, ExploreError):
                raise RecordingFailed(
                    f"cannot create {path}: {error}. "
                    "No file remains; free disk space or choose another folder"
                ) from error
            raise

    @classmethod
    def reopen(cls, path: Path) -> Self:
        """Open an existing recording to append frames.

        Raises:
            RecordingFailed: the system does not read it.
        """
        lock = lock_for(path)
        try:
            return cls(path, lock)
        except BaseException as error:
            lock.release()
            if isinstance(error, OSError) and not isinstance(error, ExploreError):
                raise RecordingFailed(
                    f"cannot go on with {path}: {error}. "
                    "Its files may be intact; remove the cause and record again"
                ) from error
            raise

    def append(self, frame: xarray.Dataset, step: int) -> None:
        """Write one frame and commit it.

        Raises:
            InvalidInput: variables, dimensions or dtypes differ from those of the first frame.
            RecordingDamaged: a file with committed frames is missing, or another program changed
                it. Nothing is written then.
            RecordingFailed: the frame could not be written, for example because the disk is full.
                Committed frames are unchanged.
        """
        values = self._check_like_first(frame)
        try:
            self._check_files()
            for name, value in (("step", step), *values.items()):
                self._arrays[name].append(value)
            self._commit([*self.steps, step], values)
        except ExploreError:
            raise
        except OSError as error:
            raise RecordingFailed(
                f"frame of step {step} could not be written to {self.path}: {error}. "
                f"The {len(self.steps)} frames before it are kept; "
                "free disk space and record again to continue"
            ) from error

    def commit(self) -> None:
        """Write the present attributes, and the number of frames into the metadata of each array.

        Readers of the group's metadata see a frame when it was appended; those that only read the
        metadata of the arrays see it from here on.

        Raises:
            RecordingDamaged: a file with committed frames is missing, or another program changed
                it.
            RecordingFailed: they could not be written; those on disk are unchanged.
        """
        try:
            self._check_files(everything=True)
            self._commit(self.steps, {})
            self._publish()
        except ExploreError:
            raise
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
        try:
            if self._published >= 0 and self._published != len(self.steps):
                with suppress(OSError):  # A run that failed is not to fail in another way.
                    self._publish()
        finally:
            self.close()

    def _check_files(self, everything: bool = False) -> None:
        change = change_of(self.path / "zarr.json", self._fingerprint)
        if change:
            raise damaged(self.path, f"zarr.json {change}")
        for array in self._arrays.values():
            array.check(everything)

    def _check_like_first(self, frame: xarray.Dataset) -> dict[str, np.ndarray[Any, Any]]:
        first = {name for name in self._arrays if name != "step" and self._evolves(name)}
        check_dataset(frame)
        if first != set(frame.data_vars):
            names = sorted(map(str, frame.data_vars))
            raise InvalidInput(
                f"all frames must have the same variables; "
                f"the first frame has {sorted(first)}, this one has {names}"
            )
        for name in first:
            variable, layout = frame[name], self._arrays[name].layout
            sizes = dict(zip(layout.dims[1:], layout.shape[1:], strict=True))
            if (*variable.sizes.items(), variable.dtype) != (*sizes.items(), layout.dtype):
                raise InvalidInput(
                    f"{name!r} is {variable.dtype} {dict(variable.sizes)}; "
                    f"in the first frame it is {layout.dtype} {sizes}"
                )
        return {name: frame[name].values for name in first}

    def _evolves(self, name: str) -> bool:
        return self._arrays[name].layout.evolves

    def _commit(self, steps: list[int], values: Mapping[str, np.ndarray]) -> None:
        root = json.loads(to_json(self._root))  # A failure must not change self._root.
        for name, metadata in root["consolidated_metadata"]["metadata"].items():
            if self._evolves(name):
                metadata["shape"][0] = len(steps)
            if name in values:
                attributes = metadata["attributes"]
                attributes |= _actual_range(values[name], attributes.get("actual_range"))
        part = self.path.with_name(self.path.name + ".commit")
        self._fingerprint = replace_file(self.path / "zarr.json", seal(root), part)
        self._root, self._metadata = root, root["consolidated_metadata"]["metadata"]
        self.steps = steps
        self._published = max(self._published, 0)
        for array in self._arrays.values():
            array.commit(len(steps))

    def _publish(self) -> None:
        for name, array in self._arrays.items():
            if array.layout.evolves:
                array.write_metadata(self._metadata[name])
        self._published = len(self.steps)


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
    except (OSError, NotImplementedError) as error:
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
    """Write the metadata of all arrays, with no frames, and the constants."""
    step = np.zeros((), np.int64)
    metadata = {
        "step": array_metadata(
            step,
            (0,),
            int(np.clip(CHUNK_BYTES // step.nbytes, 1, capacity)),
            ["step"],
            {"long_name": "step", "units": "1"},
        )
    }
    constants = {}
    for name, variable in frame.variables.items():
        values, dims = np.asarray(variable.values), [str(dim) for dim in variable.dims]
        if name in frame.coords:
            about = {**variable.attrs, **_actual_range(values)}
            metadata[str(name)] = array_metadata(values, values.shape, None, dims, about)
            constants[str(name)] = values
        else:
            frames = int(np.clip(CHUNK_BYTES // max(1, values.nbytes), 1, capacity))
            shape, dims = (0, *values.shape), ["step", *dims]
            metadata[str(name)] = array_metadata(values, shape, frames, dims, variable.attrs)
    path.mkdir()
    for name, entry in metadata.items():
        (path / name).mkdir()
        (path / name / "zarr.json").write_bytes(to_json(entry))
    for name, values in constants.items():
        write_constant(path / name, values)
    consolidated = {"kind": "inline", "must_understand": False, "metadata": metadata}
    root = {"attributes": attributes, "zarr_format": 3, "node_type": "group"}
    (path / "zarr.json").write_bytes(seal({**root, "consolidated_metadata": consolidated}))
