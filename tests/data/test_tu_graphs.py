"""Test the TU collection: a tiny set written here, real sets against PyTorch Geometric, and messages about bad files."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch_geometric.datasets import TUDataset

from explore.data import data_folder, load_graph_set, load_graphs
from explore.data.datasets.tu_graphs import FEATURE_KINDS, tu_graphs
from explore.errors import DataMissing, InvalidInput, RecordingDamaged, UnknownName

# A triangle, a pair with a loop, and a graph of two isolated nodes; the labels are 3 and -1.
TINY = {
    "A": "1, 2\n2, 1\n2, 3\n3, 2\n3, 1\n1, 3\n4, 5\n5, 4\n4, 4\n",
    "graph_indicator": "1\n1\n1\n2\n2\n3\n3\n",
    "graph_labels": "3\n-1\n3\n",
    "node_labels": "5\n6\n6\n5\n8\n5\n5\n",
    "node_attributes": "".join(f"{k}.5, {-k}\n" for k in range(7)),
}
NODE_LABELS = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]] + [
    [1, 0, 0, 0]
] * 2
ATTRIBUTES = [[k + 0.5, -k] for k in range(7)]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty data folder, from which nothing is downloaded."""
    monkeypatch.setenv("EXPLORE_DATA", str(tmp_path))

    def refuse(self: Any) -> None:
        raise AssertionError("a download was tried")

    monkeypatch.setattr(TUDataset, "download", refuse)
    return tmp_path


def publish(folder: Path, name: str = "TINY", **changes: str | None) -> Path:
    """Write a tiny set; a file whose text is None is left out."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind, text in {**TINY, **changes}.items():
        if text is not None:
            (folder / f"{name}_{kind}.txt").write_text(text, encoding="utf-8")
    return folder


# ---- the tiny set, by hand


def test_a_tiny_set_by_hand(root: Path) -> None:
    publish(root / "TINY" / "raw")
    graphs = load_graph_set("TINY")
    assert graphs.sizes.tolist() == [3, 2, 2]
    assert graphs.labels.tolist() == [1, 0, 1]
    assert graphs.edges.tolist() == [[0, 0, 1, 1, 2, 2, 3, 4], [1, 2, 0, 2, 0, 1, 4, 3]]
    assert graphs.features.tolist() == NODE_LABELS
    assert graphs.degrees.tolist() == [2, 2, 2, 1, 1, 0, 0]
    assert (graphs.name, graphs.options) == ("TINY", {"features": "labels"})
    assert graphs.class_names == ["0", "1"]
    assert load_graph_set(graphs.name, **graphs.options).sha256 == graphs.sha256
    listed = load_graphs("TINY", features="attributes")
    assert [graph.num_nodes for graph in listed] == [3, 2, 2]
    assert [graph.y.item() for graph in listed] == [1, 0, 1]


def test_each_kind_of_features(root: Path) -> None:
    publish(root / "TINY" / "raw")
    degrees = torch.nn.functional.one_hot(torch.tensor([2, 2, 2, 1, 1, 0, 0]), 31)
    label_names = [f"label {k}" for k in range(4)]
    expected = {
        "auto": (NODE_LABELS, label_names),
        "labels": (NODE_LABELS, label_names),
        "attributes": (ATTRIBUTES, ["attribute 0", "attribute 1"]),
        "both": (
            [a + b for a, b in zip(ATTRIBUTES, NODE_LABELS, strict=True)],
            ["attribute 0", "attribute 1", *label_names],
        ),
        "degree": (degrees.tolist(), [*[f"degree {k}" for k in range(30)], "degree 30 or more"]),
    }
    assert tuple(expected) == FEATURE_KINDS
    for kind, (table, names) in expected.items():
        graphs = load_graph_set("TINY", features=kind)
        assert graphs.features.tolist() == table
        assert graphs.features.dtype == torch.float32
        assert list(graphs.feature_names) == names
        assert graphs.degree_features == (kind == "degree")


@pytest.mark.parametrize(
    ("left_out", "automatic", "refused"),
    [
        (["node_labels"], "attributes", {"labels": "labels", "both": "labels"}),
        (["node_attributes"], "labels", {"attributes": "attributes", "both": "attributes"}),
        (
            ["node_labels", "node_attributes"],
            "degree",
            {"labels": "labels", "attributes": "attributes", "both": "labels"},
        ),
    ],
)
def test_features_that_a_set_does_not_have(
    root: Path, left_out: list[str], automatic: str, refused: dict[str, str]
) -> None:
    publish(root / "TINY", **dict.fromkeys(left_out))
    graphs = load_graph_set("TINY")
    assert graphs.options == {"features": automatic}
    assert graphs.sizes.tolist() == [3, 2, 2]
    assert graphs.edges.shape == (2, 8)
    for kind, word in refused.items():
        with pytest.raises(InvalidInput, match=f"no node {word}; features can be .*degree"):
            load_graph_set("TINY", features=kind)


def test_one_direction_of_each_edge_is_enough(root: Path) -> None:
    publish(root / "TINY" / "raw")
    expected = load_graph_set("TINY").sha256
    publish(root / "TINY" / "raw", A="1, 2\n2, 3\n3, 1\n4, 5\n4, 5\n")
    assert load_graph_set("TINY").sha256 == expected


def test_labels_are_classes_even_where_the_set_has_a_regression(root: Path) -> None:
    publish(root / "TINY", graph_attributes="0.25\n0.5\n0.75\n")
    assert load_graph_set("TINY").labels.tolist() == [1, 0, 1]


def test_the_folder_raw_comes_first_but_not_if_it_is_empty(root: Path) -> None:
    publish(root / "TINY", graph_labels="1\n1\n1\n")
    (root / "TINY" / "raw").mkdir()
    assert load_graph_set("TINY").labels.tolist() == [0, 0, 0]
    publish(root / "TINY" / "raw")
    assert load_graph_set("TINY").labels.tolist() == [1, 0, 1]


# ---- what is missing or damaged


def test_an_unknown_name_lists_what_is_in_the_folder(root: Path) -> None:
    with pytest.raises(DataMissing, match=r"no graph set 'MUTAG' in .*: it holds no graph sets\. "):
        load_graph_set("MUTAG")
    publish(root / "TINY" / "raw")
    publish(root / "OTHER", "OTHER")
    message = f"unknown graph set 'tiny'; known: OTHER, TINY, motifs. Put the files of NAME.zip into {root}"
    with pytest.raises(UnknownName, match=re.escape(message)):
        load_graph_set("tiny")
    with pytest.raises(UnknownName):  # a path is no name
        load_graph_set("../TINY")


def test_nothing_is_downloaded_unless_the_user_asks(root: Path) -> None:
    with pytest.raises(AssertionError, match="a download was tried"):
        load_graph_set("MUTAG", download=True)


def test_a_download_lands_in_the_folder_that_is_read(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TUDataset, "download", lambda self: publish(Path(self.raw_dir)) and None)
    graphs = load_graph_set("TINY", download=True)
    assert graphs.sha256 == load_graph_set("TINY").sha256


@pytest.mark.parametrize("kind", ["A", "graph_indicator", "graph_labels"])
def test_each_missing_file_is_named(root: Path, kind: str) -> None:
    folder = publish(root / "TINY" / "raw", **{kind: None})
    message = f"TINY_{kind}.txt is missing in {folder}; extract TINY.zip again, completely"
    with pytest.raises(DataMissing, match=re.escape(message)):
        load_graph_set("TINY")


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        ("node_labels", "5\n6\n", "has 2 lines, 7 are expected"),
        ("node_labels", "", "has 0 lines, 7 are expected"),
        ("node_attributes", "1, 2\n" * 8, "has 8 lines, 7 are expected"),
        ("graph_labels", "3\n-1\n", "has 2 lines, 3 are expected"),
        ("graph_labels", "3\n-1\nyes\n", "must have one whole number a line"),
        ("graph_indicator", "1\n1\nsecond\n", "must have one whole number a line"),
        ("graph_indicator", "1\n1.5\n", "must have one whole number a line"),
        ("graph_indicator", "1\n\u0663\u00e9\n", "must have one whole number a line"),
        ("graph_indicator", "\n", "is empty"),
        ("graph_indicator", "0\n0\n0\n1\n1\n2\n2\n", "must number the graphs 1, 2, 3 and so on"),
        ("graph_indicator", "1\n1\n1\n3\n3\n4\n4\n", "must number the graphs 1, 2, 3 and so on"),
        ("graph_indicator", "1\n1\n1\n2\n1\n3\n3\n", "must number the graphs 1, 2, 3 and so on"),
        ("A", "", "must have two node numbers a line"),
        ("A", "1\n2\n", "must have two node numbers a line"),
        ("A", "1, 2\n2\n", "must have two node numbers a line"),
        ("A", "1, 2\n2, x\n", "must have two node numbers a line"),
        ("A", "0, 1\n1, 2\n", "names nodes 0 to 2, but there are nodes 1 to 7"),
        ("A", "1, 2\n8, 2\n", "names nodes 1 to 8, but there are nodes 1 to 7"),
        ("A", "1, 2\n2, 8\n", "names nodes 1 to 8, but there are nodes 1 to 7"),
        ("A", "1, 2\n3, 4\n", "has an edge between two graphs"),
    ],
)
def test_a_damaged_file_is_named(root: Path, kind: str, text: str, message: str) -> None:
    folder = publish(root / "TINY" / "raw", **{kind: text})
    pattern = re.escape(str(folder / f"TINY_{kind}.txt")) + ".* ?" + re.escape(message)
    with pytest.raises(RecordingDamaged, match=pattern):
        load_graph_set("TINY")


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("node_labels", "5\n6\nC\n5\n8\n5\n5\n"),
        ("node_attributes", "1, 2\n" * 6 + "1\n"),
    ],
)
def test_what_pytorch_geometric_cannot_read_is_damaged(root: Path, kind: str, text: str) -> None:
    folder = publish(root / "TINY" / "raw", **{kind: text})
    with pytest.raises(RecordingDamaged, match=re.escape(str(folder)) + ".* extract .* again"):
        load_graph_set("TINY")


def test_a_set_without_edges_is_refused(root: Path) -> None:
    publish(root / "TINY", A="1, 1\n2, 2\n")
    with pytest.raises(InvalidInput, match="no graph of TINY has an edge"):
        load_graph_set("TINY")


def test_odd_options_are_refused(root: Path) -> None:
    publish(root / "TINY")
    with pytest.raises(UnknownName, match=r"unknown features 'label'.*Did you mean 'labels'"):
        load_graph_set("TINY", features="label")
    with pytest.raises(InvalidInput, match="TINY has no option 'size'; it has name, features"):
        load_graph_set("TINY", size=3)
    with pytest.raises(InvalidInput, match="motifs has no option 'features'; it has count, seed"):
        load_graph_set("motifs", features="degree")


# ---- real sets


@pytest.mark.data("MUTAG/raw")
def test_mutag_is_as_published(tmp_path: Path) -> None:
    graphs = load_graph_set("MUTAG")
    assert (len(graphs), graphs.labels.bincount().tolist()) == (188, [63, 125])
    assert (int(graphs.sizes.min()), int(graphs.sizes.max())) == (10, 28)
    assert graphs.feature_names == ["C", "N", "O", "F", "I", "Cl", "Br"]
    assert graphs.features.sum(1).unique().tolist() == [1]
    # Debnath et al. 1991: nitro compounds, mostly carbon, each with nitrogen and oxygen.
    assert graphs.features.sum(0).argmax() == 0
    shutil.copytree(data_folder() / "MUTAG" / "raw", tmp_path / "MUTAG" / "raw")
    for ours, theirs in zip(load_graphs("MUTAG"), TUDataset(str(tmp_path), "MUTAG"), strict=True):
        assert torch.equal(ours.x, theirs.x)
        assert torch.equal(ours.edge_index, theirs.edge_index)
        assert torch.equal(ours.y, theirs.y)


@pytest.mark.data("IMDB-BINARY/raw")
def test_imdb_binary_has_the_degrees_of_its_file() -> None:
    graphs = load_graph_set("IMDB-BINARY")
    assert (len(graphs), graphs.labels.bincount().tolist()) == (1000, [500, 500])
    lines = (data_folder() / "IMDB-BINARY" / "raw" / "IMDB-BINARY_A.txt").read_text().splitlines()
    assert len(lines) == 2 * len(set(lines))  # The file has each edge twice in each direction.
    first = torch.tensor([int(line.partition(",")[0]) for line in set(lines)]) - 1
    degrees = torch.bincount(first, minlength=len(graphs.features))
    assert torch.equal(graphs.degrees, degrees)
    assert torch.equal(graphs.features.argmax(1), degrees.clamp(max=30))
    assert graphs.degree_features


@pytest.mark.data("PROTEINS/raw", "ENZYMES/raw")
@pytest.mark.parametrize(
    ("name", "classes", "attributes"),
    [("PROTEINS", [663, 450], 1), ("ENZYMES", [100] * 6, 18)],
)
def test_proteins_and_enzymes_are_as_published(
    name: str, classes: list[int], attributes: int
) -> None:
    graphs = tu_graphs(name, features="both")
    assert graphs.labels.bincount().tolist() == classes
    assert graphs.features.shape[1] == attributes + 3
    assert graphs.feature_names[-3:] == ["helix", "sheet", "turn"]
