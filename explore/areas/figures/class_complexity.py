"""The picture of complexity: one row for each class, and the mean of the data set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray

from explore.areas.recordings import COMPLEXITY
from explore.plotting.frame import add_caption, add_heading
from explore.plotting.picture import Picture
from explore.plotting.selection import nearest_frame, selects
from explore.plotting.style import GRID_GREY, LABEL_GREY, PALETTE

if TYPE_CHECKING:
    import pandas


@selects(COMPLEXITY, most=1)
def class_complexity(
    recordings: Sequence[xarray.Dataset], step: int | None = None
) -> xarray.Dataset:
    """Select what ``ClassComplexity`` shows: one recording of complexity at a step.

    The classes are sorted by their complexity at the end, so that rows do not move.

    Args:
        recordings: one recording of ``explore run complexity``.
        step: by default the last.

    Raises:
        InvalidInput: another kind of recording, or several of them.
    """
    (recording,) = recordings
    order = np.argsort(recording["complexity"].isel(step=-1).values, kind="stable")
    frame = recording.isel(step=nearest_frame(recording, step), label=order)
    config, about = recording.attrs["config"], recording.attrs["map"]
    data = config["subset"] or config["data"]["options"].get("path") or config["data"]["name"]
    return xarray.Dataset(
        {name: ("label", frame[name].values) for name in ("complexity", "deviation", "measured")},
        {"label": ("label", np.array([str(name) for name in frame.label.values], object))},
        {
            "data": str(data).rstrip("/").rpartition("/")[2],
            "images": int(recording["images"].sum()),
            "network": str(config["network"]),
            "kind": str(about["kind"]),
            "layer": f"layer {about['layer']}, {'×'.join(map(str, about['resolution']))}",
            "threshold": float(config["threshold"]),
        },
    )


class ClassComplexity(Picture):
    """Complexity of each class, with the standard deviation of its images, and the mean of all."""

    size = (8.6, 5.0)
    title = "Complexity of each class"

    def build(self, data: xarray.Dataset) -> None:
        """Create one row for each class."""
        names = [str(name) for name in data.label.values]
        self._heading = add_heading(self, 0.955)
        axes = self.figure.add_axes((0.24, 0.2, 0.6, 0.68))
        self.panel("complexity", axes)
        limits = (len(names) - 0.5, -0.5)
        axes.set(yticks=range(len(names)), yticklabels=names, ylim=limits, xlim=(0, 1))
        axes.set_xlabel("complexity: share of the map that is not above the threshold")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.grid(axis="x", color=GRID_GREY, lw=0.6)
        self._mean = self.moving(axes.axvline(0, color=LABEL_GREY, ls="--", lw=1.2))
        style: dict[str, Any] = {"color": PALETTE["blue"], "lw": 1.6}
        self._bars = [self.moving(axes.plot([], [], **style)[0]) for _ in names]
        (self._dots,) = axes.plot([], [], "o", color=PALETTE["blue"], ms=7)
        self.moving(self._dots)
        self._texts = [
            self.moving(axes.text(1.02, k, "", va="center", transform=axes.get_yaxis_transform()))
            for k in range(len(names))
        ]
        self._captions = [add_caption(self, 0.02, y) for y in (0.075, 0.03)]

    def show(self, data: xarray.Dataset) -> None:
        """Show the complexities measured so far."""
        values, deviations = data["complexity"].values, data["deviation"].values
        self._dots.set_data(values, range(len(values)))
        for k, bar in enumerate(self._bars):
            bar.set_data([values[k] - deviations[k], values[k] + deviations[k]], [k, k])
            count = int(data["measured"].values[k])
            is_measured = np.isfinite(values[k])
            self._texts[k].set_text(f"{values[k]:.1%}  ({count:,})" if is_measured else "–")
        mean = _mean(values)
        self._mean.set_xdata([mean, mean])
        self._mean.set_visible(bool(np.isfinite(mean)))
        self._heading.set_text(
            f"{data.attrs['data']}: complexity {mean:.1%} (dashed), "
            f"{int(data['measured'].sum()):,} of {data.attrs['images']:,} images"
            if np.isfinite(mean)
            else f"{data.attrs['data']}: no image is measured yet"
        )
        self._captions[0].set_text(
            f"one minus the share of the map above {data.attrs['threshold']:g}; lines: one "
            "standard deviation of the images"
        )
        self._captions[1].set_text(
            f"{data.attrs['kind']} of {data.attrs['network']}, {data.attrs['layer']}"
        )

    def describe(self, data: xarray.Dataset) -> str:
        """Return the mean, and the classes with the least and the most complexity."""
        values = data["complexity"].values
        start = (
            f"Complexity of {data.attrs['data']} by {data.attrs['kind']} of {data.attrs['network']}"
        )
        if not np.isfinite(values).any():
            return f"{start}. No image is measured yet."
        low, high = int(np.nanargmin(values)), int(np.nanargmax(values))
        names = data.label.values
        return (
            f"{start}, {int(data['measured'].sum())} images. Mean over {len(values)} classes "
            f"{_mean(values):.1%}; least {names[low]} {values[low]:.1%}, most {names[high]} "
            f"{values[high]:.1%}."
        )

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        """Return one row for each class."""
        import pandas

        return pandas.DataFrame(
            {
                "class": [str(name) for name in data.label.values],
                "complexity, %": (100 * data["complexity"].values.astype(float)).round(3),
                "± standard deviation of the images, %": (
                    100 * data["deviation"].values.astype(float)
                ).round(3),
                "images": data["measured"].values,
            }
        )


def _mean(values: np.ndarray) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")
