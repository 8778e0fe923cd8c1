"""The picture of a condensation: a synthetic graph over its start, its edges and the distance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray

from explore.core.registry import label_of
from explore.core.validation import check_flag, check_whole_number
from explore.errors import UnknownName
from explore.graphs.figures.drawing import COLOUR_STEPS, GraphDrawing, add_colour_bar, shade
from explore.graphs.figures.layout import add_layout
from explore.graphs.figures.node_attention import ADDED, EDGE_STYLES, REMOVED
from explore.graphs.recordings import CONDENSATION
from explore.plotting.frame import add_caption, add_heading, step_targets
from explore.plotting.picture import Picture, Target
from explore.plotting.selection import by_name, selects
from explore.plotting.style import GRID_GREY, MARKERS, PALETTE, set_title

if TYPE_CHECKING:
    import pandas

COLOURS = ("blue", "vermilion", "green", "purple")


@selects(CONDENSATION)
def condensation(
    recordings: Sequence[xarray.Dataset],
    step: int | None = None,
    graph: int = 0,
    method: str = "",
    hidden: bool = False,
) -> xarray.Dataset:
    """Return the data of ``Condensation``.

    Args:
        recordings: of condensations that started from the same graphs.
        step: the last frame up to it is shown; by default the last one.
        graph: number of the synthetic graph.
        method: whose graph is drawn; by default that of the first recording.
        hidden: whether the graph is shown as it was at the start, without its changes.

    Raises:
        InvalidInput: a recording of another kind.
        UnknownName: a graph or method that is not in the recordings.
    """
    runs = recordings
    names = list(by_name((str(run.attrs.get("name", "")) for run in runs), runs))
    name = method or names[0]
    if name not in names:
        raise UnknownName("method", name, names)
    run = add_layout(runs[names.index(name)])
    count = run.sizes["graph"]
    graph, hidden = check_whole_number("graph", graph), check_flag("hidden", hidden)
    if not 0 <= graph < count:
        raise UnknownName("graph", graph, map(str, range(count)))
    steps = run["step"].values
    last = int(steps[-1]) if step is None else step
    index = max(0, int(np.searchsorted(steps, last, side="right")) - 1)
    frame = run.isel(step=0 if hidden else index, graph=graph)
    start = frame["start_edge"].values.astype(bool)
    probability = frame["edge_probability"].values.astype(float)
    curve_steps = np.unique(np.concatenate([r["step"].values for r in runs]))
    curves = np.full((len(runs), len(curve_steps)), np.nan)
    for row, one in enumerate(runs):
        curves[row, np.searchsorted(curve_steps, one["step"].values)] = one["distance"].values
    moved = np.abs(frame["feature_value"].values - frame["start_feature"].values).sum(-1)
    return xarray.Dataset(
        {
            "position": (("node", "axis"), frame["position"].values),
            "start_edge": (("node", "neighbour"), start),
            "edge": (("node", "neighbour"), start if hidden else probability > 0.5),
            "edge_probability": (("node", "neighbour"), probability),
            "feature_change": ("node", moved),
            "distance": (("method", "curve_step"), curves),
        },
        {
            "method": np.array(names, object),
            "curve_step": curve_steps,
            "step": 0 if hidden else int(steps[index]),
            "graph": graph,
            "label": str(frame["label"].values),
            "shown": name,
            "hidden": hidden,
        },
        {
            "data": str(run.attrs["config"]["data"]["name"]),
            "steps_can_be_chosen": step is not None,
        },
    )


def edge_counts(data: xarray.Dataset) -> tuple[int, int, int]:
    """Return the number of edges of the start, and of those that were added and removed."""
    start, edges = data["start_edge"].values, data["edge"].values
    pairs = (start, edges & ~start, start & ~edges)
    return tuple(int(np.triu(matrix, 1).sum()) for matrix in pairs)  # type: ignore[return-value]


class Condensation(Picture):
    """A synthetic graph over its start, the probabilities of its edges, and the distances.

    The nodes are shaded by how far their features have moved. The distance to the real graphs is
    measured under the same probe networks at every step.
    """

    size = (9.6, 4.4)
    title = "A synthetic graph, its start, and the distance to the real graphs"
    structural = ("graph",)

    def build(self, data: xarray.Dataset) -> None:
        """Draw the graph on the left, the matrix in the middle and the curves on the right."""
        self._heading = add_heading(self, 0.95)
        self._counts = add_caption(self, 0.02, 0.885)
        axes = self.figure.add_axes((0.01, 0.18, 0.36, 0.66))
        self.panel("graph", axes)
        self._drawing = GraphDrawing(self, axes)
        for name, style in EDGE_STYLES.items():
            self._drawing.add_edge_style(name, *style)
        notes = (
            "redder node: its features moved further",
            "green, thick: new edge",
            "orange, dashed: removed edge",
        )
        for row, note in enumerate(notes):
            self.figure.text(0.02, 0.13 - 0.045 * row, note, va="center")
        self._build_matrix(data)
        self._build_curves(data)

    def _build_matrix(self, data: xarray.Dataset) -> None:
        axes = self.figure.add_axes((0.4, 0.17, 0.25, 0.6))
        set_title(axes, "probability of each edge")
        nodes = data.sizes["node"]
        self._matrix = self.moving(
            axes.imshow(np.zeros((nodes, nodes)), cmap="Greys", vmin=0, vmax=1)
        )
        axes.set(xlabel="node", ylabel="node")
        ticks = list(range(0, nodes, 5))
        axes.set_xticks(ticks)
        axes.set_yticks(ticks)
        bar_axes = self.figure.add_axes((0.4, 0.055, 0.25, 0.018))
        add_colour_bar(bar_axes, "Greys")
        bar_axes.set_xticks([0, 0.5, 1])
        self.panel("edges", axes, bar_axes)

    def _build_curves(self, data: xarray.Dataset) -> None:
        axes = self._axes = self.figure.add_axes((0.75, 0.17, 0.235, 0.6))
        self.panel("curve", axes)
        set_title(axes, "distance to the real graphs")
        steps = data["curve_step"].values
        for row, name in enumerate(data["method"].values):
            values = data["distance"].values[row]
            shown = np.isfinite(values)
            colour = COLOURS[row % len(COLOURS)]
            axes.plot(
                steps[shown],
                values[shown],
                color=PALETTE[colour],
                marker=MARKERS[colour],
                markevery=max(1, int(shown.sum()) // 8),
                ms=5,
                label=label_of(str(name)),
            )
        finite = data["distance"].values[np.isfinite(data["distance"].values)]
        axes.set(xlabel="step", xlim=(0, 1.02 * max(1, int(steps[-1]))))
        axes.set_ylim(0, 1.25 * float(finite.max()) if len(finite) else 1)
        axes.grid(color=GRID_GREY)
        axes.legend(loc="upper right")
        self._now = self.moving(axes.axvline(0, color="black", lw=1, ls=(0, (4, 2))))

    def show(self, data: xarray.Dataset) -> None:
        """Show edges, probabilities and step."""
        start, edges = data["start_edge"].values, data["edge"].values
        positions = data["position"].values
        pairs = {"plain": edges & start, ADDED: edges & ~start, REMOVED: start & ~edges}
        self._drawing.show_edges(positions, **pairs)
        moved = data["feature_change"].values
        shades = shade(moved) if moved.max() > 0 else np.zeros(len(moved))
        self._drawing.show_nodes(positions, shades)
        # As few shades as the colour bar has: dark pictures change both alike.
        steps = COLOUR_STEPS - 1
        self._matrix.set_data(np.round(steps * data["edge_probability"].values) / steps)
        step = int(data["step"])
        self._now.set_xdata([step, step])
        self._heading.set_text(
            f"{label_of(str(data['shown'].values))} on {data.attrs['data']}: graph "
            f"{int(data['graph']) + 1}, class {data['label'].values}"
        )
        self._counts.set_text(_count_text(data))

    def describe(self, data: xarray.Dataset) -> str:
        """Return the counts of edges, the change of the features and the distance in words."""
        row = [str(name) for name in data["method"].values].index(str(data["shown"].values))
        column = int(np.searchsorted(data["curve_step"].values, int(data["step"])))
        distance = float(data["distance"].values[row, column])
        change = float(data["feature_change"].mean())
        return (
            f"{label_of(str(data['shown'].values))} on {data.attrs['data']}, synthetic graph "
            f"{int(data['graph']) + 1} of class {data['label'].values}. {_count_text(data)}. "
            f"The features of a node changed by {change:.2f} on average (sum of absolute values). "
            f"Distance to the real graphs: {distance:.3g}."
        )

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        """Return the pairs of nodes that are edges, or were edges at the start."""
        import pandas

        start, edges = data["start_edge"].values, data["edge"].values
        pairs = np.argwhere(np.triu(start | edges, 1))
        return pandas.DataFrame(
            {
                "node": pairs[:, 0],
                "neighbour": pairs[:, 1],
                "edge at the start": _yes_or_no(start[tuple(pairs.T)]),
                "edge now": _yes_or_no(edges[tuple(pairs.T)]),
                "probability of the edge": data["edge_probability"].values[tuple(pairs.T)],
            }
        )

    def targets(self, data: xarray.Dataset) -> list[Target]:
        """Return one target for each step of the curves, if a step was chosen."""
        if not data.attrs["steps_can_be_chosen"]:
            return []
        return step_targets(self, self._axes, data["curve_step"].values)


def _yes_or_no(values: np.ndarray) -> np.ndarray:
    return np.where(values, "yes", "no").astype(object)


def _count_text(data: xarray.Dataset) -> str:
    before, added, removed = edge_counts(data)
    if bool(data["hidden"]):
        return f"the real graph that it starts from: {before} edges"
    return (
        f"step {int(data['step'])}: of {before} edges of the start, {removed or 'none'} "
        f"{'is' if removed == 1 else 'are'} removed; {added or 'none'} "
        f"{'is' if added == 1 else 'are'} new"
    )
