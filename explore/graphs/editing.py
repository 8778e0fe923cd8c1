"""Edit one graph by hand: edges, nodes and node labels, with undo. No existing node ever moves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from explore.core.array_validation import check_array
from explore.core.validation import check_callable, check_whole_number, describe, to_python
from explore.data.graph_conversion import MAX_DEGREE, degree_one_hot
from explore.data.graph_set import GraphSet
from explore.errors import InvalidInput

DEGREE_COLUMNS = MAX_DEGREE + 1
MOST_SPARE_NODES = 1000


@dataclass(frozen=True, eq=False)
class EditedGraph:
    """One state of a graph that is edited.

    Nodes keep their numbers. A removed node, and a place for a node that was never added, is not
    alive.

    Attributes:
        edges: bool ``[n, n]``, symmetric.
        alive: bool ``[n]``.
        features: float32 ``[n, F]``; degrees are made anew from the edges.
        motif: bool ``[n]``.
        change: what the last edit did, such as "joined nodes 3 and 7"; empty at the start.
    """

    edges: np.ndarray
    alive: np.ndarray
    features: np.ndarray
    motif: np.ndarray
    change: str = ""


class GraphEditor:
    """One graph, the edits so far, and its positions.

    Args:
        graphs: the set that the graph comes from; its names and classes stay.
        index: of the graph.
        spare: nodes that can be added.
        arrange: function that returns positions ``[n, 2]`` of an adjacency matrix.
        place: function ``(positions, neighbours, seed)`` that returns the position of a new node.

    Raises:
        InvalidInput: no such graph, or an argument of another kind.

    Example:
        >>> from explore.data import load_graph_set
        >>> from explore.graphs.figures.layout import layout, place_node
        >>> editor = GraphEditor(load_graph_set("motifs", count=2), 0, 2, layout, place_node)
        >>> editor.toggle_edge(0, 1), editor.undo()
        ('joined nodes 0 and 1', 'took back: joined nodes 0 and 1')
    """

    def __init__(
        self,
        graphs: GraphSet,
        index: int,
        spare: int,
        arrange: Callable[[np.ndarray], np.ndarray],
        place: Callable[[np.ndarray, Any, int], np.ndarray],
    ) -> None:
        if not isinstance(graphs, GraphSet):
            raise InvalidInput(f"graphs must be a GraphSet, got {describe(graphs)}")
        check_callable("arrange", arrange, "of an adjacency matrix")
        check_callable("place", place, "of positions, neighbours and a seed")
        spare = check_whole_number("spare", spare, at_least=0, at_most=MOST_SPARE_NODES)
        index = check_whole_number("index", index, at_least=-len(graphs), at_most=len(graphs) - 1)
        one = graphs.subset([index])
        count = len(one.features)
        size = count + spare
        edges = np.zeros((size, size), bool)
        edges[tuple(one.edges.numpy())] = True
        features = np.zeros((size, one.features.shape[1]), np.float32)
        features[:count] = one.features.numpy()
        motif = np.zeros(size, bool)
        if one.motif is not None:
            motif[:count] = one.motif.numpy()
        self._source, self._arrange, self._place = one, arrange, place
        self.start = EditedGraph(edges, np.arange(size) < count, features, motif)
        self._history = [self.start]
        self.positions = np.full((size, 2), np.nan)
        self.lay_out()

    @property
    def graph(self) -> EditedGraph:
        """The present state."""
        return self._history[-1]

    @property
    def nodes(self) -> list[int]:
        """The numbers of the nodes that exist."""
        return np.flatnonzero(self.graph.alive).tolist()

    @property
    def label_columns(self) -> slice | None:
        """The features that are a node's label, one of which is 1; None if there are none."""
        first = DEGREE_COLUMNS if self._source.degree_features else 0
        table = self._source.features[:, first:]
        is_label = table.shape[1] > 1 and bool(
            ((table == 0) | (table == 1)).all() and (table.sum(1) == 1).all()
        )
        return slice(first, None) if is_label else None

    @property
    def label_names(self) -> list[str]:
        """The names of the labels of nodes; empty if there are none."""
        columns = self.label_columns
        return (
            [] if columns is None else [str(name) for name in self._source.feature_names[columns]]
        )

    @property
    def labels(self) -> np.ndarray:
        """The label of each node, int ``[n]``; zeros where there are none."""
        columns = self.label_columns
        if columns is None:
            return np.zeros(len(self.graph.alive), int)
        return np.asarray(self.graph.features[:, columns].argmax(1))

    def toggle_edge(self, first: int, second: int) -> str:
        """Join two nodes, or part them if they are joined. Returns what was done.

        Raises:
            InvalidInput: a node that does not exist, or one node twice.
        """
        first, second = self._check(first), self._check(second)
        if first == second:
            raise InvalidInput(f"node {first} cannot be joined to itself; choose another node")
        edges = self.graph.edges.copy()
        edges[first, second] = edges[second, first] = not edges[first, second]
        word = "joined" if edges[first, second] else "parted"
        return self._push(f"{word} nodes {first} and {second}", edges=edges)

    def add_node(self, neighbour: int) -> int:
        """Add a node that is joined to another one, with that one's label; returns its number.

        Raises:
            InvalidInput: no such node, or no place is left.
        """
        neighbour = self._check(neighbour)
        never = np.flatnonzero(~self.graph.alive & ~np.isfinite(self.positions[:, 0]))
        places = never if len(never) else np.flatnonzero(~self.graph.alive)
        if not len(places):
            raise InvalidInput(
                f"the graph has {len(self.graph.alive)} nodes, and no more can be added; remove one"
            )
        node = int(places[0])
        edges, alive = self.graph.edges.copy(), self.graph.alive.copy()
        features, motif = self.graph.features.copy(), self.graph.motif.copy()
        edges[node, neighbour] = edges[neighbour, node] = alive[node] = True
        features[node], motif[node] = features[neighbour], False
        neighbour_row = self.nodes.index(neighbour)
        position = self._place(self.positions[self.graph.alive], [neighbour_row], node)
        self.positions = self.positions.copy()
        self.positions[node] = position
        self._push(
            f"added node {node}, joined to node {neighbour}",
            edges=edges,
            alive=alive,
            features=features,
            motif=motif,
        )
        return node

    def remove_node(self, node: int) -> str:
        """Remove a node with its edges. Returns what was done.

        Raises:
            InvalidInput: no such node, or the last one.
        """
        node = self._check(node)
        if len(self.nodes) == 1:
            raise InvalidInput("a graph needs at least one node")
        edges, alive = self.graph.edges.copy(), self.graph.alive.copy()
        edges[node] = edges[:, node] = alive[node] = False
        return self._push(f"removed node {node}", edges=edges, alive=alive)

    def set_label(self, node: int, label: int) -> str:
        """Give a node another label. Returns what was done; nothing if it has this label.

        Raises:
            InvalidInput: no such node or label.
        """
        node = self._check(node)
        names = self.label_names
        number = to_python(label)
        is_whole = isinstance(number, int) and not isinstance(number, bool)
        if not is_whole or not 0 <= number < len(names):
            raise InvalidInput(f"label must be 0..{len(names) - 1}, got {describe(label)}")
        label = number
        if self.labels[node] == label:
            return ""
        features = self.graph.features.copy()
        columns = self.label_columns
        assert columns is not None
        features[node, columns] = np.eye(len(names))[label]
        return self._push(f"gave node {node} the label {names[label]}", features=features)

    def undo(self) -> str:
        """Take the last edit back. Returns what was taken back; empty if there is none."""
        if len(self._history) == 1:
            return ""
        return f"took back: {self._history.pop().change}"

    def reset(self) -> None:
        """Take all edits back."""
        self._history = self._history[:1]

    def lay_out(self) -> None:
        """Compute the positions anew from the present edges."""
        alive = self.graph.alive
        positions = np.full((len(alive), 2), np.nan)
        arranged = self._arrange(self.graph.edges[np.ix_(alive, alive)])
        positions[alive] = check_array("positions of arrange", arranged, (int(alive.sum()), 2))
        self.positions = positions

    def as_set(self) -> GraphSet:
        """Return the present graph as a set of one graph, whose nodes are those that exist."""
        graph = self.graph
        rows = np.flatnonzero(graph.alive)
        edges = torch.from_numpy(np.argwhere(graph.edges[np.ix_(rows, rows)]).T.copy())
        features = torch.from_numpy(graph.features[rows])
        if self._source.degree_features:
            features = with_degrees(features, torch.bincount(edges[0], minlength=len(rows)))
        return replace(
            self._source,
            features=features,
            edges=edges,
            sizes=torch.tensor([len(rows)]),
            motif=torch.from_numpy(graph.motif[rows]) if self._source.motif is not None else None,
        )

    def _push(self, change: str, **fields: np.ndarray) -> str:
        self._history.append(replace(self.graph, change=change, **fields))
        return change

    def _check(self, node: Any) -> int:
        """Return the number of a node that exists."""
        number = to_python(node)
        is_whole = isinstance(number, int) and not isinstance(number, bool)
        if not is_whole or not 0 <= number < len(self.graph.alive) or not self.graph.alive[number]:
            raise InvalidInput(f"there is no node {describe(node)}; the nodes are {self.nodes}")
        return int(number)


def with_degrees(features: torch.Tensor, degrees: torch.Tensor) -> torch.Tensor:
    """Return features ``[n, F]`` whose first ones are these degrees, as ``degree_one_hot``."""
    return torch.cat([degree_one_hot(degrees), features[:, DEGREE_COLUMNS:]], 1)
