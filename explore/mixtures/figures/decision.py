"""The picture of one decision: which two components to merge, and what curve each choice leaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from explore.mixtures.figures.density import (
    box_of,
    colour,
    component_curves,
    density_on,
    draw_original,
    grid_of,
    number,
    without_tails,
)
from explore.mixtures.mixture import GaussianMixture
from explore.plotting.picture import Picture, Target
from explore.plotting.style import CELL_GREY, CURVE_GREY, EDGE_GREY, set_title

if TYPE_CHECKING:
    import pandas

CHOOSERS = ("your pair", "Runnalls", "angle")
STYLES = ("-", "--", (0, (1, 0.8)))
MARKS = ("o", "s", "^")


def decision(
    original: GaussianMixture,
    now: GaussianMixture,
    pairs: Sequence[tuple[int, int] | None],
    after: Sequence[GaussianMixture | None],
    measured: Sequence[Mapping[str, float] | None],
    before: Mapping[str, float],
) -> xarray.Dataset:
    """What ``Decision`` shows: a 1-D mixture as it stands, and up to three pairs that might be merged next.

    Args:
        original: what the mixture was at first.
        now: as it stands, n components.
        pairs: of each of ``CHOOSERS``, indices (i, j) with i < j; None where it is not shown yet.
        after: the mixture that each leaves.
        measured: ``angle``, ``ise``, ``kl`` and ``peaks`` of each.
        before: the same of ``now``.
    """
    (x,) = grid_of(box_of(original))
    blank = np.full(len(x), np.nan)
    data: dict[str, Any] = {
        "pair": (
            ("chooser", "end"),
            np.array([(-1, -1) if pair is None else pair for pair in pairs]),
        ),
        "curve": (("chooser", "x"), np.stack([blank if g is None else g.pdf(x) for g in after])),
    }
    for name in ("angle", "ise", "kl", "peaks"):
        data[name] = ("chooser", [np.nan if m is None else m[name] for m in measured])
    known = {
        "chooser": ("chooser", np.array(CHOOSERS, object)),
        "grid_x": ("x", x),
        "original": ("x", density_on((x,), original)),
        "present": ("x", now.pdf(x)),
        "component": (("n", "x"), component_curves(x, now)),
        "place": ("n", now.means[:, 0]),
        **{
            f"{name}_before": ("one", [float(before[name])])
            for name in ("angle", "ise", "kl", "peaks")
        },
    }
    return xarray.Dataset(data, known)


class Decision(Picture):
    """A mixture with numbered components, a field for every pair, and the curves that up to three choices leave."""

    size = (9.6, 6.0)
    title = "Which two components are merged next"

    def build(self, data: xarray.Dataset) -> None:
        """The mixture above, the choices below, pairs to the right, numbers under them."""
        x, n = data["grid_x"].values, data.sizes["n"]
        top = self.figure.add_axes((0.065, 0.565, 0.555, 0.36))
        draw_original(top, (x,), data["original"].values)
        top.set(xlabel="")
        set_title(top, f"now: {n} components (black), the original (grey)").set(fontweight="bold")
        curves, heights = data["component"].values, data["original"].values.max()
        top.add_collection(
            LineCollection(
                [np.column_stack([x, curve]) for curve in curves], lw=1, color=CURVE_GREY
            )
        )
        top.plot(x, data["present"].values, color="black")
        for k, place in enumerate(data["place"].values):
            peak = curves[k].max()
            top.annotate(
                f"{k + 1}",
                (place, peak),
                (0, 4),
                textcoords="offset points",
                ha="center",
                fontweight="bold",
                fontsize=10,
            )
        self._chosen = self.moving(top.add_collection(LineCollection([], lw=2.5, color=colour(0))))
        below = self.figure.add_axes((0.065, 0.085, 0.555, 0.36))
        draw_original(below, (x,), data["original"].values)
        below.set_ylim(0, 1.3 * heights)
        set_title(below, "after the merge").set(fontweight="bold")
        self._after = [
            self.moving(below.plot([], [], ls=STYLES[k], color=colour(k), lw=2.2)[0])
            for k in range(data.sizes["chooser"])
        ]
        self._hint = self.moving(
            below.text(0.5, 0.9, "", transform=below.transAxes, ha="center", fontsize=11)
        )
        self._build_pairs(n)
        self._build_numbers(data)

    def _build_pairs(self, n: int) -> None:
        axes = self._cells = self.figure.add_axes((0.69, 0.565, 0.29, 0.36))
        axes.set_xlim(0.5, n - 0.5)
        axes.set_ylim(n + 0.5, 1.5)
        axes.set_xticks(range(1, n))
        axes.set_yticks(range(2, n + 1))
        axes.tick_params(length=0)
        for side in ("left", "bottom"):
            axes.spines[side].set_visible(False)
        for i in range(1, n):
            for j in range(i + 1, n + 1):
                axes.add_patch(Rectangle((i - 0.5, j - 0.5), 1, 1, fc=CELL_GREY, ec=EDGE_GREY))
        axes.set_title("click a pair", loc="right")
        self._mark = self.moving(axes.add_patch(Rectangle((0, 0), 1, 1, fc=colour(0), alpha=0.35)))
        self._marks = [
            self.moving(
                axes.plot(
                    [],
                    [],
                    MARKS[k],
                    ms=13 - 3 * k,
                    mfc="none" if k else colour(0),
                    mec=colour(k),
                    mew=2,
                )[0]
            )
            for k in range(len(CHOOSERS))
        ]

    def _build_numbers(self, data: xarray.Dataset) -> None:
        columns = {"angle": 0.79, "ise": 0.85, "kl": 0.91, "peaks": 0.965}
        heads = {"angle": "angle", "ise": "ISE", "kl": "KL", "peaks": "peaks"}
        for name, at in columns.items():
            self.figure.text(at, 0.43, heads[name], ha="center", fontsize=9)
        self.figure.text(0.668, 0.375, "before", fontsize=9)
        self._numbers: list[dict[str, Any]] = []
        for name, at in columns.items():
            self.figure.text(
                at,
                0.375,
                short(name, float(data[f"{name}_before"].values[0])),
                ha="center",
                fontsize=9,
            )
        for k, chooser in enumerate(data["chooser"].values):
            y = 0.31 - 0.065 * k
            self.figure.add_artist(
                Line2D([0.632, 0.66], [y + 0.011] * 2, color=colour(k), ls=STYLES[k], lw=2.2)
            )
            self.figure.text(0.668, y, str(chooser), color=colour(k), fontsize=9, fontweight="bold")
            look: dict[str, Any] = {"ha": "center", "fontsize": 9, "color": colour(k)}
            self._numbers.append(
                {
                    name: self.moving(self.figure.text(at, y, "", **look))
                    for name, at in columns.items()
                }
            )

    def show(self, data: xarray.Dataset) -> None:
        """The chosen pair, and what each choice leaves."""
        x, pairs = data["grid_x"].values, data["pair"].values
        curves = data["component"].values
        self._chosen.set_segments([without_tails(x, curves[k]) for k in pairs[0] if k >= 0])
        for k, line in enumerate(self._after):
            line.set_data(x, data["curve"].values[k])
            i, j = pairs[k]
            self._marks[k].set_data(([i + 1], [j + 1]) if i >= 0 else ([], []))
            for name, text in self._numbers[k].items():
                value = float(data[name].values[k])
                text.set_text(short(name, value) if np.isfinite(value) else "")
        i, j = pairs[0]
        self._mark.set_xy((i + 0.5, j + 0.5) if i >= 0 else (-9, -9))
        self._hint.set_text("" if i >= 0 else "Look at the curve, then choose two numbers.")

    def describe(self, data: xarray.Dataset) -> str:
        """What was chosen by whom, and what it costs."""
        n = data.sizes["n"]
        if int(data["pair"].values[0][0]) < 0:
            before = float(data["angle_before"].values[0])
            return f"A mixture of {n} components, at angle {number(before)} from its original. No pair is chosen yet."
        parts = [
            f"{data.chooser.values[k]}: {i + 1} and {j + 1}, angle {number(float(data['angle'].values[k]))}, "
            f"KL {number(float(data['kl'].values[k]))}, {float(data['peaks'].values[k]):.0f} peaks"
            for k, (i, j) in enumerate(data["pair"].values)
            if i >= 0
        ]
        return f"Of {n} components two are merged. " + "; ".join(parts) + "."

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        """Who merges which, and every number."""
        import pandas

        rows = [
            {
                "choice": str(data.chooser.values[k]),
                "pair": f"{i + 1} and {j + 1}",
                **{name: float(data[name].values[k]) for name in ("angle", "ise", "kl", "peaks")},
            }
            for k, (i, j) in enumerate(data["pair"].values)
            if i >= 0
        ]
        return pandas.DataFrame(rows)

    def targets(self, data: xarray.Dataset) -> list[Target]:
        """Each field chooses its pair."""
        n = data.sizes["n"]
        return [
            Target(
                *self.box(self._cells, i - 0.5, j - 0.5, i + 0.5, j + 0.5),
                f"merge {i} and {j}",
                {"pair": f"{i} and {j}"},
            )
            for i in range(1, n)
            for j in range(i + 1, n + 1)
        ]


def short(name: str, value: float) -> str:
    """A value in as few signs as the column allows."""
    return (
        f"{value:.0f}" if name == "peaks" else f"{value:.3g}" if value >= 1e-4 else f"{value:.0e}"
    )
