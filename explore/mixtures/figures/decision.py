"""The picture of one decision: which two components to merge, and the density after each choice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from explore.mixtures.figures.density import (
    DensityPanel,
    component_curves,
    cut_tails,
    format_value,
    grid_around,
    side_colour,
    side_text_colour,
)
from explore.mixtures.mixture import GaussianMixture
from explore.plotting.picture import Picture, Target
from explore.plotting.style import CELL_GREY, CURVE_GREY, EDGE_GREY, set_title

if TYPE_CHECKING:
    import pandas

CHOOSERS = ("your pair", "Runnalls", "angle")
LINE_STYLES = ("-", "--", (0, (1, 0.8)))
MARKER_SHAPES = ("o", "s", "^")
LINE_WIDTHS = (3.5, 2.2, 2.2)
MARKER_SHIFTS = (-0.27, 0.0, 0.27)
"""Of each chooser in the cell of a pair, so that those who agree are all seen."""

MEASURE_HEADINGS = {"angle": "angle", "ise": "ISE", "kl": "KL", "peaks": "peaks"}
MEASURE_UNITS = {"angle": "rad", "kl": "nat"}
COLUMNS = (0.785, 0.848, 0.91, 0.965)
LABEL_SIZE = (12, 14)
"""Width and height in pixels that the number of a component needs."""


def decision(
    original: GaussianMixture,
    present: GaussianMixture,
    pairs: Sequence[tuple[int, int] | None],
    mixtures: Sequence[GaussianMixture | None],
    errors: Sequence[Mapping[str, float] | None],
    errors_before: Mapping[str, float],
) -> xarray.Dataset:
    """Return the data of ``Decision``: a 1-D mixture, and up to three pairs to merge next.

    Args:
        original: the mixture before the reduction.
        present: the present mixture, n components.
        pairs: the indices (i, j), i < j, of each of ``CHOOSERS``; None where they are hidden.
        mixtures: the mixture after the merge of each pair.
        errors: ``angle``, ``ise``, ``kl`` and ``peaks`` of each of ``mixtures``.
        errors_before: the same of ``present``.
    """
    (x,), _, coords = grid_around(original)
    blank = np.full(len(x), np.nan)
    indices = np.array([pair or (-1, -1) for pair in pairs])
    curves = np.stack([blank if g is None else g.pdf(x) for g in mixtures])
    data: dict[str, Any] = {
        "pair": (("chooser", "end"), indices),
        "curve": (("chooser", "x"), curves),
    }
    for name in MEASURE_HEADINGS:
        data[name] = ("chooser", [np.nan if m is None else m[name] for m in errors])
        coords[f"{name}_before"] = ((), float(errors_before[name]))
    coords |= {
        "chooser": ("chooser", np.array(CHOOSERS, object)),
        "present": ("x", present.pdf(x)),
        "component": (("n", "x"), component_curves(x, present)),
        "mean": ("n", present.means[:, 0]),
    }
    return xarray.Dataset(data, coords)


class Decision(Picture):
    """A mixture, a cell for every pair, and the densities after up to three choices."""

    size = (9.6, 6.0)
    title = "Which two components are merged next"
    structural = tuple(f"{name}_before" for name in MEASURE_HEADINGS)

    def build(self, data: xarray.Dataset) -> None:
        """Draw the mixture above, the choices below it, and pairs and numbers to the right."""
        n = data.sizes["n"]
        self._build_mixture(data)
        below = self.figure.add_axes((0.065, 0.085, 0.555, 0.36))
        DensityPanel(below, data)
        below.set_ylim(0, 1.3 * data["original"].values.max())
        set_title(below, "after the merge").set(fontweight="bold")
        self.panel("after", below)
        self._after = []
        for k in range(data.sizes["chooser"]):
            style: dict[str, Any] = {"ls": LINE_STYLES[k], "lw": LINE_WIDTHS[k]}
            style["alpha"] = 1 if k else 0.5  # The wide line is under the others.
            self._after.append(self.moving(below.plot([], [], color=side_colour(k), **style)[0]))
        hint = below.text(0.5, 0.9, "", transform=below.transAxes, ha="center", fontsize=11)
        self._hint = self.furniture(self.moving(hint))
        self._build_pairs(n)
        self._build_numbers(data)

    def _build_mixture(self, data: xarray.Dataset) -> None:
        axes = self.figure.add_axes((0.065, 0.565, 0.555, 0.36))
        self.panel("mixture", axes)
        x, curves = data["grid_x"].values, data["component"].values
        DensityPanel(axes, data)
        axes.set(xlabel="")
        title = f"{len(curves)} components (lines), the original (grey area)"
        set_title(axes, title).set(fontweight="bold")
        lines = [np.column_stack([x, curve]) for curve in curves]
        axes.add_collection(LineCollection(lines, lw=1, color=CURVE_GREY))
        axes.plot(x, data["present"].values, color="black")
        self._number_components(axes, data["mean"].values, curves.max(1))
        highlight = LineCollection([], lw=2.5, color=side_colour(0))
        self._highlight = self.furniture(self.moving(axes.add_collection(highlight)))

    def _number_components(self, axes: Any, means: np.ndarray, tops: np.ndarray) -> None:
        """Write the number of each component above its peak, and above numbers that are there."""
        outline = [withStroke(linewidth=3, foreground="white")]
        style: dict[str, Any] = {"ha": "center", "fontweight": "bold", "fontsize": 10, "zorder": 6}
        pixels = axes.transData.transform(np.column_stack([means, tops]))
        raised = np.zeros(len(pixels))
        for k in np.argsort(pixels[:, 0]):
            others = [j for j in np.argsort(pixels[:, 0]) if pixels[j, 0] < pixels[k, 0]]
            for j in sorted(others, key=lambda j: pixels[j, 1] + raised[j]):
                near = np.abs(pixels[k] + (0, raised[k]) - pixels[j] - (0, raised[j])) < LABEL_SIZE
                if near.all():
                    raised[k] = pixels[j, 1] + raised[j] + LABEL_SIZE[1] - pixels[k, 1]
            offset = (0, 4 + raised[k] * 72 / self.figure.dpi)
            axes.annotate(
                f"{k + 1}", (means[k], tops[k]), offset, textcoords="offset points",
                path_effects=outline, **style,
            )  # fmt: skip

    def _build_pairs(self, n: int) -> None:
        axes = self._cells = self.figure.add_axes((0.69, 0.565, 0.29, 0.36))
        self.panel("pairs", axes)
        axes.set_xlim(0.5, n - 0.48)  # a little more, for the last edges
        axes.set_ylim(n + 0.52, 1.5)
        axes.set_xticks(range(1, n))
        axes.set_yticks(range(2, n + 1))
        axes.tick_params(length=0)
        for edge in ("left", "bottom"):
            axes.spines[edge].set_visible(False)
        for i, j in _pairs(n):
            axes.add_patch(Rectangle((i - 0.5, j - 0.5), 1, 1, fc=CELL_GREY, ec=EDGE_GREY))
        self.furniture(axes.set_title("click a pair", loc="right"))
        cell = Rectangle((0, 0), 1, 1, fc=side_colour(0), alpha=0.2)
        self._cell = self.furniture(self.moving(axes.add_patch(cell)))
        self._marks = []
        for k, shape in enumerate(MARKER_SHAPES):
            mark = axes.plot([], [], shape, ms=9 - (n > 7), color=side_colour(k), ls="")[0]
            self._marks.append(self.moving(mark))

    def _build_numbers(self, data: xarray.Dataset) -> None:
        columns = dict(zip(MEASURE_HEADINGS, COLUMNS, strict=True))
        style: dict[str, Any] = {"ha": "center", "fontsize": 9}
        self.figure.text(0.668, 0.375, "before", fontsize=9)
        for name, x in columns.items():
            head = f"{MEASURE_HEADINGS[name]}\n{MEASURE_UNITS.get(name, '')}"
            self.figure.text(x, 0.455, head, **{**style, "va": "top"})
            self.figure.text(x, 0.375, _short_value(name, float(data[f"{name}_before"])), **style)
        self._numbers: list[dict[str, Any]] = []
        for k, chooser in enumerate(data["chooser"].values):
            y, colour = 0.31 - 0.065 * k, side_colour(k)
            line = Line2D([0.632, 0.66], [y + 0.011] * 2, color=colour, ls=LINE_STYLES[k], lw=2.2)
            self.figure.add_artist(line)
            marker = Line2D([0.646], [y + 0.011], color=colour, marker=MARKER_SHAPES[k], ms=7)
            self.figure.add_artist(marker)
            words: dict[str, Any] = {"color": side_text_colour(k), "fontweight": "bold"}
            self.figure.text(0.668, y, str(chooser), fontsize=9, **words)
            self._numbers.append(
                {
                    name: self.moving(
                        self.figure.text(x, y, "", color=side_text_colour(k), **style)
                    )
                    for name, x in columns.items()
                }
            )

    def show(self, data: xarray.Dataset) -> None:
        """Show the selected pair and the density after each choice."""
        x, pairs, curves = (data[name].values for name in ("grid_x", "pair", "component"))
        self._highlight.set_segments([cut_tails(x, curves[k]) for k in pairs[0] if k >= 0])
        for k, line in enumerate(self._after):
            line.set_data(x, data["curve"].values[k])
            i, j = pairs[k]
            place = ([i + 1 + MARKER_SHIFTS[k]], [j + 1]) if i >= 0 else ([], [])
            self._marks[k].set_data(place)
            for name, text in self._numbers[k].items():
                value = float(data[name].values[k])
                text.set_text(_short_value(name, value) if np.isfinite(value) else "")
        i, j = pairs[0]
        self._cell.set_xy((i + 0.5, j + 0.5) if i >= 0 else (-9, -9))
        hidden = "Look at the curve, then choose two numbers."
        self._hint.set_text(_agreement(pairs) if i >= 0 else hidden)

    def describe(self, data: xarray.Dataset) -> str:
        """Return each choice and its errors in words."""
        n = data.sizes["n"]
        choices = list(_choices(data))
        if not choices:
            before = format_value(float(data["angle_before"]))
            return (
                f"A mixture of {n} components, at angle {before} from its original. "
                "No pair is chosen yet."
            )
        parts = [
            f"{chooser}: {pair}, angle {format_value(values['angle'])}, "
            f"KL {format_value(values['kl'])}, {values['peaks']:.0f} peaks"
            for chooser, pair, values in choices
        ]
        agreement = f" {_agreement(data['pair'].values)}".rstrip()
        return f"Of {n} components two are merged. " + "; ".join(parts) + "." + agreement

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        """Return each choice and its errors."""
        import pandas

        units = {name: f", {unit}" for name, unit in MEASURE_UNITS.items()}
        rows = [
            {
                "choice": chooser,
                "pair": pair,
                **{
                    f"{MEASURE_HEADINGS[name]}{units.get(name, '')}": v
                    for name, v in values.items()
                },
            }
            for chooser, pair, values in _choices(data)
        ]
        return pandas.DataFrame(rows)

    def targets(self, data: xarray.Dataset) -> list[Target]:
        """Return one target for each pair: its cell."""
        return [
            Target(
                *self.box(self._cells, i - 0.5, j - 0.5, i + 0.5, j + 0.5),
                f"merge {i} and {j}",
                {"pair": f"{i} and {j}"},
            )
            for i, j in _pairs(data.sizes["n"])
        ]


def _pairs(n: int) -> list[tuple[int, int]]:
    return [(i, j) for i in range(1, n) for j in range(i + 1, n + 1)]


def _choices(data: xarray.Dataset) -> Iterator[tuple[str, str, dict[str, float]]]:
    """Yield chooser, pair and errors of each choice that is not hidden."""
    for k, (i, j) in enumerate(data["pair"].values):
        if i >= 0:
            errors = {name: float(data[name].values[k]) for name in MEASURE_HEADINGS}
            yield str(data.chooser.values[k]), f"{i + 1} and {j + 1}", errors


def _agreement(pairs: np.ndarray) -> str:
    """Return a sentence about who chose the reader's pair; empty if nobody did."""
    names = ("Runnalls did", "the angle did")
    agreeing = [
        name for name, pair in zip(names, pairs[1:], strict=False) if (pair == pairs[0]).all()
    ]
    if len(agreeing) == 2:
        return "You chose as both methods did."
    return f"You chose as {agreeing[0]}." if agreeing else ""


def _short_value(name: str, value: float) -> str:
    """Format a value in as few characters as the column allows."""
    if name == "peaks":
        return f"{value:.0f}"
    if value >= 10:
        return f"{value:.3g}"
    return f"{value:.3f}" if value >= 0.1 else f"{value:.4f}" if value >= 1e-3 else f"{value:.0e}"
