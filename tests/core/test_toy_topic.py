"""The topic of CONTRIBUTING.md, installed in a folder, works with all commands and tests."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from toys import ROOT, TESTS

from explore import open_recording

BLOCK = re.compile(r"```\w+\n# ([\w/.]+)\n(.*?)```", re.DOTALL)


def blocks() -> dict[str, str]:
    """Return the files that CONTRIBUTING.md shows, by their names."""
    return dict(BLOCK.findall((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the toy topic in a folder as ``pip install --target`` does."""
    folder = tmp_path_factory.mktemp("site")
    files = blocks()
    announcement = re.search(r'explore.topics"\]\n(.*)', files.pop("pyproject.toml"))
    assert announcement is not None
    entry = announcement[1].replace('"', "")
    files["walks/__init__.py"] = '"""Random walks."""\n'
    files["walks-1.0.dist-info/METADATA"] = "Metadata-Version: 2.1\nName: walks\nVersion: 1.0\n"
    files["walks-1.0.dist-info/entry_points.txt"] = f"[explore.topics]\n{entry}\n"
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def run(site: Path, *command: str, **environment: str) -> str:
    """Run a command of this Python in which the toy topic is installed; return what it prints."""
    paths = [str(site), str(ROOT), str(TESTS), str(TESTS / "core")]
    paths += filter(None, [os.environ.get("PYTHONPATH")])
    process = subprocess.run(
        [sys.executable, *command],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), **environment},
        cwd=site,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


def test_a_run_is_recorded_and_drawn(site: Path) -> None:
    assert "a random walk on a line" in run(site, "-m", "explore", "run", "--help")
    command = ("-m", "explore", "run", "walk", "--steps", "8", "--out", "walk.zarr")
    printed = run(site, *command, "--every", "1")
    assert "9 frames, to step 8 of 8" in printed
    assert "explore figure path --recording walk.zarr" in printed
    recording = open_recording(site / "walk.zarr")
    assert recording.position.attrs["units"] == "m"
    assert recording.sizes["step"] == 9
    for name in ("path.png", "path.csv", "path.html"):
        arguments = ("--recording", "walk.zarr", "--step", "4", "--out", name)
        run(site, "-m", "explore", "figure", "path", *arguments)
        assert (site / name).stat().st_size > 50
    printed = run(site, "-m", "explore", "rerun", "walk.zarr", "--out", "again.zarr")
    assert "the same bits" in printed
    assert "step" in run(site, "-m", "explore", "compare", "walk.zarr", "again.zarr")


def test_the_lab_is_listed_and_opens(site: Path) -> None:
    code = "from explore.widgets.lab_index import Tiles; print(Tiles())"
    assert "How far does a random walk get? (10 minutes, 90_walks.ipynb)" in run(site, "-c", code)
    code = """
from walks import lab
explorer = lab.one_walk(5)
before = explorer.alt
explorer.step = 3
assert explorer.alt != before
print(explorer.alt)
"""
    assert run(site, "-c", code).startswith("At step 3 the walk is at ")


def test_the_doctor_checks_the_topic(site: Path) -> None:
    code = """
from explore.cli import doctor, probes
print([d.state for d in doctor._versions() if d.subject == "topics"])
print(probes.run_probe("probe_topic", "walks.catalog:check"))
from explore.core import registry
print(registry.topics()["walks"].checks)
"""
    printed = run(site, "-c", code)
    assert "walks" in printed.splitlines()[0]
    assert "{'line': 'walks are possible'}" in printed


@pytest.mark.slow
@pytest.mark.timeout(290)
def test_the_contract_tests_include_the_topic(site: Path) -> None:
    files = [str(TESTS / "core" / "test_contract.py"), str(TESTS / "plotting" / "test_picture.py")]
    options = [
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(ROOT),
        "-c",
        str(ROOT / "pyproject.toml"),
    ]
    printed = run(
        site,
        *(
            "-m",
            "pytest",
            "-n",
            "0",
            *options,
            *files,
            "-k",
            "walk or path]",
            "--durations=0",
            "-rA",
        ),
        EXPLORE_CASES=str(site / "walks" / "cases.py"),
    )
    passed = [line for line in printed.splitlines() if line.startswith("PASSED")]
    assert sum("[walk]" in line for line in passed) >= 18, printed
    assert sum("[path]" in line for line in passed) >= 4, printed


def test_a_method_in_a_python_file_runs(site: Path, tmp_path: Path) -> None:
    files = blocks()
    text = files["walks/config.py"] + files["walks/run.py"].replace('"origin", "far"', '"origin"')
    text += """
from explore.core.catalog import Method

METHOD = Method("my walk", "a walk of mine", "my_walk:build", "my_walk:WalkConfig")
"""
    text = text.replace('option("walk", "walk")', 'option("my walk", "my walk")')
    (tmp_path / "my_walk.py").write_text(text, encoding="utf-8")
    path, out = str(tmp_path / "my_walk.py"), str(tmp_path / "run.zarr")
    printed = run(tmp_path, "-m", "explore", "run", path, "--steps", "3", "--out", out)
    assert "to step 3 of 3" in printed
    printed = run(
        tmp_path, "-m", "explore", "rerun", out, "--out", f"{out}-again.zarr", EXPLORE_TOPICS=path
    )
    assert "the same bits" in printed
