"""The picture of the triangle inequality: the way from A to C, directly and over B."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray

from explore.errors import InvalidInput
from explore.mixtures.figures.density import side_colour, side_text_colour
from explore.plotting.picture import Picture
from explore.plotting.style import set_title

if TYPE_CHECKING:
    import pandas

DISTANCE_LABELS = {
    "angle": "angle",
    "chord": "chord",
    "root ise": "√ISE",
    "ise": "ISE",
    "cauchy-schwarz": "Cauchy–Schwarz",
    "kl": "KL divergence",
}
"""The distances of ``TriangleInequality``; the first three are metrics."""

DISTANCE_UNITS = {"angle": "rad", "cauchy-schwarz": "nat", "kl": "nat"}
LEG_LABELS = {"first": "A – B", "second": "B – C", "direct": "A – C"}

MAX_RATIO = 1 - 1e-6
"""A detour is called shorter below this fraction of the direct way; above it may be rounding."""

LONGEST_WAY = 1.15
"""End of the axis; the way over B is the longest by the chord, at most 1.09 times as long."""

LIGHT_BLUE = "#79b8dd"


def triangle_inequality(
    first: dict[str, float], second: dict[str, float], direct: dict[str, float], share: float
) -> xarray.Dataset:
    """Return the data of ``TriangleInequality``: the way from A to C, directly and over B.

    Args:
        first, second, direct: distances A–B, B–C and A–C, by the names of ``DISTANCE_LABELS``.
        share: the weight of C in B.

    Raises:
        InvalidInput: A and C are the same.
    """
    if min(direct[kind] for kind in DISTANCE_LABELS) <= 0:
        raise InvalidInput("A and C are the same density: there is no way between them")
    legs = zip(LEG_LABELS, (first, second, direct), strict=True)
    data: dict[str, Any] = {
        name: ("kind", np.array([leg[kind] for kind in DISTANCE_LABELS])) for name, leg in legs
    }
    kinds = np.array(list(DISTANCE_LABELS.values()), object)
    return xarray.Dataset({**data, "share": ((), share)}, {"kind": ("kind", kinds)})


class TriangleInequality(Picture):
    """For each distance a bar from A to B and on to C, in units of the direct way."""

    size = (9.6, 3.6)
    title = "Is the way over B ever shorter?"

    def build(self, data: xarray.Dataset) -> None:
        """Draw one row for each distance."""
        axes = self.figure.add_axes((0.155, 0.16, 0.62, 0.7))
        self.panel("lengths", axes)
        names = [str(name) for name in data["kind"].values]
        rows = np.arange(len(names))[::-1]
        axes.set(
            xlim=(0, LONGEST_WAY),
            xlabel="length of the way A – B – C, direct way A – C = 1",
            ylim=(-0.6, len(names) - 0.4),
        )
        axes.set_yticks(rows, names)
        axes.axvline(1, color="black", lw=1.5)
        self._title = self.moving(set_title(axes, ""))
        self._bars = []
        for name, colour in (("first", side_colour(0)), ("second", LIGHT_BLUE)):
            label = LEG_LABELS[name]
            bars = axes.barh(rows, 0, color=colour, label=label, height=0.55, lw=0)
            self._bars.append([self.moving(bar) for bar in bars])
        axes.legend(loc="lower right", bbox_to_anchor=(1.0, 0.99), ncols=2)
        place: dict[str, Any] = {"va": "center", "transform": axes.get_yaxis_transform()}
        self._verdicts = [self.moving(axes.text(1.02, row, "", **place)) for row in rows]

    def show(self, data: xarray.Dataset) -> None:
        """Show lengths and verdicts."""
        first, second = ((data[leg] / data["direct"]).values for leg in ("first", "second"))
        for k, verdict in enumerate(self._verdicts):
            length = first[k] + second[k]
            self._bars[0][k].set_width(first[k])
            self._bars[1][k].set_x(first[k])
            self._bars[1][k].set_width(second[k])
            shorter = length < MAX_RATIO
            verdict.set_text(f"{length:.3f}" + ("  shorter!" if shorter else ""))
            verdict.set_color(side_text_colour(1) if shorter else "black")
        self._title.set_text(_mixture_text(data))

    def describe(self, data: xarray.Dataset) -> str:
        """Return in words which distances make the detour shorter."""
        names = shorter_ways(data)
        verdict = f"shorter by {', '.join(names)}" if names else "not shorter by any distance"
        return f"{_mixture_text(data)}. The way from A over B to C is {verdict}."

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        """Return all lengths."""
        import pandas

        columns = {label: data[name].values for name, label in LEG_LABELS.items()}
        names = [str(name) for name in data["kind"].values]
        ratio = ((data["first"] + data["second"]) / data["direct"]).values
        table = pandas.DataFrame({"distance": names, **columns, "way over B / direct way": ratio})
        table.insert(1, "unit", [DISTANCE_UNITS.get(name, "") for name in DISTANCE_LABELS])
        return table


def shorter_ways(data: xarray.Dataset) -> list[str]:
    """Return the names of the distances by which the way over B is shorter."""
    ratios = ((data["first"] + data["second"]) / data["direct"]).values
    return [str(name) for name in data["kind"].values[ratios < MAX_RATIO]]


def _mixture_text(data: xarray.Dataset) -> str:
    share = float(data["share"])
    return f"B is {1 - share:.0%} A and {share:.0%} C"
