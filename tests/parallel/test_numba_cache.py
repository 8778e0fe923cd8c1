"""Numba's compiled code is cached: in a read-only installation, and by processes that start together."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import explore

PROBE = """
import json, os, sys
import numpy as np, torch
import explore
from explore.sparseconv import prepare
weight, x = torch.randn(64, 64, 3, 3), torch.randn(1, 64, 56, 56).relu_()
layer = prepare(weight, padding=1)
y = layer(x)
correct = torch.allclose(y, torch.conv2d(x, weight, padding=1), atol=1e-3)
print(json.dumps({"package": explore.__file__, "correct": correct, "folder": os.environ.get("NUMBA_CACHE_DIR", "")}))
"""


@pytest.fixture(scope="module")
def read_only(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the package so that no cache can be written beside it, not even by root."""
    root = tmp_path_factory.mktemp("read_only")
    package = Path(explore.__file__).parent
    shutil.copytree(package, root / "explore", ignore=shutil.ignore_patterns("__pycache__"))
    for folder in [
        root / "explore",
        *(path for path in (root / "explore").rglob("*") if path.is_dir()),
    ]:
        (folder / "__pycache__").write_text("a file, not a folder")
    return root


def start(root: Path, **settings: str) -> dict[str, Any]:
    environment = {
        key: value
        for key, value in os.environ.items()
        if key not in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")
    }
    environment |= {"PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1", **settings}
    process = subprocess.run(
        [sys.executable, "-c", PROBE],
        env=environment,
        cwd=root,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    result: dict[str, Any] = json.loads(process.stdout)
    assert Path(result["package"]).parent.parent == root
    assert result["correct"]
    return result


def cache_files(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*.nb*")}


@pytest.mark.slow
def test_the_second_start_uses_the_code_of_the_first(read_only: Path, tmp_path: Path) -> None:
    start(read_only, HOME=str(tmp_path))
    files = cache_files(tmp_path)
    assert len(files) > 5
    second = start(read_only, HOME=str(tmp_path))
    assert cache_files(tmp_path) == files, "nothing was compiled again"
    assert second["folder"] == ""


@pytest.mark.slow
def test_without_a_writable_folder_a_process_has_a_temporary_one(
    read_only: Path, tmp_path: Path
) -> None:
    (tmp_path / "home").write_text("no folder")
    (tmp_path / "tmp").mkdir()
    result = start(read_only, HOME=str(tmp_path / "home"), TMPDIR=str(tmp_path / "tmp"))
    assert Path(result["folder"]).parent == tmp_path / "tmp"
    assert list((tmp_path / "tmp").glob("explore-*")) == [], "the process removed it at its end"


@pytest.mark.slow
def test_four_processes_may_start_together(read_only: Path, tmp_path: Path) -> None:
    settings = {"HOME": str(tmp_path)}
    with ThreadPoolExecutor(4) as pool:
        assert len(list(pool.map(lambda _: start(read_only, **settings), range(4)))) == 4
    files = cache_files(tmp_path)
    start(read_only, **settings)
    assert cache_files(tmp_path) == files


def test_a_folder_that_the_user_set_stays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from explore._parallel import numba_cache

    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    numba_cache.ensure()
    assert os.environ["NUMBA_CACHE_DIR"] == str(tmp_path)
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    numba_cache.ensure()
    assert "NUMBA_CACHE_DIR" not in os.environ, "this installation is writable"
