"""Products of parts of matrices, shared among threads, each by BLAS on one thread."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import Any

import numpy as np
from numba import get_num_threads
from threadpoolctl import ThreadpoolController

from explore._parallel.thread_pool import shared
from explore.sparseconv._engine.simd import LANES

PIXELS = 64
"""Pixels of a part, at least; for fewer, BLAS spends its time on preparing the weights."""

_lock = Lock()
_inside: list[Any] = []


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Keep BLAS to one thread; the first caller sets it, and the last one, of several at a time, sets it back.

    Its own threads meet at a barrier in each product, which on busy cores takes as long as thousands of small products.
    """
    with _lock:
        _inside.append(None)
        if len(_inside) == 1:
            _inside[0] = _controller().limit(limits=1)
    try:
        yield
    finally:
        with _lock:
            limit = _inside[0]
            _inside.pop()
            if not _inside:
                limit.restore_original_limits()


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController().select(user_api="blas")


def multiply_parts(left: np.ndarray, right: np.ndarray, out: np.ndarray) -> None:
    """Set ``out [N, P, K, pixels]`` to ``left [K, terms]`` times each ``right [N, P, terms, pixels]``, in float32.

    Views are not copied, as long as one of the last two axes is contiguous. Where there are fewer parts than threads,
    the pixels are shared.
    """
    images, parts, _, pixels = right.shape
    threads = get_num_threads()
    pieces = (
        1 if threads == 1 else max(1, min(-(-2 * threads // (images * parts)), pixels // PIXELS))
    )
    across = -(-pixels // (pieces * LANES)) * LANES
    with one_thread_each():
        work = out.size * left.shape[1] // 100  # BLAS does some forty a nanosecond
        shared(work, _multiply, left, right, (pieces, across), out=out)


def _multiply(
    left: np.ndarray,
    right: np.ndarray,
    split: tuple[int, int],
    first: int,
    step: int,
    out: np.ndarray,
) -> None:
    images, parts = right.shape[:2]
    pieces, across = split
    with np.errstate(
        over="ignore", invalid="ignore"
    ):  # infinities may meet: that is the answer, not an accident
        for task in range(first, images * parts * pieces, step):
            n, part, piece = task // (parts * pieces), task // pieces % parts, task % pieces
            some = slice(piece * across, (piece + 1) * across)
            np.matmul(left, right[n, part, :, some], out=out[n, part, :, some])
