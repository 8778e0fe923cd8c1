"""Bitmap: every value stored once, pixel by pixel, and for each pixel a bit for each channel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from explore.sparseconv.formats.base import Encoding, Product, unsigned_type
from explore.sparseconv.formats.entries import Entries, convolve_entries, restore
from explore.sparseconv.formats.geometry import Geometry

BLOCK_CHANNELS = 64
"""Channels whose bits are one word, at most."""


@dataclass(frozen=True, eq=False, repr=False)
class Bitmap(Encoding):
    """The format of the fast engine: neighbours are the channels of one pixel.

    Channels are cut into blocks of 64 (the last may be smaller).

    Attributes:
        values: float32 ``[L]``, by image, block, row, column, channel.
        masks: ``[N, blocks, H, W]``, bit b for channel b of the block; words of 2 bytes where there are at most 16 channels,
            4 where at most 32, else 8. 0 in columns that no window reads.
        starts: ``[N·blocks·H + 1]``, where the values of each row of a block begin, and where the last ones end.

    Source: ours; the principle of CPS (arXiv 2104.08314), that neighbours share an index, taken along the channels.
    """

    name: ClassVar[str] = "bitmap"
    values: np.ndarray
    masks: np.ndarray
    starts: np.ndarray

    def arrays(self) -> dict[str, np.ndarray]:
        """``values``, ``masks``, ``starts``."""
        return {"values": self.values, "masks": self.masks, "starts": self.starts}

    @property
    def elements(self) -> int:
        """L values, a word for each block of each pixel, and the starts."""
        return self.values.size + self.masks.size + self.starts.size

    def entries(self) -> Entries:
        """Every stored value and its place, from the arrays alone."""
        g = self.geometry
        bits = np.unpackbits(self.masks[..., None].view(np.uint8), axis=-1, bitorder="little")
        image, block, row, column, channel = np.nonzero(bits)
        column += g.padding[1]
        window = g.owner[column]
        local = column - window * g.stride[1]
        return Entries(
            self.values,
            image,
            block * BLOCK_CHANNELS + channel,
            row + g.padding[0],
            window,
            local,
            g.windows[column] - 1,
        )

    def decode(self) -> np.ndarray:
        """The maps again, ``[N, C, H, W]``, zero in columns that no window reads."""
        return restore(self.entries(), self.geometry)

    def _product(self, weight: np.ndarray) -> np.ndarray:
        return convolve_entries(self.entries(), self.geometry, weight)


def encode_bitmap(x: np.ndarray, geometry: Geometry, product: Product | None = None) -> Bitmap:
    """Checked maps ``[N, C, H, W]`` as a bitmap and values; ``product`` is how the encoding convolves.

    Example:
        >>> x = np.array([[[[0, 7, 0]], [[5, 6, 0]]]], np.float32)
        >>> found = encode_bitmap(x, Geometry(x.shape, 1))
        >>> found.values.tolist(), found.masks[0, 0].tolist(), found.starts.tolist()
        ([5.0, 7.0, 6.0], [[2, 3, 0]], [0, 3])
    """
    n, c, h, w = geometry.shape
    blocks, width = -(-c // BLOCK_CHANNELS), unsigned_type(2 ** min(c, BLOCK_CHANNELS))
    read = geometry.windows[geometry.padding[1] :][:w] > 0
    padded = np.zeros((n, blocks, h, w, min(BLOCK_CHANNELS, 8 * width.itemsize)), np.float32)
    for block in range(blocks):
        part = np.where(read, x[:, block * BLOCK_CHANNELS : (block + 1) * BLOCK_CHANNELS], 0)
        padded[:, block, ..., : part.shape[1]] = part.transpose(0, 2, 3, 1)
    held = padded != 0
    masks = np.packbits(held, axis=-1, bitorder="little").view(width)[..., 0]
    ends = np.cumsum(held.reshape(n * blocks * h, -1).sum(1))
    starts = np.concatenate([[0], ends]).astype(unsigned_type(n * c * h * w + 1))
    return Bitmap(geometry, padded[held], masks, starts, product=product)
