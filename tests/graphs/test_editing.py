"""Edits of a graph: what they change, what they refuse, and that they can be taken back."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from explore.data import GraphSet, load_graph_set
from explore.data.graph_conversion import degree_one_hot
from explore.errors import InvalidInput
from explore.graphs.editing import DEGREE_COLUMNS, GraphEditor
from explore.graphs.figures.layout import layout, place_node


def editor_of(graphs: GraphSet, index: int = 0, spare: int = 2) -> GraphEditor:
    return GraphEditor(graphs, index, spare, layout, place_node)


@pytest.fixture
def editor() -> GraphEditor:
    return editor_of(load_graph_set("motifs", count=4, types=3), 1)


def test_the_start_is_the_graph_of_the_set(editor: GraphEditor) -> None:
    graphs = load_graph_set("motifs", count=4, types=3).subset([1])
    assert editor.as_set().sha256 == graphs.sha256
    assert torch.equal(editor.as_set().motif, graphs.motif)  # type: ignore[arg-type]


def test_degrees_follow_the_edges_and_types_stay(editor: GraphEditor) -> None:
    before = editor.as_set()
    assert editor.toggle_edge(0, 1) in ("joined nodes 0 and 1", "parted nodes 0 and 1")
    after = editor.as_set()
    assert abs(int(after.degrees[0]) - int(before.degrees[0])) == 1
    assert torch.equal(after.features[:, :DEGREE_COLUMNS], degree_one_hot(after.degrees))
    assert torch.equal(after.features[:, DEGREE_COLUMNS:], before.features[:, DEGREE_COLUMNS:])
    editor.toggle_edge(1, 0)
    assert editor.as_set().sha256 == before.sha256


def test_no_edit_moves_a_node_that_exists(editor: GraphEditor) -> None:
    positions = editor.positions.copy()
    nodes = editor.nodes
    editor.toggle_edge(0, 5)
    new = editor.add_node(3)
    editor.set_label(2, (int(editor.labels[2]) + 1) % 3)
    editor.remove_node(7)
    editor.undo()
    assert np.array_equal(editor.positions[nodes], positions[nodes])
    assert np.linalg.norm(editor.positions[new] - positions[3]) < 0.2
    editor.lay_out()
    assert not np.array_equal(editor.positions[nodes], positions[nodes])


def test_all_edits_can_be_taken_back_one_by_one(editor: GraphEditor) -> None:
    hashes = [editor.as_set().sha256]
    edits = [
        lambda: editor.toggle_edge(0, 9),
        lambda: editor.add_node(4),
        lambda: editor.remove_node(1),
        lambda: editor.set_label(2, (int(editor.labels[2]) + 1) % 3),
        lambda: editor.add_node(2),
    ]
    for edit in edits:
        edit()
        hashes.append(editor.as_set().sha256)
    assert len(set(hashes)) == len(hashes)
    for expected in hashes[-2::-1]:
        assert editor.undo().startswith("took back: ")
        assert editor.as_set().sha256 == expected
    assert editor.undo() == ""
    editor.toggle_edge(0, 9)
    editor.reset()
    assert editor.as_set().sha256 == hashes[0]


def test_an_added_node_has_one_neighbour_and_its_type(editor: GraphEditor) -> None:
    size = len(editor.nodes)
    node = editor.add_node(3)
    graph = editor.as_set()
    assert len(graph.features) == size + 1
    assert editor.graph.edges[node].nonzero()[0].tolist() == [3]
    assert editor.labels[node] == editor.labels[3]
    assert not editor.graph.motif[node]


def test_a_removed_node_leaves_and_takes_its_edges_along(editor: GraphEditor) -> None:
    degree = int(editor.as_set().degrees[4])
    edges = editor.as_set().edges.shape[1]
    editor.remove_node(4)
    assert 4 not in editor.nodes
    assert editor.as_set().edges.shape[1] == edges - 2 * degree
    for edit in (lambda: editor.toggle_edge(4, 5), lambda: editor.add_node(4)):
        with pytest.raises(InvalidInput, match=r"there is no node 4; the nodes are \[0, 1"):
            edit()


def test_impossible_edits_change_nothing(editor: GraphEditor) -> None:
    before = editor.as_set().sha256
    with pytest.raises(InvalidInput, match="cannot be joined to itself"):
        editor.toggle_edge(2, 2)
    with pytest.raises(InvalidInput, match="there is no node 99"):
        editor.remove_node(99)
    with pytest.raises(InvalidInput, match=r"label must be 0\.\.2, got 3"):
        editor.set_label(0, 3)
    assert editor.set_label(0, int(editor.labels[0])) == ""
    assert editor.as_set().sha256 == before
    editor.add_node(0)
    editor.add_node(0)
    with pytest.raises(InvalidInput, match="no more can be added"):
        editor.add_node(0)


def test_the_last_node_stays() -> None:
    graphs = GraphSet.from_edges([[(0, 1)]], [torch.eye(2)], [0])
    editor = editor_of(graphs)
    editor.remove_node(0)
    with pytest.raises(InvalidInput, match="needs at least one node"):
        editor.remove_node(1)
    assert editor.as_set().edges.shape == (2, 0)


def test_sets_without_node_labels_have_none_to_change() -> None:
    assert editor_of(load_graph_set("motifs", count=2)).label_names == []
    numbers = GraphSet.from_edges([[(0, 1)]], [torch.tensor([[0.5, 1.0], [2.0, 0.0]])], [0])
    assert editor_of(numbers).label_names == []
    one_hot = GraphSet.from_edges([[(0, 1)]], [torch.eye(2)], [0], feature_names=["C", "N"])
    assert editor_of(one_hot).label_names == ["C", "N"]
