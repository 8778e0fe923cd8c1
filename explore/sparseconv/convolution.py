"""encode and conv2d: every format behind one call, compiled and on all cores."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any

from explore.errors import InvalidInput, UnknownName
from explore.sparseconv.dense import compiled_im2col, compiled_mec
from explore.sparseconv.encoders import compiled_cpo, compiled_cps, compiled_cscc
from explore.sparseconv.encoding import Encoding
from explore.sparseconv.geometry import Geometry
from explore.sparseconv.inputs import as_bias, as_maps, as_weight
from explore.sparseconv.products import product

ENCODERS: dict[str, Callable[..., Encoding]] = {
    "im2col": compiled_im2col,
    "mec": compiled_mec,
    "cscc": compiled_cscc,
    "cpo": compiled_cpo,
    "cps": compiled_cps,
}
"""They make the very arrays that ``encode_cpo`` and its like make in plain NumPy, where pictures take them from."""


def encode(x: Any, kernel_size: Any, stride: Any = 1, padding: Any = 0, method: str = "cpo", **options: Any) -> Encoding:
    """Write maps in a format that a convolution of this kernel size, stride and padding can be computed from.

    Args:
        x: float32 ``[N, C, H, W]``, ``[C, H, W]`` (one image) or ``[H, W]`` (one map), of any strides.
        kernel_size: a whole number, or (Kh, Kw).
        stride: a whole number, or (Sh, Sw).
        padding: zeros around the map: a whole number, or (above and below, left and right).
        method: "im2col" and "mec" (dense), "cscc", "cpo", "cps" (without the zeros).
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
    known = _options(method)
    if unknown := sorted(set(options) - known):
        has = ", ".join(sorted(known)) or "none"
        raise InvalidInput(f"{method} has no option {', '.join(map(repr, unknown))}; its options: {has}")
    maps = as_maps(x)
    return ENCODERS[method](maps, _remembered(Geometry(maps.shape, kernel_size, stride, padding)), **options, product=product)


@cache
def _options(method: str) -> frozenset[str]:
    return frozenset(inspect.signature(ENCODERS[method]).parameters) - {"x", "geometry", "product"}


@lru_cache(128)
def _remembered(geometry: Geometry) -> Geometry:
    """The first of equal ones: it has its tables already."""
    return geometry


def conv2d(x: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, method: str = "cpo", **options: Any) -> Any:
    """Convolve maps by one of the formats (cross-correlation, as in networks).

    NaN and infinities in the maps propagate as in a dense product. The sparse formats skip zeros, so that a weight
    which is NaN or infinite makes no NaN of them. Nothing here has a gradient: tensors that require one are detached.

    Args:
        x: float32 ``[N, C, H, W]``, ``[C, H, W]`` (one image) or ``[H, W]`` (one map), of any strides; an array, or a
            tensor in main memory. Contiguous maps, channels first or last, are read without a copy.
        weight: float32 ``[K, C, Kh, Kw]``.
        bias: float32 ``[K]``, or None.
        stride: a whole number, or (Sh, Sw).
        padding: a whole number, or (above and below, left and right).
        method: "im2col", "mec", "cscc", "cpo" or "cps"; all give the same up to rounding.
        **options: of the format, see ``encode``.

    Returns:
        float32 ``[N, K, Oh, Ow]``; N = 1 where ``x`` has no such axis. A tensor if ``x`` is one, without a gradient, and
        with channels last in memory if ``x`` has them so; else an array.

    Raises:
        InvalidInput: what is given cannot be used, or does not fit together; the message says which.
        UnknownName: no such method.

    Example:
        >>> import numpy as np
        >>> x = np.array([[1, 0, 0, 4, 0], [0, 2, 0, 5, 0], [3, 0, 0, 6, 7], [0, 0, 0, 0, 8]], np.float32)
        >>> weight = np.arange(1, 10, dtype=np.float32).reshape(1, 1, 3, 3)
        >>> conv2d(x, weight, method="cps")[0, 0]
        array([[ 32., 104., 144.],
               [ 16.,  53., 154.]], dtype=float32)
    """
    maps = as_maps(x)
    filters = as_weight(weight, maps.shape[1])
    offset = as_bias(bias, len(filters))
    torch = sys.modules.get("torch")  # where nobody imported it, x is no tensor
    tensor = torch is not None and isinstance(x, torch.Tensor)
    last = tensor and maps.transpose(0, 2, 3, 1).flags.c_contiguous and not maps.flags.c_contiguous
    found = product(encode(maps, filters.shape[2:], stride, padding, method, **options), filters, offset, last)
    return torch.from_numpy(found) if torch is not None and tensor else found
