"""The picture ``density``: density and size of every layer of a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import xarray

from explore.plotting.frame import add_heading
from explore.plotting.picture import Picture, Target
from explore.plotting.selection import selects
from explore.sparseconv.figures.layer_charts import (
    LayerCharts,
    describe_layer,
    layer_table,
    name_layer,
    name_network,
)
from explore.sparseconv.figures.survey_data import chart_data, single_survey

if TYPE_CHECKING:
    import pandas


@selects(most=1)
def density(
    recordings: Sequence[xarray.Dataset],
    step: int | None = None,
    layer: int = 0,
    unit: str = "bytes",
) -> xarray.Dataset:
    """Select what ``LayerDensity`` draws: every convolution of one network, over all images.

    Args:
        recordings: one survey (``explore run density``).
        step: of the image; None selects the first.
        layer: number of a convolution, from 1 on; 0 selects the sparsest with a kernel larger than
            1×1.
        unit: "bytes" or "elements".

    Raises:
        InvalidInput: the recording is of another kind, or the layer does not exist.
        UnknownName: the unit is unknown.
    """
    survey = single_survey(recordings, "density", "a density survey")
    return chart_data(survey, 0 if step is None else step, layer, unit)


class LayerDensity(Picture):
    """Two charts over the layers, and the selected layer in words."""

    size = (9.6, 5.6)
    title = "Density and size, layer by layer"

    def build(self, data: xarray.Dataset) -> None:
        """Create the charts and the lines above them."""
        self._heading = add_heading(self, 0.963)
        text = self.figure.text(0.02, 0.915, "", fontsize=9, va="center")
        self._sentences = self.moving(text)
        boxes = [(0.065, 0.565, 0.915, 0.27), (0.065, 0.155, 0.915, 0.315)]
        self._charts = LayerCharts(self, data, boxes)

    def show(self, data: xarray.Dataset) -> None:
        """Show one image and one layer."""
        self._charts.show(data)
        self._heading.set_text(_image_title(data))
        self._sentences.set_text(name_layer(data))

    def describe(self, data: xarray.Dataset) -> str:
        """Describe the range of densities and the selected layer."""
        shares = data["density"].values
        return (
            f"{_image_title(data)}: {shares.min():.0%} to {shares.max():.0%} of the input values "
            f"of its {len(shares)} convolutions are not zero. {describe_layer(data)}"
        )

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        """Tabulate every layer."""
        return layer_table(data)

    def value_at(self, data: xarray.Dataset, x: float, y: float) -> str:
        """Return the numbers of the layer under a pointer."""
        return self._charts.value_at(self, data, x, y)

    def targets(self, data: xarray.Dataset) -> list[Target]:
        """Return one target a layer."""
        return self._charts.targets(self, data)


def _image_title(data: xarray.Dataset) -> str:
    number = int(data["image_index"]) + 1
    return f"{name_network(data)}, image {number} of {data.sizes['image']}"
