"""The picture of a dropped wide component: the angle hardly changes, the divergence does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray

from explore.mixtures.figures.density import format_value, side_colour, side_style
from explore.plotting.picture import Picture
from explore.plotting.style import GRID_GREY, LABEL_GREY, PALETTE, set_title

if TYPE_CHECKING:
    import pandas

CURVE_LABELS = {"angle": "angle, degrees", "kl": "KL(f‖g), nat", "reverse": "KL(g‖f), nat"}

FARTHEST = 400.0
"""End of the axis of x: four standard deviations of the widest component."""

LOWEST_DENSITY = 1e-4


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
    # The axis is logarithmic beyond 1, so that both the narrow and the widest component are seen.
    beyond = np.geomspace(1, FARTHEST, 200)
    x = np.concatenate([-beyond[::-1], np.linspace(-1, 1, 201)[1:-1], beyond])
    narrow_curve = np.exp(-0.5 * (x / width) ** 2) / np.sqrt(2 * np.pi) / width
    wide_curve = np.exp(-0.5 * ((x - shift) / spreads[k]) ** 2) / np.sqrt(2 * np.pi) / spreads[k]
    full = (1 - weight) * narrow_curve + weight * wide_curve
    data = {"full": ("x", full), "remaining": ("x", narrow_curve), "spread_index": ((), k)}
    curves = {"spread": spreads, "angle": angle, "kl": kl, "reverse": reverse}
    coords = {"grid_x": ("x", x), **{name: ("k", values) for name, values in curves.items()}}
    return xarray.Dataset(data, coords, attrs={"weight": weight})


class DroppedComponent(Picture):
    """A slice through both densities, and three measures against the width of the component."""

    size = (9.6, 4.2)
    title = "What the angle does not see"

    def build(self, data: xarray.Dataset) -> None:
        """Draw the densities on the left, both measures on the right."""
        axes = self.figure.add_axes((0.075, 0.14, 0.385, 0.64))
        self.panel("densities", axes)
        axes.set_xscale("symlog", linthresh=1, linscale=1)
        axes.set(
            yscale="log",
            xlim=(-FARTHEST, FARTHEST),
            ylim=(LOWEST_DENSITY, 30 * data["remaining"].values.max()),
            xlabel="x, the first of three axes (logarithmic beyond ±1)",
            ylabel="marginal density",
            xticks=[-100, -10, -1, 0, 1, 10, 100],
        )
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}".replace("-", "−"))
        axes.xaxis.set_minor_formatter("")
        set_title(axes, f"with and without {data.attrs['weight']:.0%} of the mass")
        grey, blue = PALETTE["grey"], side_colour(0)
        full = axes.plot([], [], color=grey, lw=4, label="the whole mixture, f")[0]
        remaining = axes.plot([], [], color=blue, label="without the wide component, g")[0]
        self._full, self._remaining = self.moving(full), self.moving(remaining)
        axes.legend(loc="upper left")
        self._build_curves(data)

    def _build_curves(self, data: xarray.Dataset) -> None:
        axes = self.figure.add_axes((0.56, 0.14, 0.42, 0.64))
        self.panel("distances", axes)
        axes.set(xscale="log", yscale="log", xlabel="standard deviation of the dropped component")
        style: dict[str, Any] = {"transform": axes.transAxes, "va": "bottom"}
        self._values, heights = [], (1.155, 1.085, 1.015)
        for side, (name, label) in enumerate(CURVE_LABELS.items()):
            axes.plot(data["spread"], data[name], **side_style(side))
            height, marker = heights[side], side_style(side)
            handle: dict[str, Any] = {"transform": axes.transAxes, "clip_on": False, "ms": 5}
            axes.plot([0, 0.03, 0.06], [height + 0.028] * 3, markevery=[1], **handle, **marker)
            axes.text(0.08, height, label, fontsize=9, **style)
            value = axes.text(0.52, height, "", fontsize=9, fontweight="bold", ha="right", **style)
            self._values.append(self.moving(value))
        axes.text(0.58, heights[1] + 0.03, "distance of f to g at\nthe marked deviation",
                  fontsize=9, color=LABEL_GREY, **{**style, "va": "center"})  # fmt: skip
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter("{x:g}")
            axis.set_minor_formatter("")
        axes.grid(color=GRID_GREY, lw=0.6)
        ring: dict[str, Any] = {"ms": 13, "mfc": "none", "mew": 2, "clip_on": False}
        self._points = [
            self.moving(axes.plot([], [], "o", mec=side_colour(side), **ring)[0])
            for side in range(len(CURVE_LABELS))
        ]

    def show(self, data: xarray.Dataset) -> None:
        """Show the marked width."""
        k, x = int(data["spread_index"]), data["grid_x"].values
        self._full.set_data(x, data["full"].values)
        self._remaining.set_data(x, data["remaining"].values)
        for point, name in zip(self._points, CURVE_LABELS, strict=True):
            point.set_data([data["spread"].values[k]], [data[name].values[k]])
        for text, value in zip(self._values, _values(data)[1:], strict=True):
            text.set_text(value)

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
