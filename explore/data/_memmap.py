"""Allocate pixels: in memory, or for a large set in a temporary file that can be paged out."""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from explore.errors import InvalidInput

LARGE_BYTES = 2**28
"""Sets above this size are stored in a file."""


def allocate_pixels(shape: Sequence[int]) -> torch.Tensor:
    """Return an uninitialised uint8 tensor.

    Above ``LARGE_BYTES`` it is a memory-mapped temporary file in ``TMPDIR`` or, if that is not set,
    in ``/var/tmp``, as ``/tmp`` is often in memory itself. The file has no name, so the system
    removes it with the tensor, however the process ends. If such a file cannot be created, or would
    fill more than half of the free disk space, the tensor is in memory.

    Example:
        >>> allocate_pixels((2, 3, 4, 4)).shape
        torch.Size([2, 3, 4, 4])
    """
    size = math.prod(shape)
    pixels = _map_file(size) if size > LARGE_BYTES and hasattr(os, "posix_fallocate") else None
    if pixels is not None:
        return pixels.view(*shape)
    check_memory(size, f"a set of {shape[0]} images", "a smaller size, or fewer images")
    return torch.empty(tuple(shape), dtype=torch.uint8)


def check_memory(size: int, purpose: str, advice: str) -> None:
    """Check that the memory of this machine can hold ``size`` bytes.

    Args:
        size: the number of bytes.
        purpose: what the message says that they are for.
        advice: what the message says to choose.

    Raises:
        InvalidInput: it cannot.

    Example:
        >>> check_memory(2**60, "a set of 9 images", "a smaller size")
        Traceback (most recent call last):
        ...
        explore.errors.InvalidInput: a set of 9 images needs 1.15e+09 GB, ...
    """
    if not hasattr(os, "sysconf"):
        return
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if size > total > 0:
        raise InvalidInput(
            f"{purpose} needs {size / 1e9:.3g} GB, more than the {total / 1e9:.3g} GB of this "
            f"machine; choose {advice}"
        )


def _map_file(size: int) -> torch.Tensor | None:
    use_default = os.environ.get("TMPDIR") or not Path("/var/tmp").is_dir()
    folder = tempfile.gettempdir() if use_default else "/var/tmp"
    try:
        if shutil.disk_usage(folder).free < 2 * size:
            return None
        with tempfile.TemporaryFile(dir=folder) as file:
            # Reserve the space now: a write to a page that a full disk cannot store would end the
            # process.
            os.posix_fallocate(file.fileno(), 0, size)
            return torch.from_numpy(np.memmap(file, np.uint8, "r+", shape=(size,)))
    except OSError:
        return None
