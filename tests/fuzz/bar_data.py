"""A picture of one number and a topic without content, for valid calls."""

from __future__ import annotations

from typing import Any

import pandas
import xarray

from explore.plotting.picture import Picture


class BarPicture(Picture):
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
        return f"a bar of height {float(data['height']):g}"

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        return pandas.DataFrame({"height": [float(data["height"])]})


def picture_data(step: int = 1) -> xarray.Dataset:
    return xarray.Dataset({"height": ((), float(step))})


def bar_source(step: int) -> xarray.Dataset:
    return picture_data(step)


def work(progress: Any, stop: Any) -> str:
    return "done"
