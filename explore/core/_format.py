"""The file format of recordings: metadata with a checksum, and the errors of a damaged file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from explore.core.validation import describe, to_python
from explore.errors import DataMissing, InvalidInput, RecordingDamaged, RecordingFailed

FORMAT = 1
"""Value of the attribute ``explore_format`` in recordings that this version writes and reads."""

MAX_DEPTH = 64
"""Metadata and configurations nest at most so deep: a few levels for each run that a run is made
from. Python itself fails at about a thousand levels."""

ATTRIBUTE_TYPES: dict[str, tuple[type, ...]] = {
    "config": (dict,),
    "versions": (dict,),
    "name": (str,),
    "steps": (int,),
    "threads": (int,),
    "seconds": (int, float),
    "id": (str,),
}
"""Types of the attributes of a recording that other modules rely on."""


def to_json(value: Any, indent: int | None = None) -> bytes:
    """Return JSON in the form that checksums are computed of."""
    separators = (",", ":") if indent is None else None
    return json.dumps(
        value, ensure_ascii=False, default=_to_plain, separators=separators, indent=indent
    ).encode()


def check_json(name: str, value: Any) -> Any:
    """Return a value as JSON gives it back.

    Args:
        name: how the message calls it.
        value: mappings, lists, texts, numbers, flags and None; NumPy's are accepted.

    Raises:
        InvalidInput: it holds something else, NaN or infinity, which JSON has not, or is nested
            deeper than ``MAX_DEPTH``.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, default=_to_plain, allow_nan=False)
        plain = json.loads(text.encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInput(
            f"{name} must be what JSON can hold (texts, finite numbers, true, false, None, and "
            f"lists and mappings of them), got {describe(value)}: {error}"
        ) from error
    if is_deep(plain):
        raise InvalidInput(f"{name} is nested deeper than {MAX_DEPTH} levels")
    return plain


def is_deep(value: Any) -> bool:
    """Return whether lists and mappings nest deeper than ``MAX_DEPTH``."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [
            item
            for container in level
            if isinstance(container, dict | list)
            for item in (container.values() if isinstance(container, dict) else container)
        ]
        if not level:
            return False
    return True


def seal(root: dict[str, Any]) -> bytes:
    """Return the content of ``zarr.json``: ``root`` with its checksum among the attributes."""
    import google_crc32c

    root["attributes"].pop("checksum", None)
    root["attributes"]["checksum"] = google_crc32c.value(to_json(root))
    return to_json(root)


def unseal(content: bytes, path: object) -> dict[str, Any]:
    """Return the metadata that ``seal`` wrote.

    Raises:
        RecordingDamaged: the content is no JSON, is nested too deeply, or its checksum is wrong.
    """
    import google_crc32c

    try:
        root: dict[str, Any] = json.loads(content)
        checksum = root["attributes"].pop("checksum", None)
        # The first recordings were indented, which took long to write.
        texts = (to_json(root), to_json(root, indent=1))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise damaged(path, f"zarr.json cannot be read ({error})") from error
    if checksum not in (None, *map(google_crc32c.value, texts)):
        raise damaged(path, "zarr.json is not as it was written")
    if is_deep(root):
        raise damaged(path, f"zarr.json is nested deeper than {MAX_DEPTH} levels")
    for name, types in ATTRIBUTE_TYPES.items():
        value = root["attributes"].get(name)
        if value is not None and not isinstance(value, types):
            raise damaged(path, f"its attribute {name!r} is {describe(value)}")
    return root


def read_root(folder: Path) -> dict[str, Any]:
    """Return the metadata of a recording folder: of the group, and in it of every array.

    Raises:
        DataMissing: the folder holds no ``zarr.json``.
        RecordingFailed: the system does not read it.
        RecordingDamaged: the metadata cannot be read, or is of another format.
    """
    path = folder / "zarr.json"
    try:
        if path.is_symlink():
            raise damaged(folder, "zarr.json is a link to another place")
        content = path.read_bytes() if path.is_file() else None
    except OSError as error:
        raise unreadable(path, error) from error
    if content is None:
        raise DataMissing(f"{folder} is not a recording folder (no zarr.json in it)")
    root = unseal(content, folder)
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


def unreadable(path: object, error: OSError) -> RecordingFailed:
    """Return the error of a file that the system does not read, which says nothing about it.

    It is no ``FileNotFoundError``, which Zarr takes for a chunk that was never written.
    """
    reason = error.strerror or error
    return RecordingFailed(
        f"{path} cannot be read: {reason}. The file itself may be intact; "
        "remove the cause and try again"
    )


def _to_plain(value: Any) -> Any:
    """Return a value that ``json`` does not know as one that it knows."""
    plain = to_python(value)
    if plain is not value:
        return plain
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    return list(value)
