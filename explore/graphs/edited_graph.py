"""The explorer of a graph that is edited by hand: attention and prediction answer every edit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import xarray
from torch import nn

from explore.core.array_validation import as_array, check_array
from explore.core.runs import torch_threads
from explore.core.tensor_validation import check_network
from explore.core.validation import check_text
from explore.data.graph_set import GraphSet
from explore.errors import InvalidInput
from explore.graphs.attention import layer_outputs, node_attention
from explore.graphs.config import NODE_ATTENTION_KINDS
from explore.graphs.editing import GraphEditor
from explore.graphs.figures.layout import layout, place_node
from explore.graphs.figures.node_attention import NO_NODE, NodeAttention, node_attention_data
from explore.graphs.sources import as_graph_set
from explore.graphs.training import create_network, train_network
from explore.widgets.controls import Button, Choice, Control
from explore.widgets.explorer import Explorer

SPARE_NODES = 8
"""Nodes that can be added to a graph."""

SHOWN_GRAPHS = 12
EPOCHS, BATCH = 60, 64
"""Of the network that is trained for the editor."""

KIND_LABELS = {"gradcam": "Grad-CAM of the predicted class", "energy": "energy of the nodes"}
CLICK_LABELS = {"selects": "selects it", "joins": "joins it or parts it"}


def networks_for(graphs: GraphSet, network: nn.Module | None, seed: int) -> dict[str, nn.Module]:
    """Return a trained and an untrained network for a set of graphs.

    Args:
        graphs: the set.
        network: the trained one; by default a GCN is trained.
        seed: of the training and of the untrained network.
    """
    if network is not None:
        network = check_network("network", network)
    norm = "batch" if len(graphs) >= 2 * BATCH else "none"
    if network is None:
        with torch_threads(1):
            network = train_network(graphs, epochs=EPOCHS, norm=norm, batch=BATCH, seed=seed)
    untrained = create_network("gcn", graphs, norm=norm, seed=seed)
    return {"trained": network.eval(), "untrained": untrained.eval()}


class Editing:
    """The state of an editor that its controls do not hold, and what its controls do.

    Args:
        graphs: the set; the first graphs can be edited.
        networks: "trained" and "untrained".
    """

    def __init__(self, graphs: GraphSet, networks: dict[str, nn.Module]) -> None:
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

    def _act(self, action: Callable[[], str | None]) -> None:
        """Do something with the graph and show it; an error changes nothing but the selection."""
        try:
            text = action()
        except InvalidInput as error:
            text = str(error)
        self._refresh()
        self.explorer.say(text or "")

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


def scores_data(
    graph: Any, scores: Any, probabilities: Any, network: str, measure: str
) -> xarray.Dataset:
    """Return the data of ``NodeAttention`` for scores that were computed elsewhere.

    See ``explore.graphs.lab.draw_scores``.

    Raises:
        InvalidInput: scores that do not fit the graph, or that are negative or not finite.
    """
    graphs = as_graph_set(graph)
    if len(graphs) != 1:
        raise InvalidInput(f"expected one graph, got {len(graphs)}; choose one by subset([number])")
    count = len(graphs.features)
    if getattr(scores, "node_mask", None) is not None:  # an Explanation of PyTorch Geometric
        scores = scores.node_mask.abs().sum(1)
    values = np.atleast_2d(as_array("scores", scores)).astype(float)
    if values.ndim != 2 or values.shape[1] != count or not values.size or (values < 0).any():
        raise InvalidInput(
            f"scores must be [{count}] or [layers, {count}], finite and at least 0, got "
            f"{list(values.shape)}"
        )
    if not np.isfinite(values).all():
        raise InvalidInput("scores must be finite; replace NaN and infinite ones")
    classes = len(graphs.class_names)
    predicted = (
        np.full(classes, np.nan)
        if probabilities is None
        else check_array("probabilities", probabilities, (classes,))
    )
    network, measure = check_text("network", network), check_text("measure", measure)
    edges = graphs.adjacency(0).numpy() > 0
    return node_attention_data(
        positions=layout(edges),
        alive=np.ones(count, bool),
        edges=edges,
        start_edges=edges,
        attention=values,
        probabilities=predicted,
        class_names=graphs.class_names,
        network=network,
        measure=measure,
        heading=f"Graph of {graphs.name}, class {graphs.class_names[int(graphs.labels[0])]}",
        motif=None if graphs.motif is None else graphs.motif.numpy(),
    )
