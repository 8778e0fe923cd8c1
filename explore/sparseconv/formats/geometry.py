"""Geometry: the sizes of a convolution, which windows read which column, and where each entry of its matrix comes from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from explore.errors import InvalidInput
from explore.sparseconv.formats.validation import Pair, as_pair


@dataclass(frozen=True, init=False)
class Geometry:
    """Sizes of a convolution (cross-correlation, as in networks), all fixed before any value is seen.

    A *window* is what one output column reads: ``Kw`` columns of the padded map in full height. Window s holds the
    columns ``s·Sw … s·Sw + Kw − 1``. Windows overlap, and a column is filed under its first window (the *owner*) and by
    how many windows read it (one less is its *overlap class*).

    Args:
        shape: of the maps, (N, C, H, W).
        kernel_size: Kh, Kw; whole numbers ≥ 1.
        stride: Sh, Sw; whole numbers ≥ 1.
        padding: zeros added above and below, left and right; whole numbers ≥ 0.

    Raises:
        InvalidInput: one is out of range, or the kernel is larger than the padded map.

    Source: the notation of Cho and Brand, 2017; owners and classes are our reading of CPO (arXiv 2104.08314).

    Example:
        >>> g = Geometry((1, 1, 4, 5), 3)
        >>> g.output, g.classes, g.windows.tolist(), g.owner.tolist()
        ((2, 3), 3, [1, 2, 3, 2, 1], [0, 0, 0, 1, 2])
    """

    shape: tuple[int, int, int, int]
    kernel: Pair
    stride: Pair
    padding: Pair

    def __init__(self, shape: Any, kernel_size: Any, stride: Any = 1, padding: Any = 0) -> None:
        sizes = tuple(shape)
        if len(sizes) != 4 or not all(isinstance(n, int | np.integer) and n >= 1 for n in sizes):
            raise InvalidInput(f"shape must be (N, C, H, W), four whole numbers ≥ 1, got {shape!r}")
        object.__setattr__(self, "shape", tuple(int(n) for n in sizes))
        for name, value, least in (
            ("kernel", kernel_size, 1),
            ("stride", stride, 1),
            ("padding", padding, 0),
        ):
            object.__setattr__(
                self, name, as_pair("kernel_size" if name == "kernel" else name, value, least)
            )
        if self.kernel[0] > self.padded[0] or self.kernel[1] > self.padded[1]:
            raise InvalidInput(
                f"a {self.kernel[0]}×{self.kernel[1]} kernel is larger than the padded map of {self.padded[0]}×{self.padded[1]}; "
                "pad more or take a smaller kernel"
            )

    @property
    def padded(self) -> Pair:
        """Height and width of a padded map, (Hp, Wp)."""
        return self.shape[2] + 2 * self.padding[0], self.shape[3] + 2 * self.padding[1]

    @property
    def output(self) -> Pair:
        """Height and width of the output, (Oh, Ow)."""
        (tall, wide), (kh, kw), (sh, sw) = self.padded, self.kernel, self.stride
        return (tall - kh) // sh + 1, (wide - kw) // sw + 1

    @property
    def classes(self) -> int:
        """n = ⌈Kw / Sw⌉: the most windows that share a column, and the number of overlap classes."""
        return -(-self.kernel[1] // self.stride[1])

    @cached_property
    def owner(self) -> np.ndarray:
        """The first window that reads each padded column, ``[Wp]``; meaningless where ``windows`` is 0."""
        column = np.arange(self.padded[1])
        return np.maximum(0, -((self.kernel[1] - 1 - column) // self.stride[1]))

    @cached_property
    def windows(self) -> np.ndarray:
        """How many windows read each padded column, ``[Wp]``; 0 in gaps (Kw < Sw) and in what is left over at the right."""
        last = np.minimum(self.output[1] - 1, np.arange(self.padded[1]) // self.stride[1])
        return np.maximum(0, last - self.owner + 1)

    @cached_property
    def order(self) -> np.ndarray:
        """The padded columns that hold values and are read, by class, then owner, then place, ``[J]``: the order of CPO."""
        column = np.arange(self.padded[1])
        real = (
            (column >= self.padding[1])
            & (column < self.padding[1] + self.shape[3])
            & (self.windows > 0)
        )
        return column[real][np.lexsort((column[real], self.owner[real], self.windows[real]))]

    @cached_property
    def rank(self) -> np.ndarray:
        """Place of each column of ``order`` among those of the same class and owner, ``[J]``; all 0 if no two share both."""
        bucket = self.windows[self.order] * self.padded[1] + self.owner[self.order]
        return np.arange(len(bucket)) - np.searchsorted(bucket, bucket)

    @property
    def im2col_elements(self) -> int:
        """Entries of the im2col matrix, N·C·Kh·Kw·Oh·Ow."""
        return (
            self.shape[0]
            * self.shape[1]
            * self.kernel[0]
            * self.kernel[1]
            * self.output[0]
            * self.output[1]
        )

    @property
    def mec_elements(self) -> int:
        """Entries of MEC's lowered matrix, N·C·Kw·Hp·Ow (Cho and Brand, 2017)."""
        return self.shape[0] * self.shape[1] * self.kernel[1] * self.padded[0] * self.output[1]

    @property
    def window_columns(self) -> np.ndarray:
        """Padded columns of each window, ``[Ow, Kw]``."""
        return np.arange(self.output[1])[:, None] * self.stride[1] + np.arange(self.kernel[1])

    def im2col_indices(self) -> np.ndarray:
        """Where each entry of an image's im2col matrix stands in its flattened padded maps, ``[Oh·Ow, C·Kh·Kw]``.

        Example:
            >>> Geometry((1, 1, 2, 3), 2).im2col_indices()
            array([[0, 1, 3, 4],
                   [1, 2, 4, 5]])
        """
        (oh, ow), kh, (tall, wide) = self.output, self.kernel[0], self.padded
        rows = np.arange(oh)[:, None] * self.stride[0] + np.arange(kh)
        place = (
            rows[:, None, :, None] * wide + self.window_columns[None, :, None, :]
        )  # [Oh, Ow, Kh, Kw]
        maps = np.arange(self.shape[1])[:, None, None] * (tall * wide)
        return (place[:, :, None] + maps).reshape(oh * ow, -1)

    def pad(self, x: np.ndarray) -> np.ndarray:
        """``[N, C, H, W]`` with zeros around, ``[N, C, Hp, Wp]``."""
        (ph, pw) = self.padding
        return np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))

    def crop(self, padded: np.ndarray) -> np.ndarray:
        """``[N, C, Hp, Wp]`` without the padding, ``[N, C, H, W]``."""
        (ph, pw), (tall, wide) = self.padding, self.shape[2:]
        return padded[:, :, ph : ph + tall, pw : pw + wide]
