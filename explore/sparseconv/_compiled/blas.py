"""Products of parts of matrices, shared among threads; each part by BLAS on one thread."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from explore._parallel.policy import kernel_threads
from explore._parallel.work_sharing import run_shared
from explore.sparseconv._engine.simd import LANES

MIN_PIXELS = 64
"""Pixels of a piece, at least; for fewer, BLAS spends its time on preparing the weights."""

_lock = Lock()
_limits: list[Any] = []  # one item for each caller; the first is the limit of all


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Limit BLAS to one thread; the last of several callers at a time removes the limit.

    BLAS's own threads wait for each other in each product, which on busy cores takes as long as
    thousands of small products.
    """
    with _lock:
        _limits.append(None)
        if len(_limits) == 1:
            _limits[0] = _controller().limit(limits=1)
    try:
        yield
    finally:
        with _lock:
            limit = _limits[0]
            _limits.pop()
            if not _limits:
                limit.restore_original_limits()


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController().select(user_api="blas")


def multiply_parts(left: np.ndarray, right: np.ndarray, out: np.ndarray) -> None:
    """Set ``out [N, P, K, pixels]`` to ``left [K, terms]`` · ``right [N, P, terms, pixels]``.

    In float32. Views are not copied if one of the last two axes is contiguous. Where there are
    fewer parts than threads, the pixels of a part are split into pieces.
    """
    images, parts, _, pixels = right.shape
    threads = kernel_threads()
    pieces = 1
    if threads > 1:
        pieces = max(1, min(-(-2 * threads // (images * parts)), pixels // MIN_PIXELS))
    piece_pixels = -(-pixels // (pieces * LANES)) * LANES
    work = out.size * left.shape[1] // 100  # BLAS computes about forty terms in a nanosecond
    with single_threaded_blas():
        run_shared(work, _multiply, left, right, (pieces, piece_pixels), out=out)


def _multiply(
    left: np.ndarray,
    right: np.ndarray,
    split: tuple[int, int],
    first: int,
    step: int,
    out: np.ndarray,
) -> None:
    images, parts = right.shape[:2]
    pieces, piece_pixels = split
    # Infinities may meet in a product: then NaN is the right result, not an error.
    with np.errstate(over="ignore", invalid="ignore"):
        for task in range(first, images * parts * pieces, step):
            n, part, piece = task // (parts * pieces), task // pieces % parts, task % pieces
            pixels = slice(piece * piece_pixels, (piece + 1) * piece_pixels)
            np.matmul(left, right[n, part, :, pixels], out=out[n, part, :, pixels])
