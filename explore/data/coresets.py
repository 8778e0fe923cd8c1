"""Coresets: a few real images that stand for many, chosen on any feature matrix."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from explore.core.runs import stream_seed
from explore.data.image_set import pieces
from explore.errors import InvalidInput, UnknownName

METHODS = ("random", "herding", "kcenter")


def select(
    features: torch.Tensor,
    labels: torch.Tensor,
    method: str = "random",
    per_class: int = 1,
    seed: int = 0,
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
        given = (
            f"{list(features.shape)} features, {list(labels.shape)} labels, per_class {per_class}"
        )
        raise InvalidInput(
            f"{given}; expected at least one feature, one label each and per_class ≥ 1"
        )
    bad = (
        (~_each(features, lambda rows: rows.reshape(len(rows), -1).isfinite().all(1), torch.bool))
        .nonzero()
        .flatten()
    )
    if len(bad):
        raise InvalidInput(
            f"{len(bad)} features hold NaN or Inf, the first is number {int(bad[0])}; remove or repair them"
        )
    chosen = []
    for label in labels.unique(sorted=True):
        members = (labels.cpu() == label.cpu()).nonzero().flatten()
        if len(members) < per_class:
            raise InvalidInput(
                f"class {int(label)} has {len(members)} samples, fewer than the {per_class} asked for"
            )
        if method == "random":
            order = np.random.default_rng(stream_seed(seed, "coreset", int(label))).permutation(
                len(members)
            )
            picks = torch.from_numpy(order[:per_class])
        else:
            picks = (_herding if method == "herding" else _kcenter)(
                _doubled(features, members), per_class
            )
        chosen.append(members[picks])
    return torch.cat(chosen).to(labels.device)


def _doubled(features: torch.Tensor, members: torch.Tensor) -> torch.Tensor:
    """The features of one class in float64, [n, D], made piece by piece; nothing else of this size is ever held."""
    x = torch.empty(len(members), features[:1].numel(), dtype=torch.float64)
    for rows, chosen in zip(pieces(x), members.split(len(next(pieces(x)))), strict=True):
        rows.copy_(features[chosen.to(features.device)].reshape(len(chosen), -1))
    return x


def _herding(x: torch.Tensor, count: int) -> torch.Tensor:
    mean, total = x.mean(0), torch.zeros_like(x[0])
    free, picks = torch.ones(len(x), dtype=torch.bool), []
    for n in range(1, count + 1):
        distance = _each(x, partial(_off, mean=mean, total=total, n=n)).masked_fill(
            ~free, torch.inf
        )
        picks.append(int(distance.argmin()))
        free[picks[-1]] = False
        total = total + x[picks[-1]]
    return torch.tensor(picks)


def _off(rows: torch.Tensor, mean: torch.Tensor, total: torch.Tensor, n: int) -> torch.Tensor:
    """How far the mean of the chosen and each row is from the mean of all, [N]."""
    return (mean - (total + rows) / n).norm(dim=1)


def _kcenter(x: torch.Tensor, count: int) -> torch.Tensor:
    picks = [int(_away(x, x.mean(0)).argmin())]
    nearest = _away(x, x[picks[0]])
    while len(picks) < count:
        picks.append(int(nearest.scatter(0, torch.tensor(picks), -1.0).argmax()))
        nearest = nearest.minimum(_away(x, x[picks[-1]]))
    return torch.tensor(picks)


def _away(x: torch.Tensor, point: torch.Tensor) -> torch.Tensor:
    """Distance of each row from a point, [N]."""
    return _each(x, lambda rows: (rows - point).norm(dim=1))


def _each(
    x: torch.Tensor,
    measure: Callable[[torch.Tensor], torch.Tensor],
    dtype: torch.dtype = torch.float64,
) -> torch.Tensor:
    """One number a row, [N], measured piece by piece.

    Written in place: small results kept between the pieces would keep the system from giving their room to the next.
    """
    found, at = torch.empty(len(x), dtype=dtype), 0
    for rows in pieces(x):
        found[at : at + len(rows)] = measure(rows)
        at += len(rows)
    return found
