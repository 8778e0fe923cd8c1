"""Select a coreset: a few real images of each class that stand for all, by any feature matrix."""

from __future__ import annotations

import math

import numpy as np
import torch

from explore.core.runs import stream_seed
from explore.core.tensor_validation import as_tensor, check_labels, check_tensor
from explore.core.validation import check_choice, check_seed, check_whole_number
from explore.data._chunks import chunks, map_rows
from explore.errors import InvalidInput

FEATURE_RANGE = (1e-140, 1e140)
"""Sums of squares of features whose largest magnitude is in this range fit in float64."""

METHOD_NAMES = ("random", "herding", "kcenter")


def select(
    features: torch.Tensor,
    labels: torch.Tensor,
    method: str = "random",
    per_class: int = 1,
    seed: int = 0,
) -> torch.Tensor:
    """Select ``per_class`` samples of each class.

    * "random": uniformly, without replacement; the only method that uses ``seed``.
    * "herding": greedily, so that the mean of the selection is as close as possible to the class
      mean.
    * "kcenter": first the sample nearest to the class mean, then always the sample farthest from
      the selection.

    With one sample per class, herding and k-center select the same sample.

    Args:
        features: numbers ``[N, ...]``, flattened: pixels, or the embedding of a network; a tensor,
            an array or a list. The selection depends on which of the two it is; report it.
        labels: integers ``[N]``, of any type.
        method: see above.
        per_class: number of samples of each class.
        seed: of the random selection.

    Returns:
        Indices int64 ``[K · per_class]``, class by class in label order, in the order of selection,
        on the device of the labels.

    Raises:
        UnknownName: the method is not one of the three.
        InvalidInput: a class has fewer than ``per_class`` samples (the message names the class), or
            features are empty, not finite or do not match the labels.

    Source: herding, Welling 2009; k-center greedy, Sener and Savarese 2018 (arXiv 1708.00489).

    Example:
        >>> features = torch.tensor([[0.0], [1.0], [5.0], [0.0], [9.0]])
        >>> labels = torch.tensor([0, 0, 0, 1, 1])
        >>> select(features, labels, "kcenter", per_class=2)
        tensor([1, 2, 3, 4])
    """
    method = check_choice("coreset method", method, METHOD_NAMES)
    per_class = check_whole_number("per_class", per_class, at_least=1)
    seed = check_seed(seed)
    features = check_tensor(
        "features", as_tensor("features", features).detach(), ("N", ...), kind="number", finite=True
    )
    labels = check_labels("labels", labels, len(features))
    selection = []
    for label in labels.unique(sorted=True):
        members = (labels.cpu() == label.cpu()).nonzero().flatten()
        if len(members) < per_class:
            raise InvalidInput(
                f"class {int(label)} has {len(members)} samples, fewer than per_class={per_class}"
            )
        if method == "random":
            random = np.random.default_rng(stream_seed(seed, "coreset", int(label)))
            rows = torch.from_numpy(random.permutation(len(members))[:per_class])
        else:
            rows = (_herding if method == "herding" else _k_center)(
                _class_features(features, members), per_class
            )
        selection.append(members[rows])
    return torch.cat(selection).to(labels.device)


def _class_features(features: torch.Tensor, members: torch.Tensor) -> torch.Tensor:
    """Return the features of one class in float64, ``[n, D]``, without another large copy.

    Huge and tiny ones are multiplied by a power of two, so that squares neither overflow nor
    vanish. That changes no comparison of distances.
    """
    x = torch.empty(len(members), features[:1].numel(), dtype=torch.float64)
    for rows, indices in zip(chunks(x), members.split(len(next(chunks(x)))), strict=True):
        rows.copy_(features[indices.to(features.device)].reshape(len(indices), -1))
    largest = float(torch.stack([rows.abs().amax() for rows in chunks(x)]).max())
    if largest and not FEATURE_RANGE[0] <= largest <= FEATURE_RANGE[1]:
        exponent = -math.frexp(largest)[1]
        for part in (exponent // 2, exponent - exponent // 2):  # 2 to the whole may overflow
            for rows in chunks(x):
                rows.mul_(2.0**part)
    return x


def _herding(x: torch.Tensor, count: int) -> torch.Tensor:
    mean, total = x.mean(0), torch.zeros_like(x[0])
    available, selection = torch.ones(len(x), dtype=torch.bool), []
    for n in range(1, count + 1):

        def error(rows: torch.Tensor, total: torch.Tensor = total, n: int = n) -> torch.Tensor:
            """Return the distance of the class mean from the mean of the selection and each row."""
            return (mean - (total + rows) / n).norm(dim=1)

        index = int(map_rows(x, error).masked_fill(~available, torch.inf).argmin())
        selection.append(index)
        available[index] = False
        total = total + x[index]
    return torch.tensor(selection)


def _k_center(x: torch.Tensor, count: int) -> torch.Tensor:
    selection = [int(_distances(x, x.mean(0)).argmin())]
    nearest = _distances(x, x[selection[0]])
    while len(selection) < count:
        selection.append(int(nearest.scatter(0, torch.tensor(selection), -1.0).argmax()))
        nearest = nearest.minimum(_distances(x, x[selection[-1]]))
    return torch.tensor(selection)


def _distances(x: torch.Tensor, point: torch.Tensor) -> torch.Tensor:
    return map_rows(x, lambda rows: (rows - point).norm(dim=1))
