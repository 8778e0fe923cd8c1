"""Brute force: of all ways to group N components into M, the one closest to the original."""

from __future__ import annotations

from functools import cache

import numba
import numpy as np

from explore.errors import InvalidInput
from explore.mixtures._kernels.pairs import PAD, add_kernels
from explore.mixtures.components import Parts
from explore.mixtures.mixture import GaussianMixture
from explore.mixtures.reduction.greedy import self_products, whitened
from explore.mixtures.reduction.stages import Kept

MOST = 2_000_000
"""Partitions that are tried at most."""

PIECES = 20
"""Steps that the search is cut into, so that it can be watched and stopped."""


@cache
def partitions(n: int, m: int) -> int:
    """How many ways there are to group n things into m non-empty groups (a Stirling number of the second kind).

    Example:
        >>> partitions(10, 5)
        42525
    """
    row = [1]  # S(0, 0)
    for size in range(1, n + 1):
        row = [
            0,
            *(k * (row[k] if k < size else 0) + row[k - 1] for k in range(1, min(size, m) + 1)),
        ]
    return row[m] if m < len(row) else 0


class BruteForce(Kept):
    """Try every partition; the score is the squared cosine relative to the original's, or minus the ISE.

    Raises:
        InvalidInput: there are more than two million.
    """

    phase, arrays, values = (
        "searching",
        ("labels", "best"),
        ("taken", "evaluations", "tried", "score"),
    )

    def __init__(
        self, original: GaussianMixture, components: int, criterion: str = "angle"
    ) -> None:
        self.original, self.components, self.criterion = original, components, criterion
        self.total = partitions(len(original), components)
        if self.total > MOST:
            text = f"{len(original)} components can be grouped into {components} in {self.total:,} ways"
            raise InvalidInput(
                f"{text}, more than the {MOST:,} that brute force tries; take another method"
            )
        self.steps, self.tried = min(PIECES, self.total), 0
        self._c, self._unit, _ = whitened(original)
        self._rows = np.ascontiguousarray(self._c.T)
        # labels in which each new group has the next number: the first such labelling
        self.labels = np.concatenate(
            [np.zeros(len(original) - components, np.int64), np.arange(components)]
        )
        self.best, self.score = self.labels.copy(), -float("inf")

    def advance(self, parts: Parts) -> None:
        """Try the next piece of them; ``parts`` shows the best so far."""
        piece = -(-self.total // self.steps)
        count = min(piece, self.total - self.tried)
        n, angle = len(self.original), self.criterion == "angle"
        own = float((self.original.weights**2 * self_products(self._c, self._unit)).sum())
        arrays = self.original.weights.copy(), self._rows, self.labels, self.best
        self.score = search(
            self.original.dimension,
            self._unit,
            *arrays,
            self.components,
            count,
            angle,
            self.score,
            own,
        )
        self.tried += count
        self.taken += 1
        self.message = f"{self.tried:,} of {self.total:,} partitions tried"
        self.evaluations += count * self.components * (n + self.components)
        first = np.array([np.flatnonzero(self.best == k)[0] for k in range(self.components)])
        parts.regroup(first[self.best])

    def done(self, parts: Parts) -> bool:
        """Whether all were tried."""
        return self.tried >= self.total


@numba.njit(nogil=True, cache=True)
def next_labels(labels, m):  # type: ignore[no-untyped-def]
    """Turn ``labels`` (a restricted growth string with m groups) into the next one; False after the last."""
    n = len(labels)
    highest = np.empty(n, np.int64)
    highest[0] = 0
    for i in range(1, n):
        highest[i] = max(highest[i - 1], labels[i])
    for i in range(n - 1, 0, -1):
        up = labels[i] + 1
        if up > highest[i - 1] + 1 or up >= m:
            continue
        top = max(highest[i - 1], up)
        missing = m - 1 - top
        if missing > n - 1 - i:
            continue
        labels[i] = up
        for k in range(i + 1, n):
            labels[k] = 0
        for k in range(missing):
            labels[n - 1 - k] = m - 1 - k
        return True
    return False


@numba.njit(error_model="numpy", nogil=True, cache=True)
def search(d, unit, w, rows, labels, best, m, count, angle, score, own):  # type: ignore[no-untyped-def]
    """Try ``count`` partitions from ``labels`` on (left at the one after them); ``best`` is set to the best, its score returned.

    Products are in units of ``own``, for the ISE's sake.
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
                    groups[k, f] += share * (
                        rows[i, f] + (rows[i, u] - groups[k, u]) * (rows[i, v] - groups[k, v])
                    )
        for k in range(m):
            for f in range(features):
                lanes[f, k] = groups[k, f]
        fg, gg = 0.0, 0.0
        for which in range(2):
            for k in range(full):
                sums[k] = 0.0
            if which == 0:
                for i in range(n):
                    add_kernels(d, unit, w[i], rows[i], lanes, full, sums, work)
            else:
                for k in range(m):
                    add_kernels(d, unit, total[k], groups[k], lanes, full, sums, work)
            for k in range(m):
                if which == 0:
                    fg += total[k] * sums[k]
                else:
                    gg += total[k] * sums[k]
        here = fg / gg * fg / own if angle else (2.0 * fg - gg) / own
        if here > score:
            score = here
            best[:] = labels
        if not next_labels(labels, m):
            break
    return score
