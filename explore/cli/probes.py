"""Probes of ``explore doctor``: functions that may crash or hang, run in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from explore.core.resources import PACKAGE
from explore.errors import DataMissing

TIMEOUT_S = 180
"""Seconds after which a probe counts as hanging."""


def run_probe(name: str, *arguments: str) -> dict[str, Any]:
    """Call a function of this module in a new process.

    Returns:
        What it returned, or ``{"error": reason}`` if it crashed, failed or hung.
    """
    call = f"explore.cli.probes.{name}(*{list(arguments)!r})"
    code = f"import json, explore.cli.probes; print(json.dumps({call}))"
    path = os.pathsep.join([str(PACKAGE.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    try:
        process = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"error": f"no answer within {TIMEOUT_S} seconds"}
    if process.returncode == 0 and process.stdout.strip():
        return json.loads(process.stdout.strip().splitlines()[-1])
    messages = process.stderr.strip().splitlines()
    if messages and process.returncode > 0:
        return {"error": messages[-1]}
    return {"error": f"it crashed (exit code {process.returncode})"}


def probe_torch() -> dict[str, Any]:
    """Compute with torch, try torchvision's compiled operators, and look for CUDA."""
    import torch

    cuda = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    answer: dict[str, Any] = {"threads": torch.get_num_threads(), "cuda": cuda}
    try:
        import torchvision.ops

        torchvision.ops.nms(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.ones(1), 0.5)
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        # Versions that do not match have raised each of these.
        answer["mismatch"] = f"{type(error).__name__}: {error}".splitlines()[0]
    return answer


def probe_numba() -> dict[str, Any]:
    """Run a small parallel kernel, after which Numba knows its threading layer."""
    import numba
    import numpy as np

    @numba.njit(parallel=True)
    def double(values: np.ndarray) -> np.ndarray:
        doubled = np.empty_like(values)
        for i in numba.prange(len(values)):
            doubled[i] = 2 * values[i]
        return doubled

    if not np.array_equal(double(np.arange(8.0)), 2 * np.arange(8.0)):
        raise ArithmeticError("a parallel kernel gave wrong numbers")
    return {"layer": numba.threading_layer(), "threads": numba.get_num_threads()}


def probe_topic(function: str) -> dict[str, Any]:
    """Call the check of a topic, ``"module:function"``, which returns one line."""
    from explore.core.registry import resolve

    return {"line": resolve(function)()}


def probe_datasets() -> dict[str, Any]:
    """Load a little of every data set; the answer has "" for each that can be loaded, else the
    reason."""
    from explore.core.registry import datasets
    from explore.data import load

    answer = {}
    for name, row in datasets().items():
        if row.origin == "path":
            continue
        try:
            load(name, "test", **row.quick)
            answer[name] = ""
        except DataMissing:
            answer[name] = "missing"
        except Exception as error:  # an error of one set must not hide the others
            answer[name] = f"{type(error).__name__}: {error}".splitlines()[0]
    return answer
