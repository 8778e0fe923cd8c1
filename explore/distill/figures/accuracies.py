"""The picture of the accuracy of networks trained on several sets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray

from explore.plotting.picture import Picture
from explore.plotting.style import GRID_GREY, PALETTE

if TYPE_CHECKING:
    import pandas


class Accuracies(Picture):
    """Test accuracy of networks trained on each of several sets: networks, mean and deviation."""

    size = (9.6, 2.6)
    title = "Accuracy of networks trained on each set"

    def build(self, data: xarray.Dataset) -> None:
        """Create one row for each set."""
        names = [str(name) for name in data.set.values]
        axes = self.figure.add_axes((0.2, 0.2, 0.68, 0.62))
        axes.set_title(
            f"Test accuracy on {data.attrs['data']} ({data.attrs['images']:,} images), "
            f"{data.sizes['network']} networks a row"
        )
        limits = (len(names) - 0.5, -0.5)
        axes.set(yticks=range(len(names)), yticklabels=names, ylim=limits, xlim=(0, 1))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.grid(axis="x", color=GRID_GREY, lw=0.6)
        self._dots = self.moving(axes.plot([], [], "o", color=PALETTE["blue"], ms=5, alpha=0.7)[0])
        self._means = self.moving(axes.plot([], [], "|", color=PALETTE["black"], ms=16, mew=2)[0])
        self._texts = [
            self.moving(axes.text(1.02, row, "", va="center", transform=axes.get_yaxis_transform()))
            for row in range(len(names))
        ]

    def show(self, data: xarray.Dataset) -> None:
        """Show the networks, their means and deviations."""
        values = data["accuracy"].values
        self._dots.set_data(values.ravel(), np.repeat(np.arange(len(values)), values.shape[1]))
        means = [np.nanmean(row) if np.isfinite(row).any() else np.nan for row in values]
        self._means.set_data(means, range(len(values)))
        for text, row in zip(self._texts, values, strict=True):
            text.set_text(_mean_and_deviation(row))

    def describe(self, data: xarray.Dataset) -> str:
        """Return the mean and the standard deviation of each set."""
        rows = [
            f"{name}: {_mean_and_deviation(values)}"
            for name, values in zip(data.set.values, data["accuracy"].values, strict=True)
        ]
        return (
            f"Test accuracy on {data.attrs['data']}, mean ± standard deviation over networks. "
            f"{'; '.join(rows)}."
        )

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        """Return one row for each network."""
        import pandas

        names = [str(name) for name in data.set.values]
        frame = pandas.DataFrame(data["accuracy"].values.T.astype(float), columns=names)
        frame.insert(0, "network", range(len(frame)))
        return frame


def _mean_and_deviation(values: np.ndarray) -> str:
    finite = values[np.isfinite(values)]
    if not len(finite):
        return "not measured"
    deviation = f" ± {100 * finite.std(ddof=1):.1f}" if len(finite) > 1 else ""
    return f"{100 * finite.mean():.1f}{deviation} %"
