"""The picture of reductions: one to three paths from the same mixture, step by step, with every measure beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray
from matplotlib.collections import LineCollection
from matplotlib.ticker import LogLocator, MaxNLocator

from explore.core.recording import that_hold
from explore.errors import InvalidInput, UnknownName
from explore.mixtures.config import PHASES
from explore.mixtures.figures.density import (
    box_of,
    check_same_original,
    colour,
    component_lines,
    contours,
    density_on,
    draw_original,
    ellipses,
    grid_of,
    levels_of,
    mixture_of,
    name_of,
    number,
    original_of,
    seen,
    view_of,
)
from explore.mixtures.mixture import GaussianMixture
from explore.plotting.picture import Picture, Target
from explore.plotting.style import CURVE_GREY, GRID_GREY, MARKERS, set_title

if TYPE_CHECKING:
    import pandas

NOISE = 1e-7
"""Angles below this are rounding; so, on a logarithmic axis, is whatever is this small."""

MEASURES = {
    "angle": "angle, rad",
    "ise": "ISE",
    "kl": "KL divergence, nat",
    "covariance_error": "change of covariance",
    "peaks": "peaks",
}
"""What is printed of each side, and can be drawn over the path."""


def reduction(
    recordings: xarray.Dataset | Sequence[xarray.Dataset],
    step: int | None = None,
    measure: str = "angle",
) -> xarray.Dataset:
    """What ``Paths`` shows: up to three recorded reductions of one mixture at a step.

    Args:
        recordings: of runs that began with the same mixture.
        step: merges (or other steps) made; the last of the longest if left out. A shorter run stays at its end.
        measure: drawn over the path: "angle", "ise", "kl", "covariance_error" or "peaks".

    Raises:
        InvalidInput: recordings of other runs, or of unlike mixtures.
        UnknownName: another measure.
    """
    given = that_hold(recordings, "original_covariance", "a mixture reduction")
    if len(given) > 3:
        raise InvalidInput(f"give up to three recordings, got {len(given)}")
    if measure not in MEASURES:
        raise UnknownName("measure", measure, MEASURES)
    check_same_original(given)
    longest = max((r.step.values for r in given), key=len)
    step = int(longest[-1]) if step is None else int(step)
    at = [max(0, int(np.searchsorted(r.step.values, step, side="right")) - 1) for r in given]
    now = [r.isel(step=i) for r, i in zip(given, at, strict=True)]
    original = original_of(given[0])
    view = view_of(original)
    shown, mixtures = seen(original, view), [seen(mixture_of(frame), view) for frame in now]
    grid = grid_of(box_of(shown))
    n = len(original)
    frames = max(r.sizes["step"] for r in given)

    def over(values: Sequence[np.ndarray]) -> tuple[tuple[str, str], np.ndarray]:
        filled = [
            np.concatenate([np.asarray(v, float), np.full(frames - len(v), np.nan)]) for v in values
        ]
        return ("side", "frame"), np.stack(filled)

    def slots(name: str) -> tuple[tuple[str, ...], np.ndarray]:
        arrays = np.full((len(given), n, *getattr(shown, name).shape[1:]), np.nan)
        for side, mixture in enumerate(mixtures):
            arrays[side, : len(mixture)] = getattr(mixture, name)
        return ("side", "component", "axis", "axis_")[: arrays.ndim], arrays

    axes = ("x",) if len(grid) == 1 else ("y", "x")
    data: dict[str, Any] = {
        "density": (("side", *axes), np.stack([density_on(grid, mixture) for mixture in mixtures])),
        "weight": slots("weights"),
        "mean": slots("means"),
        "covariance": slots("covariances"),
        "newest": ("side", [_newest(frame) for frame in now]),
        "now": ("side", [int(frame["step"]) for frame in now]),
        "phase": ("side", [int(frame["phase"]) for frame in now]),
        "components": ("side", [int(frame["components"]) for frame in now]),
        "kl_error": ("side", [float(frame["kl_error"]) for frame in now]),
        "path_components": over([r["components"].values for r in given]),
        "path_phase": over([r["phase"].values for r in given]),
        "path_step": over([r.step.values for r in given]),
        "path_measure": over([r[measure].values for r in given]),
    }
    data |= {name: ("side", [float(frame[name]) for frame in now]) for name in MEASURES}
    known = {
        "side": ("side", np.array([name_of(r) for r in given], object)),
        "original": (axes, density_on(grid, shown)),
        "measure": ("what", np.array([measure], object)),
        **{f"grid_{name}": (name, values) for name, values in zip(("x", "y"), grid, strict=False)},
    }
    about = {
        "data": str(given[0].attrs["config"]["data"]["name"]),
        "start": n,
        "dimension": original.dimension,
        "peaks": int(given[0]["peaks"].values[0]),
    }
    return xarray.Dataset(data, known, attrs=about)


def _newest(frame: xarray.Dataset) -> int:
    """Place of the component that the last merge made, among those that are left; -1 if there is none."""
    i, j = frame["merged"].values
    return int(frame["alive"].values[: int(i)].sum()) if j >= 0 else -1


class Paths(Picture):
    """Up to three reductions of one mixture: densities, the numbers, and one measure along the path."""

    size = (9.6, 6.0)
    title = "A Gaussian mixture, merged step by step"

    def build(self, data: xarray.Dataset) -> None:
        """A panel for each side, the path below them, the numbers to its right."""
        sides, self._flat = data.sizes["side"], "y" not in data.dims
        self._grid = (
            (data["grid_x"].values,)
            if self._flat
            else (data["grid_x"].values, data["grid_y"].values)
        )
        self._levels = None if self._flat else levels_of(data["original"].values)
        self._parts: list[dict[str, Any]] = []
        width = 0.93 / sides
        for side in range(sides):
            left = 0.065 + side * width
            axes = self.figure.add_axes((left, 0.5, width - 0.055, 0.41))
            draw_original(axes, self._grid, data["original"].values)
            if side:
                axes.set_ylabel("")
            if not self._flat:
                projected = data.attrs["dimension"] > 2
                axes.set_xlabel("widest direction" if projected else "$x_1$")
                axes.set_ylabel(
                    "" if side else "second widest" if projected else "$x_2$", labelpad=2
                )
            set_title(axes, str(data.side.values[side])).set(fontweight="bold", color=colour(side))
            part: dict[str, Any] = {"axes": axes}
            part["small"] = self.moving(
                axes.add_collection(LineCollection([], lw=0.8, color=colour(side), alpha=0.65))
            )
            part["main"] = self.moving(
                axes.add_collection(LineCollection([], lw=2, color=colour(side)))
            )
            part["newest"] = self.moving(
                axes.add_collection(LineCollection([], lw=2, color="black", ls=(0, (2, 1.2))))
            )
            part["title"] = self.moving(
                axes.text(1, 1.03, "", transform=axes.transAxes, ha="right", va="bottom")
            )
            self._parts.append(part)
        self._build_path(data)
        self._build_numbers(data)

    def _build_path(self, data: xarray.Dataset) -> None:
        measure = str(data["measure"].values[0])
        axes = self._path = self.figure.add_axes((0.085, 0.09, 0.45, 0.27))
        axes.set(xlabel="components left", title=f"{MEASURES[measure]}, along the path")
        values, left = data["path_measure"].values, data["path_components"].values
        most, least = np.nanmax(left), np.nanmin(left)
        margin = 0.03 * (most - least) + 0.3
        axes.set_xlim(most + margin, least - min(margin, 0.9))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=10))
        axes.grid(color=GRID_GREY, lw=0.6)
        if measure == "peaks":
            axes.set_ylim(0, np.nanmax(values) + 1)
            axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        else:
            positive = values[np.isfinite(values) & (values > NOISE)]
            low, high = (positive.min(), positive.max()) if len(positive) else (0.1, 1.0)
            axes.set_yscale("log")
            axes.set_ylim(low / 1.5, high * 1.5)
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5) if high / low < 300 else ()))
            axes.yaxis.set_minor_formatter("{x:g}")
        merging = data["path_phase"].values <= PHASES.index("merging")
        for side in range(data.sizes["side"]):
            style: dict[str, Any] = {
                "color": colour(side),
                "marker": MARKERS[("blue", "vermilion", "green")[side]],
                "ms": 3.5,
            }
            at = merging[side] & ((values[side] > NOISE) | (measure == "peaks"))
            axes.plot(
                left[side][at],
                values[side][at],
                ls=("-", "--", ":")[side],
                label=str(data.side.values[side]),
                **style,
            )
            after = np.isfinite(left[side]) & ~merging[side]
            label = "refining" if after.any() and not side else None
            axes.plot(
                left[side][after],
                values[side][after],
                ls="",
                label=label,
                **{**style, "ms": 7, "mfc": "white"},
            )
        axes.legend(loc="best")
        self._points = [
            self.moving(axes.plot([], [], "o", ms=12, mfc="none", mec=colour(side), mew=2)[0])
            for side in range(data.sizes["side"])
        ]

    def _build_numbers(self, data: xarray.Dataset) -> None:
        sides = data.sizes["side"]
        heads = ["components left", *MEASURES.values()]
        self._numbers: list[dict[str, Any]] = []
        for row, head in enumerate(heads):
            self.figure.text(0.575, 0.355 - row * 0.047, head, va="center")
        for side in range(sides):
            x = 0.75 + side * (0.13 if sides < 3 else 0.085)
            look: dict[str, Any] = {"va": "center", "color": colour(side), "fontsize": 9}
            names = ("components", *MEASURES)
            self._numbers.append(
                {
                    name: self.moving(self.figure.text(x, 0.355 - row * 0.047, "", **look))
                    for row, name in enumerate(names)
                }
            )
        text = f"the original has {data.attrs['start']} components and {data.attrs['peaks']} peaks"
        self.figure.text(0.575, 0.355 - len(heads) * 0.047, text, va="center", color=CURVE_GREY)

    def show(self, data: xarray.Dataset) -> None:
        """Everything moves together."""
        for side, part in enumerate(self._parts):
            count, newest = int(data["components"].values[side]), int(data["newest"].values[side])
            mixture = self._mixture(data, side)
            if self._flat:
                x = self._grid[0]
                lines = component_lines(x, mixture)
                main = [np.column_stack([x, data["density"].values[side]])]
            else:
                lines = ellipses(mixture)
                main = contours(self._grid, data["density"].values[side], self._levels)  # type: ignore[arg-type]
            part["small"].set_segments(lines)
            part["main"].set_segments(main)
            part["newest"].set_segments([lines[newest]] if newest >= 0 else [])
            phase = PHASES[int(data["phase"].values[side])]
            part["title"].set_text(
                f"{count} components"
                + (f", after {phase}" if phase not in ("start", "merging") else "")
            )
            at = np.flatnonzero(data["path_step"].values[side] == data["now"].values[side])
            self._points[side].set_data(
                data["path_components"].values[side][at], data["path_measure"].values[side][at]
            )
            numbers = self._numbers[side]
            numbers["components"].set_text(f"{count}")
            for name in MEASURES:
                value = float(data[name].values[side])
                small = name == "angle" and value < NOISE
                numbers[name].set_text(
                    f"{value:.0f}" if name == "peaks" or small else number(value)
                )
            if len(self._parts) < 3:
                error = float(data["kl_error"].values[side])
                plus = f" ± {error:.1g}" if error > 1e-9 else ""
                numbers["kl"].set_text(number(float(data["kl"].values[side])) + plus)

    def _mixture(self, data: xarray.Dataset, side: int) -> GaussianMixture:
        at = np.isfinite(data["weight"].values[side])
        return GaussianMixture.trusted(
            *(data[name].values[side][at] for name in ("weight", "mean", "covariance"))
        )

    def describe(self, data: xarray.Dataset) -> str:
        """Components left and every measure, side by side."""
        parts = []
        for side in range(data.sizes["side"]):
            angle, kl, peaks = (float(data[name].values[side]) for name in ("angle", "kl", "peaks"))
            parts.append(
                f"{data.side.values[side]}, {int(data['components'].values[side])} components: angle {number(angle)}, "
                f"KL {number(kl)}, {peaks:.0f} peaks of {data.attrs['peaks']}"
            )
        moves = f"step {int(data['now'].values.max())}"
        return (
            f"Mixture {data.attrs['data']} of {data.attrs['start']} components, {moves}. "
            + ". ".join(parts)
            + "."
        )

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        """The path of the chosen measure, and where it stands."""
        import pandas

        rows = [
            {
                "method": str(data.side.values[side]),
                "step": int(step),
                "components": int(left),
                str(data["measure"].values[0]): float(value),
                "shown": bool(step == data["now"].values[side]),
            }
            for side in range(data.sizes["side"])
            for step, left, value in zip(
                data["path_step"].values[side],
                data["path_components"].values[side],
                data["path_measure"].values[side],
                strict=True,
            )
            if np.isfinite(step)
        ]
        return pandas.DataFrame(rows)

    def targets(self, data: xarray.Dataset) -> list[Target]:
        """Each place of the path chooses its step."""
        longest = int(np.isfinite(data["path_step"].values).sum(1).argmax())
        steps, left = (data[name].values[longest] for name in ("path_step", "path_components"))
        known = np.isfinite(steps) & (data["path_phase"].values[longest] <= PHASES.index("merging"))
        steps, left = steps[known], left[known]
        half = 0.5 * float(np.abs(np.diff(left)).min()) if len(left) > 1 else 0.5
        low, high = self._path.get_ylim()
        return [
            Target(
                *self.box(self._path, at + half, low, at - half, high),
                f"{at:.0f} components left",
                {"step": int(step)},
            )
            for step, at in zip(steps, left, strict=True)
        ]
