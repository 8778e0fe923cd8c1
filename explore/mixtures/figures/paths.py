"""The picture of reductions: up to three paths from one mixture, step by step."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray
from matplotlib.collections import LineCollection
from matplotlib.ticker import LogLocator, MaxNLocator

from explore.mixtures.config import PHASES
from explore.mixtures.figures.density import (
    DensityPanel,
    count_of,
    format_value,
    mixture_in,
    side_colour,
    side_style,
    side_text_colour,
    without_rounding,
)
from explore.mixtures.figures.path_data import MEASURE_LABELS, MERGING
from explore.plotting.picture import Picture, Target
from explore.plotting.style import CURVE_GREY, FRAME_GREY, GRID_GREY, LABEL_GREY, set_title

if TYPE_CHECKING:
    import pandas

KEPT_BY_MERGES = ": every merge keeps\nthe covariance of the whole"

MIN_MEASURE = 1e-7
"""Angles below this are rounding; on a logarithmic axis, smaller values are not drawn."""

AXIS_LABELS = {"digits": ("first principal component", "second principal component")}
"""What the axes of example mixtures are; others have x₁ and x₂."""


class Paths(Picture):
    """Up to three reductions of one mixture: densities, numbers, and a measure along the path."""

    size = (9.6, 6.0)
    title = "A Gaussian mixture, merged step by step"
    structural = ("measure",)

    def build(self, data: xarray.Dataset) -> None:
        """Draw a panel for each side, the path below them, and the numbers to its right."""
        sides = data.sizes["side"]
        self._panels: list[DensityPanel] = []
        self._lines: list[dict[str, Any]] = []
        self._titles: list[Any] = []
        width = 0.93 / sides
        for side in range(sides):
            axes = self.figure.add_axes((0.065 + side * width, 0.5, width - 0.055, 0.395))
            self.panel(f"density-{side + 1}" if sides > 1 else "density", axes)
            panel = DensityPanel(axes, data)
            if side:
                axes.set_ylabel("")
            if not panel.is_1d:
                projected = data.attrs["dimension"] > 2
                x, y = AXIS_LABELS.get(data.attrs["data"], ("x₁", "x₂"))
                x, y = ("widest direction", "second widest direction") if projected else (x, y)
                axes.set_xlabel(x)
                axes.set_ylabel("" if side else y, labelpad=2)
            colour = side_colour(side)
            name = axes.text(
                0, 1.105, str(data.side.values[side]), transform=axes.transAxes, va="bottom"
            )
            name.set(fontweight="bold", color=side_text_colour(side))
            styles: dict[str, dict[str, Any]] = {
                "components": {"lw": 0.8, "color": colour, "alpha": 0.65},
                "density": {"lw": 2, "color": colour},
                "merged": {"lw": 2, "color": "black", "ls": (0, (2, 1.2))},
            }
            self._panels.append(panel)
            self._lines.append(
                {
                    name: self.moving(axes.add_collection(LineCollection([], **style)))
                    for name, style in styles.items()
                }
            )
            self._titles.append(self.moving(set_title(axes, "")))
        self._build_path(data)
        self._build_numbers(data)

    def _build_path(self, data: xarray.Dataset) -> None:
        measure = data.attrs["measure"]
        axes = self._path = self.figure.add_axes((0.085, 0.09, 0.45, 0.27))
        self.panel("path", axes)
        axes.set(xlabel="components left", title=f"{MEASURE_LABELS[measure]}, along the path")
        values, counts = data["path_measure"].values, data["path_components"].values
        largest, smallest = np.nanmax(counts), np.nanmin(counts)
        margin = 0.03 * (largest - smallest) + 0.3
        axes.set_xlim(largest + margin, smallest - min(margin, 0.9))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=10))
        axes.grid(color=GRID_GREY, lw=0.6)
        if measure == "peaks":
            axes.set_ylim(0, np.nanmax(values) + 1)
            axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
            visible = np.isfinite(values)
        else:
            visible = values > MIN_MEASURE
            positive = values[visible & np.isfinite(values)]
            if not len(positive):
                text = "0 throughout" + KEPT_BY_MERGES * (measure == "covariance_error")
                place: dict[str, Any] = {"transform": axes.transAxes, "ha": "center"}
                axes.text(0.5, 0.5, text, va="center", color=LABEL_GREY, **place)
                axes.tick_params(axis="y", which="both", left=False, labelleft=False)
            low, high = (positive.min(), positive.max()) if len(positive) else (0.1, 1.0)
            axes.set_yscale("log")
            axes.set_ylim(low / 1.5, high * 1.5)
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5) if high / low < 300 else ()))
            axes.yaxis.set_minor_formatter("{x:g}")
        merging = data["path_phase"].values <= MERGING
        refining = np.isfinite(counts) & ~merging
        self._points = []
        for side in range(data.sizes["side"]):
            style = side_style(side)
            rows = merging[side] & visible[side]
            name = str(data.side.values[side]) if visible.any() else None
            axes.plot(counts[side][rows], values[side][rows], label=name, ms=3.5, **style)
            rows = refining[side]
            style |= {"ls": "", "ms": 7, "mfc": "white"}
            label = f"{name}: after the merges" if name and rows.any() else None
            axes.plot(counts[side][rows], values[side][rows], label=label, **style)
        if visible.any():
            axes.legend(loc="best")
        for side in range(data.sizes["side"]):
            colour = side_colour(side)
            ring: dict[str, Any] = {"ms": 12, "mfc": "none", "mew": 2, "clip_on": False}
            point = axes.plot([], [], "o", mec=colour, **ring)[0]
            self._points.append(self.moving(point))

    def _build_numbers(self, data: xarray.Dataset) -> None:
        sides = data.sizes["side"]
        headings = {"components": "components left", **MEASURE_LABELS}
        heights = {name: 0.33 - row * 0.045 for row, name in enumerate(headings)}
        for name, heading in headings.items():
            self.figure.text(0.575, heights[name], heading, va="center")
        self._numbers: list[dict[str, Any]] = []
        for side in range(sides):
            x = 0.75 + side * (0.13 if sides < 3 else 0.085)
            style: dict[str, Any] = {"color": side_text_colour(side), "fontsize": 9}
            head = textwrap.fill(str(data.side.values[side]), 16 if sides < 3 else 10)
            self.figure.text(x, 0.358, head, fontweight="bold", va="bottom", **style)
            style["va"] = "center"
            self._numbers.append(
                {
                    name: self.moving(self.figure.text(x, y, "", **style))
                    for name, y in heights.items()
                }
            )
        text = f"the original: {data.attrs['start']} components, {data.attrs['peaks']} peaks"
        text += "; ±: standard error" if data.attrs["has_error"] and sides < 3 else ""
        y = 0.33 - len(headings) * 0.045
        self.figure.text(0.575, y, text, va="center", color=CURVE_GREY)
        self._note = self.moving(self.figure.text(0.575, 0.018, "", va="center", color=FRAME_GREY))

    def show(self, data: xarray.Dataset) -> None:
        """Show the present step of every side."""
        self._note.set_text(data.attrs["note"])
        for side, (panel, artists) in enumerate(zip(self._panels, self._lines, strict=True)):
            count, merged = (int(data[n].values[side]) for n in ("components", "merged_component"))
            lines = panel.component_lines(mixture_in(data, side))
            artists["components"].set_segments(lines)
            artists["density"].set_segments(panel.density_lines(data["density"].values[side]))
            artists["merged"].set_segments([lines[merged]] if merged >= 0 else [])
            phase = int(data["phase"].values[side])
            suffix = f", after {PHASES[phase]}" if phase > MERGING else ""
            self._titles[side].set_text(f"{count_of(count, 'component')}{suffix}")
            frame = np.flatnonzero(
                data["path_step"].values[side] == data["present_step"].values[side]
            )
            self._points[side].set_data(
                data["path_components"].values[side][frame],
                data["path_measure"].values[side][frame],
            )
            self._show_numbers(data, side, count)

    def _show_numbers(self, data: xarray.Dataset, side: int, count: int) -> None:
        numbers = self._numbers[side]
        numbers["components"].set_text(f"{count}")
        for name in MEASURE_LABELS:
            value = float(data[name].values[side])
            is_whole = name == "peaks" or (name == "angle" and value < MIN_MEASURE)
            numbers[name].set_text(f"{value:.0f}" if is_whole else format_value(value))
        error = float(data["kl_error"].values[side])
        if len(self._numbers) < 3 and error > 1e-9:
            numbers["kl"].set_text(f"{numbers['kl'].get_text()} ± {error:.1g}")

    def describe(self, data: xarray.Dataset) -> str:
        """Return components and measures of each side in words."""
        parts = []
        for side in range(data.sizes["side"]):
            angle, kl, peaks = (
                without_rounding(name, float(data[name].values[side]))
                for name in ("angle", "kl", "peaks")
            )
            parts.append(
                f"{data.side.values[side]}, "
                f"{count_of(int(data['components'].values[side]), 'component')}: "
                f"angle {format_value(angle)}, KL {format_value(kl)}, "
                f"{peaks:.0f} of {count_of(data.attrs['peaks'], 'peak')}"
            )
        note = f" {data.attrs['note']}" if data.attrs["note"] else ""
        return (
            f"Mixture {data.attrs['data']} of {data.attrs['start']} components, "
            f"step {int(data['present_step'].values.max())}.{note} {'. '.join(parts)}."
        )

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        """Return the path of the selected measure."""
        import pandas

        rows = []
        measure = MEASURE_LABELS[data.attrs["measure"]]
        for side, name in enumerate(data.side.values):
            columns = (
                data[f"path_{column}"].values[side] for column in ("step", "components", "measure")
            )
            for step, count, value in zip(*columns, strict=True):
                if np.isfinite(step):
                    row: dict[str, Any] = {
                        "method": str(name),
                        "step": int(step),
                        "components left": int(count),
                    }
                    value = without_rounding(data.attrs["measure"], float(value))
                    rows.append(row | {measure: value})
        return pandas.DataFrame(rows)

    def targets(self, data: xarray.Dataset) -> list[Target]:
        """Return one target for each step of the longest path."""
        longest = int(np.isfinite(data["path_step"].values).sum(1).argmax())
        counts, phases = (data[f"path_{name}"].values[longest] for name in ("components", "phase"))
        counts = counts[np.isfinite(counts) & (phases <= MERGING)]
        margin = 0.5 * float(np.abs(np.diff(counts)).min()) if len(counts) > 1 else 0.5
        low, high = self._path.get_ylim()
        return [
            Target(
                *self.box(self._path, count + margin, low, count - margin, high),
                f"{count_of(int(count), 'component')} left",
                {"components": int(count)},
            )
            for count in counts
        ]
