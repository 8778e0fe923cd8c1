"""Files of TU sets and of condensed graphs that others have made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from explore.data import GraphSet
from explore.data.datasets.tu_graphs import tu_graphs
from explore.errors import InvalidInput, RecordingDamaged
from explore.graphs import CondensedGraphs


@pytest.fixture(autouse=True)
def root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("EXPLORE_DATA", str(tmp_path))
    return tmp_path


# ---- TU sets


def write_tu(root: Path, **files: str | bytes) -> None:
    folder = root / "TINY" / "raw"
    folder.mkdir(parents=True)
    contents: dict[str, str | bytes] = {
        "A": "1, 2\n2, 1\n3, 4\n4, 3\n",
        "graph_indicator": "1\n1\n2\n2\n",
        "graph_labels": "1\n-1\n",
        "node_labels": "0\n1\n0\n1\n",
        **files,
    }
    for name, content in contents.items():
        data = content if isinstance(content, bytes) else content.encode()
        (folder / f"TINY_{name}.txt").write_bytes(data)


def test_windows_line_ends_and_marks(root: Path) -> None:
    write_tu(
        root,
        A=b"1, 2\r\n2, 1\r\n3, 4\r\n4, 3\r\n",
        graph_indicator=b"\xef\xbb\xbf1\r\n1\r\n2\r\n2\r\n",
        graph_labels=b"\xef\xbb\xbf1\r\n-1\r\n",
    )
    graphs = tu_graphs("TINY", features="degree")
    assert graphs.sizes.tolist() == [2, 2]
    assert graphs.labels.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("files", "error", "words"),
    [
        ({"A": f"1, {2**70}\n"}, RecordingDamaged, "two node numbers a line"),
        ({"graph_indicator": f"1\n1\n{2**70}\n2\n"}, RecordingDamaged, "one whole number a line"),
        ({"graph_labels": f"{2**70}\n1\n"}, RecordingDamaged, "one whole number a line"),
        ({"graph_labels": "1_0\n1\n"}, RecordingDamaged, "one whole number a line"),
        ({"node_labels": "1000000000\n1\n0\n1\n"}, InvalidInput, "too many for one feature each"),
        ({"node_labels": f"{10**15}\n1\n0\n1\n"}, InvalidInput, "too many for one feature each"),
        ({"node_labels": "C\nN\nC\nN\n"}, RecordingDamaged, "cannot be read as a TU set"),
    ],
)
def test_tu_files_that_cannot_be_used(
    root: Path, files: dict[str, str], error: type[Exception], words: str
) -> None:
    write_tu(root, **files)
    with pytest.raises(error, match=words):
        tu_graphs("TINY")


@pytest.mark.parametrize("download", ["no", 1, None])
def test_only_true_starts_a_download(root: Path, download: Any) -> None:
    with pytest.raises(InvalidInput, match="download must be true or false"):
        tu_graphs("MUTAG", download=download)


# ---- condensed graphs


def change_file(path: Path, tensors: dict[str, Any], header: dict[str, Any]) -> None:
    contents = load_file(path)
    with safe_open(path, "pt") as file:
        stored = json.loads(file.metadata()["explore"])
    stored.pop("seal")
    save_file({**contents, **tensors}, path, {"explore": json.dumps({**stored, **header})})


@pytest.mark.parametrize(
    ("tensors", "header"),
    [
        ({"features": torch.full((2, 2), np.nan)}, {}),
        ({"edges": torch.tensor([[0.0, 1.0], [1.0, 0.0]])}, {}),
        ({"edges": torch.tensor([[0], [1]])}, {}),
        ({"sizes": torch.tensor([2**62])}, {}),
        ({"sizes": torch.tensor(-2)}, {}),
        ({"labels": torch.tensor([5])}, {}),
        ({"other": torch.zeros(1)}, {}),
        ({}, {"graphs": []}),
        ({}, {"graphs": {"class_names": 3, "feature_names": [], "name": "a"}}),
        ({}, {"options": [1]}),
        ({}, {"degree_features": "no"}),
        ({}, {"provenance": "x"}),
    ],
)
def test_files_of_graphs_that_were_changed(
    root: Path, tensors: dict[str, Any], header: dict[str, Any]
) -> None:
    graphs = GraphSet.from_edges([[(0, 1)]], [torch.eye(2)], [0])
    path = CondensedGraphs(graphs, {"step": np.int64(1)}).save(root / "a.safetensors")
    assert CondensedGraphs.load(path).provenance == {"step": 1}
    change_file(path, tensors, header)
    with pytest.raises(RecordingDamaged, match="cannot be read"):
        CondensedGraphs.load(path)
