"""A picture of one number, for the tests of explorers."""

from __future__ import annotations

import pandas
import xarray

from explore.plotting.picture import Picture, Target


class Bar(Picture):
    """A line at the height of the number in the data."""

    size = (2.0, 1.5)
    title = "a bar"

    def build(self, data: xarray.Dataset) -> None:
        axes = self.figure.add_axes((0.2, 0.2, 0.7, 0.7))
        axes.set_ylim(0, 20)
        self.line = self.moving(axes.plot([0, 1], [0, 0])[0])

    def show(self, data: xarray.Dataset) -> None:
        self.line.set_ydata([float(data["height"])] * 2)

    def describe(self, data: xarray.Dataset) -> str:
        return f"a bar of height {float(data['height']):g} <tall>"

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        return pandas.DataFrame({"height": [float(data["height"])]})

    def targets(self, data: xarray.Dataset) -> list[Target]:
        return [
            Target(0, 0, 0.5, 1, "step 3", {"step": 3}),
            Target(0.5, 0, 1, 1, "step 1", {"step": 1, "nothing": 0}),
        ]


def source(step: int, kind: str) -> xarray.Dataset:
    return xarray.Dataset({"height": ((), float(step + 10 * (kind == "tall")))})
