"""What the metadata of an array say about its chunks: checked before anything is read by them."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np

from explore.core._format import damaged
from explore.core.validation import describe

MAX_CHUNK_BYTES = 2**31 - 17
"""The largest chunk that Blosc packs."""

MAX_VALUES = 2**60
"""More values than any computer holds; NumPy cannot index them."""

MAX_UNLISTED_CHUNKS = 4096
"""Arrays with more chunks are compared with the number of files before they are opened."""

MAX_REMOTE_CHUNKS = 10**6

DTYPES = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64"),
)
TEXT = "string"


@dataclass(frozen=True)
class ArrayLayout:
    """Shape, type and chunks of one array of a recording.

    Attributes:
        name: of the array and of its folder.
        shape, chunk_shape, dims: lengths, lengths of a chunk, and names of the dimensions.
        dtype: the name of NumPy's type, or "string".
        compressor: "blosc", "zstd" or "".
    """

    name: str
    shape: tuple[int, ...]
    chunk_shape: tuple[int, ...]
    dims: tuple[str, ...]
    dtype: str
    compressor: str

    @property
    def is_text(self) -> bool:
        """Whether the array holds texts, of which a chunk has no fixed size."""
        return self.dtype == TEXT

    @property
    def evolves(self) -> bool:
        """Whether the array has one entry for each frame."""
        return "step" in self.dims

    @property
    def chunk_counts(self) -> tuple[int, ...]:
        """Numbers of chunks along each dimension."""
        return tuple(-(-n // size) for n, size in zip(self.shape, self.chunk_shape, strict=True))

    @property
    def chunk_bytes(self) -> int:
        """Size of an unpacked chunk of numbers."""
        return math.prod(self.chunk_shape) * np.dtype(self.dtype).itemsize

    def keys(self) -> Iterator[str]:
        """Yield the keys of all chunks, relative to the array, one by one."""
        counts = self.chunk_counts
        for number in range(math.prod(counts)):
            index = []
            for count in reversed(counts):
                number, position = divmod(number, count)
                index.append(str(position))
            yield "/".join(["c", *reversed(index)])


def is_plain_name(name: object) -> bool:
    """Return whether a text can be the name of an array: one folder, here, on every system.

    Example:
        >>> [is_plain_name(name) for name in ("loss", "../loss", "/etc", "C:loss", "..", "")]
        [True, False, False, False, False, False]
    """
    if not isinstance(name, str) or name in ("", ".", "..", "zarr.json"):
        return False
    return not (set(name) & set("/\\\0") or PureWindowsPath(name).drive)


def array_layouts(root: Mapping[str, Any], path: object) -> dict[str, ArrayLayout]:
    """Return the layouts of all arrays in the metadata of a recording.

    Raises:
        RecordingDamaged: a name is a path, sizes are no sizes, or the data are of a kind that no
            recording holds.
    """
    try:
        entries = dict(root["consolidated_metadata"]["metadata"])
    except (TypeError, KeyError, ValueError) as error:
        raise damaged(path, "zarr.json does not list the arrays") from error
    layouts = {}
    for name, metadata in entries.items():
        if not is_plain_name(name):
            raise damaged(path, f"{describe(name)} is no name of an array; it may lead elsewhere")
        try:
            layouts[name] = _layout(name, metadata)
        except (TypeError, KeyError, ValueError, AttributeError, IndexError) as error:
            raise damaged(path, f"the metadata of {name} cannot be used ({error})") from error
    lengths = {layout.shape[0] for layout in layouts.values() if layout.evolves}
    if "step" not in layouts or len(lengths) != 1 or not layouts["step"].evolves:
        raise damaged(path, "its arrays do not have one number of frames")
    return layouts


def check_files(folder: Path, layouts: Mapping[str, ArrayLayout]) -> None:
    """Check that every chunk of a recording folder is a file in it.

    Raises:
        RecordingDamaged: some are missing, or are links to other places.
    """
    missing: list[str] = []
    for name, layout in layouts.items():
        for key in layout.keys():  # noqa: SIM118 - not a mapping
            if link := first_link(folder, f"{name}/{key}"):
                raise damaged(folder, f"{link} is a link to another place")
            if not (folder / name / key).is_file():
                missing.append(f"{name}/{key}")
                if len(missing) == 3:  # There may be billions.
                    raise damaged(folder, f"{', '.join(missing)} and others are missing")
    if missing:
        raise damaged(folder, f"{' and '.join(missing)} {'are' if missing[1:] else 'is'} missing")


def check_counts(layouts: Mapping[str, ArrayLayout], files: int | None, path: object) -> None:
    """Check that a recording has as many files as its metadata declare chunks.

    Args:
        layouts: of its arrays.
        files: their number; None where they cannot be listed.
        path: of the recording.

    Raises:
        RecordingDamaged: it has fewer.
    """
    count = sum(math.prod(layout.chunk_counts) for layout in layouts.values())
    limit = MAX_REMOTE_CHUNKS if files is None else files
    if count > max(limit, MAX_UNLISTED_CHUNKS):
        raise damaged(path, f"its metadata declare {count:,} chunks, and there are fewer files")


def count_files(folder: Path, layouts: Mapping[str, ArrayLayout]) -> int:
    """Return the number of files below a folder if its arrays declare many chunks, else 0."""
    count = sum(math.prod(layout.chunk_counts) for layout in layouts.values())
    if count <= MAX_UNLISTED_CHUNKS:
        return 0
    return sum(len(files) for _, _, files in os.walk(folder))


def first_link(folder: Path, key: str) -> str:
    """Return the first part of a key that is a symbolic link in a folder; empty if none is."""
    path, parts = folder, key.split("/")
    for end, part in enumerate(parts, 1):
        path /= part
        if path.is_symlink():
            return "/".join(parts[:end])
    return ""


def _layout(name: str, metadata: Mapping[str, Any]) -> ArrayLayout:
    shape = _sizes(metadata["shape"], 0)
    grid, keys = metadata["chunk_grid"], metadata["chunk_key_encoding"]
    chunk_shape = _sizes(grid["configuration"]["chunk_shape"], 1)
    dims = metadata.get("dimension_names") or ()
    names = [codec["name"] for codec in metadata["codecs"]]
    dtype = metadata["data_type"]
    serializer = "vlen-utf8" if dtype == TEXT else "bytes"
    if metadata["node_type"] != "array" or grid["name"] != "regular":
        raise ValueError("it is no array with regular chunks")
    if keys["name"] != "default" or keys.get("configuration", {}).get("separator", "/") != "/":
        raise ValueError("its chunks have other names")
    if len(chunk_shape) != len(shape) or len(dims) != len(shape):
        raise ValueError(f"{shape} has other dimensions than {chunk_shape} or {dims}")
    if not all(isinstance(dim, str) for dim in dims) or "step" in dims[1:]:
        raise ValueError(f"its dimensions are {dims}")
    if dtype != TEXT and dtype not in DTYPES:
        raise ValueError(f"it holds {describe(dtype)}")
    known_codecs = [[serializer, *packing, "crc32c"] for packing in (["blosc"], ["zstd"], [])]
    if names not in known_codecs or metadata.get("storage_transformers"):
        raise ValueError(f"its codecs are {names}")
    layout = ArrayLayout(
        *(name, shape, chunk_shape, tuple(dims), dtype, names[1] if len(names) == 3 else "")
    )
    if layout.is_text and layout.compressor == "blosc":
        raise ValueError(f"its codecs are {names}")
    itemsize = 1 if layout.is_text else np.dtype(dtype).itemsize
    if math.prod(chunk_shape) * itemsize > MAX_CHUNK_BYTES:
        raise ValueError(f"a chunk of {list(chunk_shape)} is too large")
    if math.prod(max(1, length) for length in shape) > MAX_VALUES:
        raise ValueError(f"{list(shape)} are too many values")
    return layout


def _sizes(values: Any, at_least: int) -> tuple[int, ...]:
    if not isinstance(values, list) or not all(
        type(value) is int and value >= at_least for value in values
    ):
        raise ValueError(f"{describe(values)} are no sizes")
    return tuple(values)
