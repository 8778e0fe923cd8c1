"""The picture of time over density: below which density a sparse convolution is the faster one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray

from explore.errors import InvalidInput
from explore.plotting.frame import add_heading
from explore.plotting.picture import Picture
from explore.plotting.style import LIGHT_GRID_GREY, PALETTE, set_title
from explore.sparseconv.figures.style import FORMAT_STYLES

if TYPE_CHECKING:
    import pandas

DENSE_LAYOUTS = ("torch", "torch, channels last")
"""Names of the dense convolution in the benchmark, one for each memory format."""
METHOD_STYLES: dict[str, dict[str, Any]] = {
    "dense": {"color": PALETTE["black"], "marker": "", "ls": (0, (5, 2))},
    "bitmap": {"color": PALETTE["blue"], "marker": "o"},
    "cpo": FORMAT_STYLES["cpo"],
    "cps": FORMAT_STYLES["cps"],
    "im2col": {"color": PALETTE["grey"], "marker": "x"},
}
METHOD_LABELS = {
    "dense": "PyTorch, dense (better layout)",
    "bitmap": "bitmap (ours)",
    "cpo": "CPO",
    "cps": "CPS",
    "im2col": "im2col",
}


def time_by_density(
    rows: Iterable[Mapping[str, Any]], about: Mapping[str, Any], layer: str = ""
) -> xarray.Dataset:
    """Select what ``TimeByDensity`` draws: one layer of ``explore bench sparseconv --json``.

    Args:
        rows: of the benchmark.
        about: the computer on which they were measured: ``machine``, ``threads``.
        layer: its name in the benchmark; empty selects the first.

    Raises:
        InvalidInput: there are no rows, or none of this layer.
    """
    rows = list(rows)
    names = list(dict.fromkeys(str(row["layer"]) for row in rows))
    layer = layer or (names[0] if names else "")
    if layer not in names:
        raise InvalidInput(
            f"no times of layer {layer!r}; there are those of {', '.join(names) or 'none'}"
        )
    layer_rows = [row for row in rows if row["layer"] == layer]
    layer_rows.sort(key=lambda row: float(row["density"]))
    densities = np.array([float(row["density"]) for row in layer_rows])
    seconds = {
        method: [row["seconds"].get(method, np.nan) for row in layer_rows]
        for method in METHOD_STYLES
    }
    seconds["dense"] = [best_dense(row["seconds"]) for row in layer_rows]
    crossings = [break_even(densities, times, seconds["dense"]) for times in seconds.values()]
    variables = {
        "seconds": (("method_name", "density"), np.array(list(seconds.values()))),
        "break_even": ("method_name", np.array(crossings)),
    }
    coordinates = {"method_name": np.array(list(seconds), object), "density": densities}
    attributes = {"layer": layer, "computer": describe_computer(about)}
    return xarray.Dataset(variables, coordinates, attributes)


def best_dense(seconds: Mapping[str, float]) -> float:
    """Return the seconds of the dense convolution in the faster of its two memory formats."""
    return min(seconds[name] for name in DENSE_LAYOUTS)


def describe_computer(about: Mapping[str, Any]) -> str:
    """Return the name and the threads of the computer that measured a benchmark."""
    return f"{about['machine']}, {about['threads']} threads"


def break_even(densities: np.ndarray, sparse: Any, dense: Any) -> float:
    """Return the density below which a method is faster than the dense convolution.

    It is faster at all measured densities below the result, which is interpolated between two of
    them. 0 means never faster and 1 always; NaN means faster at all measured densities, of which
    none is 1.

    Example:
        >>> break_even(np.array([0.1, 0.3, 0.5]), [1.0, 2.0, 4.0], [3.0, 3.0, 3.0])
        0.4
    """
    difference = np.asarray(sparse, float) - np.asarray(dense, float)
    slower = np.flatnonzero(~(difference < 0))
    if not len(slower):
        return 1.0 if densities[-1] == 1 else float("nan")
    k = slower[0]
    if k == 0:
        return 0.0
    low, high = densities[k - 1], densities[k]
    share = -difference[k - 1] / (difference[k] - difference[k - 1])
    return round(float(low + share * (high - low)), 6)


class TimeByDensity(Picture):
    """Time of each method over density, and the densities at which it equals the dense time."""

    size = (9.6, 4.6)
    title = "Time over density"

    def build(self, data: xarray.Dataset) -> None:
        """Create one chart with sentences on its right."""
        self._heading = add_heading(self, 0.955)
        axes = self.figure.add_axes((0.07, 0.125, 0.57, 0.74))
        axes.set(xlim=(0, 1.02), xlabel="density: share of the map that is not zero")
        axes.set(ylim=(0, 4), ylabel="time, dense = 1")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.grid(color=LIGHT_GRID_GREY, lw=0.6)
        set_title(axes, "time of one convolution, packing of the map included; lower is faster")
        self._lines = {}
        for method, style in METHOD_STYLES.items():
            (line,) = axes.plot([], [], ms=5, lw=1.4, label=METHOD_LABELS[method], **style)
            self._lines[method] = self.moving(line)
        self._break_even = self.moving(axes.axvline(0, color=PALETTE["blue"], lw=1, ls=":"))
        handles = axes.get_legend_handles_labels()
        self.figure.legend(*handles, loc="upper left", bbox_to_anchor=(0.655, 0.9))
        text = self.figure.text(0.665, 0.55, "", fontsize=9, va="top", linespacing=2)
        self._sentences = self.moving(text)

    def show(self, data: xarray.Dataset) -> None:
        """Show the times of one layer."""
        dense = float(np.median(data["seconds"].sel(method_name="dense").values))
        for method, line in self._lines.items():
            times = data["seconds"].sel(method_name=method).values
            line.set_data(data["density"].values, times / dense)
        density = float(data["break_even"].sel(method_name="bitmap"))
        self._break_even.set_xdata([density if 0 < density < 1 else -1] * 2)
        self._heading.set_text(f"{data.attrs['layer']}: measured on {data.attrs['computer']}")
        lines = [f"Dense: {1e3 * dense:.3g} milliseconds.", *_sentences(data)]
        self._sentences.set_text("\n".join(lines))

    def describe(self, data: xarray.Dataset) -> str:
        """Describe where the methods equal the dense convolution."""
        sentences = " ".join(_sentences(data))
        return f"{data.attrs['layer']}, measured on {data.attrs['computer']}. {sentences}"

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        """Tabulate the milliseconds at each density."""
        import pandas

        columns = {"density": data["density"].values}
        for method, times in zip(data["method_name"].values, data["seconds"].values, strict=True):
            columns[f"{METHOD_LABELS[str(method)]}, ms"] = 1e3 * times
        return pandas.DataFrame(columns)


def _sentences(data: xarray.Dataset) -> list[str]:
    sentences = []
    for method in ("bitmap", "cpo", "cps"):
        density = float(data["break_even"].sel(method_name=method))
        name = METHOD_LABELS[method].partition(" ")[0]
        if np.isnan(density):
            sentences.append(f"{name} is faster than dense at all of these.")
        elif density in (0.0, 1.0):
            often = "always" if density else "never"
            sentences.append(f"{name} is {often} faster than dense here.")
        else:
            sentences.append(f"{name} is faster than dense below {density:.0%}.")
    if 0.1 in data["density"].values:
        times = data["seconds"].sel(density=0.1)
        ratio = float(times.sel(method_name="dense") / times.sel(method_name="bitmap"))
        sentences.append(f"At 10 % bitmap is {ratio:.1f} times as fast.")
    return sentences
