"""What ``explore doctor`` looks at: whether this machine has what explore needs, and what to do where it has not."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import explore
from explore._parallel.cpus import affinity_cpus, cpu_quota, usable_cpus
from explore.core.resources import PACKAGE, shipped
from explore.errors import DataMissing, ExploreError

PACKAGES = (
    *("numpy", "xarray", "zarr", "torch", "torchvision", "scikit-learn", "numba", "matplotlib"),
    *("jupyterlab", "ipykernel", "ipywidgets", "anywidget", "typer"),
)
LAB_MEMORY = 1.2
"""GiB that a lab takes at most."""
PATIENCE = 180
"""Seconds after which a probe counts as hanging."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at, what was found and, if it is broken, how to mend it."""

    what: str
    found: str
    mend: str = ""


def examine() -> list[Finding]:
    """Look at everything; what may crash or hang is done in processes of its own, so this takes some seconds.

    Returns:
        Findings in the order in which to show them; those with ``mend`` are broken.
    """
    with ThreadPoolExecutor(2) as pool:
        probes = ("probe_torch", "probe_numba", "probe_sparse", "probe_sets")
        torch, numba, sparse, sets = (pool.submit(apart, probe) for probe in probes)
        found = [
            *_versions(),
            *_shipped_things(),
            *_torch(torch.result()),
            _numba(numba.result()),
            _sparse(sparse.result()),
        ]
        return [*found, _memory(), *_sets(sets.result())]


def report(findings: list[Finding]) -> str:
    """The findings as aligned text; the last lines say what to mend, or that all is well."""
    width = max(len(finding.what) for finding in findings)
    lines = [f"{finding.what:<{width}}  {finding.found}" for finding in findings]
    mend = [finding for finding in findings if finding.mend]
    if not mend:
        return "\n".join([*lines, "", "all is well"])
    lines += ["", f"{len(mend)} thing{'s' if len(mend) > 1 else ''} to mend"]
    return "\n".join([*lines, *(f"  {finding.what.strip()}: {finding.mend}" for finding in mend)])


def apart(probe: str) -> dict[str, Any]:
    """What a probe of this module returns in a new process, or ``{"error": why}`` if it crashed, failed or hung."""
    code = f"import json, explore.cli.doctor; print(json.dumps(explore.cli.doctor.{probe}()))"
    path = os.pathsep.join([str(PACKAGE.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    try:
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"error": f"no answer within {PATIENCE} seconds"}
    if done.returncode == 0 and done.stdout.strip():
        return json.loads(done.stdout.strip().splitlines()[-1])
    why = done.stderr.strip().splitlines()
    return {
        "error": why[-1]
        if why and done.returncode > 0
        else f"it crashed (exit code {done.returncode})"
    }


def probe_torch() -> dict[str, Any]:
    """Does torch compute, do torchvision's compiled operators fit it, is there CUDA; for ``apart``."""
    import torch

    cuda = torch.cuda.is_available()
    found: dict[str, Any] = {
        "threads": torch.get_num_threads(),
        "cuda": torch.cuda.get_device_name() if cuda else "",
    }
    try:
        import torchvision.ops

        torchvision.ops.nms(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.ones(1), 0.5)
    except (
        ImportError,
        OSError,
        RuntimeError,
        AttributeError,
    ) as error:  # each of them has been seen with unlike pairs
        found["mismatch"] = f"{type(error).__name__}: {error}".splitlines()[0]
    return found


def probe_numba() -> dict[str, Any]:
    """Run a trivial parallel kernel, after which numba knows its threading layer; for ``apart``."""
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


def probe_sparse() -> dict[str, Any]:
    """Does the engine of sparse convolutions agree with torch, and which threads help it; for ``apart``."""
    import torch

    from explore._parallel.policy import kernel_threads
    from explore._parallel.work_sharing import helper_threads
    from explore.sparseconv import prepare

    weight, x = (
        torch.randn(32, 32, 3, 3),
        torch.randn(1, 32, 56, 56).relu_(),
    )  # large enough to be shared
    found, wanted = (
        prepare(weight, padding=1, method="bitmap")(x),
        torch.conv2d(x, weight, padding=1),
    )
    if not torch.allclose(found, wanted, atol=1e-3):
        raise ArithmeticError(f"the engine is off by {float((found - wanted).abs().max()):.2g}")
    return {"threads": kernel_threads(), "helpers": helper_threads()}


def probe_sets() -> dict[str, Any]:
    """Which data sets can be loaded: for each name "" if it can, else why not; for ``apart``."""
    from explore.data import LOADERS, load

    found = {}
    little = {
        "cifar10-jpeg": {"count": 1},
        "voc": {"size": 8},
    }  # so many files that a few, or small images, must do
    for name in LOADERS:
        if name == "folder":  # is wherever its owner says
            continue
        try:
            load(name, "test", **little.get(name, {}))
            found[name] = ""
        except DataMissing:
            found[name] = "missing"
        except Exception as error:  # whatever is wrong with one set must not hide the others
            found[name] = f"{type(error).__name__}: {error}".splitlines()[0]
    return found


def _versions() -> Iterator[Finding]:
    yield Finding(
        "python",
        f"{platform.python_version()} on {platform.system()} {platform.machine()}, {sys.executable}",
    )
    kind = "installed" if (PACKAGE / "_shipped").exists() else "a checkout"
    yield Finding("explore", f"{explore.__version__}, {kind} in {PACKAGE.parent}")
    for package in PACKAGES:
        try:
            yield Finding(package, version(package))
        except PackageNotFoundError:
            yield Finding(package, "not installed", f"{sys.executable} -m pip install {package}")


def _torch(probe: dict[str, Any]) -> Iterator[Finding]:
    remedy = f"install a matching pair in one go: {sys.executable} -m pip install --upgrade torch torchvision"
    if "error" in probe:
        yield Finding("torch works", f"no: {probe['error']}", remedy)
        return
    if unlike := probe.get("mismatch"):
        yield Finding("torch pair", f"torchvision does not fit torch: {unlike}", remedy)
    else:
        yield Finding("torch pair", "torch and torchvision match")
    yield Finding("processor", _cpus(probe["threads"]))
    yield Finding("CUDA", probe["cuda"] or "none; not needed")


def _numba(probe: dict[str, Any]) -> Finding:
    if "error" in probe:
        return Finding(
            "numba works",
            f"no: {probe['error']}",
            f"{sys.executable} -m pip install --upgrade numba numpy",
        )
    return Finding("numba works", f"threading layer {probe['layer']}, {probe['threads']} threads")


def _sparse(probe: dict[str, Any]) -> Finding:
    if "error" in probe:
        remedy = f"mend numba and torch first; if they work: {sys.executable} -m pip install --upgrade numba llvmlite"
        return Finding("sparse conv", f"no: {probe['error']}", remedy)
    return Finding(
        "sparse conv",
        f"agrees with torch; {probe['threads']} threads, helpers: {probe['helpers']}",
    )


def _cpus(torch_threads: int) -> str:
    """Describe the CPUs that this process may use, and the threads of PyTorch."""
    usable, affinity, quota = usable_cpus(), affinity_cpus(), cpu_quota()
    text = f"{usable} of {os.cpu_count()} CPUs usable"
    if quota is not None and quota < affinity:
        text += f" (a quota allows {quota:g}, the affinity {affinity})"
    text += f", torch computes with {torch_threads} threads"
    if torch_threads > usable:
        text += f"; set OMP_NUM_THREADS={usable}, as more threads than CPUs are slower"
    return text


def _memory() -> Finding:
    try:
        import psutil
    except ImportError:
        return Finding("memory", "unknown (psutil is not installed)")
    seen = psutil.virtual_memory()
    free, whole = seen.available / 2**30, seen.total / 2**30
    limit = Path("/sys/fs/cgroup/memory.max")  # what a container may use
    if limit.is_file() and limit.read_text().strip().isdecimal():
        whole = min(whole, int(limit.read_text()) / 2**30)
        free = min(free, whole)
    return Finding(
        "memory",
        f"{free:.1f} of {whole:.1f} GiB free"
        + (f"; a lab takes up to {LAB_MEMORY}" if free < LAB_MEMORY else ""),
    )


def _sets(probe: dict[str, Any]) -> Iterator[Finding]:
    from explore.data.datasets.folders import data_folder

    folder = data_folder()
    yield Finding(
        "data folder",
        f"{folder}{'' if folder.is_dir() else ' (not there yet)'}; EXPLORE_DATA sets it",
    )
    if "error" in probe:
        yield Finding(
            "data sets",
            f"cannot be loaded: {probe['error']}",
            "mend torch first; if it works, reinstall explore",
        )
        return
    always, fetched = ("digits", "scenes"), ("mnist", "fashion-mnist", "cifar10", "cifar100", "voc")
    for name, trouble in probe.items():
        if trouble == "missing" and name not in always:
            fetch = (
                f"; to fetch it: explore.data.load({name!r}, download=True)"
                if name in fetched
                else ""
            )
            yield Finding(f"  {name}", f"not there{fetch}")
        elif trouble:
            remedy = (
                "reinstall explore and scikit-learn"
                if name in always
                else "replace its files in the data folder by whole ones"
            )
            yield Finding(f"  {name}", f"cannot be loaded: {trouble}", remedy)
        else:
            yield Finding(f"  {name}", "found")


def _shipped_things() -> Iterator[Finding]:
    from explore.core.registry import methods

    wanted = sorted({name for row in methods().values() for name in row.recordings})
    broken = {name: trouble for name in wanted if (trouble := _unreadable(name))}
    remedy = "reinstall explore (in a checkout: git restore {})"
    readable = f"{len(wanted) - len(broken)} of the {len(wanted)} that ship can be read"
    yield Finding("recordings", readable, remedy.format("data") if broken else "")
    for name, trouble in broken.items():
        yield Finding(f"  {Path(name).name}", trouble)
    try:
        count = len(list(shipped("notebooks").glob("*.ipynb")))
    except DataMissing:
        count = 0
    yield Finding("notebooks", f"{count} ship", "" if count else remedy.format("notebooks"))


def _unreadable(name: str) -> str:
    """Why a shipped recording cannot be read to its last frame; empty if it can."""
    try:
        from explore.core.recording import open_recording

        open_recording(shipped(name)).load().close()
    except DataMissing:
        return "not there"
    except (ExploreError, ImportError) as error:
        return f"{type(error).__name__}: {error}"
    return ""
