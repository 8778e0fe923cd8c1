"""The probe of a condensation: fixed random networks that measure every frame alike.

A step's own network changes from step to step, so losses of different steps cannot be compared.
"""

from __future__ import annotations

import numpy as np
import torch

from explore.core.runs import stream_seed
from explore.data.graph_set import GraphSet
from explore.graphs.attention import EPSILON
from explore.graphs.config import CondenseConfig
from explore.graphs.matching import attention_loss, dense_maps, sparse_maps
from explore.graphs.powers import raise_to, safe_scale, unit_sum
from explore.models.gcn import GCN
from explore.models.graph_batch import DenseGraphs, SparseGraphs


class GraphProbe:
    """Random networks and real graphs with which every frame is compared.

    Args:
        source: the real graphs.
        options: of the condensation.
    """

    def __init__(self, source: GraphSet, options: CondenseConfig) -> None:
        self._options, self._classes = options, len(source.class_names)
        generator = np.random.default_rng(stream_seed(options.seed, "probe"))
        rows = [
            generator.choice(members, min(options.probe_graphs, len(members)), replace=False)
            for members in source.members
        ]
        batch = SparseGraphs(source.subset(np.concatenate(rows)))
        self._networks = [
            GCN(
                source.features.shape[1],
                self._classes,
                options.width,
                options.depth,
                pool=options.pool,
                seed=stream_seed(options.seed, "probe", number),
            )
            .to(source.features.device)
            .requires_grad_(False)
            for number in range(options.probes)
        ]
        counts = [len(part) for part in rows]
        self._real = [
            sparse_maps(network, batch, counts, options.power) for network in self._networks
        ]

    @torch.no_grad()
    def distance(self, synthetic: DenseGraphs) -> float:
        """Return the loss of GSTAM to the real graphs, mean over the networks."""
        options = self._options
        losses = [
            attention_loss(
                dense_maps(network, synthetic, self._classes, options.power),
                real,
                options.embedding,
            )
            for network, real in zip(self._networks, self._real, strict=True)
        ]
        return float(torch.stack(losses).mean())

    @torch.no_grad()
    def energy(self, synthetic: DenseGraphs) -> torch.Tensor:
        """Return the energy of each node under the first network, ``[G, L, N]``, sums 1."""
        layers = self._networks[0].hidden(synthetic)
        power = self._options.power
        scaled = [safe_scale(hidden, power, (-1, -2)) for hidden in layers]
        energy = torch.stack([raise_to(hidden, power).square().sum(-1) for hidden in scaled], 1)
        return unit_sum(energy, (-1,), EPSILON)
