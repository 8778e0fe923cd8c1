"""Two small pictures: where the angle is blind, and which distances know no short cuts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray

from explore.errors import InvalidInput
from explore.mixtures.figures.density import colour, number
from explore.plotting.picture import Picture
from explore.plotting.style import GRID_GREY, MARKERS, PALETTE, set_title

if TYPE_CHECKING:
    import pandas


def blindness(
    spreads: np.ndarray,
    angle: np.ndarray,
    kl: np.ndarray,
    reverse: np.ndarray,
    lost: float,
    width: float,
    away: float,
    chosen: float,
) -> xarray.Dataset:
    """What ``Blindness`` shows: a component that holds the part ``lost`` of the mass is dropped, at several widths.

    Args:
        spreads: standard deviations of the dropped component, ``[k]``.
        angle, kl, reverse: between the whole f and what is left of it, g, ``[k]``: degrees, KL(f‖g) and KL(g‖f) in nats.
        lost: its weight.
        width: standard deviation of the component that stays, around 0.
        away: where the dropped one is, on the first axis.
        chosen: the one of ``spreads`` that is marked.
    """
    k = int(np.argmin(np.abs(spreads - chosen)))
    x = np.linspace(-4, 8, 401)
    normal = np.exp(-0.5 * (x / width) ** 2) / np.sqrt(2 * np.pi) / width
    wide = np.exp(-0.5 * ((x - away) / spreads[k]) ** 2) / np.sqrt(2 * np.pi) / spreads[k]
    data = {
        "whole": ("x", (1 - lost) * normal + lost * wide),
        "left": ("x", normal),
        "chosen": ((), k),
    }
    known = {
        "grid_x": ("x", x),
        "spread": ("k", spreads),
        "angle": ("k", angle),
        "kl": ("k", kl),
        "reverse": ("k", reverse),
    }
    return xarray.Dataset(data, known, attrs={"lost": lost})


CURVES = {"angle": "angle, degrees", "kl": "KL(f‖g), nat", "reverse": "KL(g‖f), nat"}
"""What ``Blindness`` draws against the width."""


class Blindness(Picture):
    """A slice through both densities, and angle and KL divergence against the width of what was dropped."""

    size = (9.6, 3.8)
    title = "What the angle does not see"

    def build(self, data: xarray.Dataset) -> None:
        """Densities at the left, both measures at the right."""
        axes = self.figure.add_axes((0.065, 0.155, 0.4, 0.72))
        axes.set(
            xlim=(-4, 8),
            ylim=(0, 1.5 * data["left"].values.max()),
            xlabel="x, the first of three axes",
            ylabel="marginal density",
        )
        set_title(axes, f"with and without {data.attrs['lost']:.0%} of the mass")
        self._whole = self.moving(
            axes.plot([], [], color=PALETTE["grey"], lw=4, label="the whole mixture")[0]
        )
        self._left = self.moving(
            axes.plot([], [], color=colour(0), label="without the wide component")[0]
        )
        axes.legend(loc="upper right")
        curve = self.figure.add_axes((0.56, 0.155, 0.42, 0.72))
        curve.set(xscale="log", yscale="log", xlabel="standard deviation of the dropped component")
        set_title(curve, "distance from the whole")
        for side, (name, text) in enumerate(CURVES.items()):
            shade = ("blue", "vermilion", "green")[side]
            look: dict[str, Any] = {
                "color": colour(side),
                "marker": MARKERS[shade],
                "ls": ("-", "--", ":")[side],
            }
            curve.plot(data["spread"], data[name], label=text, **look)
        curve.legend(loc="upper left")
        for which in (curve.xaxis, curve.yaxis):
            which.set_major_formatter("{x:g}")
            which.set_minor_formatter("")
        curve.grid(color=GRID_GREY, lw=0.6)
        self._points = [
            self.moving(curve.plot([], [], "o", ms=13, mfc="none", mec=colour(side), mew=2)[0])
            for side in range(3)
        ]
        self._note = self.moving(
            curve.text(1, 1.03, "", transform=curve.transAxes, ha="right", va="bottom")
        )

    def show(self, data: xarray.Dataset) -> None:
        """The marked width."""
        k, x = int(data["chosen"]), data["grid_x"].values
        self._whole.set_data(x, data["whole"].values)
        self._left.set_data(x, data["left"].values)
        for point, name in zip(self._points, CURVES, strict=True):
            point.set_data([data["spread"].values[k]], [data[name].values[k]])
        kl, reverse = (number(float(data[name].values[k])) for name in ("kl", "reverse"))
        self._note.set_text(f"{data['angle'].values[k]:.3g}°, {kl} nat, {reverse} nat")

    def describe(self, data: xarray.Dataset) -> str:
        """Width, angle and divergence."""
        k = int(data["chosen"])
        return (
            f"A component with {data.attrs['lost']:.0%} of the mass and standard deviation {data['spread'].values[k]:g} is gone: "
            f"the angle to the whole f is {data['angle'].values[k]:.3g} degrees, KL(f‖g) to what is left, g, is "
            f"{number(float(data['kl'].values[k]))} nat, KL(g‖f) {number(float(data['reverse'].values[k]))} nat."
        )

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        """Both measures at every width."""
        import pandas

        names = {"spread": "standard deviation", **CURVES}
        return pandas.DataFrame({text: data[name].values for name, text in names.items()})


KINDS = {
    "angle": "angle",
    "chord": "chord",
    "root ise": "√ISE",
    "ise": "ISE",
    "cauchy-schwarz": "Cauchy–Schwarz",
    "kl": "KL divergence",
}
"""Distances that ``Detours`` compares; the first three are metrics."""


SHORTER = 1 - 1e-6
"""A detour is called shorter below this part of the direct way; above is rounding."""


def detours(
    first: dict[str, float], second: dict[str, float], whole: dict[str, float], share: float
) -> xarray.Dataset:
    """What ``Detours`` shows: the way from A to C directly and over B, by every distance.

    Args:
        first, second, whole: distances A–B, B–C and A–C, by the names of ``KINDS``.
        share: how much of B is C.

    Raises:
        InvalidInput: A and C are the same.
    """
    if min(whole[kind] for kind in KINDS) <= 0:
        raise InvalidInput("A and C are the same density: there is no way between them")
    rows = {
        name: np.array([way[kind] for kind in KINDS])
        for name, way in (("first", first), ("second", second), ("whole", whole))
    }
    data: dict[str, Any] = {name: ("kind", values) for name, values in rows.items()}
    return xarray.Dataset(
        {**data, "share": ((), share)}, {"kind": ("kind", np.array(list(KINDS.values()), object))}
    )


class Detours(Picture):
    """For each distance a bar from A to B and on to C, where one is as long as the direct way."""

    size = (9.6, 3.6)
    title = "Is the way over B ever shorter?"

    def build(self, data: xarray.Dataset) -> None:
        """One row a distance."""
        axes = self.figure.add_axes((0.17, 0.15, 0.62, 0.72))
        names = [str(name) for name in data["kind"].values]
        places = np.arange(len(names))[::-1]
        axes.set(
            xlim=(0, 2.05),
            xlabel="length of the way A – B – C, direct way A – C = 1",
            ylim=(-0.6, len(names) - 0.4),
        )
        axes.set_yticks(places, names)
        axes.axvline(1, color="black", lw=1.5)
        self._title = self.moving(set_title(axes, ""))
        look: dict[str, Any] = {"height": 0.55, "lw": 0}
        self._bars = [
            [
                self.moving(bar)
                for bar in axes.barh(places, 0, color=colour(0), label="A – B", **look)
            ],
            [
                self.moving(bar)
                for bar in axes.barh(places, 0, color="#79b8dd", label="B – C", **look)
            ],
        ]
        axes.legend(loc="upper left", bbox_to_anchor=(1.16, 1.0))
        self._verdicts = [self.moving(axes.text(2.1, place, "", va="center")) for place in places]

    def show(self, data: xarray.Dataset) -> None:
        """Lengths and verdicts."""
        first, second, whole = (data[name].values for name in ("first", "second", "whole"))
        for k, verdict in enumerate(self._verdicts):
            lengths = (first[k] / whole[k], second[k] / whole[k])
            self._bars[0][k].set_width(lengths[0])
            self._bars[1][k].set_x(lengths[0])
            self._bars[1][k].set_width(lengths[1])
            shorter = sum(lengths) < SHORTER
            verdict.set_text(f"{sum(lengths):.3f}" + ("  shorter!" if shorter else ""))
            verdict.set_color(colour(1) if shorter else "black")
        self._title.set_text(
            f"B is {1 - float(data['share']):.0%} A and {float(data['share']):.0%} C"
        )

    def describe(self, data: xarray.Dataset) -> str:
        """Which distances call the detour shorter."""
        ways = ((data["first"] + data["second"]) / data["whole"]).values
        short = [
            str(name) for name, way in zip(data["kind"].values, ways, strict=True) if way < SHORTER
        ]
        said = f"shorter by {', '.join(short)}" if short else "not shorter by any distance"
        return f"B is {1 - float(data['share']):.0%} A and {float(data['share']):.0%} C. The way from A over B to C is {said}."

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        """All lengths."""
        import pandas

        names = {"first": "A – B", "second": "B – C", "whole": "A – C"}
        columns = {text: data[name].values for name, text in names.items()}
        return pandas.DataFrame(
            {"distance": [str(name) for name in data["kind"].values], **columns}
        )
