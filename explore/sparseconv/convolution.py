"""conv2d and prepare: a convolution by any method, at once or with repacked weights."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numba
import numpy as np

from explore.core.validation import check_choice, check_flag, check_number
from explore.sparseconv._compiled.products import product
from explore.sparseconv._engine.convolution import BitmapConvolution
from explore.sparseconv.encoding import ENCODERS, check_options, encode_maps
from explore.sparseconv.formats.geometry import Geometry, check_output_size
from explore.sparseconv.formats.validation import as_bias, as_maps, as_pair, as_weight

DENSE_THRESHOLD = 0.8
"""Density of the maps above which the method "auto" uses PyTorch's dense convolution."""

METHOD_NAMES = ("auto", "bitmap", "torch", *(name for name in ENCODERS if name != "bitmap"))


def conv2d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    method: str = "auto",
    **options: Any,
) -> Any:
    """Convolve maps; "auto" skips zeros, or uses PyTorch where more than 80 % of a map is not zero.

    This is a cross-correlation, as in networks. The method "auto" imports PyTorch only when a map
    is that dense. NaN and infinities in the maps propagate as in a dense product. The sparse
    methods skip zeros, so that the product of a zero and a weight which is NaN or infinite is 0.
    The outputs have no gradient: tensors that require one are detached. To convolve many maps by
    the same weights, see ``prepare``.

    Args:
        x: float32 ``[N, C, H, W]``, ``[C, H, W]`` (one image) or ``[H, W]`` (one map), of any
            strides; an array, or a tensor in main memory. Channels-last maps are not copied. A
            batch without an image, N = 0, has an empty result.
        weight: float32 ``[K, C, Kh, Kw]``.
        bias: float32 ``[K]``, or None.
        stride: a whole number, or (Sh, Sw).
        padding: a whole number, or (above and below, left and right).
        method: "auto", "bitmap", "torch", "im2col", "mec", "cscc", "cpo" or "cps" (see
            ``prepare``); all give the same result up to rounding.
        **options: of the format, see ``encode``.

    Returns:
        float32 ``[N, K, Oh, Ow]``; N = 1 where ``x`` has no such axis. A tensor if ``x`` is one,
        without a gradient; else an array. With channels last in memory if ``x`` has them last.

    Raises:
        InvalidInput: an input cannot be used, or two do not fit together; the message says which.
        UnknownName: no such method.

    Example:
        >>> rows = [1, 0, 0, 4, 0], [0, 2, 0, 5, 0], [3, 0, 0, 6, 7], [0, 0, 0, 0, 8]
        >>> x = np.array(rows, np.float32)
        >>> weight = np.arange(1, 10, dtype=np.float32).reshape(1, 1, 3, 3)
        >>> conv2d(x, weight, method="cps")[0, 0]
        array([[ 32., 104., 144.],
               [ 16.,  53., 154.]], dtype=float32)
    """
    return Layer(weight, bias, stride, padding, method, **options)(x)


def prepare(
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    method: str = "auto",
    relu: bool = False,
) -> Layer:
    """Repack weights for many calls; "auto" skips zeros, or uses PyTorch where a map is dense.

    Maps are dense if more than 80 % (``DENSE_THRESHOLD``) of the values that the windows read,
    over all maps of one call, are not zero. PyTorch is imported when the first dense map comes.
    If Numba's compiler is disabled, "auto" always uses PyTorch.

    Args:
        weight: float32 ``[K, C, Kh, Kw]``.
        bias: float32 ``[K]``, or None.
        stride: a whole number, or (Sh, Sw).
        padding: a whole number, or (above and below, left and right).
        method: "auto", "bitmap" (the fast engine that skips zeros), "torch" (dense), "cpo", "cps",
            "cscc", "im2col" or "mec".
        relu: set negative outputs to 0.

    Returns:
        A ``Layer``: call it with maps.

    Raises:
        InvalidInput: weights, bias, stride or padding cannot be used; the message says which.
        UnknownName: no such method.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> layer = prepare(rng.normal(size=(8, 4, 3, 3)).astype(np.float32), padding=1)
        >>> layer(np.maximum(rng.normal(size=(1, 4, 6, 6)), 0).astype(np.float32)).shape
        (1, 8, 6, 6)
    """
    return Layer(weight, bias, stride, padding, method, relu)


class Layer:
    """A convolution with repacked weights, see ``prepare``; several threads may call it.

    Args:
        weight, bias, stride, padding, method, relu: as for ``prepare``.
        dense_from: density above which "auto" uses PyTorch, from 0 to 1.
        **options: of the format, see ``encode``.

    Raises:
        InvalidInput: weights, bias, sizes or an option cannot be used; the message says which.
        UnknownName: no such method.

    Example:
        >>> Layer(np.ones((8, 4, 3, 3), np.float32), padding=1, method="cps")
        Layer(4 → 8 channels, 3×3, stride (1, 1), padding (1, 1), cps)
    """

    def __init__(
        self,
        weight: Any,
        bias: Any = None,
        stride: Any = 1,
        padding: Any = 0,
        method: str = "auto",
        relu: bool = False,
        dense_from: float = DENSE_THRESHOLD,
        **options: Any,
    ) -> None:
        self.method = method = check_choice("method", method, METHOD_NAMES)
        self._options = check_options(method, options)
        self.relu = check_flag("relu", relu)
        self.dense_from = check_number("dense_from", dense_from, at_least=0, at_most=1)
        # A copy: the caller may go on training the weights.
        self.weight = np.array(as_weight(weight), order="C")
        self.bias = np.array(as_bias(bias, len(self.weight)))
        self.stride, self.padding = as_pair("stride", stride, 1), as_pair("padding", padding, 0)
        self._engine = None
        if method in ("auto", "bitmap") and not numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
            self._engine = BitmapConvolution(
                self.weight, self.bias, self.stride, self.padding, self.relu
            )

    def __getstate__(self) -> dict[str, Any]:
        """Leave out PyTorch's convolution, which is built when it is needed."""
        return {name: value for name, value in self.__dict__.items() if name != "_dense"}

    def __repr__(self) -> str:
        k, c, kh, kw = self.weight.shape
        sizes = f"{kh}×{kw}, stride {self.stride}, padding {self.padding}"
        return f"Layer({c} → {k} channels, {sizes}, {self.method})"

    def __call__(self, x: Any) -> Any:
        """Convolve maps.

        Args:
            x: float32 ``[N, C, H, W]``, ``[C, H, W]`` or ``[H, W]``; an array, or a tensor in main
                memory. Channels-last maps are not copied.

        Returns:
            float32 ``[N, K, Oh, Ow]``: a tensor if ``x`` is one, without a gradient; else an array;
            in the memory format of ``x``.

        Raises:
            InvalidInput: maps that cannot be used, or have another number of channels.
        """
        maps = as_maps(x, empty=True)
        if maps.shape[1] != self.weight.shape[1]:
            as_weight(self.weight, maps.shape[1])  # raises the error
        channels_last = maps.transpose(0, 2, 3, 1)
        last = channels_last.flags.c_contiguous and not maps.flags.c_contiguous
        y = self._convolve(maps, channels_last, last) if len(maps) else self._empty(maps)
        if last:
            y = y.transpose(0, 2, 3, 1)
        y = np.ascontiguousarray(y)
        if last:
            y = y.transpose(0, 3, 1, 2)
        if not hasattr(x, "detach"):
            return y
        import torch

        return torch.from_numpy(y)

    def _convolve(self, maps: np.ndarray, channels_last: np.ndarray, last: bool) -> np.ndarray:
        """Return outputs ``[N, K, Oh, Ow]`` in any memory format."""
        if self._engine is not None:  # it validates the geometry itself, once for each size
            density = self.dense_from if self.method == "auto" else 1.0
            y = self._engine.convolve_if_sparse(np.ascontiguousarray(channels_last), density)
            if y is not None:
                return y.transpose(0, 3, 1, 2)
            return self._dense(maps if last else np.ascontiguousarray(maps))
        geometry = Geometry(maps.shape, self.weight.shape[2:], self.stride, self.padding)
        check_output_size(geometry, len(self.weight))
        if self.method in ("auto", "torch"):
            return self._dense(maps if last else np.ascontiguousarray(maps))
        encoding = encode_maps(maps, geometry, self.method, self._options)
        if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
            y = encoding.convolve(self.weight, self.bias)
        else:
            y = product(encoding, self.weight, self.bias, last)
        return np.maximum(y, np.float32(0), out=y) if self.relu else y

    def _empty(self, maps: np.ndarray) -> np.ndarray:
        """Return the outputs of no images, ``[0, K, Oh, Ow]``."""
        shape = (1, *maps.shape[1:])
        geometry = Geometry(shape, self.weight.shape[2:], self.stride, self.padding)
        return np.empty((0, len(self.weight), *geometry.output), np.float32)

    @cached_property
    def _dense(self) -> Callable[[np.ndarray], np.ndarray]:
        """PyTorch's convolution of the same weights, from arrays to arrays."""
        import torch

        channels_first = torch.from_numpy(self.weight)
        channels_last = channels_first.contiguous(memory_format=torch.channels_last)
        bias = torch.from_numpy(self.bias)

        def convolve(maps: np.ndarray) -> np.ndarray:
            weight = channels_first if maps.flags.c_contiguous else channels_last
            with torch.inference_mode():
                y = torch.nn.functional.conv2d(
                    torch.from_numpy(maps), weight, bias, self.stride, self.padding
                )
                return np.asarray((y.relu_() if self.relu else y).numpy())

        return convolve
