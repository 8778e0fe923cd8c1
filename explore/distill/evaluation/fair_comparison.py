"""Fair company for a distilled set: the same networks trained on it, on random and herded images and on the class means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np

from explore.core.runs import Progress, Stop
from explore.data.distilled_set import DistilledSet
from explore.data.image_set import ImageSet
from explore.distill.baselines import CoresetRun
from explore.distill.config import CoresetConfig
from explore.distill.evaluation.protocol import EvaluationProtocol, evaluate

if TYPE_CHECKING:
    import xarray


def starting_points(
    train: ImageSet, per_class: int = 1, seed: int = 0, draws: int = 5
) -> dict[str, list[DistilledSet]]:
    """The rivals that a distilled set should beat: several draws of "random", one set of each of the others.

    "herding" is on pixels; at one a class k-center chooses the same image. "class mean" is one
    image a class, whatever ``per_class`` is.
    """

    def chosen(method: str, number: int = 0) -> DistilledSet:
        run = CoresetRun(
            CoresetConfig(method=method, images_per_class=per_class, seed=seed * draws + number),
            train,
        )
        while run.step < run.steps:
            run.advance()
        return DistilledSet.of(run)

    return {
        "random": [chosen("random", number) for number in range(draws)],
        "herding" if per_class > 1 else "herding = k-center": [chosen("herding")],
        "class mean": [chosen("class-mean")],
    }


def compare(
    sets: Mapping[str, DistilledSet | Sequence[DistilledSet]],
    test: ImageSet,
    protocol: EvaluationProtocol | None = None,
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> xarray.Dataset:
    """Test accuracy of networks trained on each set.

    Args:
        sets: name → a set, or several that take turns: network k is trained on set k, k − n, …
        test: what accuracy is measured on; nothing is chosen on it.
        protocol: see ``EvaluationProtocol``; its first architecture is taken.
        progress, stop: as for ``record``; a stopped comparison has NaN where it did not get to.

    Returns:
        Dataset with ``accuracy`` ``[set, network]`` and the protocol in ``attrs``.
    """
    import xarray

    protocol = protocol or EvaluationProtocol()
    kind, networks = protocol.architectures[0], protocol.networks
    runs = [
        [
            evaluate(one, test, protocol)
            for one in ([given] if isinstance(given, DistilledSet) else given)
        ]
        for given in sets.values()
    ]
    found = np.full((len(sets), networks), np.nan, np.float32)
    order = [(row, number) for number in range(networks) for row in range(len(sets))]
    for done, (row, number) in enumerate(order):
        if stop is not None and stop():
            break
        found[row, number] = runs[row][number % len(runs[row])].score(kind, number)
        if progress is not None:
            progress(done + 1, len(order), f"{list(sets)[row]}: {found[row, number]:.0%}")
    return xarray.Dataset(
        {"accuracy": (("set", "network"), found, {"long_name": "test accuracy", "units": "1"})},
        {"set": ("set", np.array(list(sets), dtype=object))},
        attrs={"protocol": asdict(protocol), "data": test.name, "images": len(test)},
    )
