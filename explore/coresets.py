"""Coresets: a few real images that stand for many, chosen on any feature matrix."""

from __future__ import annotations

import numpy as np
import torch

from explore.data.imageset import pieces
from explore.errors import InvalidInput, UnknownName
from explore.runs import stream_seed

METHODS = ("random", "herding", "kcenter")


def select(
    features: torch.Tensor, labels: torch.Tensor, method: str = "random", per_class: int = 1, seed: int = 0
) -> torch.Tensor:
    """Choose ``per_class`` samples of each class.

    * "random": uniformly, without replacement; the only one that uses ``seed``.
    * "herding": greedily, so that the mean of the chosen comes closest to the class mean.
    * "kcenter": first the sample nearest to the class mean, then always the one farthest from all chosen.

    At one a class herding and k-center choose the same sample.

    Args:
        features: ``[N, ...]``, flattened; pixels or the embedding of a network. Results differ: say which.
        labels: ``[N]`` integers.
        method: see above.
        per_class: how many of each class.
        seed: of the random choice.

    Returns:
        Indices int64 ``[K · per_class]``, class by class in label order, in the order of choice.

    Raises:
        UnknownName: the method is not one of the three.
        InvalidInput: a class has fewer than ``per_class`` samples; names it. Features are empty, not finite or do not fit
            the labels.

    Source: herding, Welling 2009; k-center greedy, Sener and Savarese 2018 (arXiv 1708.00489).

    Example:
        >>> features = torch.tensor([[0.0], [1.0], [5.0], [0.0], [9.0]])
        >>> labels = torch.tensor([0, 0, 0, 1, 1])
        >>> select(features, labels, "kcenter", per_class=2)
        tensor([1, 2, 3, 4])
    """
    if method not in METHODS:
        raise UnknownName("coreset method", method, METHODS)
    if not len(features) or labels.shape != (len(features),) or per_class < 1:
        given = f"{list(features.shape)} features, {list(labels.shape)} labels, per_class {per_class}"
        raise InvalidInput(f"{given}; expected at least one feature, one label each and per_class ≥ 1")
    finite = [piece.reshape(len(piece), -1).isfinite().all(1) for piece in pieces(features)]
    bad = (~torch.cat(finite)).nonzero().flatten()
    if len(bad):
        raise InvalidInput(f"{len(bad)} features hold NaN or Inf, the first is number {int(bad[0])}; remove or repair them")
    chosen = []
    for label in labels.unique(sorted=True):
        members = (labels.cpu() == label.cpu()).nonzero().flatten()
        if len(members) < per_class:
            raise InvalidInput(f"class {int(label)} has {len(members)} samples, fewer than the {per_class} asked for")
        if method == "random":
            order = np.random.default_rng(stream_seed(seed, "coreset", int(label))).permutation(len(members))
            picks = torch.from_numpy(order[:per_class])
        else:
            x = features[members.to(features.device)].reshape(len(members), -1).double().cpu()
            picks = (_herding if method == "herding" else _kcenter)(x, per_class)
        chosen.append(members[picks])
    return torch.cat(chosen).to(labels.device)


def _herding(x: torch.Tensor, count: int) -> torch.Tensor:
    mean, total = x.mean(0), torch.zeros_like(x[0])
    free, picks = torch.ones(len(x), dtype=torch.bool), []
    for n in range(1, count + 1):
        distance = torch.cat([(mean - (total + rows) / n).norm(dim=1) for rows in pieces(x)]).masked_fill(~free, torch.inf)
        picks.append(int(distance.argmin()))
        free[picks[-1]] = False
        total = total + x[picks[-1]]
    return torch.tensor(picks)


def _kcenter(x: torch.Tensor, count: int) -> torch.Tensor:
    picks = [int(_away(x, x.mean(0)).argmin())]
    nearest = _away(x, x[picks[0]])
    while len(picks) < count:
        picks.append(int(nearest.scatter(0, torch.tensor(picks), -1.0).argmax()))
        nearest = nearest.minimum(_away(x, x[picks[-1]]))
    return torch.tensor(picks)


def _away(x: torch.Tensor, point: torch.Tensor) -> torch.Tensor:
    """Distance of each row from a point, [N]."""
    return torch.cat([(rows - point).norm(dim=1) for rows in pieces(x)])
