"""The graph lab: what each cell shows, what its controls do, and that every edit has a key."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from explorers import check_controls, check_lab_without, check_labels, check_size, check_targets

from explore.data import load_graph_set
from explore.errors import InvalidInput, UnknownName
from explore.graphs import lab
from explore.graphs.edited_graph import Editing
from explore.graphs.figures.condensation import edge_counts
from explore.graphs.figures.drawing import COLOUR_STEPS
from explore.graphs.figures.node_attention import NO_NODE
from explore.widgets.explorer import Explorer

_spec = spec_from_file_location("graph_cases", Path(__file__).parent / "cases.py")
assert _spec is not None
assert _spec.loader is not None
cases = module_from_spec(_spec)
_spec.loader.exec_module(cases)


def editing() -> Editing:
    made: Editing = cases.small_editing()
    return made


def random_scores() -> Explorer:
    graph = load_graph_set("motifs", count=2).subset([0])
    scores = torch.rand(2, len(graph.features), generator=torch.Generator().manual_seed(0))
    return lab.draw_scores(graph, scores)


EXPLORERS: dict[str, Callable[[], Explorer]] = {
    "learnt edges": lab.learnt_edges,
    "steps": lab.step_by_step,
    "accuracies": lab.compare_accuracies,
    "motif": lab.motif_check,
    "editor": lambda: editing().explorer,
    "scores": random_scores,
}


@pytest.fixture(params=EXPLORERS)
def explorer(request: pytest.FixtureRequest) -> Explorer:
    return EXPLORERS[request.param]()


def test_every_control_has_a_name_and_shows_every_value(
    explorer: Explorer,
) -> None:
    check_controls(explorer)


def test_every_target_sets_a_control(explorer: Explorer) -> None:
    check_targets(explorer)


def test_the_saved_picture_is_small(explorer: Explorer) -> None:
    check_size(explorer)


def test_no_slider_shows_a_long_number(explorer: Explorer) -> None:
    for name in [k for k, c in explorer.controls.items() if not hasattr(c, "values")]:
        del explorer.controls[name]
    check_labels(explorer)


def test_the_recorded_part_of_the_lab_opens_without_torch() -> None:
    calls = ("learnt_edges", "step_by_step", "compare_accuracies", "motif_check")
    check_lab_without(("torch", "numba", "torch_geometric"), "graphs", calls)


# ---- the prediction


def test_the_changes_are_hidden_until_a_guess() -> None:
    explorer = lab.learnt_edges()
    assert "the real graph that it starts from" in explorer.alt
    assert edge_counts(explorer.data)[1:] == (0, 0)
    hidden = explorer.picture.png()
    explorer.set(prediction=lab.ANSWERS[2])
    assert explorer.picture.png() != hidden
    for graph in range(4):
        explorer.graph = graph
        _, added, removed = edge_counts(explorer.data)
        answer = 0 if added + removed == 0 else 1 if added + removed <= 5 else 2
        assert "You predicted: more than five." in explorer.view.note
        assert f"The picture shows: {lab.ANSWERS[answer]}" in explorer.view.note


@pytest.mark.parametrize(("changes", "answer"), [(0, 0), (1, 1), (5, 1), (6, 2), (20, 2)])
def test_the_answer_counts_changed_edges(changes: int, answer: int) -> None:
    data = lab.learnt_edges().data.copy(deep=True)
    start, edges = data["start_edge"].values, data["edge"].values
    edges[...] = start
    pairs = np.argwhere(np.triu(start, 1))[:changes]
    edges[tuple(pairs.T)] = edges[tuple(pairs.T[::-1])] = False
    assert lab._changed_edges(data).partition(" (")[0] == lab.ANSWERS[answer]


def test_the_steps_open_at_the_start() -> None:
    explorer = lab.step_by_step()
    assert explorer.step == 0
    assert "none are removed; none are new" in explorer.alt


def test_the_selected_nodes_are_named_with_their_marks() -> None:
    explorer = editing().explorer
    explorer.set(node=3, partner=7)
    text = explorer.picture._chosen.get_text()
    assert "node 3 (blue ring)" in text
    assert "node 7 (purple square)" in text


def test_the_matrix_has_no_more_shades_than_its_colour_bar() -> None:
    explorer = lab.step_by_step()
    for step in explorer.controls["step"].values[::6]:  # type: ignore[union-attr]
        explorer.step = step
        shades = explorer.picture._matrix.get_array()
        assert len(np.unique(shades)) <= COLOUR_STEPS
        difference = abs(shades - explorer.data["edge_probability"].values)
        assert difference.max() <= 0.5 / (COLOUR_STEPS - 1) + 1e-9


# ---- the editor


def click(explorer: Explorer, name: str) -> None:
    explorer.controls[name].widget.click()  # type: ignore[union-attr]


def edge(explorer: Explorer, first: int, second: int) -> bool:
    return bool(explorer.data["edge"].values[first, second])


def test_joining_and_parting_by_keyboard_changes_attention_prediction_and_text() -> None:
    explorer = editing().explorer
    before, attention = edge(explorer, 0, 9), explorer.data["attention"].values
    probability = explorer.data["probability"].values
    explorer.set(node=0, partner=9)
    click(explorer, "join_or_part")
    word = "parted" if before else "joined"
    assert edge(explorer, 0, 9) is not before
    assert f"Last edit: {word} nodes 0 and 9." in explorer.alt
    assert explorer.message == f"{word} nodes 0 and 9"
    assert not np.array_equal(explorer.data["attention"].values, attention)
    assert not np.array_equal(explorer.data["probability"].values, probability)
    assert explorer.state["partner"] == NO_NODE
    click(explorer, "undo")
    assert edge(explorer, 0, 9) is before
    assert np.array_equal(explorer.data["attention"].values, attention)


def test_a_click_selects_a_node_or_joins_it() -> None:
    explorer = editing().explorer
    targets = explorer.picture.targets(explorer.data)
    assert len(targets) == 3 * int(explorer.data["alive"].sum())
    explorer.view.chosen = {"index": 5, "count": 1}
    assert explorer.state["node"] == targets[5].state["node"] == 5
    explorer.set(click="joins")
    before = edge(explorer, 5, 8)
    explorer.view.chosen = {"index": 8, "count": 2}
    assert edge(explorer, 5, 8) is not before
    assert explorer.state["node"] == 5, "the selection stays for the next click"
    explorer.view.chosen = {"index": 8, "count": 3}
    assert edge(explorer, 5, 8) is before


def test_nodes_are_added_removed_and_labelled() -> None:
    explorer = editing().explorer
    nodes = explorer.controls["node"].values  # type: ignore[union-attr]
    explorer.set(node=2)
    click(explorer, "add_a_node")
    new = len(nodes)
    assert explorer.controls["node"].values[-1] == new  # type: ignore[union-attr]
    assert edge(explorer, 2, new)
    explorer.set(node=new)
    label = (explorer.state["label"] + 1) % 3
    explorer.label = label
    assert int(explorer.data["node_label"].values[new]) == label
    assert "gave node" in explorer.alt
    click(explorer, "remove_the_node")
    assert new not in explorer.controls["node"].values  # type: ignore[union-attr]
    assert explorer.state["node"] != new
    click(explorer, "start_again")
    assert explorer.controls["node"].values == nodes  # type: ignore[union-attr]
    assert "Last edit" not in explorer.alt


def test_no_edit_moves_a_node_but_the_button_does() -> None:
    explorer = editing().explorer
    positions = explorer.data["position"].values.copy()
    explorer.set(node=0, partner=11)
    click(explorer, "join_or_part")
    click(explorer, "add_a_node")
    alive = np.isfinite(positions[:, 0])
    assert np.array_equal(explorer.data["position"].values[alive], positions[alive])
    click(explorer, "lay_out_anew")
    assert not np.array_equal(explorer.data["position"].values[alive], positions[alive])


def test_an_impossible_edit_is_explained() -> None:
    explorer = editing().explorer
    click(explorer, "join_or_part")
    assert explorer.message == "choose the other node first"
    explorer.set(node=3, partner=3)
    click(explorer, "join_or_part")
    assert "cannot be joined to itself" in explorer.message
    click(explorer, "undo")
    assert explorer.message == "there is no edit to take back"


def test_each_edit_draws_the_picture_once() -> None:
    state = editing()
    explorer, drawn = state.explorer, []
    source = explorer._source
    explorer._source = lambda **s: drawn.append(s) or source(**s)  # type: ignore[assignment, func-returns-value]
    click(explorer, "add_a_node")
    assert len(drawn) == 1


def test_another_graph_starts_without_edits() -> None:
    explorer = editing().explorer
    click(explorer, "add_a_node")
    explorer.graph = 4
    assert "Graph 4" in explorer.alt
    assert "Last edit" not in explorer.alt


def test_a_pointer_names_a_node() -> None:
    explorer = editing().explorer
    picture, data = explorer.picture, explorer.data
    target = picture.targets(data)[5]
    x, y = (target.left + target.right) / 2, (target.top + target.bottom) / 2
    first, second = picture.value_at(data, x, y).splitlines()
    assert first.startswith("node 5, ")
    share = data["attention"].values[0, 5] / data["attention"].values[0].sum()
    assert second == f"{share:.1%} of the attention in layer 1"
    assert picture.value_at(data, 0.5, 0.01) == ""


# ---- scores from elsewhere


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (torch.ones(3), "scores must be"),
        (-torch.ones(24), "at least 0"),
        (torch.full((24,), float("nan")), "finite"),
        (torch.full((24,), float("inf")), "finite"),
    ],
)
def test_scores_that_do_not_fit_are_refused(scores: Any, message: str) -> None:
    graph = load_graph_set("motifs", count=2).subset([0])
    with pytest.raises(InvalidInput, match=message):
        lab.draw_scores(graph, scores)


def test_unknown_recordings_are_named() -> None:
    with pytest.raises(UnknownName, match="unknown method 'nobody'"):
        lab.recording_of("nobody")
    with pytest.raises(UnknownName, match="unknown data 'nobody'"):
        lab.study_of("nobody")


def test_an_explanation_of_pytorch_geometric_is_drawn() -> None:
    from explore.data.pyg import import_pyg

    explain, nn = import_pyg("explain"), import_pyg("nn")
    graph = load_graph_set("motifs", count=2).subset([0])

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.GCN(31, 4, 2)

        def forward(self, x: torch.Tensor, edge_index: torch.Tensor) -> torch.Tensor:
            return self.layers(x, edge_index).mean(0, keepdim=True)

    explainer = explain.Explainer(
        Network(),
        explain.GNNExplainer(epochs=2),
        explanation_type="model",
        node_mask_type="object",
        model_config={
            "mode": "multiclass_classification",
            "task_level": "graph",
            "return_type": "raw",
        },
    )
    explanation = explainer(graph.features, graph.edges)
    explorer = lab.draw_scores(graph, explanation, measure="GNNExplainer")
    mask = explanation.node_mask.abs().sum(1).numpy()
    assert np.allclose(explorer.data["attention"].values[0], mask)
    assert "Highest GNNExplainer" in explorer.alt
