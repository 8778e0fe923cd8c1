"""Density bounds: below which density CPO is smaller than another format."""

from __future__ import annotations

from explore.errors import InvalidInput, UnknownName
from explore.sparseconv.formats.base import VALUE_BYTES
from explore.sparseconv.formats.geometry import Geometry

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
        InvalidInput: a width is below 1, ``lowered_density`` is not in [0, 1], or it is missing
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
    if versus not in COMPARED_FORMATS:
        raise UnknownName("format to compare with", versus, COMPARED_FORMATS)
    for name, width in (("index_bytes", index_bytes), ("pointer_bytes", pointer_bytes)):
        if isinstance(width, bool) or not isinstance(width, int) or width < 1:
            raise InvalidInput(f"{name} must be an integer ≥ 1, got {width!r}")
    if (versus == "cscc") != (lowered_density is not None):
        raise InvalidInput(
            "lowered_density is for versus='cscc' and needed there; "
            f"got {lowered_density!r} with {versus!r}"
        )
    n, c, h, w = geometry.shape
    windows = geometry.output[1] + 1
    entry = VALUE_BYTES + index_bytes
    if lowered_density is not None:
        if not 0 <= lowered_density <= 1:
            raise InvalidInput(f"lowered_density must be in [0, 1], got {lowered_density!r}")
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
