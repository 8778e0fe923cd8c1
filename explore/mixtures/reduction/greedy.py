"""Greedy merging: by what the whole mixture becomes (angle or ISE against the original), or by what a pair loses alone."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from explore._parallel.work_sharing import run_shared
from explore.mixtures._kernels import local as local_kernels, pairs as kernels
from explore.mixtures._kernels.pairs import LANES, PAD
from explore.mixtures.components import REMOVED, Parts
from explore.mixtures.mixture import LOG_2PI, GaussianMixture
from explore.mixtures.reduction.stages import Merging, Step

RESUM = 64
"""Merges after which the inner products of the whole mixtures are summed anew, so that rounding does not pile up."""


def whitened(mixture: GaussianMixture) -> tuple[np.ndarray, float, float]:
    """Components side by side ``[F, n]`` in coordinates in which the mixture has mean 0 and covariance 1; the unit per
    dimension that makes the largest self-product 1; and the log of what a product in those units is worth.
    """
    n, d = mixture.means.shape
    lower = np.linalg.cholesky(mixture.covariance)
    inverse = np.linalg.inv(lower)
    c = np.empty((d + d * (d + 1) // 2, n))
    c[:d] = inverse @ (mixture.means - mixture.mean).T
    covariances = inverse @ mixture.covariances @ inverse.T
    for u in range(d):
        for v in range(u + 1):
            c[d + u * (u + 1) // 2 + v] = covariances[:, u, v]
    halves = (
        np.log(np.diagonal(mixture.factors, axis1=1, axis2=2)).sum(1) - np.log(np.diag(lower)).sum()
    )
    felt = (
        mixture.weights > 1e-30 * mixture.weights.max()
    )  # what weighs less is nothing, however high it stands
    log_unit = float(halves[felt].min() / d + 0.5 * np.log(2))
    worth = -float(np.log(np.diag(lower)).sum()) - d * log_unit - 0.5 * d * LOG_2PI
    return c, float(np.exp(log_unit)), worth


def log_determinants(c: np.ndarray) -> np.ndarray:
    """Log determinant of each covariance in ``c [F, n]``."""
    d = int((np.sqrt(9 + 8 * len(c)) - 3) / 2 + 0.5)
    if d == 1:
        return np.log(c[1])
    covariances = np.empty((c.shape[1], d, d))
    for u in range(d):
        for v in range(u + 1):
            covariances[:, u, v] = covariances[:, v, u] = c[d + u * (u + 1) // 2 + v]
    return np.linalg.slogdet(covariances)[1]


def self_products(c: np.ndarray, unit: float) -> np.ndarray:
    """Product of each component in ``c [F, n]`` with itself, in units (see ``whitened``)."""
    d = int((np.sqrt(9 + 8 * len(c)) - 3) / 2 + 0.5)
    return np.exp(d * (np.log(unit) - 0.5 * np.log(2)) - 0.5 * log_determinants(c))


@lru_cache(maxsize=4)
def all_tasks(n: int) -> np.ndarray:
    """All pairs of n components as tasks ``[T, 3]``: a component, the first of its partners before it, and how many."""
    tasks = [(i, start, min(LANES, i - start)) for i in range(1, n) for start in range(0, i, LANES)]
    return np.array(tasks, np.int64).reshape(-1, 3)


def tasks_of(i: int, n: int) -> np.ndarray:
    """The pairs of one component with all others as tasks ``[T, 3]``."""
    return np.array([(i, start, min(LANES, n - start)) for start in range(0, n, LANES)], np.int64)


def padded(array: np.ndarray, value: float = 0.0) -> np.ndarray:
    """A copy with ``PAD`` more columns (see ``kernels``)."""
    return np.concatenate([array, np.full((*array.shape[:-1], PAD), value)], -1)


def by_component(c: np.ndarray) -> np.ndarray:
    """``c [F, n + PAD]`` as ``[n, F]``."""
    return np.ascontiguousarray(c[:, :-PAD].T)


class GlobalMerging(Merging):
    """Merge the pair after which the mixture is closest to the original; every candidate in O(1) after the set-up.

    With f the original, g the mixture as it stands and ``h`` what a merge adds to it, ``<f, h>``, ``‖h‖²`` and
    ``<g, h>`` say all: the first two never change, the third rises by ``<h*, h>`` when another merge ``h*`` is made.

    Args:
        original: the mixture.
        components: where to end.
        criterion: "angle" or "ise".
        removes: consider removing a component too (Williams and Maybeck, 2003); by the ISE only.
    """

    arrays = ("slots", "w", "c", "rows", "alive", "phi", "s", "own", "pairs", "sums")

    def __init__(
        self,
        original: GaussianMixture,
        components: int,
        criterion: str = "angle",
        removes: bool = False,
    ) -> None:
        super().__init__(original, components)
        self.criterion, self.removes = criterion, removes
        self._c, self._unit, self._worth = whitened(original)
        self._weights, self._rows = original.weights.copy(), np.ascontiguousarray(self._c.T)

    def _prepare(self) -> None:
        n = len(self.original)
        self.slots, self.alive = np.arange(n), np.ones(n, bool)
        self.w, self.c = padded(self._weights), padded(self._c, 1.0)
        self.rows, self.own = by_component(self.c), self_products(self._c, self._unit)
        self.phi, self.pairs = np.empty(n), np.zeros((3, n, n))
        self._products(self._weights, self._rows, self.phi)
        self.s = self.phi.copy()
        self._rate(True, all_tasks(n))
        own = float(self._weights @ self.phi)
        self.sums = np.array(
            [own, own, own, 0.0]
        )  # <f, f>, <f, g>, <g, g>, merges since they were summed
        self.evaluations += n * n + n + n * (n - 1) // 2 * (n + 4)

    @property
    def _now(self) -> np.ndarray:
        """Weights without the padding."""
        return self.w[: len(self.alive)]

    def _products(self, weights: np.ndarray, rows: np.ndarray, total: np.ndarray) -> None:
        """Set ``total`` to the product of every component with ``Σ weights · rows``."""
        kernels.products(
            self.original.dimension, self._unit, weights, rows, self.c, 0, len(self.alive), total
        )

    def _rate(self, same: bool, tasks: np.ndarray) -> None:
        n = len(self.alive)
        work = n * len(self.original) * (n // 2 if same else 2)
        mixture = self.w, self.c, self.rows, self.own, self.s
        arguments = (
            self.original.dimension,
            self._unit,
            self._weights,
            self._rows,
            self.phi,
            *mixture,
            same,
            tasks,
        )
        run_shared(work, kernels.rate, *arguments, out=self.pairs)

    def _refresh(self, weights: np.ndarray, rows: np.ndarray, rho: np.ndarray) -> None:
        n = len(self.alive)
        arguments = (
            self.original.dimension,
            self._unit,
            weights,
            rows,
            rho,
            self.w,
            self.c,
            self.rows,
            all_tasks(n),
        )
        work = 3 * n * n // 2
        run_shared(work, kernels.refresh, *arguments, out=self.pairs)

    def choose(self, parts: Parts) -> Step:
        """Merge the best pair, or remove a component where that is better."""
        if not hasattr(self, "pairs"):
            self._prepare()
        _, fg, gg, _ = self.sums
        i, j, score = kernels.best_pair(self.criterion == "angle", fg, gg, self.pairs)
        if self.removes:
            k, rise = self._cheapest_removal()
            if rise < -score:
                return self._remove(k, parts)
        self._merge(i, j)
        slots = int(self.slots[i]), int(self.slots[j])
        parts.merge(*slots)
        self._compact()
        return Step(*slots, self._score())

    def _score(self) -> float:
        ff, fg, gg, _ = self.sums
        if self.criterion == "angle":
            return float(np.arccos(min(1.0, fg / np.sqrt(ff) / np.sqrt(gg))))
        return max(0.0, float(ff - 2 * fg + gg)) * float(np.exp(self._worth))

    def _merge(self, i: int, j: int) -> None:
        n, alive = len(self.original), int(self.alive.sum())
        rise, square, product = self.pairs[:, j, i]
        mixture = self.w, self.c, self.rows, self.own, self.phi, self.s, self.pairs
        raised = kernels.merge(
            self.original.dimension, self._unit, i, j, self._weights, self._rows, *mixture
        )
        self.alive[j] = False
        self.sums += [0.0, rise, square + 2 * product, 1.0]
        self.evaluations += 3 * alive + n + alive
        if self.sums[3] >= RESUM or self.sums[2] <= 0:
            self._products(self.w, self.rows, self.s)
            self.sums[1:] = [self._now @ self.phi, self._now @ self.s, 0.0]
            self.evaluations += (alive - 1) ** 2
        if alive - 1 > self.components:
            self._refresh(*raised)
            self._rate(False, tasks_of(i, len(self.alive)))
            self.evaluations += 3 * (alive - 2) * (alive - 3) // 2 + (alive - 2) * (n + alive + 3)

    def _cheapest_removal(self) -> tuple[int, float]:
        """The component whose removal (the others scaled up) raises the ISE least, and that rise."""
        _, fg, gg, _ = self.sums
        w = self._now
        left = 1 - w
        with np.errstate(divide="ignore", invalid="ignore"):
            then_fg = (fg - w * self.phi) / left
            then_gg = (gg - 2 * w * self.s + w**2 * self.own) / left**2
            rises = (then_gg - gg) - 2 * (then_fg - fg)
        rises[~self.alive | (left <= 0)] = np.inf
        k = int(np.argmin(rises))
        return k, float(rises[k])

    def _remove(self, k: int, parts: Parts) -> Step:
        alive, weight = int(self.alive.sum()), self.w[k]
        scale = 1 / (1 - weight)
        _, fg, gg, since = self.sums
        self.sums[1:] = [
            (fg - weight * self.phi[k]) * scale,
            (gg - 2 * weight * self.s[k] + weight**2 * self.own[k]) * scale**2,
            since + 1,
        ]
        weights, rows, rho = (
            np.array([-weight, 0.0, 0.0]),
            np.stack([self.rows[k]] * 3),
            np.empty(len(self.alive)),
        )
        self._products(weights, rows, rho)
        self.s += rho
        self.w[k], self.own[k], self.alive[k] = 0.0, kernels.GONE, False
        self.pairs[1, k, :k] = self.pairs[1, k + 1 :, k] = (
            np.inf
        )  # no pair with it is ever the best
        self._refresh(weights, rows, rho)
        self.w *= scale
        self.s *= scale
        self.pairs *= np.array([scale, scale**2, scale**2])[:, None, None]
        self.evaluations += alive + (alive - 1) * (alive - 2) // 2
        slot = int(self.slots[k])
        parts.remove(slot)
        self._compact()
        return Step(slot, REMOVED, self._score())

    def _compact(self) -> None:
        """Close the gaps, once an eighth are."""
        n, alive = len(self.alive), int(self.alive.sum())
        if n - alive < max(8, n // 8):
            return
        at = np.flatnonzero(self.alive)
        for name in ("slots", "phi", "s", "own"):
            setattr(self, name, getattr(self, name)[at])
        self.w, self.c, self.rows = padded(self.w[at]), padded(self.c[:, at], 1.0), self.rows[at]
        self.pairs = np.ascontiguousarray(self.pairs[:, at[:, None], at])
        self.alive = np.ones(alive, bool)


class LocalMerging(Merging):
    """Merge the pair of least cost, where a pair's cost depends on its two components alone.

    Args:
        original: the mixture.
        components: where to end.
        cost: "runnalls" (the upper bound on the rise of the KL divergence; Runnalls, 2007, eq. 21),
            "salmond" (the joining rule: how far apart the means are; Salmond, 1990), or
            "ise" (the squared L2 norm of what changes).
    """

    arrays = ("w", "c", "own", "alive", "costs", "least", "partner")

    def __init__(self, original: GaussianMixture, components: int, cost: str = "runnalls") -> None:
        super().__init__(original, components)
        self.cost = cost
        self._c, self._unit, self._worth = whitened(original)

    def _prepare(self) -> None:
        n = len(self.original)
        self.w, self.c = padded(self.original.weights), padded(self._c, 1.0)
        own = {
            "runnalls": lambda: log_determinants(self._c),
            "ise": lambda: self_products(self._c, self._unit),
        }
        self.own = own.get(self.cost, lambda: np.zeros(n))()
        self.alive, self.costs = np.ones(n, bool), np.zeros((n, n))
        self.least, self.partner = np.empty(n), np.empty(n, np.int64)
        self._cost(all_tasks(n))
        for j in range(n):
            local_kernels.find_cheapest(j, self.alive, self.costs, self.least, self.partner)
        self.evaluations += (n + n * (n - 1) // 2 * 4) * (self.cost == "ise")

    def _cost(self, tasks: np.ndarray) -> None:
        kind = {
            "runnalls": local_kernels.RUNNALLS,
            "salmond": local_kernels.SALMOND,
            "ise": local_kernels.ISE,
        }[self.cost]
        arguments = (
            kind,
            self.original.dimension,
            self._unit,
            self.w,
            self.c,
            by_component(self.c),
            self.own,
            tasks,
        )
        work = 4 * int(tasks[:, 2].sum())
        run_shared(work, local_kernels.cost, *arguments, out=self.costs)

    def choose(self, parts: Parts) -> Step:
        """Merge the cheapest pair."""
        if not hasattr(self, "costs"):
            self._prepare()
        i, j, cost = local_kernels.cheapest_pair(self.alive, self.least, self.partner)
        merged = np.empty((len(self.c) + 1, LANES))
        kernels.merge_lanes(self.original.dimension, self.c, self.w, i, j, 1, merged)
        self.c[:, i] = merged[:-1, 0]
        self.w[i], self.w[j], self.alive[j] = self.w[i] + self.w[j], 0.0, False
        if self.cost != "salmond":
            one = self.c[:, i : i + 1]
            self.own[i] = (
                log_determinants(one) if self.cost == "runnalls" else self_products(one, self._unit)
            )[0]
        self._cost(tasks_of(i, len(self.alive)))
        local_kernels.relink(i, j, self.alive, self.costs, self.least, self.partner)
        self.evaluations += (4 * (parts.count - 2) + 1) * (self.cost == "ise")
        parts.merge(i, j)
        return Step(i, j, cost * (float(np.exp(self._worth)) if self.cost == "ise" else 1.0))
