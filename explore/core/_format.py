"""The file format of recordings: keys of chunks, metadata with a checksum, and the errors of a
damaged file."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

from explore.errors import DataMissing, RecordingDamaged

FORMAT = 1
"""Value of the attribute ``explore_format`` in recordings that this version writes and reads."""


def to_json(value: Any, indent: int | None = None) -> bytes:
    """Return JSON in the form that checksums are computed of."""
    separators = (",", ":") if indent is None else None
    return json.dumps(
        value, ensure_ascii=False, default=list, separators=separators, indent=indent
    ).encode()


def seal(root: dict[str, Any]) -> bytes:
    """Return the content of ``zarr.json``: ``root`` with its checksum among the attributes."""
    import google_crc32c

    root["attributes"].pop("checksum", None)
    root["attributes"]["checksum"] = google_crc32c.value(to_json(root))
    return to_json(root)


def unseal(content: bytes, path: object) -> dict[str, Any]:
    """Return the metadata that ``seal`` wrote.

    Raises:
        RecordingDamaged: the content is no JSON, or its checksum is wrong.
    """
    import google_crc32c

    try:
        root: dict[str, Any] = json.loads(content)
        checksum = root["attributes"].pop("checksum", None)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise damaged(path, f"zarr.json cannot be read ({error})") from error
    # The first recordings were indented, which took long to write.
    texts = (to_json(root), to_json(root, indent=1))
    if checksum not in (None, *map(google_crc32c.value, texts)):
        raise damaged(path, "zarr.json is not as it was written")
    return root


def read_root(folder: Path) -> dict[str, Any]:
    """Return the metadata of a recording folder: of the group, and in it of every array.

    Raises:
        DataMissing: the folder holds no ``zarr.json``.
        RecordingDamaged: the metadata cannot be read, or is of another format.
    """
    if not (folder / "zarr.json").is_file():
        raise DataMissing(f"{folder} is not a recording folder (no zarr.json in it)")
    root = unseal((folder / "zarr.json").read_bytes(), folder)
    if root["attributes"].get("explore_format") != FORMAT or "consolidated_metadata" not in root:
        raise RecordingDamaged(
            f"{folder} is not a recording that this version writes (explore_format {FORMAT})"
        )
    return root


def damaged(path: object, reason: str) -> RecordingDamaged:
    """Return the error of a damaged recording."""
    return RecordingDamaged(
        f"{path} is damaged: {reason}. Replace it by a whole copy, or remove it and record again"
    )


def chunk_keys(metadata: Mapping[str, Any]) -> Iterator[str]:
    """Yield the keys of all chunks of an array with this metadata, relative to the array."""
    sizes = metadata["chunk_grid"]["configuration"]["chunk_shape"]
    counts = [
        math.ceil(length / size) for length, size in zip(metadata["shape"], sizes, strict=True)
    ]
    for index in product(*map(range, counts)):
        yield "/".join(["c", *map(str, index)])
