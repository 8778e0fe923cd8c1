"""Decode image files to pixels of one shape: grey or RGB, upright, resized."""

from __future__ import annotations

import errno
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from explore._parallel.cpus import usable_cpus
from explore.core.validation import check_whole_number
from explore.data._chunks import rows_per_chunk
from explore.data._folder_listing import IMAGE_SUFFIXES, readable
from explore.data._memmap import allocate_pixels
from explore.data.image_set import channel_statistics
from explore.errors import ExploreWarning, InvalidInput

__all__ = ["IMAGE_SUFFIXES", "read_header", "read_image_chunks", "read_images", "read_split"]

if TYPE_CHECKING:
    from PIL import Image

GREY_MODES = ("1", "L", "LA", "I", "I;16", "I;16B", "I;16L", "F")
"""Pillow's modes of one channel, with or without transparency."""
ORIENTATION_TAG = 0x0112
ROTATED_ORIENTATIONS = (5, 6, 7, 8)
"""EXIF orientations that swap width and height."""
LEVELS = (255, 1023, 4095, 16383, 65535)
"""The levels of white of cameras with 8, 10, 12, 14 and 16 bits."""
MAX_SIDE = 2**14
"""The largest side to which images are resized."""
FILES_PER_TASK = 16
SMALL_FILE_BYTES = 2**12
"""A smaller file takes longer to open than to decode; several threads were slower on such files."""


def read_header(path: Path) -> tuple[bool, tuple[int, int]]:
    """Return whether an image file is stored in grey, and its (width, height) when upright.

    Raises:
        InvalidInput: the file cannot be read as an image.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            size = image.size
            if _orientation(image) in ROTATED_ORIENTATIONS:
                size = size[::-1]
            return image.mode in GREY_MODES, size
    except Exception as error:  # Decoders raise exceptions of many types.
        raise _decoding_error(path, error) from error


def find_top_level(files: Iterable[Path]) -> int:
    """Return what counts as white in images of 16 bits: the smallest of ``LEVELS`` that covers all.

    Microscopes and scanners store 10, 12 or 14 bits in files of 16, which would be almost black.
    A warning says so. Only files of 16 bits are decoded.

    Raises:
        InvalidInput: a file cannot be read, or its pixels are no whole numbers of 16 bits.
    """
    from PIL import Image

    largest = 0
    for path in files:
        try:
            with Image.open(path) as image:
                if image.mode[0] in "IF":
                    largest = max(largest, int(_check_levels(path, np.asarray(image)).max()))
                elif _has_deep_colours(image):
                    # Pillow drops the lower byte.
                    pixels = np.asarray(image)
                    largest = max(largest, int(pixels.max()) * 256 + 255)
        except InvalidInput:
            raise
        except Exception as error:  # Decoders raise exceptions of many types.
            raise _decoding_error(path, error) from error
    level = next(level for level in LEVELS if largest <= level)
    if level < LEVELS[-1]:
        warnings.warn(
            f"images of 16 bits have no level above {largest}, so {level} is used as white",
            ExploreWarning,
            stacklevel=2,
        )
    return level


def read_images(
    files: Sequence[Path],
    *,
    size: int | None = None,
    grey: bool = False,
    top_level: Callable[[], int] | None = None,
) -> torch.Tensor:
    """Decode image files to uint8 ``[N, C, H, W]``, C = 1 if ``grey`` and 3 otherwise.

    A JPEG is rotated by its EXIF orientation, transparency is dropped, 16 bits become 8, and only
    the first frame of several is read. Up to four threads decode. For the memory of large sets, see
    ``allocate_pixels``.

    Args:
        files: one or more.
        size: side in pixels to which all are resized (antialiased bilinear; the aspect ratio is not
            kept). If None, all must have the size of the first.
        grey: decode to one channel.
        top_level: called if an image has 16 bits; returns the level that becomes 255 in all of
            them (see ``find_top_level``). By default 65,535.

    Raises:
        InvalidInput: a file cannot be read, or has another size than the first without ``size``.
    """
    if not files:
        raise InvalidInput("no image files were given; pass one or more")
    size = None if size is None else check_whole_number("size", size, 1, MAX_SIDE)
    first = _decode(files[0], size, grey, top_level)
    images = allocate_pixels((len(files), *first.shape))
    rows = images.numpy()
    rows[0] = first

    def decode_from(start: int) -> None:
        for i in range(start, min(start + FILES_PER_TASK, len(files))):
            pixels = _decode(files[i], size, grey, top_level)
            if pixels.shape != first.shape:
                raise size_error(files[i], pixels.shape[:0:-1], files[0], first.shape[:0:-1])
            rows[i] = pixels

    with ThreadPoolExecutor(_thread_count(files[0])) as pool:
        # The results are awaited in order, so the error names the first bad file.
        for _ in pool.map(decode_from, range(1, len(files), FILES_PER_TASK)):
            pass
    return images


def read_image_chunks(
    files: Sequence[Path],
    *,
    size: int | None = None,
    grey: bool = False,
    top_level: Callable[[], int] | None = None,
) -> Iterator[torch.Tensor]:
    """Yield the result of ``read_images`` in chunks, for statistics of a set of any size."""
    if files:
        width, height = read_header(files[0])[1] if size is None else (size, size)
        count = rows_per_chunk(width * height * (1 if grey else 3))
        for start in range(0, len(files), count):
            yield read_images(
                files[start : start + count], size=size, grey=grey, top_level=top_level
            )


def read_split(
    files: Mapping[str, Sequence[Path]], split: str, *, size: int | None = None, grey: bool = False
) -> tuple[torch.Tensor, list[float], list[float]]:
    """Return the images of one split, and mean and standard deviation of "train" per channel.

    The deviation of a channel without contrast is given as 1, so that it is not divided by 0. If
    images of 16 bits have no level above 1,023, 4,095 or 16,383 in all splits, this level becomes
    255 in all of them, with a warning; see ``find_top_level``.
    """

    @cache
    def top_level() -> int:
        return find_top_level(chain(*files.values()))

    options: dict[str, Any] = {"size": size, "grey": grey, "top_level": top_level}
    if split == "train":
        images = read_images(files["train"], **options)
        mean, std = channel_statistics(images)
    else:
        mean, std = channel_statistics(read_image_chunks(files["train"], **options))
        images = read_images(files[split], **options)
    return images, mean, [value if value > 0 else 1.0 for value in std]


def size_error(
    path: Path, size: tuple[int, ...], first_path: Path, first_size: tuple[int, ...]
) -> InvalidInput:
    """Return the error of a file whose (width, height) differs from that of the first file."""
    return InvalidInput(
        f"{readable(path)} has {size[0]}×{size[1]} pixels, "
        f"{readable(first_path)} has {first_size[0]}×{first_size[1]}; "
        "pass size=, the side in pixels to which all images are resized"
    )


def _thread_count(file: Path) -> int:
    if Path(file).stat().st_size < SMALL_FILE_BYTES:
        return 1  # Pillow opens a file under Python's lock.
    return min(4, usable_cpus())


def _decode(
    path: Path, size: int | None, grey: bool, top_level: Callable[[], int] | None
) -> np.ndarray:
    """Return the pixels of a file, ``[C, H, W]``."""
    from PIL import Image, ImageOps

    mode = "L" if grey else "RGB"
    try:
        with Image.open(path) as image:
            if size is not None:
                # A JPEG can be decoded at a fraction of its size; this one is still far above ours.
                image.draft(None, (4 * size, 4 * size))
            is_deep = _has_deep_colours(image)  # Pillow forgets it when it decodes.
            image.load()
            upright = ImageOps.exif_transpose(image) if _orientation(image) != 1 else image
            if image.mode == "P" and "transparency" in image.info:
                upright = upright.convert("RGBA")  # Pillow would warn otherwise.
            if image.mode[0] in "IF":
                level = LEVELS[-1] if top_level is None else top_level()
                upright = _to_eight_bits(path, upright, level)
            elif is_deep and top_level is not None and top_level() < LEVELS[-1]:
                raise InvalidInput(
                    f"{readable(path)} has 16 bits for each colour, of which Pillow reads the "
                    "upper 8, but they are almost black; save it with 8 bits, scaled"
                )
            result = upright if upright.mode == mode else upright.convert(mode)
            if size is not None and result.size != (size, size):
                result = result.resize((size, size), Image.Resampling.BILINEAR)
            pixels = np.asarray(result)
    except InvalidInput:
        raise
    except Exception as error:  # Decoders raise exceptions of many types.
        raise _decoding_error(path, error) from error
    return pixels[None] if grey else pixels.transpose(2, 0, 1)


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation of a JPEG.

    In other formats, to read it can mean to decode the file.
    """
    return image.getexif().get(ORIENTATION_TAG, 1) if image.format in ("JPEG", "MPO") else 1


def _has_deep_colours(image: Image.Image) -> bool:
    """Return whether a file has 16 bits for each of several channels; Pillow reads 8 of them."""
    tiles = getattr(image, "tile", [])
    return image.mode[0] not in "IF" and any(";16" in str(tile[3]) for tile in tiles)


def _to_eight_bits(path: Path, image: Image.Image, top_level: int) -> Image.Image:
    """Scale 16 bits a pixel to 8, so that ``top_level`` becomes 255; Pillow itself would clip."""
    from PIL import Image

    values = _check_levels(path, np.asarray(image)).astype(np.int64)
    scaled = (values * 255 + top_level // 2) // top_level
    return Image.fromarray(scaled.clip(max=255).astype(np.uint8))


def _check_levels(path: Path, values: np.ndarray) -> np.ndarray:
    if values.dtype.kind == "f" or values.min() < 0 or values.max() > LEVELS[-1]:
        raise InvalidInput(
            f"{readable(path)} has {values.dtype} pixels from {values.min()} to {values.max()}; "
            "save it with 8 or 16 bits"
        )
    return values


def _decoding_error(path: Path, error: Exception) -> InvalidInput:
    """Return the error of a file that cannot be decoded, or cannot be opened at all."""
    number = getattr(error, "errno", None)
    if isinstance(error, OSError) and number is not None:
        advice = {
            errno.ENOENT: "put it back",
            errno.EACCES: "allow yourself to read it",
            errno.EMFILE: "close other files, or raise the limit of open files",
        }.get(number, "check the disk")
        return InvalidInput(f"{readable(path)} cannot be opened ({error.strerror}); {advice}")
    reason = f"{type(error).__name__}: {error}".splitlines()[0]
    if Path(path).is_file() and not Path(path).stat().st_size:
        reason = "it is empty"
    return InvalidInput(
        f"{readable(path)} cannot be read as an image ({readable(reason)}); replace or delete it"
    )
