"""What Numba compiles is found again: in an installation that cannot be written to, and by processes that start at once."""

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
import json, os, sys, time
import numpy as np, torch
import explore
from explore.sparseconv import prepare
weight, x = torch.randn(64, 64, 3, 3), torch.randn(1, 64, 56, 56).relu_()
layer = prepare(weight, padding=1)
begin = time.perf_counter()
found = layer(x)
taken = time.perf_counter() - begin
good = torch.allclose(found, torch.conv2d(x, weight, padding=1), atol=1e-3)
print(json.dumps({"package": explore.__file__, "good": good, "taken": taken, "folder": os.environ.get("NUMBA_CACHE_DIR", "")}))
"""


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package in which no cache can be made (not even by root, whom no permission stops)."""
    root = tmp_path_factory.mktemp("sealed")
    package = Path(explore.__file__).parent
    shutil.copytree(package, root / "explore", ignore=shutil.ignore_patterns("__pycache__"))
    for folder in [
        root / "explore",
        *(path for path in (root / "explore").rglob("*") if path.is_dir()),
    ]:
        (folder / "__pycache__").write_text("in the way")
    return root


def started(root: Path, **settings: str) -> dict[str, Any]:
    environment = {
        key: value
        for key, value in os.environ.items()
        if key not in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")
    }
    environment |= {"PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1", **settings}
    done = subprocess.run(
        [sys.executable, "-c", PROBE],
        env=environment,
        cwd=root,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert Path(found["package"]).parent.parent == root
    assert found["good"]
    return found


def kept(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*.nb*")}


def test_the_second_start_finds_what_the_first_compiled(sealed: Path, tmp_path: Path) -> None:
    first = started(sealed, HOME=str(tmp_path))
    files = kept(tmp_path)
    assert len(files) > 5
    second = started(sealed, HOME=str(tmp_path))
    assert kept(tmp_path) == files, "nothing was compiled again"
    assert second["taken"] < first["taken"] / 2
    assert second["folder"] == ""


def test_where_nothing_can_be_written_a_process_has_a_folder_of_its_own(
    sealed: Path, tmp_path: Path
) -> None:
    (tmp_path / "home").write_text("no folder")
    (tmp_path / "tmp").mkdir()
    found = started(sealed, HOME=str(tmp_path / "home"), TMPDIR=str(tmp_path / "tmp"))
    assert Path(found["folder"]).parent == tmp_path / "tmp"
    assert list((tmp_path / "tmp").glob("explore-*")) == [], "gone when it ended"


def test_four_processes_may_start_at_once(sealed: Path, tmp_path: Path) -> None:
    settings = {"HOME": str(tmp_path)}
    with ThreadPoolExecutor(4) as pool:
        assert len(list(pool.map(lambda _: started(sealed, **settings), range(4)))) == 4
    files = kept(tmp_path)
    started(sealed, **settings)
    assert kept(tmp_path) == files


def test_a_folder_that_was_chosen_is_left(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from explore._parallel import numba_cache as compiled_cache

    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    compiled_cache.ensure()
    assert os.environ["NUMBA_CACHE_DIR"] == str(tmp_path)
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    compiled_cache.ensure()
    assert "NUMBA_CACHE_DIR" not in os.environ, "this installation can be written to"
