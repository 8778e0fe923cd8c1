"""The TU collection of graph data sets, such as MUTAG and PROTEINS, read by PyTorch Geometric."""

from __future__ import annotations

from glob import escape
from pathlib import Path

import numpy as np
import torch

from explore.core.validation import check_choice, check_flag, check_text
from explore.data.datasets._file_names import is_plain_name
from explore.data.datasets.folders import data_folder
from explore.data.graph_conversion import degree_names, degree_one_hot
from explore.data.graph_set import GraphSet
from explore.data.pyg import import_pyg
from explore.errors import DataMissing, InvalidInput, RecordingDamaged, UnknownName

TU_NAMES = (
    "AIDS",
    "COLLAB",
    "DD",
    "ENZYMES",
    "IMDB-BINARY",
    "IMDB-MULTI",
    "MUTAG",
    "NCI1",
    "NCI109",
    "PROTEINS",
    "PTC_FM",
    "PTC_FR",
    "PTC_MM",
    "PTC_MR",
    "REDDIT-BINARY",
)
"""Sets of the TU collection that are known to exist; others are tried in the same way."""

FEATURE_KINDS = ("auto", "labels", "attributes", "both", "degree")

MOST_NODE_LABELS = 10_000
"""The largest difference of two labels of nodes."""

REQUIRED_FILES = ("A", "graph_indicator", "graph_labels")
NODE_FILES = ("node_labels", "node_attributes")

NODE_NAMES = {
    "MUTAG": ("C", "N", "O", "F", "I", "Cl", "Br"),
    "PROTEINS": ("helix", "sheet", "turn"),
    "ENZYMES": ("helix", "sheet", "turn"),
}
"""Names of the node labels, in their order in the files."""


def tu_graphs(name: str, *, features: str = "auto", download: bool = False) -> GraphSet:
    """Load a set of the TU collection from ``NAME/raw`` or ``NAME`` in the data folder.

    Loops and repeated edges are removed, and edge labels are not used.

    Args:
        name: of the set, such as "MUTAG".
        features: "labels" (one feature for each label of a node), "attributes" (the numbers of a
            node), "both", "degree" (see ``degree_one_hot``), or "auto": labels where the set has
            them, else attributes, else degrees.
        download: download the files if they are missing.

    Raises:
        DataMissing: the set or one of its files is not in the data folder; the message names it.
        UnknownName: there is no such set; the message lists those in the data folder.
        RecordingDamaged: a file ends too early.
        InvalidInput: the set has no such features.

    Source: Morris et al., TUDataset, arXiv 2007.08663.
    """
    name = check_text("name", name)
    features = check_choice("features", features, FEATURE_KINDS)
    folder = _folder(name, check_flag("download", download))
    _check_files(folder, name)
    labels, attributes = (
        (folder / f"{name}_{kind}.txt").is_file() for kind in ("node_labels", "node_attributes")
    )
    if features == "auto":
        features = "labels" if labels else "attributes" if attributes else "degree"
    required = {"labels": [labels], "attributes": [attributes], "both": [labels, attributes]}
    if not all(required.get(features, [])):
        present = [*["labels"] * labels, *["attributes"] * attributes, "degree"]
        missing = "attributes" if labels or features == "attributes" else "labels"
        raise InvalidInput(f"{name} has no node {missing}; features can be {', '.join(present)}")
    return _read(folder, name, features)


def _read(folder: Path, name: str, features: str) -> GraphSet:
    graph_of_node = _read_whole_numbers(folder / f"{name}_graph_indicator.txt") - 1
    # PyTorch Geometric prefers the numbers of a regression, where a set has both.
    labels = _read_whole_numbers(folder / f"{name}_graph_labels.txt").unique(return_inverse=True)[1]
    edges = _read_edges(folder / f"{name}_A.txt", graph_of_node)
    if not edges.numel():
        raise InvalidInput(f"no graph of {name} has an edge; there is no structure to learn")
    if features == "degree":
        table = degree_one_hot(torch.bincount(edges[0], minlength=len(graph_of_node)))
        names = degree_names()
    else:
        table, names = _read_features(folder, name, features)
    return GraphSet(
        table,
        edges,
        torch.bincount(graph_of_node),
        labels,
        [str(k) for k in range(int(labels.max()) + 1)],
        names,
        name,
        {"features": features},
        degree_features=features == "degree",
    )


def _folder(name: str, download: bool) -> Path:
    """Return the folder of the raw files."""
    root = data_folder()
    if is_plain_name(name):  # no path that leads elsewhere
        for folder in (root / name / "raw", root / name):
            if (folder / f"{name}_A.txt").is_file() or any(folder.glob(f"{escape(name)}_*.txt")):
                return folder
        if download:
            import_pyg("datasets").TUDataset(str(root), name)
            return root / name / "raw"
    present = present_sets()
    advice = (
        f"Put the files of NAME.zip into {root}/NAME/raw, or fetch a set of the TU collection by "
        "download=True; motifs are always there."
    )
    if name not in TU_NAMES:
        raise UnknownName("graph set", name, [*present, "motifs"], advice)
    listed = f"it holds {', '.join(present)}" if present else "it holds no graph sets"
    raise DataMissing(
        f"there is no graph set {name!r} in {root}: {listed}. {advice.replace('NAME', name)}"
    )


def present_sets() -> list[str]:
    """Return the names of the graph sets in the data folder."""
    files = [
        path for pattern in ("*/raw/*_A.txt", "*/*_A.txt") for path in data_folder().glob(pattern)
    ]
    return sorted({path.name[: -len("_A.txt")] for path in files})


def _check_files(folder: Path, name: str) -> None:
    """Check that the required files are there, and that those of the nodes are equally long.

    Raises:
        DataMissing: a file is not there.
        RecordingDamaged: a file has too few lines.
    """
    for kind in REQUIRED_FILES:
        if not (folder / f"{name}_{kind}.txt").is_file():
            raise DataMissing(
                f"{name}_{kind}.txt is missing in {folder}; extract {name}.zip again, completely"
            )
    indicator = _read_whole_numbers(folder / f"{name}_graph_indicator.txt")
    if int(indicator[0]) != 1 or bool(((indicator.diff() != 0) & (indicator.diff() != 1)).any()):
        raise RecordingDamaged(
            f"{folder / f'{name}_graph_indicator.txt'} must number the graphs 1, 2, 3 and so on, "
            f"in this order; extract {name}.zip again"
        )
    expected = {f"{name}_{kind}.txt": len(indicator) for kind in NODE_FILES}
    expected[f"{name}_graph_labels.txt"] = int(indicator.max())
    for file, count in expected.items():
        if (folder / file).is_file():
            with (folder / file).open(encoding="ascii", errors="replace") as lines:
                length = sum(1 for line in lines if line.strip())
            if length != count:
                raise RecordingDamaged(
                    f"{folder / file} has {length} lines, {count} are expected; extract "
                    f"{name}.zip again"
                )


def _read_features(folder: Path, name: str, features: str) -> tuple[torch.Tensor, list[str]]:
    """Return the features of all nodes, and their names."""
    _check_node_labels(folder / f"{name}_node_labels.txt")
    try:
        data, _, counts = import_pyg("io").read_tu_data(str(folder), name)
    except (ValueError, IndexError, RuntimeError, OverflowError, OSError) as error:
        raise RecordingDamaged(
            f"{folder} cannot be read as a TU set: {error}; extract {name}.zip again"
        ) from error
    split = counts["num_node_attributes"]
    label_count = data.x.shape[1] - split
    label_names = NODE_NAMES.get(name, ())
    if len(label_names) != label_count:
        label_names = tuple(f"label {k}" for k in range(label_count))
    names = [*(f"attribute {k}" for k in range(split)), *label_names]
    columns = {"attributes": slice(None, split), "labels": slice(split, None)}.get(
        features, slice(None)
    )
    return data.x[:, columns].float(), names[columns]


def _check_node_labels(path: Path) -> None:
    """Check the labels of nodes, each of which becomes one feature.

    Raises:
        InvalidInput: they are numbers of another kind, which would fill the memory.
    """
    if not path.is_file():
        return
    try:
        table = np.loadtxt(path, np.int64, delimiter=",", ndmin=2, encoding="utf-8-sig")
    except (ValueError, OSError):
        return  # The reader of the set says what is wrong.
    spread = int(np.ptp(table, axis=0).max()) if len(table) else 0
    if spread > MOST_NODE_LABELS:
        raise InvalidInput(
            f"{path} has labels from {table.min()} to {table.max()}, too many for one feature each;"
            " use features='degree'"
        )


def _read_edges(path: Path, graph_of_node: torch.Tensor) -> torch.Tensor:
    """Return the edges of all graphs, both directions, sorted, without loops.

    Raises:
        RecordingDamaged: a line is no pair of nodes of one graph.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        lines = [line for line in text.splitlines() if line.strip()]
        pairs = np.loadtxt(lines, np.int64, delimiter=",", ndmin=2) if lines else None
    except OSError as error:
        raise _opening_error(path, error) from error
    except ValueError as error:
        raise RecordingDamaged(f"{path} must have two node numbers a line: {error}") from error
    if pairs is None or pairs.shape[1] != 2:
        raise RecordingDamaged(
            f"{path} must have two node numbers a line; extract its zip file again"
        )
    if pairs.min() < 1 or pairs.max() > len(graph_of_node):
        raise RecordingDamaged(
            f"{path} names nodes {pairs.min()} to {pairs.max()}, but there are nodes 1 to "
            f"{len(graph_of_node)}; extract its zip file again"
        )
    edges = torch.from_numpy(pairs.T - 1)
    if not torch.equal(*graph_of_node[edges]):
        raise RecordingDamaged(f"{path} has an edge between two graphs; extract its zip file again")
    edges = edges[:, edges[0] != edges[1]]
    return torch.unique(torch.cat([edges, edges.flip(0)], 1), dim=1)


def _read_whole_numbers(path: Path) -> torch.Tensor:
    try:
        lines = path.read_text(encoding="utf-8-sig").split()
        wrong = [line for line in lines if not line.lstrip("+-").isascii() or "_" in line]
        if wrong:
            raise ValueError(f"got {wrong[0][:20]!r}")
        numbers = torch.tensor([int(line) for line in lines], dtype=torch.int64)
    except OSError as error:
        raise _opening_error(path, error) from error
    except (ValueError, OverflowError, RuntimeError) as error:  # RuntimeError: more than 64 bits
        raise RecordingDamaged(f"{path} must have one whole number a line: {error}") from error
    if not len(numbers):
        raise RecordingDamaged(f"{path} is empty; extract its zip file again")
    return numbers


def _opening_error(path: Path, error: OSError) -> InvalidInput:
    return InvalidInput(
        f"{path} cannot be opened ({error.strerror}); check its permissions and the disk"
    )
