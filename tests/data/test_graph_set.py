"""Test sets of graphs: attributes worked out by hand, networkx as oracle, subsets against a loop over graphs."""

from __future__ import annotations

import dataclasses
from typing import Any

import networkx
import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from explore.data import GraphSet
from explore.data.graph_conversion import MAX_DEGREE
from explore.errors import InvalidInput

TRIANGLE, PATH = [(0, 1), (1, 2), (2, 0)], [(0, 1), (1, 2), (2, 3)]


def two_graphs() -> GraphSet:
    """Return a triangle and a path of four nodes, worked out by hand below."""
    return GraphSet.from_edges(
        [TRIANGLE, PATH], [torch.eye(3), torch.ones(4, 3)], [1, 0], name="two"
    )


def random_graphs(seed: int, count: int = 6) -> list[networkx.Graph]:
    """Return random graphs with features "x"; some have isolated nodes, some no edge at all."""
    generator = np.random.default_rng(seed)
    graphs = [networkx.Graph([(0, 1)])]
    for _ in range(count - 1):
        size = int(generator.integers(1, 9))
        graphs.append(
            networkx.gnp_random_graph(size, generator.random(), seed=int(generator.integers(99)))
        )
    for number, graph in enumerate(graphs):
        graph.graph["y"] = number % 2
        for node in graph:
            graph.nodes[node]["x"] = generator.normal(size=3)
    return graphs


def same(first: GraphSet, second: GraphSet) -> bool:
    return first.sha256 == second.sha256 and first.features.shape == second.features.shape


# ---- by hand


def test_a_triangle_and_a_path_by_hand() -> None:
    graphs = two_graphs()
    assert graphs.edges.tolist() == [
        [0, 0, 1, 1, 2, 2, 3, 4, 4, 5, 5, 6],
        [1, 2, 0, 2, 0, 1, 4, 3, 5, 4, 6, 5],
    ]
    assert graphs.sizes.tolist() == [3, 4]
    assert graphs.offsets.tolist() == [0, 3, 7]
    assert graphs.graph_of_node.tolist() == [0, 0, 0, 1, 1, 1, 1]
    assert graphs.degrees.tolist() == [2, 2, 2, 1, 2, 2, 1]
    assert [members.tolist() for members in graphs.members] == [[1], [0]]
    assert (graphs.features.dtype, graphs.labels.dtype) == (torch.float32, torch.int64)
    assert (graphs.class_names, graphs.feature_names) == (["0", "1"], ["0", "1", "2"])
    assert graphs.adjacency(0).tolist() == [[0, 1, 1], [1, 0, 1], [1, 1, 0]]
    assert graphs.describe()["shape"] == [2, 4, 3]
    assert repr(graphs).startswith("GraphSet('two': 2 graphs, 3 to 4 nodes, 6 edges, 3 features")


def test_without_features_they_are_the_degrees() -> None:
    star = [(0, k) for k in range(1, MAX_DEGREE + 5)]
    graphs = GraphSet.from_edges([star, TRIANGLE], None, [0, 1], [MAX_DEGREE + 5, 4])
    assert graphs.degree_features
    assert graphs.features.argmax(1).tolist() == [MAX_DEGREE, *[1] * (MAX_DEGREE + 4), 2, 2, 2, 0]
    assert len(graphs.feature_names) == graphs.features.shape[1] == MAX_DEGREE + 1
    assert not two_graphs().degree_features


# ---- against networkx, and a loop over graphs


@given(st.integers(0, 10_000))
def test_adjacency_and_degrees_are_those_of_networkx(seed: int) -> None:
    listed = random_graphs(seed)
    graphs = GraphSet.from_networkx(listed)
    for number, graph in enumerate(listed):
        expected = networkx.to_numpy_array(graph, nodelist=list(graph), weight=None)
        assert np.array_equal(graphs.adjacency(number).numpy(), expected)
        start, end = graphs.offsets[number : number + 2].tolist()
        assert graphs.degrees[start:end].tolist() == [d for _, d in graph.degree()]
    assert torch.equal(graphs.adjacency(-1), graphs.adjacency(len(graphs) - 1))
    with pytest.raises(InvalidInput, match="graph must be a whole number"):
        graphs.adjacency(len(graphs))


@given(st.integers(0, 10_000), st.lists(st.integers(-6, 5), min_size=1, max_size=9))
def test_a_subset_is_the_set_of_those_graphs(seed: int, indices: list[int]) -> None:
    listed = random_graphs(seed)
    marks = [torch.rand(len(graph)) < 0.5 for graph in listed]
    graphs = GraphSet.from_networkx(listed, motif=torch.cat(marks))
    for how in (indices, np.array(indices), torch.tensor(indices)):
        part = graphs.subset(how)
        assert torch.equal(part.motif, torch.cat([marks[k] for k in indices]))
        assert part.labels.tolist() == [listed[k].graph["y"] for k in indices]
        assert part.sizes.tolist() == [len(listed[k]) for k in indices]
        for number, k in enumerate(indices):
            assert torch.equal(part.adjacency(number), graphs.adjacency(k))
        rows = [listed[k].nodes[node]["x"] for k in indices for node in listed[k]]
        assert torch.equal(part.features, torch.tensor(np.array(rows), dtype=torch.float32))


def test_a_subset_by_mask_by_range_or_of_one_graph() -> None:
    graphs = GraphSet.from_networkx(random_graphs(3))
    expected = graphs.subset([1, 3, 5])
    mask = graphs.labels == 1
    for how in (mask, mask.numpy(), mask.tolist(), range(1, 6, 2), slice(1, None, 2)):
        assert same(graphs.subset(how), expected)
    assert same(graphs.subset(2), graphs.subset([2]))
    with pytest.raises(InvalidInput, match="no graphs; give one or more"):
        graphs.subset([])
    with pytest.raises(InvalidInput, match=r"indices must be -6..5, as there are 6 graphs; got 6"):
        graphs.subset([6])


@given(st.integers(0, 10_000))
def test_all_three_ways_make_the_same_set_and_pyg_gives_it_back(seed: int) -> None:
    listed = random_graphs(seed)
    graphs = GraphSet.from_networkx(listed)
    tables = [torch.tensor(np.array([g.nodes[n]["x"] for n in g])) for g in listed]
    labels = torch.tensor([g.graph["y"] for g in listed])
    assert same(GraphSet.from_edges([g.edges for g in listed], tables, labels), graphs)
    assert same(GraphSet.from_pyg(graphs.to_pyg()), graphs)
    assert same(GraphSet.from_pyg(iter(graphs.to_pyg())), graphs)
    assert same(GraphSet.from_networkx(listed, labels.tolist()), graphs)


def test_the_hash_changes_with_any_content() -> None:
    triangle, ones = torch.eye(3), torch.ones(4, 3)
    sets = [
        two_graphs(),
        GraphSet.from_edges([TRIANGLE, PATH], [triangle, 2 * ones], [1, 0]),
        GraphSet.from_edges([TRIANGLE, PATH], [triangle, ones], [1, 1]),
        GraphSet.from_edges([TRIANGLE, PATH[:2]], [triangle, ones], [1, 0]),
        GraphSet.from_edges([PATH, TRIANGLE], [ones, triangle], [0, 1]),
        GraphSet.from_edges([TRIANGLE[:2], PATH], [triangle, ones], [1, 0]),
    ]
    assert len({graphs.sha256 for graphs in sets}) == len(sets)
    assert two_graphs().sha256 == dataclasses.replace(two_graphs(), name="other").sha256


def test_attributes_are_passed_on_and_a_device_changes_nothing() -> None:
    graphs = GraphSet.from_edges(
        [TRIANGLE],
        [torch.ones(3, 1)],
        [0],
        name="mine",
        class_names=("no", "yes"),
        feature_names=("mass",),
        options={"a": 1},
    )
    assert (graphs.name, graphs.class_names) == ("mine", ("no", "yes"))
    assert (graphs.feature_names, graphs.options) == (("mass",), {"a": 1})
    assert same(graphs.to("cpu"), graphs)
    assert graphs.describe() == {
        "name": "mine",
        "options": {"a": 1},
        "shape": [1, 3, 1],
        "sha256": graphs.sha256,
    }


# ---- refused


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sizes": torch.tensor([7, 0])}, "graph 1 has no nodes; leave it out"),
        ({"features": torch.ones(6, 3)}, r"features must be \[7, F\], .* got \[6, 3\]"),
        ({"features": torch.ones(7)}, r"features must be \[7, F\], .* got \[7\]"),
        ({"features": torch.ones(7, 0)}, r"features must be \[7, F\], .* got \[7, 0\]"),
        ({"feature_names": ("a",)}, "got 1 feature names for 3 features"),
        ({"labels": torch.tensor([0])}, "got 1 labels for 2 graphs"),
        ({"labels": torch.tensor([0, 2])}, r"labels must be 0..1, .* 2 class names; got 0..2"),
        ({"labels": torch.tensor([-1, 1])}, r"got -1..1"),
        ({"class_names": ("a",)}, r"labels must be 0..0, .* 1 class names"),
        ({"edges": torch.tensor([[0, 7], [7, 0]])}, r"edges must join nodes 0..6, got 0..7"),
        ({"edges": torch.tensor([[0, 3], [3, 0]])}, "nodes of the same graph"),
        ({"edges": torch.tensor([[1, 0], [0, 1]])}, "ascending order.*from_edges sorts them"),
        ({"motif": torch.ones(6)}, r"motif must be \[7\], one value for each node, got \[6\]"),
    ],
)
def test_attributes_that_do_not_match_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        dataclasses.replace(two_graphs(), **changes)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_feature_that_is_not_finite_is_named(value: float) -> None:
    features = two_graphs().features.clone()
    features[4, 1] = value
    with pytest.raises(InvalidInput, match="node 1 of graph 1 is NaN or infinite; replace it"):
        dataclasses.replace(two_graphs(), features=features)
