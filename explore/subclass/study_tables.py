"""What a study's scores say: means, spreads, and differences between students that share everything but the lesson."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from explore.core.statistics import mean_and_std, paired_difference
from explore.errors import InvalidInput
from explore.subclass.catalog import METHOD_LABELS

if TYPE_CHECKING:
    import pandas
    import xarray

MEASURES = {
    "accuracy": "accuracy",
    "f1": "F1",
    "macro_f1": "macro F1",
    "auc": "AUC",
    "brier": "Brier score",
}
"""The numbers of ``explore.subclass.classification_metrics`` that a study keeps; of the Brier score less is better."""

DIMS = ("lesson", "temperature", "labels", "teacher_images", "width", "run")
"""Of a study's scores, after the measure. (A dimension called "method" would be taken for an option by xarray's ``sel``.)"""


def chosen(study: xarray.Dataset, measure: str, **state: Any) -> xarray.DataArray:
    """Scores of one measure at chosen places, such as ``labels=50, temperature=4.0``.

    Raises:
        InvalidInput: a measure or value that was not studied.
    """
    scores = study["score"]
    for name, value in {"measure": measure, **state}.items():
        known = scores[name].values.tolist()
        if value not in known:
            raise InvalidInput(
                f"{name} {value!r} was not studied; it has {', '.join(map(str, known))}"
            )
        scores = scores.sel({name: value})
    return scores


def table(
    study: xarray.Dataset, measure: str = "accuracy", against: str = "scratch"
) -> pandas.DataFrame:
    """One row for each setting and lesson: mean, standard deviation over runs, paired difference with a 95 % interval.

    Args:
        study: a recording of ``subclass-study``; its last frame counts.
        measure: of ``explore.subclass.classification_metrics``.
        against: the lesson that the others are compared with.

    Raises:
        InvalidInput: this is no study, or it has no such measure or lesson.
    """
    import pandas

    if not hasattr(study, "data_vars") or "score" not in study:
        raise InvalidInput(
            f"expected a recording of subclass-study, or a StudyRun's snapshot(); got {type(study).__name__}"
        )
    last = study.isel(step=-1) if "step" in study.dims else study
    for name, value in (("measure", measure), ("lesson", against)):
        if value not in last[name].values.tolist():
            raise InvalidInput(
                f"{name} {value!r} was not studied; it has {', '.join(last[name].values.tolist())}"
            )
    rows = []
    inner = [dim for dim in DIMS if dim not in ("lesson", "run")]
    for place in np.ndindex(*(last.sizes[dim] for dim in inner)):
        here = last["score"].sel(measure=measure).isel(dict(zip(inner, place, strict=True)))
        base = here.sel(lesson=against).values
        for lesson in here["lesson"].values.tolist():
            values = here.sel(lesson=lesson).values
            mean, deviation = mean_and_std(values)
            difference, half = paired_difference(values, base)
            setting = {dim: last[dim].values[k].item() for dim, k in zip(inner, place, strict=True)}
            found = {measure: mean, "std": deviation, "runs": int(np.isfinite(values).sum())}
            rows.append(
                {
                    **setting,
                    "lesson": lesson,
                    "taught with": METHOD_LABELS.get(lesson, lesson),
                    **found,
                    f"minus {against}": difference,
                    "±": half,
                }
            )
    return pandas.DataFrame(rows)


def tables(
    studies: Sequence[xarray.Dataset], against: str = "", unlike: bool = False
) -> pandas.DataFrame:
    """The tables of several studies below each other; see ``table``. What else is given is passed over.

    Args:
        studies: recordings, of ``subclass-study`` those that count.
        against: the lesson that the others are compared with; "scratch" by default.
        unlike: nothing here; each row says what it is of.
    """
    import pandas

    found = [
        (study, table(study, against=against or "scratch")) for study in studies if "score" in study
    ]
    for study, rows in found:
        rows.insert(0, "data", study.attrs["config"]["data"]["name"])
    return pandas.concat([rows for _, rows in found], ignore_index=True)
