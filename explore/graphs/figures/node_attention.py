"""The picture of a graph in one panel a layer, its nodes by attention, with the prediction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray

from explore.graphs.figures.drawing import (
    GraphDrawing,
    SelectionRing,
    add_attention_bar,
    node_targets,
    shade,
)
from explore.graphs.scores import area_under_curve
from explore.plotting.frame import add_caption, add_heading
from explore.plotting.picture import Picture, Target
from explore.plotting.style import BAR_GREY, PALETTE, set_title

if TYPE_CHECKING:
    import pandas

NO_NODE = -1
POINTER_PIXELS = 12.0
"""Pixels from a pointer within which a node is named."""
LABELLED_NODES = 60
"""Graphs of more nodes are drawn with small dots and without labels."""

ADDED, REMOVED = "added", "removed"
EDGE_STYLES = {
    ADDED: (PALETTE["green"], 3.0, "-"),
    REMOVED: (PALETTE["vermilion"], 2.0, (0, (3, 2))),
}
"""Colour, width and line style of edges that the start does not have, or that it had."""


def node_attention_data(
    *,
    positions: np.ndarray,
    alive: np.ndarray,
    edges: np.ndarray,
    start_edges: np.ndarray,
    attention: np.ndarray,
    probabilities: np.ndarray,
    class_names: Sequence[str],
    network: str,
    measure: str,
    heading: str,
    change: str = "",
    motif: np.ndarray | None = None,
    labels: np.ndarray | None = None,
    label_names: Sequence[str] = (),
    selected: int = NO_NODE,
    partner: int = NO_NODE,
    joins: bool = False,
) -> xarray.Dataset:
    """Return the data of ``NodeAttention``.

    Args:
        positions: ``[n, 2]`` in [0, 1].
        alive: bool ``[n]``, the nodes that exist.
        edges, start_edges: bool ``[n, n]``, of the present and of the unchanged graph.
        attention: ``[layers, n]``, at least 0.
        probabilities: ``[classes]``, what the network predicts.
        class_names: in the same order.
        network: how the network is called, such as "trained GCN".
        measure: how the attention is called.
        heading: the first line, such as "motif graph 3, a house".
        change: what the last edit did.
        motif: bool ``[n]``, nodes that decide the class, if they are known.
        labels, label_names: the label of each node and the names of all labels.
        selected, partner: the selected node and the other one, or ``NO_NODE``.
        joins: whether a click on a node joins it to the selected one, in place of selecting it.
    """
    motif = np.zeros(len(alive), bool) if motif is None else motif
    scores = np.array([area_under_curve(row[alive], motif[alive]) for row in attention])
    labels = np.zeros(len(alive), int) if labels is None else labels
    return xarray.Dataset(
        {
            "position": (("node", "axis"), np.where(alive[:, None], positions, np.nan)),
            "alive": ("node", alive),
            "edge": (("node", "neighbour"), edges),
            "start_edge": (("node", "neighbour"), start_edges),
            "attention": (("layer", "node"), attention),
            "score": ("layer", scores),
            "motif": ("node", motif),
            "node_label": ("node", labels),
            "probability": ("class", probabilities),
            "selected": ((), selected),
            "partner": ((), partner),
            "joins": ((), joins),
        },
        {
            "layer": np.arange(1, len(attention) + 1),
            "class": np.array(list(class_names), object),
            "label_name": np.array(list(label_names), object),
        },
        {"network": network, "measure": measure, "heading": heading, "change": change},
    )


class NodeAttention(Picture):
    """One graph, drawn once for each layer at the same positions, and the class probabilities.

    Changed edges have another colour, width and line style; nodes of the motif have a thick rim.

    Attributes:
        drawings: one ``GraphDrawing`` for each layer.
    """

    size = (9.6, 4.9)
    title = "Attention of the nodes in each layer"

    def build(self, data: xarray.Dataset) -> None:
        """Draw the panels, the colour bar and the bars of the probabilities."""
        layers = data.sizes["layer"]
        self._heading = add_heading(self, 0.955)
        self._measure = add_caption(self, 0.02, 0.9)
        width = 0.9 / layers
        is_small = int(data["alive"].sum()) <= LABELLED_NODES
        self.drawings, self._titles, self._rings = [], [], []
        for layer in range(layers):
            axes = self.figure.add_axes((0.015 + layer * width, 0.21, width - 0.01, 0.6))
            self.panel(f"layer-{layer + 1}", axes)
            drawing = GraphDrawing(self, axes, 130.0 if is_small else 22.0)
            for name, style in EDGE_STYLES.items():
                drawing.add_edge_style(name, *style)
            if is_small:
                drawing.add_labels([str(name) for name in data["label_name"].values])
            self.drawings.append(drawing)
            self._titles.append(self.moving(set_title(axes, "")))
            rings = SelectionRing(drawing, "blue", "o"), SelectionRing(drawing, "purple", "s", 15.0)
            for ring in rings:
                self.furniture(ring.artist)
            self._rings.append(rings)
        add_attention_bar(self, (0.955, 0.34, 0.014, 0.36))
        self._build_bars(data)
        self._chosen = self.furniture(self.moving(self.figure.text(0.45, 0.2, "", va="center")))
        self._change = self.furniture(add_caption(self, 0.45, 0.065))
        self._hint = self.furniture(add_caption(self, 0.45, 0.02))
        notes = ["redder node: more attention, in its panel"]
        notes += ["thick rim: the motif"] if bool(data["motif"].any()) else []
        self.figure.text(0.45, 0.155, "   ".join(notes), va="center")
        edges = "green, thick: new edge   orange, dashed: removed edge"
        self.figure.text(0.45, 0.11, edges, va="center")

    def _build_bars(self, data: xarray.Dataset) -> None:
        names = [str(name) for name in data["class"].values]
        axes = self.figure.add_axes((0.12, 0.055, 0.2, 0.09))
        axes.set(xlim=(0, 1), ylim=(len(names) - 0.5, -0.5), xticks=[])
        axes.set_yticks(range(len(names)), names)
        for edge in axes.spines.values():
            edge.set_visible(False)
        axes.axvline(0, color=BAR_GREY, lw=1)
        self._bars = [self.moving(bar) for bar in axes.barh(range(len(names)), 0, color=BAR_GREY)]
        self._numbers = [
            self.moving(axes.text(1.03, row, "", va="center", fontsize=9))
            for row in range(len(names))
        ]
        self.figure.text(0.02, 0.175, "prediction of the network", va="center")

    def show(self, data: xarray.Dataset) -> None:
        """Show edges, attention, selection and prediction."""
        positions, alive = data["position"].values, data["alive"].values
        edges, start = data["edge"].values, data["start_edge"].values
        pairs = {"plain": edges & start, ADDED: edges & ~start, REMOVED: start & ~edges}
        # A removed node is not drawn, and neither are its edges.
        pairs[REMOVED] = pairs[REMOVED] & alive[:, None] & alive
        for layer, drawing in enumerate(self.drawings):
            attention = data["attention"].values[layer]
            shades = np.zeros(len(alive))
            shades[alive] = shade(attention[alive])
            drawing.show_edges(positions, **pairs)
            drawing.show_nodes(positions, shades, data["motif"].values)
            drawing.show_labels(positions, data["node_label"].values)
            for ring, name in zip(self._rings[layer], ("selected", "partner"), strict=True):
                node = int(data[name])
                ring.show(positions[node] if node != NO_NODE and alive[node] else None)
            score = float(data["score"].values[layer])
            text = "" if np.isnan(score) else f": AUROC {score:.2f}"
            self._titles[layer].set_text(f"layer {layer + 1}, {data.attrs['network']}{text}")
        probabilities = data["probability"].values
        for bar, number, value in zip(self._bars, self._numbers, probabilities, strict=True):
            bar.set_width(float(np.nan_to_num(value)))
            bar.set_color(PALETTE["blue"] if value == probabilities.max() else BAR_GREY)
            number.set_text("not computed" if np.isnan(value) else f"{value:.0%}")
        self._heading.set_text(data.attrs["heading"])
        self._measure.set_text(data.attrs["measure"])
        change = data.attrs["change"]
        action = "joins it or parts it" if bool(data["joins"]) else "selects it"
        edit = f"last edit: {change}" if change else "no edit yet"
        self._change.set_text(edit)
        self._hint.set_text(f"a click on a node {action}")
        self._chosen.set_text(_selection_text(data))

    def describe(self, data: xarray.Dataset) -> str:
        """Return the graph, the last edit, the prediction and the highest nodes in words."""
        alive = data["alive"].values
        probabilities = data["probability"].values
        best = int(probabilities.argmax())
        last = data["attention"].values[-1]
        highest = np.flatnonzero(alive)[np.argsort(-last[alive], kind="stable")[:3]]
        nodes = ", ".join(map(str, highest.tolist()))
        change = data.attrs["change"]
        changed = f" Last edit: {change}." if change else ""
        score = float(data["score"].values[-1])
        motif_text = "" if np.isnan(score) else f" It finds the motif with AUROC {score:.2f}."
        selected = int(data["selected"])
        chosen = f" Node {selected} is selected." if selected != NO_NODE else ""
        edges = int(data["edge"].values.sum()) // 2
        prediction = (
            ""
            if np.isnan(probabilities[best])
            else f"The {data.attrs['network']} predicts {data['class'].values[best]} with "
            f"{probabilities[best]:.0%}. "
        )
        return (
            f"{data.attrs['heading']}: {int(alive.sum())} nodes, {edges} edges.{changed} "
            f"{prediction}Highest {data.attrs['measure']} in layer {len(data['layer'])}: nodes "
            f"{nodes}.{motif_text}{chosen}"
        )

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        """Return the attention of each node in each layer, with sum 1 over the nodes."""
        import pandas

        nodes = np.flatnonzero(data["alive"].values)
        columns: dict[str, Any] = {"node": nodes, "neighbours": data["edge"].values.sum(1)[nodes]}
        for layer, row in zip(data["layer"].values, data["attention"].values, strict=True):
            total = row[nodes].sum()
            columns[f"layer {layer}"] = row[nodes] / (total if total > 0 else 1.0)
        if bool(data["motif"].any()):
            columns["motif"] = data["motif"].values[nodes]
        return pandas.DataFrame(columns)

    def value_at(self, data: xarray.Dataset, x: float, y: float) -> str:
        """Return the number, the label and the attention of the node under a pointer."""
        place = self.figure.transFigure.transform((x, 1 - y))
        alive, attention = data["alive"].values, data["attention"].values
        for layer, drawing in enumerate(self.drawings):
            points = drawing.axes.transData.transform(data["position"].values)
            distances = np.where(alive, np.hypot(*(points - place).T), np.inf)
            node = int(distances.argmin())
            if distances[node] > POINTER_PIXELS:
                continue
            names = data["label_name"].values
            label = f", {names[int(data['node_label'].values[node])]}" if len(names) else ""
            share = attention[layer, node] / max(float(attention[layer, alive].sum()), 1e-12)
            return f"node {node}{label}\n{share:.1%} of the attention in layer {layer + 1}"
        return ""

    def targets(self, data: xarray.Dataset) -> list[Target]:
        """Return the nodes of all panels: a click selects one, or joins it to the selected one."""
        key = "partner" if bool(data["joins"]) else "node"
        positions = data["position"].values
        states = [{key: node} for node in range(len(positions))]
        return [
            target
            for drawing in self.drawings
            for target in node_targets(self, drawing.axes, positions, states)
        ]


def _selection_text(data: xarray.Dataset) -> str:
    """Return the numbers of the selected node and of the other one, and how they are marked."""
    alive, texts = data["alive"].values, []
    for name, text in (
        ("selected", "selected: node {} (blue ring)"),
        ("partner", "other: node {} (purple square)"),
    ):
        node = int(data[name])
        if node != NO_NODE and alive[node]:
            texts.append(text.format(node))
    return "   ".join(texts)
