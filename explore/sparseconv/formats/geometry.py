"""Sizes of a convolution, the windows that read each column, and the indices of im2col."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from explore.core.array_validation import as_array
from explore.core.validation import describe, to_python
from explore.errors import InvalidInput
from explore.sparseconv.formats.validation import Pair, as_pair

MOST_CELLS = 2**32
"""Values of padded maps, at most: 16 GiB."""


@dataclass(frozen=True, init=False)
class Geometry:
    """Sizes of a convolution (cross-correlation, as in networks). They do not depend on values.

    A *window* is what one output column reads: ``Kw`` columns of the padded map in full height.
    Window s has the columns ``s·Sw … s·Sw + Kw − 1``. Windows overlap. The first window that reads
    a column is its *owner*; the number of windows that read it, less one, is its *overlap class*.

    Args:
        shape: of the maps, (N, C, H, W).
        kernel_size: an integer ≥ 1, or (Kh, Kw).
        stride: an integer ≥ 1, or (Sh, Sw).
        padding: zeros around the map: an integer ≥ 0, or (above and below, left and right).

    Raises:
        InvalidInput: a number is out of range, the kernel is larger than the padded map, or the
            padded maps have more than 2^32 values.

    Source: the notation of Cho and Brand, 2017; owners and classes are our reading of CPO
    (arXiv 2104.08314).

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
        object.__setattr__(self, "shape", _map_shape(shape))
        object.__setattr__(self, "kernel", as_pair("kernel_size", kernel_size, 1))
        object.__setattr__(self, "stride", as_pair("stride", stride, 1))
        object.__setattr__(self, "padding", as_pair("padding", padding, 0))
        (kh, kw), (height, width) = self.kernel, self.padded
        if kh > height or kw > width:
            raise InvalidInput(
                f"a {kh}×{kw} kernel is larger than the padded map of {height}×{width}; "
                "pad more or take a smaller kernel"
            )
        if self.shape[0] * self.shape[1] * height * width > MOST_CELLS:
            raise InvalidInput(
                f"the padded maps {[*self.shape[:2], height, width]} have more than {MOST_CELLS} "
                "values; pad less, or convolve fewer maps at a time"
            )

    @property
    def padded(self) -> Pair:
        """Height and width of a padded map, (Hp, Wp)."""
        return self.shape[2] + 2 * self.padding[0], self.shape[3] + 2 * self.padding[1]

    @property
    def output(self) -> Pair:
        """Height and width of the output, (Oh, Ow)."""
        (height, width), (kh, kw), (sh, sw) = self.padded, self.kernel, self.stride
        return (height - kh) // sh + 1, (width - kw) // sw + 1

    @property
    def classes(self) -> int:
        """Number of overlap classes n = ⌈Kw / Sw⌉: the most windows that share a column."""
        return -(-self.kernel[1] // self.stride[1])

    @cached_property
    def owner(self) -> np.ndarray:
        """First window that reads each padded column, ``[Wp]``; undefined if ``windows`` is 0."""
        column = np.arange(self.padded[1])
        return np.maximum(0, -((self.kernel[1] - 1 - column) // self.stride[1]))

    @cached_property
    def windows(self) -> np.ndarray:
        """Number of windows that read each padded column, ``[Wp]``.

        It is 0 in gaps (Kw < Sw) and in the columns that are left over at the right.
        """
        last = np.minimum(self.output[1] - 1, np.arange(self.padded[1]) // self.stride[1])
        return np.maximum(0, last - self.owner + 1)

    @cached_property
    def order(self) -> np.ndarray:
        """Padded columns that are read and not padding, ``[J]``, in the order of CPO.

        They are sorted by class, then owner, then position.
        """
        column = np.arange(self.padding[1], self.padding[1] + self.shape[3])
        column = column[self.windows[column] > 0]
        return column[np.lexsort((column, self.owner[column], self.windows[column]))]

    @cached_property
    def rank(self) -> np.ndarray:
        """Rank of each column of ``order`` among those of the same class and owner, ``[J]``."""
        bucket = self.windows[self.order] * self.padded[1] + self.owner[self.order]
        return np.arange(len(bucket)) - np.searchsorted(bucket, bucket)

    @property
    def im2col_elements(self) -> int:
        """Entries of the im2col matrix, N·C·Kh·Kw·Oh·Ow."""
        return math.prod((*self.shape[:2], *self.kernel, *self.output))

    @property
    def mec_elements(self) -> int:
        """Entries of MEC's lowered matrix, N·C·Kw·Hp·Ow (Cho and Brand, 2017)."""
        return math.prod((*self.shape[:2], self.kernel[1], self.padded[0], self.output[1]))

    @property
    def window_columns(self) -> np.ndarray:
        """Padded columns of each window, ``[Ow, Kw]``."""
        return np.arange(self.output[1])[:, None] * self.stride[1] + np.arange(self.kernel[1])

    def im2col_indices(self) -> np.ndarray:
        """Return for each entry of an image's im2col matrix its index in the flat padded maps.

        Returns:
            ``[Oh·Ow, C·Kh·Kw]``.

        Example:
            >>> Geometry((1, 1, 2, 3), 2).im2col_indices()
            array([[0, 1, 3, 4],
                   [1, 2, 4, 5]])
        """
        (oh, ow), (height, width) = self.output, self.padded
        rows = np.arange(oh)[:, None] * self.stride[0] + np.arange(self.kernel[0])
        # [Oh, Ow, Kh, Kw]
        index = rows[:, None, :, None] * width + self.window_columns[None, :, None, :]
        maps = np.arange(self.shape[1])[:, None, None] * (height * width)
        return (index[:, :, None] + maps).reshape(oh * ow, -1)

    def pad(self, x: np.ndarray) -> np.ndarray:
        """Surround maps ``[N, C, H, W]`` with zeros, ``[N, C, Hp, Wp]``.

        Raises:
            InvalidInput: the maps have another shape.
        """
        (ph, pw) = self.padding
        x = _checked_maps("x", x, self.shape)
        return np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))

    def crop(self, padded: np.ndarray) -> np.ndarray:
        """Remove the padding of maps ``[N, C, Hp, Wp]``, ``[N, C, H, W]``.

        Raises:
            InvalidInput: the maps have another shape.
        """
        (ph, pw), (h, w) = self.padding, self.shape[2:]
        padded = _checked_maps("padded", padded, (*self.shape[:2], *self.padded))
        return padded[:, :, ph : ph + h, pw : pw + w]


def check_output_size(geometry: Geometry, filters: int) -> None:
    """Check that the outputs of a convolution can be held in memory.

    Raises:
        InvalidInput: they have more than ``MOST_CELLS`` values.
    """
    shape = [geometry.shape[0], filters, *geometry.output]
    if math.prod(shape) > MOST_CELLS:
        raise InvalidInput(
            f"the output {shape} has more than {MOST_CELLS} values; pad less, or convolve fewer "
            "maps at a time"
        )


def _checked_maps(name: str, maps: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Return maps ``[N, C, H, W]`` of a height and width as an array of their own type."""
    array = maps if isinstance(maps, np.ndarray) else as_array(name, maps)
    if array.ndim != 4 or array.shape[2:] != shape[2:]:
        raise InvalidInput(
            f"{name} must be maps [N, C, {shape[2]}, {shape[3]}], got shape {list(array.shape)}"
        )
    return array


def _map_shape(shape: Any) -> tuple[int, int, int, int]:
    try:
        sizes = [to_python(n) for n in ([] if isinstance(shape, str) else shape)]
    except Exception:  # not iterable, or an iterator of somebody else that fails
        sizes = []
    whole = all(
        isinstance(n, int | float) and not isinstance(n, bool) and n >= 1 and n == n // 1
        for n in sizes
    )
    if len(sizes) != 4 or not whole:
        raise InvalidInput(f"shape must be (N, C, H, W), four integers ≥ 1, got {describe(shape)}")
    n, c, h, w = (int(size) for size in sizes)
    return n, c, h, w
