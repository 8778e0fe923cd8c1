"""The read-only Zarr store behind a recording; it reports missing and damaged chunks by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import google_crc32c
from zarr.abc.store import Store
from zarr.storage import FsspecStore, LocalStore, WrapperStore, ZipStore

from explore.core._format import damaged, unseal
from explore.errors import DataMissing


def open_store(path: str) -> CheckedStore:
    """Open the store behind a path or URL.

    Raises:
        DataMissing: there is nothing at ``path``.
        RecordingDamaged: it is no whole zip file.
    """
    if "://" in path:
        import fsspec

        if not path.endswith(".zip"):
            return CheckedStore(FsspecStore.from_url(path, read_only=True), path)
        try:
            local = fsspec.open_local(f"simplecache::{path}")
        except FileNotFoundError as error:
            raise DataMissing(f"nothing at {path}") from error
        except OSError as error:
            raise DataMissing(f"{path} cannot be reached: {error}") from error
    else:
        local = path
    if not Path(local).exists():
        raise DataMissing(
            f"{local} does not exist; expected a recording (a folder, a .zarr.zip file or a URL)"
        )
    if Path(local).is_dir():
        return CheckedStore(LocalStore(local, read_only=True), path)
    try:
        store = ZipStore(local, mode="r")
        store._sync_open()
    except Exception as error:
        raise damaged(local, f"it is not a whole zip file ({error})") from error
    return CheckedStore(store, path)


class CheckedStore(WrapperStore[Store]):
    """A store in which a missing or changed chunk raises ``RecordingDamaged``.

    Zarr's own codec checks the same CRC-32C, but its error does not name the chunk.
    """

    def __init__(self, store: Store, path: str = "") -> None:
        super().__init__(store)
        self._path = path

    def _with_store(self, store: Store) -> CheckedStore:
        return CheckedStore(store, self._path)

    async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
        """Return the bytes under ``key``."""
        try:
            value = await super().get(key, prototype, byte_range)
        except Exception as error:
            # A damaged zip file fails in many ways; other stores only if they cannot be reached.
            if not isinstance(self._store, ZipStore):
                raise
            raise damaged(self._path, f"{key} cannot be read ({error})") from error
        if key == "zarr.json" and value is not None:
            unseal(value.to_bytes(), self._path)
        if "/c/" in key or key.endswith("/c"):
            if value is None:
                raise damaged(self._path, f"{key} is missing")
            content = value.to_bytes()
            checksum = int.from_bytes(content[-4:], "little")
            if len(content) < 4 or checksum != google_crc32c.value(content[:-4]):
                raise damaged(self._path, f"{key} is not as it was written")
        return value
