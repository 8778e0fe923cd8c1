"""The picture of a benchmark: how many times as fast as the dense library each layer is, over density."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray
from matplotlib.ticker import FixedLocator, NullFormatter

from explore.errors import InvalidInput
from explore.plotting.picture import Picture
from explore.plotting.style import LIGHT_GRID_GREY, PALETTE, set_title
from explore.sparseconv.figures.time_by_density import DENSE_LAYOUTS

if TYPE_CHECKING:
    import pandas

KINDS = {"3×3, stride 1": PALETTE["blue"], "other kernels and strides": PALETTE["vermilion"]}
MARKS = {"3×3, stride 1": "o", "other kernels and strides": "s"}
RATIOS = (0.5, 1, 2, 5, 10, 20)


def speedup_by_density(
    rows: Iterable[Mapping[str, Any]], about: Mapping[str, Any], method: str = "bitmap"
) -> xarray.Dataset:
    """What ``Speeds`` shows of what ``explore bench sparseconv --json`` measured: ``ratio [layer, density]``.

    Args:
        rows: of the benchmark; each layer at the same densities.
        about: where they were measured: ``machine``, ``threads``.
        method: which is compared with the better of PyTorch's two layouts.

    Raises:
        InvalidInput: no rows, or none of that method.
    """
    found = [row for row in rows if method in row["seconds"]]
    if not found:
        raise InvalidInput(
            f"no times of {method!r}; give what explore bench sparseconv --json wrote with it"
        )
    layers = list(dict.fromkeys(str(row["layer"]) for row in found))
    densities = sorted({float(row["density"]) for row in found})
    ratio = np.full((len(layers), len(densities)), np.nan)
    for row in found:
        at = layers.index(str(row["layer"])), densities.index(float(row["density"]))
        ratio[at] = min(row["seconds"][name] for name in DENSE_LAYOUTS) / row["seconds"][method]
    kind = [list(KINDS)[0 if "3×3" in layer and "/" not in layer else 1] for layer in layers]
    known = {"layer": layers, "density": densities, "kind": ("layer", kind)}
    where = f"{about['machine']}, {about['threads']} threads"
    return xarray.Dataset(
        {"ratio": (("layer", "density"), ratio)}, known, attrs={"method": method, "where": where}
    )


class SpeedupByDensity(Picture):
    """A thin line for each layer, a thick one for the geometric mean of each kind."""

    size = (9.6, 4.6)
    title = "Speed over density"

    def build(self, data: xarray.Dataset) -> None:
        """One chart with logarithmic axes."""
        self._head = self.moving(
            self.figure.text(0.02, 0.955, "", fontsize=12, fontweight="bold", va="center")
        )
        axes = self.figure.add_axes((0.07, 0.125, 0.62, 0.74))
        densities = data["density"].values
        axes.set(
            xscale="log",
            yscale="log",
            xlim=(densities.min() / 1.15, densities.max() * 1.15),
            ylim=(0.4, 25),
        )
        axes.set(
            xlabel="density: share of the map that is not zero",
            ylabel="times as fast as PyTorch, dense",
        )
        axes.xaxis.set(
            major_locator=FixedLocator(densities.tolist()), minor_formatter=NullFormatter()
        )
        axes.yaxis.set(major_locator=FixedLocator(RATIOS), minor_formatter=NullFormatter())
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}×")
        axes.grid(color=LIGHT_GRID_GREY, lw=0.6)
        axes.axhline(1, color=PALETTE["black"], lw=1, ls=(0, (5, 2)))
        set_title(axes, "one convolution, packing of the map included; higher is faster")
        kinds = data["kind"].values
        self._thin = [
            self.moving(axes.plot([], [], lw=0.7, alpha=0.5, color=KINDS[str(kind)])[0])
            for kind in kinds
        ]
        self._thick = {
            kind: self.moving(
                axes.plot([], [], lw=2.4, ms=6, marker=MARKS[kind], color=color, label=kind)[0]
            )
            for kind, color in KINDS.items()
            if kind in kinds
        }
        self.figure.legend(
            *axes.get_legend_handles_labels(),
            loc="upper left",
            bbox_to_anchor=(0.7, 0.9),
            title="geometric means",
        )
        self._words = self.moving(
            self.figure.text(0.71, 0.6, "", fontsize=9, va="top", linespacing=2)
        )

    def show(self, data: xarray.Dataset) -> None:
        """Other times of the same layers."""
        for line, values in zip(self._thin, data["ratio"].values, strict=True):
            line.set_data(data["density"].values, values)
        for kind, line in self._thick.items():
            line.set_data(data["density"].values, _means(data, kind))
        self._head.set_text(f"{data.attrs['method']}, measured on {data.attrs['where']}")
        self._words.set_text("\n".join(_sentences(data)))

    def describe(self, data: xarray.Dataset) -> str:
        """The means at each density, and the extremes."""
        means = [
            f"{kind}: "
            + ", ".join(
                f"{m:.2f} at {d:.0%}"
                for m, d in zip(_means(data, kind), data["density"].values, strict=True)
            )
            for kind in self._thick
        ]
        return f"{data.attrs['method']}, measured on {data.attrs['where']}. {'; '.join(means)}. {' '.join(_sentences(data))}"

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        """Times as fast, layer by layer."""
        import pandas

        columns = {
            f"at {d:.0%}": data["ratio"].sel(density=d).values for d in data["density"].values
        }
        return pandas.DataFrame({"layer": data["layer"].values, **columns})


def _means(data: xarray.Dataset, kind: str) -> np.ndarray:
    mine = data["ratio"].values[data["kind"].values == kind]
    return np.exp(np.log(mine).mean(0))


def _sentences(data: xarray.Dataset) -> list[str]:
    ratio, found = data["ratio"], []
    for density in data["density"].values:
        mine = ratio.sel(density=density)
        ahead = int((mine > 1).sum())
        found.append(
            f"At {density:.0%}: {float(mine.min()):.1f} to {float(mine.max()):.1f}, faster in {ahead} of {mine.size}."
        )
    return found
