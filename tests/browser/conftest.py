"""A JupyterLab on loopback and a Chromium that looks at it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
import pytest

from explore.cli.jupyter import PRIVATE

ROOT = Path(__file__).parents[2]
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
TOKEN = "test-token"


@pytest.fixture(scope="session")
def notebooks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the notebooks with and without outputs, as saved outputs must not pass a test."""
    folder = tmp_path_factory.mktemp("lab")
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        shutil.copy(path, folder)
        notebook = nbformat.read(path, as_version=4)
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        nbformat.write(notebook, folder / f"bare_{path.name}")
    return folder


@pytest.fixture(scope="session")
def server(notebooks: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start JupyterLab as ``explore lab`` does, and return its address."""
    with running_server(
        "jupyterlab", notebooks, tmp_path_factory.mktemp("lab"), PRIVATE
    ) as address:
        yield address


@pytest.fixture(scope="session")
def plain_server(notebooks: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start Notebook 7 and JupyterLab without options of explore, and return the address."""
    with running_server("notebook", notebooks, tmp_path_factory.mktemp("plain"), ()) as address:
        yield address


@contextmanager
def running_server(
    module: str, notebooks: Path, home: Path, options: Sequence[str]
) -> Iterator[str]:
    """Run a server of Jupyter in the folder of the notebooks, with settings of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "PYTHONPATH": str(ROOT),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "s"),
    }
    subprocess.run(
        [sys.executable, "-m", "jupyter", "trust", *map(str, notebooks.glob("*.ipynb"))],
        env=environment,
        check=True,
        capture_output=True,
    )
    command = [
        *(sys.executable, "-m", module, "--no-browser", "--allow-root"),
        f"--ServerApp.port={port}",
        f"--IdentityProvider.token={TOKEN}",
        f"--ServerApp.root_dir={notebooks}",
        *options,
    ]
    log = (home / "server.log").open("w")
    process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(f"{address}/api/status?token={TOKEN}", timeout=2).close()
            break
        except OSError:
            assert process.poll() is None, (home / "server.log").read_text()
            assert time.monotonic() < deadline, "Jupyter did not answer within a minute"
            time.sleep(0.3)
    yield address
    process.terminate()
    process.wait(20)
    log.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[object]:
    """Start Chromium without a window."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine (apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: object) -> Iterator[object]:
    """Open a page that records requests to other machines in ``page.outside``."""
    context = browser.new_context(viewport={"width": 1280, "height": 1000})  # type: ignore[attr-defined]
    page = context.new_page()
    page.outside = []
    local = ("http://127.0.0.1", "ws://127.0.0.1", "data:", "blob:", "file:", "about:")
    page.on(
        "request",
        lambda request: None if request.url.startswith(local) else page.outside.append(request.url),
    )
    yield page
    context.close()


@pytest.fixture(scope="session")
def screenshots() -> Path:
    """Return the folder for screenshots: that of EXPLORE_SCREENSHOTS, or a temporary one."""
    folder = Path(os.environ.get("EXPLORE_SCREENSHOTS") or tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def open_notebook(page: Any, server: str, name: str) -> Any:
    """Open a notebook in the page, and wait for its kernel."""
    page.goto(f"{server}/lab/tree/{name}?token={TOKEN}&reset")
    page.locator(".jp-NotebookPanel .jp-Toolbar-kernelName", has_text="Python 3").wait_for(
        timeout=60_000
    )
    return page


SLIDER = ".explore-slider input"
"""Selects the sliders of explorers."""

STOP_ALL_KERNELS = """
token => fetch(`/api/sessions?token=${token}`).then(answer => answer.json()).then(sessions => Promise.all(
  sessions.map(s => fetch(`/api/kernels/${s.kernel.id}?token=${token}`, {method: "DELETE"}))))
"""

STARTED = """() => [...document.querySelectorAll(".jp-InputPrompt")].some(
    prompt => /\\[(\\*|\\d+)\\]/.test(prompt.textContent))"""


def run_all_cells(page: Any) -> None:
    """Run every cell; click again if JupyterLab was not ready for the first click."""
    for patience in (10_000, 60_000):
        page.get_by_text("Run", exact=True).first.click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        try:
            page.wait_for_function(STARTED, timeout=patience)
            return
        except Exception:
            if patience > 10_000:
                raise


def wait_for_new_alt(page: Any, index: int, before: str) -> str:
    """Wait until the alternative text of a picture changes, and return it."""
    page.wait_for_function(
        "([index, alt]) => document.querySelectorAll('.explore-figure img')[index].alt != alt",
        arg=[index, before],
    )
    page.wait_for_timeout(300)
    return page.locator(".explore-figure img").nth(index).get_attribute("alt")


def wait_for_alt(page: Any, index: int, text: str) -> str:
    """Wait until the alternative text of a picture contains a text, and return all of it.

    Several presses of a key may be drawn one after another.
    """
    page.wait_for_function(
        "([index, text]) => document.querySelectorAll('.explore-figure img')[index]"
        ".alt.includes(text)",
        arg=[index, text],
    )
    return page.locator(".explore-figure img").nth(index).get_attribute("alt")
