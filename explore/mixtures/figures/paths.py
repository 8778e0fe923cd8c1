"""The picture of reductions: up to three paths from one mixture, step by step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray
from matplotlib.collections import LineCollection
from matplotlib.ticker import LogLocator, MaxNLocator

from explore.core.recording import frame_index
from explore.errors import InvalidInput, UnknownName
from explore.mixtures.config import PHASES
from explore.mixtures.figures.density import (
    DensityPanel,
    density_on,
    format_value,
    grid_around,
    mixture_in,
    principal_view,
    project,
    side_colour,
    side_style,
)
from explore.mixtures.figures.recordings import (
    check_same_original,
    method_label,
    mixture_of,
    original_of,
)
from explore.mixtures.recordings import REDUCTION
from explore.plotting.picture import Picture, Target
from explore.plotting.selection import selects
from explore.plotting.style import CURVE_GREY, GRID_GREY, set_title

if TYPE_CHECKING:
    import pandas

MIN_MEASURE = 1e-7
"""Angles below this are rounding; on a logarithmic axis, smaller values are not drawn."""

MEASURE_LABELS = {
    "angle": "angle, rad",
    "ise": "ISE",
    "kl": "KL divergence, nat",
    "covariance_error": "change of covariance",
    "peaks": "peaks",
}
"""The measures that are printed for each side and can be drawn along the path."""

MERGING = PHASES.index("merging")


@selects(REDUCTION)
def reduction(
    recordings: Sequence[xarray.Dataset],
    step: int | None = None,
    measure: str = "angle",
) -> xarray.Dataset:
    """Return the data of ``Paths``: up to three recorded reductions of one mixture at a step.

    Args:
        recordings: of runs that began with the same mixture.
        step: number of steps; by default all of the longest run. A shorter run stays at its end.
        measure: drawn along the path: "angle", "ise", "kl", "covariance_error" or "peaks".

    Raises:
        InvalidInput: recordings of other runs, or of different mixtures.
        UnknownName: another measure.
    """
    if len(recordings) > 3:
        raise InvalidInput(f"give up to three recordings, got {len(recordings)}")
    if measure not in MEASURE_LABELS:
        raise UnknownName("measure", measure, MEASURE_LABELS)
    check_same_original(list(recordings))
    longest = max((r.step.values for r in recordings), key=len)
    step = int(longest[-1]) if step is None else int(step)
    frames = [r.isel(step=frame_index(r, step)) for r in recordings]
    original = original_of(recordings[0])
    view = principal_view(original)
    mixtures = [project(mixture_of(frame), view) for frame in frames]
    grid, dims, coords = grid_around(project(original, view))

    def at_step(name: str, kind: type) -> tuple[str, list[Any]]:
        return "side", [kind(frame[name]) for frame in frames]

    def along_path(name: str) -> tuple[tuple[str, str], np.ndarray]:
        return ("side", "frame"), _pad([r[name].values for r in recordings], len(longest))

    def parameters(name: str) -> tuple[tuple[str, ...], np.ndarray]:
        arrays = _pad([getattr(mixture, name) for mixture in mixtures], len(original))
        return ("side", "component", "axis", "axis_")[: arrays.ndim], arrays

    densities = np.stack([density_on(grid, mixture) for mixture in mixtures])
    data: dict[str, Any] = {
        "density": (("side", *dims), densities),
        "weight": parameters("weights"),
        "mean": parameters("means"),
        "covariance": parameters("covariances"),
        "merged_component": ("side", [_merged_component(frame) for frame in frames]),
        "present_step": at_step("step", int),
        "phase": at_step("phase", int),
        "components": at_step("components", int),
        "kl_error": at_step("kl_error", float),
        "path_components": along_path("components"),
        "path_phase": along_path("phase"),
        "path_step": along_path("step"),
        "path_measure": along_path(measure),
        **{name: at_step(name, float) for name in MEASURE_LABELS},
    }
    coords["side"] = "side", np.array([method_label(r) for r in recordings], object)
    attrs = {
        "data": str(recordings[0].attrs["config"]["data"]["name"]),
        "measure": measure,
        "start": len(original),
        "dimension": original.dimension,
        "peaks": int(recordings[0]["peaks"].values[0]),
    }
    return xarray.Dataset(data, coords, attrs=attrs)


def _pad(arrays: Iterable[np.ndarray], length: int) -> np.ndarray:
    """Stack arrays ``[k, ...]`` of different k as ``[n, length, ...]``, with NaN at the ends."""
    padded = []
    for array in arrays:
        missing = np.full((length - len(array), *array.shape[1:]), np.nan)
        padded.append(np.concatenate([np.asarray(array, float), missing]))
    return np.stack(padded)


def _merged_component(frame: xarray.Dataset) -> int:
    """Return the index of the component that the last merge made; -1 if there is none."""
    i, j = frame["merged"].values
    return int(frame["alive"].values[: int(i)].sum()) if j >= 0 else -1


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
            axes = self.figure.add_axes((0.065 + side * width, 0.5, width - 0.055, 0.41))
            panel = DensityPanel(axes, data)
            if side:
                axes.set_ylabel("")
            if not panel.is_1d:
                projected = data.attrs["dimension"] > 2
                x, y = ("widest direction", "second widest") if projected else ("x₁", "x₂")
                axes.set_xlabel(x)
                axes.set_ylabel("" if side else y, labelpad=2)
            colour = side_colour(side)
            set_title(axes, str(data.side.values[side])).set(fontweight="bold", color=colour)
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
            title = axes.text(1, 1.03, "", transform=axes.transAxes, ha="right", va="bottom")
            self._titles.append(self.moving(title))
        self._build_path(data)
        self._build_numbers(data)

    def _build_path(self, data: xarray.Dataset) -> None:
        measure = data.attrs["measure"]
        axes = self._path = self.figure.add_axes((0.085, 0.09, 0.45, 0.27))
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
            name = str(data.side.values[side])
            axes.plot(counts[side][rows], values[side][rows], label=name, ms=3.5, **style)
            rows = refining[side]
            style |= {"ls": "", "ms": 7, "mfc": "white"}
            label = "refining" if rows.any() and not side else None
            axes.plot(counts[side][rows], values[side][rows], label=label, **style)
        axes.legend(loc="best")
        for side in range(data.sizes["side"]):
            colour = side_colour(side)
            point = axes.plot([], [], "o", ms=12, mfc="none", mec=colour, mew=2)[0]
            self._points.append(self.moving(point))

    def _build_numbers(self, data: xarray.Dataset) -> None:
        sides = data.sizes["side"]
        headings = {"components": "components left", **MEASURE_LABELS}
        heights = {name: 0.355 - row * 0.047 for row, name in enumerate(headings)}
        for name, heading in headings.items():
            self.figure.text(0.575, heights[name], heading, va="center")
        self._numbers: list[dict[str, Any]] = []
        for side in range(sides):
            x = 0.75 + side * (0.13 if sides < 3 else 0.085)
            style: dict[str, Any] = {"va": "center", "color": side_colour(side), "fontsize": 9}
            self._numbers.append(
                {
                    name: self.moving(self.figure.text(x, y, "", **style))
                    for name, y in heights.items()
                }
            )
        text = f"the original has {data.attrs['start']} components and {data.attrs['peaks']} peaks"
        y = 0.355 - len(headings) * 0.047
        self.figure.text(0.575, y, text, va="center", color=CURVE_GREY)

    def show(self, data: xarray.Dataset) -> None:
        """Show the present step of every side."""
        for side, (panel, artists) in enumerate(zip(self._panels, self._lines, strict=True)):
            count, merged = (int(data[n].values[side]) for n in ("components", "merged_component"))
            lines = panel.component_lines(mixture_in(data, side))
            artists["components"].set_segments(lines)
            artists["density"].set_segments(panel.density_lines(data["density"].values[side]))
            artists["merged"].set_segments([lines[merged]] if merged >= 0 else [])
            phase = int(data["phase"].values[side])
            suffix = f", after {PHASES[phase]}" if phase > MERGING else ""
            self._titles[side].set_text(f"{count} components{suffix}")
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
            angle, kl, peaks = (float(data[name].values[side]) for name in ("angle", "kl", "peaks"))
            parts.append(
                f"{data.side.values[side]}, {int(data['components'].values[side])} components: "
                f"angle {format_value(angle)}, KL {format_value(kl)}, "
                f"{peaks:.0f} peaks of {data.attrs['peaks']}"
            )
        return (
            f"Mixture {data.attrs['data']} of {data.attrs['start']} components, "
            f"step {int(data['present_step'].values.max())}. {'. '.join(parts)}."
        )

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        """Return the path of the selected measure; ``shown`` marks the present step."""
        import pandas

        rows = []
        for side, name in enumerate(data.side.values):
            present = data["present_step"].values[side]
            columns = (
                data[f"path_{column}"].values[side] for column in ("step", "components", "measure")
            )
            for step, count, value in zip(*columns, strict=True):
                if np.isfinite(step):
                    row: dict[str, Any] = {
                        "method": str(name),
                        "step": int(step),
                        "components": int(count),
                    }
                    row |= {data.attrs["measure"]: float(value), "shown": bool(step == present)}
                    rows.append(row)
        return pandas.DataFrame(rows)

    def targets(self, data: xarray.Dataset) -> list[Target]:
        """Return one target for each step of the longest path."""
        longest = int(np.isfinite(data["path_step"].values).sum(1).argmax())
        steps, counts, phases = (
            data[f"path_{name}"].values[longest] for name in ("step", "components", "phase")
        )
        merging = np.isfinite(steps) & (phases <= MERGING)
        steps, counts = steps[merging], counts[merging]
        margin = 0.5 * float(np.abs(np.diff(counts)).min()) if len(counts) > 1 else 0.5
        low, high = self._path.get_ylim()
        return [
            Target(
                *self.box(self._path, count + margin, low, count - margin, high),
                f"{count:.0f} components left",
                {"step": int(step)},
            )
            for step, count in zip(steps, counts, strict=True)
        ]
