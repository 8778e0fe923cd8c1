"""What one call of the bitmap engine tells its kernels, as NumPy records with named fields."""

from __future__ import annotations

from typing import Any

import numpy as np

from explore._parallel.intrinsics import SCHED_YIELD

BUFFERS = ("values", "weights", "bias", "strips", "masks", "progress", "shares")
"""Arrays that every call of one geometry uses again."""

SIZES = (
    *("images", "height", "width", "channels"),  # of the maps
    *("output_height", "output_width", "filters"),
    *("kernel_height", "kernel_width", "stride_y", "stride_x", "padding_y", "padding_x"),
    *("channel_vectors", "channel_blocks", "filter_vectors"),  # see ``Plan``
    *("segment_masks", "segment_values"),  # between the beginnings of two segments
    *("tile_rows", "tiles", "row_weights", "threads", "split_by_tiles"),
)

CALL = np.dtype(
    [
        ("maps", np.uint64),
        ("outputs", np.uint64),
        ("nonzero_limit", np.uint64),
        ("maps_size", np.int64),
        ("outputs_size", np.int64),
        *((name, np.uint64) for name in BUFFERS),
        *((f"{name}_size", np.int64) for name in BUFFERS),
        ("microkernel", np.uint64),
        ("sched_yield", np.uint64),
        ("relu", np.int64),
        *((name, np.int64) for name in SIZES),
    ],
    align=True,
)
"""One call. ``maps``, ``outputs``, the buffers and the two functions are addresses; sizes of arrays
are in elements. Only ``maps``, ``outputs`` and ``nonzero_limit`` change from call to call."""

PROGRESS = np.dtype(
    {
        "names": ["rows_done", "tasks_done", "nonzero_values"],
        "formats": [np.uint64] * 3,
        "itemsize": 64,
    },
    align=True,
)
"""What all threads of a call count together, in one cache line."""

SHARE = np.dtype(
    {"names": ["next_row", "next_task"], "formats": [np.uint64] * 2, "itemsize": 64}, align=True
)
"""How far the work that was assigned to one thread is, in a cache line of its own."""


def call_record(
    buffers: dict[str, np.ndarray], microkernel: int, relu: bool, sizes: dict[str, int]
) -> np.ndarray:
    """Return a ``CALL`` (an array of one) whose three changing fields are still 0.

    Args:
        buffers: an array for each of ``BUFFERS``.
        microkernel: address, see ``row_microkernel``.
        relu: whether negative outputs become 0.
        sizes: a number for each of ``SIZES``.
    """
    fields: dict[str, Any] = {**sizes, "microkernel": microkernel, "relu": relu}
    fields["sched_yield"] = SCHED_YIELD
    fields["maps_size"] = sizes["images"] * sizes["height"] * sizes["width"] * sizes["channels"]
    pixels = sizes["images"] * sizes["output_height"] * sizes["output_width"]
    fields["outputs_size"] = pixels * sizes["filters"]
    for name, array in buffers.items():
        fields[name], fields[f"{name}_size"] = array.ctypes.data, array.size
    record = np.zeros(1, CALL)
    for name, value in fields.items():
        record[name] = value
    return record
