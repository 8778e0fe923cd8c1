"""The picture of a mixture that is edited by hand, with its distances to the original."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray
from matplotlib.collections import LineCollection

from explore.mixtures.figures.density import (
    DensityPanel,
    component_heights,
    density_on,
    format_value,
    grid_around,
    mixture_in,
    side_colour,
    side_text_colour,
    without_rounding,
)
from explore.mixtures.mixture import GaussianMixture
from explore.plotting.picture import Picture, Target

if TYPE_CHECKING:
    import pandas

DISTANCE_LABELS = {
    "angle": "angle, rad",
    "chord": "chord",
    "ise": "ISE",
    "nise": "NISE",
    "cauchy-schwarz": "Cauchy–Schwarz, nat",
    "kl": "KL divergence, nat",
}

HANDLE_RADIUS = 0.14
"""Inches within which a handle is grabbed."""

HEIGHT_AT_ONE_SIGMA = 0.6065
"""Of a normal density, relative to its peak."""

SNAP = 0.08
"""Inches: a handle that is dragged along a line keeps the original weight within this distance."""

MAX_WEIGHT = 0.95
"""The largest weight that dragging can give to a component."""


def edit_components(
    original: GaussianMixture, shifts: np.ndarray, widths: np.ndarray, weights: np.ndarray
) -> GaussianMixture:
    """Shift the means and rescale the standard deviations and weights of a mixture.

    The means are shifted by ``shifts [n, d]``; the factors are ``widths [n]`` and ``weights [n]``.
    The weights are then divided by their sum.
    """
    scaled = original.weights * weights
    return GaussianMixture._unchecked(
        scaled / scaled.sum(),
        original.means + shifts,
        original.covariances * np.square(widths)[:, None, None],
    )


def editor_data(
    original: GaussianMixture,
    shifts: np.ndarray,
    widths: np.ndarray,
    weights: np.ndarray,
    component: int,
    distances: Mapping[str, float],
) -> xarray.Dataset:
    """Return the data of ``MixtureEditor``: a mixture in one or two dimensions, edited by hand.

    Args:
        original, shifts, widths, weights: as in ``edit_components``.
        component: the index of the component with handles.
        distances: from the original to the edited mixture, by the names of ``DISTANCE_LABELS``.
    """
    edited = edit_components(original, shifts, widths, weights)
    grid, dims, coords = grid_around(original)
    data: dict[str, Any] = {
        "density": (dims, density_on(grid, edited)),
        "weight": ("component", edited.weights),
        "mean": (("component", "axis"), edited.means),
        "covariance": (("component", "axis", "axis_"), edited.covariances),
        "width": ("component", np.array(widths, float)),
        "weight_factor": ("component", np.array(weights, float)),
        "selected_component": ((), component),
        **{name: ((), float(distances[name])) for name in DISTANCE_LABELS},
    }
    coords |= {
        "original_weight": ("component", np.array(original.weights)),
        "original_mean": (("component", "axis"), np.array(original.means)),
        "original_deviation": ("component", np.sqrt(original.covariances[:, 0, 0])),
    }
    return xarray.Dataset(data, coords)


class MixtureEditor(Picture):
    """The edited mixture over the original, handles on one component, and six distances.

    Attributes:
        axes: the panel of the densities.
    """

    size = (9.6, 4.6)
    grabs = True
    title = "A mixture bent by hand"

    def build(self, data: xarray.Dataset) -> None:
        """Draw the density on the left, the distances on the right."""
        axes = self.axes = self.figure.add_axes((0.065, 0.13, 0.6, 0.77))
        self.panel("density", axes)
        self._panel = DensityPanel(axes, data)
        if self._panel.is_1d:
            axes.set_ylim(0, 1.6 * data["original"].values.max())
        else:
            axes.set(xlabel="x₁", ylabel="x₂")
        axes.set_title("the original (grey area), and what you make of it")
        blue, orange, green = map(side_colour, range(3))

        def lines(**style: Any) -> Any:
            return self.moving(axes.add_collection(LineCollection([], **style)))

        def dots(marker: str, size: int, colour: str, **style: Any) -> Any:
            return self.moving(
                axes.plot([], [], marker, ms=size, color=colour, mec="white", **style)[0]
            )

        self._components = lines(lw=0.8, color=blue, alpha=0.7)
        self._density = lines(lw=2, color=blue)
        self._selected = self.furniture(lines(lw=2, color="black", ls=(0, (2, 1.2))))
        self._means = dots("o", 5, blue)
        self._centre = self.furniture(dots("o", 12, orange, mew=1.5, zorder=5))
        self._rim = self.furniture(dots("D", 9, green, mew=1.5, zorder=5))
        self._build_numbers(
            "● moves it, up and down its weight" if self._panel.is_1d else "● moves it"
        )

    def _build_numbers(self, centre_hint: str) -> None:
        text = self.figure.text
        text(0.705, 0.87, "distance to the original", fontweight="bold")
        self._numbers = {}
        for row, (name, label) in enumerate(DISTANCE_LABELS.items()):
            y = 0.8 - 0.08 * row
            text(0.705, y, label)
            self._numbers[name] = self.moving(text(0.975, y, "", ha="right"))
        self._captions = [self.moving(text(0.705, y, "")) for y in (0.265, 0.205)]
        self.furniture(text(0.705, 0.145, centre_hint, color=side_text_colour(1)))
        self.furniture(text(0.705, 0.085, "◆ widens it", color=side_text_colour(2)))

    def _centres(self, mixture: GaussianMixture) -> np.ndarray:
        """Return the points of all components in the panel, ``[n, 2]``."""
        if self._panel.is_1d:
            return np.column_stack([mixture.means[:, 0], component_heights(mixture)])
        return mixture.means

    def handles(self, data: xarray.Dataset) -> dict[str, tuple[float, float]]:
        """Return the positions of the handles of the selected component, in data coordinates."""
        mixture, k = mixture_in(data), int(data["selected_component"])
        x, y = map(float, self._centres(mixture)[k])
        if self._panel.is_1d:
            rim_x, rim_y = x + np.sqrt(mixture.covariances[k, 0, 0]), HEIGHT_AT_ONE_SIGMA * y
        else:
            rim_x, rim_y = mixture.means[k] + mixture.factors[k][:, 0]
        return {"centre": (x, y), "rim": (float(rim_x), float(rim_y))}

    def show(self, data: xarray.Dataset) -> None:
        """Show density, components, handles and distances."""
        mixture, k = mixture_in(data), int(data["selected_component"])
        lines = self._panel.component_lines(mixture)
        self._density.set_segments(self._panel.density_lines(data["density"].values))
        self._means.set_data(*self._centres(mixture).T)
        self._components.set_segments(lines)
        self._selected.set_segments([lines[k]])
        handles = self.handles(data)
        self._centre.set_data(*([value] for value in handles["centre"]))
        self._rim.set_data(*([value] for value in handles["rim"]))
        for name, text in self._numbers.items():
            text.set_text(format_value(without_rounding(name, float(data[name]))))
        self._captions[0].set_text(f"component {k + 1}: weight {mixture.weights[k]:.3f}")
        self._captions[1].set_text(
            f"moved by {_shift_text(data, k)}, widened × {_width(data, k):.3g}"
        )

    def describe(self, data: xarray.Dataset) -> str:
        """Return the selected component and every distance in words."""
        mixture, k = mixture_in(data), int(data["selected_component"])
        mean = ", ".join(f"{value:.3g}" for value in mixture.means[k])
        deviation = np.sqrt(mixture.covariances[k, 0, 0])
        distances = ", ".join(
            f"{label} {format_value(without_rounding(name, float(data[name])))}"
            for name, label in DISTANCE_LABELS.items()
        )
        return (
            f"Component {k + 1} of {len(mixture)} at {mean}, deviation {deviation:.3g}, "
            f"weight {mixture.weights[k]:.3g}, moved by {_shift_text(data, k)}. "
            f"To the original: {distances}."
        )

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        """Return every distance."""
        import pandas

        rows = [
            (*f"{label}, ".split(", ")[:2], without_rounding(name, float(data[name])))
            for name, label in DISTANCE_LABELS.items()
        ]
        return pandas.DataFrame(rows, columns=["distance to the original", "unit", "value"])

    def targets(self, data: xarray.Dataset) -> list[Target]:
        """Return one target for each component: a box around its mean."""
        inverse = self.figure.transFigure.inverted()
        centres = self.axes.transData.transform(self._centres(mixture_in(data)))
        width, height = (7 / float(size) for size in self.figure.bbox.size)
        targets = []
        for k, (x, y) in enumerate(inverse.transform(centres).tolist()):
            if width < x < 1 - width and height < y < 1 - height:
                box = x - width, 1 - y - height, x + width, 1 - y + height
                targets.append(Target(*box, f"component {k + 1}", {"component": k + 1}))
        return targets

    def grab(self, data: xarray.Dataset, x: float, y: float) -> str | None:
        """Return the handle of the selected component near a point; None if there is none."""
        distances = {
            name: self.inches(self.axes, position, x, y)
            for name, position in self.handles(data).items()
        }
        name = min(distances, key=distances.__getitem__)
        return name if distances[name] < HANDLE_RADIUS else None

    def pull(self, data: xarray.Dataset, handle: str, x: float, y: float) -> Mapping[str, Any]:
        """Return the state after dragging: centre for mean (and weight in 1-D), rim for width."""
        mixture, k = mixture_in(data), int(data["selected_component"])
        point = np.array(self.place(self.axes, x, y))
        if handle == "rim":
            if self._panel.is_1d:
                distance = abs(point[0] - mixture.means[k, 0])
                return {"width": distance / float(data["original_deviation"].values[k])}
            distance = float(np.hypot(*(point - mixture.means[k])))
            length = float(np.hypot(*mixture.factors[k][:, 0]))
            return {"width": distance / (length / float(data["width"].values[k]))}
        shift = point - data["original_mean"].values[k]
        if not self._panel.is_1d:
            return {"shift_x": shift[0], "shift_y": shift[1]}
        # The height of the centre is weight / √(2π variance), and the weights have sum one.
        weight = max(0.0, point[1]) * np.sqrt(2 * np.pi * mixture.covariances[k, 0, 0])
        weight = min(MAX_WEIGHT, weight)
        if self._is_near_original_weight(data, point):
            return {"shift": shift[0], "weight": 1.0}
        original_weights = data["original_weight"].values
        scaled = original_weights * data["weight_factor"].values
        new_weight = weight * (scaled.sum() - scaled[k]) / (1 - weight)
        return {"shift": shift[0], "weight": new_weight / original_weights[k]}

    def _is_near_original_weight(self, data: xarray.Dataset, point: np.ndarray) -> bool:
        """Return whether a point is about as high as the handle with the original weight."""
        mixture, k = mixture_in(data), int(data["selected_component"])
        scaled = data["original_weight"].values * data["weight_factor"].values
        original = data["original_weight"].values[k]
        weight = original / (original + scaled.sum() - scaled[k])
        height = weight / np.sqrt(2 * np.pi * mixture.covariances[k, 0, 0])
        pixels = self.axes.transData.transform([(point[0], point[1]), (point[0], height)])[:, 1]
        return bool(abs(pixels[1] - pixels[0]) / self.figure.dpi < SNAP)


def _shift_text(data: xarray.Dataset, k: int) -> str:
    """Return how far component ``k`` was moved along each axis."""
    shift = data["mean"].values[k] - data["original_mean"].values[k]
    return ", ".join(f"{value + 0.0:.3g}".replace("-", "−") for value in shift)


def _width(data: xarray.Dataset, k: int) -> float:
    return float(data["width"].values[k])
