"""The picture of time over density: below which density a sparse convolution is the faster one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray
from matplotlib.collections import LineCollection

from explore.errors import InvalidInput
from explore.plotting.frame import add_heading
from explore.plotting.picture import Picture
from explore.plotting.style import LIGHT_GRID_GREY, PALETTE, set_title
from explore.sparseconv.figures.style import FORMAT_STYLES

if TYPE_CHECKING:
    import pandas

HIGHEST = 4.0
"""Where the chart ends, in multiples of the dense time. A triangle marks what lies above."""
BUSY_FACTOR = 1.5
"""The dense time should be the same at all densities. If it varies by more than this factor, the
machine did something else meanwhile."""
DENSE_LAYOUTS = ("torch", "torch, channels last")
"""Names of the dense convolution in the benchmark, one for each memory format."""
LINE_LETTERS = 46
"""Letters that fit in a line beside the chart."""
METHOD_STYLES: dict[str, dict[str, Any]] = {
    "dense": {"color": PALETTE["black"], "marker": "", "ls": (0, (5, 2))},
    "bitmap": {"color": PALETTE["blue"], "marker": "o"},
    "cpo": FORMAT_STYLES["cpo"],
    "cps": FORMAT_STYLES["cps"],
    "im2col": {"color": PALETTE["grey"], "marker": "x"},
}
METHOD_LABELS = {
    "dense": "PyTorch, dense (the faster layout)",
    "bitmap": "bitmap (this package)",
    "cpo": "CPO",
    "cps": "CPS",
    "im2col": "im2col",
}


def time_by_density(
    rows: Iterable[Mapping[str, Any]],
    about: Mapping[str, Any],
    layer: str = "",
    origin: str = "measured",
) -> xarray.Dataset:
    """Select what ``TimeByDensity`` draws: one layer of ``explore bench sparseconv --json``.

    Args:
        rows: of the benchmark. If they hold ``range``, the spread over the rounds is drawn.
        about: the computer on which they were measured: ``machine``, ``threads``.
        layer: its name in the benchmark; empty selects the first.
        origin: when and where they were measured, such as "measured here, just now".

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
    ranges = [[_range(row, method) for row in layer_rows] for method in METHOD_STYLES]
    crossings = [break_even(densities, times, seconds["dense"]) for times in seconds.values()]
    variables = {
        "seconds": (("method_name", "density"), np.array(list(seconds.values()))),
        "break_even": ("method_name", np.array(crossings)),
        "range": (("method_name", "density", "end"), np.array(ranges)),
        "busy": ((), _busy_factor(seconds["dense"], ranges[list(METHOD_STYLES).index("dense")])),
    }
    coordinates = {"method_name": np.array(list(seconds), object), "density": densities}
    attributes = {"layer": layer, "computer": describe_computer(about), "origin": origin}
    return xarray.Dataset(variables, coordinates, attributes)


def no_times(layer: str) -> xarray.Dataset:
    """Return what ``TimeByDensity`` draws for a layer that was not measured: an empty chart."""
    rows = [{"layer": layer, "density": 1.0, "seconds": dict.fromkeys(DENSE_LAYOUTS, np.nan)}]
    about = {"machine": "this computer", "threads": 0}
    return time_by_density(rows, about, layer, NOT_MEASURED)


def _range(row: Mapping[str, Any], method: str) -> list[float]:
    """Return the smallest and largest time of a round; NaN if the row does not hold them."""
    ranges = row.get("range", {})
    if method == "dense":
        method = min(DENSE_LAYOUTS, key=lambda name: float(row["seconds"][name]))
    return [float(value) for value in ranges.get(method, (np.nan, np.nan))]


def _busy_factor(dense: Sequence[float], ranges: Sequence[Sequence[float]]) -> float:
    """Return the largest time of the dense convolution divided by the smallest."""
    times = np.append(np.ravel(ranges), dense)
    times = times[np.isfinite(times)]
    return float(times.max() / times.min()) if times.size else float("nan")


def best_dense(seconds: Mapping[str, float]) -> float:
    """Return the seconds of the dense convolution in the faster of its two memory formats."""
    return min(seconds[name] for name in DENSE_LAYOUTS)


NOT_MEASURED = "not measured here yet"


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
        self.panel("time", axes)
        axes.set(xlim=(0, 1.02), xlabel="density: share of the map that is not zero")
        axes.set(ylim=(0, HIGHEST), ylabel="time (dense = 1)")
        axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.4g}%")
        axes.grid(color=LIGHT_GRID_GREY, lw=0.6)
        set_title(axes, "time of one convolution, packing of the map included; lower is faster")
        self._lines, self._above, self._ranges = {}, {}, {}
        top: dict[str, Any] = {"ls": "", "marker": 6, "ms": 7, "clip_on": False}
        for method, style in METHOD_STYLES.items():
            bars = LineCollection([], colors=style["color"], lw=1)
            self._ranges[method] = self.moving(axes.add_collection(bars))
            (line,) = axes.plot([], [], ms=5, lw=1.4, label=METHOD_LABELS[method], **style)
            self._lines[method] = self.moving(line)
            (marks,) = axes.plot([], [], color=style["color"], **top)
            self._above[method] = self.moving(marks)
        self._break_even = self.moving(axes.axvline(0, color=PALETTE["blue"], lw=1, ls=":"))
        handles = axes.get_legend_handles_labels()
        self.figure.legend(*handles, loc="upper left", bbox_to_anchor=(0.655, 0.9))
        text = self.figure.text(0.665, 0.575, "", fontsize=9, va="top", linespacing=1.5)
        self._sentences = self.moving(text)

    def show(self, data: xarray.Dataset) -> None:
        """Show the times of one layer."""
        dense, densities = _median_dense(data), data["density"].values
        for k, (method, line) in enumerate(self._lines.items()):
            ratios = data["seconds"].values[k] / dense
            line.set_data(densities, ratios)
            above = densities[ratios > HIGHEST]
            self._above[method].set_data(above, np.full(len(above), HIGHEST))
            ends = np.stack([np.stack([densities] * 2, 1), data["range"].values[k] / dense], -1)
            self._ranges[method].set_segments(ends[np.isfinite(ends).all((1, 2))])
        density = float(data["break_even"].sel(method_name="bitmap"))
        shown = 0 < density < 1 and not _is_busy(data)
        self._break_even.set_xdata([density] * 2)
        self._break_even.set_visible(shown)
        self._heading.set_text(_title(data))
        lines = [_dense_sentence(data), *_sentences(data), *_warnings(data)]
        self._sentences.set_text("\n".join(fill(line, LINE_LETTERS) for line in lines))

    def describe(self, data: xarray.Dataset) -> str:
        """Describe where the methods equal the dense convolution."""
        sentences = [_dense_sentence(data), *_sentences(data), *_warnings(data)]
        return f"{_title(data)}. {' '.join(sentences)}"

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        """Tabulate the milliseconds at each density."""
        import pandas

        columns = {"density, %": 100 * data["density"].values}
        for k, method in enumerate(data["method_name"].values):
            name, ends = METHOD_LABELS[str(method)], 1e3 * data["range"].values[k]
            columns[f"{name}, ms"] = 1e3 * data["seconds"].values[k]
            if np.isfinite(ends).any():
                columns[f"{name}, fastest round, ms"] = ends[:, 0]
                columns[f"{name}, slowest round, ms"] = ends[:, 1]
        return pandas.DataFrame(columns)


def describe_winner(data: xarray.Dataset) -> str:
    """Return in words whether CPO and CPS are faster than dense at 50% and at 5%."""
    if not np.isfinite(_median_dense(data)):
        return NOT_MEASURED
    words = []
    for method in ("cpo", "cps"):
        times = data["seconds"].sel(method_name=[method, "dense"]).values
        faster = []
        for density in (0.5, 0.05):
            sparse, dense = (np.interp(density, data["density"].values, row) for row in times)
            faster += [f"{density:.0%}"] if sparse < dense else []
        words.append(f"{METHOD_LABELS[method]} at {' and '.join(faster) or 'neither of both'}")
    return ", ".join(words)


def _title(data: xarray.Dataset) -> str:
    if data.attrs["origin"] == NOT_MEASURED:
        return f"{data.attrs['layer']}: {NOT_MEASURED}"
    return f"{data.attrs['layer']}: {data.attrs['origin']} on {data.attrs['computer']}"


def _median_dense(data: xarray.Dataset) -> float:
    return float(np.median(data["seconds"].sel(method_name="dense").values))


def _is_busy(data: xarray.Dataset) -> bool:
    return float(data["busy"]) > BUSY_FACTOR


def _dense_sentence(data: xarray.Dataset) -> str:
    dense = _median_dense(data)
    if not np.isfinite(dense):
        hint = "Press “Measure here”, or go back to the shipped times."
        return f"There are no times of this computer. {hint}"
    return f"Dense: {1e3 * dense:.3g} milliseconds."


def _warnings(data: xarray.Dataset) -> list[str]:
    """Return sentences about the spread of the times, if it was measured or is too large."""
    notes = []
    if (data["seconds"].values > HIGHEST * _median_dense(data)).any():
        notes.append(f"Triangles at the top: above {HIGHEST:g}.")
    if np.isfinite(data["range"].values).any():
        notes.append("Vertical lines: from the fastest to the slowest round.")
    if _is_busy(data):
        factor = f"{float(data['busy']):.1f}"
        notes.append(
            f"Do not trust these times: the dense time varies by a factor of {factor}, although it "
            "does not depend on the density. The computer was busy. Close other programs and press "
            "“Measure here”."
        )
    return notes


def _sentences(data: xarray.Dataset) -> list[str]:
    sentences: list[str] = []
    if not np.isfinite(_median_dense(data)) or _is_busy(data):
        return sentences  # What follows from wrong times is wrong.
    for method in ("bitmap", "cpo", "cps"):
        density = float(data["break_even"].sel(method_name=method))
        name = METHOD_LABELS[method].partition(" ")[0]
        if np.isnan(density):
            sentences.append(f"{name} is faster than dense at all of these.")
        elif density in (0.0, 1.0):
            often = "always" if density else "never"
            sentences.append(f"{name} is {often} faster than dense here.")
        else:
            dotted = " (dotted)" if method == "bitmap" else ""
            sentences.append(f"{name} is faster than dense below {density:.0%}{dotted}.")
    if 0.1 in data["density"].values:
        times = data["seconds"].sel(density=0.1)
        ratio = float(times.sel(method_name="dense") / times.sel(method_name="bitmap"))
        sentences.append(f"At 10% bitmap is {ratio:.1f} times as fast.")
    return sentences
