"""Test what is matched: plain references class by class, the same maps from both kinds of batches, gradients by finite differences."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from explore.data import GraphSet, load_graph_set
from explore.graphs.adjacency import sample_edges, valid_pairs
from explore.graphs.attention import EPSILON, structural_attention
from explore.graphs.matching import Maps, attention_loss, dense_maps, gradient_loss, sparse_maps
from explore.models import GCN, DenseGraphs, SparseGraphs

FEATURES, WIDTH = 31, 6
CLOSE: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-7}


def by_class(count: int, counts: tuple[int, ...], first: int = 0) -> GraphSet:
    """Return ``counts[c]`` graphs of each class, class by class."""
    graphs = load_graph_set("motifs", count=count)
    rows = [members[first : first + n] for members, n in zip(graphs.members, counts, strict=True)]
    return graphs.subset(np.concatenate(rows))


def double(graphs: GraphSet) -> GraphSet:
    """Return the graphs with features in float64."""
    return replace(graphs, features=graphs.features.double())


def network(pool: str = "mean", features: int = FEATURES, seed: int = 0) -> GCN:
    """Return a network whose biases are not zero, so that padding would show."""
    net = GCN(features, 2, WIDTH, pool=pool, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for bias in net.biases:
            bias.copy_(torch.rand(bias.shape, generator=generator) / 2)
    return net


def plain_loss(
    net: GCN, synthetic: DenseGraphs, real: GraphSet, power: float, weight: float
) -> torch.Tensor:
    """Return the loss of GSTAM by a loop over classes, each with its own forward passes."""
    total = torch.zeros(())
    per_class = len(synthetic.mask) // 2
    for label in (0, 1):
        part = slice(label * per_class, (label + 1) * per_class)
        fake = DenseGraphs(
            synthetic.features[part], synthetic.adjacency[part], synthetic.mask[part]
        )
        batch = SparseGraphs(real.subset(real.labels == label))
        maps, targets = [], []
        for ours, theirs in zip(net.hidden(fake), net.hidden(batch), strict=True):
            maps.append(structural_attention(ours, fake.mask, power).flatten())
            targets.append(structural_attention(theirs, None, power).flatten())
        ours, theirs = torch.cat(maps), torch.cat(targets).detach()
        total = total + (ours - theirs).square().sum() / theirs.square().sum()
        fake_mean = net.embed(net.hidden(fake)[-1], fake).sum(0)
        real_mean = net.embed(net.hidden(batch)[-1], batch).sum(0).detach()
        fake_mean = fake_mean / fake_mean.abs().sum()
        real_mean = real_mean / real_mean.abs().sum()
        distance = (fake_mean - real_mean).square().sum() / real_mean.square().sum()
        total = total + weight * distance
    return total


def soft_graphs(graphs: GraphSet, seed: int = 0) -> DenseGraphs:
    """Return graphs of a set with drawn edges and padding, as a condensation has them."""
    dense = DenseGraphs.of(graphs, 28)
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(dense.adjacency.shape, generator=generator) + 2 * dense.adjacency - 1
    edges = sample_edges(logits, 0.5, valid_pairs(dense.mask), generator)
    return DenseGraphs(dense.features, edges, dense.mask)


# ---- structural attention


@pytest.mark.parametrize("pool", ["mean", "sum"])
@pytest.mark.parametrize("power", [1, 2, 3.0, 4, 1.5])
@pytest.mark.parametrize("weight", [0.0, 0.3])
def test_the_attention_loss_equals_a_loop_over_classes(
    pool: str, power: float, weight: float
) -> None:
    net = network(pool)
    real, synthetic = by_class(16, (3, 5)), soft_graphs(by_class(16, (2, 2), first=5))
    features = synthetic.features.clone().requires_grad_()
    batch = DenseGraphs(features, synthetic.adjacency, synthetic.mask)
    results = []
    for loss in (
        attention_loss(
            dense_maps(net, batch, 2, power),
            sparse_maps(net, SparseGraphs(real), (3, 5), power),
            weight,
        ),
        plain_loss(net, batch, real, power, weight),
    ):
        (gradient,) = torch.autograd.grad(loss, features)
        results.append((loss.detach(), gradient))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, **CLOSE)
    assert results[0][1].count_nonzero() > 0


@pytest.mark.parametrize("pool", ["mean", "sum"])
@pytest.mark.parametrize("per_class", [1, 4])
@pytest.mark.parametrize("power", [1, 2, 4, 2.5])
def test_sparse_and_dense_batches_of_the_same_graphs_have_the_same_maps(
    pool: str, per_class: int, power: float
) -> None:
    net, graphs = network(pool), by_class(16, (per_class, per_class))
    sparse = sparse_maps(net, SparseGraphs(graphs), (per_class, per_class), power)
    dense = dense_maps(net, DenseGraphs.of(graphs, 30), 2, power)
    assert sparse.attention.shape == (2, 3, WIDTH, WIDTH)
    assert sparse.embedding.shape == (2, WIDTH)
    torch.testing.assert_close(sparse.attention, dense.attention, **CLOSE)
    torch.testing.assert_close(sparse.embedding, dense.embedding, **CLOSE)
    torch.testing.assert_close(sparse.attention.sum((-1, -2)), torch.ones(2, 3))
    assert attention_loss(dense, sparse, 1.0).item() < 1e-8


def test_the_maps_do_not_depend_on_the_numbering_of_the_nodes() -> None:
    net, graphs = network(), by_class(16, (3, 3))
    dense = DenseGraphs.of(graphs)
    expected = dense_maps(net, dense, 2, 2)
    features, edges, mask = dense.features.clone(), dense.adjacency.clone(), dense.mask.clone()
    generator = torch.Generator().manual_seed(0)
    for number in (1, 4):  # The released code adds graphs node by node, and its map changes.
        order = torch.randperm(mask.shape[1], generator=generator)
        features[number], mask[number] = features[number][order], mask[number][order]
        edges[number] = edges[number][order][:, order]
    moved = dense_maps(net, DenseGraphs(features, edges, mask), 2, 2)
    torch.testing.assert_close(moved.attention, expected.attention, **CLOSE)
    torch.testing.assert_close(moved.embedding, expected.embedding, **CLOSE)


def test_no_gradient_reaches_the_real_side() -> None:
    net = network()
    maps = sparse_maps(net, SparseGraphs(by_class(16, (2, 2))), (2, 2), 2)
    assert maps.attention.requires_grad
    other = Maps(torch.rand(2, 3, WIDTH, WIDTH), torch.rand(2, WIDTH))
    assert not attention_loss(other, maps, 1.0).requires_grad


def test_maps_and_losses_of_silent_networks_are_finite() -> None:
    net = network()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
    graphs = by_class(16, (2, 2))
    dense = DenseGraphs.of(graphs)
    features = dense.features.clone().requires_grad_()
    dense = DenseGraphs(features, dense.adjacency, dense.mask)
    maps, real = dense_maps(net, dense, 2, 2), sparse_maps(net, SparseGraphs(graphs), (2, 2), 2)
    assert maps.attention.count_nonzero() == real.attention.count_nonzero() == 0
    loss = attention_loss(maps, real, 0.5)
    loss.backward()
    assert loss.item() == 0
    assert features.grad.count_nonzero() == 0
    alive = Maps(torch.rand(2, 3, WIDTH, WIDTH), torch.rand(2, WIDTH))
    assert attention_loss(alive, real, 0.5).isfinite()
    assert attention_loss(real, alive, 0.5).item() == pytest.approx(3.0)  # 1 + 0.5 in each class


# ---- gradients


def plain_gradient_loss(
    net: GCN, synthetic: DenseGraphs, real: GraphSet, labels: torch.Tensor
) -> torch.Tensor:
    """Return the loss of DosCond by a loop over classes, each with its own forward pass."""
    total = torch.zeros((), dtype=synthetic.features.dtype)
    for label in (0, 1):
        rows = (labels == label).nonzero().flatten()
        batch = SparseGraphs(real.subset(real.labels == label))
        fake = DenseGraphs(
            synthetic.features[rows], synthetic.adjacency[rows], synthetic.mask[rows]
        )
        target = torch.full((len(batch.graphs),), label)
        parameters = list(net.parameters())
        expected = torch.autograd.grad(cross_entropy(net(batch), target), parameters)
        gradient = torch.autograd.grad(
            cross_entropy(net(fake), labels[rows]), parameters, create_graph=True
        )
        distance = sum((a - b).square().sum() for a, b in zip(gradient, expected, strict=True))
        norm = sum(g.square().sum() for g in expected) + EPSILON  # which matters for certain logits
        total = total + distance / norm
    return total


@pytest.mark.parametrize("pool", ["mean", "sum"])
@pytest.mark.parametrize("per_class", [1, 3])
def test_the_gradient_loss_equals_a_loop_over_classes(pool: str, per_class: int) -> None:
    net, real = network(pool).double(), double(by_class(16, (3, 5)))
    synthetic = soft_graphs(double(by_class(16, (per_class, per_class), first=4)))
    labels = torch.arange(2).repeat_interleave(per_class)
    batches = [SparseGraphs(real.subset(real.labels == label)) for label in (0, 1)]
    results = []
    for function, other in (
        (gradient_loss, (labels, batches)),
        (plain_gradient_loss, (real, labels)),
    ):
        features = synthetic.features.clone().requires_grad_()
        edges = synthetic.adjacency.clone().requires_grad_()
        loss = function(net, DenseGraphs(features, edges, synthetic.mask), *other)
        results.append((loss.detach(), *torch.autograd.grad(loss, (features, edges))))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs)
        assert theirs.count_nonzero() > 0
    assert all(parameter.grad is None for parameter in net.parameters())


def small_case() -> tuple[GCN, list[SparseGraphs], DenseGraphs, torch.Tensor]:
    """Return a case in float64: real graphs, a pair of synthetic graphs and their logits."""
    generator = torch.Generator().manual_seed(2)
    tables = [torch.rand(n, 2, generator=generator) for n in (3, 4, 3, 2)]
    edges = [[(0, 1), (1, 2)], [(0, 1), (1, 2), (2, 3)], [(0, 2)], [(0, 1)]]
    graphs = GraphSet.from_edges(edges, tables, [0, 0, 1, 1])
    graphs = double(graphs)
    start = DenseGraphs.of(graphs.subset([1, 2]), 4)
    real = [SparseGraphs(graphs.subset(graphs.labels == label)) for label in (0, 1)]
    logits = torch.randn(2, 4, 4, generator=generator, dtype=torch.float64)
    return network(features=2, seed=1).double(), real, start, logits


@pytest.mark.parametrize("kind", ["attention", "gradients"])
def test_features_and_logits_have_the_gradient_of_finite_differences(kind: str) -> None:
    net, real, start, logits = small_case()
    pairs = valid_pairs(start.mask)
    whole = [batch.graphs for batch in real]
    merged = GraphSet.from_edges(
        [graph.adjacency(k).nonzero() for graph in whole for k in range(2)],
        [graph.subset([k]).features for graph in whole for k in range(2)],
        [0, 0, 1, 1],
    )

    def loss(features: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        edges = sample_edges(logits, 0.7, pairs, torch.Generator().manual_seed(3))
        synthetic = DenseGraphs(features, edges, start.mask)
        if kind == "gradients":
            return gradient_loss(net, synthetic, torch.tensor([0, 1]), real)
        target = sparse_maps(network(features=2, seed=1), SparseGraphs(merged), (2, 2), 2)
        maps = Maps(target.attention.double(), target.embedding.double())
        return attention_loss(dense_maps(net, synthetic, 2, 2), maps, 0.5)

    features = start.features.clone().requires_grad_()
    logits.requires_grad_()
    assert torch.autograd.gradcheck(loss, (features, logits))
    loss(features, logits).backward()
    for values, outside in ((features.grad, ~start.mask), (logits.grad, ~pairs)):
        assert values.isfinite().all()
        assert values.count_nonzero() > 0
        assert values[outside].count_nonzero() == 0


def test_a_real_gradient_of_zero_gives_a_finite_loss() -> None:
    net, real, start, _ = small_case()
    with torch.no_grad():  # All logits are certain, so the loss has no gradient.
        for parameter in [*net.parameters()]:
            parameter.zero_()
        net.classifier_bias.copy_(torch.tensor([2000.0, 0.0]))
    features = start.features.clone().requires_grad_()
    synthetic = DenseGraphs(features, start.adjacency, start.mask)
    loss = gradient_loss(net, synthetic, torch.tensor([0, 0]), [real[0], real[0]])
    loss.backward()
    assert loss.item() == 0
    assert features.grad.count_nonzero() == 0
    wrong = gradient_loss(net, synthetic, torch.tensor([1, 1]), [real[0], real[0]])
    assert wrong.isfinite()
    assert wrong.item() > 1
