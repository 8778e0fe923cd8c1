"""The bitmap engine: convolves maps with zeros faster than a dense library, from a bit for each channel of each pixel."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np

from explore.sparseconv.bitmap_kernels import convolver, pack
from explore.sparseconv.geometry import Geometry
from explore.sparseconv.vectors import LANES

BLOCK = 64
"""Channels whose bits are one word, at most."""

UNDER_WAY = 4
"""Sums that must be computed at a time, at least: a fused multiply-add takes four cycles, and one can begin in each."""

NEAR = 24_576
"""Bytes of weights that stay in the nearest cache (32 KiB on most processors) while a row goes by."""

STRIP = 131_072
"""Bytes of outputs that a task works on, at most; they stay in the second cache."""

ALIGNED = 64
"""Bytes: what a vector begins at, so that none lies across two lines of the cache (measured: half as fast otherwise)."""


@dataclass(frozen=True)
class Plan:
    """How a convolution is cut up: decided once for its sizes, never for its values.

    Attributes:
        vectors: filters that are computed together, / 16.
        parts: channels whose bits are one word, / 16.
        blocks: such words of a pixel.
        groups: blocks of filters.
    """

    vectors: int
    parts: int
    blocks: int
    groups: int

    @classmethod
    def of(cls, filters: int, channels: int, width: int, stride: int) -> Plan:
        """The plan for a kernel's width and horizontal stride.

        At least four sums must be under way at a time, or else each waits for the one before; and the weights of a block
        of channels and filters, for one kernel row, must stay in the nearest cache.
        """
        least = width // stride or 1  # kernel columns that meet a column, in the leanest phase of the stride
        sixteens = -(-filters // LANES)
        vectors = min(-(-UNDER_WAY // least), sixteens)
        parts = max(1, min(BLOCK // LANES, NEAR // (4 * width * vectors * LANES * LANES)))
        blocks = -(-(-(-channels // LANES)) // parts)
        return cls(vectors, -(-(-(-channels // LANES)) // blocks), blocks, -(-sixteens // vectors))


class BitmapConvolution:
    """A convolution whose weights are repacked once; called with maps ``[N, H, W, C]``, it returns ``[N, Oh, Ow, K]``.

    Args:
        weight: float32 ``[K, C, Kh, Kw]``.
        bias: float32 ``[K]``.
        stride, padding: pairs (vertical, horizontal).
        relu: whether negative outputs become 0.
    """

    def __init__(self, weight: np.ndarray, bias: np.ndarray, stride: tuple[int, int], padding: tuple[int, int], relu: bool = False) -> None:
        self.weight, self.stride, self.padding, self._floor = weight, stride, padding, np.float32(0 if relu else -np.inf)
        filters, channels, high, width = weight.shape
        self.plan = plan = Plan.of(filters, channels, width, stride[1])
        lanes = plan.vectors * LANES
        padded = np.zeros((plan.groups * lanes, plan.blocks * plan.parts * LANES, high, width), np.float32)
        padded[:filters, :channels] = weight
        blocked = padded.reshape(plan.groups, lanes, plan.blocks, plan.parts * LANES, high, width)
        self._weights = aligned(padded.size)
        self._weights.reshape(plan.groups, plan.blocks, high, plan.parts * LANES, width, lanes)[:] = blocked.transpose(0, 2, 4, 3, 5, 1)
        self._bias = aligned(plan.groups * lanes)
        self._bias[:filters] = bias
        self._spare: deque[dict[str, Any]] = deque(maxlen=4)

    def __call__(self, x: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Convolve contiguous float32 maps ``[N, H, W, C]``."""
        count, height, width, channels = x.shape
        geometry = Geometry((count, channels, height, width), self.weight.shape[2:], self.stride, self.padding)
        (tall, wide), plan, filters = geometry.output, self.plan, len(self.weight)
        pitch = (wide + geometry.classes - 1) * self.stride[1]
        room = width * plan.parts * LANES + LANES
        threads = numba.get_num_threads()
        rows = self._rows(tall, wide, plan.groups * count, threads)
        scratch = self._scratch(x.shape, threads, plan.blocks * count * height, pitch, room, rows * wide * plan.vectors * LANES)
        if out is None:
            out = np.empty((count, tall, wide, filters), np.float32)
        kernel = self.weight.shape[3]
        sizes = (count, height, width, channels, plan.parts, plan.blocks, self.padding[1], pitch, room, kernel, self.stride[1])
        pack(x.reshape(-1), sizes, scratch["masks"], scratch["values"])
        sizes = (
            count, height, tall, wide, filters, plan.parts, plan.blocks, pitch, room, -(-tall // rows),
            self.weight.shape[2], self.stride[0], self.padding[0], rows,
        )  # fmt: skip
        convolve = convolver(kernel, self.stride[1], plan.vectors)
        convolve(scratch["values"], scratch["masks"], self._weights, self._bias, out.reshape(-1), scratch["strips"], sizes, self._floor)
        self._spare.append(scratch)
        return out

    def _rows(self, tall: int, wide: int, groups: int, threads: int) -> int:
        """Rows of a tile: few enough to stay in the second cache and to give every thread several tiles."""
        rows = max(1, min(tall, STRIP // (4 * wide * self.plan.vectors * LANES)))
        tiles = -(-tall // rows)
        while rows > 1 and groups * tiles < 4 * threads:
            rows -= 1
            tiles = -(-tall // rows)
        return -(-tall // tiles)

    def _scratch(self, shape: tuple[int, ...], threads: int, segments: int, pitch: int, room: int, strip: int) -> dict[str, Any]:
        """Buffers of an earlier call, if they fit and nobody else uses them, or new ones."""
        key = (shape, threads)
        try:
            found = self._spare.pop()
            if found["key"] == key:
                return found
        except IndexError:
            pass
        return {
            "key": key,
            "masks": aligned(segments * pitch, np.uint64),
            "values": aligned(segments * room + LANES),
            "strips": aligned(threads * strip),
        }


def aligned(count: int, kind: Any = np.float32) -> np.ndarray:
    """Zeros that begin where a line of the cache begins."""
    size = count * np.dtype(kind).itemsize
    room = np.zeros(size + ALIGNED, np.uint8)
    start = -room.ctypes.data % ALIGNED
    return room[start : start + size].view(kind)
