"""Test motif graphs: networkx as oracle for the motifs and the bases, and that no simple number of a node tells the motif."""

from __future__ import annotations

import networkx
import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from explore.data import GraphSet, load_graph_set
from explore.data.datasets.motif_graphs import BASE_NODES, CLASS_NAMES, motif_graphs
from explore.errors import InvalidInput

HOUSE = networkx.Graph([(0, 1), (1, 2), (2, 3), (3, 0), (0, 4), (1, 4)])
"""Four walls and a roof."""

RING = networkx.cycle_graph(5)


@pytest.fixture(scope="module")
def graphs() -> GraphSet:
    return motif_graphs(count=200)


@pytest.fixture(scope="module")
def listed(graphs: GraphSet) -> list[tuple[networkx.Graph, list[int]]]:
    """Return each graph with the numbers of its motif's nodes."""
    result = []
    for number in range(len(graphs)):
        start, end = graphs.offsets[number : number + 2].tolist()
        motif = graphs.motif[start:end].nonzero()[:, 0].tolist()
        result.append((networkx.from_numpy_array(graphs.adjacency(number).numpy()), motif))
    return result


def auroc(graphs: GraphSet, values: np.ndarray) -> float:
    """Return how well a number of each node tells the nodes of the motif, whatever its sign."""
    area = float(roc_auc_score(graphs.motif.numpy(), values))
    return max(area, 1 - area)


def test_the_motif_is_a_house_or_a_ring(graphs: GraphSet, listed: list) -> None:
    for (graph, motif), label in zip(listed, graphs.labels.tolist(), strict=True):
        expected = {"house": HOUSE, "ring": RING}[graphs.class_names[label]]
        assert networkx.is_isomorphic(graph.subgraph(motif), expected)


def test_one_edge_joins_the_motif_to_a_connected_base_without_triangles(listed: list) -> None:
    for graph, motif in listed:
        assert networkx.is_connected(graph)
        assert len(list(networkx.edge_boundary(graph, motif))) == 1
        base = graph.subgraph(set(graph) - set(motif))
        assert networkx.is_connected(base)
        assert BASE_NODES[0] <= len(base) <= BASE_NODES[1]
        assert not any(networkx.triangles(base).values())
        assert networkx.cycle_basis(base), "cycles alone do not tell the motif"


def test_a_triangle_stands_in_every_house_and_in_no_graph_with_a_ring(
    graphs: GraphSet, listed: list
) -> None:
    triangles = [sum(networkx.triangles(graph).values()) // 3 for graph, _ in listed]
    assert triangles == [1 - label for label in graphs.labels.tolist()]


def test_neither_class_has_more_edges(graphs: GraphSet, listed: list) -> None:
    assert {graph.number_of_edges() - len(graph) for graph, _ in listed} == {5}
    sizes = graphs.sizes.float()
    means = [sizes[graphs.labels == label].mean().item() for label in (0, 1)]
    assert means[0] == pytest.approx(means[1], abs=1)


def test_degrees_and_core_numbers_do_not_tell_the_motif(graphs: GraphSet, listed: list) -> None:
    cores = [networkx.core_number(graph)[node] for graph, _ in listed for node in sorted(graph)]
    assert auroc(graphs, graphs.degrees.numpy()) < 0.7
    assert auroc(graphs, np.array(cores)) < 0.7


def test_the_order_of_the_nodes_does_not_tell_the_motif(graphs: GraphSet) -> None:
    places = torch.arange(len(graphs.features)) - graphs.offsets[:-1][graphs.graph_of_node]
    assert auroc(graphs, places.numpy()) < 0.6


def test_classes_alternate_and_features_are_degrees(graphs: GraphSet) -> None:
    assert graphs.labels.tolist() == [0, 1] * 100
    assert graphs.class_names == CLASS_NAMES
    assert graphs.motif.dtype == torch.bool
    assert int(graphs.motif.sum()) == 5 * len(graphs)
    assert graphs.degree_features
    assert torch.equal(graphs.features.argmax(1), graphs.degrees)


def test_a_seed_gives_the_same_bytes_and_a_smaller_set_is_the_beginning(graphs: GraphSet) -> None:
    again = motif_graphs(count=200)
    assert again.sha256 == graphs.sha256
    assert torch.equal(again.motif, graphs.motif)
    smaller, beginning = motif_graphs(count=7), graphs.subset(range(7))
    assert smaller.sha256 == beginning.sha256
    assert torch.equal(smaller.motif, beginning.motif)
    others = [motif_graphs(count=7, seed=seed).sha256 for seed in range(5)]
    assert len(set(others)) == 5


def test_no_two_graphs_of_a_set_are_the_same(graphs: GraphSet) -> None:
    assert len({graphs.subset([number]).sha256 for number in range(len(graphs))}) == len(graphs)


def test_a_set_is_loaded_by_its_name_and_options() -> None:
    graphs = load_graph_set("motifs", count=4, seed=3)
    assert graphs.describe()["options"] == {"count": 4, "seed": 3}
    assert load_graph_set(graphs.name, **graphs.options).sha256 == graphs.sha256
    assert len(load_graph_set("motifs")) == 300


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 1}, "count must be a whole number of at least 2 and at most 100000, got 1"),
        (
            {"count": 2.5},
            r"count must be a whole number of at least 2 and at most 100000, got 2\.5",
        ),
        (
            {"count": True},
            "count must be a whole number of at least 2 and at most 100000, got True",
        ),
        ({"seed": -1}, "seed must be a whole number of at least 0 and at most .*, got -1"),
    ],
)
def test_odd_options_are_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        motif_graphs(**options)
