"""Checkpoints: what resumes a run, in one file beside its recording."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from explore.core.runs import Run
from explore.errors import ExploreWarning, RecordingFailed


def checkpoint_path(recording: Path) -> Path:
    """Return where the checkpoint of a recording lies."""
    return recording.with_name(recording.name + ".checkpoint.npz")


def save_checkpoint(run: Run, path: Path) -> None:
    """Write what resumes the run, atomically, as an ``.npz`` without pickles.

    Raises:
        RecordingFailed: it could not be written; the checkpoint before it is kept.
    """
    state = run.state()
    arrays = {name: value for name, value in state.items() if isinstance(value, np.ndarray)}
    values = {name: value for name, value in state.items() if name not in arrays}
    document = json.dumps({"step": run.step, "state": values})
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            np.savez(file, __json__=np.array(document), allow_pickle=False, **arrays)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        text = f"checkpoint {path} could not be written: {error}. The checkpoint before it is kept"
        raise RecordingFailed(text) from error


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read the state that ``save_checkpoint`` wrote; ``step`` is always in it."""
    # np.load leaves a damaged file open, so the file is opened here.
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
        document = json.loads(str(file["__json__"]))
        arrays = {name: file[name] for name in file.files if name != "__json__"}
    return {"step": document["step"], **arrays, **document["state"]}


def resume(run: Run, path: Path) -> bool:
    """Restore a run from its checkpoint if that is at a later step; return whether this was done.

    Warns:
        ExploreWarning: the checkpoint cannot be read.
    """
    if not path.exists():
        return False
    try:
        state = load_checkpoint(path)
    except Exception as error:  # a damaged file fails in many ways
        text = f"{path} cannot be read ({error}); computing again from step {run.step}"
        warnings.warn(text, ExploreWarning, stacklevel=4)
        return False
    if state["step"] <= run.step:
        return False
    run.restore(state)
    run.step = state["step"]  # for a run that does not derive from BaseRun and leaves it to us
    return True
