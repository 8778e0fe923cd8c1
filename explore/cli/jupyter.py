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
from explore.errors import DataMissing, DependencyMissing, InvalidInput, UnknownName

FOLDER, START = "notebooks", "00_start.ipynb"
PROJECT = "explore-labs"

ALLOW_ROOT = "--allow-root"

PRIVATE = (
    "--ServerApp.ip=127.0.0.1",  # this machine only; Jupyter's default token stays on
    "--LabApp.news_url=None",
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    f"--LabApp.app_settings_dir={PACKAGE / 'cli' / 'lab_settings'}",  # does not ask for news
    "--LabApp.extension_manager=readonly",  # the default one asks PyPI
)
"""Options that restrict JupyterLab to this machine, for access as well as for requests."""


@dataclass(frozen=True)
class NotebookCopies:
    """A folder with ``notebooks``, the files that were copied into it and those that existed
    already."""

    root: Path
    copied: list[str] = field(default_factory=list)
    existing: list[str] = field(default_factory=list)


def checkout(folder: Path) -> Path | None:
    """Return the checkout of this project (with notebooks) that contains ``folder``, if there is
    one."""
    for root in (folder, *folder.parents):
        project = root / "pyproject.toml"
        if project.is_file():
            try:
                text = project.read_text(encoding="utf-8")
                name = tomllib.loads(text).get("project", {}).get("name")
            except (tomllib.TOMLDecodeError, UnicodeDecodeError):  # a file of another project
                continue
            if name == PROJECT:
                return root if (root / FOLDER / START).is_file() else None
    return None


def prepare(folder: Path, source: Path) -> NotebookCopies:
    """Copy every notebook of ``source`` into ``folder/notebooks``; existing files are not changed.

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
            f"{START} is not in {source}; this installation of explore is incomplete: reinstall it"
        )
    if folder.name == FOLDER and (folder / START).is_file():  # started inside the copied folder
        folder = folder.parent
    copies = NotebookCopies(folder)
    for file in sorted(path for path in source.rglob("*") if path.is_file()):
        name = file.relative_to(source)
        if any(part.startswith((".", "__")) for part in name.parts):
            continue
        target = folder / FOLDER / name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with file.open("rb") as original, target.open("xb") as copy:
                shutil.copyfileobj(original, copy)
        except FileExistsError:
            copies.existing.append(name.as_posix())
        else:
            copies.copied.append(name.as_posix())
    return copies


def notebook_name(root: Path, name: str) -> str:
    """Return the file in ``root/notebooks`` for a lab's name or a file name (suffix optional).

    Raises:
        UnknownName: there is no such notebook; the message lists the existing ones.
    """
    notebooks = {lab.name: lab.notebook for lab in labs()}
    files = sorted(path.name for path in (root / FOLDER).glob("*.ipynb"))
    for candidate in (name, f"{name}.ipynb", notebooks.get(name)):
        if candidate in files:
            return str(candidate)
    names = [lab for lab, notebook in notebooks.items() if notebook in files]
    raise UnknownName("notebook", name, [*files, *names])


def command(
    root: Path,
    notebook: str = START,
    browser: bool = True,
    port: int | None = None,
    more: Sequence[str] = (),
) -> list[str]:
    """Return the command that starts JupyterLab in ``root`` and opens one of its notebooks.

    Args:
        root: the folder of the file browser.
        notebook: a file in ``root/notebooks``.
        browser: open it in the browser.
        port: to listen on; by default 8888, or the next one that is free.
        more: options of JupyterLab itself; they come last and override others.

    Raises:
        DependencyMissing: JupyterLab is not installed for this Python.
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


def root_options(allowed: bool, more: Sequence[str]) -> list[str]:
    """Return the options of JupyterLab, with the one that a start as root needs.

    Args:
        allowed: whether the user allows a start as root.
        more: options of JupyterLab itself.

    Raises:
        InvalidInput: the user is root and has not allowed it.
    """
    options = list(more)
    if allowed and ALLOW_ROOT not in options:
        options.append(ALLOW_ROOT)
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    if is_root and not any(option.startswith(ALLOW_ROOT) for option in options):
        raise InvalidInput(
            "you are root, and JupyterLab starts as root only if it is allowed to; "
            f"if this is a container, add {ALLOW_ROOT}: explore lab {ALLOW_ROOT}"
        )
    return options


def environment() -> dict[str, str]:
    """Return the environment of JupyterLab and its kernels, in which they import this package.

    OpenMP threads wait for work by spinning, so two kernels on one machine slow each other down:
    for two runs on two cores, 8 ms for one step became 50 to 60 ms, but 27 ms with a short spin. A
    single run becomes hardly slower by it.
    """
    variables = {"GOMP_SPINCOUNT": "2000", **os.environ}
    if not (PACKAGE / "_shipped").exists():  # a checkout
        paths = filter(None, [str(PACKAGE.parent), os.environ.get("PYTHONPATH")])
        variables["PYTHONPATH"] = os.pathsep.join(paths)
    return variables


def start(arguments: list[str]) -> NoReturn:
    """Replace this process by JupyterLab; on Windows, run JupyterLab and exit with its code."""
    sys.stdout.flush()
    sys.stderr.flush()
    if os.name != "nt":
        os.execve(arguments[0], arguments, environment())
    with subprocess.Popen(arguments, env=environment()) as server:
        while True:
            try:
                raise SystemExit(server.wait())
            except KeyboardInterrupt:  # Ctrl-C also reaches the server, which handles it.
                continue
