"""Test GIN and GAT as classifiers: layers written out by hand, attention coefficients, batches, seeds."""

from __future__ import annotations

import networkx
import pytest
import torch
from torch.nn.functional import leaky_relu

from explore.data import GraphSet
from explore.errors import InvalidInput, UnknownName
from explore.models import SparseGraphs
from explore.models.pyg_networks import HEADS, PygClassifier

WIDTH = 5


def some_graphs() -> GraphSet:
    """Return random graphs, one without edges and one of a single node."""
    generator = torch.Generator().manual_seed(0)
    listed = [networkx.gnp_random_graph(n, 0.4, seed=n) for n in (6, 9)]
    listed += [networkx.empty_graph(3), networkx.empty_graph(1)]
    tables = [torch.randn(len(graph), 3, generator=generator) for graph in listed]
    return GraphSet.from_edges([graph.edges for graph in listed], tables, [0, 1, 0, 1])


def network(kind: str, pool: str = "mean", seed: int = 0) -> PygClassifier:
    return PygClassifier(kind, 3, 2, WIDTH, depth=2, pool=pool, seed=seed)


def coefficients(layer: torch.nn.Module, hidden: torch.Tensor, links: torch.Tensor) -> torch.Tensor:
    """Return the attention of a GAT layer by its formula, ``[heads, node, neighbour]``."""
    rows = layer.lin(hidden).view(len(hidden), HEADS, WIDTH)
    source = (rows * layer.att_src).sum(-1).T
    target = (rows * layer.att_dst).sum(-1).T
    scores = leaky_relu(target[:, :, None] + source[:, None, :], 0.2)
    return scores.masked_fill(links == 0, -torch.inf).softmax(-1)


@pytest.mark.parametrize("pool", ["mean", "sum"])
@pytest.mark.parametrize("kind", ["gin", "gat"])
def test_the_layers_are_their_formulas(kind: str, pool: str) -> None:
    graphs, net = some_graphs(), network(kind, pool)
    layers = net.hidden(SparseGraphs(graphs))
    logits = []
    for number in range(len(graphs)):
        hidden = graphs.subset([number]).features
        links = graphs.adjacency(number) + torch.eye(len(hidden))
        for layer, expected in zip(net.layers, layers, strict=True):
            if kind == "gin":
                hidden = layer.nn(links @ hidden).relu()
            else:
                rows = layer.lin(hidden).view(len(hidden), HEADS, WIDTH).transpose(0, 1)
                hidden = ((coefficients(layer, hidden, links) @ rows).mean(0) + layer.bias).relu()
            mine = expected[graphs.graph_of_node == number]
            torch.testing.assert_close(mine, hidden, rtol=1e-4, atol=1e-5)
        logits.append(net.classifier(hidden.mean(0) if pool == "mean" else hidden.sum(0)))
    torch.testing.assert_close(net(SparseGraphs(graphs)), torch.stack(logits), rtol=1e-4, atol=1e-5)


def test_the_attention_of_a_gat_sums_to_one_at_each_node() -> None:
    graphs, net = some_graphs(), network("gat")
    edges, attention = net.edge_attention(SparseGraphs(graphs))
    count = len(graphs.features)
    assert edges.shape == (2, graphs.edges.shape[1] + count), "one loop at each node"
    assert len(attention) == 2
    hidden = graphs.features
    for layer, values in zip(net.layers, attention, strict=True):
        assert not values.requires_grad
        sums = torch.zeros(count).index_add(0, edges[1], values)
        torch.testing.assert_close(sums, torch.ones(count))
        links = torch.eye(count)
        links[tuple(graphs.edges)] = 1
        expected = coefficients(layer, hidden, links).mean(0)
        torch.testing.assert_close(values, expected[edges[1], edges[0]].detach())
        hidden = layer(hidden, graphs.edges).relu()
    with pytest.raises(InvalidInput, match="only a gat has attention coefficients of its own"):
        network("gin").edge_attention(SparseGraphs(graphs))


@pytest.mark.parametrize("kind", ["gin", "gat"])
def test_a_graph_has_the_same_logits_in_any_batch(kind: str) -> None:
    graphs, net = some_graphs(), network(kind)
    alone = [net(SparseGraphs(graphs.subset([number]))) for number in range(len(graphs))]
    torch.testing.assert_close(net(SparseGraphs(graphs)), torch.cat(alone), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["gin", "gat"])
def test_a_seed_gives_the_same_weights_and_leaves_the_global_generator_alone(kind: str) -> None:
    before = torch.get_rng_state()
    states = [network(kind, seed=seed).state_dict() for seed in (0, 0, 1)]
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    assert any(not torch.equal(value, states[2][name]) for name, value in states[0].items())


def test_other_kinds_are_refused() -> None:
    with pytest.raises(UnknownName, match="unknown kind 'gcn'"):
        network("gcn")
