"""Density bounds: how sparse maps must be for CPO to be smaller than another format."""

from __future__ import annotations

from explore.errors import InvalidInput, UnknownName
from explore.sparseconv.formats.base import FLOAT
from explore.sparseconv.formats.geometry import Geometry

AGAINST = ("im2col", "mec", "cscc", "map")


def density_bound(
    geometry: Geometry,
    versus: str = "mec",
    lowered_density: float | None = None,
    index_bytes: int = FLOAT,
    pointer_bytes: int = FLOAT,
) -> float:
    """The density below which CPO, with shared and untrimmed pointers, takes less room than another format.

    The density is the number of stored values over all cells of the padded maps, ``L / (N·C·Hp·Wp)``. A bound of 0
    or less means never; one above what can be reached means always.

    Args:
        geometry: of the convolution.
        versus: "im2col", "mec", "cscc" or "map" (the maps themselves, without padding).
        lowered_density: with "cscc": the share of MEC's lowered matrix that is not zero.
        index_bytes: width of an index. With the defaults all widths are equal, so that bytes count as elements.
        pointer_bytes: width of a pointer.

    Raises:
        UnknownName: another format.
        InvalidInput: a width below 1, or ``lowered_density`` missing, not in [0, 1], or given where it has no meaning.

    Source: our derivation from the sizes; for MEC and CSCC it is what the authors' analysis has (arXiv 2104.08314), for
    im2col and the map it counts pointers too.

    Example:
        >>> round(density_bound(Geometry((1, 64, 56, 56), 3, padding=1), "mec"), 3)  # always smaller
        1.448
        >>> round(density_bound(Geometry((1, 64, 56, 56), 3, stride=2, padding=1), "mec"), 3)
        0.724
    """
    if versus not in AGAINST:
        raise UnknownName("format to compare with", versus, AGAINST)
    for name, width in (("index_bytes", index_bytes), ("pointer_bytes", pointer_bytes)):
        if isinstance(width, bool) or not isinstance(width, int) or width < 1:
            raise InvalidInput(f"{name} must be a whole number ≥ 1, got {width!r}")
    if (versus == "cscc") != (lowered_density is not None):
        raise InvalidInput(
            f"lowered_density is for versus='cscc' and needed there; got {lowered_density!r} with {versus!r}"
        )
    n, c = geometry.shape[:2]
    windows = geometry.output[1] + 1
    entry = FLOAT + index_bytes
    if lowered_density is not None:
        if not 0 <= lowered_density <= 1:
            raise InvalidInput(f"lowered_density must be in [0, 1], got {lowered_density!r}")
        other = entry * lowered_density * geometry.mec_elements / n + pointer_bytes * windows
    else:
        map_elements = c * geometry.shape[2] * geometry.shape[3]
        other = (
            FLOAT
            * {
                "im2col": geometry.im2col_elements // n,
                "mec": geometry.mec_elements // n,
                "map": map_elements,
            }[versus]
        )
    return (other - pointer_bytes * geometry.classes * windows) / (
        entry * c * geometry.padded[0] * geometry.padded[1]
    )
