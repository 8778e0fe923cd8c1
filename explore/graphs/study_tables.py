"""Tables of studies of condensation: means over splits, and paired differences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from explore.core.schema import RecordingKind
from explore.core.statistics import mean_and_std, paired_difference
from explore.core.validation import check_choice, check_items, describe
from explore.errors import InvalidInput
from explore.graphs.catalog import METHOD_LABELS
from explore.graphs.recordings import BASELINE, STUDY

if TYPE_CHECKING:
    import pandas
    import xarray


def first_of(kind: RecordingKind, recordings: Any) -> xarray.Dataset:
    """Return the first of recordings of a kind, or a single one.

    Raises:
        InvalidInput: there is none, or it is of another kind.
    """
    checked = kind.check(recordings)
    if not checked:
        raise InvalidInput(f"study must be a recording of {kind.name}, got {describe(recordings)}")
    return checked[0]


def table(
    study: xarray.Dataset, measure: str = "balanced", against: str = BASELINE
) -> pandas.DataFrame:
    """Return one row for each size and method: mean, spread and paired difference.

    A split counts once, with the mean over its networks. The differences have 95 % intervals over
    the splits.

    Args:
        study: a recording of ``graph-study``, of which the last frame is used, or a snapshot.
        measure: "balanced" (accuracy) or "accuracy".
        against: the method to which the others are compared.

    Raises:
        InvalidInput: no such study.
        UnknownName: a measure or method that is not in it.
    """
    import pandas

    last = first_of(STUDY, study)
    last = last.isel(step=-1) if "step" in last.dims else last
    check_choice("measure", measure, [str(name) for name in last["measure"].values])
    methods = [str(name) for name in last["training_set"].values]
    check_choice("against", against, methods)
    scores = last["graph_score"].sel(measure=measure).mean("network")
    rows = []
    for size in last["graphs_per_class"].values.tolist():
        baseline = scores.sel(graphs_per_class=size, training_set=against).values
        for method in methods:
            values = scores.sel(graphs_per_class=size, training_set=method).values
            mean, deviation = mean_and_std(values)
            difference, interval = paired_difference(values, baseline)
            rows.append(
                {
                    "graphs per class": size,
                    "trained on": METHOD_LABELS.get(method, method),
                    measure: mean,
                    "std": deviation,
                    "splits": int(np.isfinite(values).sum()),
                    f"minus {METHOD_LABELS.get(against, against)}": difference,
                    "±": interval,
                }
            )
    return pandas.DataFrame(rows)


def tables(
    studies: Sequence[xarray.Dataset], against: str = "", unlike: bool = False
) -> pandas.DataFrame:
    """Return the tables of several studies in one, for both measures; see ``table``.

    Args:
        studies: recordings; other ones are skipped.
        against: the method to which the others are compared; by default the unmodified graphs.
        unlike: has no effect here, because each row names its data set.

    Raises:
        InvalidInput: no study is among the recordings.
        UnknownName: ``against`` is not in one of the studies.
    """
    import pandas

    parts = []
    for study in check_items("studies", studies):
        if "graph_score" not in study:
            continue
        methods = [str(name) for name in study["training_set"].values]
        baseline = against or (BASELINE if BASELINE in methods else methods[0])
        balanced = table(study, "balanced", baseline)
        accuracy = table(study, "accuracy", baseline)
        balanced.insert(2, "accuracy", accuracy["accuracy"])
        balanced.insert(0, "data", study.attrs["config"]["data"]["name"])
        parts.append(balanced)
    if not parts:
        raise InvalidInput(f"studies must be recordings of {STUDY.name}, got none")
    joined = pandas.concat(parts, ignore_index=True)
    joined.attrs["percent"] = ("balanced",)
    return joined
