"""The bitmap engine: a convolution of maps with zeros, from a bit for each channel of each pixel, faster than a dense one."""

from __future__ import annotations

import ctypes
import math
from collections import deque
from dataclasses import dataclass
from typing import Any, NamedTuple

import numba
import numpy as np

from explore._parallel.openmp import Pace
from explore._parallel.work_sharing import join
from explore.sparseconv._engine.kernels import (
    FOUND,
    MAPS,
    MOST,
    OUTPUTS,
    WORDS,
    convolution,
    job_of,
)
from explore.sparseconv._engine.microkernel import sweep
from explore.sparseconv._engine.simd import LANES, aligned
from explore.sparseconv.formats.bitmap import BLOCK_CHANNELS
from explore.sparseconv.formats.geometry import Geometry, Pair

UNDER_WAY = 4
"""Sums that must be computed at a time, at least: a fused multiply-add takes four cycles, and one can begin in each."""

NEAR = 28_672
"""Bytes of weights that stay in the nearest cache (32 KiB on most processors) while a row goes by."""

STRIP = 65_536
"""Bytes of sums that a task works on, at most; they stay in the second cache."""

PARALLEL_FROM = 4_000_000
"""Multiply-adds of the dense convolution from which on other threads are asked to join; fewer are done by then."""

TASKS = 4
"""Tasks for each thread, if there is enough to share."""


def pieces(whole: int, size: int) -> int:
    """How many pieces of a size make the whole, the last perhaps smaller.

    Example:
        >>> pieces(17, 16)
        2
    """
    return (whole + size - 1) // size


def _place(array: np.ndarray) -> int:
    """Address of a contiguous array; by ``array.ctypes`` it takes more than twice as long, which a small layer notices."""
    try:
        return ctypes.addressof(ctypes.c_char.from_buffer(array))  # type: ignore[arg-type]
    except TypeError:  # it is not to be written to
        return int(array.ctypes.data)


@dataclass(frozen=True)
class Plan:
    """How a convolution is cut up: decided once for its sizes, never for its values.

    Attributes:
        vectors: filters that are computed together (a group), / 16.
        groups: of filters.
        parts: channels whose bits are one word (a block), / 16.
        blocks: of channels.
    """

    vectors: int
    groups: int
    parts: int
    blocks: int

    @classmethod
    def of(cls, filters: int, channels: int, width: int, stride: int) -> Plan:
        """The plan for a kernel's width and horizontal stride.

        At least ``UNDER_WAY`` sums, or else each waits for the one before, and groups that leave as few filters over as can be;
        and the weights of a block of channels and a group of filters, for one kernel row, stay in the nearest cache.
        """
        wanted = pieces(filters, LANES)
        least = min(
            pieces(UNDER_WAY * stride, max(width, stride)), wanted
        )  # width / stride kernel columns meet a column
        vectors = min(range(least, 2 * least + 1), key=lambda v: pieces(wanted, v) * v)
        most = max(1, min(BLOCK_CHANNELS // LANES, NEAR // (4 * width * vectors * LANES * LANES)))
        sixteens = pieces(channels, LANES)
        blocks = pieces(sixteens, most)
        return cls(vectors, pieces(filters, vectors * LANES), pieces(sixteens, blocks), blocks)


class Room(NamedTuple):
    """Buffers of one call at a time, for maps of one size, and what the kernels are told in each."""

    key: tuple[int, ...]
    threads: int
    output: tuple[int, ...]
    counters: np.ndarray
    job: np.ndarray
    address: int
    read: int
    pace: Pace
    buffers: tuple[np.ndarray, ...]


class BitmapConvolution:
    """A convolution whose weights are repacked once.

    Args:
        weight: float32 ``[K, C, Kh, Kw]``.
        bias: float32 ``[K]``.
        stride, padding: (vertical, horizontal).
        relu: whether negative outputs become 0.

    Source: ours. CPO's and CPS's principle, each value stored once and the positions of neighbours packed (arXiv 2104.08314),
    with neighbours along the channels; the register blocking is that of SparseTrain (arXiv 1911.10175), for any kernel.
    """

    def __init__(
        self, weight: np.ndarray, bias: np.ndarray, stride: Pair, padding: Pair, relu: bool = False
    ) -> None:
        filters, channels, high, width = weight.shape
        self.shape, self.stride, self.padding = weight.shape, stride, padding
        self._relu = bool(relu)
        self.plan = plan = Plan.of(filters, channels, width, stride[1])
        lanes, inside = plan.vectors * LANES, plan.parts * LANES
        padded = np.zeros((plan.groups * lanes, plan.blocks * inside, high, width), np.float32)
        padded[:filters, :channels] = weight
        cut = padded.reshape(plan.groups, lanes, plan.blocks, inside, high, width).transpose(
            0, 2, 4, 3, 5, 1
        )
        self._weights, self._bias = aligned(padded.size), aligned(plan.groups * lanes)
        self._weights.reshape(cut.shape)[:] = cut
        self._bias[:] = 0
        self._bias[:filters] = bias
        self._free: deque[Room] = deque(maxlen=4)

    def __getstate__(self) -> dict[str, Any]:
        """A copy has rooms of its own: addresses in them are those of one object in one process."""
        return {**self.__dict__, "_free": deque(maxlen=self._free.maxlen)}

    def __call__(self, x: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Convolve maps.

        Args:
            x: float32 ``[N, H, W, C]``, contiguous; it is not checked, ``Layer`` does that.
            out: where to write, contiguous; new memory if left out.

        Returns:
            float32 ``[N, Oh, Ow, K]``.

        Raises:
            InvalidInput: the kernel is larger than the padded maps.
        """
        found = self.unless_dense(x, 1.0, out)
        assert found is not None, "no map has more values than places"
        return found

    def unless_dense(
        self, x: np.ndarray, most: float, out: np.ndarray | None = None
    ) -> np.ndarray | None:
        """The same, or None where more than a share ``most`` of the values that windows read is not zero: that is known after
        packing."""
        room = self._room((*x.shape, numba.get_num_threads()))
        if out is None:
            out = np.empty(room.output, np.float32)
        limit = math.floor(most * room.read)
        room.job[MAPS], room.job[OUTPUTS], room.job[MOST] = _place(x), _place(out), limit
        room.counters[:] = 0
        join(room.threads, convolution(), room.address, room.pace)
        found = room.counters[FOUND]
        self._free.append(room)
        return out if found <= limit else None

    def _room(self, key: tuple[int, ...]) -> Room:
        """That of an earlier call, if one fits and nobody else has it, or a new one."""
        for _ in range(len(self._free)):
            try:
                found = self._free.pop()
            except IndexError:  # others took them
                break
            if found.key == key:
                return found
            self._free.appendleft(found)
        return self._furnished(key)

    def _furnished(self, key: tuple[int, ...]) -> Room:
        count, height, width, channels, threads = key
        (filters, _, high, kernel), (down, across), plan = self.shape, self.stride, self.plan
        g = Geometry((count, channels, height, width), (high, kernel), self.stride, self.padding)
        (tall, wide), lanes = g.output, plan.vectors * LANES
        if count * tall * wide * high * kernel * channels * filters < PARALLEL_FROM:
            threads = 1
        rows = self._rows(tall, wide, count, threads)
        pitch, space = (wide + g.classes - 1) * across, width * plan.parts * LANES + LANES
        segments = count * plan.blocks * height
        tiles = (pieces(tall, rows), high, down, self.padding[0], rows)
        one = (
            plan.parts * LANES * kernel * lanes
        )  # weights of a kernel row, a block of channels and a group of filters
        by_tiles = self._weights.size < math.prod(
            key[:4]
        )  # all threads read all weights, or all of the maps: what is less
        given = (
            count,
            height,
            width,
            channels,
            plan.parts,
            plan.blocks,
            self.padding[1],
            pitch,
            space,
            kernel,
            across,
            threads,
        )
        asked = (
            count,
            height,
            tall,
            wide,
            filters,
            plan.vectors,
            plan.blocks,
            pitch,
            space,
            *tiles,
            one,
            threads,
            by_tiles,
        )
        columns = np.arange(self.padding[1], min(self.padding[1] + width, pitch))
        read = (
            count * height * channels * int((columns % across < kernel).sum())
        )  # values, as ``pack`` counts them
        values, strips = aligned(segments * space + LANES), aligned(threads * rows * wide * lanes)
        masks, counters = (
            aligned(segments * pitch, np.uint64),
            aligned(WORDS * (1 + threads), np.uint64),
        )
        arrays = (values, self._weights, self._bias, strips, masks, counters)
        sizes = (math.prod(key[:4]), math.prod((count, tall, wide, filters)))
        job = job_of(sizes, arrays, sweep(kernel, across, plan.vectors), self._relu, given, asked)
        return Room(
            key,
            threads,
            (count, tall, wide, filters),
            counters,
            job,
            job.ctypes.data,
            read,
            Pace(),
            arrays,
        )

    def _rows(self, tall: int, wide: int, count: int, threads: int) -> int:
        """Rows of a tile: few enough to stay in the second cache and to give every thread several tiles."""
        tiles = pieces(tall, max(1, STRIP // (4 * wide * self.plan.vectors * LANES)))
        if threads > 1:
            tiles = max(tiles, min(tall, pieces(TASKS * threads, self.plan.groups * count)))
        return pieces(tall, tiles)
