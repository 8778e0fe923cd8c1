"""Room for the bytes of a set: plain memory, or for a large one a file without a name whose pages the system can take back."""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch

LARGE = 2**28
"""Bytes above which a set lives in a file."""


def room(shape: Sequence[int]) -> torch.Tensor:
    """A uint8 tensor of this shape to be filled.

    Above ``LARGE`` bytes it is mapped from a file in ``TMPDIR`` or, if that is not set, in ``/var/tmp``, as ``/tmp`` often is
    memory itself. The file has no name any more when this returns, so it goes with the tensor, however the process ends.
    Where that cannot be done (a disk that would be more than half filled up, a system without such files), it is plain
    memory, as below ``LARGE``.

    Example:
        >>> room((2, 3, 4, 4)).shape
        torch.Size([2, 3, 4, 4])
    """
    size = math.prod(shape)
    mapped = _mapped(size) if size > LARGE else None
    return torch.empty(tuple(shape), dtype=torch.uint8) if mapped is None else mapped.view(*shape)


def _mapped(size: int) -> torch.Tensor | None:
    if not hasattr(os, "posix_fallocate"):
        return None
    folder = (
        tempfile.gettempdir()
        if os.environ.get("TMPDIR") or not Path("/var/tmp").is_dir()
        else "/var/tmp"
    )
    name = None
    try:
        handle, name = tempfile.mkstemp(prefix="explore-", dir=folder)
        try:
            if shutil.disk_usage(folder).free < 2 * size:
                return None
            os.posix_fallocate(
                handle, 0, size
            )  # writing to a hole that a full disk cannot fill would end the process
        finally:
            os.close(handle)
        return torch.from_file(name, shared=True, size=size, dtype=torch.uint8)
    except (OSError, RuntimeError):  # the second one from torch, where the file cannot be mapped
        return None
    finally:
        if name is not None:
            Path(name).unlink()
