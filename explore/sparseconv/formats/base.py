"""Encoding: what every format of a map has in common: its arrays, its size counted in two ways, decoding and convolving."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from explore.errors import InvalidInput, UnknownName
from explore.sparseconv.formats.geometry import Geometry
from explore.sparseconv.formats.validation import as_bias, as_weight

FLOAT = 4
"""Bytes of a value."""

Product = Callable[[Any, np.ndarray, np.ndarray], np.ndarray]
"""How an encoding convolves: of itself, weights ``[K, C, Kh, Kw]`` and a bias ``[K]``, both checked, ``[N, K, Oh, Ow]``."""

VERSUS = ("im2col", "mec", "map")
UNITS = ("bytes", "elements")


@dataclass(frozen=True, eq=False, repr=False)
class Encoding(ABC):
    """Maps in one of the formats, for one kernel size, stride and padding; all arrays are frozen.

    A zero (also −0.0) is left out by the sparse formats; NaN and infinities are values like others and propagate.
    A weight that is NaN or infinite meets no zero there, so that it does not make NaN of it as a dense product does.

    Attributes:
        geometry: sizes of the convolution.
        product: how it convolves; None is the plain way, which is slow and exact (sparse formats add in float64).
            Encodings from ``explore.sparseconv.encode`` have the compiled one.
    """

    name: ClassVar[str]
    geometry: Geometry
    product: Product | None = field(default=None, kw_only=True)

    @abstractmethod
    def arrays(self) -> dict[str, np.ndarray]:
        """Every array that has to be kept, by name."""

    @property
    @abstractmethod
    def elements(self) -> int:
        """Size as the papers count it: each value, index and pointer is one element, whatever its width."""

    @abstractmethod
    def decode(self) -> np.ndarray:
        """The maps again, float32 ``[N, C, H, W]``; zero where the format kept nothing, as no window reads there."""

    @abstractmethod
    def _product(self, weight: np.ndarray) -> np.ndarray:
        """Output without a bias, ``[N, K, Oh, Ow]``, of checked weights."""

    def __post_init__(self) -> None:
        for array in self.arrays().values():
            array.flags.writeable = False

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays at the widths that they have."""
        return sum(array.nbytes for array in self.arrays().values())

    def compression_ratio(self, versus: str = "im2col", unit: str = "bytes") -> float:
        """How many times larger another format is; infinite where nothing at all is kept.

        Args:
            versus: "im2col" (the matrix that a plain convolution by a matrix product builds), "mec" (its lowered matrix)
                or "map" (the maps themselves); all of 4-byte floats.
            unit: "bytes", or "elements" as the papers count (which flatters wide indices).

        Raises:
            UnknownName: another format or unit.
        """
        if versus not in VERSUS:
            raise UnknownName("format to compare with", versus, VERSUS)
        if unit not in UNITS:
            raise UnknownName("unit", unit, UNITS)
        g = self.geometry
        other = {"im2col": g.im2col_elements, "mec": g.mec_elements, "map": int(np.prod(g.shape))}[
            versus
        ]
        whole, own = (other, self.elements) if unit == "elements" else (FLOAT * other, self.nbytes)
        return whole / own if own else math.inf

    def convolve(self, weight: Any, bias: Any = None) -> np.ndarray:
        """Convolve the encoded maps.

        Args:
            weight: float32 ``[K, C, Kh, Kw]``.
            bias: float32 ``[K]``, or None.

        Returns:
            float32 ``[N, K, Oh, Ow]``.

        Raises:
            InvalidInput: weights of another dtype, number of channels or kernel size, or a bias that does not fit.
        """
        g = self.geometry
        filters = as_weight(weight, g.shape[1], g.kernel)
        offset = as_bias(bias, len(filters))
        if self.product is not None:
            return self.product(self, filters, offset)
        with np.errstate(
            over="ignore", invalid="ignore"
        ):  # infinities may meet: that is the answer, not an accident
            return (self._product(filters) + offset[:, None, None]).astype(np.float32)

    def __repr__(self) -> str:
        shape = "×".join(map(str, self.geometry.shape))
        return f"{type(self).__name__}({shape} in {self.elements} elements, {self.nbytes} bytes)"


def unsigned_type(count: int, width: int | None = None, what: str = "indices") -> np.dtype:
    """The type that holds 0 … count − 1: the narrowest of 2, 4 and 8 bytes, or the one of ``width`` bytes.

    Raises:
        InvalidInput: there is no such width, or the numbers do not fit in it.

    Example:
        >>> unsigned(65_536), unsigned(65_537)
        (dtype('uint16'), dtype('uint32'))
    """
    fitting = [size for size in (2, 4, 8) if count <= 256**size]
    if width is not None and width not in (2, 4, 8):
        raise InvalidInput(
            f"index_bytes must be 2, 4, 8 or None (the narrowest that fits), got {width!r}"
        )
    if not fitting or (width is not None and width not in fitting):
        raise InvalidInput(
            f"{what} go up to {count - 1}, which does not fit in {width or 8} bytes; leave index_bytes=None"
        )
    return np.dtype(f"u{width or fitting[0]}")
