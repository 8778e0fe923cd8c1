"""conv2d and prepare: a convolution by the method of your choice, at once or with its weights repacked for many calls."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numba
import numpy as np

from explore.errors import UnknownName
from explore.sparseconv._compiled.products import product
from explore.sparseconv._engine.convolution import BitmapConvolution
from explore.sparseconv.encoding import ENCODERS, check_options, encode
from explore.sparseconv.formats.geometry import Geometry
from explore.sparseconv.formats.validation import as_bias, as_maps, as_pair, as_weight

DENSE_FROM = 0.8
"""Density from which on "auto" leaves a convolution to PyTorch."""

METHODS = ("auto", "bitmap", "torch", *(name for name in ENCODERS if name != "bitmap"))


def conv2d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    method: str = "auto",
    **options: Any,
) -> Any:
    """Convolve maps (cross-correlation, as in networks).

    NaN and infinities in the maps propagate as in a dense product. The sparse methods skip zeros, so that a weight
    which is NaN or infinite makes no NaN of them. Nothing here has a gradient: tensors that require one are detached.
    To convolve many maps by the same weights, see ``prepare``.

    Args:
        x: float32 ``[N, C, H, W]``, ``[C, H, W]`` (one image) or ``[H, W]`` (one map), of any strides; an array, or a
            tensor in main memory. Channels-last maps need not be turned round.
        weight: float32 ``[K, C, Kh, Kw]``.
        bias: float32 ``[K]``, or None.
        stride: a whole number, or (Sh, Sw).
        padding: a whole number, or (above and below, left and right).
        method: "auto", "bitmap", "torch", "im2col", "mec", "cscc", "cpo" or "cps" (see ``prepare``); all give the same up to
            rounding.
        **options: of the format, see ``encode``.

    Returns:
        float32 ``[N, K, Oh, Ow]``; N = 1 where ``x`` has no such axis. A tensor if ``x`` is one, without a gradient; else an
        array. With channels last in memory if ``x`` has them so.

    Raises:
        InvalidInput: what is given cannot be used, or does not fit together; the message says which.
        UnknownName: no such method.

    Example:
        >>> x = np.array([[1, 0, 0, 4, 0], [0, 2, 0, 5, 0], [3, 0, 0, 6, 7], [0, 0, 0, 0, 8]], np.float32)
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
    """Repack the weights of a convolution once.

    Args:
        weight: float32 ``[K, C, Kh, Kw]``.
        bias: float32 ``[K]``, or None.
        stride: a whole number, or (Sh, Sw).
        padding: a whole number, or (above and below, left and right).
        method: "bitmap" (the fast engine), "torch" (dense), "cpo", "cps", "cscc", "im2col", "mec", or "auto": the engine, unless
            more than 80 % of the map is not zero, which is found out at each call; then PyTorch where it is imported
            already, else im2col.
        relu: set negative outputs to 0.

    Returns:
        A ``Layer``: call it with maps.

    Raises:
        InvalidInput: weights, bias, stride or padding that cannot be used; the message says which.
        UnknownName: no such method.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> layer = prepare(rng.normal(size=(8, 4, 3, 3)).astype(np.float32), padding=1)
        >>> layer(np.maximum(rng.normal(size=(1, 4, 6, 6)), 0).astype(np.float32)).shape
        (1, 8, 6, 6)
    """
    return Layer(weight, bias, stride, padding, method, relu)


class Layer:
    """A convolution with repacked weights; see ``prepare``. May be called from several threads.

    Args:
        weight, bias, stride, padding, method, relu: as for ``prepare``.
        dense_from: density from which on "auto" leaves it to PyTorch.
        **options: of the format, see ``encode``.
    """

    def __init__(
        self,
        weight: Any,
        bias: Any = None,
        stride: Any = 1,
        padding: Any = 0,
        method: str = "auto",
        relu: bool = False,
        dense_from: float = DENSE_FROM,
        **options: Any,
    ) -> None:
        if method not in METHODS:
            raise UnknownName("method", method, METHODS)
        check_options(method, options)
        self.method, self.relu, self.dense_from, self._options = (
            method,
            bool(relu),
            dense_from,
            options,
        )
        self.weight = np.array(
            as_weight(weight), order="C"
        )  # ours: who gave it may go on training it
        self.bias = np.array(as_bias(bias, len(self.weight)))
        self.stride, self.padding = as_pair("stride", stride, 1), as_pair("padding", padding, 0)
        self._engine = None
        if method in ("auto", "bitmap") and not numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
            self._engine = BitmapConvolution(
                self.weight, self.bias, self.stride, self.padding, self.relu
            )

    def __getstate__(self) -> dict[str, Any]:
        """Without what is made of the weights when it is needed."""
        return {name: value for name, value in self.__dict__.items() if name != "_dense"}

    def __repr__(self) -> str:
        k, c, kh, kw = self.weight.shape
        return f"Layer({c} → {k} channels, {kh}×{kw}, stride {self.stride}, padding {self.padding}, {self.method})"

    def __call__(self, x: Any) -> Any:
        """Convolve maps.

        Args:
            x: float32 ``[N, C, H, W]``, ``[C, H, W]`` or ``[H, W]``; an array, or a tensor in main memory. Channels-last maps
                need not be turned round.

        Returns:
            float32 ``[N, K, Oh, Ow]``: a tensor if ``x`` is one, without a gradient; else an array; in its memory format.

        Raises:
            InvalidInput: maps that cannot be used, or of another number of channels.
        """
        maps = as_maps(x)
        if maps.shape[1] != self.weight.shape[1]:
            as_weight(self.weight, maps.shape[1])  # says so
        moved = maps.transpose(0, 2, 3, 1)
        last = moved.flags.c_contiguous and not maps.flags.c_contiguous
        found = self._convolved(maps, moved, last)
        found = (
            np.ascontiguousarray(found.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
            if last
            else np.ascontiguousarray(found)
        )
        torch = sys.modules.get("torch")  # where nobody imported it, x is no tensor
        return (
            torch.from_numpy(found) if torch is not None and isinstance(x, torch.Tensor) else found
        )

    def _convolved(self, maps: np.ndarray, moved: np.ndarray, last: bool) -> np.ndarray:
        """Outputs ``[N, K, Oh, Ow]``, in memory as it comes."""
        if self._engine is not None:
            most = self.dense_from if self.method == "auto" else 1.0
            found = self._engine.unless_dense(np.ascontiguousarray(moved), most)
            if found is not None:
                return found.transpose(0, 3, 1, 2)
        if self.method == "torch" or (
            self.method == "auto" and sys.modules.get("torch") is not None
        ):
            Geometry(
                maps.shape, self.weight.shape[2:], self.stride, self.padding
            )  # says what does not fit
            return self._dense(maps if last else np.ascontiguousarray(maps))
        method = "im2col" if self.method == "auto" else self.method
        encoded = encode(
            maps, self.weight.shape[2:], self.stride, self.padding, method, **self._options
        )
        if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]  # noqa: SIM108
            found = encoded.convolve(self.weight, self.bias)
        else:
            found = product(encoded, self.weight, self.bias, last)
        return np.maximum(found, np.float32(0), out=found) if self.relu else found

    @cached_property
    def _dense(self) -> Callable[[np.ndarray], np.ndarray]:
        """PyTorch's convolution of the same weights, arrays in and out."""
        import torch

        first = torch.from_numpy(self.weight)
        last = first.contiguous(memory_format=torch.channels_last)
        bias = torch.from_numpy(self.bias)

        def convolve(maps: np.ndarray) -> np.ndarray:
            weight = first if maps.flags.c_contiguous else last
            with torch.inference_mode():
                found = torch.nn.functional.conv2d(
                    torch.from_numpy(maps), weight, bias, self.stride, self.padding
                )
                return np.asarray((found.relu_() if self.relu else found).numpy())

        return convolve
