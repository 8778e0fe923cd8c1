"""Brute force: the partition of N components into M groups that is closest to the original."""

from __future__ import annotations

from functools import cache
from typing import ClassVar

import numpy as np

from explore._parallel.compile import kernel
from explore.errors import InvalidInput
from explore.mixtures._kernels.products import PAD, add_products
from explore.mixtures.merging import MutableMixture
from explore.mixtures.mixture import GaussianMixture
from explore.mixtures.reduction._layout import self_products, whiten
from explore.mixtures.reduction.stages import Stage

MAX_PARTITIONS, MAX_COUNTED = 2_000_000, 300
"""The most partitions that are tried. With more components than the second number there are more
of them, except into 1 group or into one less than all; counting them would take long."""

SEARCH_STEPS = 20
"""The search has this many steps, so that its progress is visible and it can be stopped."""


@cache
def count_partitions(n: int, m: int) -> int:
    """Count the partitions of n things into m groups (a Stirling number of the second kind).

    Example:
        >>> count_partitions(10, 5)
        42525
    """
    if n > 0 and m in (1, n - 1, n):
        return 1 if m in (1, n) else n * (n - 1) // 2
    row = [1]  # S(0, 0), …, S(0, m), without the zeros at the end
    for _ in range(n):
        previous = zip([0, *row], [*row, 0], strict=True)
        row = [left + k * right for k, (left, right) in enumerate(previous)][: m + 1]
    return row[m] if m < len(row) else 0


class BruteForce(Stage):
    """Try every partition; the score is the relative squared cosine, or minus the ISE.

    Raises:
        InvalidInput: there are more than two million partitions.
    """

    phase = "searching"
    state_arrays = ("labels", "best")
    state_values: ClassVar[dict[str, str]] = {
        **Stage.state_values,
        "count": "tried",
        "score": "score",
    }

    def __init__(
        self, original: GaussianMixture, components: int, criterion: str = "angle"
    ) -> None:
        self.original, self.components, self.criterion = original, components, criterion
        n = len(original)
        if n > MAX_COUNTED and 1 < components < n - 1:
            raise InvalidInput(
                f"{n} components can be grouped into {components} in far more ways than the "
                f"{MAX_PARTITIONS:,} that brute force tries; choose another method"
            )
        self.total, self.count = count_partitions(n, components), 0
        if self.total > MAX_PARTITIONS:
            raise InvalidInput(
                f"{n} components can be grouped into {components} in {self.total:,} ways, more "
                f"than the {MAX_PARTITIONS:,} that brute force tries; choose another method"
            )
        self.steps = min(SEARCH_STEPS, self.total)
        self._c, self._unit, _ = whiten(original)
        self._rows = np.ascontiguousarray(self._c.T)
        # The first restricted growth string: each new group has the next number.
        self.labels = np.concatenate([np.zeros(n - components, np.int64), np.arange(components)])
        self.best, self.score = self.labels.copy(), -float("inf")

    def advance(self, current: MutableMixture) -> None:
        """Try the partitions of one step; ``current`` becomes the best so far."""
        weights, m = self.original.weights, self.components
        count = min(-(-self.total // self.steps), self.total - self.count)
        norm = float((weights**2 * self_products(self._c, self._unit)).sum())
        arrays = weights.copy(), self._rows, self.labels, self.best
        criterion = self.criterion == "angle", self.score, norm
        self.score = search(self.original.dimension, self._unit, *arrays, m, count, *criterion)
        self.count += count
        self.steps_done += 1
        self.message = f"{self.count:,} of {self.total:,} partitions tried"
        self.evaluations += count * m * (len(weights) + m)
        first_members = np.array([np.flatnonzero(self.best == k)[0] for k in range(m)])
        current.regroup(first_members[self.best])

    def done(self, current: MutableMixture) -> bool:
        """Return whether all partitions were tried."""
        return self.count >= self.total


@kernel(error_model="python")
def next_labels(labels, m):
    """Turn a restricted growth string with m groups into the next one; False after the last."""
    n = len(labels)
    highest = np.empty(n, np.int64)
    highest[0] = 0
    for i in range(1, n):
        highest[i] = max(highest[i - 1], labels[i])
    for i in range(n - 1, 0, -1):
        label = labels[i] + 1
        if label > highest[i - 1] + 1 or label >= m:
            continue
        missing = m - 1 - max(highest[i - 1], label)
        if missing > n - 1 - i:
            continue
        labels[i] = label
        for k in range(i + 1, n):
            labels[k] = 0
        for k in range(missing):
            labels[n - 1 - k] = m - 1 - k
        return True
    return False


@kernel
def search(d, unit, w, rows, labels, best, m, count, angle, score, norm):
    """Try ``count`` partitions from ``labels`` on, set ``best`` to the best, return its score.

    ``labels`` is left at the next partition. The ISE is computed in units of ``norm``.
    """
    n, features = rows.shape
    full = (m + PAD - 1) // PAD * PAD
    lanes, work = np.ones((features, full)), np.empty((features + 2, full))
    groups, sums, total = np.zeros((full, features)), np.empty(full), np.empty(full)
    for _ in range(count):
        for k in range(m):
            total[k] = 0.0
            for f in range(features):
                groups[k, f] = 0.0
        for i in range(n):
            total[labels[i]] += w[i]
        for i in range(n):
            k = labels[i]
            share = w[i] / total[k] if total[k] > 0.0 else 1.0
            for u in range(d):
                groups[k, u] += share * rows[i, u]
        for i in range(n):
            k = labels[i]
            share = w[i] / total[k] if total[k] > 0.0 else 1.0
            for u in range(d):
                for v in range(u + 1):
                    f = d + u * (u + 1) // 2 + v
                    outer = (rows[i, u] - groups[k, u]) * (rows[i, v] - groups[k, v])
                    groups[k, f] += share * (rows[i, f] + outer)
        for k in range(m):
            for f in range(features):
                lanes[f, k] = groups[k, f]
        fg, gg = 0.0, 0.0
        for side in range(2):  # with the original, then with itself
            for k in range(full):
                sums[k] = 0.0
            if side == 0:
                for i in range(n):
                    add_products(d, unit, w[i], rows[i], lanes, full, sums, work)
            else:
                for k in range(m):
                    add_products(d, unit, total[k], groups[k], lanes, full, sums, work)
            for k in range(m):
                if side == 0:
                    fg += total[k] * sums[k]
                else:
                    gg += total[k] * sums[k]
        new_score = fg / gg * fg / norm if angle else (2.0 * fg - gg) / norm
        if new_score > score:
            score = new_score
            best[:] = labels
        if not next_labels(labels, m):
            break
    return score
