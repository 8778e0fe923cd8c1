"""Comparison of a distilled set with baselines: all are evaluated under the same protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np

from explore.core.runs import Progress, Stop
from explore.core.validation import MAX_SEED, check_callable, check_whole_number, describe
from explore.data.distilled_set import DistilledSet
from explore.data.image_set import ImageSet
from explore.distill.baselines import CoresetRun
from explore.distill.config import CoresetConfig
from explore.distill.evaluation.config import EvaluationProtocol
from explore.distill.evaluation.run import evaluate
from explore.errors import InvalidInput

if TYPE_CHECKING:
    import xarray

MAX_COUNT = 1_000_000
"""Of images in a class, or of sets."""


def starting_points(
    train: ImageSet, per_class: int = 1, seed: int = 0, draws: int = 5
) -> dict[str, list[DistilledSet]]:
    """Return sets to compare a distilled set with: several of "random", one of each other method.

    "herding" uses pixels. With one image per class, k-center selects the same images as herding.
    "class mean" has one image per class, whatever ``per_class`` is.

    Args:
        train: the real images; or what else ``TrainingData`` takes.
        per_class: images of each class.
        seed: of the random sets.
        draws: the number of random sets.

    Raises:
        InvalidInput: a number out of range, or a class with fewer images.

    Example:
        >>> from explore.data import load
        >>> {name: len(sets) for name, sets in starting_points(load("digits"), draws=2).items()}
        {'random': 2, 'herding = k-center': 1, 'class mean': 1}
    """
    per_class = check_whole_number("per_class", per_class, 1, MAX_COUNT)
    draws = check_whole_number("draws", draws, 1, MAX_COUNT)
    seed = check_whole_number("seed", seed, at_least=0, at_most=(MAX_SEED - draws) // draws)

    def coreset(method: str, number: int = 0) -> DistilledSet:
        seed_of_set = seed * draws + number
        config = CoresetConfig(method=method, images_per_class=per_class, seed=seed_of_set)
        return DistilledSet.of(CoresetRun(config, train).run())

    return {
        "random": [coreset("random", number) for number in range(draws)],
        "herding" if per_class > 1 else "herding = k-center": [coreset("herding")],
        "class mean": [coreset("class-mean")],
    }


def compare(
    sets: Mapping[str, DistilledSet | Sequence[DistilledSet]],
    test: ImageSet,
    protocol: EvaluationProtocol | None = None,
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> xarray.Dataset:
    """Return the test accuracy of networks trained on each set.

    Args:
        sets: name → one set, or n sets: network k is trained on set k modulo n.
        test: the test images.
        protocol: see ``EvaluationProtocol``; only its first architecture is used.
        progress, stop: as for ``record``. If the comparison is stopped, networks that are not
            trained have NaN.

    Returns:
        Dataset with ``accuracy`` ``[set, network]`` and the protocol in ``attrs``.

    Raises:
        InvalidInput: no sets, or see ``evaluate``.
        RunDiverged: the training of a network diverged.
    """
    import xarray

    if not isinstance(sets, Mapping) or not sets:
        raise InvalidInput(f"sets must be a mapping, name → distilled set, got {describe(sets)}")
    if progress is not None:
        check_callable("progress", progress, "of networks done, all networks and a message")
    if stop is not None:
        check_callable("stop", stop, "that says whether to stop")
    protocol = EvaluationProtocol() if protocol is None else protocol
    runs = [
        [evaluate(distilled, test, protocol) for distilled in _as_list(name, value)]
        for name, value in sets.items()
    ]
    protocol = runs[0][0].protocol
    kind, networks, names = protocol.architectures[0], protocol.networks, list(map(str, sets))
    accuracy = np.full((len(sets), networks), np.nan, np.float32)
    order = [(row, number) for number in range(networks) for row in range(len(sets))]
    for index, (row, number) in enumerate(order):
        if stop is not None and stop():
            break
        accuracy[row, number] = runs[row][number % len(runs[row])].score(kind, number)
        if progress is not None:
            progress(index + 1, len(order), f"{names[row]}: {accuracy[row, number]:.0%}")
    return xarray.Dataset(
        {"accuracy": (("set", "network"), accuracy, {"long_name": "test accuracy", "units": "1"})},
        {"set": ("set", np.array(names, dtype=object))},
        attrs={"protocol": asdict(protocol), "data": test.name, "images": len(test)},
    )


def _as_list(name: str, value: DistilledSet | Sequence[DistilledSet]) -> Sequence[DistilledSet]:
    if not isinstance(value, list | tuple):
        return [value]  # type: ignore[list-item]
    if not value:
        raise InvalidInput(f"sets[{name!r}] is empty; give one distilled set or several")
    return value
