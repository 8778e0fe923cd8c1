"""The picture of a dropped wide component: the angle hardly changes, the divergence does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray

from explore.mixtures.figures.density import format_value, side_colour, side_style
from explore.plotting.picture import Picture
from explore.plotting.style import GRID_GREY, PALETTE, set_title

if TYPE_CHECKING:
    import pandas

CURVE_LABELS = {"angle": "angle, degrees", "kl": "KL(f‖g), nat", "reverse": "KL(g‖f), nat"}


def dropped_component(
    spreads: np.ndarray,
    angle: np.ndarray,
    kl: np.ndarray,
    reverse: np.ndarray,
    weight: float,
    width: float,
    shift: float,
    spread: float,
) -> xarray.Dataset:
    """Return the data of ``DroppedComponent``: a mixture loses a component, at several widths.

    Args:
        spreads: standard deviations of the dropped component, ``[k]``.
        angle, kl, reverse: between the full mixture f and the remaining component g, ``[k]``:
            degrees, KL(f‖g) and KL(g‖f) in nats.
        weight: of the dropped component.
        width: standard deviation of the remaining component, which has mean 0.
        shift: mean of the dropped component, on the first axis.
        spread: the one of ``spreads`` that is marked.
    """
    k = int(np.argmin(np.abs(spreads - spread)))
    x = np.linspace(-4, 8, 401)
    narrow_curve = np.exp(-0.5 * (x / width) ** 2) / np.sqrt(2 * np.pi) / width
    wide_curve = np.exp(-0.5 * ((x - shift) / spreads[k]) ** 2) / np.sqrt(2 * np.pi) / spreads[k]
    full = (1 - weight) * narrow_curve + weight * wide_curve
    data = {"full": ("x", full), "remaining": ("x", narrow_curve), "spread_index": ((), k)}
    curves = {"spread": spreads, "angle": angle, "kl": kl, "reverse": reverse}
    coords = {"grid_x": ("x", x), **{name: ("k", values) for name, values in curves.items()}}
    return xarray.Dataset(data, coords, attrs={"weight": weight})


class DroppedComponent(Picture):
    """A slice through both densities, and three measures against the width of the component."""

    size = (9.6, 3.8)
    title = "What the angle does not see"

    def build(self, data: xarray.Dataset) -> None:
        """Draw the densities on the left, both measures on the right."""
        axes = self.figure.add_axes((0.065, 0.155, 0.4, 0.72))
        axes.set(
            xlim=(-4, 8),
            ylim=(0, 1.5 * data["remaining"].values.max()),
            xlabel="x, the first of three axes",
            ylabel="marginal density",
        )
        set_title(axes, f"with and without {data.attrs['weight']:.0%} of the mass")
        grey, blue = PALETTE["grey"], side_colour(0)
        full = axes.plot([], [], color=grey, lw=4, label="the whole mixture")[0]
        remaining = axes.plot([], [], color=blue, label="without the wide component")[0]
        self._full, self._remaining = self.moving(full), self.moving(remaining)
        axes.legend(loc="upper right")
        self._build_curves(data)

    def _build_curves(self, data: xarray.Dataset) -> None:
        axes = self.figure.add_axes((0.56, 0.155, 0.42, 0.72))
        axes.set(xscale="log", yscale="log", xlabel="standard deviation of the dropped component")
        set_title(axes, "distance from the whole")
        for side, (name, label) in enumerate(CURVE_LABELS.items()):
            axes.plot(data["spread"], data[name], label=label, **side_style(side))
        axes.legend(loc="upper left")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter("{x:g}")
            axis.set_minor_formatter("")
        axes.grid(color=GRID_GREY, lw=0.6)
        self._points = [
            self.moving(axes.plot([], [], "o", ms=13, mfc="none", mec=side_colour(side), mew=2)[0])
            for side in range(len(CURVE_LABELS))
        ]
        note = axes.text(1, 1.03, "", transform=axes.transAxes, ha="right", va="bottom")
        self._note = self.moving(note)

    def show(self, data: xarray.Dataset) -> None:
        """Show the marked width."""
        k, x = int(data["spread_index"]), data["grid_x"].values
        self._full.set_data(x, data["full"].values)
        self._remaining.set_data(x, data["remaining"].values)
        for point, name in zip(self._points, CURVE_LABELS, strict=True):
            point.set_data([data["spread"].values[k]], [data[name].values[k]])
        _, angle, kl, reverse = _values(data)
        self._note.set_text(f"{angle}°, {kl} nat, {reverse} nat")

    def describe(self, data: xarray.Dataset) -> str:
        """Return width, angle and divergences in words."""
        spread, angle, kl, reverse = _values(data)
        return (
            f"A component with {data.attrs['weight']:.0%} of the mass and standard deviation "
            f"{spread} is gone: the angle to the whole f is {angle} degrees, "
            f"KL(f‖g) to what is left, g, is {kl} nat, KL(g‖f) {reverse} nat."
        )

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        """Return all measures at every width."""
        import pandas

        names = {"spread": "standard deviation", **CURVE_LABELS}
        return pandas.DataFrame({label: data[name].values for name, label in names.items()})


def _values(data: xarray.Dataset) -> tuple[str, str, str, str]:
    """Format the numbers at the marked width: standard deviation, angle and both divergences."""
    k = int(data["spread_index"])
    spread, angle, kl, reverse = (data[name].values[k] for name in ("spread", *CURVE_LABELS))
    return f"{spread:g}", f"{angle:.3g}", format_value(float(kl)), format_value(float(reverse))
