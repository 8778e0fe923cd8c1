"""The table of evaluations: one row for all distilled sets that differ only in their seed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from explore.core.validation import check_flag, check_items, check_text, describe
from explore.distill.catalog import BASELINES, DISTILLATION_METHODS
from explore.distill.config import MAPS_NOTE, uses_maps
from explore.distill.evaluation.config import EvaluationProtocol
from explore.distill.evaluation.results import (
    check_alike,
    check_evaluations,
    compare_results,
    last_frame,
    seed_of,
)
from explore.errors import InvalidInput

if TYPE_CHECKING:
    import pandas
    import xarray

METHOD_ORDER = (*BASELINES, *DISTILLATION_METHODS)
COST_COLUMNS = ("distil s", "score s")
GROUP_COLUMNS = ("data", "images_per_class", "architecture")
"""Rows that agree in these columns are compared to each other."""


@dataclass
class Row:
    """One row of the table.

    Attributes:
        key: all options of the distillation but its seed, the data, and the last step.
        evaluations: the last frames of the evaluations of one architecture.
    """

    key: Mapping[str, Any]
    evaluations: list[xarray.Dataset]

    @property
    def group(self) -> tuple[Any, ...]:
        """The values that rows must share to be compared."""
        return tuple(self.key[column] for column in GROUP_COLUMNS if column in self.key)

    @property
    def rank(self) -> tuple[int, str]:
        """The position of the row among those of its group: methods in the order of the catalog."""
        method = str(self.key["method"])
        order = METHOD_ORDER.index(method) if method in METHOD_ORDER else len(METHOD_ORDER)
        return order, _json(self.key)


def table(
    recordings: Sequence[xarray.Dataset], against: str = "", unlike: bool = False
) -> pandas.DataFrame:
    """Return one table of evaluations.

    Args:
        recordings: of evaluations. Those of the distillations add the seconds of a distillation.
        against: the method to which the others with the same data and images per class are
            compared; "random" by default.
        unlike: allow different protocols and test images.

    Returns:
        ``data``, ``images_per_class``, ``method``, further options in which rows of one method
        differ, ``architecture`` if there are several, then the columns of ``compare_results``,
        ``distil s`` (seconds of one distillation) and ``score s`` (seconds for training and testing
        one network). ``attrs["notes"]`` say how the numbers were measured.

    Raises:
        InvalidInput: no evaluation among the recordings, different protocols, or no such method.
    """
    import pandas

    recordings = _check_recordings(recordings)
    against, unlike = check_text("against", against), check_flag("unlike", unlike)
    evaluations = [r for r in recordings if r.attrs.get("name") == "evaluate"]
    if not evaluations:
        raise InvalidInput(
            f"none of the {len(recordings)} recordings is an evaluation; "
            "record one with: explore run evaluate --distilled FILE"
        )
    distillations = [r for r in recordings if r.attrs.get("name") != "evaluate"]
    seconds = _seconds_of_distillations(distillations)
    evaluations = _without_duplicates(evaluations)
    labels = _data_labels(evaluations)
    if not unlike:
        titles = [f"{_title(e, labels)} (evaluation {k + 1})" for k, e in enumerate(evaluations)]
        check_alike(dict(zip(titles, evaluations, strict=True)))
    rows = _rows(evaluations, labels)
    columns = _key_columns([row.key for row in rows])
    records = []
    for group in sorted({row.group for row in rows}, key=_sortable):
        members = sorted((row for row in rows if row.group == group), key=lambda row: row.rank)
        compared = _compare_group(members, against)
        for (_, numbers), row in zip(compared.iterrows(), members, strict=True):
            key = {column: row.key.get(column, "") for column in columns}
            records.append(key | numbers.drop("set").to_dict() | _costs(row, seconds))
    frame = pandas.DataFrame(records)
    frame = frame[
        [*(column for column in frame.columns if column not in COST_COLUMNS), *COST_COLUMNS]
    ]
    frame.attrs["notes"] = _notes(evaluations, frame["sets"].tolist())
    return frame


def _check_recordings(recordings: Any) -> list[xarray.Dataset]:
    """Return one recording or several as a list."""
    listed = (
        [recordings] if hasattr(recordings, "data_vars") else check_items("recordings", recordings)
    )
    for value in listed:
        if not hasattr(value, "data_vars") or not isinstance(value.attrs.get("config"), Mapping):
            raise InvalidInput(
                f"recordings must be a list of recordings, got {describe(value)} in it; open them "
                "by open_recording"
            )
    check_evaluations("recordings", [r for r in listed if r.attrs.get("name") == "evaluate"])
    return listed


def _rows(evaluations: Sequence[xarray.Dataset], labels: Mapping[str, str]) -> list[Row]:
    """Return the rows in the order in which they first occur."""
    kinds = {str(kind) for e in evaluations for kind in e["architecture"].values}
    rows: dict[str, Row] = {}
    for evaluation in evaluations:
        for kind in map(str, evaluation["architecture"].values):
            key = _key(evaluation.attrs["config"], labels)
            if len(kinds) > 1:
                key["architecture"] = kind
            row = rows.setdefault(_json(key), Row(key, []))
            row.evaluations.append(last_frame(evaluation).sel(architecture=[kind]))
    return list(rows.values())


def _compare_group(rows: Sequence[Row], against: str) -> pandas.DataFrame:
    """Return the results of the rows of one group, compared to the method ``against``."""
    baseline = against or "random"
    methods = [str(row.key["method"]) for row in rows]
    if against and baseline not in methods:
        values = zip(GROUP_COLUMNS, rows[0].group, strict=False)
        group = ", ".join(f"{column.replace('_', ' ')} {value}" for column, value in values)
        raise InvalidInput(
            f"there is no {against!r} to compare with for {group}; "
            f"there is {', '.join(dict.fromkeys(methods))}"
        )
    index = methods.index(baseline) if baseline in methods else 0
    results = {str(k): row.evaluations for k, row in enumerate(rows)}
    compared = compare_results(results, unlike=True, against=str(index))
    difference = f"minus {index}"
    if baseline not in methods:
        return compared.drop(columns=[difference, "±"], errors="ignore")
    return compared.rename(columns={difference: f"minus {baseline}"})


def _costs(row: Row, seconds: Mapping[str, float]) -> dict[str, float]:
    """Return the mean seconds of a distillation, and of training and testing one network."""
    configs = [evaluation.attrs["config"]["distilled"] for evaluation in row.evaluations]
    distilling = [seconds[key] for key in map(_distillation_key, configs) if key in seconds]
    attributes = [evaluation.attrs for evaluation in row.evaluations]
    scoring = [a["seconds each"] for a in attributes if "seconds each" in a]
    means = [float(np.mean(values)) if values else np.nan for values in (distilling, scoring)]
    return dict(zip(COST_COLUMNS, means, strict=True))


def _without_duplicates(evaluations: Iterable[xarray.Dataset]) -> list[xarray.Dataset]:
    """Return each evaluation once, with the attribute ``seconds each``: the seconds of one network.

    Of two recordings of one evaluation, that with more trained networks is returned.
    """
    by_config: dict[str, tuple[int, xarray.Dataset]] = {}
    for evaluation in evaluations:
        key = _json(evaluation.attrs["config"])
        trained = int(np.isfinite(last_frame(evaluation)["accuracy"].values).sum())
        if key not in by_config or trained > by_config[key][0]:
            if trained and "seconds" in evaluation.attrs:
                each = evaluation.attrs["seconds"] / trained
                evaluation = evaluation.assign_attrs({"seconds each": each})
            by_config[key] = trained, evaluation
    return [evaluation for _, evaluation in by_config.values()]


def _data_labels(evaluations: Iterable[xarray.Dataset]) -> dict[str, str]:
    """Return the label of each data set by its ``_data_key``.

    A label is the name, with the options in which sets of this name differ.
    """
    configs = [evaluation.attrs["config"] for evaluation in evaluations]
    sets = [data for config in configs for data in (config["data"], _training_data(config)) if data]
    by_name: dict[str, dict[str, dict[str, Any]]] = {}
    for data in sets:
        by_name.setdefault(data["name"], {})[_data_key(data)] = _data_options(data)
    labels = {}
    for name, options_of in by_name.items():
        differing = _differing_keys(options_of.values())
        for key, options in options_of.items():
            texts = [f"{option}={options[option]}" for option in differing if option in options]
            labels[key] = " ".join([name, *texts])
    return labels


def _training_data(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the description of the data that were distilled; empty if it is unknown."""
    data = (config["distilled"].get("config") or {}).get("data") or {}
    return data if data.get("name") else {}


def _data_options(data: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in (data.get("options") or {}).items() if key != "split"}


def _data_key(data: Mapping[str, Any]) -> str:
    return _json([data["name"], _data_options(data)])


def _key(config: Mapping[str, Any], labels: Mapping[str, str]) -> dict[str, Any]:
    """Return what identifies a row: options of the distillation without its seed, data and step."""
    distilled = config["distilled"]
    unknown = {"method": "a set of unknown origin", "sha256": distilled["sha256"]}
    options = {"images_per_class": None, **(distilled.get("config") or unknown)}
    options.pop("seed", None)
    tested = labels[_data_key(config["data"])]
    trained = labels[_data_key(_training_data(config) or config["data"])]
    options["data"] = tested if trained == tested else f"{trained}, scored on {tested}"
    return {**options, "step": distilled.get("step")}


def _key_columns(keys: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return data, images per class, method, and the options in which rows of one method differ."""
    first = ("data", "images_per_class", "method")
    by_method: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for key in keys:
        by_method.setdefault(tuple(key[column] for column in first), []).append(key)
    differing = {column for same in by_method.values() for column in _differing_keys(same)}
    last = ["architecture"] if any("architecture" in key for key in keys) else []
    return [*first, *sorted(differing - set(last)), *last]


def _differing_keys(mappings: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the keys whose values are not the same in all mappings."""
    listed = list(mappings)
    keys = sorted({key for mapping in listed for key in mapping})
    return [key for key in keys if any(m.get(key) != listed[0].get(key) for m in listed)]


def _title(evaluation: xarray.Dataset, labels: Mapping[str, str]) -> str:
    key = _key(evaluation.attrs["config"], labels)
    return f"{key['method']} on {key['data']}, seed {seed_of(evaluation)}"


def _distillation_key(distilled: Mapping[str, Any]) -> str:
    return _json([distilled.get("config"), distilled.get("step")])


def _seconds_of_distillations(recordings: Iterable[xarray.Dataset]) -> dict[str, float]:
    return {
        _distillation_key({"config": r.attrs["config"], "step": int(r["step"][-1])}): seconds
        for r in recordings
        if (seconds := r.attrs.get("seconds")) is not None and r.sizes.get("step")
    }


def _notes(evaluations: Sequence[xarray.Dataset], set_counts: Sequence[int]) -> list[str]:
    config = evaluations[0].attrs["config"]
    p = EvaluationProtocol.of(config)
    kinds = dict.fromkeys(str(kind) for e in evaluations for kind in e["architecture"].values)
    sets = _count(set_counts, "distilled set")
    networks = _count([e.sizes["network"] for e in evaluations], "network")
    machines = dict.fromkeys(
        f"{e.attrs.get('threads')} thread(s) of {e.attrs.get('device', 'a machine')}"
        for e in evaluations
    )
    with_maps = any(uses_maps(e.attrs["config"]["distilled"]) for e in evaluations)
    return [
        f"Accuracy on the {config['split']} images: mean ± standard deviation over {sets} × "
        f"{networks} ({', '.join(kinds)}, {p.width} wide, {p.norm} norm; {p.epochs} epochs of SGD, "
        f"rate {p.learning_rate:g} / 10 at half, momentum {p.momentum:g}, weight decay "
        f"{p.weight_decay:g}, batch {p.batch}, augmentation {p.augment}), last epoch.",
        "Differences are paired by seed and network, ± half of the 95 % interval over "
        f"{'networks' if set(set_counts) == {1} else 'sets'}.",
        f"Seconds on {'; '.join(machines)}.",
        *([f"EDF: {MAPS_NOTE}."] if with_maps else []),
    ]


def _count(counts: Sequence[int], noun: str) -> str:
    """Return such as "5 networks", "1 network" or "1 or 3 networks"."""
    return f"{' or '.join(map(str, sorted(set(counts))))} {noun}{'' if set(counts) == {1} else 's'}"


def _sortable(values: Sequence[Any]) -> list[tuple[str, Any]]:
    return [(str(type(value)), value) for value in values]


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
