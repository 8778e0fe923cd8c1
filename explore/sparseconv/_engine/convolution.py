"""The bitmap engine: a convolution that skips zeros, faster than a dense one.

Maps are stored as their values that are not zero, and a word of bits for each pixel that says which
channels these are.
"""

from __future__ import annotations

import ctypes
import math
from collections import deque
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from explore._parallel import policy
from explore._parallel.policy import BestTime
from explore._parallel.work_sharing import run_cooperative
from explore.sparseconv._engine.call_record import PROGRESS, SHARE, call_record
from explore.sparseconv._engine.kernels import convolution_kernel
from explore.sparseconv._engine.microkernel import row_microkernel
from explore.sparseconv._engine.simd import LANES, aligned_empty
from explore.sparseconv.formats.bitmap import BLOCK_CHANNELS
from explore.sparseconv.formats.geometry import Geometry, Pair, check_output_size

MIN_SUMS = 4
"""Sums in work at a time, at least: a multiply-add takes four cycles, and one can begin in each."""

WEIGHT_BYTES = 28_672
"""Bytes of weights that stay in the first cache (32 KiB on most processors) during one map row."""

STRIP_BYTES = 65_536
"""Bytes of sums that a task works on, at most; they stay in the second cache."""

TASKS_PER_THREAD = 4
"""Tasks for each thread, if there is enough work."""


def ceil_div(total: int, size: int) -> int:
    """Return ⌈total / size⌉.

    Example:
        >>> ceil_div(17, 16)
        2
    """
    return (total + size - 1) // size


def address_of(array: np.ndarray) -> int:
    """Return the address of a contiguous array.

    ``array.ctypes`` takes more than twice as long, which matters for a small layer.
    """
    try:
        return ctypes.addressof(ctypes.c_char.from_buffer(array))  # type: ignore[arg-type]
    except TypeError:  # a read-only array
        return int(array.ctypes.data)


@dataclass(frozen=True)
class Plan:
    """How a convolution is split. It depends on the sizes only, never on values.

    Attributes:
        filter_vectors: filters that are computed together (a group), / 16.
        groups: number of groups.
        channel_vectors: channels whose bits are one word (a block), / 16.
        blocks: number of blocks.
    """

    filter_vectors: int
    groups: int
    channel_vectors: int
    blocks: int

    @classmethod
    def of(cls, filters: int, channels: int, width: int, stride: int) -> Plan:
        """Return the plan for a kernel's width and horizontal stride.

        At least ``MIN_SUMS`` sums are in work, or else each waits for the one before. Groups leave
        as few filters over as possible. The weights of a block of channels and a group of filters,
        for one kernel row, stay in the first cache.
        """
        vectors = ceil_div(filters, LANES)
        # Each map column meets width / stride kernel columns.
        min_group = min(ceil_div(MIN_SUMS * stride, max(width, stride)), vectors)
        group = min(range(min_group, 2 * min_group + 1), key=lambda v: ceil_div(vectors, v) * v)
        limit = WEIGHT_BYTES // (4 * width * group * LANES * LANES)
        block = max(1, min(BLOCK_CHANNELS // LANES, limit))
        channel_vectors = ceil_div(channels, LANES)
        blocks = ceil_div(channel_vectors, block)
        return cls(
            group, ceil_div(filters, group * LANES), ceil_div(channel_vectors, blocks), blocks
        )


class CallBuffers(NamedTuple):
    """Buffers of one call at a time, for maps of one size, and the record that lists them.

    ``maps``, ``outputs``, ``nonzero_limit`` and ``nonzero_values`` are views of single fields.
    """

    key: tuple[int, ...]
    threads: int
    output_shape: tuple[int, ...]
    read_values: int
    best_time: BestTime
    address: int
    maps: np.ndarray
    outputs: np.ndarray
    nonzero_limit: np.ndarray
    nonzero_values: np.ndarray
    counters: np.ndarray
    arrays: tuple[np.ndarray, ...]


class BitmapConvolution:
    """A convolution whose weights are repacked once.

    Args:
        weight: float32 ``[K, C, Kh, Kw]``.
        bias: float32 ``[K]``.
        stride, padding: (vertical, horizontal).
        relu: whether negative outputs become 0.

    Source: ours. CPO's and CPS's principle, each value stored once and the positions of neighbours
    packed (arXiv 2104.08314), with neighbours along the channels; the register blocking is that of
    SparseTrain (arXiv 1911.10175), for any kernel.
    """

    def __init__(
        self, weight: np.ndarray, bias: np.ndarray, stride: Pair, padding: Pair, relu: bool = False
    ) -> None:
        filters, channels, high, width = weight.shape
        self.shape, self.stride, self.padding = weight.shape, stride, padding
        self._relu = bool(relu)
        self.plan = plan = Plan.of(filters, channels, width, stride[1])
        group, block = plan.filter_vectors * LANES, plan.channel_vectors * LANES
        padded = np.zeros((plan.groups * group, plan.blocks * block, high, width), np.float32)
        padded[:filters, :channels] = weight
        split = padded.reshape(plan.groups, group, plan.blocks, block, high, width)
        repacked = split.transpose(0, 2, 4, 3, 5, 1)
        self._weights, self._bias = aligned_empty(padded.size), aligned_empty(plan.groups * group)
        self._weights.reshape(repacked.shape)[:] = repacked
        self._bias[:] = 0
        self._bias[:filters] = bias
        self._free: deque[CallBuffers] = deque(maxlen=4)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the buffers: their addresses are those of one object in one process."""
        return {**self.__dict__, "_free": deque(maxlen=self._free.maxlen)}

    def __call__(self, x: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Convolve maps.

        Args:
            x: float32 ``[N, H, W, C]``, contiguous; it is not checked, ``Layer`` does that.
            out: where to write, contiguous; new memory if None.

        Returns:
            float32 ``[N, Oh, Ow, K]``.

        Raises:
            InvalidInput: the kernel is larger than the padded maps.
        """
        return self._run(x, 1.0, out)[0]

    def convolve_if_sparse(self, x: np.ndarray, max_density: float) -> np.ndarray | None:
        """Convolve maps, or return None if they are too dense, which is known after packing.

        Args:
            x: as for a call.
            max_density: of the values that windows read, the share that may differ from zero.
        """
        out, is_sparse = self._run(x, max_density, None)
        return out if is_sparse else None

    def _run(
        self, x: np.ndarray, max_density: float, out: np.ndarray | None
    ) -> tuple[np.ndarray, bool]:
        """Return outputs, and whether the maps were sparse enough for them to be computed."""
        buffers = self._buffers((*x.shape, policy.kernel_threads()))
        if out is None:
            out = np.empty(buffers.output_shape, np.float32)
        limit = math.floor(max_density * buffers.read_values)
        buffers.maps[0], buffers.outputs[0] = address_of(x), address_of(out)
        buffers.nonzero_limit[0] = limit
        buffers.counters[:] = 0
        run_cooperative(buffers.threads, convolution_kernel(), buffers.address, buffers.best_time)
        is_sparse = bool(buffers.nonzero_values[0] <= limit)
        self._free.append(buffers)
        return out, is_sparse

    def _buffers(self, key: tuple[int, ...]) -> CallBuffers:
        """Return the buffers of an earlier call if they fit and are free, or new ones."""
        for _ in range(len(self._free)):
            try:
                buffers = self._free.pop()
            except IndexError:  # other threads took them
                break
            if buffers.key == key:
                return buffers
            self._free.appendleft(buffers)
        return self._new_buffers(key)

    def _new_buffers(self, key: tuple[int, ...]) -> CallBuffers:
        images, height, width, channels, threads = key
        (filters, _, high, kernel_width), stride, plan = self.shape, self.stride, self.plan
        g = Geometry((images, channels, height, width), (high, kernel_width), stride, self.padding)
        check_output_size(g, filters)
        (out_height, out_width), (above, left) = g.output, self.padding
        multiply_adds = images * out_height * out_width * high * kernel_width * channels * filters
        if multiply_adds < policy.MIN_SHARED_MULTIPLY_ADDS:
            threads = 1
        rows = self._tile_rows(out_height, out_width, images, threads)
        group, block = plan.filter_vectors * LANES, plan.channel_vectors * LANES
        segment_masks = (out_width + g.classes - 1) * stride[1]
        segment_values = width * block + LANES
        segments = images * plan.blocks * height
        sizes = {
            "images": images,
            "height": height,
            "width": width,
            "channels": channels,
            "output_height": out_height,
            "output_width": out_width,
            "filters": filters,
            "kernel_height": high,
            "kernel_width": kernel_width,
            "stride_y": stride[0],
            "stride_x": stride[1],
            "padding_y": above,
            "padding_x": left,
            "channel_vectors": plan.channel_vectors,
            "channel_blocks": plan.blocks,
            "filter_vectors": plan.filter_vectors,
            "segment_masks": segment_masks,
            "segment_values": segment_values,
            "tile_rows": rows,
            "tiles": ceil_div(out_height, rows),
            "row_weights": block * kernel_width * group,
            "threads": threads,
            # Either all threads read all weights, or all of the maps: the smaller of the two.
            "split_by_tiles": self._weights.size < math.prod(key[:4]),
        }
        counters = aligned_empty(8 * (1 + threads), np.uint64)
        progress, shares = counters[:8].view(PROGRESS), counters[8:].view(SHARE)
        arrays = {
            "values": aligned_empty(segments * segment_values + LANES),
            "weights": self._weights,
            "bias": self._bias,
            "strips": aligned_empty(threads * rows * out_width * group),
            "masks": aligned_empty(segments * segment_masks, np.uint64),
            "progress": progress,
            "shares": shares,
        }
        microkernel = row_microkernel(kernel_width, stride[1], plan.filter_vectors)
        record = call_record(arrays, microkernel, self._relu, sizes)
        columns = np.arange(left, min(left + width, segment_masks))
        read_columns = int((columns % stride[1] < kernel_width).sum())  # those that are packed
        return CallBuffers(
            key,
            threads,
            (images, out_height, out_width, filters),
            images * height * channels * read_columns,
            BestTime(),
            record.ctypes.data,
            record["maps"],
            record["outputs"],
            record["nonzero_limit"],
            progress["nonzero_values"],
            counters,
            (record, *arrays.values()),
        )

    def _tile_rows(self, out_height: int, out_width: int, images: int, threads: int) -> int:
        """Return the output rows of a tile.

        They are few enough to stay in the second cache and to give every thread several tiles.
        """
        strip = max(1, STRIP_BYTES // (4 * out_width * self.plan.filter_vectors * LANES))
        tiles = ceil_div(out_height, strip)
        if threads > 1:
            min_tiles = ceil_div(TASKS_PER_THREAD * threads, self.plan.groups * images)
            tiles = max(tiles, min(out_height, min_tiles))
        return ceil_div(out_height, tiles)
