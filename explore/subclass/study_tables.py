"""Tables of a study: means, standard deviations, and paired differences between methods."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from explore.core.statistics import mean_and_std, paired_difference
from explore.core.validation import describe, to_python
from explore.errors import InvalidInput
from explore.subclass.catalog import METHOD_LABELS
from explore.subclass.recordings import SCORE_DIMS, STUDY

if TYPE_CHECKING:
    import pandas
    import xarray


def last_frame(study: xarray.Dataset) -> xarray.Dataset:
    """Return the last frame of a recording; a snapshot is returned unchanged."""
    return study.isel(step=-1) if "step" in study.dims else study


def select_scores(study: xarray.Dataset, measure: str, **values: Any) -> xarray.DataArray:
    """Return the scores of one metric at given values, such as ``labels=50, temperature=4.0``.

    Raises:
        InvalidInput: a metric or value that was not studied.
    """
    scores = study["score"]
    for name, value in {"measure": measure, **values}.items():
        check_studied(study, name, value)
        scores = scores.sel({name: value})
    return scores


def check_studied(study: xarray.Dataset, name: str, value: Any) -> None:
    """Check that a coordinate of a study holds a value.

    Raises:
        InvalidInput: it does not.
    """
    values, value = study[name].values.tolist(), to_python(value)
    if not isinstance(value, str | int | float) or value not in values:
        raise InvalidInput(
            f"{name} {describe(value)} was not studied; it has {', '.join(map(str, values))}"
        )


def table(
    study: xarray.Dataset, measure: str = "accuracy", against: str = "scratch"
) -> pandas.DataFrame:
    """Return one row for each setting and method: mean, standard deviation and paired difference.

    The differences have 95 % intervals over the runs.

    Args:
        study: a recording of ``subclass-study``, of which the last frame is used, or a snapshot.
        measure: a metric of ``explore.subclass.report``.
        against: the method to which the others are compared.

    Raises:
        InvalidInput: no study, or no such metric or method in it.
    """
    import pandas

    studies = STUDY.check(study)
    if len(studies) != 1:
        raise InvalidInput(f"study must be one recording of a study, got {len(studies)}")
    last = last_frame(studies[0])
    scores = select_scores(last, measure)
    check_studied(last, "lesson", against)
    rows = []
    setting_dims = [dim for dim in SCORE_DIMS if dim not in ("lesson", "run")]
    for index in np.ndindex(*(last.sizes[dim] for dim in setting_dims)):
        position = dict(zip(setting_dims, index, strict=True))
        runs = scores.isel(position)
        setting = {dim: last[dim].values[k].item() for dim, k in position.items()}
        for method in runs["lesson"].values.tolist():
            values = runs.sel(lesson=method).values
            mean, deviation = mean_and_std(values)
            difference, interval = paired_difference(values, runs.sel(lesson=against).values)
            rows.append(
                {
                    **setting,
                    "lesson": method,
                    "taught with": METHOD_LABELS.get(method, method),
                    measure: mean,
                    "std": deviation,
                    "runs": int(np.isfinite(values).sum()),
                    f"minus {against}": difference,
                    "±": interval,
                }
            )
    return pandas.DataFrame(rows)


def tables(
    studies: Sequence[xarray.Dataset], against: str = "", unlike: bool = False
) -> pandas.DataFrame:
    """Return the tables of several studies in one; see ``table``. Other recordings are skipped.

    Args:
        studies: recordings.
        against: the method to which the others are compared; "scratch" by default.
        unlike: has no effect here, because each row names its data set.
    """
    import pandas

    parts = []
    for study in studies:
        if "score" in study:
            rows = table(study, against=against or "scratch")
            rows.insert(0, "data", study.attrs["config"]["data"]["name"])
            parts.append(rows)
    return pandas.concat(parts, ignore_index=True)
