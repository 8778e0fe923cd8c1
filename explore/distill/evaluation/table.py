"""Tables of evaluations: sets that share all but the seed in one row, beside what they are to be compared with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from explore.core.statistics import mean_and_std, paired_difference
from explore.distill.config import CORESETS, TERMS
from explore.distill.evaluation.config import EvaluationProtocol
from explore.errors import InvalidInput

if TYPE_CHECKING:
    import pandas
    import xarray

ORDER = (*CORESETS, *TERMS)
COSTS = ("distil s", "score s")
BLOCK = ("data", "images_per_class")
"""Rows that agree in these are compared with each other."""


def compare_results(
    results: Mapping[str, xarray.Dataset | Sequence[xarray.Dataset]],
    unlike: bool = False,
    against: str = "",
) -> pandas.DataFrame:
    """One row a name: mean and standard deviation of accuracy, how many sets and networks, and the paired difference.

    Network k on one set is paired with network k on the other set of the same seed. The 95 % interval is Student's t over
    sets (the difference of a set is its networks' mean: networks on one set are no independent trials of the method); where
    there is one set only, it is over networks, and says nothing of other sets. Networks that only one of both has, or that
    are still to be trained, are left out of the difference. A set that was scored twice is one set.

    Args:
        results: name → ``EvaluationRun.result()`` (or the recording of one), or several, one for each distilled set.
        unlike: allow other protocols and test images beside each other.
        against: the name that the others are compared with; the first one by default.

    Returns:
        ``set``, ``accuracy``, ``std`` (over all networks of all sets), ``sets``, ``n`` (networks in all), ``minus NAME``
        and ``±``, half of the interval. Accuracies are shares, 0 to 1.

    Raises:
        InvalidInput: unlike protocols or test images (says what differs), no results, or no such name.
    """
    import pandas

    known = {name: [_last(one) for one in _several(found)] for name, found in results.items()}
    if not known or not all(known.values()):
        raise InvalidInput(
            "no results were given; give name → EvaluationRun.result() of at least one evaluation"
        )
    against = against or next(iter(known))
    if against not in known:
        raise InvalidInput(f"there is no {against!r} to compare with; there are {', '.join(known)}")
    if not unlike:
        check_alike({name: found[0].attrs["config"] for name, found in known.items()})
        for name, found in known.items():
            check_alike({f"{name} (set {k})": one.attrs["config"] for k, one in enumerate(found)})
    sets = {name: _sets(found) for name, found in known.items()}
    rows = []
    for name, mine in sets.items():
        values = [value for networks in mine.values() for value in networks.values()]
        mean, deviation = mean_and_std(values)
        row: dict[str, Any] = {
            "set": name,
            "accuracy": mean,
            "std": deviation,
            "sets": len(mine),
            "n": len(values),
        }
        if name != against:
            row |= dict(
                zip((f"minus {against}", "±"), _difference(mine, sets[against]), strict=True)
            )
        rows.append(row)
    return pandas.DataFrame(rows)


def table(
    recordings: Sequence[xarray.Dataset], against: str = "", unlike: bool = False
) -> pandas.DataFrame:
    """Evaluations as one table: a row for all sets that differ in their seed only.

    Args:
        recordings: of evaluations; those of the distillations too, if their seconds are to be shown.
        against: the method that the others are compared with, at the same data and images a class: "random" by default.
        unlike: allow other protocols and test images beside each other.

    Returns:
        ``data``, ``images_per_class``, ``method``, further options in which rows of one method differ, ``architecture``
        if there are several, then what ``compare_results`` says, ``distil s`` (seconds of one distillation) and ``score s``
        (of training and scoring one network). ``attrs["notes"]`` say how the numbers were obtained.

    Raises:
        InvalidInput: no evaluation among the recordings, or unlike ones.
    """
    import pandas

    scored = [r for r in recordings if r.attrs.get("name") == "evaluate"]
    if not scored:
        raise InvalidInput(
            f"none of the {len(recordings)} recordings is an evaluation: explore run evaluate --distilled FILE makes one"
        )
    seconds = _seconds([r for r in recordings if r.attrs.get("name") != "evaluate"])
    scored = _once(scored)
    called = _labels(scored)
    pieces = [(one, str(kind)) for one in scored for kind in one["architecture"].values]
    several = len({kind for _, kind in pieces}) > 1
    groups: dict[str, list[xarray.Dataset]] = {}
    keys: dict[str, dict[str, Any]] = {}
    for one, kind in pieces:
        key = _key(one.attrs["config"], called) | ({"architecture": kind} if several else {})
        name = json.dumps(key, sort_keys=True)
        keys[name] = key
        groups.setdefault(name, []).append(_last(one).sel(architecture=[kind]))
    if not unlike:
        check_alike(
            {
                f"{_title(one, called)} (evaluation {k + 1})": one.attrs["config"]
                for k, one in enumerate(scored)
            }
        )
    shown = _columns(list(keys.values()))
    rows = []
    for block in sorted(
        {_block(key) for key in keys.values()},
        key=lambda values: [(str(type(v)), v) for v in values],
    ):
        names = sorted(
            (name for name, key in keys.items() if _block(key) == block),
            key=lambda name: _rank(keys[name]),
        )
        wanted = [name for name in names if keys[name]["method"] == (against or "random")]
        if against and not wanted:
            named = zip((*BLOCK, "architecture"), block, strict=False)
            where = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in named)
            there = ", ".join(dict.fromkeys(str(keys[name]["method"]) for name in names))
            raise InvalidInput(
                f"there is no {against!r} to compare with at {where}; there is {there}"
            )
        found = compare_results(
            {name: groups[name] for name in names}, True, wanted[0] if wanted else names[0]
        )
        if not wanted:
            found = found.drop(
                columns=[c for c in found.columns if c == "±" or c.startswith("minus ")]
            )
        found.columns = [
            f"minus {against or 'random'}" if c.startswith("minus ") else c for c in found.columns
        ]
        for (_, row), name in zip(found.iterrows(), names, strict=True):
            spent = [
                seconds[s]
                for r in groups[name]
                if (s := _same(r.attrs["config"]["distilled"])) in seconds
            ]
            each = [r.attrs["seconds each"] for r in groups[name] if "seconds each" in r.attrs]
            rest = dict(
                zip(
                    COSTS,
                    (np.mean(part) if part else np.nan for part in (spent, each)),
                    strict=True,
                )
            )
            rows.append(
                {c: keys[name].get(c, "") for c in shown} | row.drop("set").to_dict() | rest
            )
    made = pandas.DataFrame(rows)
    made = made[[*(column for column in made.columns if column not in COSTS), *COSTS]]
    made.attrs["notes"] = _notes(scored, made["sets"].tolist())
    return made


def check_alike(configs: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse evaluations that cannot stand in one table.

    Raises:
        InvalidInput: other protocols, or other images of the same test set; says which and what differs.
    """
    first_name, first = next(iter(configs.items()))
    tests: dict[str, tuple[str, str]] = {}
    for name, config in configs.items():
        difference = EvaluationProtocol.of(first).unlike(EvaluationProtocol.of(config))
        known_name, known = tests.setdefault(
            config["data"]["name"], (name, config["data"]["sha256"])
        )
        other = f"other test images than {known_name}" if config["data"]["sha256"] != known else ""
        if difference or other:
            said = ", ".join(filter(None, [difference, other]))
            raise InvalidInput(
                f"{first_name} and {name} were not evaluated alike: {said}. Evaluate both alike, or allow unlike ones (unlike)"
            )


def seed_of(result: xarray.Dataset) -> Any:
    """The seed of the distillation whose set was scored; that of the networks, where no more is known."""
    config = result.attrs["config"]
    made = config["distilled"].get("config") or {}
    return made.get("seed", config["seed"])


def _several(found: Any) -> list[xarray.Dataset]:
    return [found] if hasattr(found, "data_vars") else list(found)


def _last(one: xarray.Dataset) -> xarray.Dataset:
    return one.isel(step=-1) if "step" in one.dims else one


def _sets(found: Sequence[xarray.Dataset]) -> dict[Any, dict[Any, float]]:
    """Accuracy of each trained network of each set: by the set's seed and which of that seed it is; by the network's
    architecture, seed and number.
    """
    known: dict[str, dict[Any, float]] = {}
    seeds: dict[str, Any] = {}
    for one in found:
        config = one.attrs["config"]
        made = config["distilled"].get("config") or {}
        same = json.dumps([made.get("seed"), config["distilled"]["sha256"]])
        seeds.setdefault(same, seed_of(one))
        networks = known.setdefault(same, {})
        for kind, values in zip(one["architecture"].values, one["accuracy"].values, strict=True):
            networks |= {
                (str(kind), config["seed"], k): float(v)
                for k, v in enumerate(values)
                if np.isfinite(v)
            }
    alike: dict[Any, int] = {}
    sets = {}
    for same, networks in known.items():
        number = alike[seeds[same]] = alike.get(seeds[same], -1) + 1
        sets[seeds[same], number] = networks
    return sets


def _difference(
    mine: Mapping[Any, Mapping[Any, float]], base: Mapping[Any, Mapping[Any, float]]
) -> tuple[float, float]:
    """Mean of mine − base over networks that both have, and half of its 95 % interval: over sets, or networks of the only one."""
    pairs = []
    for at in mine:
        shared = [network for network in mine[at] if network in base.get(at, {})]
        if shared:
            pairs.append(
                (
                    [mine[at][network] for network in shared],
                    [base[at][network] for network in shared],
                )
            )
    if not pairs:
        return float("nan"), float("nan")
    sides = (
        pairs[0]
        if len(pairs) == 1
        else tuple([float(np.mean(side)) for side in sides] for sides in zip(*pairs, strict=True))
    )
    return paired_difference(*sides)


def _once(scored: Sequence[xarray.Dataset]) -> list[xarray.Dataset]:
    """Each evaluation once, though it was packed or made again: the one that got farthest; ``seconds each`` of a network."""
    known: dict[str, tuple[int, xarray.Dataset]] = {}
    for one in scored:
        name, done = (
            json.dumps(one.attrs["config"], sort_keys=True),
            int(np.isfinite(_last(one)["accuracy"].values).sum()),
        )
        if name not in known or done > known[name][0]:
            each = (
                {"seconds each": one.attrs["seconds"] / done}
                if done and "seconds" in one.attrs
                else {}
            )
            known[name] = done, one.assign_attrs(each)
    return [one for _, one in known.values()]


def _labels(scored: Sequence[xarray.Dataset]) -> dict[str, str]:
    """How data sets are called, by ``_described``: their names, with options where sets of one name differ in them."""
    sets = [
        data
        for one in scored
        for data in (one.attrs["config"]["data"], _trained(one.attrs["config"]))
        if data
    ]
    options: dict[str, dict[str, dict[str, Any]]] = {}
    for data in sets:
        options.setdefault(data["name"], {})[_described(data)] = _options(data)
    called = {}
    for name, kinds in options.items():
        apart = sorted(
            {
                key
                for a in kinds.values()
                for b in kinds.values()
                for key in {**a, **b}
                if a.get(key) != b.get(key)
            }
        )
        for described, known in kinds.items():
            called[described] = " ".join(
                [name, *(f"{key}={known[key]}" for key in apart if key in known)]
            )
    return called


def _trained(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """What is known of the data that a set was distilled from."""
    found = (config["distilled"].get("config") or {}).get("data") or {}
    return found if found.get("name") else {}


def _options(data: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in (data.get("options") or {}).items() if key != "split"}


def _described(data: Mapping[str, Any]) -> str:
    return json.dumps([data["name"], _options(data)], sort_keys=True)


def _key(config: Mapping[str, Any], called: Mapping[str, str]) -> dict[str, Any]:
    """What a row is of: all options of the distillation but its seed, and how far it went."""
    made = dict(
        config["distilled"].get("config")
        or {"method": "a set of unknown origin", "sha256": config["distilled"]["sha256"]}
    )
    made.pop("seed", None)
    made.setdefault("images_per_class", None)
    tested = called[_described(config["data"])]
    known = called[_described(_trained(config) or config["data"])]
    return {
        **made,
        "data": tested if known == tested else f"{known}, scored on {tested}",
        "step": config["distilled"].get("step"),
    }


def _columns(keys: Sequence[Mapping[str, Any]]) -> list[str]:
    """Data, images a class and method, and whatever else sets rows of one method apart."""
    usual = [*BLOCK, "method"]
    more: dict[str, None] = {}
    for key in keys:
        for other in keys:
            if all(key.get(c) == other.get(c) for c in usual):
                more |= {c: None for c in {**key, **other} if key.get(c) != other.get(c)}
    kinds = [c for c in ("architecture",) if any(c in key for key in keys)]
    return [*usual, *sorted(set(more) - set(kinds)), *kinds]


def _block(key: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(key.get(c) for c in (*BLOCK, "architecture") if c in key)


def _rank(key: Mapping[str, Any]) -> tuple[int, str]:
    method = str(key["method"])
    return ORDER.index(method) if method in ORDER else len(ORDER), json.dumps(key, sort_keys=True)


def _title(one: xarray.Dataset, called: Mapping[str, str]) -> str:
    key = _key(one.attrs["config"], called)
    return f"{key['method']} on {key['data']}, seed {seed_of(one)}"


def _same(distilled: Mapping[str, Any]) -> str:
    return json.dumps([distilled.get("config"), distilled.get("step")], sort_keys=True)


def _seconds(recordings: Sequence[xarray.Dataset]) -> dict[str, float]:
    """Seconds of each distillation that was recorded, by its config and how far it went."""
    known = [r for r in recordings if "seconds" in r.attrs and r.sizes.get("step")]
    return {
        _same({"config": r.attrs["config"], "step": int(r["step"][-1])}): r.attrs["seconds"]
        for r in known
    }


def _notes(scored: Sequence[xarray.Dataset], counts: Sequence[int]) -> list[str]:
    config = scored[0].attrs["config"]
    p = EvaluationProtocol.of(config)
    kinds = ", ".join(dict.fromkeys(str(k) for one in scored for k in one["architecture"].values))
    sets = _counted(counts, "distilled set")
    networks = _counted([one.sizes["network"] for one in scored], "network")
    over = "networks" if set(counts) == {1} else "sets"
    machines = dict.fromkeys(
        f"{r.attrs.get('threads')} thread(s) of {r.attrs.get('device', 'a machine')}"
        for r in scored
    )
    return [
        f"Accuracy on the {config['split']} images: mean ± standard deviation over {sets} × {networks} "
        f"({kinds}, {p.width} wide, {p.norm} norm; {p.epochs} epochs of SGD, rate {p.learning_rate:g} / 10 at half, momentum "
        f"{p.momentum:g}, weight decay {p.weight_decay:g}, batch {p.batch}, augmentation {p.augment}), last epoch.",
        f"Differences are paired by seed and network, ± half of the 95 % interval over {over}.",
        f"Seconds on {'; '.join(machines)}.",
    ]


def _counted(counts: Sequence[int], what: str) -> str:
    """How many of something: 5 networks, 1 network, 1 or 3 networks."""
    return f"{' or '.join(map(str, sorted(set(counts))))} {what}{'' if set(counts) == {1} else 's'}"
