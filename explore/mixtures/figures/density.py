"""Densities of mixtures in pictures: grids, contours, ellipses, and the style of each side."""

from __future__ import annotations

from typing import Any

import contourpy
import numpy as np
import xarray

from explore.mixtures.mixture import GaussianMixture
from explore.plotting.style import AREA_GREY, CONTOUR_GREYS, MARKERS, PALETTE, TEXT_PALETTE

SIDE_COLOURS = ("blue", "vermilion", "green")
"""Colours of up to three mixtures side by side."""

LINE_POINTS, GRID_POINTS = 401, 71
CONTOUR_MASSES = (0.95, 0.8, 0.5, 0.2)
"""Contours enclose these fractions of the probability of the original."""

UNIT_CIRCLE = np.stack([f(np.linspace(0, 2 * np.pi, 41)) for f in (np.cos, np.sin)])
MIN_ANGLE = 1e-7
"""Angles and chords below this are rounding."""

MIN_RELATIVE_HEIGHT = 2e-3
"""Tails below this fraction of a curve's peak are not drawn: they would blacken the axis."""


def side_colour(side: int) -> str:
    """Return the colour of a side."""
    return PALETTE[SIDE_COLOURS[side]]


def side_text_colour(side: int) -> str:
    """Return the colour of text about a side."""
    return TEXT_PALETTE[SIDE_COLOURS[side]]


def count_of(number: int, noun: str) -> str:
    """Return such as "1 component" or "5 components".

    Example:
        >>> count_of(1, "peak"), count_of(5, "peak")
        ('1 peak', '5 peaks')
    """
    return f"{number} {noun}" + ("" if number == 1 else "s")


def side_style(side: int) -> dict[str, Any]:
    """Return colour, marker and line style of a side."""
    marker, line = MARKERS[SIDE_COLOURS[side]], ("-", "--", ":")[side]
    return {"color": side_colour(side), "marker": marker, "ls": line}


def principal_view(mixture: GaussianMixture) -> np.ndarray:
    """Return the projection ``[k, d]``, k ≤ 2: the identity, or the two widest directions."""
    d = mixture.dimension
    if d <= 2:
        return np.eye(d)
    _, axes = np.linalg.eigh(mixture.covariance)
    axes = axes[:, : d - 3 : -1].T
    return axes * np.sign(axes[np.arange(2), np.abs(axes).argmax(1)])[:, None]


def project(mixture: GaussianMixture, view: np.ndarray) -> GaussianMixture:
    """Return the projection of a mixture."""
    if len(view) == mixture.dimension:
        return mixture
    return GaussianMixture._unchecked(
        mixture.weights, mixture.means @ view.T, view @ mixture.covariances @ view.T
    )


def bounding_box(mixture: GaussianMixture, deviations: float = 3.0) -> np.ndarray:
    """Return the lowest and highest coordinates ``[2, d]`` that contain nearly all of a mixture."""
    spread = np.sqrt(np.diagonal(mixture.covariances, axis1=1, axis2=2))
    heavy = mixture.weights > 1e-3 * mixture.weights.max()
    low, high = (mixture.means + sign * deviations * spread for sign in (-1, 1))
    return np.stack([low[heavy].min(0), high[heavy].max(0)])


def density_on(grid: tuple[np.ndarray, ...], mixture: GaussianMixture) -> np.ndarray:
    """Compute the density on a grid, ``[x]`` or ``[y, x]``."""
    return mixture.pdf(grid[0] if len(grid) == 1 else np.stack(np.meshgrid(*grid), -1))


def grid_around(
    original: GaussianMixture,
) -> tuple[tuple[np.ndarray, ...], tuple[str, ...], dict[str, Any]]:
    """Make the grid of a picture.

    Returns:
        Its axes, ``[points]`` each; the dimensions of a density on it; and the coordinates of the
        data, from which ``DensityPanel`` restores it.
    """
    box = bounding_box(original)
    points = LINE_POINTS if original.dimension == 1 else GRID_POINTS
    grid = tuple(np.linspace(low, high, points) for low, high in box.T)
    dims = ("x",) if len(grid) == 1 else ("y", "x")
    coords = {f"grid_{name}": (name, axis) for name, axis in zip("xy", grid, strict=False)}
    return grid, dims, {"original": (dims, density_on(grid, original)), **coords}


def mixture_in(data: xarray.Dataset, index: Any = ()) -> GaussianMixture:
    """Return the mixture in the data of a picture; ``index`` selects a side."""
    present = np.isfinite(data["weight"].values[index])
    weights, means, covariances = (
        data[name].values[index][present] for name in ("weight", "mean", "covariance")
    )
    return GaussianMixture._unchecked(weights, means, covariances)


def component_curves(x: np.ndarray, mixture: GaussianMixture) -> np.ndarray:
    """Compute the weighted densities of the components of a mixture in 1-D, ``[n, x]``."""
    variances = mixture.covariances[:, 0, 0][:, None]
    return (
        mixture.weights[:, None]
        * np.exp(-0.5 * (x - mixture.means) ** 2 / variances)
        / np.sqrt(2 * np.pi * variances)
    )


def component_heights(mixture: GaussianMixture) -> np.ndarray:
    """Compute the weighted densities of the components in 1-D at their means, ``[n]``."""
    return mixture.weights / np.sqrt(2 * np.pi * mixture.covariances[:, 0, 0])


def cut_tails(x: np.ndarray, curve: np.ndarray) -> np.ndarray:
    """Return the part of a curve that is visibly above zero, as ``[points, 2]``."""
    return np.column_stack([x, curve])[curve > MIN_RELATIVE_HEIGHT * max(curve.max(), 1e-300)]


def contour_levels(density: np.ndarray) -> np.ndarray:
    """Compute the densities whose contours enclose ``CONTOUR_MASSES``, in increasing order."""
    ordered = np.sort(density.ravel())[::-1]
    share = np.cumsum(ordered) / ordered.sum()
    return ordered[np.searchsorted(share, CONTOUR_MASSES).clip(max=len(ordered) - 1)]


class DensityPanel:
    """A panel with the original in grey, and lines for densities and components over it.

    Args:
        axes: matplotlib axes.
        data: with the coordinates of ``grid_around``.
    """

    def __init__(self, axes: Any, data: xarray.Dataset) -> None:
        self.axes = axes
        self.is_1d = "grid_y" not in data.coords
        self.grid = tuple(data[f"grid_{name}"].values for name in ("x" if self.is_1d else "xy"))
        self.original = data["original"].values
        if self.is_1d:
            axes.fill_between(self.grid[0], self.original, color=AREA_GREY, lw=0, label="original")
            axes.set_xlim(self.grid[0][0], self.grid[0][-1])
            axes.set_ylim(0, 1.22 * self.original.max())
            axes.set(xlabel="x", ylabel="density")
        else:
            self.levels = contour_levels(self.original)
            self._draw_contours()

    def _draw_contours(self) -> None:
        levels = np.append(self.levels, np.inf)
        levels = levels[np.append(np.diff(levels) > 0, True)]
        greys = CONTOUR_GREYS[-(len(levels) - 1) :]
        self.axes.contourf(*self.grid, self.original, levels=levels, colors=greys)
        # Both axes have the same scale.
        position = self.axes.get_position()
        panel = np.array([position.width, position.height]) * self.axes.figure.get_size_inches()
        low, high = (np.array([axis[end] for axis in self.grid]) for end in (0, -1))
        centre, half_size = 0.5 * (low + high), 0.5 * ((high - low) / panel).max() * panel
        self.axes.set_xlim(*(centre[0] + half_size[0] * np.array([-1, 1])))
        self.axes.set_ylim(*(centre[1] + half_size[1] * np.array([-1, 1])))

    def density_lines(self, density: np.ndarray) -> list[np.ndarray]:
        """Return the curve of a density in 1-D or its contours in 2-D, as ``[points, 2]`` each."""
        if self.is_1d:
            return [np.column_stack([self.grid[0], density])]
        generator = contourpy.contour_generator(self.grid[0], self.grid[1], density)
        return [line for level in self.levels for line in generator.lines(float(level))]  # type: ignore[misc]

    def component_lines(self, mixture: GaussianMixture) -> list[np.ndarray]:
        """Return the curve (1-D) or one-sigma ellipse (2-D) of each component, ``[points, 2]``."""
        if self.is_1d:
            x = self.grid[0]
            return [cut_tails(x, curve) for curve in component_curves(x, mixture)]
        ellipses = mixture.means[:, :, None] + mixture.factors @ UNIT_CIRCLE
        return list(ellipses.transpose(0, 2, 1))


def without_rounding(name: str, value: float) -> float:
    """Return a measure of a mixture, or 0 for an angle or a chord that is only rounding.

    Example:
        >>> without_rounding("angle", 3.7e-9), without_rounding("kl", 3.7e-9)
        (0.0, 3.7e-09)
    """
    return 0.0 if name in ("angle", "chord") and abs(value) < MIN_ANGLE else value


def format_value(value: float) -> str:
    """Format a measured value in a few characters."""
    if not np.isfinite(value):
        return "∞" if value > 0 else "–"
    if abs(value) < 1e-9:
        return "0"
    if 0.001 <= abs(value) < 10:
        return f"{value:.4f}"
    if 10 <= abs(value) < 1e7:
        return f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
    return f"{value:.1e}"
