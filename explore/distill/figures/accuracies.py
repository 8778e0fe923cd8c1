"""The picture of the accuracy of networks trained on several sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray

from explore.core.statistics import mean_and_std
from explore.distill.catalog import METHOD_LABELS
from explore.distill.recordings import EVALUATION
from explore.errors import InvalidInput
from explore.plotting.picture import Picture
from explore.plotting.selection import selects
from explore.plotting.style import GRID_GREY, PALETTE

if TYPE_CHECKING:
    import pandas


@selects(EVALUATION)
def accuracies(recordings: Sequence[xarray.Dataset]) -> xarray.Dataset:
    """Select what ``Accuracies`` shows: one row for each evaluation and architecture.

    Args:
        recordings: of ``explore run evaluate``, all on the same test images.

    Raises:
        InvalidInput: recordings of another kind, or on different test images.
    """
    tests = [recording.attrs["config"]["data"] for recording in recordings]
    if any(test != tests[0] for test in tests):
        raise InvalidInput("the recordings are scored on different test images; leave some out")
    rows: dict[str, np.ndarray] = {}
    for recording in recordings:
        frame, name = recording.isel(step=-1), _set_name(recording.attrs["config"]["distilled"])
        for architecture in frame["architecture"].values.tolist():
            several = frame.sizes["architecture"] > 1
            label = f"{name}, {architecture}" if several else name
            number = sum(row.partition(" (")[0] == label for row in rows) + 1
            label = label if number == 1 else f"{label} ({number})"
            rows[label] = frame["accuracy"].sel(architecture=architecture).values.astype(float)
    width = max(map(len, rows.values()))
    padded = [np.pad(r, (0, width - len(r)), constant_values=np.nan) for r in rows.values()]
    return xarray.Dataset(
        {"accuracy": (("set", "network"), np.stack(padded))},
        {"set": ("set", np.array(list(rows), object))},
        attrs={"data": str(tests[0]["name"]), "images": int(tests[0]["shape"][0])},
    )


def _set_name(distilled: Mapping[str, Any]) -> str:
    """Return the name of a distilled set: its method and step."""
    method = str((distilled.get("config") or {}).get("method", "a set of unknown origin"))
    step = distilled.get("step")
    return METHOD_LABELS.get(method, method) + (f", step {step:,}" if step else "")


class Accuracies(Picture):
    """Test accuracy of networks trained on each of several sets: networks, mean and deviation."""

    size = (9.6, 2.9)
    title = "Accuracy of networks trained on each set"

    def build(self, data: xarray.Dataset) -> None:
        """Create one row for each set."""
        names = [str(name) for name in data.set.values]
        axes = self.figure.add_axes((0.2, 0.24, 0.66, 0.62))
        self.panel("accuracy", axes)
        axes.set_title(
            f"{data.attrs['data']}, {data.attrs['images']:,} images; a dot is one of "
            f"{data.sizes['network']} networks, at the right their mean ± standard deviation"
        )
        axes.set_xlabel("test accuracy")
        limits = (len(names) - 0.5, -0.5)
        axes.set(yticks=range(len(names)), yticklabels=names, ylim=limits, xlim=(0, 1))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.grid(axis="x", color=GRID_GREY, lw=0.6)
        self._dots = self.moving(axes.plot([], [], "o", color=PALETTE["blue"], ms=5, alpha=0.7)[0])
        self._means = self.moving(axes.plot([], [], "|", color=PALETTE["black"], ms=16, mew=2)[0])
        self._texts = [
            self.moving(axes.text(1.02, row, "", va="center", transform=axes.get_yaxis_transform()))
            for row in range(len(names))
        ]

    def show(self, data: xarray.Dataset) -> None:
        """Show the networks, their means and deviations."""
        values = data["accuracy"].values
        self._dots.set_data(values.ravel(), np.repeat(np.arange(len(values)), values.shape[1]))
        means = [np.nanmean(row) if np.isfinite(row).any() else np.nan for row in values]
        self._means.set_data(means, range(len(values)))
        for text, row in zip(self._texts, values, strict=True):
            text.set_text(_mean_and_deviation(row))

    def describe(self, data: xarray.Dataset) -> str:
        """Return the mean and the standard deviation of each set."""
        rows = [
            f"{name}: {_mean_and_deviation(values)}"
            for name, values in zip(data.set.values, data["accuracy"].values, strict=True)
        ]
        return (
            f"Test accuracy on {data.attrs['data']}, mean ± standard deviation over networks. "
            f"{'; '.join(rows)}."
        )

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        """Return one row for each set: mean, standard deviation and every network, in percent."""
        import pandas

        rows = []
        for name, values in zip(data.set.values, data["accuracy"].values, strict=True):
            percent = 100 * values.astype(float)
            mean, deviation = mean_and_std(percent)
            rows.append(
                {
                    "set": str(name),
                    "accuracy, %": mean,
                    "± standard deviation, %": deviation,
                    **{f"network {k + 1}, %": value for k, value in enumerate(percent)},
                }
            )
        return pandas.DataFrame(rows).round(4)


def _mean_and_deviation(values: np.ndarray) -> str:
    finite = values[np.isfinite(values)]
    if not len(finite):
        return "not measured"
    deviation = f" ± {100 * finite.std(ddof=1):.1f}" if len(finite) > 1 else ""
    return f"{100 * finite.mean():.1f}{deviation} %"
