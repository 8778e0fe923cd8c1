"""Positions of nodes: one layout for all states of a graph, so that a drawing does not move."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import networkx
import numpy as np

from explore.graphs.recordings import CONDENSATION

if TYPE_CHECKING:
    import xarray

FORCE_FREE_NODES = 60
"""Up to so many nodes, positions follow the distances in the graph (Kamada and Kawai)."""

LAYOUT_SEED = 0
GAP = 0.35
"""Between components, in units of the distance of neighbours."""

NEW_NODE_DISTANCE = 0.12
"""Of a new node from the mean of its neighbours, in units of the whole drawing."""


def layout(adjacency: np.ndarray, seed: int = LAYOUT_SEED) -> np.ndarray:
    """Return positions of all nodes, float64 ``[n, 2]``, in [0, 1]; always the same ones.

    Components are laid out one by one and placed side by side.

    Args:
        adjacency: ``[n, n]``; nonzero entries are edges.
        seed: of the layout of components of more than 60 nodes.

    Example:
        >>> layout(np.array([[0, 1], [1, 0]])).round(2).tolist()
        [[0.0, 0.5], [1.0, 0.5]]
    """
    matrix = np.asarray(adjacency) != 0
    graph = networkx.from_numpy_array(matrix | matrix.T)
    positions = np.zeros((len(matrix), 2))
    components = sorted(networkx.connected_components(graph), key=lambda c: (-len(c), min(c)))
    boxes = []
    for nodes in components:
        rows = sorted(nodes)
        positions[rows] = _component(graph.subgraph(rows), rows, seed)
        boxes.append(np.ptp(positions[rows], axis=0) + GAP)
    for nodes, corner in zip(components, _pack(boxes), strict=True):
        rows = sorted(nodes)
        positions[rows] += corner - positions[rows].min(0)
    low, span = positions.min(0), np.ptp(positions, axis=0)
    scale = span.max() or 1.0
    return np.asarray((positions - low) / scale + (1 - span / scale) / 2)


def _component(graph: networkx.Graph, rows: list[int], seed: int) -> np.ndarray:
    """Return positions of one component; neighbours are about 1 apart."""
    if len(rows) <= FORCE_FREE_NODES:
        ordered = networkx.Graph()
        ordered.add_nodes_from(rows)
        ordered.add_edges_from(sorted(map(sorted, graph.edges)))
        places = networkx.kamada_kawai_layout(ordered)
    else:
        places = networkx.spring_layout(graph, seed=seed)
    points = np.array([places[row] for row in rows])
    number = {row: k for k, row in enumerate(rows)}
    lengths = [np.hypot(*(points[number[u]] - points[number[v]])) for u, v in graph.edges]
    points = points / (np.mean(lengths) if lengths else 1.0)
    # The longest direction lies horizontally, and the first node is on the lower left side.
    centred = points - points.mean(0)
    if len(points) > 1:
        _, axes = np.linalg.eigh(centred.T @ centred)
        centred = centred @ axes[:, ::-1]
        centred = centred * np.where(centred[0] > 0, -1, 1)
    return np.asarray(centred)


def _pack(boxes: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return the lower left corner of each box, in rows of about the width of the first one."""
    width = max(boxes[0][0], 1.4 * np.sqrt(sum(box[0] * box[1] for box in boxes)))
    corners, x, y, height = [], 0.0, 0.0, 0.0
    for box in boxes:
        if x and x + box[0] > width:
            x, y, height = 0.0, y + height, 0.0
        corners.append(np.array([x, y]))
        x, height = x + box[0], max(height, box[1])
    return corners


def place_node(positions: np.ndarray, neighbours: Sequence[int], seed: int) -> np.ndarray:
    """Return a position for a new node: near the mean of its neighbours, in a seeded direction.

    Args:
        positions: ``[n, 2]`` of the nodes that exist; they stay where they are.
        neighbours: indices of its neighbours; without any, the mean of all nodes is taken.
        seed: of the direction, such as the number of the new node.
    """
    centre = positions[list(neighbours)].mean(0) if len(neighbours) else positions.mean(0)
    angles = np.random.default_rng(seed).uniform(0, 2 * np.pi) + np.linspace(0, 2 * np.pi, 16)
    circle = centre + NEW_NODE_DISTANCE * np.column_stack([np.cos(angles), np.sin(angles)])
    inside = circle[((circle >= 0) & (circle <= 1)).all(1)]
    candidates = inside if len(inside) else circle
    distances = np.linalg.norm(candidates[:, None] - positions[None], axis=-1).min(1)
    return np.asarray(candidates[int(distances.argmax())])


def add_layout(recording: xarray.Dataset, seed: int = LAYOUT_SEED) -> xarray.Dataset:
    """Return a recording of a condensation with the coordinate ``position [graph, node, axis]``.

    The positions are those of the union of the start and of all frames, so that no step moves a
    node. Nodes that do not exist are at NaN.

    Raises:
        InvalidInput: a recording of another kind.
    """
    recording = CONDENSATION.check(recording)[0]
    if "position" in recording.coords:
        return recording
    edges = recording["edge_probability"].values > 0.5
    union = edges.any(0) if "step" in recording.dims else edges
    union = union | recording["start_edge"].values.astype(bool)
    alive = recording["alive"].values.astype(bool)
    positions = np.full((*alive.shape, 2), np.nan)
    for graph, nodes in enumerate(alive):
        positions[graph, nodes] = layout(union[graph][np.ix_(nodes, nodes)], seed)
    attributes = {"layout_seed": seed}
    return recording.assign_coords(position=(("graph", "node", "axis"), positions, attributes))
