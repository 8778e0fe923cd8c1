"""``explore lab``: copies the notebooks into the working folder and starts JupyterLab."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote

from explore.core.registry import labs
from explore.core.resources import PACKAGE
from explore.errors import DataMissing, DependencyMissing, UnknownName

FOLDER, START = "notebooks", "00_start.ipynb"
PROJECT = "explore-labs"

PRIVATE = (
    "--ServerApp.ip=127.0.0.1",  # this machine only; the token stays on, as is Jupyter's default
    "--LabApp.news_url=None",
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    f"--LabApp.app_settings_dir={PACKAGE / 'cli' / 'lab_settings'}",  # asks nobody whether to fetch news
    "--LabApp.extension_manager=readonly",  # the default one asks PyPI
)
"""Options with which JupyterLab is reached from this machine alone and asks nothing of any other."""


@dataclass(frozen=True)
class NotebookCopies:
    """A folder with ``notebooks``, the files that were copied into it and those that existed already."""

    root: Path
    copied: list[str] = field(default_factory=list)
    existing: list[str] = field(default_factory=list)


def checkout(folder: Path) -> Path | None:
    """The checkout of this project (with notebooks) that ``folder`` lies in, if it does."""
    for root in (folder, *folder.parents):
        project = root / "pyproject.toml"
        if project.is_file():
            try:
                name = (
                    tomllib.loads(project.read_text(encoding="utf-8"))
                    .get("project", {})
                    .get("name")
                )
            except (tomllib.TOMLDecodeError, UnicodeDecodeError):  # somebody else's, then
                continue
            if name == PROJECT:
                return root if (root / FOLDER / START).is_file() else None
    return None


def prepare(folder: Path, source: Path) -> NotebookCopies:
    """Make ``folder/notebooks`` hold every notebook of ``source``; no file that is there is touched.

    Args:
        folder: the working folder; in a checkout, nothing is copied and the checkout is used.
        source: the notebooks that ship, ``shipped("notebooks")``.

    Raises:
        DataMissing: ``source`` holds no ``00_start.ipynb``.
    """
    folder = folder.resolve()
    root = checkout(folder)
    if root is not None:
        return NotebookCopies(root)
    if not (source / START).is_file():
        raise DataMissing(
            f"{START} is not in {source}; this installation of explore is not whole: reinstall it"
        )
    if (
        folder.name == FOLDER and (folder / START).is_file()
    ):  # started inside of what was copied before
        folder = folder.parent
    copies = NotebookCopies(folder)
    for file in sorted(path for path in source.rglob("*") if path.is_file()):
        name = file.relative_to(source)
        if any(part.startswith((".", "__")) for part in name.parts):
            continue
        target = folder / FOLDER / name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with file.open("rb") as given, target.open("xb") as new:
                shutil.copyfileobj(given, new)
        except FileExistsError:
            copies.existing.append(name.as_posix())
        else:
            copies.copied.append(name.as_posix())
    return copies


def notebook_name(root: Path, name: str) -> str:
    """The file in ``root/notebooks`` that ``name`` means: a lab's name, or a file name with or without its suffix.

    Raises:
        UnknownName: no such notebook; the message lists those there are.
    """
    notebooks = {lab.name: lab.notebook for lab in labs()}
    there = sorted(path.name for path in (root / FOLDER).glob("*.ipynb"))
    for candidate in (name, f"{name}.ipynb", notebooks.get(name)):
        if candidate in there:
            return str(candidate)
    raise UnknownName(
        "notebook",
        name,
        [*there, *(lab for lab, notebook in notebooks.items() if notebook in there)],
    )


def command(
    root: Path,
    notebook: str = START,
    browser: bool = True,
    port: int | None = None,
    more: Sequence[str] = (),
) -> list[str]:
    """What starts JupyterLab in ``root`` with one of its notebooks open.

    Args:
        root: what the file browser shows.
        notebook: a file in ``root/notebooks``.
        browser: open it in the browser.
        port: to listen on; by default 8888, or the next one that is free.
        more: options of JupyterLab's own; they come last and so win.

    Raises:
        DependencyMissing: JupyterLab is not installed beside this Python.
    """
    if importlib.util.find_spec("jupyterlab") is None:
        python = sys.executable
        raise DependencyMissing(
            f"JupyterLab is not installed for {python}; run: {python} -m pip install jupyterlab"
        )
    return [
        *(sys.executable, "-m", "jupyterlab", *PRIVATE),
        f"--ServerApp.root_dir={root}",
        f"--LabApp.default_url=/lab/tree/{FOLDER}/{quote(notebook)}",
        *([] if browser else ["--no-browser"]),
        *([f"--ServerApp.port={port}"] if port is not None else []),
        *more,
    ]


def environment() -> dict[str, str]:
    """The environment of JupyterLab and its kernels, in which ``import explore`` finds this very package.

    OpenMP threads wait for their next piece of work by spinning, and two kernels on one machine then hold each
    other up for milliseconds at a time: 8 ms a step became 50 to 60 for each of two runs on two cores, but 27
    with a short spin, which costs a run that is alone little.
    """
    found = {"GOMP_SPINCOUNT": "2000", **os.environ}
    before = os.environ.get("PYTHONPATH")
    if (PACKAGE / "_shipped").exists():  # an installed wheel
        return found
    return {
        **found,
        "PYTHONPATH": os.pathsep.join([str(PACKAGE.parent), *([before] if before else [])]),
    }


def start(arguments: list[str]) -> NoReturn:
    """Become JupyterLab (on Windows, which cannot, run it and leave with its exit code)."""
    sys.stdout.flush()
    sys.stderr.flush()
    if os.name != "nt":
        os.execve(arguments[0], arguments, environment())
    with subprocess.Popen(arguments, env=environment()) as server:
        while True:
            try:
                raise SystemExit(server.wait())
            except KeyboardInterrupt:  # Ctrl-C reaches the server too, which asks or ends
                continue
