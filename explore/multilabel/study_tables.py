"""Tables of studies of multi-label losses: means over seeds, and paired differences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from explore.core.statistics import mean_and_std, paired_difference
from explore.core.validation import check_choice, check_items, describe
from explore.errors import InvalidInput
from explore.multilabel.catalog import METHOD_LABELS
from explore.multilabel.config import CONTRASTIVE_METHODS
from explore.multilabel.recordings import BASELINE, MEASURE_NAMES, STUDY

if TYPE_CHECKING:
    import pandas
    import xarray

SPLIT_LABELS = {"val": "validation samples", "test": "test samples"}


def last_frame(studies: xarray.Dataset | Sequence[xarray.Dataset]) -> xarray.Dataset:
    """Return the last frame of a study, or of the first of several; a snapshot is one frame.

    Raises:
        InvalidInput: no such study.
    """
    checked = STUDY.check(studies)
    if not checked:
        raise InvalidInput(f"study must be a recording of {STUDY.name}, got {describe(studies)}")
    last = checked[0]
    return last.isel(step=-1) if "step" in last.dims else last


def loss_names(study: xarray.Dataset) -> list[str]:
    """Return the names of the losses of a study, such as "kmcl"."""
    return [str(name) for name in study["training_loss"].values]


def loss_label(name: str) -> str:
    """Return the name of a loss in pictures and tables, such as "KMCL"."""
    return METHOD_LABELS.get(name, name)


def chosen_settings(study: xarray.Dataset) -> list[tuple[float, float]]:
    """Return learning rate and weight of each loss, as they were chosen on validation samples.

    The weight is a factor of the default weight of the contrastive term.

    Args:
        study: one frame of a study.

    Returns:
        Pairs in the order of the losses. A rate is NaN until it is chosen. So is a weight, and that
        of a loss without a contrastive term.
    """
    settings = []
    for index, name in enumerate(loss_names(study)):
        rate, weight = (
            _studied_value(study[option].values, float(study[f"chosen_{option}"].values[index]))
            for option in ("rate", "weight")
        )
        settings.append((rate, weight if name in CONTRASTIVE_METHODS else float("nan")))
    return settings


def table(study: xarray.Dataset, measure: str = "mAP", against: str = BASELINE) -> pandas.DataFrame:
    """Return one row for each loss: mean, spread, paired difference and chosen settings.

    The differences have 95 % intervals over the seeds. "weight ×" is the factor of the default
    weight of the contrastive term; a loss without this term has none.

    Args:
        study: a recording of ``multilabel-study``, of which the last frame is used, or a snapshot.
        measure: "mAP", "CF1" or "OF1".
        against: the loss to which the others are compared.

    Raises:
        InvalidInput: no such study.
        UnknownName: a measure or loss that is not in it.
    """
    import pandas

    last = last_frame(study)
    check_choice("measure", measure, [str(name) for name in last["measure"].values])
    names = loss_names(last)
    check_choice("against", against, names)
    scores = last["score"].sel(measure=measure).transpose("training_loss", "run").values
    baseline = scores[names.index(against)]
    rows = []
    for name, values, (rate, weight) in zip(names, scores, chosen_settings(last), strict=True):
        mean, deviation = mean_and_std(values)
        difference, interval = paired_difference(values, baseline)
        rows.append(
            {
                "loss": loss_label(name),
                measure: mean,
                "std": deviation,
                "seeds": int(np.isfinite(values).sum()),
                f"minus {loss_label(against)}": difference,
                "±": interval,
                "rate": rate,
                "weight ×": weight,
            }
        )
    return pandas.DataFrame(rows)


def tables(
    studies: Sequence[xarray.Dataset], against: str = "", unlike: bool = False
) -> pandas.DataFrame:
    """Return the tables of several studies in one, with all measures; see ``table``.

    The differences are those of the mAP.

    Args:
        studies: recordings; other ones are skipped.
        against: the loss to which the others are compared; by default "bce", or the first loss that
            all studies have.
        unlike: has no effect here, because each row names its data set.

    Raises:
        InvalidInput: no study is among the recordings, or the studies have no loss in common.
        UnknownName: ``against`` is not in one of the studies.
    """
    import pandas

    frames = [
        last_frame(study)
        for study in check_items("studies", studies)
        if "training_loss" in study.dims
    ]
    if not frames:
        raise InvalidInput(
            f"expected recordings of {STUDY.name}, got none among {len(studies)} recordings"
        )
    baseline = against or _common_baseline(frames)
    parts = []
    for frame in frames:
        part, *others = (table(frame, measure, baseline) for measure in MEASURE_NAMES)
        for position, (measure, other) in enumerate(zip(MEASURE_NAMES[1:], others, strict=True)):
            part.insert(1 + position, measure, other[measure])
        part.insert(0, "data", _data_name(frame))
        parts.append(part)
    joined = pandas.concat(parts, ignore_index=True)
    joined.attrs["percent"] = MEASURE_NAMES
    scored = dict.fromkeys(f"{_data_name(frame)}: {split_label(frame)}" for frame in frames)
    joined.attrs["notes"] = [
        f"scored on: {', '.join(scored)}",
        f"± after mAP: standard deviation over seeds; minus {loss_label(baseline)}: paired "
        "difference in mAP with its 95 % interval",
        "rate and weight (a factor of its default) were chosen on validation samples",
    ]
    return joined


def split_label(study: xarray.Dataset) -> str:
    """Return which samples a recorded study scores, "test samples" or "validation samples"."""
    split = str(study.attrs["config"].get("split", "test"))
    return SPLIT_LABELS.get(split, split)


def _data_name(study: xarray.Dataset) -> str:
    return str(study.attrs["config"]["data"]["name"])


def _common_baseline(frames: Sequence[xarray.Dataset]) -> str:
    """Return the loss with which all studies can be compared."""
    first, *others = map(loss_names, frames)
    common = [name for name in first if all(name in names for names in others)]
    if not common:
        raise InvalidInput("the studies have no loss in common; make one table of each study")
    return BASELINE if BASELINE in common else common[0]


def _studied_value(values: np.ndarray, value: float) -> float:
    """Return the option that a float32 value stands for; NaN stays NaN."""
    if not np.isfinite(value):
        return float("nan")
    options = np.asarray(values, float)
    return float(options[np.abs(options - value).argmin()])
