"""Where data sets are looked for."""

from __future__ import annotations

import os
from pathlib import Path


def data_folder() -> Path:
    """The folder of ``EXPLORE_DATA``; if that is not set, the platform's cache folder for explore."""
    from platformdirs import user_cache_dir

    given = os.environ.get("EXPLORE_DATA")
    return Path(given).expanduser() if given else Path(user_cache_dir("explore")) / "data"
