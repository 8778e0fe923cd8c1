"""The graph lab: one function for each notebook cell; each returns an explorer."""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING, Any

import xarray

from explore.core.recording import open_recording
from explore.core.resources import shipped
from explore.core.validation import check_choice, check_seed
from explore.graphs.catalog import METHOD_LABELS, RECORDED, STUDIES
from explore.graphs.figures.accuracies import GraphAccuracies, graph_accuracies
from explore.graphs.figures.condensation import Condensation, condensation, edge_counts
from explore.graphs.figures.layout import add_layout
from explore.graphs.figures.motif_attention import MotifAttention, motif_attention
from explore.graphs.figures.node_attention import NodeAttention
from explore.graphs.recordings import CONDENSATION, MEASURE_LABELS, MOTIF_STUDY, STUDY
from explore.plotting.selection import by_name, check_recordings, single_recording
from explore.widgets.controls import Choice, Control, Slider
from explore.widgets.explorer import Explorer
from explore.widgets.prediction import Prediction

if TYPE_CHECKING:
    from torch import nn

ANSWERS = ("none", "one to five", "more than five")


@cache
def _read(name: str) -> xarray.Dataset:
    """Return a shipped recording, which is read once."""
    return open_recording(shipped(f"data/{name}.zarr.zip")).load()


@cache
def _with_layout(method: str) -> xarray.Dataset:
    return add_layout(_read(f"motifs-{method}"))


def recording_of(method: str) -> xarray.Dataset:
    """Return the shipped condensation of motif graphs by a method, with its layout."""
    return _with_layout(check_choice("method", method, RECORDED))


def study_of(data: str) -> xarray.Dataset:
    """Return the shipped study of a set of graphs: "MUTAG", "PROTEINS" or "motifs"."""
    return _read(f"graph-study-{check_choice('data', data, STUDIES).lower()}")


def motif_study() -> xarray.Dataset:
    """Return the shipped study of attention and motifs."""
    return _read("motif-study")


def learnt_edges(recording: xarray.Dataset | None = None) -> Explorer:
    """Predict how many edges a condensation has changed, then see the graph over its start.

    Args:
        recording: of a condensation; by default GSTAM on motif graphs, which ships.
    """
    if recording is None:
        run = recording_of("gstam")
    else:
        run = add_layout(single_recording(CONDENSATION, recording).load())

    prediction = Prediction(
        "How many edges of this graph changed?", ANSWERS, _changed_edges, hides=True
    )
    controls: dict[str, Control] = {"graph": _graph_choice(run)}
    source = partial(condensation, run)
    return Explorer(source, Condensation, controls, "learnt-edges", prediction)


def _changed_edges(data: xarray.Dataset) -> str:
    """Return which of ``ANSWERS`` is right, with the numbers."""
    _, added, removed = edge_counts(data)
    answer = ANSWERS[min(2, -(-(added + removed) // 5))]
    return f"{answer} ({added} new, {removed} removed)" if added + removed else answer


def step_by_step(*recordings: xarray.Dataset) -> Explorer:
    """Go through the steps of recorded condensations: graph, edges and distance.

    Args:
        *recordings: of condensations of the same graphs; by default those that ship.
    """
    runs = [*map(recording_of, RECORDED)]
    if recordings:
        runs = [add_layout(run.load()) for run in check_recordings(CONDENSATION, recordings)]
    names = list(by_name((str(run.attrs.get("name", "")) for run in runs), runs))
    steps = runs[0]["step"].values.tolist()
    controls: dict[str, Control] = {
        "step": Slider("step", steps),
        "method": Choice(
            "method", names, names={name: METHOD_LABELS.get(name, name) for name in names}
        ),
        "graph": _graph_choice(runs[0]),
    }
    return Explorer(partial(condensation, runs), Condensation, controls, "condensation")


def compare_accuracies(*studies: xarray.Dataset) -> Explorer:
    """Compare what networks learn from condensed and from real graphs.

    Args:
        *studies: recordings of ``graph-study``; by default those that ship.
    """
    listed = check_recordings(STUDY, studies or [*map(study_of, STUDIES)])
    runs = by_name((str(run.attrs["config"]["data"]["name"]) for run in listed), listed)

    def source(graph_set: str, graphs_per_class: int, measure: str) -> xarray.Dataset:
        return graph_accuracies(runs[graph_set], graphs_per_class, measure)

    sizes = next(iter(runs.values()))["graphs_per_class"].values.tolist()
    controls: dict[str, Control] = {
        "graph_set": Choice("graphs", list(runs)),
        "graphs_per_class": Choice("graphs per class", sizes),
        "measure": Choice("score", list(MEASURE_LABELS), "balanced", MEASURE_LABELS),
    }
    return Explorer(source, GraphAccuracies, controls, "graph-accuracies")


def motif_check(study: xarray.Dataset | None = None) -> Explorer:
    """See whether attention finds the motif, and whether the network needs it, layer by layer.

    Args:
        study: a recording of ``motif-study``; by default the one that ships.
    """
    run = single_recording(MOTIF_STUDY, motif_study() if study is None else study)
    layers = run["layer"].values.tolist()
    return Explorer(
        partial(motif_attention, run),
        MotifAttention,
        {"layer": Slider("layer", layers, layers[-1])},
        "motif-attention",
    )


def edit_graph(graphs: Any = "motifs", network: nn.Module | None = None, seed: int = 0) -> Explorer:
    """Edit a graph and see attention and prediction of a network answer at once.

    Select a node by a click or from the list; join and part nodes, add and remove them, change
    their labels. All edits can be undone, and no edit moves a node.

    Args:
        graphs: a set of graphs, or its name, such as "MUTAG".
        network: trained on such graphs; by default a GCN is trained, which takes seconds.
        seed: of that training and of the untrained network.

    Raises:
        InvalidInput: see ``GraphSet``.
    """
    from explore.data import load_graph_set
    from explore.graphs.edited_graph import Editing, networks_for
    from explore.graphs.sources import resolve_graphs

    seed = check_seed(seed)
    is_default = isinstance(graphs, str) and graphs == "motifs"
    source = load_graph_set("motifs", types=3) if is_default else resolve_graphs(graphs)
    return Editing(source, networks_for(source, network, seed)).explorer


def draw_scores(
    graph: Any,
    scores: Any,
    probabilities: Any = None,
    network: str = "scores",
    measure: str = "scores of the nodes",
) -> Explorer:
    """Draw scores of nodes on one graph, such as the masks of an explainer of another package.

    Args:
        graph: a ``GraphSet`` of one graph, or one graph of PyTorch Geometric or networkx.
        scores: ``[nodes]``, or ``[layers, nodes]`` for one panel each, at least 0; or an
            ``Explanation`` of PyTorch Geometric with a ``node_mask``.
        probabilities: of the classes, if a network predicted them.
        network, measure: how the network and the scores are called in the picture.

    Raises:
        InvalidInput: scores that do not fit the graph.
    """
    from explore.graphs.edited_graph import scores_data

    data = scores_data(graph, scores, probabilities, network, measure)

    def source(node: int) -> xarray.Dataset:
        return data.assign(selected=node)

    nodes = list(range(data.sizes["node"]))
    return Explorer(source, NodeAttention, {"node": Choice("node", nodes)}, "node-scores")


def _graph_choice(run: xarray.Dataset) -> Choice:
    """Return the list of the synthetic graphs of a recording."""
    names = {
        number: f"{number + 1}: class {label}" for number, label in enumerate(run["label"].values)
    }
    return Choice("graph", list(names), names=names)
