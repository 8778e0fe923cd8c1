"""The graph lab: one function for each notebook cell; each returns an explorer."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import numpy as np
import torch
import xarray

from explore.core.recording import open_recording
from explore.core.resources import shipped
from explore.core.runs import torch_threads
from explore.core.validation import check_choice
from explore.data import load_graph_set
from explore.errors import InvalidInput
from explore.graphs.attention import layer_outputs, node_attention
from explore.graphs.catalog import METHOD_LABELS, RECORDED, STUDIES
from explore.graphs.config import NODE_ATTENTION_KINDS
from explore.graphs.editing import GraphEditor
from explore.graphs.figures.accuracies import GraphAccuracies, graph_accuracies
from explore.graphs.figures.condensation import Condensation, condensation, edge_counts
from explore.graphs.figures.layout import add_layout, layout, place_node
from explore.graphs.figures.motif_attention import MotifAttention, motif_attention
from explore.graphs.figures.node_attention import NO_NODE, NodeAttention, node_attention_data
from explore.graphs.recordings import MEASURE_LABELS
from explore.graphs.sources import resolve_graphs
from explore.graphs.training import create_network, train_network
from explore.widgets.controls import Button, Choice, Control, Slider
from explore.widgets.explorer import Explorer

NO_GUESS = "choose …"
GUESSES = ("none of them", "one to five", "more than five")
SPARE_NODES = 8
"""Nodes that can be added to a graph."""

SHOWN_GRAPHS = 12
EPOCHS, BATCH = 60, 64
"""Of the network that is trained for the editor."""

KIND_LABELS = {"gradcam": "Grad-CAM of the predicted class", "energy": "energy of the nodes"}
CLICK_LABELS = {"selects": "selects it", "joins": "joins it or parts it"}


@cache
def recording_of(method: str) -> xarray.Dataset:
    """Return the shipped condensation of motif graphs by a method, with its layout."""
    check_choice("method", method, RECORDED)
    return add_layout(open_recording(shipped(f"data/motifs-{method}.zarr.zip")).load())


@cache
def study_of(data: str) -> xarray.Dataset:
    """Return the shipped study of a set of graphs: "MUTAG", "PROTEINS" or "motifs"."""
    check_choice("data", data, STUDIES)
    return open_recording(shipped(f"data/graph-study-{data.lower()}.zarr.zip")).load()


def learnt_edges(recording: xarray.Dataset | None = None) -> Explorer:
    """Guess how many edges a condensation has changed, then see the graph over its start.

    Args:
        recording: of a condensation; by default GSTAM on motif graphs, which ships.
    """
    run = recording_of("gstam") if recording is None else add_layout(recording.load())

    def source(guess: str, graph: int) -> xarray.Dataset:
        return condensation(run, graph=graph, hidden=guess == NO_GUESS)

    controls: dict[str, Control] = {
        "guess": Choice("How many edges of this graph changed?", [NO_GUESS, *GUESSES]),
        "graph": _graph_choice(run),
    }
    explorer = Explorer(source, Condensation, controls, "learnt-edges")

    def comment(_: Any) -> None:
        if explorer.state["guess"] == NO_GUESS:
            return explorer.say("")
        _, added, removed = edge_counts(explorer.data)
        changed = added + removed
        answer = GUESSES[0 if changed == 0 else 1 if changed <= 5 else 2]
        verdict = "as you said" if explorer.state["guess"] == answer else f"the answer is: {answer}"
        return explorer.say(f"{changed} edges changed; {verdict}.")

    explorer.observe(comment, ["guess", "graph"])
    return explorer


def step_by_step(*recordings: xarray.Dataset) -> Explorer:
    """Go through the steps of recorded condensations: graph, edges and distance.

    Args:
        *recordings: of condensations of the same graphs; by default those that ship.
    """
    runs = [add_layout(run.load()) for run in recordings] or [*map(recording_of, RECORDED)]
    names = [str(run.attrs["name"]) for run in runs]
    steps = runs[0]["step"].values.tolist()
    controls: dict[str, Control] = {
        "step": Slider("step", steps, steps[-1]),
        "method": Choice("method", names, names={name: METHOD_LABELS[name] for name in names}),
        "graph": _graph_choice(runs[0]),
    }
    return Explorer(partial(condensation, runs), Condensation, controls, "condensation")


def compare_accuracies(*studies: xarray.Dataset) -> Explorer:
    """Compare what networks learn from condensed and from real graphs.

    Args:
        *studies: recordings of ``graph-study``; by default those that ship.
    """
    runs = {
        str(run.attrs["config"]["data"]["name"]): run for run in studies or map(study_of, STUDIES)
    }

    def source(data: str, graphs_per_class: int, measure: str) -> xarray.Dataset:
        return graph_accuracies(runs[data], graphs_per_class, measure)

    sizes = next(iter(runs.values()))["graphs_per_class"].values.tolist()
    controls: dict[str, Control] = {
        "data": Choice("data", list(runs)),
        "graphs_per_class": Choice("graphs per class", sizes),
        "measure": Choice("score", list(MEASURE_LABELS), "balanced", MEASURE_LABELS),
    }
    return Explorer(source, GraphAccuracies, controls, "graph-accuracies")


def motif_check(study: xarray.Dataset | None = None) -> Explorer:
    """See whether attention finds the motif, and whether the network needs it, layer by layer.

    Args:
        study: a recording of ``motif-study``; by default the one that ships.
    """
    run = open_recording(shipped("data/motif-study.zarr.zip")).load() if study is None else study
    layers = run["layer"].values.tolist()
    return Explorer(
        partial(motif_attention, run),
        MotifAttention,
        {"layer": Slider("layer", layers, layers[-1])},
        "motif-attention",
    )


def edit_graph(
    graphs: Any = "motifs", network: torch.nn.Module | None = None, seed: int = 0
) -> Explorer:
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
    source_set = load_graph_set("motifs", types=3) if graphs == "motifs" else resolve_graphs(graphs)
    norm = "batch" if len(source_set) >= 2 * BATCH else "none"
    if network is None:
        with torch_threads(1):
            network = train_network(source_set, epochs=EPOCHS, norm=norm, batch=BATCH, seed=seed)
    untrained = create_network("gcn", source_set, norm=norm, seed=seed)
    networks = {"trained": network.eval(), "untrained": untrained.eval()}
    return _Editing(source_set, networks).explorer


class _Editing:
    """The state of an editor that its controls do not hold, and what its controls do.

    Args:
        graphs: the set; the first graphs can be edited.
        networks: "trained" and "untrained".
    """

    def __init__(self, graphs: Any, networks: dict[str, torch.nn.Module]) -> None:
        self.graphs, self.networks = graphs, networks
        self.numbers = list(range(min(SHOWN_GRAPHS, len(graphs))))
        # All graphs are padded to one number of nodes, so that one picture can show them all.
        self.capacity = int(graphs.sizes[self.numbers].max()) + SPARE_NODES
        self.index, self.editor = 0, self._new_editor(0)
        self.explorer = Explorer(self.source, NodeAttention, self._controls(), "edited-graph")
        self.explorer.observe(self._on_graph, "graph")
        self.explorer.observe(self._on_partner, "partner")
        self.explorer.observe(self._on_node, "node")
        if self.editor.label_names:
            self.explorer.observe(self._on_label, "label")

    def _new_editor(self, index: int) -> GraphEditor:
        spare = self.capacity - int(self.graphs.sizes[index])
        return GraphEditor(self.graphs, index, spare, layout, place_node)

    def _controls(self) -> dict[str, Control]:
        nodes = self.editor.nodes
        controls: dict[str, Control] = {
            "graph": Choice("graph", self.numbers),
            "network": Choice("network", list(self.networks)),
            "kind": Choice("attention", list(NODE_ATTENTION_KINDS)[::-1], names=KIND_LABELS),
            "node": Choice("node", nodes),
            "partner": Choice("other node", [NO_NODE, *nodes], names={NO_NODE: "choose …"}),
            "click": Choice("a click on a node", list(CLICK_LABELS), names=CLICK_LABELS),
        }
        if self.editor.label_names:
            names = dict(enumerate(self.editor.label_names))
            controls["label"] = Choice("label", list(names), int(self.editor.labels[0]), names)
        buttons = {
            "Join or part": (self._join, "Join the two nodes, or part them if they are joined"),
            "Add a node": (self._add, "Add a node that is joined to the selected one"),
            "Remove the node": (self._remove, "Remove the selected node with its edges"),
            "Undo": (self._undo, "Take the last edit back"),
            "Start again": (self._reset, "Take all edits back"),
            "Lay out anew": (self._lay_out, "Compute all positions anew from the present edges"),
        }
        for name, (action, tooltip) in buttons.items():
            controls[name.lower().replace(" ", "_")] = Button(name, action, tooltip)
        return controls

    def source(
        self,
        graph: int,
        network: str,
        kind: str,
        node: int,
        partner: int,
        click: str,
        label: int = 0,
    ) -> xarray.Dataset:
        """Return the data of the picture for the state of the controls and the present graph."""
        editor = self.editor
        present, one = editor.graph, editor.as_set()
        model = self.networks[network]
        # Threads would wait for one another longer than they compute on a single graph.
        with torch_threads(1):
            with torch.no_grad():
                logits = layer_outputs(model, one)[1]
            values = node_attention(model, one, kind).numpy()
        attention = np.zeros((len(values), len(present.alive)))
        attention[:, present.alive] = values
        true_class = self.graphs.class_names[int(self.graphs.labels[self.index])]
        motif = one.motif is not None
        return node_attention_data(
            positions=editor.positions,
            alive=present.alive,
            edges=present.edges,
            start_edges=editor.start.edges,
            attention=attention,
            probabilities=logits.softmax(1)[0].numpy(),
            class_names=self.graphs.class_names,
            network=f"{network} {type(model).__name__}",
            measure=KIND_LABELS[kind],
            heading=f"Graph {self.index} of {self.graphs.name}, class {true_class}",
            change=present.change,
            motif=present.motif & present.alive if motif else None,
            labels=editor.labels,
            label_names=editor.label_names,
            selected=node,
            partner=partner,
            joins=click == "joins",
        )

    # ---- what the controls do

    def _on_graph(self, change: Any) -> None:
        self.index, self.editor = change["new"], self._new_editor(change["new"])
        self._refresh()

    def _on_node(self, change: Any) -> None:
        if self.editor.label_names:
            with self.explorer.quiet():
                self.explorer.set_trait("label", int(self.editor.labels[change["new"]]))

    def _on_partner(self, change: Any) -> None:
        """Join or part by a click on a node, in the mode in which clicks do this."""
        if self.explorer.state["click"] == "joins" and change["new"] != NO_NODE:
            self._act(self._toggle)

    def _on_label(self, change: Any) -> None:
        node = self.explorer.state["node"]
        if self.editor.set_label(node, change["new"]):
            self._refresh()

    def _toggle(self) -> str:
        state = self.explorer.state
        if state["partner"] == NO_NODE:
            raise InvalidInput("choose the other node first")
        return self.editor.toggle_edge(state["node"], state["partner"])

    def _act(self, action: Any) -> None:
        """Do something with the graph and show it; an error changes nothing but the selection."""
        try:
            text = action()
        except InvalidInput as error:
            text = str(error)
        self._refresh()
        self.explorer.say(text if isinstance(text, str) else "")

    def _join(self, _: Any) -> None:
        self._act(self._toggle)

    def _add(self, _: Any) -> None:
        self._act(lambda: f"added node {self.editor.add_node(self.explorer.state['node'])}")

    def _remove(self, _: Any) -> None:
        self._act(lambda: self.editor.remove_node(self.explorer.state["node"]))

    def _undo(self, _: Any) -> None:
        self._act(lambda: self.editor.undo() or "there is no edit to take back")

    def _reset(self, _: Any) -> None:
        self._act(self.editor.reset)

    def _lay_out(self, _: Any) -> None:
        self._act(self.editor.lay_out)

    def _refresh(self) -> None:
        """Offer the nodes that exist, and redraw once."""
        explorer, nodes = self.explorer, self.editor.nodes
        node = explorer.state["node"]
        node = node if node in nodes else nodes[0]
        with explorer.quiet():
            explorer.offer("node", nodes, node)
            explorer.offer("partner", [NO_NODE, *nodes], NO_NODE)
            if self.editor.label_names:
                explorer.set_trait("label", int(self.editor.labels[node]))
        explorer.redraw()


def _graph_choice(run: xarray.Dataset) -> Choice:
    """Return the list of the synthetic graphs of a recording."""
    names = {
        number: f"{number + 1}: class {label}" for number, label in enumerate(run["label"].values)
    }
    return Choice("graph", list(names), names=names)
