"""A folder for Numba's compiled code, where neither the package nor the home folder is writable."""

from __future__ import annotations

import os
import sys


def ensure() -> None:
    """Set a temporary cache folder if Numba would find none, as ``cache=True`` is an error then.

    The folder belongs to this process and its children. Processes of several users must not share
    one: its files are executed, so that nobody else may be able to write them.
    """
    if os.environ.get("NUMBA_CACHE_DIR"):
        return
    package = os.path.join(os.path.dirname(__file__), "__pycache__")  # noqa: PTH118, PTH120 (pathlib takes longer than all of this)
    home = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "numba")  # noqa: PTH111, PTH118
    if _is_writable(package) or _is_writable(home):
        return
    import atexit  # imported late, because few installations need them
    import shutil
    import tempfile

    folder = tempfile.mkdtemp(prefix="explore-")
    process = os.getpid()

    def remove() -> None:
        if os.getpid() == process:  # not at the end of a fork
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    os.environ["NUMBA_CACHE_DIR"] = folder
    if (numba := sys.modules.get("numba")) is not None:  # it has read the variable already
        numba.config.CACHE_DIR = folder  # type: ignore[attr-defined]


def _is_writable(folder: str) -> bool:
    try:
        os.makedirs(folder, exist_ok=True)  # noqa: PTH103
    except OSError:
        return False
    return os.access(folder, os.W_OK)
