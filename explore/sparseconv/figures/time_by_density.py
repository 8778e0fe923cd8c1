"""The picture of time over density: from which density on a convolution that skips zeros is faster than a dense one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray

from explore.errors import InvalidInput
from explore.plotting.picture import Picture
from explore.plotting.style import LIGHT_GRID_GREY, PALETTE, set_title
from explore.sparseconv.figures.density import LOOKS

if TYPE_CHECKING:
    import pandas

DENSE_LAYOUTS = ("torch", "torch, channels last")
FORMS: dict[str, dict[str, Any]] = {
    "dense": {"color": PALETTE["black"], "marker": "", "ls": (0, (5, 2))},
    "bitmap": {"color": PALETTE["blue"], "marker": "o"},
    "cpo": LOOKS["cpo"],
    "cps": LOOKS["cps"],
    "im2col": {"color": PALETTE["grey"], "marker": "x"},
}
"""What is drawn, and how."""
LABELS = {
    "dense": "PyTorch, dense (better layout)",
    "bitmap": "bitmap (ours)",
    "cpo": "CPO",
    "cps": "CPS",
    "im2col": "im2col",
}


def time_by_density(
    rows: Iterable[Mapping[str, Any]], about: Mapping[str, Any], layer: str = ""
) -> xarray.Dataset:
    """What ``Times`` shows: one layer of what ``explore bench sparseconv --json`` measured.

    Args:
        rows: of the benchmark.
        about: where they were measured: ``machine``, ``threads``.
        layer: by its name in the benchmark; the first if empty.

    Raises:
        InvalidInput: no rows, or no such layer.
    """
    found = list(rows)
    names = list(dict.fromkeys(str(row["layer"]) for row in found))
    layer = layer or (names[0] if names else "")
    if layer not in names:
        raise InvalidInput(
            f"no times of layer {layer!r}; there are those of {', '.join(names) or 'none'}"
        )
    mine = sorted(
        (row for row in found if row["layer"] == layer), key=lambda row: float(row["density"])
    )
    densities = np.array([float(row["density"]) for row in mine])
    seconds = {"dense": [min(row["seconds"][name] for name in DENSE_LAYOUTS) for row in mine]}
    seconds |= {
        form: [row["seconds"].get(form, np.nan) for row in mine]
        for form in FORMS
        if form != "dense"
    }
    data = {
        "seconds": (("form", "density"), np.array([seconds[form] for form in FORMS])),
        "even": (
            "form",
            np.array([break_even(densities, seconds[form], seconds["dense"]) for form in FORMS]),
        ),
    }
    known = {"form": ("form", np.array(list(FORMS), object)), "density": ("density", densities)}
    where = f"{about['machine']}, {about['threads']} threads"
    return xarray.Dataset(data, known, attrs={"layer": layer, "where": where})


def break_even(densities: np.ndarray, sparse: Any, dense: Any) -> float:
    """The density below which a form is faster than the dense one at all densities measured, between two of them on a straight
    line; 0 if it never is, 1 if it always is.

    Example:
        >>> break_even(np.array([0.1, 0.3, 0.5]), [1.0, 2.0, 4.0], [3.0, 3.0, 3.0])
        0.4
    """
    apart = np.asarray(sparse, float) - np.asarray(dense, float)
    slower = np.flatnonzero(~(apart < 0))
    if not len(slower):
        return 1.0 if densities[-1] == 1 else float("nan")  # not seen: it may go on
    if slower[0] == 0:
        return 0.0
    k = slower[0]
    low, high = densities[k - 1], densities[k]
    share = -apart[k - 1] / (apart[k] - apart[k - 1])
    return round(float(low + share * (high - low)), 6)


class TimeByDensity(Picture):
    """Milliseconds of each form over density, with the densities at which they meet the dense one."""

    size = (9.6, 4.6)
    title = "Time over density"

    def build(self, data: xarray.Dataset) -> None:
        """One chart, and words beside it."""
        self._head = self.moving(
            self.figure.text(0.02, 0.955, "", fontsize=12, fontweight="bold", va="center")
        )
        axes = self.figure.add_axes((0.07, 0.125, 0.57, 0.74))
        axes.set(
            xlim=(0, 1.02),
            ylim=(0, 4),
            xlabel="density: share of the map that is not zero",
            ylabel="time, dense = 1",
        )
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.grid(color=LIGHT_GRID_GREY, lw=0.6)
        set_title(axes, "time of one convolution, packing of the map included; lower is faster")
        self._lines = {
            f: self.moving(axes.plot([], [], ms=5, lw=1.4, label=LABELS[f], **look)[0])
            for f, look in FORMS.items()
        }
        self._even = self.moving(axes.axvline(0, color=PALETTE["blue"], lw=1, ls=":"))
        self.figure.legend(
            *axes.get_legend_handles_labels(), loc="upper left", bbox_to_anchor=(0.655, 0.9)
        )
        self._words = self.moving(
            self.figure.text(0.665, 0.55, "", fontsize=9, va="top", linespacing=2)
        )

    def show(self, data: xarray.Dataset) -> None:
        """Another layer, or other times of it."""
        whole = float(np.median(data["seconds"].sel(form="dense").values))
        for form, line in self._lines.items():
            line.set_data(data["density"].values, data["seconds"].sel(form=form).values / whole)
        even = float(data["even"].sel(form="bitmap"))
        self._even.set_xdata([even if 0 < even < 1 else -1] * 2)
        self._head.set_text(f"{data.attrs['layer']}: measured on {data.attrs['where']}")
        self._words.set_text(
            "\n".join([f"Dense: {1e3 * whole:.3g} milliseconds.", *_sentences(data)])
        )

    def describe(self, data: xarray.Dataset) -> str:
        """Where the forms meet the dense convolution."""
        return f"{data.attrs['layer']}, measured on {data.attrs['where']}. {' '.join(_sentences(data))}"

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        """Milliseconds at each density."""
        import pandas

        columns = {
            LABELS[str(form)]: 1e3 * data["seconds"].sel(form=form).values
            for form in data["form"].values
        }
        return pandas.DataFrame(
            {"density": data["density"].values, **{f"{name}, ms": v for name, v in columns.items()}}
        )


def _sentences(data: xarray.Dataset) -> list[str]:
    found = []
    for form in ("bitmap", "cpo", "cps"):
        even, name = float(data["even"].sel(form=form)), LABELS[form].partition(" ")[0]
        if np.isnan(even):
            found.append(f"{name} is faster than dense at all of these.")
        elif even in (0.0, 1.0):
            found.append(f"{name} is {'always' if even else 'never'} faster than dense here.")
        else:
            found.append(f"{name} is faster than dense below {even:.0%}.")
    seconds = data["seconds"]
    if 0.1 in data["density"].values:
        ratio = float(
            seconds.sel(form="dense", density=0.1) / seconds.sel(form="bitmap", density=0.1)
        )
        found.append(f"At 10 % bitmap is {ratio:.1f} times as fast.")
    return found
