"""Execute the notebooks without real data, and save their pictures and texts without widget state.

Without a kernel, a saved view of a widget shows an error in place of the picture. So only HTML, PNG
and text are saved.

    python scripts/render_notebooks.py [notebooks/00_start.ipynb ...]
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
MAXIMUM_BYTES = 1_000_000


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
            output.get("data", {}).pop(WIDGET_VIEW, None)
    nbformat.write(notebook, path)
    size = path.stat().st_size
    if size > MAXIMUM_BYTES:
        sys.exit(f"{path} has {size / 1e6:.2f} MB; the limit is {MAXIMUM_BYTES / 1e6:.0f} MB")
    sys.stdout.write(f"{path}: {size / 1e3:.0f} kB\n")


if __name__ == "__main__":
    os.environ.pop("EXPLORE_DATA", None)
    for name in sys.argv[1:] or sorted(map(str, Path("notebooks").glob("*.ipynb"))):
        render(Path(name))
