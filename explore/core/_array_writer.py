"""Write the arrays of a recording: metadata and constants once, then one frame after another.

The chunk that takes the next frames is kept in memory, so that no frame is ever read back and a
chunk that disappears is never filled with zeros. Before a chunk is replaced, the file on disk is
compared with what was written.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explore.core._array_layout import TEXT, ArrayLayout
from explore.core._chunks import (
    Fingerprint,
    change_of,
    fault_of,
    fingerprint_of,
    pack_numbers,
    pack_texts,
    replace_file,
    unpack_numbers,
)
from explore.core._format import check_json, damaged, to_json
from explore.errors import RecordingDamaged

EARLIER_CHUNKS = 4
"""So many earlier chunks of each array are looked at when a frame is added. All are at the end."""


class ArrayWriter:
    """The writer of one array that has an entry for each frame, or of a constant.

    Args:
        path: of the recording.
        layout: of the array.
        metadata: of the array in the metadata of the group.
        count: the number of committed frames.

    Raises:
        RecordingDamaged: the array's own metadata are damaged, or were not written by explore.
    """

    def __init__(
        self, path: Path, layout: ArrayLayout, metadata: Mapping[str, Any], count: int
    ) -> None:
        self.layout = layout
        self._path, self._folder = path, path / layout.name
        self._count = count
        self._buffer: NDArray[Any] | None = None
        self._buffered = -1  # number of the chunk in the buffer
        self._written: dict[Path, Fingerprint] = {}
        self._next_checked = 0
        self._check_metadata(metadata)

    def read(self) -> NDArray[Any]:
        """Return all committed values of an array of one dimension."""
        frames = self.layout.chunk_shape[0]
        chunks = [self._read(number) for number in range(-(-self._count // frames))]
        return np.concatenate(chunks)[: self._count] if chunks else np.zeros(0, self.layout.dtype)

    def append(self, value: Any) -> None:
        """Write one more frame; it counts when ``commit`` was called."""
        if not math.prod(self.layout.shape[1:]):
            return  # Arrays without values have no chunks.
        number, position = divmod(self._count, self.layout.chunk_shape[0])
        if number != self._buffered or self._buffer is None:
            self._buffer = np.zeros(self.layout.chunk_shape, self.layout.dtype)
            if position:
                self._buffer[:position] = self._read(number)[:position]
            self._buffered = number
        self._buffer[position] = value
        file = self._chunk(number)
        if not position:
            file.parent.mkdir(parents=True, exist_ok=True)
        self._written[file] = replace_file(file, pack_numbers(self._buffer))

    def commit(self, count: int) -> None:
        """Take over the number of committed frames."""
        self._count = count

    def check(self, everything: bool = False) -> None:
        """Check that the files with committed frames are still those that were written.

        Args:
            everything: check all chunks, not only the last one and some of the others in turn.

        Raises:
            RecordingDamaged: a file is missing, or another program changed it.
        """
        self._check_file(self._folder / "zarr.json")
        if not self.layout.evolves:
            for key in self.layout.keys():  # noqa: SIM118 - not a mapping
                self._check_file(self._folder / key)
            return
        if not math.prod(self.layout.shape[1:]):
            return
        count = -(-self._count // self.layout.chunk_shape[0])
        if everything:
            numbers = list(range(count))
        else:
            turn = [self._next_checked + k for k in range(min(EARLIER_CHUNKS, count))]
            numbers = [number % count for number in turn] + ([count - 1] if count else [])
            self._next_checked = turn[-1] + 1 if turn else 0
        for number in numbers:
            self._check_file(self._chunk(number))

    def write_metadata(self, metadata: Mapping[str, Any]) -> None:
        """Replace the array's own metadata, which readers of the group's metadata do not use."""
        file = self._folder / "zarr.json"
        self._written[file] = replace_file(file, to_json(metadata))

    def _chunk(self, number: int) -> Path:
        inner = ["0"] * (len(self.layout.shape) - 1)
        return self._folder.joinpath("c", str(number), *inner)

    def _read(self, number: int) -> NDArray[Any]:
        file = self._chunk(number)
        try:
            content = file.read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            content, fault = b"", "is missing"
        else:
            fault = fault_of(self.layout, content)
        if fault:
            raise damaged(self._path, f"{file.relative_to(self._path).as_posix()} {fault}")
        self._written[file] = fingerprint_of(file)
        return unpack_numbers(self.layout, content)

    def _check_file(self, file: Path) -> None:
        if file in self._written:
            change = change_of(file, self._written[file])
        else:  # of an earlier process
            change = "" if file.is_file() else "is missing"
        if change:
            raise damaged(self._path, f"{file.relative_to(self._path).as_posix()} {change}")

    def _check_metadata(self, metadata: Mapping[str, Any]) -> None:
        """Check the array's own metadata: frames are written by those of the group."""
        layout, file = self.layout, self._folder / "zarr.json"
        about = f"{layout.name}/zarr.json"
        try:
            content = file.read_bytes()
            own = json.loads(content)
            varying = dict.fromkeys(("attributes", "shape"))
            same = {**own, **varying} == {**metadata, **varying}
        except (FileNotFoundError, NotADirectoryError) as error:
            raise damaged(self._path, f"{about} is missing") from error
        except (ValueError, TypeError, RecursionError) as error:
            raise damaged(self._path, f"{about} cannot be read ({error})") from error
        if not same:
            raise damaged(self._path, f"{about} does not agree with zarr.json of the recording")
        self._written[file] = fingerprint_of(file)
        if not layout.evolves:
            return
        inner = tuple(max(1, length) for length in layout.shape[1:])
        as_written = array_metadata(np.zeros(1, layout.dtype), (), None, [], {})["codecs"]
        if layout.chunk_shape[1:] != inner or metadata["codecs"] != as_written:
            raise RecordingDamaged(
                f"{self._path} was written by another program ({layout.name} has other chunks or "
                "another compression), so no frames can be added; it can only be read"
            )


def array_metadata(
    values: NDArray[Any],
    shape: tuple[int, ...],
    frames: int | None,
    dims: list[str],
    attributes: Mapping[Any, Any],
) -> dict[str, Any]:
    """Return Zarr's metadata of an array.

    Args:
        values: one frame, or the constant.
        shape: of the array.
        frames: how many of them a chunk holds; None: one chunk for all.
        dims: names of the dimensions.
        attributes: of the array.
    """
    text, size = values.dtype.kind in "OUT", values.dtype.itemsize
    chunks = shape if frames is None else (frames, *shape[1:])
    blosc = {"typesize": size, "cname": "zstd", "clevel": 5, "shuffle": "bitshuffle"}
    serializer: dict[str, Any] = {"name": "bytes"}
    if text:
        serializer = {"name": "vlen-utf8", "configuration": {}}
    elif size > 1:
        serializer["configuration"] = {"endian": "little"}
    fill: Any = "" if text else values.dtype.type(0).item()
    return {
        "shape": list(shape),
        "data_type": TEXT if text else values.dtype.newbyteorder("=").name,
        "chunk_grid": {
            "name": "regular",
            "configuration": {"chunk_shape": [max(1, length) for length in chunks]},
        },
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": fill,
        "codecs": [
            serializer,
            {"name": "zstd", "configuration": {"level": 0, "checksum": False}}
            if text
            else {"name": "blosc", "configuration": {**blosc, "blocksize": 0}},
            {"name": "crc32c"},
        ],
        "attributes": check_json("attributes of a variable", dict(attributes)),
        "dimension_names": dims,
        "zarr_format": 3,
        "node_type": "array",
        "storage_transformers": [],
    }


def write_constant(folder: Path, values: NDArray[Any]) -> None:
    """Write the one chunk of an array that does not change."""
    if not values.size:
        return
    file = folder.joinpath("c", *["0"] * values.ndim)
    file.parent.mkdir(parents=True, exist_ok=True)
    text = values.dtype.kind in "OUT"
    replace_file(file, pack_texts(values) if text else pack_numbers(values))
