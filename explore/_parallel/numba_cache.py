"""Where Numba keeps what it compiled, if neither this installation nor the user's home can be written to."""

from __future__ import annotations

import os
import sys


def ensure() -> None:
    """Give Numba a folder of this process (and its children) where it would find none, and give up: ``cache=True`` is an error
    then.

    Not one that processes share: what is in it is executed, so that nobody else may be able to write there.
    """
    if os.environ.get("NUMBA_CACHE_DIR"):
        return
    ours = os.path.join(os.path.dirname(__file__), "__pycache__")  # noqa: PTH118, PTH120 (pathlib takes longer than all of this)
    home = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "numba")  # noqa: PTH111, PTH118
    if _writable(ours) or _writable(home):
        return
    import atexit  # here, as hardly anybody needs them
    import shutil
    import tempfile

    folder = tempfile.mkdtemp(prefix="explore-")
    process = os.getpid()
    atexit.register(
        lambda: shutil.rmtree(folder, ignore_errors=True) if os.getpid() == process else None
    )
    os.environ["NUMBA_CACHE_DIR"] = folder
    if (numba := sys.modules.get("numba")) is not None:  # it has read the variable already
        numba.config.CACHE_DIR = folder  # type: ignore[attr-defined]


def _writable(folder: str) -> bool:
    try:
        os.makedirs(folder, exist_ok=True)  # noqa: PTH103
    except OSError:
        return False
    return os.access(folder, os.W_OK)
