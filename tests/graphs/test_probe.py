"""Test the probe of a condensation: the mean loss over its networks, and energies that sum to one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from explore.core.runs import stream_seed
from explore.data import GraphSet, load_graph_set
from explore.graphs.attention import node_attention
from explore.graphs.config import CondenseConfig
from explore.graphs.matching import attention_loss, dense_maps, sparse_maps
from explore.graphs.probe import GraphProbe
from explore.models import GCN, DenseGraphs, SparseGraphs

FEATURES, WIDTH = 31, 8


@pytest.fixture(scope="module")
def motifs() -> GraphSet:
    return load_graph_set("motifs", count=16)


def config(**options: Any) -> CondenseConfig:
    return CondenseConfig(**{"width": WIDTH, "probes": 2, "seed": 3, **options})


def network(number: int) -> GCN:
    return GCN(FEATURES, 2, WIDTH, seed=stream_seed(3, "probe", number))


def grouped(graphs: GraphSet, per_class: int) -> GraphSet:
    return graphs.subset(np.concatenate([members[:per_class] for members in graphs.members]))


@pytest.mark.parametrize("power", [1.0, 3.0])
def test_the_distance_is_the_mean_loss_over_the_networks(motifs: GraphSet, power: float) -> None:
    probe = GraphProbe(motifs, config(probe_graphs=50, power=power, embedding=0.4))
    synthetic = DenseGraphs.of(grouped(motifs, 2), 30)
    real = SparseGraphs(grouped(motifs, 8))
    expected = []
    for number in (0, 1):
        net = network(number)
        maps = sparse_maps(net, real, (8, 8), power)
        loss = attention_loss(dense_maps(net, synthetic, 2, power), maps, 0.4)
        expected.append(loss.item())
    assert probe.distance(synthetic) == pytest.approx(np.mean(expected), rel=1e-4)
    assert expected[0] != pytest.approx(expected[1], rel=1e-3)


def test_all_real_graphs_have_no_distance(motifs: GraphSet) -> None:
    probe = GraphProbe(motifs, config(probe_graphs=8))
    assert probe.distance(DenseGraphs.of(grouped(motifs, 8))) < 1e-8
    few = GraphProbe(motifs, config(probe_graphs=3))
    assert few.distance(DenseGraphs.of(grouped(motifs, 8))) > 1e-5


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_the_energy_is_that_of_the_first_network(motifs: GraphSet, power: float) -> None:
    probe, graphs = GraphProbe(motifs, config(power=power)), grouped(motifs, 2)
    dense = DenseGraphs.of(graphs, 30)
    energy = probe.energy(dense)
    assert energy.shape == (4, 3, 30)
    torch.testing.assert_close(energy.sum(-1), torch.ones(4, 3), rtol=1e-3, atol=0)
    assert energy[~dense.mask[:, None].expand(4, 3, 30)].count_nonzero() == 0
    expected = node_attention(network(0), graphs, power=power)
    for number, part in enumerate(expected.split(graphs.sizes.tolist(), 1)):
        size = part.shape[1]
        sums = part.sum(1, keepdim=True)
        torch.testing.assert_close(energy[number, :, :size], part / sums, rtol=1e-3, atol=1e-6)
