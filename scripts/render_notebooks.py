"""Execute the notebooks without real data and keep their pictures and texts, but no widget state.

A saved notebook must tell the truth without a kernel: a view of a widget that is no longer there
shows an error in place of the picture, so only HTML, PNG and text stay.

    python scripts/render_notebooks.py [notebooks/00_start.ipynb ...]
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

VIEW = "application/vnd.jupyter.widget-view+json"
LIMIT = 1_000_000


def render(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook,
        timeout=120,
        store_widget_state=False,
        resources={"metadata": {"path": str(path.parent)}},
    ).execute()
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(VIEW, None)
    nbformat.write(notebook, path)
    size = path.stat().st_size
    if size > LIMIT:
        sys.exit(f"{path} has {size / 1e6:.2f} MB, more than {LIMIT / 1e6:.0f}")
    sys.stdout.write(f"{path}: {size / 1e3:.0f} kB\n")


if __name__ == "__main__":
    os.environ.pop("EXPLORE_DATA", None)
    for name in sys.argv[1:] or sorted(map(str, Path("notebooks").glob("*.ipynb"))):
        render(Path(name))
