"""Fair company for a distilled set: train the same networks on it, on random and herded images and on the class means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from explore.coresets import select
from explore.data.imageset import ImageSet
from explore.models.convnet import ConvNet
from explore.models.fit import Fit, accuracy
from explore.runs import Progress, Stop, stream_seed

if TYPE_CHECKING:
    import xarray

Images = tuple[torch.Tensor, torch.Tensor]
PROTOCOL = {
    "epochs": 300,
    "learning_rate": 0.01,
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "batch": 256,
    "width": 32,
    "norm": "instance",
}
"""How every set is trained on; the same for all rows, and stored with the result."""


def starting_points(train: ImageSet, per_class: int = 1, seed: int = 0) -> dict[str, Callable[[int], Images]]:
    """The rivals that a distilled set should beat, as functions of a seed (only "random" depends on it).

    "herding" is on pixels; at one a class k-center chooses the same image. "class mean" is one
    image a class, whatever ``per_class`` is.
    """
    features = train.batch()
    classes = len(train.class_names)
    mean = torch.stack([features[train.labels == k].mean(0) for k in range(classes)])

    def chosen(method: str, number: int) -> Images:
        at = select(features, train.labels, method, per_class, stream_seed(seed, "coreset", number))
        return features[at], train.labels[at]

    herded = chosen("herding", 0)
    return {
        "random": lambda number: chosen("random", number),
        "herding" if per_class > 1 else "herding = k-center": lambda _: herded,
        "class mean": lambda _: (mean, torch.arange(classes)),
    }


def compare(
    sets: Mapping[str, Callable[[int], Images]],
    test: ImageSet,
    networks: int = 5,
    seed: int = 0,
    progress: Progress | None = None,
    stop: Stop | None = None,
    **protocol: Any,
) -> xarray.Dataset:
    """Test accuracy of networks trained on each set.

    Args:
        sets: name → function of a number (0, 1, …) that gives images and labels, in model units.
        test: what accuracy is measured on; nothing is chosen on it.
        networks: how many are trained on each set, each from its own seed.
        progress, stop: as for ``record``; a stopped comparison has NaN where it did not get to.
        **protocol: what differs from ``PROTOCOL``.

    Returns:
        Dataset with ``accuracy`` ``[set, network]`` and the protocol in ``attrs``.
    """
    import xarray

    used = {**PROTOCOL, **protocol}
    images, labels = test.batch(), test.labels
    found = np.full((len(sets), networks), np.nan, np.float32)
    order = [(row, number) for number in range(networks) for row in range(len(sets))]
    for done, (row, number) in enumerate(order):
        if stop is not None and stop():
            break
        name = list(sets)[row]
        x, y = sets[name](number)
        network = ConvNet(
            x.shape[1],
            len(test.class_names),
            x.shape[2],
            width=used["width"],
            norm=used["norm"],
            seed=stream_seed(seed, "evaluation", number),
        )
        rates = {key: used[key] for key in ("epochs", "learning_rate", "momentum", "weight_decay", "batch")}
        Fit(network, x, y, seed=stream_seed(seed, "evaluation", number), **rates).run()
        found[row, number] = accuracy(network, images, labels)
        if progress is not None:
            progress(done + 1, len(order), f"{name}: {found[row, number]:.0%}")
    return xarray.Dataset(
        {"accuracy": (("set", "network"), found, {"long_name": "test accuracy", "units": "1"})},
        {"set": ("set", np.array(list(sets), dtype=object))},
        attrs={"protocol": used, "data": test.name, "images": len(test)},
    )
