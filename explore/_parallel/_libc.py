"""Addresses of functions of the C library, for compiled code."""

from __future__ import annotations

import ctypes


def address(name: str) -> int:
    """Of a function of the C library; 0 if it has none of that name (on Windows, say).

    Example:
        >>> address("no_such_function")
        0
    """
    try:
        return ctypes.cast(getattr(ctypes.CDLL(None), name), ctypes.c_void_p).value or 0
    except (TypeError, OSError, AttributeError):
        return 0


YIELD, GETCPU, ASK_CORES, SET_CORES = (
    address(f"sched_{name}") for name in ("yield", "getcpu", "getaffinity", "setaffinity")
)
