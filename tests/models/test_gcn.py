"""Test the GCN: PyTorch Geometric's layers as oracle, sparse and dense batches alike, padding without effect, double gradients."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import warnings
from typing import Any

import networkx
import numpy as np
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch_geometric.nn import GCNConv, global_add_pool, global_mean_pool

from explore.data import GraphSet
from explore.errors import InvalidInput, UnknownName
from explore.models import GCN, DenseGraphs, SparseGraphs
from explore.models.gcn import NORMS, POOLS

EVERY_KIND = list(itertools.product(NORMS, POOLS))
CLOSE: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-6}


def some_graphs(features: int = 3, double: bool = False) -> GraphSet:
    """Return random graphs, one without edges and one of a single node."""
    generator = np.random.default_rng(0)
    listed = [networkx.gnp_random_graph(n, 0.4, seed=n) for n in (6, 9, 4)]
    listed += [networkx.empty_graph(3), networkx.empty_graph(1), networkx.star_graph(7)]
    tables = [generator.normal(size=(len(graph), features)) for graph in listed]
    graphs = GraphSet.from_edges([graph.edges for graph in listed], tables, [0, 1, 2, 0, 1, 2])
    return dataclasses.replace(graphs, features=graphs.features.double()) if double else graphs


def network(norm: str = "none", pool: str = "mean", width: int = 5, **options: Any) -> GCN:
    """Return a network whose biases and running statistics are not those of the start."""
    net = GCN(3, 3, width, norm=norm, pool=pool, **options)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for values in [*net.parameters(), *net.buffers()]:
            if values.is_floating_point():
                values.add_(torch.rand(values.shape, generator=generator) / 5)
    return net


def real_rows(hidden: torch.Tensor, dense: DenseGraphs) -> torch.Tensor:
    assert hidden[~dense.mask].count_nonzero() == 0
    return hidden[dense.mask]


# ---- oracles


def test_two_nodes_by_hand() -> None:
    graphs = GraphSet.from_edges([[(0, 1)], []], [[[1.0], [3.0]], [[5.0]]], [0, 1])
    # D = 2 for both nodes of the pair, so each gets half of both; the isolated node keeps its own.
    expected = torch.tensor([[2.0], [2.0], [5.0]])
    torch.testing.assert_close(SparseGraphs(graphs).aggregate(graphs.features), expected)
    dense = DenseGraphs.of(graphs)
    torch.testing.assert_close(dense.aggregate(dense.features)[dense.mask], expected)
    for batch, hidden in ((SparseGraphs(graphs), graphs.features), (dense, dense.features)):
        assert batch.pool(hidden, "mean").tolist() == [[2], [5]]
        assert batch.pool(hidden, "sum").tolist() == [[4], [5]]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("norm", "pool"), EVERY_KIND)
@pytest.mark.parametrize("width", [2, 5])  # fewer and more channels than features
def test_it_is_the_network_of_pytorch_geometric(
    norm: str, pool: str, training: bool, width: int
) -> None:
    graphs, net = some_graphs(), network(norm, pool, width).train(training)
    hidden = graphs.features
    layers = []
    for weight, bias, layer_norm in zip(net.weights, net.biases, net.norms, strict=True):
        convolution = GCNConv(*weight.shape)
        with torch.no_grad():
            convolution.lin.weight.copy_(weight.T)
            convolution.bias.copy_(bias)
        hidden = copy.deepcopy(layer_norm)(convolution(hidden, graphs.edges)).relu()
        layers.append(hidden)
    pooled = {"mean": global_mean_pool, "sum": global_add_pool}[pool](hidden, graphs.graph_of_node)
    expected = pooled @ net.classifier_weight + net.classifier_bias
    batch = SparseGraphs(graphs)
    for ours, theirs in zip(copy.deepcopy(net).hidden(batch), layers, strict=True):
        torch.testing.assert_close(ours, theirs, **CLOSE)
    torch.testing.assert_close(net(batch), expected, **CLOSE)


def test_the_propagation_is_the_normalised_adjacency() -> None:
    graphs = some_graphs()
    for number in range(len(graphs)):
        adjacency = graphs.adjacency(number) + torch.eye(int(graphs.sizes[number]))
        scale = adjacency.sum(1) ** -0.5
        expected = scale[:, None] * adjacency * scale
        part = graphs.subset([number])
        eye = torch.eye(len(adjacency))
        torch.testing.assert_close(SparseGraphs(part).aggregate(eye), expected, **CLOSE)
        torch.testing.assert_close(DenseGraphs.of(part).aggregate(eye[None])[0], expected, **CLOSE)


# ---- sparse and dense


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("norm", "pool"), EVERY_KIND)
def test_sparse_and_dense_batches_give_the_same(norm: str, pool: str, training: bool) -> None:
    graphs = some_graphs()
    sparse, dense = SparseGraphs(graphs), DenseGraphs.of(graphs, 11)
    first, second = (network(norm, pool).train(training) for _ in range(2))
    layers = zip(first.hidden(sparse), second.hidden(dense), strict=True)
    for sparse_hidden, dense_hidden in layers:
        torch.testing.assert_close(sparse_hidden, real_rows(dense_hidden, dense), **CLOSE)
    logits = first(sparse), second(dense)
    torch.testing.assert_close(*logits, **CLOSE)
    for net, values in zip((first, second), logits, strict=True):
        torch.nn.functional.cross_entropy(values, graphs.labels).backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, **CLOSE)
    for name, value in first.state_dict().items():  # with the running statistics
        torch.testing.assert_close(value, second.state_dict()[name], **CLOSE)


@pytest.mark.parametrize(("norm", "pool"), EVERY_KIND)
def test_padding_changes_nothing(norm: str, pool: str) -> None:
    graphs, generator = some_graphs(), torch.Generator().manual_seed(0)
    tight = DenseGraphs.of(graphs)
    size = tight.mask.shape[1] + 4
    padded = DenseGraphs.of(graphs, size)
    assert not padded.mask[:, -4:].any()
    junk = 100 * torch.randn(padded.features.shape, generator=generator)
    features = torch.where(padded.mask[..., None], padded.features, junk)
    real = padded.mask[:, :, None] & padded.mask[:, None, :]
    links = torch.rand(padded.adjacency.shape, generator=generator)
    adjacency = torch.where(real, padded.adjacency, (links + links.mT) / 2)
    other = DenseGraphs(features, adjacency, padded.mask)
    networks = [network(norm, pool) for _ in range(2)]
    for ours, theirs in zip(networks[0].hidden(tight), networks[1].hidden(other), strict=True):
        torch.testing.assert_close(real_rows(ours, tight), real_rows(theirs, other), **CLOSE)
    torch.testing.assert_close(networks[0](tight), networks[1](other), **CLOSE)
    for name, value in networks[0].state_dict().items():
        torch.testing.assert_close(value, networks[1].state_dict()[name], **CLOSE)


def test_the_gradient_of_padding_is_zero() -> None:
    padded = DenseGraphs.of(some_graphs(), 12)
    features, adjacency = (x.clone().requires_grad_() for x in (padded.features, padded.adjacency))
    network("batch")(DenseGraphs(features, adjacency, padded.mask)).square().sum().backward()
    assert features.grad[~padded.mask].count_nonzero() == 0
    assert adjacency.grad[~padded.mask].count_nonzero() == 0
    assert features.grad[padded.mask].count_nonzero() > 0
    assert adjacency.grad.isfinite().all()


@pytest.mark.parametrize(("norm", "pool"), EVERY_KIND)
def test_other_numbers_of_the_nodes_permute_the_values_of_the_nodes(norm: str, pool: str) -> None:
    graphs, generator = some_graphs(), torch.Generator().manual_seed(3)
    orders = [torch.randperm(int(size), generator=generator) for size in graphs.sizes]
    edges, tables = [], []
    for number, order in enumerate(orders):
        edges.append(graphs.adjacency(number)[order][:, order].nonzero())
        tables.append(graphs.subset([number]).features[order])
    moved = GraphSet.from_edges(edges, tables, graphs.labels)
    places = torch.cat([o + k for o, k in zip(orders, graphs.offsets[:-1], strict=True)])
    networks = [network(norm, pool) for _ in range(2)]
    for batch, other in (
        (SparseGraphs(graphs), SparseGraphs(moved)),
        (DenseGraphs.of(graphs), DenseGraphs.of(moved)),
    ):
        hidden = [net.hidden(b)[-1] for net, b in zip(networks, (batch, other), strict=True)]
        if isinstance(batch, DenseGraphs):
            hidden = [values[batch.mask] for values in hidden]
        torch.testing.assert_close(hidden[0][places], hidden[1], **CLOSE)
        torch.testing.assert_close(networks[0](batch), networks[1](other), **CLOSE)


def test_a_graph_has_the_same_logits_in_any_batch() -> None:
    graphs, net = some_graphs(), network("batch").eval()
    together = net(SparseGraphs(graphs))
    alone = [net(SparseGraphs(graphs.subset([number]))) for number in range(len(graphs))]
    torch.testing.assert_close(together, torch.cat(alone), **CLOSE)


# ---- gradients


@pytest.mark.parametrize("pool", [None, *POOLS])
def test_sparse_batches_can_be_differentiated_twice(pool: str | None) -> None:
    sparse = SparseGraphs(some_graphs(2, double=True))
    hidden = torch.randn(
        sparse.features.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    ).requires_grad_()

    def squares(values: torch.Tensor) -> torch.Tensor:
        result = sparse.aggregate(values) if pool is None else sparse.pool(values, pool)
        return result.square() * result

    assert gradcheck(squares, (hidden,))
    assert gradgradcheck(squares, (hidden,))


@pytest.mark.parametrize(("norm", "pool"), EVERY_KIND)
def test_dense_batches_can_be_differentiated_twice(norm: str, pool: str) -> None:
    padded = DenseGraphs.of(some_graphs(double=True).subset([2, 4]), 5)
    net = network(norm, pool, width=3, depth=2).double()
    inside = padded.mask[:, :, None] & padded.mask[:, None, :] & ~torch.eye(5, dtype=torch.bool)
    weights = torch.rand(
        padded.adjacency.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    logit = (weights + weights.mT).requires_grad_()
    features = padded.features.double().requires_grad_()

    def logits(logit: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        fresh = copy.deepcopy(net)  # A norm counts its batches.
        return fresh(DenseGraphs(features, logit.sigmoid() * inside, padded.mask))

    assert gradcheck(logits, (logit, features))
    assert gradgradcheck(logits, (logit, features))


@pytest.mark.parametrize("dense", [False, True])
def test_gradients_of_weights_can_be_matched(dense: bool) -> None:
    graphs = some_graphs()
    net = network("batch")
    batch = DenseGraphs.of(graphs) if dense else SparseGraphs(graphs)
    loss = torch.nn.functional.cross_entropy(net(batch), graphs.labels)
    gradients = torch.autograd.grad(loss, list(net.parameters()), create_graph=True)
    sum(g.square().sum() for g in gradients).backward()
    assert all(p.grad.isfinite().all() for p in net.parameters() if p.grad is not None)


# ---- the module


def test_a_seed_gives_the_same_weights_and_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    states = [GCN(3, 2, 4, norm="batch", seed=seed).state_dict() for seed in (0, 0, 1)]
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    assert not torch.equal(states[0]["weights.0"], states[2]["weights.0"])
    weight = GCN(30, 2, 50).weights[0]
    limit = (6 / 80) ** 0.5
    assert 0.9 * limit < weight.abs().max() <= limit
    redrawn = network("batch").draw_weights(0).state_dict()
    fresh = GCN(3, 3, 5, norm="batch", seed=0).state_dict()
    assert all(torch.equal(value, fresh[name]) for name, value in redrawn.items())


@pytest.mark.parametrize("norm", NORMS)
def test_a_state_dict_restores_the_network(norm: str) -> None:
    batch, net = SparseGraphs(some_graphs()), network(norm)
    net(batch)
    other = GCN(3, 3, 5, norm=norm, seed=9)
    other.load_state_dict(net.state_dict())
    assert torch.equal(net.eval()(batch), other.eval()(batch))
    assert len(list(net.parameters())) == 8 + 6 * (norm == "batch")


def test_no_warning_reaches_the_user() -> None:
    graphs = some_graphs()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        network()(SparseGraphs(graphs)).sum().backward()
        network()(DenseGraphs.of(graphs)).sum().backward()
    assert caught == []


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"features": 0}, InvalidInput, "features must be a whole number of at least 1, got 0"),
        ({"classes": 1.5}, InvalidInput, "classes must be a whole number"),
        ({"width": 0}, InvalidInput, "width must be a whole number"),
        ({"depth": 0}, InvalidInput, "depth must be a whole number"),
        ({"norm": "layer"}, UnknownName, "unknown norm 'layer'"),
        ({"pool": "max"}, UnknownName, "unknown pool 'max'"),
    ],
)
def test_odd_options_are_refused(options: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        GCN(**{"features": 3, "classes": 2, **options})


def test_dense_batches_of_other_shapes_are_refused() -> None:
    dense = DenseGraphs.of(some_graphs())
    with pytest.raises(InvalidInput, match=r"expected features \[G, N, F\], .* got \[6, 8, 3\]"):
        DenseGraphs(dense.features[:, :8], dense.adjacency, dense.mask)
    with pytest.raises(InvalidInput, match="a graph has 9 nodes, more than 8"):
        DenseGraphs.of(some_graphs(), 8)
