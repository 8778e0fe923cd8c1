"""The data of the embedding picture: positions, overlaps with an anchor, a label filter, pulls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray

from explore.core.validation import check_choice, check_names, check_whole_number
from explore.errors import InvalidInput, UnknownName
from explore.multilabel._label_sets import is_at_least, overlap_of
from explore.multilabel.catalog import METHOD_LABELS
from explore.multilabel.config import DEFAULT_ALPHA, DEFAULT_TEMPERATURES, OTHER_TEMPERATURE
from explore.multilabel.figures.projection import principal_axes, project
from explore.multilabel.pulls import (
    anchor_similarity,
    matched_similarity,
    pair_pulls,
    pulls_on_anchor,
)
from explore.multilabel.recordings import TRAINING
from explore.plotting.selection import by_name, selects

FILTER_MODES = ("any", "all", "exactly")
NEIGHBOURS = 6
"""Samples beside the anchor: those with the strongest pull, or the most similar ones."""


def matches(present: np.ndarray, selected: Sequence[int], mode: str) -> np.ndarray:
    """Return which samples pass a label filter, bool ``[N]``. Without a selection, all pass.

    Args:
        present: bool ``[N, K]``.
        selected: numbers of labels.
        mode: "any": one or more of them; "all": all of them, and perhaps others; "exactly": all of
            them and no others.

    Raises:
        UnknownName: another mode.

    Example:
        >>> present = np.array([[True, True], [True, False]])
        >>> [matches(present, [0], mode).tolist() for mode in FILTER_MODES]
        [[True, True], [True, True], [False, True]]
    """
    check_choice("mode", mode, FILTER_MODES)
    if not len(selected):
        return np.ones(len(present), bool)
    columns = present[:, list(selected)]
    if mode == "any":
        return np.asarray(columns.any(1))
    has_all = columns.all(1)
    return np.asarray(has_all if mode == "all" else has_all & (present.sum(1) == len(selected)))


def add_projection(recording: xarray.Dataset) -> xarray.Dataset:
    """Return a training with the positions of its samples in the plane, the same for all steps.

    The plane is spanned by the two principal axes of the last frame.

    Raises:
        InvalidInput: another recording.
    """
    recording = TRAINING.check(recording)[0]
    if "position" in recording:
        return recording
    embedding = recording["embedding"].values.astype(float)
    centre, axes = principal_axes(embedding[-1])
    position = project(embedding, centre, axes)
    added = {"position": (("step", "point", "plane"), position)}
    plane: dict[str, Any] = {
        "plane_centre": ("axis", centre),
        "plane_axes": (("axis", "plane"), axes),
    }
    points = [position.reshape(-1, 2)]
    if "component_mean" in recording:
        points.append(_component_centres(recording, centre, axes).reshape(-1, 2))
    everything = np.concatenate(points)
    plane["plane_limits"] = ("limit", np.r_[everything.min(0), everything.max(0)])
    return recording.assign(added).assign_coords(plane)


@selects(TRAINING)
def embedding(
    recordings: Sequence[xarray.Dataset],
    step: int | None = None,
    training: str = "",
    anchor: int = 0,
    labels: Sequence[str] = (),
    mode: str = "any",
) -> xarray.Dataset:
    """Return the data of ``Embedding``.

    Args:
        recordings: trainings; see ``add_projection``.
        step: by default the last; of a shorter training, its last one before.
        training: name of the method that is shown; by default that of the first recording.
        anchor: number of a held-out sample.
        labels, mode: the filter; see ``matches``.

    Raises:
        InvalidInput: another recording, or no such anchor.
        UnknownName: a training or a label that the recordings do not have.
    """
    runs = by_name((str(run.attrs.get("name", "")) for run in recordings), recordings)
    name = check_choice("training", training or next(iter(runs)), runs)
    recording = add_projection(runs[name])
    steps = recording["step"].values
    index = len(steps) - 1 if step is None else max(0, int((steps <= step).sum()) - 1)
    frame = recording.isel(step=index)
    anchor = check_whole_number("anchor", anchor)
    if not 0 <= anchor < recording.sizes["point"]:
        raise InvalidInput(
            f"anchor must be a sample 0..{recording.sizes['point'] - 1}, got {anchor}"
        )
    names = [str(label) for label in recording["label"].values]
    labels = check_names("labels", [labels] if isinstance(labels, str) else labels)
    unknown = [label for label in labels if label not in names]
    if unknown:
        raise UnknownName("label", unknown[0], names)
    present = recording["present"].values.astype(bool)
    pull = _pulls(name, recording, frame, anchor)
    similarity = _cosines(frame["embedding"].values.astype(float), anchor)
    order = np.argsort(-abs(pull) if pull is not None else -similarity, kind="stable")
    neighbours = [row for row in order.tolist() if row != anchor][:NEIGHBOURS]
    values: dict[str, Any] = {
        "position": (("point", "plane"), frame["position"].values),
        "overlap": ("point", overlap_of(present.astype(float), "jaccard", present[[anchor]])[0]),
        "passes": ("point", matches(present, [names.index(label) for label in labels], mode)),
        "pull": ("point", np.full(len(present), np.nan) if pull is None else pull),
        "similarity": ("point", similarity),
        "present": (("point", "label"), present),
        "probability": ("label", frame["probability"].values[anchor].astype(float)),
        "neighbour": ("rank", np.array(neighbours)),
        **_components(recording, frame, anchor),
    }
    if "thumbnail" in recording:
        rows = [anchor, *neighbours]
        dims = recording["thumbnail"].dims[1:]
        values["image"] = (("row", *dims), recording["thumbnail"].values[rows])
    return xarray.Dataset(
        values,
        {"label": np.array(names, object)},
        {
            "training": METHOD_LABELS.get(name, name),
            "step": int(steps[index]),
            "anchor": anchor,
            "map": float(frame["mean_average_precision"]),
            "filter": f" {'or' if mode == 'any' else 'and'} ".join(labels),
            "mode": mode,
            "limits": recording["plane_limits"].values.tolist(),
        },
    )


def _pulls(
    name: str, recording: xarray.Dataset, frame: xarray.Dataset, anchor: int
) -> np.ndarray | None:
    """Return the pull of each held-out sample on the anchor; None where nothing is contrasted."""
    if "component_mean" not in recording:
        return None
    config = recording.attrs["config"]
    temperature = config["temperature"] or DEFAULT_TEMPERATURES.get(name, OTHER_TEMPERATURE)
    present = recording["present"].values
    means, variances = frame["component_mean"].values, frame["component_variance"].values
    if name.startswith("kmcl"):
        similarity = anchor_similarity(means, variances, anchor, recording.sizes["axis"])
        correlation = "none" if name == "kmcl-constant" else config["correlation"]
        return pulls_on_anchor(
            similarity,
            present,
            anchor,
            temperature=temperature,
            correlation=correlation,
            alpha=config["alpha"],
            overlap=config["overlap"],
        )
    if config["similarity"] != "matched":
        return None
    matched = matched_similarity(frame["component_weight"].values, means, variances, anchor)
    overlaps = overlap_of(present.astype(float), config["overlap"], present[[anchor]])[0]
    alpha = config["alpha"] or DEFAULT_ALPHA[name]
    return pair_pulls(matched, is_at_least(overlaps, alpha) & (overlaps > 0), anchor, temperature)


def _cosines(features: np.ndarray, anchor: int) -> np.ndarray:
    """Return the cosine of the anchor's features with those of all samples."""
    norms = np.linalg.norm(features, axis=1)
    result: np.ndarray = features @ features[anchor] / np.maximum(norms * norms[anchor], 1e-12)
    return result


def _components(
    recording: xarray.Dataset, frame: xarray.Dataset, anchor: int
) -> dict[str, tuple[tuple[str, ...], np.ndarray]]:
    """Return centres, radii (one standard deviation) and weights of the anchor's components."""
    count = recording.sizes["label"]
    centre, radius, weight = np.full((count, 2), np.nan), np.full(count, np.nan), np.zeros(count)
    if "component_mean" in recording:
        plane = recording["plane_centre"].values, recording["plane_axes"].values
        centre = _component_centres(frame, *plane)[anchor]
        radius = np.sqrt(frame["component_variance"].values[anchor].astype(float))
        weight = frame["component_weight"].values[anchor].astype(float)
    return {
        "component_centre": (("label", "plane"), centre),
        "component_radius": (("label",), radius),
        "component_weight": (("label",), weight),
    }


def _component_centres(frames: xarray.Dataset, centre: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """Return the positions of all component means, ``[..., point, label, 2]``."""
    means = frames["component_mean"]
    values = means.values.astype(float)
    if "axis" in means.dims:
        return project(values, centre, axes)
    # The mean has one value on all axes.
    return values[..., None] * axes.sum(0) - centre @ axes
