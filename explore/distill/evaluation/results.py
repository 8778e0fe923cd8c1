"""Comparison of evaluation results: means, and differences that are paired by seed and network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from explore.core.statistics import mean_and_std, paired_difference
from explore.core.validation import check_flag, check_items, check_text, describe
from explore.distill.evaluation.config import EvaluationProtocol
from explore.errors import InvalidInput

if TYPE_CHECKING:
    import pandas
    import xarray

EVALUATED = frozenset(["data", "distilled", "seed"])
"""What the configuration of an evaluation holds among other things."""

Network = tuple[str, int, int]
"""Architecture, seed of the evaluation and number of a network."""

DistilledSetKey = tuple[Any, int]
"""Seed of a distilled set, and its number among the sets with this seed."""


def compare_results(
    results: Mapping[str, xarray.Dataset | Sequence[xarray.Dataset]],
    unlike: bool = False,
    against: str = "",
) -> pandas.DataFrame:
    """Return one row for each name: mean, standard deviation and paired difference of accuracy.

    Network k on one set is paired with network k on the other set of the same seed. The 95 %
    interval is Student's t over sets, because networks on one set are not independent trials of the
    method; the value of a set is the mean of its networks. With only one set, the interval is over
    networks and says nothing about other sets. Networks that are trained on only one of the two
    sets are left out of the difference. Two evaluations of one set count as one set.

    Args:
        results: name → ``EvaluationRun.result()`` (or the recording of one), or several, one for
            each distilled set.
        unlike: allow different protocols and test images.
        against: the name to which the others are compared; the first one by default.

    Returns:
        ``set``, ``accuracy``, ``std`` (over all networks of all sets), ``sets``, ``n`` (number of
        networks), ``minus NAME`` and ``±``, half of the interval. Accuracies are between 0 and 1.

    Raises:
        InvalidInput: no results, no such name, or different protocols or test images; the message
            gives the difference.
    """
    import pandas

    if not isinstance(results, Mapping):
        raise InvalidInput(
            f"results must be a mapping, name → result of an evaluation, got {describe(results)}"
        )
    by_name = {
        str(name): [last_frame(r) for r in check_evaluations(f"results[{name!r}]", value)]
        for name, value in results.items()
    }
    if not by_name or not all(by_name.values()):
        raise InvalidInput(
            "there are no results; give name → EvaluationRun.result() of one evaluation or more"
        )
    against = check_text("against", against) or next(iter(by_name))
    if against not in by_name:
        raise InvalidInput(
            f"there is no {against!r} to compare with; there are {', '.join(by_name)}"
        )
    if not check_flag("unlike", unlike):
        check_alike({name: evaluations[0] for name, evaluations in by_name.items()})
        for name, evaluations in by_name.items():
            check_alike({f"{name} (set {k})": e for k, e in enumerate(evaluations)})
    sets = {name: _accuracy_by_set(evaluations) for name, evaluations in by_name.items()}
    rows = []
    for name, own in sets.items():
        values = [value for networks in own.values() for value in networks.values()]
        mean, std = mean_and_std(values)
        row = {"set": name, "accuracy": mean, "std": std, "sets": len(own), "n": len(values)}
        if name != against:
            row[f"minus {against}"], row["±"] = _difference(own, sets[against])
        rows.append(row)
    return pandas.DataFrame(rows)


def check_alike(evaluations: Mapping[str, xarray.Dataset]) -> None:
    """Check that evaluations can be compared.

    Raises:
        InvalidInput: different protocols, or different images of the same test set; the message
            gives the difference.
    """
    configs = {name: evaluation.attrs["config"] for name, evaluation in evaluations.items()}
    first_name, first = next(iter(configs.items()))
    tests: dict[str, tuple[str, str]] = {}
    for name, config in configs.items():
        differences = [EvaluationProtocol.of(first).unlike(EvaluationProtocol.of(config))]
        test = config["data"]
        other_name, sha256 = tests.setdefault(test["name"], (name, test["sha256"]))
        if test["sha256"] != sha256:
            differences.append(f"other test images than {other_name}")
        if any(differences):
            raise InvalidInput(
                f"{first_name} and {name} were not evaluated alike: "
                f"{', '.join(filter(None, differences))}. Evaluate both alike, or allow different "
                "protocols (unlike)"
            )


def seed_of(evaluation: xarray.Dataset) -> Any:
    """Return the seed of the distilled set; if it is unknown, that of the networks."""
    config = evaluation.attrs["config"]
    return (config["distilled"].get("config") or {}).get("seed", config["seed"])


def last_frame(recording: xarray.Dataset) -> xarray.Dataset:
    """Return the last frame of a recording; a result is returned unchanged."""
    return recording.isel(step=-1) if "step" in recording.dims else recording


def check_evaluations(name: str, values: Any) -> list[xarray.Dataset]:
    """Return the result or the recording of an evaluation, or several, as a list.

    Raises:
        InvalidInput: something else is among them.
    """
    listed = [values] if hasattr(values, "data_vars") else check_items(name, values)
    for value in listed:
        config = getattr(value, "attrs", {}).get("config")
        is_evaluation = "accuracy" in getattr(value, "data_vars", ()) and "architecture" in value
        if not is_evaluation or not isinstance(config, Mapping) or not set(config) >= EVALUATED:
            raise InvalidInput(
                f"{name} must be the result or the recording of an evaluation, or several, got "
                f"{type(value).__name__}; pass EvaluationRun.result()"
            )
    return listed


def _accuracy_by_set(
    evaluations: Sequence[xarray.Dataset],
) -> dict[DistilledSetKey, dict[Network, float]]:
    """Return the accuracy of each trained network of each distilled set."""
    by_identity: dict[tuple[Any, str], dict[Network, float]] = {}
    seeds: dict[tuple[Any, str], Any] = {}
    for evaluation in evaluations:
        config = evaluation.attrs["config"]
        distilled = config["distilled"]
        identity = (distilled.get("config") or {}).get("seed"), distilled["sha256"]
        seeds.setdefault(identity, seed_of(evaluation))
        networks = by_identity.setdefault(identity, {})
        for kind, values in zip(
            evaluation["architecture"].values, evaluation["accuracy"].values, strict=True
        ):
            for number in np.flatnonzero(np.isfinite(values)):
                networks[str(kind), config["seed"], int(number)] = float(values[number])
    counts: dict[Any, int] = {}
    sets = {}
    for identity, networks in by_identity.items():
        seed = seeds[identity]
        counts[seed] = counts.get(seed, -1) + 1
        sets[seed, counts[seed]] = networks
    return sets


def _difference(
    own: Mapping[DistilledSetKey, Mapping[Network, float]],
    base: Mapping[DistilledSetKey, Mapping[Network, float]],
) -> tuple[float, float]:
    """Return the mean of own − base over common networks, and half of its 95 % interval."""
    pairs = []
    for key, networks in own.items():
        common = [network for network in networks if network in base.get(key, {})]
        if common:
            pairs.append([[side[key][network] for network in common] for side in (own, base)])
    if not pairs:
        return float("nan"), float("nan")
    if len(pairs) == 1:
        return paired_difference(*pairs[0])
    means = [[float(np.mean(values)) for values in pair] for pair in pairs]
    return paired_difference(*zip(*means, strict=True))
