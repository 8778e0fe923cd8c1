"""What pictures of mixtures share: where to look, densities on a grid, contours and ellipses as lines."""

from __future__ import annotations

from typing import Any

import contourpy
import numpy as np
import xarray

from explore.errors import InvalidInput
from explore.mixtures.config import USUAL
from explore.mixtures.mixture import GaussianMixture
from explore.plotting.style import AREA_GREY, CONTOUR_GREYS, PALETTE

SIDES = ("blue", "vermilion", "green")
"""Colours of up to three mixtures beside each other."""

LINE_POINTS, GRID_POINTS = 401, 71
MASSES = (0.95, 0.8, 0.5, 0.2)
"""Contours enclose these parts of the probability (of the original)."""

CIRCLE = np.stack([np.cos(np.linspace(0, 2 * np.pi, 41)), np.sin(np.linspace(0, 2 * np.pi, 41))])

NAMES = {
    "oggmr": "OGGMR",
    "williams": "Williams (ISE)",
    "ise-local": "local ISE",
    "runnalls": "Runnalls",
    "salmond": "Salmond",
    "west": "West",
    "cowa": "COWA",
    "gmrc": "GMRC",
    "prune": "pruning",
    "brute": "brute force",
}


def name_of(recording: xarray.Dataset) -> str:
    """How a recorded reduction is called in pictures."""
    name, config = str(recording.attrs["name"]), recording.attrs["config"]
    if name == "oggmr" and config["refine"] == "none":
        return {"angle": "angle, greedy", "ise": "ISE, greedy"}[config["criterion"]]
    refined = config["refine"] != "none" and USUAL[name].get("refine", "none") == "none"
    return NAMES.get(name, name) + (", refined" if refined else "")


def original_of(recording: xarray.Dataset) -> GaussianMixture:
    """The mixture that a recorded reduction began with."""
    return GaussianMixture.trusted(
        *(
            np.asarray(recording[f"original_{name}"].values, float)
            for name in ("weight", "mean", "covariance")
        )
    )


def mixture_of(frame: xarray.Dataset) -> GaussianMixture:
    """The mixture of one recorded frame."""
    at = frame["alive"].values.astype(bool)
    weights = frame["weight"].values[at]
    return GaussianMixture.trusted(
        weights / weights.sum(), frame["mean"].values[at], frame["covariance"].values[at]
    )


def view_of(mixture: GaussianMixture) -> np.ndarray:
    """The projection ``[k, d]``, k ≤ 2, that a mixture is looked at through: itself, or its two widest directions."""
    d = mixture.dimension
    if d <= 2:
        return np.eye(d)
    _, axes = np.linalg.eigh(mixture.covariance)
    axes = axes[:, : d - 3 : -1].T
    return axes * np.sign(axes[np.arange(2), np.abs(axes).argmax(1)])[:, None]


def seen(mixture: GaussianMixture, view: np.ndarray) -> GaussianMixture:
    """The mixture in that projection."""
    if len(view) == mixture.dimension:
        return mixture
    return GaussianMixture.trusted(
        mixture.weights, mixture.means @ view.T, view @ mixture.covariances @ view.T
    )


def box_of(mixture: GaussianMixture, reach: float = 3.0) -> np.ndarray:
    """Lowest and highest coordinates ``[2, d]`` that hold nearly all of a mixture."""
    spread = np.sqrt(np.diagonal(mixture.covariances, axis1=1, axis2=2))
    heavy = mixture.weights > 1e-3 * mixture.weights.max()
    low, high = (mixture.means + sign * reach * spread for sign in (-1, 1))
    return np.stack([low[heavy].min(0), high[heavy].max(0)])


def grid_of(box: np.ndarray) -> tuple[np.ndarray, ...]:
    """The axes of a grid over a box: one or two, ``[points]`` each."""
    points = LINE_POINTS if box.shape[1] == 1 else GRID_POINTS
    return tuple(np.linspace(low, high, points) for low, high in box.T)


def density_on(grid: tuple[np.ndarray, ...], mixture: GaussianMixture) -> np.ndarray:
    """Density on a grid, ``[x]`` or ``[y, x]``."""
    if len(grid) == 1:
        return mixture.pdf(grid[0])
    return mixture.pdf(np.stack(np.meshgrid(*grid), -1))


def component_curves(x: np.ndarray, mixture: GaussianMixture) -> np.ndarray:
    """Weighted densities of the components of a mixture in 1-D, ``[n, x]``."""
    variances = mixture.covariances[:, 0, 0][:, None]
    return (
        mixture.weights[:, None]
        * np.exp(-0.5 * (x - mixture.means) ** 2 / variances)
        / np.sqrt(2 * np.pi * variances)
    )


def component_lines(x: np.ndarray, mixture: GaussianMixture) -> list[np.ndarray]:
    """Those curves as ``[points, 2]`` each, without their tails, which would blacken the axis."""
    return [without_tails(x, curve) for curve in component_curves(x, mixture)]


def without_tails(x: np.ndarray, curve: np.ndarray) -> np.ndarray:
    """The part of a curve that can be told from zero, as ``[points, 2]``."""
    return np.column_stack([x, curve])[curve > 2e-3 * max(curve.max(), 1e-300)]


def levels_of(density: np.ndarray) -> np.ndarray:
    """Densities whose contours enclose ``MASSES`` of what is on the grid, rising."""
    ordered = np.sort(density.ravel())[::-1]
    share = np.cumsum(ordered) / ordered.sum()
    return ordered[np.searchsorted(share, MASSES).clip(max=len(ordered) - 1)]


def contours(
    grid: tuple[np.ndarray, ...], density: np.ndarray, levels: np.ndarray
) -> list[np.ndarray]:
    """Contour lines as ``[points, 2]`` each."""
    made = contourpy.contour_generator(grid[0], grid[1], density)
    return [line for level in levels for line in made.lines(float(level))]  # type: ignore[misc]


def ellipses(mixture: GaussianMixture) -> list[np.ndarray]:
    """One standard deviation around each mean in 2-D, as ``[41, 2]`` each."""
    return list((mixture.means[:, :, None] + mixture.factors @ CIRCLE).transpose(0, 2, 1))


def draw_original(axes: Any, grid: tuple[np.ndarray, ...], density: np.ndarray) -> None:
    """The original in grey: an area in 1-D, filled contours in 2-D."""
    if len(grid) == 1:
        axes.fill_between(grid[0], density, color=AREA_GREY, lw=0, label="original")
        axes.set_xlim(grid[0][0], grid[0][-1])
        axes.set_ylim(0, 1.22 * density.max())
        axes.set(xlabel="x", ylabel="density")
        return
    levels = np.append(levels_of(density), np.inf)
    levels = levels[np.append(np.diff(levels) > 0, True)]
    axes.contourf(
        *grid,
        density,
        levels=levels,
        colors=CONTOUR_GREYS[-(len(levels) - 1) :],
    )
    place, (width, height) = axes.get_position(), axes.figure.get_size_inches()
    panel = np.array([place.width * width, place.height * height])
    low, high = (np.array([along[end] for along in grid]) for end in (0, -1))
    half = 0.5 * ((high - low) / panel).max() * panel  # one unit is as long in both directions
    axes.set_xlim(*(0.5 * (low + high)[0] + half[0] * np.array([-1, 1])))
    axes.set_ylim(*(0.5 * (low + high)[1] + half[1] * np.array([-1, 1])))


def number(value: float) -> str:
    """A measured value in a few signs."""
    if not np.isfinite(value):
        return "∞" if value > 0 else "–"
    if abs(value) < 1e-9:
        return "0"
    if 0.001 <= abs(value) < 10:
        return f"{value:.4f}"
    return f"{value:.4g}" if 10 <= abs(value) < 1e4 else f"{value:.1e}"


def check_same_original(recordings: list[xarray.Dataset]) -> None:
    """Refuse recordings that began with unlike mixtures.

    Raises:
        InvalidInput: they did.
    """
    first = original_of(recordings[0])
    for recording in recordings[1:]:
        other = original_of(recording)
        if other.means.shape != first.means.shape or any(
            not np.array_equal(a, b)
            for a, b in (
                (first.weights, other.weights),
                (first.means, other.means),
                (first.covariances, other.covariances),
            )
        ):
            raise InvalidInput("give one recording, or up to three of the same mixture")


def colour(side: int) -> str:
    """Of the side-th mixture."""
    return PALETTE[SIDES[side]]
