"""Greedy merging by a cost that depends on a pair alone (Runnalls, Salmond, local ISE)."""

from __future__ import annotations

import numpy as np

from explore._parallel.work_sharing import run_shared
from explore.mixtures._kernels import local as kernels
from explore.mixtures._kernels.pairs import merge_lanes
from explore.mixtures._kernels.products import LANES
from explore.mixtures.merging import MutableMixture
from explore.mixtures.mixture import GaussianMixture
from explore.mixtures.reduction._layout import (
    log_determinants,
    pad_columns,
    rows_of,
    self_products,
    tasks_of_all_pairs,
    tasks_of_component,
    whiten,
)
from explore.mixtures.reduction.stages import Merging, Step, check_pair_exists

KERNEL_KINDS = {"runnalls": kernels.RUNNALLS, "salmond": kernels.SALMOND, "ise": kernels.ISE}


class LocalMerging(Merging):
    """Merge the pair of least cost, where the cost depends on its two components alone.

    Args:
        original: the mixture.
        components: where to end.
        cost: "runnalls" (the upper bound on the increase of the KL divergence; Runnalls, 2007,
            eq. 21), "salmond" (the joining rule: the distance between the means; Salmond, 1990),
            or "ise" (the squared L2 norm of the change).
    """

    state_arrays = ("w", "c", "own", "alive", "costs", "least", "partner")

    def __init__(self, original: GaussianMixture, components: int, cost: str = "runnalls") -> None:
        super().__init__(original, components)
        self.cost = cost
        self._c, self._unit, self._log_factor = whiten(original)

    def _prepare(self) -> None:
        n = len(self.original)
        self.w, self.c = pad_columns(self.original.weights), pad_columns(self._c, 1.0)
        self.own = self._own_terms(self._c)
        self.alive, self.costs = np.ones(n, bool), np.zeros((n, n))
        self.least, self.partner = np.empty(n), np.empty(n, np.int64)
        self._compute_costs(tasks_of_all_pairs(n))
        for j in range(n):
            kernels.find_cheapest_partner(j, self.alive, self.costs, self.least, self.partner)
        self.evaluations += (n + n * (n - 1) // 2 * 4) * (self.cost == "ise")

    def _own_terms(self, c: np.ndarray) -> np.ndarray:
        """Compute the part of the cost that depends on one component, for each in ``c [F, n]``."""
        if self.cost == "runnalls":
            return log_determinants(c)
        return self_products(c, self._unit) if self.cost == "ise" else np.zeros(c.shape[1])

    def _compute_costs(self, tasks: np.ndarray) -> None:
        run_shared(
            4 * int(tasks[:, 2].sum()),
            kernels.compute_costs,
            KERNEL_KINDS[self.cost],
            self.original.dimension,
            self._unit,
            self.w,
            self.c,
            rows_of(self.c),
            self.own,
            tasks,
            out=self.costs,
        )

    def reduce_once(self, current: MutableMixture) -> Step:
        """Merge the cheapest pair."""
        if not hasattr(self, "costs"):
            self._prepare()
        i, j, cost = kernels.find_cheapest_pair(self.alive, self.least, self.partner)
        check_pair_exists(i)
        merged = np.empty((len(self.c) + 1, LANES))
        merge_lanes(self.original.dimension, self.c, self.w, i, j, 1, merged)
        self.c[:, i] = merged[:-1, 0]
        self.w[i], self.w[j], self.alive[j] = self.w[i] + self.w[j], 0.0, False
        self.own[i] = self._own_terms(self.c[:, i : i + 1])[0]
        self._compute_costs(tasks_of_component(i, len(self.alive)))
        kernels.update_partners(i, j, self.alive, self.costs, self.least, self.partner)
        self.evaluations += (4 * (current.count - 2) + 1) * (self.cost == "ise")
        current.merge(i, j)
        return Step(i, j, cost * (float(np.exp(self._log_factor)) if self.cost == "ise" else 1.0))
