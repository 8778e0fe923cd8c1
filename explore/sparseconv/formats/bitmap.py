"""Bitmap: every value is stored once, pixel by pixel, with one bit per channel of each pixel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from explore.sparseconv.formats.base import Product, unsigned_type
from explore.sparseconv.formats.entries import Entries, SparseEncoding
from explore.sparseconv.formats.geometry import Geometry

BLOCK_CHANNELS = 64
"""The most channels whose bits are in one word."""


@dataclass(frozen=True, eq=False, repr=False)
class Bitmap(SparseEncoding):
    """The format of the fast engine: the channels of one pixel share an index.

    Channels are cut into blocks of 64 (the last may be smaller).

    Attributes:
        values: float32 ``[L]``, by image, block, row, column, channel.
        masks: ``[N, blocks, H, W]``, bit b for channel b of the block; words of 2 bytes for at most
            16 channels, 4 for at most 32, else 8. 0 in columns that no window reads.
        starts: ``[N·blocks·H + 1]``, where the values of each row of a block begin, and where the
            last ones end.

    Source: ours. It applies the principle of CPS (arXiv 2104.08314), that neighbours share an
    index, to the channels.
    """

    name: ClassVar[str] = "bitmap"
    values: np.ndarray
    masks: np.ndarray
    starts: np.ndarray

    def entries(self) -> Entries:
        """Return every stored value and its position, computed from the arrays alone."""
        g = self.geometry
        bits = np.unpackbits(self.masks[..., None].view(np.uint8), axis=-1, bitorder="little")
        image, block, row, column, bit = np.nonzero(bits)
        channel, row, column = (
            block * BLOCK_CHANNELS + bit,
            row + g.padding[0],
            column + g.padding[1],
        )
        window, further = g.owner[column], g.windows[column] - 1
        local = column - window * g.stride[1]
        return Entries(self.values, image, channel, row, window, local, further)


def encode_bitmap(x: np.ndarray, geometry: Geometry, product: Product | None = None) -> Bitmap:
    """Encode checked maps ``[N, C, H, W]`` as a bitmap; ``product`` convolves the encoding.

    Example:
        >>> x = np.array([[[[0, 7, 0]], [[5, 6, 0]]]], np.float32)
        >>> encoding = encode_bitmap(x, Geometry(x.shape, 1))
        >>> encoding.values.tolist(), encoding.masks[0, 0].tolist(), encoding.starts.tolist()
        ([5.0, 7.0, 6.0], [[2, 3, 0]], [0, 3])
    """
    n, c, h, w = geometry.shape
    blocks, word_type = -(-c // BLOCK_CHANNELS), unsigned_type(2 ** min(c, BLOCK_CHANNELS))
    read = geometry.windows[geometry.padding[1] :][:w] > 0
    padded = np.zeros((n, blocks, h, w, min(BLOCK_CHANNELS, 8 * word_type.itemsize)), np.float32)
    for block in range(blocks):
        channels = slice(block * BLOCK_CHANNELS, (block + 1) * BLOCK_CHANNELS)
        values = np.where(read, x[:, channels], 0)
        padded[:, block, ..., : values.shape[1]] = values.transpose(0, 2, 3, 1)
    nonzero = padded != 0
    masks = np.packbits(nonzero, axis=-1, bitorder="little").view(word_type)[..., 0]
    ends = np.cumsum(nonzero.reshape(n * blocks * h, -1).sum(1))
    starts = np.concatenate([[0], ends]).astype(unsigned_type(n * c * h * w + 1))
    return Bitmap(geometry, padded[nonzero], masks, starts, product=product)
