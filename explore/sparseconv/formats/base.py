"""The base class of all encodings: their arrays, their sizes, decoding and convolving."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from explore.core.validation import check_choice, describe, to_python
from explore.errors import InvalidInput
from explore.sparseconv.formats.geometry import Geometry
from explore.sparseconv.formats.validation import as_bias, as_weight

VALUE_BYTES = 4
"""Bytes of one map value (float32)."""

Product = Callable[[Any, np.ndarray, np.ndarray], np.ndarray]
"""Convolves an encoding with checked weights ``[K, C, Kh, Kw]`` and a checked bias ``[K]``."""

REFERENCE_FORMATS = ("im2col", "mec", "map")
SIZE_UNITS = ("bytes", "elements")


@dataclass(frozen=True, eq=False, repr=False)
class Encoding(ABC):
    """Maps in one of the formats, for one kernel size, stride and padding.

    All arrays are read-only.

    The sparse formats leave out zeros (also −0.0). NaN and infinities are stored like other values
    and propagate. A weight that is NaN or infinite is never multiplied by a zero there, so it does
    not turn the result into NaN as in a dense product.

    Attributes:
        geometry: sizes of the convolution.
        product: the function that convolves. None uses plain NumPy, which is slow and exact (the
            sparse formats add in float64). ``explore.sparseconv.encode`` sets the compiled one.
    """

    name: ClassVar[str]
    geometry: Geometry
    product: Product | None = field(default=None, kw_only=True)

    @abstractmethod
    def decode(self) -> np.ndarray:
        """Return the maps, float32 ``[N, C, H, W]``, with zero in columns that no window reads."""

    @abstractmethod
    def _product(self, weight: np.ndarray) -> np.ndarray:
        """Return the output without a bias, ``[N, K, Oh, Ow]``, for checked weights."""

    def __post_init__(self) -> None:
        for array in self.arrays().values():
            array.flags.writeable = False

    def arrays(self) -> dict[str, np.ndarray]:
        """Return every stored array by its name; several pointer arrays are numbered from 1."""
        arrays: dict[str, np.ndarray] = {}
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray):
                arrays[name] = value
            elif isinstance(value, tuple):
                arrays |= {f"{name}_{number}": array for number, array in enumerate(value, 1)}
        return arrays

    @property
    def elements(self) -> int:
        """Size as the papers count it: every value, index and pointer is one element, of any width.

        The list ``maps`` of the non-empty maps is ours. It counts in ``nbytes`` only.
        """
        return sum(array.size for name, array in self.arrays().items() if name != "maps")

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(array.nbytes for array in self.arrays().values())

    def compression_ratio(self, versus: str = "im2col", unit: str = "bytes") -> float:
        """Return how many times larger another format is; infinite if nothing is stored here.

        Args:
            versus: "im2col" (the matrix of a convolution by matrix product), "mec" (MEC's lowered
                matrix) or "map" (the maps themselves); all of 4-byte floats.
            unit: "bytes", or "elements" as the papers count (which favours wide indices).

        Raises:
            UnknownName: the format or the unit is unknown.
        """
        versus = check_choice("versus", versus, REFERENCE_FORMATS)
        unit = check_choice("unit", unit, SIZE_UNITS)
        g = self.geometry
        map_elements = math.prod(g.shape)
        reference = dict(
            zip(REFERENCE_FORMATS, (g.im2col_elements, g.mec_elements, map_elements), strict=True)
        )[versus]
        if unit == "elements":
            return reference / self.elements if self.elements else math.inf
        return VALUE_BYTES * reference / self.nbytes if self.nbytes else math.inf

    def convolve(self, weight: Any, bias: Any = None) -> np.ndarray:
        """Convolve the encoded maps.

        Args:
            weight: float32 ``[K, C, Kh, Kw]``.
            bias: float32 ``[K]``, or None.

        Returns:
            float32 ``[N, K, Oh, Ow]``.

        Raises:
            InvalidInput: the weights have another dtype, number of channels or kernel size, or the
                bias does not fit.
        """
        g = self.geometry
        weight = as_weight(weight, g.shape[1], g.kernel)
        bias = as_bias(bias, len(weight))
        if self.product is not None:
            return self.product(self, weight, bias)
        # Infinities may cancel to NaN and sums may overflow. Both are correct results.
        with np.errstate(over="ignore", invalid="ignore"):
            return (self._product(weight) + bias[:, None, None]).astype(np.float32)

    def __repr__(self) -> str:
        shape = "×".join(map(str, self.geometry.shape))
        return f"{type(self).__name__}({shape} in {self.elements} elements, {self.nbytes} bytes)"


def unsigned_type(count: int, width: int | None = None, what: str = "indices") -> np.dtype:
    """Return the unsigned type that holds 0 … count − 1.

    It is the narrowest of 2, 4 and 8 bytes, or the one of ``width`` bytes.

    Raises:
        InvalidInput: the width is unknown, or the numbers do not fit.

    Example:
        >>> unsigned_type(65_536), unsigned_type(65_537)
        (dtype('uint16'), dtype('uint32'))
    """
    width = to_python(width)
    if width is not None and (not isinstance(width, int | float) or width not in (2, 4, 8)):
        raise InvalidInput(
            f"index_bytes must be 2, 4, 8 or None (the narrowest that fits), got {describe(width)}"
        )
    fitting = [size for size in (2, 4, 8) if count <= 256**size and width in (None, size)]
    if not fitting:
        raise InvalidInput(
            f"{what} go up to {count - 1}, which does not fit in {width or 8} bytes; "
            "leave index_bytes=None"
        )
    return np.dtype(f"u{fitting[0]}")
