"""Test node attention: energies against the trace of the matched product, gradcam against autograd written out for each graph."""

from __future__ import annotations

import copy
from typing import Any

import networkx
import pytest
import torch
from torch import nn
from torch_geometric.data import Data
from torch_geometric.nn import GATConv, GCNConv, TopKPooling, global_add_pool, global_mean_pool

from explore.data import GraphSet, load_graph_set
from explore.errors import InvalidInput, UnknownName
from explore.graphs import node_attention
from explore.models import GCN, SparseGraphs
from explore.models.pyg_networks import PygClassifier

FEATURES, WIDTH = 31, 8


class PlainNetwork(nn.Module):
    """A network of PyTorch Geometric's layers, as a user writes it."""

    def __init__(self) -> None:
        super().__init__()
        self.first = GCNConv(FEATURES, WIDTH)
        self.second = GATConv(WIDTH, WIDTH, heads=2, concat=False)
        self.dropout = nn.Dropout(0.5)
        self.out = nn.Linear(WIDTH, 3)

    def forward(self, x: torch.Tensor, edge_index: torch.Tensor, batch: torch.Tensor) -> Any:
        x = self.dropout(torch.tanh(self.first(x, edge_index)))
        return self.out(global_mean_pool(torch.tanh(self.second(x, edge_index)), batch))


def network(kind: str) -> nn.Module:
    """Return a network in training mode."""
    if kind == "gcn":
        return GCN(FEATURES, 3, WIDTH, norm="batch", seed=1)
    if kind == "plain":
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return PlainNetwork()
    return PygClassifier(kind, FEATURES, 3, WIDTH, pool="sum", seed=1)


NETWORKS = ("gcn", "gin", "gat", "plain")


def some_graphs(count: int = 5) -> GraphSet:
    return load_graph_set("motifs", count=8).subset(range(count))


# ---- energy of nodes


@pytest.mark.parametrize("power", [1, 2, 4, 1.5])
@pytest.mark.parametrize("kind", ["gcn", "gin", "gat"])
def test_the_energies_sum_to_the_trace_of_the_product(kind: str, power: float) -> None:
    graphs, net = some_graphs(), network(kind)
    energy = node_attention(net, graphs, power=power)
    layers = net.eval().hidden(SparseGraphs(graphs))
    assert energy.shape == (3, len(graphs.features))
    assert not energy.requires_grad
    for layer, hidden in zip(energy, layers, strict=True):
        powers = hidden.detach().double() ** power
        torch.testing.assert_close(
            layer.sum().double(), torch.trace(powers.T @ powers), rtol=1e-5, atol=0
        )
        torch.testing.assert_close(layer[3].double(), (powers[3] ** 2).sum(), rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize("power", [1.5, 2, 3])
def test_the_energy_of_layers_before_an_activation_counts_negative_values(power: float) -> None:
    graphs, net = some_graphs(), network("plain").eval()
    energy = node_attention(net, graphs, power=power)
    first = net.first(graphs.features, graphs.edges)
    second = net.second(torch.tanh(first), graphs.edges)
    assert first.min() < 0
    for values, hidden in zip(energy, (first, second), strict=True):
        expected = (hidden.detach().abs() ** (2 * power)).sum(1)
        torch.testing.assert_close(values, expected, rtol=1e-4, atol=1e-7)


# ---- gradcam of nodes


def plain_call(net: nn.Module, graph: GraphSet) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Return layers and logits of one graph, each layer called by its name."""
    if not isinstance(net, PlainNetwork):
        layers = net.hidden(SparseGraphs(graph))
        return layers, net.classify(net.embed(layers[-1], SparseGraphs(graph)))
    first = net.first(graph.features, graph.edges)
    second = net.second(torch.tanh(first), graph.edges)
    return [first, second], net.out(torch.tanh(second).mean(0, keepdim=True))


@pytest.mark.parametrize("target", [None, 0, 2])
@pytest.mark.parametrize("kind", NETWORKS)
def test_gradcam_equals_a_loop_over_graphs(kind: str, target: int | None) -> None:
    graphs, net = some_graphs(), network(kind).eval()
    expected = []
    for number in range(len(graphs)):
        layers, logits = plain_call(net, graphs.subset([number]))
        label = int(logits.argmax()) if target is None else target
        columns = []
        for hidden in layers:
            (gradient,) = torch.autograd.grad(logits[0, label], hidden, retain_graph=True)
            alpha = gradient.mean(0)
            columns.append(torch.stack([torch.relu(alpha @ node) for node in hidden]))
        expected.append(torch.stack(columns).detach())
        single = node_attention(net, graphs.subset([number]), "gradcam", target)
        torch.testing.assert_close(single, expected[-1])
    together = node_attention(net, graphs, "gradcam", target)
    torch.testing.assert_close(together, torch.cat(expected, 1))
    assert together.min() >= 0
    assert target is not None or together.max() > 0


@pytest.mark.parametrize("attention", ["energy", "gradcam"])
@pytest.mark.parametrize("kind", NETWORKS)
def test_other_numbers_of_the_nodes_permute_the_attention(kind: str, attention: str) -> None:
    graphs, net = some_graphs(1), network(kind)
    order = torch.randperm(int(graphs.sizes[0]), generator=torch.Generator().manual_seed(0))
    moved = GraphSet.from_edges(
        [graphs.adjacency(0)[order][:, order].nonzero()], [graphs.features[order]], [0]
    )
    torch.testing.assert_close(
        node_attention(net, moved, attention), node_attention(net, graphs, attention)[:, order]
    )


@pytest.mark.parametrize("attention", ["energy", "gradcam"])
@pytest.mark.parametrize("kind", NETWORKS)
def test_graphs_of_other_libraries_give_the_same(kind: str, attention: str) -> None:
    graphs, net = some_graphs(1), network(kind)
    expected = node_attention(net, graphs, attention)
    (data,) = graphs.to_pyg()
    single = networkx.Graph(graphs.edges.T.tolist())
    shuffled = networkx.Graph()
    shuffled.add_nodes_from(range(len(graphs.features)))
    shuffled.add_edges_from(single.edges)
    unlabelled = Data(x=data.x, edge_index=data.edge_index)
    for graph in (data, unlabelled, [data], shuffled):
        torch.testing.assert_close(node_attention(net, graph, attention), expected)
    assert unlabelled.y is None


@pytest.mark.parametrize("attention", ["energy", "gradcam"])
@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("frozen", [False, True])
def test_the_network_and_the_graphs_stay_as_they_were(
    kind: str, attention: str, frozen: bool
) -> None:
    graphs, net = some_graphs(2), network(kind).train()
    expected = node_attention(net, graphs, attention)
    net.requires_grad_(not frozen)
    modules = list(net.modules())
    modules[-1].eval()
    modes = [module.training for module in modules]
    before = copy.deepcopy(net.state_dict())
    with torch.no_grad():
        result = node_attention(net, graphs, attention)
    torch.testing.assert_close(result, expected)
    assert [module.training for module in modules] == modes
    assert all(p.grad is None and p.requires_grad is not frozen for p in net.parameters())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert not graphs.features.requires_grad
    assert not result.requires_grad
    assert not any(module._forward_hooks for module in modules)


# ---- refused


class Detached(PlainNetwork):
    """A network whose first layer does not reach the logits."""

    def forward(self, x: torch.Tensor, edge_index: torch.Tensor, batch: torch.Tensor) -> Any:
        self.first(x, edge_index)
        hidden = self.second(x[:, :WIDTH], edge_index)
        return self.out(global_add_pool(hidden, batch))


class Silent(PlainNetwork):
    """A network whose logits have no gradient."""

    def forward(self, x: torch.Tensor, edge_index: torch.Tensor, batch: torch.Tensor) -> Any:
        return super().forward(x, edge_index, batch).detach()


class NodeLogits(PlainNetwork):
    """A network with one row of logits for each node."""

    def forward(self, x: torch.Tensor, edge_index: torch.Tensor, batch: torch.Tensor) -> Any:
        return self.out(self.first(x, edge_index))


class Pooling(PlainNetwork):
    """A network that drops nodes between its layers."""

    def __init__(self) -> None:
        super().__init__()
        self.drop = TopKPooling(WIDTH)

    def forward(self, x: torch.Tensor, edge_index: torch.Tensor, batch: torch.Tensor) -> Any:
        x, edge_index, _, batch, _, _ = self.drop(
            self.first(x, edge_index), edge_index, None, batch
        )
        return self.out(global_mean_pool(self.second(x, edge_index), batch))


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Detached, "a layer of the network does not reach its logits"),
        (Silent, "a layer of the network does not reach its logits"),
        (NodeLogits, r"logits \[2, classes\], one row for each graph, got \[\d+, 3\]"),
        (Pooling, r"one row for each of the \d+ nodes, got .*; networks that drop or merge nodes"),
    ],
)
def test_networks_that_cannot_be_explained_are_refused(
    kind: type[PlainNetwork], message: str, frozen: bool
) -> None:
    net = kind().requires_grad_(not frozen).train()
    with pytest.raises(InvalidInput, match=message):
        node_attention(net, some_graphs(2), "gradcam")
    assert net.training
    assert not net.first._forward_hooks


def test_a_network_without_graph_layers_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"Linear has no message passing modules .*; use GCN"):
        node_attention(nn.Linear(FEATURES, 2), some_graphs(2))


@pytest.mark.parametrize("target", [-1, 3, 1.5, True])
@pytest.mark.parametrize("kind", NETWORKS)
def test_a_class_out_of_range_is_refused(kind: str, target: Any) -> None:
    with pytest.raises(InvalidInput, match="target must be a whole number of at least 0 and at mo"):
        node_attention(network(kind), some_graphs(2), "gradcam", target)


def test_odd_kinds_and_graphs_are_refused() -> None:
    with pytest.raises(UnknownName, match="unknown kind 'saliency'"):
        node_attention(network("gcn"), some_graphs(2), "saliency")
    with pytest.raises(InvalidInput, match="power must be a number above 0"):
        node_attention(network("gcn"), some_graphs(2), power=-1)
    with pytest.raises(InvalidInput, match="data must be the name of a graph set, a GraphSet"):
        node_attention(network("gcn"), torch.ones(3, 3))
