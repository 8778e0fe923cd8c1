"""Greedy merging by the angle or the ISE between the whole mixture and the original."""

from __future__ import annotations

import numpy as np

from explore._parallel.work_sharing import run_shared
from explore.mixtures._kernels import pairs as kernels
from explore.mixtures._kernels.products import compute_products
from explore.mixtures.merging import REMOVED, MutableMixture
from explore.mixtures.mixture import GaussianMixture
from explore.mixtures.reduction._layout import (
    pad_columns,
    rows_of,
    self_products,
    tasks_of_all_pairs,
    tasks_of_component,
    whiten,
)
from explore.mixtures.reduction.stages import Merging, Step, check_pair_exists

RESUM_INTERVAL = 64
"""Merges after which the inner products of the mixtures are summed again, to limit rounding."""


class GlobalMerging(Merging):
    """Merge the pair after which the mixture is closest to the original.

    Each candidate costs O(1) after the set-up. With f the original, g the present mixture and h
    the change by a merge, ``<f, h>``, ``‖h‖²`` and ``<g, h>`` determine the criterion. The first
    two never change, and the third increases by ``<h*, h>`` after another merge ``h*``.

    Args:
        original: the mixture.
        components: where to end.
        criterion: "angle" or "ise".
        removals: consider removing a component too (Williams and Maybeck, 2003); by the ISE only.
    """

    state_arrays = ("slots", "w", "c", "rows", "alive", "phi", "s", "own", "pairs", "sums")

    def __init__(
        self,
        original: GaussianMixture,
        components: int,
        criterion: str = "angle",
        removals: bool = False,
    ) -> None:
        super().__init__(original, components)
        self.criterion, self.removals = criterion, removals
        self._c, self._unit, self._log_factor = whiten(original)
        self._weights, self._rows = original.weights.copy(), np.ascontiguousarray(self._c.T)

    def _prepare(self) -> None:
        n = len(self.original)
        self.slots, self.alive = np.arange(n), np.ones(n, bool)
        self.w, self.c = pad_columns(self._weights), pad_columns(self._c, 1.0)
        self.rows, self.own = rows_of(self.c), self_products(self._c, self._unit)
        self.phi, self.pairs = np.empty(n), np.zeros((3, n, n))
        self._compute_products(self._weights, self._rows, self.phi)
        self.s = self.phi.copy()
        self._rate_pairs(True, tasks_of_all_pairs(n))
        norm = float(self._weights @ self.phi)
        # <f, f>, <f, g>, <g, g>, and the number of merges since they were summed
        self.sums = np.array([norm, norm, norm, 0.0])
        self.evaluations += n * n + n + n * (n - 1) // 2 * (n + 4)

    @property
    def _active_weights(self) -> np.ndarray:
        """Weights without the padding."""
        return self.w[: len(self.alive)]

    def _compute_products(self, weights: np.ndarray, rows: np.ndarray, total: np.ndarray) -> None:
        """Set ``total`` to the product of every component with ``Σ weights · rows``."""
        d, n = self.original.dimension, len(self.alive)
        compute_products(d, self._unit, weights, rows, self.c, 0, n, total)

    def _rate_pairs(self, same: bool, tasks: np.ndarray) -> None:
        n = len(self.alive)
        work = n * len(self.original) * (n // 2 if same else 2)
        original = self.original.dimension, self._unit, self._weights, self._rows, self.phi
        mixture = self.w, self.c, self.rows, self.own, self.s
        run_shared(work, kernels.rate_pairs, *original, *mixture, same, tasks, out=self.pairs)

    def _update_products(self, weights: np.ndarray, rows: np.ndarray, rho: np.ndarray) -> None:
        n = len(self.alive)
        change = self.original.dimension, self._unit, weights, rows, rho
        mixture = self.w, self.c, self.rows
        tasks, work = tasks_of_all_pairs(n), 3 * n * n // 2
        run_shared(work, kernels.update_products, *change, *mixture, tasks, out=self.pairs)

    def reduce_once(self, current: MutableMixture) -> Step:
        """Merge the best pair, or remove a component where that is better."""
        if not hasattr(self, "pairs"):
            self._prepare()
        _, fg, gg, _ = self.sums
        i, j, score = kernels.find_best_pair(self.criterion == "angle", fg, gg, self.pairs)
        check_pair_exists(i)
        if self.removals:
            k, increase = self._cheapest_removal()
            if increase < -score:
                return self._remove(k, current)
        self._merge(i, j)
        slots = int(self.slots[i]), int(self.slots[j])
        current.merge(*slots)
        self._compact()
        return Step(*slots, self._score())

    def _score(self) -> float:
        ff, fg, gg, _ = self.sums
        if self.criterion == "angle":
            return float(np.arccos(min(1.0, fg / np.sqrt(ff) / np.sqrt(gg))))
        return max(0.0, float(ff - 2 * fg + gg)) * float(np.exp(self._log_factor))

    def _merge(self, i: int, j: int) -> None:
        n, alive = len(self.original), int(self.alive.sum())
        increase, square, product = self.pairs[:, j, i]
        original = self.original.dimension, self._unit, i, j, self._weights, self._rows
        mixture = self.w, self.c, self.rows, self.own, self.phi, self.s, self.pairs
        change = kernels.merge_components(*original, *mixture)
        self.alive[j] = False
        self.sums += [0.0, increase, square + 2 * product, 1.0]
        self.evaluations += 3 * alive + n + alive
        if self.sums[3] >= RESUM_INTERVAL or self.sums[2] <= 0:
            self._compute_products(self.w, self.rows, self.s)
            self.sums[1:] = [self._active_weights @ self.phi, self._active_weights @ self.s, 0.0]
            self.evaluations += (alive - 1) ** 2
        if alive - 1 > self.components:
            self._update_products(*change)
            self._rate_pairs(False, tasks_of_component(i, len(self.alive)))
            self.evaluations += 3 * (alive - 2) * (alive - 3) // 2 + (alive - 2) * (n + alive + 3)

    def _cheapest_removal(self) -> tuple[int, float]:
        """Find the component whose removal raises the ISE least, and the increase."""
        _, fg, gg, _ = self.sums
        w = self._active_weights
        rest = 1 - w
        with np.errstate(divide="ignore", invalid="ignore"):
            new_fg = (fg - w * self.phi) / rest
            new_gg = (gg - 2 * w * self.s + w**2 * self.own) / rest**2
            increases = (new_gg - gg) - 2 * (new_fg - fg)
        increases[~self.alive | (rest <= 0)] = np.inf
        k = int(np.argmin(increases))
        return k, float(increases[k])

    def _remove(self, k: int, current: MutableMixture) -> Step:
        alive, weight = int(self.alive.sum()), self.w[k]
        scale = 1 / (1 - weight)
        _, fg, gg, merges = self.sums
        self.sums[1:] = [
            (fg - weight * self.phi[k]) * scale,
            (gg - 2 * weight * self.s[k] + weight**2 * self.own[k]) * scale**2,
            merges + 1,
        ]
        weights, rows = np.array([-weight, 0.0, 0.0]), np.stack([self.rows[k]] * 3)
        rho = np.empty(len(self.alive))
        self._compute_products(weights, rows, rho)
        self.s += rho
        self.w[k], self.own[k], self.alive[k] = 0.0, kernels.MERGED, False
        # An infinite loss excludes all pairs with the removed component.
        self.pairs[1, k, :k] = self.pairs[1, k + 1 :, k] = np.inf
        self._update_products(weights, rows, rho)
        self.w *= scale
        self.s *= scale
        self.pairs *= np.array([scale, scale**2, scale**2])[:, None, None]
        self.evaluations += alive + (alive - 1) * (alive - 2) // 2
        slot = int(self.slots[k])
        current.remove(slot)
        self._compact()
        return Step(slot, REMOVED, self._score())

    def _compact(self) -> None:
        """Delete the merged components from the arrays, once they are an eighth."""
        n, alive = len(self.alive), int(self.alive.sum())
        if n - alive < max(8, n // 8):
            return
        index = np.flatnonzero(self.alive)
        for name in ("slots", "phi", "s", "own", "rows"):
            setattr(self, name, getattr(self, name)[index])
        self.w, self.c = pad_columns(self.w[index]), pad_columns(self.c[:, index], 1.0)
        self.pairs = np.ascontiguousarray(self.pairs[:, index[:, None], index])
        self.alive = np.ones(alive, bool)
