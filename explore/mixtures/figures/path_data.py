"""The data of ``Paths``: up to three recorded reductions of one mixture at a step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import xarray

from explore.core.validation import check_whole_number
from explore.errors import InvalidInput, UnknownName
from explore.mixtures.config import PHASES
from explore.mixtures.figures.density import density_on, grid_around, principal_view, project
from explore.mixtures.figures.recordings import (
    check_same_original,
    method_label,
    mixture_of,
    original_of,
)
from explore.mixtures.recordings import REDUCTION
from explore.plotting.selection import nearest_frame, selects, unrecorded_note

MEASURE_LABELS = {
    "angle": "angle, rad",
    "ise": "ISE",
    "kl": "KL divergence, nat",
    "covariance_error": "change of covariance",
    "peaks": "peaks",
}
"""The measures that are printed for each side and can be drawn along the path."""

MERGING = PHASES.index("merging")

DEFAULT_COMPONENTS = 5
"""Components that are left in the picture of a path that ends with one."""


@selects(REDUCTION)
def reduction(
    recordings: Sequence[xarray.Dataset],
    step: int | None = None,
    measure: str = "angle",
    components: int | None = None,
) -> xarray.Dataset:
    """Return the data of ``Paths``: up to three recorded reductions of one mixture.

    Args:
        recordings: of runs that began with the same mixture.
        step: number of steps; by default all of the longest run. If that ends with one component,
            where all paths are alike, five are left, or half of fewer than ten. A shorter run stays
            at its end. If a step was not recorded, the nearest is shown, which the picture says.
        measure: drawn along the path: "angle", "ise", "kl", "covariance_error" or "peaks".
        components: how many are left, while components are merged; in place of a step.

    Raises:
        InvalidInput: recordings of other runs, or of different mixtures; a step and components.
        UnknownName: another measure.
    """
    if len(recordings) > 3:
        raise InvalidInput(f"give up to three recordings, got {len(recordings)}")
    if measure not in MEASURE_LABELS:
        raise UnknownName("measure", measure, MEASURE_LABELS)
    check_same_original(list(recordings))
    longest = max(recordings, key=lambda r: r.sizes["step"])
    length = longest.sizes["step"]
    if step is None and components is None and int(longest["components"][-1]) == 1:
        components = min(DEFAULT_COMPONENTS, (int(longest["components"][0]) + 1) // 2)
    if components is not None:
        if step is not None:
            raise InvalidInput("give a step or a number of components, not both")
        components = check_whole_number("components", components, at_least=1)
        frames = [r.isel(step=_frame_with(r, components)) for r in recordings]
        note = _count_note(components, int(longest["components"][_frame_with(longest, components)]))
    else:
        step = int(longest.step[-1]) if step is None else int(step)
        frames = [r.isel(step=nearest_frame(r, step)) for r in recordings]
        note = unrecorded_note(step, int(longest.step[nearest_frame(longest, step)]))
    original = original_of(recordings[0])
    view = principal_view(original)
    mixtures = [project(mixture_of(frame), view) for frame in frames]
    grid, dims, coords = grid_around(project(original, view))

    def at_step(name: str, kind: type) -> tuple[str, list[Any]]:
        return "side", [kind(frame[name]) for frame in frames]

    def along_path(name: str) -> tuple[tuple[str, str], np.ndarray]:
        return ("side", "frame"), _pad([r[name].values for r in recordings], length)

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
        "note": note,
        "has_error": bool(max(float(r["kl_error"].max()) for r in recordings) > 1e-9),
        "start": len(original),
        "dimension": original.dimension,
        "peaks": int(recordings[0]["peaks"].values[0]),
    }
    return xarray.Dataset(data, coords, attrs=attrs)


def _frame_with(recording: xarray.Dataset, components: int) -> int:
    """Return the first frame of the merging whose number of components is nearest."""
    merging = recording["phase"].values <= MERGING
    counts = recording["components"].values[merging]
    return int(np.abs(counts - components).argmin())


def _count_note(components: int, shown_count: int) -> str:
    """Return the sentence that a number of components was not recorded; empty if it was."""
    if components == shown_count:
        return ""
    return f"No frame with {components} components was recorded; the nearest one has {shown_count}."


def component_counts(recordings: Sequence[xarray.Dataset]) -> list[int]:
    """Return the numbers of components that recordings pass while they merge, from the largest."""
    counts = [r["components"].values[r["phase"].values <= MERGING] for r in recordings]
    return np.unique(np.concatenate(counts))[::-1].tolist()


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
