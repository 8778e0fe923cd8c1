"""The folder of the data sets."""

from __future__ import annotations

import os
from pathlib import Path

from explore.core.validation import check_path


def data_folder() -> Path:
    """Return the folder ``EXPLORE_DATA``; if that is not set, explore's cache folder.

    Raises:
        InvalidInput: ``EXPLORE_DATA`` is no path.
    """
    from platformdirs import user_cache_dir

    folder = os.environ.get("EXPLORE_DATA")
    return (
        check_path("EXPLORE_DATA", folder) if folder else Path(user_cache_dir("explore")) / "data"
    )
