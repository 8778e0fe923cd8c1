"""Test GraphSet's constructors: odd input that is legal, input that is changed with a warning, and refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import networkx
import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from explore.data import GraphSet
from explore.errors import ExploreWarning, InvalidInput

TRIANGLE, PATH = [(0, 1), (1, 2), (2, 0)], [(0, 1), (1, 2), (2, 3)]
PAIR = torch.tensor([[0, 1], [1, 0]])


def two_graphs() -> GraphSet:
    """Return a triangle and a path of four nodes."""
    return GraphSet.from_edges([TRIANGLE, PATH], [torch.ones(3, 1), torch.ones(4, 1)], [1, 0])


def data(edge_index: Any = PAIR, **attributes: Any) -> Data:
    """Return two nodes and an edge, without the attributes that are None."""
    attributes = {"edge_index": edge_index, "x": torch.ones(2, 1), "y": 0, **attributes}
    return Data(**{name: value for name, value in attributes.items() if value is not None})


def same(first: GraphSet, second: GraphSet) -> bool:
    return first.sha256 == second.sha256 and first.features.shape == second.features.shape


# ---- odd but legal


@pytest.mark.parametrize(
    "y", [1, 1.0, True, np.int64(1), [1], torch.tensor(1), torch.tensor([1]), torch.tensor([[1]])]
)
def test_a_label_may_be_a_number_or_hold_one(y: Any) -> None:
    graph = networkx.Graph([(0, 1)], y=y)
    for graphs in (GraphSet.from_pyg([data(y=y)]), GraphSet.from_networkx([graph])):
        assert graphs.labels.tolist() == [1]
        assert graphs.class_names == ["0", "1"]


@pytest.mark.parametrize(
    "x",
    [
        torch.ones(2, 1, dtype=torch.float64),
        torch.ones(2, 1, dtype=torch.bfloat16),
        torch.ones(2, dtype=torch.int32),
        torch.ones(2, 1, dtype=torch.bool),
        torch.ones(2, 1, requires_grad=True),
        torch.ones(2, 1).to_sparse(),
        np.ones((2, 1), np.uint16),
        np.ones((4, 1))[::-2],
        np.broadcast_to(np.float32(1), (2, 1)),  # read-only
        [[1], [1.0]],
        [torch.ones(1), torch.ones(1)],
    ],
    ids=lambda x: f"{type(x).__name__} {getattr(x, 'dtype', '')}",
)
def test_features_may_have_any_type_of_real_numbers(x: Any) -> None:
    graphs = GraphSet.from_edges([[(0, 1)]], [x], [0])
    assert same(graphs, GraphSet.from_pyg([data()]))
    assert (graphs.features.dtype, graphs.features.requires_grad) == (torch.float32, False)
    graph = networkx.Graph([(0, 1)], y=0)
    networkx.set_node_attributes(graph, {node: x[node] for node in graph}, "x")
    assert same(GraphSet.from_networkx([graph]), graphs)


@pytest.mark.parametrize("kind", [torch.int32, torch.uint8, torch.float64])
def test_edges_may_have_any_type_of_whole_numbers(kind: torch.dtype) -> None:
    edge_index = PAIR.to(kind)
    assert same(GraphSet.from_pyg([data(edge_index)]), GraphSet.from_pyg([data()]))
    for edges in (edge_index.T, [(0, 1), (1, 0)], {(0, 1)}, networkx.Graph([(0, 1)]).edges):
        assert same(GraphSet.from_edges([edges], [np.ones(2)], [0]), GraphSet.from_pyg([data()]))


def test_a_graph_without_edges_and_isolated_nodes_belong_to_a_set() -> None:
    empty = data(torch.empty(2, 0, dtype=torch.int64), x=torch.ones(3, 1))
    graphs = GraphSet.from_pyg([empty, data(x=torch.ones(4, 1)), empty])
    assert graphs.degrees.tolist() == [0, 0, 0, 1, 1, 0, 0, 0, 0, 0]
    assert graphs.subset([2]).edges.shape == (2, 0)
    assert same(GraphSet.from_pyg(graphs.to_pyg()), graphs)


def test_the_number_of_nodes_alone_gives_degrees_as_features() -> None:
    graphs = GraphSet.from_pyg([data(x=None, num_nodes=5), data(x=None, num_nodes=2)])
    assert graphs.sizes.tolist() == [5, 2]
    assert graphs.features.argmax(1).tolist() == [1, 1, 0, 0, 0, 1, 1]
    with pytest.warns(UserWarning, match="infer 'num_nodes'"):  # PyTorch Geometric's own
        assert GraphSet.from_pyg([data(x=None)]).sizes.tolist() == [2]


def test_nodes_of_networkx_have_any_names_and_keep_their_order() -> None:
    graph = networkx.Graph([("b", "a"), ("a", (7, 8))], y=0)
    for number, node in enumerate(graph):
        graph.nodes[node]["x"] = number
    graphs = GraphSet.from_networkx([graph])
    assert graphs.features[:, 0].tolist() == [0, 1, 2]
    assert graphs.adjacency(0).tolist() == [[0, 1, 0], [1, 0, 1], [0, 1, 0]]
    shifted = networkx.relabel_nodes(graph, {"b": 5, "a": 3, (7, 8): 9})
    assert same(GraphSet.from_networkx([shifted]), graphs)


# ---- changed, with a warning that points to the caller


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        ([*TRIANGLE, (1, 1)], r"removed the loops of 1 of 2 graphs, as a graph convolution adds"),
        ([*TRIANGLE, (0, 1)], r"^removed the repeated edges of 1 of 2 graphs$"),
        ([*TRIANGLE, (0, 1), (2, 2)], r"removed the loops .*; removed the repeated edges"),
    ],
)
def test_loops_and_repeated_edges_are_removed(edges: Any, message: str) -> None:
    multi, path = networkx.MultiGraph(edges), networkx.Graph(PATH)
    for graph in (multi, path):
        networkx.set_node_attributes(graph, 1, "x")
    both = torch.tensor(edges + [(v, u) for u, v in edges]).T
    pyg = [data(both, x=torch.ones(3, 1), y=1), two_graphs().to_pyg()[1]]
    for make in (
        lambda: GraphSet.from_edges([edges, PATH], [np.ones(3), np.ones(4)], [1, 0]),
        lambda: GraphSet.from_networkx([multi, path], [1, 0]),
        lambda: GraphSet.from_pyg(pyg),
    ):
        with pytest.warns(ExploreWarning, match=message) as warned:
            assert same(make(), two_graphs())
        assert [Path(w.filename).name for w in warned] == ["test_graph_conversion.py"]


def test_a_pair_in_both_directions_is_no_repetition() -> None:
    tables = [np.ones(3), np.ones(4)]
    assert same(GraphSet.from_edges([[*TRIANGLE, (1, 0)], PATH], tables, [1, 0]), two_graphs())


def test_directed_edges_go_both_ways() -> None:
    message = "directed edges of 1 of 2 graphs now go both ways"
    triangle, path = networkx.Graph(TRIANGLE), networkx.DiGraph(PATH)
    for graph in (triangle, path):
        networkx.set_node_attributes(graph, 1, "x")
    with pytest.warns(ExploreWarning, match=message) as warned:
        assert same(GraphSet.from_networkx([triangle, path], [1, 0]), two_graphs())
    pyg = two_graphs().to_pyg()
    pyg[1].edge_index = torch.tensor([*PATH, (1, 0)]).T
    with pytest.warns(ExploreWarning, match=message) as warned_of_pyg:
        assert same(GraphSet.from_pyg(pyg), two_graphs())
    assert {Path(w.filename).name for w in [*warned, *warned_of_pyg]} == {
        "test_graph_conversion.py"
    }
    assert same(
        GraphSet.from_networkx([triangle, path.to_undirected().to_directed()], [1, 0]), two_graphs()
    )


# ---- refused


def edges_of(*edges: Any, **options: Any) -> GraphSet:
    """Make a set of graphs of two nodes, with one feature unless ``options`` say otherwise."""
    options.setdefault("features", [np.ones((2, 1))] * len(edges))
    return GraphSet.from_edges(edges, labels=options.pop("labels", [0] * len(edges)), **options)


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        ([(0, 2)], "graph 1 has nodes 0 to 1, but an edge names node 2"),
        ([(0, -1)], "graph 1 has nodes 0 to 1, but an edge names node -1"),
        ([(0, 0.5)], "edges of graph 1 must be pairs of whole numbers, got float64"),
        ([(0, float("nan"))], "edges of graph 1 must be pairs of whole numbers, got float64"),
        ([(0, 1j)], "edges of graph 1 must be pairs of whole numbers, got complex128"),
        ([("0", "1")], "edges of graph 1 must be pairs of whole numbers, got <U1"),
        ([(0, 1), (1, 0, 0)], r"edges of graph 1 must be pairs of node numbers, got shape \[2\]"),
        ([0, 1], r"edges of graph 1 must be pairs of node numbers, got shape \[2\]"),
        ([(0, 1, 1)], r"edges of graph 1 must be pairs of node numbers, got shape \[1, 3\]"),
    ],
)
def test_edges_that_name_no_nodes_are_refused(edges: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        edges_of([(0, 1)], edges)


@pytest.mark.parametrize("edge", [(0, 2), (-1, 0), (0.5, 1)])
def test_edges_of_pyg_are_checked_before_any_warning(edge: tuple[float, float]) -> None:
    with pytest.raises(InvalidInput, match=r"graph 0 (has nodes 0 to|must be pairs of whole)"):
        GraphSet.from_pyg([data(torch.tensor([edge]).T)])


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (np.full((2, 1), np.nan), "feature of node 0 of graph 1 is NaN or infinite; replace it"),
        (np.array([[0], [1e300]]), "feature of node 1 of graph 1 is NaN or infinite; replace it"),
        (np.array([1j, 0]), "features of graph 1 must be real numbers, got complex ones"),
        (torch.tensor([1j, 0]), "features of graph 1 must be real numbers, got complex ones"),
        (np.ones((2, 3)), "graph 0 has 1 features for each node, graph 1 has 3; all graphs need"),
        (np.ones((0, 1)), "graph 1 has no nodes; leave it out"),
        (np.ones((2, 0)), "graph 1 has 0 features; give one or more, or none at all"),
        (np.ones((2, 1, 1)), r"features of graph 1 must be \[n, F\], got \[2, 1, 1\]"),
        ([["C"], ["N"]], "features of graph 1 must be a table of numbers"),
        ([[1], [1, 2]], "features of graph 1 must be a table of numbers, one row for each node"),
        (None, "graph 1 has no features x, but others have; give all or none"),
    ],
)
def test_features_that_are_no_table_are_refused(features: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        edges_of([(0, 1)], [], features=[np.ones((2, 1)), features])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": [0]}, r"labels must be \[2\], one for each graph, got \[1\]"),
        ({"labels": [[0], [1]]}, r"labels must be \[2\], one for each graph, got \[2, 1\]"),
        ({"labels": [[0], [1, 2]]}, "labels must be whole numbers"),
        ({"labels": [0, None]}, "labels must be whole numbers from 0 to K-1.*got object"),
        ({"labels": ["a", "b"]}, "labels must be whole numbers from 0 to K-1.*got <U1"),
        ({"labels": [0, 0.5]}, "labels must be whole numbers from 0 to K-1.*got float64"),
        ({"labels": [0, np.nan]}, "labels must be whole numbers from 0 to K-1.*got float64"),
        ({"labels": [-1, 1]}, "got -1 to 1; number the classes from 0"),
        ({"labels": [0, 10**9]}, "at most 100000 classes, got 0 to 1000000000; number the classes"),
        ({"features": [np.ones(2)]}, "got the features of 1 graphs, and 2 graphs"),
        ({"features": None}, "give the features or the sizes of the graphs"),
        ({"sizes": [2, 3]}, "graph 1 has 3 nodes, but features of 2; give one row for each node"),
        ({"sizes": [2]}, "got 1 sizes for 2 graphs"),
        ({"features": None, "sizes": [2, 0]}, "graph 1 has no nodes; leave it out"),
        ({"features": None, "sizes": [2, 1.5]}, "size of graph 1 must be a whole number, got 1.5"),
    ],
)
def test_labels_and_sizes_that_do_not_match_are_refused(options: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        edges_of([(0, 1)], [], **options)


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (data(y=None), "graph 1 has no label y; give one whole number"),
        (data(y=torch.tensor([0, 1])), "graph 1 needs one label y, got 2 values"),
        (data(y=torch.tensor([])), "graph 1 needs one label y, got 0 values"),
        (data(y=-1), "labels must be 0 to K-1"),
        (data(y="toxic"), "labels must be whole numbers"),
        (data(x=None, num_nodes=2), "graph 1 has no features x, but others have"),
        (data(num_nodes=3), "graph 1 has 3 nodes, but features of 2"),
        (data(torch.zeros(3, 2)), r"edge_index of graph 1 must be \[2, E\], got \[3, 2\]"),
        (Data(x=torch.ones(2, 1), y=0), "graph 1 has no edge_index; give it"),
        (networkx.Graph(), "graph 1 is of Graph; give a list of PyTorch Geometric's Data"),
    ],
)
def test_pyg_graphs_without_what_is_needed_are_refused(graph: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        GraphSet.from_pyg([data(), graph])


def test_networkx_graphs_without_what_is_needed_are_refused() -> None:
    def refuse(message: str, *rows: Any, **attributes: Any) -> None:
        first = networkx.Graph([(0, 1)], y=0)
        networkx.set_node_attributes(first, 1, "x")
        graph = networkx.Graph(**attributes)
        graph.add_nodes_from(
            (number, {} if x is None else {"x": x}) for number, x in enumerate(rows)
        )
        with pytest.raises(InvalidInput, match=message):
            GraphSet.from_networkx([first, graph])

    refuse("graph 1 has no attribute y; give it, or labels=", 1)
    refuse("graph 1 needs one label y, got 2 values", 1, y=[0, 1])
    refuse("some nodes of graph 1 have no attribute x; give all or none", 1, None, y=0)
    refuse("graph 1 has no features x, but others have; give all or none", None, None, y=0)
    refuse("x of each node of graph 1 must hold equally many numbers, got 1 and 2", 1, [1, 2], y=0)
    refuse("features of graph 1 must be real numbers, got complex ones", 1, 1j, y=0)
    refuse("features of graph 1 must be a table of numbers", "C", "N", y=0)
    refuse("graph 1 has 0 features; give one or more", [], [], y=0)
    refuse("graph 1 has no nodes; leave it out", y=0)


@pytest.mark.parametrize("make", [GraphSet.from_pyg, GraphSet.from_networkx, edges_of])
def test_no_graphs_are_refused(make: Any) -> None:
    with pytest.raises(InvalidInput, match="no graphs; give one or more"):
        make() if make is edges_of else make([])


def test_a_graph_that_is_not_in_a_list_is_refused() -> None:
    with pytest.raises(InvalidInput, match="graph 0 is of tuple; give a list of"):
        GraphSet.from_pyg(data())
    with pytest.raises(InvalidInput, match="graph 0 is of int; give a list of networkx graphs"):
        GraphSet.from_networkx(networkx.path_graph(3))


@pytest.mark.parametrize("edges", [[], [(1, 1)]])
def test_a_set_without_any_edge_is_refused(edges: list[tuple[int, int]]) -> None:
    with pytest.raises(InvalidInput, match="no graph has an edge; there is no structure to see"):
        edges_of(edges, [])
