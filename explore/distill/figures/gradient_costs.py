"""The picture of the benchmark of trajectory matching: time, memory and deviation over steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray

from explore.plotting.picture import Picture
from explore.plotting.style import GRID_GREY, MARKERS, PALETTE

if TYPE_CHECKING:
    import pandas

MEASURES = {
    "seconds": "seconds for one gradient",
    "memory": "added memory, MB",
    "deviation": "deviation from float64",
}
COLOURS = ("blue", "vermilion", "green")


def gradient_costs(
    steps: Sequence[int], measures: Mapping[str, Mapping[str, Sequence[float]]]
) -> xarray.Dataset:
    """Return the data of ``GradientCosts``.

    Args:
        steps: numbers of student steps.
        measures: of each kind of gradient, "seconds", "memory" and "deviation" for each of them.
    """
    kinds = list(measures)
    variables = {
        name: (("kind", "steps"), np.array([list(measures[kind][name]) for kind in kinds], float))
        for name in MEASURES
    }
    return xarray.Dataset(
        variables, {"kind": ("kind", np.array(kinds, object)), "steps": list(steps)}
    )


class GradientCosts(Picture):
    """Three panels over the student's steps: time, memory and deviation of each gradient."""

    size = (9.6, 3.4)
    title = "What the gradient of trajectory matching costs"

    def build(self, data: xarray.Dataset) -> None:
        """Draw one line for each kind in each panel; nothing changes afterwards."""
        for position, (name, label) in enumerate(MEASURES.items()):
            axes = self.figure.add_axes((0.075 + 0.325 * position, 0.17, 0.245, 0.7))
            self.panel(name, axes)
            axes.set(xlabel="steps of the student", title=label)
            if name == "deviation":
                axes.set_yscale("log")
            for side, kind in enumerate(data.kind.values):
                colour = COLOURS[side]
                style: dict[str, Any] = {"color": PALETTE[colour], "marker": MARKERS[colour]}
                axes.plot(data["steps"].values, data[name].values[side], label=str(kind), **style)
            if name != "deviation":
                axes.set_ylim(0)
            axes.set_xticks(data["steps"].values)
            axes.grid(color=GRID_GREY, lw=0.6)
            if position == 0:
                axes.legend()

    def show(self, data: xarray.Dataset) -> None:
        """Do nothing: the picture does not change."""

    def describe(self, data: xarray.Dataset) -> str:
        """Return the values of the largest number of steps in words."""
        last = int(data["steps"][-1])
        texts = [
            f"{kind} {seconds:.2f} s, {memory:,.0f} MB, deviation {deviation:.1e}"
            for kind, seconds, memory, deviation in zip(
                data.kind.values,
                *(data[name].values[:, -1] for name in MEASURES),
                strict=True,
            )
        ]
        return (
            f"Gradient of trajectory matching with {last} steps of the student: {'; '.join(texts)}."
        )

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        """Return all values."""
        import pandas

        rows = [
            {
                "gradient": str(kind),
                "steps of the student": int(count),
                **{label: float(data[name].values[i, j]) for name, label in MEASURES.items()},
            }
            for i, kind in enumerate(data.kind.values)
            for j, count in enumerate(data["steps"].values)
        ]
        return pandas.DataFrame(rows)
