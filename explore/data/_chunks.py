"""Process a large tensor chunk by chunk, so that temporary copies stay small."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

CHUNK_BYTES = 2**24
"""Largest size of a chunk, except that a chunk has at least one row."""


def chunks(values: torch.Tensor) -> Iterator[torch.Tensor]:
    """Split a tensor along its first dimension into views of at most ``CHUNK_BYTES``."""
    rows = values.reshape(1) if values.ndim == 0 else values
    yield from rows.split(rows_per_chunk(rows[:1].numel() * rows.element_size()))


def rows_per_chunk(row_bytes: int) -> int:
    """Return how many rows of ``row_bytes`` fit into a chunk, one or more."""
    return max(1, CHUNK_BYTES // max(1, row_bytes))


def map_rows(
    values: torch.Tensor,
    function: Callable[[torch.Tensor], torch.Tensor],
    dtype: torch.dtype = torch.float64,
) -> torch.Tensor:
    """Apply a function that returns one number for each row, ``[N]``, chunk by chunk."""
    # The result is written in place. A list of small results between the chunks would fragment the
    # memory, and the freed chunks could not be reused.
    result, start = torch.empty(len(values), dtype=dtype), 0
    for chunk in chunks(values):
        result[start : start + len(chunk)] = function(chunk)
        start += len(chunk)
    return result
