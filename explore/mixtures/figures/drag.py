"""The picture of a mixture that is bent by hand: its components as handles, and every distance to what it was."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray
from matplotlib.collections import LineCollection

from explore.mixtures.figures.density import (
    box_of,
    colour,
    component_lines,
    contours,
    density_on,
    draw_original,
    ellipses,
    grid_of,
    levels_of,
    number,
)
from explore.mixtures.mixture import GaussianMixture
from explore.plotting.picture import Picture, Target

if TYPE_CHECKING:
    import pandas

DISTANCES = {
    "angle": "angle, rad",
    "chord": "chord",
    "ise": "ISE",
    "nise": "NISE",
    "cauchy-schwarz": "Cauchy–Schwarz, nat",
    "kl": "KL divergence, nat",
}


REACH = 0.14
"""Inches within which a handle is caught."""


def bend(
    original: GaussianMixture, shifts: np.ndarray, widths: np.ndarray, weights: np.ndarray
) -> GaussianMixture:
    """``original`` with each mean moved by ``shifts [n, d]``, each deviation times ``widths [n]``, each weight times
    ``weights [n]`` (then all divided by their sum).
    """
    scaled = original.weights * weights
    return GaussianMixture.trusted(
        scaled / scaled.sum(),
        original.means + shifts,
        original.covariances * np.square(widths)[:, None, None],
    )


def bent(
    original: GaussianMixture,
    shifts: np.ndarray,
    widths: np.ndarray,
    weights: np.ndarray,
    chosen: int,
    distances: Mapping[str, float],
) -> xarray.Dataset:
    """What ``Bent`` shows: a mixture in one or two dimensions, bent by hand.

    Args:
        original, shifts, widths, weights: as in ``bend``.
        chosen: the component with handles.
        distances: from the original to what it was bent to, by the names of ``DISTANCES``.
    """
    now = bend(original, shifts, widths, weights)
    grid = grid_of(box_of(original))
    axes = ("x",) if len(grid) == 1 else ("y", "x")
    data: dict[str, Any] = {
        "density": (axes, density_on(grid, now)),
        "weight": ("component", now.weights),
        "mean": (("component", "axis"), now.means),
        "covariance": (("component", "axis", "axis_"), now.covariances),
        "width": ("component", np.array(widths, float)),
        "weight_factor": ("component", np.array(weights, float)),
        "chosen": ((), chosen),
        **{name: ((), float(distances[name])) for name in DISTANCES},
    }
    known = {
        "original": (axes, density_on(grid, original)),
        "base_weight": ("component", np.array(original.weights)),
        "base_mean": (("component", "axis"), np.array(original.means)),
        "base_spread": ("component", np.sqrt(original.covariances[:, 0, 0])),
        **{f"grid_{name}": (name, values) for name, values in zip(("x", "y"), grid, strict=False)},
    }
    return xarray.Dataset(data, known)


class Bent(Picture):
    """The mixture over its original, a handle on each component, and six distances."""

    size = (9.6, 4.6)
    grabs = True
    title = "A mixture bent by hand"

    def build(self, data: xarray.Dataset) -> None:
        """The density at the left, distances at the right."""
        self._flat = "y" not in data.dims
        self._grid = (
            (data["grid_x"].values,)
            if self._flat
            else (data["grid_x"].values, data["grid_y"].values)
        )
        self._levels = None if self._flat else levels_of(data["original"].values)
        axes = self._axes = self.figure.add_axes((0.065, 0.13, 0.6, 0.77))
        draw_original(axes, self._grid, data["original"].values)
        if self._flat:
            axes.set_ylim(0, 1.6 * data["original"].values.max())
        else:
            axes.set(xlabel="$x_1$", ylabel="$x_2$")
        axes.set_title("the original (grey), and what you make of it")
        self._small = self.moving(
            axes.add_collection(LineCollection([], lw=0.8, color=colour(0), alpha=0.7))
        )
        self._main = self.moving(axes.add_collection(LineCollection([], lw=2, color=colour(0))))
        self._own = self.moving(
            axes.add_collection(LineCollection([], lw=2, color="black", ls=(0, (2, 1.2))))
        )
        self._dots = self.moving(axes.plot([], [], "o", ms=5, color=colour(0), mec="white")[0])
        self._centre = self.moving(
            axes.plot([], [], "o", ms=12, color=colour(1), mec="white", mew=1.5, zorder=5)[0]
        )
        self._rim = self.moving(
            axes.plot([], [], "D", ms=9, color=colour(2), mec="white", mew=1.5, zorder=5)[0]
        )
        self.figure.text(0.705, 0.87, "distance to the original", fontweight="bold")
        self._numbers = {}
        for row, (name, text) in enumerate(DISTANCES.items()):
            y = 0.79 - 0.085 * row
            self.figure.text(0.705, y, text)
            self._numbers[name] = self.moving(self.figure.text(0.975, y, "", ha="right"))
        self._about = self.moving(self.figure.text(0.705, 0.22, ""))
        self.figure.text(
            0.705,
            0.145,
            "● moves it, up and down its weight" if self._flat else "● moves it",
            color=colour(1),
        )
        self.figure.text(0.705, 0.085, "◆ widens it", color=colour(2))

    def _mixture(self, data: xarray.Dataset) -> GaussianMixture:
        return GaussianMixture.trusted(
            *(data[name].values for name in ("weight", "mean", "covariance"))
        )

    def handles(self, data: xarray.Dataset) -> dict[str, tuple[float, float]]:
        """Where the chosen component can be held, in data coordinates: by its centre and by its rim."""
        now, k = self._mixture(data), int(data["chosen"])
        spread = float(np.sqrt(now.covariances[k, 0, 0]))
        if self._flat:
            height = float(now.weights[k] / np.sqrt(2 * np.pi) / spread)
            return {
                "centre": (float(now.means[k, 0]), height),
                "rim": (float(now.means[k, 0]) + spread, 0.6065 * height),
            }
        rim = now.means[k] + now.factors[k][:, 0]
        return {
            "centre": (float(now.means[k, 0]), float(now.means[k, 1])),
            "rim": (float(rim[0]), float(rim[1])),
        }

    def show(self, data: xarray.Dataset) -> None:
        """Density, components, handles and distances."""
        now, k = self._mixture(data), int(data["chosen"])
        if self._flat:
            x = self._grid[0]
            lines = component_lines(x, now)
            self._main.set_segments([np.column_stack([x, data["density"].values])])
            self._dots.set_data(
                now.means[:, 0], now.weights / np.sqrt(2 * np.pi * now.covariances[:, 0, 0])
            )
        else:
            lines = ellipses(now)
            self._main.set_segments(contours(self._grid, data["density"].values, self._levels))  # type: ignore[arg-type]
            self._dots.set_data(*now.means.T)
        self._small.set_segments(lines)
        self._own.set_segments([lines[k]])
        places = self.handles(data)
        self._centre.set_data(*([value] for value in places["centre"]))
        self._rim.set_data(*([value] for value in places["rim"]))
        for name, text in self._numbers.items():
            text.set_text(number(float(data[name])))
        self._about.set_text(f"component {k + 1}: weight {now.weights[k]:.3f}")

    def describe(self, data: xarray.Dataset) -> str:
        """The chosen component and every distance."""
        now, k = self._mixture(data), int(data["chosen"])
        at = ", ".join(f"{value:.3g}" for value in now.means[k])
        told = ", ".join(f"{text} {number(float(data[name]))}" for name, text in DISTANCES.items())
        about = f"deviation {np.sqrt(now.covariances[k, 0, 0]):.3g}, weight {now.weights[k]:.3g}"
        return f"Component {k + 1} of {len(now)} at {at}, {about}. To the original: {told}."

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        """Every distance."""
        import pandas

        return pandas.DataFrame(
            [{"distance": text, "value": float(data[name])} for name, text in DISTANCES.items()]
        )

    def targets(self, data: xarray.Dataset) -> list[Target]:
        """Each component can be chosen."""
        now = self._mixture(data)
        heights = (
            now.weights / np.sqrt(2 * np.pi * now.covariances[:, 0, 0])
            if self._flat
            else now.means[:, 1]
        )
        inverse = self.figure.transFigure.inverted()
        places = inverse.transform(
            self._axes.transData.transform(np.column_stack([now.means[:, 0], heights]))
        )
        wide, high = 7 / self.figure.bbox.width, 7 / self.figure.bbox.height
        inside = [
            (k, x, 1 - y)
            for k, (x, y) in enumerate(places)
            if wide < x < 1 - wide and high < y < 1 - high
        ]
        return [
            Target(
                float(x - wide),
                float(y - high),
                float(x + wide),
                float(y + high),
                f"component {k + 1}",
                {"component": k + 1},
            )
            for k, x, y in inside
        ]

    def grab(self, data: xarray.Dataset, x: float, y: float) -> str | None:
        """The handle of the chosen component that is near a point; else a component to choose."""
        near = {
            name: self.inches(self._axes, place, x, y) for name, place in self.handles(data).items()
        }
        name = min(near, key=lambda name: near[name])
        return name if near[name] < REACH else None

    def pull(self, data: xarray.Dataset, handle: str, x: float, y: float) -> Mapping[str, Any]:
        """The centre follows the pointer (in 1-D its height is the weight), the rim sets the width."""
        now, k = self._mixture(data), int(data["chosen"])
        at = self.place(self._axes, x, y)
        mean, spread = data["base_mean"].values[k], float(data["base_spread"].values[k])
        if handle == "rim":
            away = (
                abs(at[0] - now.means[k, 0])
                if self._flat
                else float(np.hypot(*(np.array(at) - now.means[k])))
            )
            rim = (
                spread
                if self._flat
                else float(np.hypot(*now.factors[k][:, 0])) / float(data["width"].values[k])
            )
            return {"width": away / rim}
        if not self._flat:
            return {"shift_x": at[0] - mean[0], "shift_y": at[1] - mean[1]}
        wanted = min(0.95, max(0.0, at[1]) * np.sqrt(2 * np.pi * now.covariances[k, 0, 0]))
        scaled = data["base_weight"].values * data["weight_factor"].values
        return {
            "shift": at[0] - mean[0],
            "weight": wanted
            * (scaled.sum() - scaled[k])
            / (1 - wanted)
            / data["base_weight"].values[k],
        }
