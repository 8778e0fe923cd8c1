"""The decorator of compiled functions: Numba with the options that all kernels share."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import FunctionType
from typing import Any

import numba


def kernel(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """Compile a function with ``numba.njit``, without the GIL, cached on disk.

    Arithmetic follows NumPy: a division by zero gives infinity or NaN, not an exception.

    Args:
        function: what to compile.
        **options: other ones of ``numba.njit``, such as ``fastmath`` and ``parallel``.

    Example:
        >>> @kernel(cache=False)  # code at a prompt has no file, and cannot be cached
        ... def double(x):
        ...     return 2 * x
        >>> double(3)
        6
    """
    decorate = numba.njit(**{"nogil": True, "cache": True, "error_model": "numpy", **options})
    return decorate if function is None else decorate(function)


@cache
def one_thread_copy(parallel_kernel: Any) -> Any:
    """Return a kernel with ``numba.prange`` compiled anew, without threads.

    Its own name keeps both apart in Numba's cache, whose key does not hold the options.
    """
    function = parallel_kernel.py_func
    copy = FunctionType(function.__code__, function.__globals__, f"{function.__name__}_alone")
    copy.__qualname__ = copy.__name__
    return kernel(copy, fastmath=parallel_kernel.targetoptions.get("fastmath", False))
