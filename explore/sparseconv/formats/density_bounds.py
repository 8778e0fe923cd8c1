"""Density bounds: below which density CPO is smaller than another format."""

from __future__ import annotations

from explore.core.validation import check_choice, check_number, check_whole_number, describe
from explore.errors import InvalidInput
from explore.sparseconv.formats.base import VALUE_BYTES
from explore.sparseconv.formats.geometry import Geometry

MOST_BYTES = 8
"""The widest index and pointer."""

COMPARED_FORMATS = ("im2col", "mec", "cscc", "map")


def density_bound(
    geometry: Geometry,
    versus: str = "mec",
    lowered_density: float | None = None,
    index_bytes: int = VALUE_BYTES,
    pointer_bytes: int = VALUE_BYTES,
) -> float:
    """Return the density below which CPO, with shared and untrimmed pointers, is smaller.

    The density is the number of stored values divided by the number of cells of the padded maps,
    ``L / (N·C·Hp·Wp)``. If the bound is 0 or less, CPO is never smaller; if it is above the largest
    possible density, CPO is always smaller.

    Args:
        geometry: of the convolution.
        versus: "im2col", "mec", "cscc" or "map" (the maps themselves, without padding).
        lowered_density: with "cscc": the share of MEC's lowered matrix that is not zero.
        index_bytes: width of an index. With the defaults all widths are equal, so the bound holds
            for elements too.
        pointer_bytes: width of a pointer.

    Raises:
        UnknownName: the format is unknown.
        InvalidInput: a width is not 1 to 8, ``lowered_density`` is not in [0, 1], or it is missing
            with "cscc", or it is given with another format.

    Source: our derivation from the sizes. For MEC and CSCC it agrees with the authors' analysis
    (arXiv 2104.08314); for im2col and the map it counts pointers too.

    Example:
        >>> layer = Geometry((1, 64, 56, 56), 3, padding=1)
        >>> round(density_bound(layer, "mec"), 3)  # always smaller
        1.448
        >>> round(density_bound(Geometry((1, 64, 56, 56), 3, stride=2, padding=1), "mec"), 3)
        0.724
    """
    if not isinstance(geometry, Geometry):
        raise InvalidInput(f"geometry must be a Geometry, got {describe(geometry)}")
    versus = check_choice("versus", versus, COMPARED_FORMATS)
    index_bytes = check_whole_number("index_bytes", index_bytes, at_least=1, at_most=MOST_BYTES)
    pointer_bytes = check_whole_number(
        "pointer_bytes", pointer_bytes, at_least=1, at_most=MOST_BYTES
    )
    if (versus == "cscc") != (lowered_density is not None):
        raise InvalidInput(
            "lowered_density is for versus='cscc' and needed there; "
            f"got {describe(lowered_density)} with {versus!r}"
        )
    n, c, h, w = geometry.shape
    windows = geometry.output[1] + 1
    entry = VALUE_BYTES + index_bytes
    if lowered_density is not None:
        lowered_density = check_number("lowered_density", lowered_density, at_least=0, at_most=1)
        other = entry * lowered_density * geometry.mec_elements / n + pointer_bytes * windows
    else:
        elements = {
            "im2col": geometry.im2col_elements // n,
            "mec": geometry.mec_elements // n,
            "map": c * h * w,
        }
        other = VALUE_BYTES * elements[versus]
    cells = c * geometry.padded[0] * geometry.padded[1]
    return (other - pointer_bytes * geometry.classes * windows) / (entry * cells)
