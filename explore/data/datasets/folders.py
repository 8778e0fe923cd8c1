"""The folder of the data sets."""

from __future__ import annotations

import os
from pathlib import Path


def data_folder() -> Path:
    """Return the folder ``EXPLORE_DATA``; if that is not set, explore's cache folder."""
    from platformdirs import user_cache_dir

    folder = os.environ.get("EXPLORE_DATA")
    return Path(folder).expanduser() if folder else Path(user_cache_dir("explore")) / "data"
