"""The function ``encode``, which dispatches to the encoder of each format."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from typing import Any

import numba
import numpy as np

from explore.core.validation import check_choice, check_flag
from explore.errors import InvalidInput
from explore.sparseconv._compiled.dense import compiled_im2col, compiled_mec
from explore.sparseconv._compiled.encoders import compiled_cpo, compiled_cps, compiled_cscc
from explore.sparseconv._compiled.products import product
from explore.sparseconv.formats.base import Encoding, unsigned_type
from explore.sparseconv.formats.bitmap import encode_bitmap
from explore.sparseconv.formats.cpo import encode_cpo
from explore.sparseconv.formats.cps import encode_cps
from explore.sparseconv.formats.cscc import encode_cscc
from explore.sparseconv.formats.geometry import Geometry
from explore.sparseconv.formats.im2col import encode_im2col
from explore.sparseconv.formats.mec import encode_mec
from explore.sparseconv.formats.pointers import POINTER_KINDS
from explore.sparseconv.formats.validation import as_maps

ENCODERS: dict[str, Callable[..., Encoding]] = {
    "im2col": compiled_im2col,
    "mec": compiled_mec,
    "cscc": compiled_cscc,
    "cpo": compiled_cpo,
    "cps": compiled_cps,
    "bitmap": encode_bitmap,
}
"""Compiled encoders. They make the same arrays as the NumPy encoders, which the pictures use."""

NUMPY_ENCODERS: dict[str, Callable[..., Encoding]] = {
    "im2col": encode_im2col,
    "mec": encode_mec,
    "cscc": encode_cscc,
    "cpo": encode_cpo,
    "cps": encode_cps,
    "bitmap": encode_bitmap,
}
"""Used if Numba compiles nothing (``NUMBA_DISABLE_JIT=1``). Their encodings convolve in NumPy."""


def encode(
    x: Any, kernel_size: Any, stride: Any = 1, padding: Any = 0, method: str = "cpo", **options: Any
) -> Encoding:
    """Encode maps in a format from which a convolution of these sizes can be computed.

    Args:
        x: float32 ``[N, C, H, W]``, ``[C, H, W]`` (one image) or ``[H, W]`` (one map), of any
            strides.
        kernel_size: an integer, or (Kh, Kw).
        stride: an integer, or (Sh, Sw).
        padding: zeros around the map: an integer, or (above and below, left and right).
        method: "im2col" and "mec" (dense), "cscc", "cpo", "cps" and "bitmap" (without the zeros).
        **options: "cscc", "cpo" and "cps": ``index_bytes=2 | 4``; "cpo" and "cps":
            ``pointers="shared" | "per-channel"``, ``trim=True`` (see ``encode_cpo``).

    Returns:
        An ``Encoding``: ``.elements``, ``.nbytes``, ``.compression_ratio()``, ``.decode()``,
        ``.convolve(weight, bias)``.

    Raises:
        InvalidInput: the maps, a size or an option is invalid.
        UnknownName: the method is unknown.

    Example:
        >>> import numpy as np
        >>> noise = np.random.default_rng(0).normal(-1, 1, (1, 64, 14, 14))
        >>> x = np.maximum(noise, 0).astype(np.float32)
        >>> for method in ("mec", "cscc", "cpo", "cps"):
        ...     print(method, round(encode(x, 3, padding=1, method=method).compression_ratio(), 1))
        mec 2.6
        cscc 13.0
        cpo 37.0
        cps 39.4
    """
    method = check_choice("method", method, ENCODERS)
    options = check_options(method, options)
    maps = as_maps(x)
    return encode_maps(maps, Geometry(maps.shape, kernel_size, stride, padding), method, options)


def encode_maps(
    maps: np.ndarray, geometry: Geometry, method: str, options: Mapping[str, Any]
) -> Encoding:
    """Encode like ``encode``, from validated maps, geometry, method and options."""
    geometry = _shared_geometry(geometry)
    if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
        return NUMPY_ENCODERS[method](maps, geometry, **options)
    return ENCODERS[method](maps, geometry, **options, product=product)


def check_options(method: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a method with checked names and values.

    Raises:
        InvalidInput: an option is unknown or has a wrong value; the message lists the options of
            the method.
        UnknownName: the kind of pointers is unknown.
    """
    names = _option_names(method)
    if unknown := sorted(set(options) - names):
        raise InvalidInput(
            f"{method} has no option {', '.join(map(repr, unknown))}; "
            f"its options: {', '.join(sorted(names)) or 'none'}"
        )
    checked = dict(options)
    if "pointers" in checked:
        checked["pointers"] = check_choice("kind of pointers", checked["pointers"], POINTER_KINDS)
    if "trim" in checked:
        checked["trim"] = check_flag("trim", checked["trim"])
    if checked.get("index_bytes") is not None:
        checked["index_bytes"] = unsigned_type(1, checked["index_bytes"]).itemsize
    return checked


@cache
def _option_names(method: str) -> frozenset[str]:
    if method not in ENCODERS:
        return frozenset()
    return frozenset(inspect.signature(ENCODERS[method]).parameters) - {"x", "geometry", "product"}


@lru_cache(128)
def _shared_geometry(geometry: Geometry) -> Geometry:
    """Return the first of equal geometries, whose tables may be computed already."""
    return geometry
