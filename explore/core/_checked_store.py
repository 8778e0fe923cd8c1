"""The read-only Zarr store behind a recording; it reports missing and damaged chunks by name."""

from __future__ import annotations

import asyncio
import os
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from zarr.abc.store import Store
from zarr.storage import FsspecStore, LocalStore, WrapperStore, ZipStore

from explore.core._array_layout import (
    ArrayLayout,
    array_layouts,
    check_counts,
    count_files,
    first_link,
)
from explore.core._chunks import fault_of, largest_content
from explore.core._format import damaged, unreadable, unseal
from explore.core.validation import check_path, describe
from explore.errors import DataMissing, DependencyMissing, InvalidInput

MAX_ROOT_BYTES = 2**26
"""``zarr.json`` is at most so large."""


def location(name: str, value: Any) -> str:
    """Return a path or URL as a text; ``file://`` becomes the path itself, ``~`` the home folder.

    Raises:
        InvalidInput: the value is neither.

    Example:
        >>> location("recording", "file:///runs/a.zarr")
        '/runs/a.zarr'
    """
    try:
        text = os.fsdecode(value)
    except (TypeError, UnicodeError):
        raise InvalidInput(f"{name} must be a path or a URL, got {describe(value)}") from None
    if text.startswith("file://"):
        text = text.removeprefix("file://").removeprefix("localhost")
        text = text if Path(text).exists() else unquote(text)
    return text if "://" in text else str(check_path(name, text))


def open_store(path: str) -> CheckedStore:
    """Open the store behind a path or URL.

    Raises:
        DataMissing: there is nothing at ``path``, or a server cannot be reached.
        RecordingFailed: the system does not read it.
        DependencyMissing: URLs of this kind need another package.
        InvalidInput: nobody knows URLs of this kind.
        RecordingDamaged: it is no whole zip file.
    """
    local = Path(_fetch(path) if "://" in path and path.endswith(".zip") else path)
    if "://" in path and not path.endswith(".zip"):
        return CheckedStore(_remote(path), path)
    try:
        status = local.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DataMissing(
            f"{local} does not exist; expected a recording (a folder, a .zarr.zip file or a URL)"
        ) from error
    except OSError as error:
        raise unreadable(local, error) from error
    if local.is_dir():
        return CheckedStore(LocalStore(local, read_only=True), path, folder=local)
    try:
        if not status.st_size:
            raise zipfile.BadZipFile("it is empty")
        store = ZipStore(local, mode="r")
        store._sync_open()
        names = store._zf.namelist()
    except OSError as error:
        raise unreadable(local, error) from error
    except Exception as error:
        raise damaged(local, f"it is not a whole zip file ({error})") from error
    return CheckedStore(store, path, prefix=_prefix(names))


class CheckedStore(WrapperStore[Store]):
    """A store in which a missing or changed chunk raises ``RecordingDamaged``.

    Args:
        store: what it reads from.
        path: how messages call the recording.
        folder: the folder of a local store, in which no file may be a link.
        prefix: of all keys, such as the name of a folder in a zip file.

    Zarr's own codec checks the same CRC-32C, but its error does not name the chunk.
    """

    def __init__(
        self, store: Store, path: str = "", folder: Path | None = None, prefix: str = ""
    ) -> None:
        super().__init__(store)
        self._path, self._folder, self._prefix = path, folder, prefix
        self._layouts: dict[str, ArrayLayout] = {}

    def _with_store(self, store: Store) -> CheckedStore:
        other = CheckedStore(store, self._path, self._folder, self._prefix)
        other._layouts = self._layouts
        return other

    async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
        """Return the bytes under ``key``."""
        name, is_chunk = key.partition("/")[0], "/c/" in key or key.endswith("/c")
        layout = self._layouts.get(name) if is_chunk else None
        limit = largest_content(layout) if layout else MAX_ROOT_BYTES
        if self._folder and (link := first_link(self._folder, key)):
            raise damaged(self._path, f"{link} is a link to another place")
        if self._size(key) > limit:
            raise damaged(self._path, f"{key} is larger than its metadata allow")
        try:
            value = await super().get(self._prefix + key, prototype, byte_range)
        except OSError as error:
            if isinstance(self._store, ZipStore) and error.errno is None:
                raise damaged(self._path, f"{key} cannot be read ({error})") from error
            if self._folder or isinstance(self._store, ZipStore):
                raise unreadable(f"{self._path}: {key}", error) from error
            raise
        except Exception as error:
            # A damaged zip file fails in many ways; other stores only if they cannot be reached.
            if not isinstance(self._store, ZipStore):
                raise
            raise damaged(self._path, f"{key} cannot be read ({error})") from error
        if key == "zarr.json" and value is not None:
            self._read_layouts(value.to_bytes())
        if is_chunk:
            if value is None:
                raise damaged(self._path, f"{key} is missing")
            if layout is None:
                raise damaged(self._path, f"{key} belongs to no array")
            # Other chunks are read meanwhile.
            if fault := await asyncio.to_thread(fault_of, layout, value.to_bytes()):
                raise damaged(self._path, f"{key} {fault}")
        return value

    def _read_layouts(self, content: bytes) -> None:
        root = unseal(content, self._path)
        if "consolidated_metadata" not in root:
            return  # Xarray says that it is no recording.
        layouts = array_layouts(root, self._path)
        files: int | None = None
        if isinstance(self._store, ZipStore):
            files = len(self._store._zf.namelist())
        elif self._folder:
            files = count_files(self._folder, layouts)
        check_counts(layouts, files, self._path)
        self._layouts = layouts

    def _size(self, key: str) -> int:
        """Return the size of a file before it is read; 0 where it is missing or not known."""
        try:
            if isinstance(self._store, ZipStore):
                return self._store._zf.getinfo(self._prefix + key).file_size
            return (self._folder / key).stat().st_size if self._folder else 0
        except (OSError, KeyError):
            return 0


def _remote(path: str) -> FsspecStore:
    try:
        return FsspecStore.from_url(path, read_only=True)
    except ImportError as error:
        raise DependencyMissing(f"{path} cannot be opened: {error}") from error
    except (ValueError, TypeError) as error:
        raise InvalidInput(f"{path} is no URL that can be opened: {error}") from error


def _fetch(path: str) -> str:
    """Return the path of a local copy of a file on a server."""
    import fsspec

    try:
        local: str = fsspec.open_local(f"simplecache::{path}")
    except FileNotFoundError as error:
        raise DataMissing(f"nothing at {path}") from error
    except OSError as error:
        raise DataMissing(f"{path} cannot be reached: {error}") from error
    except ImportError as error:
        raise DependencyMissing(f"{path} cannot be opened: {error}") from error
    except (ValueError, TypeError) as error:
        raise InvalidInput(f"{path} is no URL that can be opened: {error}") from error
    return local


def _prefix(names: list[str]) -> str:
    """Return the folder of the recording in a zip file that a file manager made; often empty."""
    if "zarr.json" in names:
        return ""
    folders = {name.partition("/")[0] for name in names if name.endswith("/zarr.json")}
    tops = [f"{folder}/" for folder in folders if f"{folder}/zarr.json" in names]
    return tops[0] if len(tops) == 1 else ""
