"""The picture of a benchmark: the speedup of each layer against the dense library, over density."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray
from matplotlib.ticker import FixedLocator, NullFormatter

from explore.errors import InvalidInput
from explore.plotting.frame import add_heading
from explore.plotting.picture import Picture
from explore.plotting.style import LIGHT_GRID_GREY, PALETTE, set_title
from explore.sparseconv.figures.time_by_density import best_dense, describe_computer

if TYPE_CHECKING:
    import pandas

LAYER_KIND_STYLES: dict[str, dict[str, Any]] = {
    "3×3, stride 1": {"color": PALETTE["blue"], "marker": "o"},
    "other kernels and strides": {"color": PALETTE["vermilion"], "marker": "s"},
}
RATIO_TICKS = (0.5, 1, 2, 5, 10, 20)


def speedup_by_density(
    rows: Iterable[Mapping[str, Any]], about: Mapping[str, Any], method: str = "bitmap"
) -> xarray.Dataset:
    """Compute what ``SpeedupByDensity`` draws: ``ratio [layer, density]``.

    Args:
        rows: of ``explore bench sparseconv --json``; each layer at the same densities.
        about: the computer on which they were measured: ``machine``, ``threads``.
        method: is compared with the faster of PyTorch's two memory formats.

    Raises:
        InvalidInput: there are no rows, or none of this method.
    """
    rows = [row for row in rows if method in row["seconds"]]
    if not rows:
        raise InvalidInput(
            f"no times of {method!r}; give what explore bench sparseconv --json wrote with it"
        )
    layers = list(dict.fromkeys(str(row["layer"]) for row in rows))
    densities = sorted({float(row["density"]) for row in rows})
    ratio = np.full((len(layers), len(densities)), np.nan)
    for row in rows:
        index = layers.index(str(row["layer"])), densities.index(float(row["density"]))
        ratio[index] = best_dense(row["seconds"]) / row["seconds"][method]
    plain, other = LAYER_KIND_STYLES
    kinds = [plain if "3×3" in layer and "/" not in layer else other for layer in layers]
    coordinates = {"layer": layers, "density": densities, "kind": ("layer", kinds)}
    attributes = {"method": method, "computer": describe_computer(about)}
    return xarray.Dataset({"ratio": (("layer", "density"), ratio)}, coordinates, attributes)


class SpeedupByDensity(Picture):
    """A thin line for each layer and a thick one for the geometric mean of each kind of layer."""

    size = (9.6, 4.6)
    title = "Speed over density"

    def build(self, data: xarray.Dataset) -> None:
        """Create one chart with logarithmic axes."""
        self._heading = add_heading(self, 0.955)
        axes = self.figure.add_axes((0.07, 0.125, 0.62, 0.74))
        self.panel("speedup", axes)
        densities, kinds = data["density"].values, data["kind"].values
        limits = (densities.min() / 1.15, densities.max() * 1.15)
        axes.set(xscale="log", xlim=limits, xlabel="density: share of the map that is not zero")
        axes.set(yscale="log", ylim=(0.4, 25), ylabel="times as fast as PyTorch, dense")
        axes.xaxis.set_major_locator(FixedLocator(densities.tolist()))
        axes.yaxis.set_major_locator(FixedLocator(RATIO_TICKS))
        axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.4g}%")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}×")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_minor_formatter(NullFormatter())
        axes.grid(color=LIGHT_GRID_GREY, lw=0.6)
        axes.axhline(1, color=PALETTE["black"], lw=1, ls=(0, (5, 2)))
        set_title(axes, "one convolution, packing of the map included; higher is faster")
        self._layers, self._means = [], {}
        for kind in kinds:
            colour = LAYER_KIND_STYLES[str(kind)]["color"]
            self._layers.append(self.moving(axes.plot([], [], lw=0.7, alpha=0.5, color=colour)[0]))
        for kind, style in LAYER_KIND_STYLES.items():
            if kind in kinds:
                (line,) = axes.plot([], [], lw=2.4, ms=6, label=kind, **style)
                self._means[kind] = self.moving(line)
        handles = axes.get_legend_handles_labels()
        self.figure.legend(
            *handles, loc="upper left", bbox_to_anchor=(0.7, 0.9), title="geometric means"
        )
        text = self.figure.text(0.71, 0.6, "", fontsize=9, va="top", linespacing=2)
        self._sentences = self.moving(text)

    def show(self, data: xarray.Dataset) -> None:
        """Show other times of the same layers."""
        for line, values in zip(self._layers, data["ratio"].values, strict=True):
            line.set_data(data["density"].values, values)
        for kind, line in self._means.items():
            line.set_data(data["density"].values, _geometric_means(data, kind))
        self._heading.set_text(f"{data.attrs['method']}, measured on {data.attrs['computer']}")
        self._sentences.set_text("\n".join(_sentences(data)))

    def describe(self, data: xarray.Dataset) -> str:
        """Describe the means and the extremes at each density."""
        means = []
        for kind in self._means:
            pairs = zip(_geometric_means(data, kind), data["density"].values, strict=True)
            means.append(f"{kind}: " + ", ".join(f"{mean:.2f} at {d:.0%}" for mean, d in pairs))
        return (
            f"{data.attrs['method']}, measured on {data.attrs['computer']}. {'; '.join(means)}. "
            f"{' '.join(_sentences(data))}"
        )

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        """Tabulate the speedup of each layer."""
        import pandas

        columns = {"layer": data["layer"].values}
        for density, ratios in zip(data["density"].values, data["ratio"].values.T, strict=True):
            columns[f"times as fast as dense at {density:.0%}"] = ratios
        return pandas.DataFrame(columns)


def _geometric_means(data: xarray.Dataset, kind: str) -> np.ndarray:
    ratios = data["ratio"].values[data["kind"].values == kind]
    return np.exp(np.log(ratios).mean(0))


def _sentences(data: xarray.Dataset) -> list[str]:
    return [
        f"At {density:.0%}: {np.nanmin(ratios):.1f} to {np.nanmax(ratios):.1f}, "
        f"faster in {int((ratios > 1).sum())} of {ratios.size}."
        for density, ratios in zip(data["density"].values, data["ratio"].values.T, strict=True)
    ]
