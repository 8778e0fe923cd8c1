"""The batches of real graphs of each step, class by class."""

from __future__ import annotations

import numpy as np

from explore.core.runs import stream_seed
from explore.data.graph_set import GraphSet
from explore.models.graph_batch import SparseGraphs


class RealBatches:
    """Draws real graphs of each class; a class with fewer gives all it has.

    A batch that has all graphs of all classes is the same in each step and made only once.

    Args:
        source: the real graphs.
        batch: graphs of each class.
        seed: of the run.
    """

    def __init__(self, source: GraphSet, batch: int, seed: int) -> None:
        self.source, self._batch, self._seed = source, batch, seed
        self.counts = [min(batch, len(members)) for members in source.members]
        self._is_whole = all(len(members) <= batch for members in source.members)
        self._merged: SparseGraphs | None = None
        self._by_class: list[SparseGraphs] | None = None

    def merged(self, step: int) -> SparseGraphs:
        """Return the graphs of all classes as one batch, class by class; see ``counts``."""
        if self._merged is None or not self._is_whole:
            self._merged = SparseGraphs(self.source.subset(np.concatenate(self._rows(step))))
        return self._merged

    def by_class(self, step: int) -> list[SparseGraphs]:
        """Return one batch for each class."""
        if self._by_class is None or not self._is_whole:
            self._by_class = [SparseGraphs(self.source.subset(rows)) for rows in self._rows(step)]
        return self._by_class

    def _rows(self, step: int) -> list[np.ndarray]:
        if self._is_whole:
            return list(self.source.members)
        generator = np.random.default_rng(stream_seed(self._seed, "batches", step))
        return [
            generator.choice(members, count, replace=False)
            for members, count in zip(self.source.members, self.counts, strict=True)
        ]
