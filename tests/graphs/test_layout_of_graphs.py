"""Positions of nodes: always the same, never moved by an edit or a step."""

from __future__ import annotations

import networkx
import numpy as np
import pytest

from explore.errors import InvalidInput
from explore.graphs import lab
from explore.graphs.figures.condensation import condensation
from explore.graphs.figures.layout import add_layout, layout, place_node


def matrix(graph: networkx.Graph) -> np.ndarray:
    return networkx.to_numpy_array(graph)


GRAPHS = {
    "one node": networkx.empty_graph(1),
    "no edges": networkx.empty_graph(7),
    "path": networkx.path_graph(9),
    "two components and two single nodes": networkx.disjoint_union_all(
        [networkx.cycle_graph(6), networkx.star_graph(4), networkx.empty_graph(2)]
    ),
    "sixty nodes": networkx.connected_watts_strogatz_graph(60, 4, 0.2, seed=0),
    "three hundred nodes": networkx.random_labeled_tree(300, seed=0),
}


@pytest.fixture(params=GRAPHS)
def adjacency(request: pytest.FixtureRequest) -> np.ndarray:
    return matrix(GRAPHS[request.param])


def test_positions_are_inside_apart_and_always_the_same(adjacency: np.ndarray) -> None:
    positions = layout(adjacency)
    assert positions.shape == (len(adjacency), 2)
    assert positions.min() >= -1e-9
    assert positions.max() <= 1 + 1e-9
    assert np.array_equal(positions, layout(adjacency.copy()))
    distances = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
    np.fill_diagonal(distances, np.inf)
    assert distances.min() > 1e-4


def test_neighbours_are_closer_than_others_on_average() -> None:
    adjacency = matrix(GRAPHS["sixty nodes"])
    positions = layout(adjacency)
    distances = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
    assert distances[adjacency > 0].mean() < 0.6 * distances[adjacency == 0].mean()


def test_components_do_not_overlap() -> None:
    graph = networkx.disjoint_union(networkx.cycle_graph(8), networkx.cycle_graph(8))
    positions = layout(matrix(graph))
    first, second = positions[:8], positions[8:]
    apart = (first.max(0) < second.min(0)) | (second.max(0) < first.min(0))
    assert apart.any()


def test_a_new_node_is_near_its_neighbours_and_on_no_other_node() -> None:
    positions = layout(matrix(networkx.cycle_graph(10)))
    for seed in range(20):
        place = place_node(positions, [3], seed)
        assert np.linalg.norm(place - positions[3]) == pytest.approx(0.12)
        assert np.linalg.norm(place - positions, axis=1).min() > 0.05
    alone = place_node(positions, [], 0)
    assert np.linalg.norm(alone - positions.mean(0)) == pytest.approx(0.12)


def test_no_coordinate_changes_between_two_steps() -> None:
    run = lab.recording_of("gstam")
    states = [condensation(run, step, graph=0) for step in run["step"].values.tolist()]
    changed = {int(state["edge"].values.sum()) for state in states}
    assert len(changed) > 1, "some step must change an edge, or this test shows nothing"
    for state in states:
        assert np.array_equal(state["position"], states[0]["position"], equal_nan=True)


def test_the_positions_are_those_of_the_union_of_all_steps() -> None:
    run = lab.recording_of("gstam")
    alive = run["alive"].values[0]
    edges = run["edge_probability"].values[:, 0][:, alive][:, :, alive] > 0.5
    union = edges.any(0) | run["start_edge"].values[0][np.ix_(alive, alive)]
    assert np.array_equal(run["position"].values[0, alive], layout(union))
    assert add_layout(run) is run


def test_a_recording_of_another_kind_is_refused() -> None:
    with pytest.raises(InvalidInput, match="expected a recording of a condensation of graphs"):
        add_layout(lab.study_of("MUTAG"))
