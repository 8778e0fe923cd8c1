"""Chunks of a recording as bytes: pack, check and unpack them, and replace files atomically."""

from __future__ import annotations

import math
import os
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from explore.core._array_layout import ArrayLayout

MAX_TEXT_BYTES = 2**28
"""The texts of one array take at most so many bytes, so that a small file cannot unpack to much."""

CRC_BYTES, BLOSC_HEADER_BYTES = 4, 16
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


class Fingerprint(NamedTuple):
    """What shows whether a file is still the one that was written.

    The checksum is another than CRC-32C, which is the same for all bytes that end with their own.
    """

    inode: int
    size: int
    modified: int
    checksum: int


def pack_numbers(values: NDArray[Any]) -> bytes:
    """Pack the values of one chunk as Zarr's codecs bytes, blosc and crc32c do."""
    from numcodecs import Blosc, blosc

    blosc.use_threads = False  # As Zarr does: threads of Blosc do not survive a fork.
    little = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    codec = Blosc("zstd", clevel=5, shuffle=Blosc.BITSHUFFLE, typesize=little.itemsize)
    return _with_checksum(codec.encode(little.reshape(-1).view(np.uint8)))


def pack_texts(values: NDArray[Any]) -> bytes:
    """Pack texts as Zarr's codecs vlen-utf8, zstd and crc32c do."""
    from numcodecs import VLenUTF8, Zstd

    texts = np.array([str(text) for text in values.reshape(-1)], dtype=object)
    return _with_checksum(Zstd(level=0).encode(VLenUTF8().encode(texts)))


def fault_of(layout: ArrayLayout, content: bytes) -> str:
    """Return what is wrong with the bytes of a chunk; empty if nothing is.

    What a chunk says about its unpacked size is compared with the metadata before it is unpacked,
    so that a small file cannot take much memory.
    """
    payload, checksum = content[:-CRC_BYTES], content[-CRC_BYTES:]
    if len(checksum) < CRC_BYTES or google_crc32c.value(payload) != int.from_bytes(
        checksum, "little"
    ):
        return "is not as it was written"
    try:
        if layout.is_text:
            return _fault_of_texts(layout, payload)
        size, expected = _unpacked_size(layout.compressor, payload), layout.chunk_bytes
        if size != expected:
            return f"unpacks to {size} bytes, and its metadata say {expected}"
        _unpack(layout.compressor, payload)
    except (ValueError, RuntimeError, TypeError, IndexError) as error:
        return f"cannot be unpacked ({error})"
    return ""


def unpack_numbers(layout: ArrayLayout, content: bytes) -> NDArray[Any]:
    """Return the values of a chunk without a fault."""
    payload = _unpack(layout.compressor, content[:-CRC_BYTES])
    little = np.frombuffer(payload, np.dtype(layout.dtype).newbyteorder("<"))
    return little.reshape(layout.chunk_shape).astype(layout.dtype)


def largest_content(layout: ArrayLayout) -> int:
    """Return the largest size that the file of a chunk can have."""
    unpacked = MAX_TEXT_BYTES if layout.is_text else layout.chunk_bytes
    return unpacked + unpacked // 16 + 4096


def replace_file(path: Path, content: bytes, part: Path | None = None) -> Fingerprint:
    """Write a file under another name, then give it its name; no link is followed.

    Args:
        path: the file.
        content: what it holds afterwards.
        part: the other name; by default that of the file with ``.partial``.
    """
    part = part or path.with_name(f"{path.name}.partial")
    try:
        with open_part(part) as file:
            file.write(content)
        status = part.stat()
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    return Fingerprint(status.st_ino, status.st_size, status.st_mtime_ns, zlib.crc32(content))


def open_part(part: Path) -> Any:
    """Open a new file for writing; a link of this name, in a shared folder, is not followed."""
    flags = os.O_CREAT | os.O_WRONLY | os.O_TRUNC
    flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    return os.fdopen(os.open(part, flags, 0o666), "wb")


def fingerprint_of(path: Path) -> Fingerprint:
    """Return the fingerprint of a file on disk."""
    status = path.stat()
    checksum = zlib.crc32(path.read_bytes())
    return Fingerprint(status.st_ino, status.st_size, status.st_mtime_ns, checksum)


def change_of(path: Path, expected: Fingerprint) -> str:
    """Return how a file differs from the one that was written; empty if it does not.

    A file that was copied back or only touched holds the same bytes, and is not changed.
    """
    try:
        status = path.stat()
        if (status.st_ino, status.st_size, status.st_mtime_ns) == expected[:3]:
            return ""
        same = zlib.crc32(path.read_bytes()) == expected.checksum
        return "" if same else "was changed by another program"
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return "is missing"


def _with_checksum(payload: bytes) -> bytes:
    checksum: int = google_crc32c.value(payload)
    return payload + checksum.to_bytes(CRC_BYTES, "little")


def _unpack(compressor: str, payload: bytes) -> bytes:
    from numcodecs import Blosc, Zstd, blosc

    if compressor == "blosc":
        blosc.use_threads = False
        return bytes(Blosc().decode(payload))
    return bytes(Zstd().decode(payload)) if compressor == "zstd" else payload


def _unpacked_size(compressor: str, payload: bytes) -> int | None:
    """Return the size that the header of a packed chunk declares; None if it declares none."""
    if compressor == "blosc":
        # Version, flags, size of a value, bytes before, size of a block, bytes after packing.
        if len(payload) < BLOSC_HEADER_BYTES:
            return None
        before, after = (int.from_bytes(payload[n : n + 4], "little") for n in (4, 12))
        return before if after == len(payload) else None
    return _zstd_size(payload) if compressor == "zstd" else len(payload)


def _zstd_size(payload: bytes) -> int | None:
    """Return the content size in the header of a Zstandard frame (RFC 8878, section 3.1.1.1)."""
    if payload[:4] != ZSTD_MAGIC or len(payload) < 6:
        return None
    descriptor = payload[4]
    size_flag, single_segment, dictionary = descriptor >> 6, descriptor >> 5 & 1, descriptor & 3
    start = 5 + (not single_segment) + (0, 1, 2, 4)[dictionary]
    length = (single_segment, 2, 4, 8)[size_flag]
    if not length or len(payload) < start + length:
        return None
    size = int.from_bytes(payload[start : start + length], "little")
    return size + 256 if length == 2 else size


def _fault_of_texts(layout: ArrayLayout, payload: bytes) -> str:
    from numcodecs import VLenUTF8

    size = _unpacked_size(layout.compressor, payload)
    if size is None or size > MAX_TEXT_BYTES:
        return f"unpacks to {size} bytes; texts have at most {MAX_TEXT_BYTES}"
    texts = _unpack(layout.compressor, payload)
    count, expected = int.from_bytes(texts[:4], "little"), math.prod(layout.chunk_shape)
    if count != expected:
        return f"holds {count} texts, and its metadata say {expected}"
    VLenUTF8().decode(texts)
    return ""
