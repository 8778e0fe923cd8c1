"""Image files as bytes of one shape: grey or RGB, upright, resized; a file that cannot be read is named."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from explore.data._chunks import rows_per_chunk
from explore.data._memmap import room
from explore.errors import InvalidInput

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
GREY = ("1", "L", "LA", "I", "I;16", "I;16B", "I;16L", "F")
"""Pillow's modes of one channel, with or without transparency."""
SIDEWAYS = (5, 6, 7, 8)
"""Rotation marks of a camera that swap width and height."""
SHARE = 16
"""Files that a thread decodes in one go."""
SMALL = 2**12
"""Bytes of a file that takes longer to open than to decode; more threads were slower on those."""


def look(path: Path) -> tuple[bool, tuple[int, int]]:
    """Whether an image file is stored in grey, and its (width, height) when upright; reads its head only.

    Raises:
        InvalidInput: it is no image that can be read.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            width, height = image.size
            return image.mode in GREY, (height, width) if _mark(image) in SIDEWAYS else (
                width,
                height,
            )
    except Exception as error:  # decoders raise whatever comes up
        raise _unreadable(path, error) from error


def read_images(
    files: Sequence[Path], *, size: int | None = None, grey: bool = False
) -> torch.Tensor:
    """Image files as uint8 ``[N, C, H, W]``, C = 1 if ``grey`` and 3 otherwise.

    A JPEG is turned as its camera's mark says, transparency is dropped, 16 bits become 8, and of several frames the
    first is taken. A few threads decode. Large sets live in a file without a name, see ``room``.

    Args:
        files: at least one.
        size: side in pixels to which all are resized (antialiased bilinear; the aspect ratio is not kept).
        grey: one channel.

    Raises:
        InvalidInput: a file that cannot be read, or, without ``size``, one that is larger or smaller than the first.
    """
    if not files:
        raise InvalidInput("no image files were given; give at least one")
    first = _pixels(files[0], size, grey)
    made = room((len(files), *first.shape))
    rows = made.numpy()
    rows[0] = first

    def fill(start: int) -> None:
        for i in range(start, min(start + SHARE, len(files))):
            pixels = _pixels(files[i], size, grey)
            if pixels.shape != first.shape:
                raise unlike(files[i], pixels.shape[:0:-1], files[0], first.shape[:0:-1])
            rows[i] = pixels

    with ThreadPoolExecutor(_threads(files[0])) as pool:
        for _ in pool.map(
            fill, range(1, len(files), SHARE)
        ):  # waits in order, so the first bad file is the one that is named
            pass
    return made


def read_pieces(
    files: Sequence[Path], *, size: int | None = None, grey: bool = False
) -> Iterator[torch.Tensor]:
    """What ``read_images`` returns, some megabytes at a time (one image at least): all that statistics need."""
    if files:
        width, height = look(files[0])[1] if size is None else (size, size)
        share = rows_per_chunk(width * height * (1 if grey else 3))
        for start in range(0, len(files), share):
            yield read_images(files[start : start + share], size=size, grey=grey)


def unlike(path: Path, size: tuple[int, ...], first: Path, wanted: tuple[int, ...]) -> InvalidInput:
    """The error of a file whose (width, height) is not that of the first."""
    sizes = f"{path} has {size[0]}×{size[1]} pixels, {first} has {wanted[0]}×{wanted[1]}"
    return InvalidInput(f"{sizes}; give size=, the side in pixels to which all are resized")


def whole_number(name: str, given: Any, least: int) -> int:
    """``given`` as an int of at least ``least``.

    Raises:
        InvalidInput: it is none.

    Example:
        >>> whole_number("size", 0, 1)
        Traceback (most recent call last):
        ...
        explore.errors.InvalidInput: size must be an integer from 1 on, got 0
    """
    if isinstance(given, bool) or not isinstance(given, (int, np.integer)) or given < least:
        raise InvalidInput(f"{name} must be an integer from {least} on, got {given!r}")
    return int(given)


def _threads(file: Path) -> int:
    """As many as there are cores to use, four at most; one for small files, as Pillow opens files with Python's lock held."""
    if file.stat().st_size < SMALL:
        return 1
    return min(
        4, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )


def _pixels(path: Path, size: int | None, grey: bool) -> np.ndarray:
    """The bytes of a file, [C, H, W]."""
    from PIL import Image, ImageOps

    mode = "L" if grey else "RGB"
    try:
        with Image.open(path) as image:
            if size is not None:
                image.draft(
                    None, (4 * size, 4 * size)
                )  # a JPEG may be decoded at less than its size, still far above ours
            image.load()
            upright = ImageOps.exif_transpose(image) if _mark(image) != 1 else image
            if image.mode == "P" and "transparency" in image.info:
                upright = upright.convert("RGBA")  # or else Pillow warns
            if image.mode[0] in "IF":
                upright = _eight_bits(path, upright)
            shown = upright if upright.mode == mode else upright.convert(mode)
            if size is not None and shown.size != (size, size):
                shown = shown.resize((size, size), Image.Resampling.BILINEAR)
            pixels = np.asarray(shown)
    except InvalidInput:
        raise
    except Exception as error:  # decoders raise whatever comes up
        raise _unreadable(path, error) from error
    return pixels[None] if grey else pixels.transpose(2, 0, 1)


def _mark(image: Image.Image) -> int:
    """A camera's rotation mark; of a JPEG only, as finding it may mean to decode all of another file."""
    return image.getexif().get(0x0112, 1) if image.format in ("JPEG", "MPO") else 1


def _eight_bits(path: Path, image: Image.Image) -> Image.Image:
    """16 bits a pixel made 8, where Pillow itself would clip."""
    from PIL import Image

    values = np.asarray(image)
    if values.dtype.kind == "f" or values.min() < 0 or values.max() > 65535:
        raise InvalidInput(
            f"{path} has {values.dtype} pixels from {values.min()} to {values.max()}; save it with 8 or 16 bits"
        )
    return Image.fromarray(((values.astype(np.int64) + 128) // 257).astype(np.uint8))


def _unreadable(path: Path, error: Exception) -> InvalidInput:
    why = (
        "it is empty"
        if path.is_file() and not path.stat().st_size
        else f"{type(error).__name__}: {error}"
    )
    return InvalidInput(
        f"{path} cannot be read as an image ({why.splitlines()[0]}); replace it or take it away"
    )
