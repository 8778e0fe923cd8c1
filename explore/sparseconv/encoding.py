"""encode: every format behind one call, compiled and on all cores."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import cache, lru_cache
from typing import Any

import numba

from explore.errors import InvalidInput, UnknownName
from explore.sparseconv._compiled.dense import compiled_im2col, compiled_mec
from explore.sparseconv._compiled.encoders import compiled_cpo, compiled_cps, compiled_cscc
from explore.sparseconv._compiled.products import product
from explore.sparseconv.formats.base import Encoding
from explore.sparseconv.formats.bitmap import encode_bitmap
from explore.sparseconv.formats.cpo import encode_cpo
from explore.sparseconv.formats.cps import encode_cps
from explore.sparseconv.formats.cscc import encode_cscc
from explore.sparseconv.formats.geometry import Geometry
from explore.sparseconv.formats.im2col import encode_im2col
from explore.sparseconv.formats.mec import encode_mec
from explore.sparseconv.formats.validation import as_maps

ENCODERS: dict[str, Callable[..., Encoding]] = {
    "im2col": compiled_im2col,
    "mec": compiled_mec,
    "cscc": compiled_cscc,
    "cpo": compiled_cpo,
    "cps": compiled_cps,
    "bitmap": encode_bitmap,
}
"""The compiled ones make the very arrays that ``encode_cpo`` and its like make in plain NumPy, where pictures take them from."""

PLAIN: dict[str, Callable[..., Encoding]] = {
    "im2col": encode_im2col,
    "mec": encode_mec,
    "cscc": encode_cscc,
    "cpo": encode_cpo,
    "cps": encode_cps,
    "bitmap": encode_bitmap,
}
"""Used where Numba is told to compile nothing (``NUMBA_DISABLE_JIT=1``); they multiply in plain NumPy too."""


def encode(
    x: Any, kernel_size: Any, stride: Any = 1, padding: Any = 0, method: str = "cpo", **options: Any
) -> Encoding:
    """Write maps in a format that a convolution of this kernel size, stride and padding can be computed from.

    Args:
        x: float32 ``[N, C, H, W]``, ``[C, H, W]`` (one image) or ``[H, W]`` (one map), of any strides.
        kernel_size: a whole number, or (Kh, Kw).
        stride: a whole number, or (Sh, Sw).
        padding: zeros around the map: a whole number, or (above and below, left and right).
        method: "im2col" and "mec" (dense), "cscc", "cpo", "cps" and "bitmap" (without the zeros).
        **options: "cscc", "cpo" and "cps": ``index_bytes=2 | 4``; "cpo" and "cps": ``pointers="shared" | "per-channel"``,
            ``trim=True`` (see ``encode_cpo``).

    Returns:
        An ``Encoding``: ``.elements``, ``.nbytes``, ``.compression_ratio()``, ``.decode()``, ``.convolve(weight, bias)``.

    Raises:
        InvalidInput: maps, sizes or options that cannot be used; the message says which.
        UnknownName: no such method.

    Example:
        >>> import numpy as np
        >>> x = np.maximum(np.random.default_rng(0).normal(-1, 1, (1, 64, 14, 14)), 0).astype(np.float32)
        >>> for method in ("mec", "cscc", "cpo", "cps"):
        ...     print(method, round(encode(x, 3, padding=1, method=method).compression_ratio(), 1))
        mec 2.6
        cscc 13.0
        cpo 37.0
        cps 39.4
    """
    if method not in ENCODERS:
        raise UnknownName("method", method, ENCODERS)
    check_options(method, options)
    maps = as_maps(x)
    geometry = _remembered(Geometry(maps.shape, kernel_size, stride, padding))
    if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
        return PLAIN[method](maps, geometry, **options)
    return ENCODERS[method](maps, geometry, **options, product=product)


def check_options(method: str, options: Iterable[str]) -> None:
    """Refuse what a method has no option for.

    Raises:
        InvalidInput: the message lists the options that it has.
    """
    known = _options(method)
    if unknown := sorted(set(options) - known):
        has = ", ".join(sorted(known)) or "none"
        raise InvalidInput(
            f"{method} has no option {', '.join(map(repr, unknown))}; its options: {has}"
        )


@cache
def _options(method: str) -> frozenset[str]:
    if method not in ENCODERS:
        return frozenset()
    return frozenset(inspect.signature(ENCODERS[method]).parameters) - {"x", "geometry", "product"}


@lru_cache(128)
def _remembered(geometry: Geometry) -> Geometry:
    """The first of equal ones: it has its tables already."""
    return geometry
