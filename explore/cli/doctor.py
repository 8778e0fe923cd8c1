"""``explore doctor``: checks whether this machine has what explore needs, and says how to repair
it."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import explore
from explore._parallel.cpus import affinity_cpus, cpu_quota, usable_cpus
from explore.cli.probes import run_probe
from explore.core import registry
from explore.core.resources import PACKAGE, shipped
from explore.errors import DataMissing, ExploreError

PACKAGES = (
    *("numpy", "xarray", "zarr", "torch", "torchvision", "scikit-learn", "numba", "matplotlib"),
    *("jupyterlab", "ipykernel", "ipywidgets", "anywidget", "typer"),
)
LAB_MEMORY_GIB = 1.2
"""Memory that a lab takes at most."""


@dataclass(frozen=True)
class Diagnosis:
    """One thing that was checked, its state and, if it is broken, how to repair it."""

    subject: str
    state: str
    remedy: str = ""


def examine() -> list[Diagnosis]:
    """Check everything.

    Probes that may crash or hang run in processes of their own, for some seconds.

    Returns:
        Diagnoses in the order in which to print them; those with a ``remedy`` are broken.
    """
    checks = {label: c for topic in registry.topics().values() for label, c in topic.checks.items()}
    with ThreadPoolExecutor(2) as pool:
        torch = pool.submit(run_probe, "probe_torch")
        numba = pool.submit(run_probe, "probe_numba")
        topics = {label: pool.submit(run_probe, "probe_topic", c) for label, c in checks.items()}
        datasets = pool.submit(run_probe, "probe_datasets")
        return [
            *_versions(),
            *_shipped_files(),
            *_torch(torch.result()),
            _numba(numba.result()),
            *(_topic(label, probe.result()) for label, probe in topics.items()),
            _memory(),
            *_datasets(datasets.result()),
        ]


def report(diagnoses: list[Diagnosis]) -> str:
    """Return the diagnoses as aligned text, with what to repair in the last lines."""
    width = max(len(diagnosis.subject) for diagnosis in diagnoses)
    lines = [f"{diagnosis.subject:<{width}}  {diagnosis.state}" for diagnosis in diagnoses]
    broken = [diagnosis for diagnosis in diagnoses if diagnosis.remedy]
    if not broken:
        return "\n".join([*lines, "", "all is well"])
    lines += ["", f"{len(broken)} thing{'s' if len(broken) > 1 else ''} to repair"]
    return "\n".join([*lines, *(f"  {d.subject.strip()}: {d.remedy}" for d in broken)])


def _versions() -> Iterator[Diagnosis]:
    system = f"{platform.system()} {platform.machine()}"
    yield Diagnosis("python", f"{platform.python_version()} on {system}, {sys.executable}")
    kind = "installed" if (PACKAGE / "_shipped").exists() else "a checkout"
    yield Diagnosis("explore", f"{explore.__version__}, {kind} in {PACKAGE.parent}")
    topics = registry.topics()
    remedy = "" if topics else f"install explore again: {sys.executable} -m pip install -e ."
    yield Diagnosis("topics", ", ".join(topics) or "none", remedy)
    needed = [package for topic in topics.values() for package in topic.packages]
    for package in dict.fromkeys([*PACKAGES, *needed]):
        try:
            yield Diagnosis(package, version(package))
        except PackageNotFoundError:
            yield Diagnosis(package, "not installed", f"{sys.executable} -m pip install {package}")


def _torch(probe: dict[str, Any]) -> Iterator[Diagnosis]:
    command = f"{sys.executable} -m pip install --upgrade torch torchvision"
    remedy = f"install a matching pair in one command: {command}"
    if "error" in probe:
        yield Diagnosis("torch works", f"no: {probe['error']}", remedy)
        return
    if mismatch := probe.get("mismatch"):
        yield Diagnosis("torch pair", f"torchvision does not fit torch: {mismatch}", remedy)
    else:
        yield Diagnosis("torch pair", "torch and torchvision match")
    yield Diagnosis("processor", _cpus(probe["threads"]))
    yield Diagnosis("CUDA", probe["cuda"] or "none; not needed")


def _numba(probe: dict[str, Any]) -> Diagnosis:
    if "error" in probe:
        remedy = f"{sys.executable} -m pip install --upgrade numba numpy"
        return Diagnosis("numba works", f"no: {probe['error']}", remedy)
    layer, threads = probe["layer"], probe["threads"]
    return Diagnosis("numba works", f"threading layer {layer}, {threads} threads")


def _topic(label: str, probe: dict[str, Any]) -> Diagnosis:
    if "error" in probe:
        command = f"{sys.executable} -m pip install --upgrade numba llvmlite"
        remedy = f"repair torch and numba first; if they work: {command}"
        return Diagnosis(label, f"no: {probe['error']}", remedy)
    return Diagnosis(label, probe["line"])


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


def _memory() -> Diagnosis:
    try:
        import psutil
    except ImportError:
        return Diagnosis("memory", "unknown (psutil is not installed)")
    memory = psutil.virtual_memory()
    free, total = memory.available / 2**30, memory.total / 2**30
    limit = Path("/sys/fs/cgroup/memory.max")  # of a container
    if limit.is_file() and limit.read_text().strip().isdecimal():
        total = min(total, int(limit.read_text()) / 2**30)
        free = min(free, total)
    hint = f"; a lab takes up to {LAB_MEMORY_GIB}" if free < LAB_MEMORY_GIB else ""
    return Diagnosis("memory", f"{free:.1f} of {total:.1f} GiB free{hint}")


def _datasets(probe: dict[str, Any]) -> Iterator[Diagnosis]:
    from explore.data.datasets.folders import data_folder

    folder = data_folder()
    missing = "" if folder.is_dir() else " (not there yet)"
    yield Diagnosis("data folder", f"{folder}{missing}; EXPLORE_DATA sets it")
    if "error" in probe:
        remedy = "repair torch first; if it works, reinstall explore"
        yield Diagnosis("data sets", f"cannot be loaded: {probe['error']}", remedy)
        return
    for name, problem in probe.items():
        origin = registry.datasets()[name].origin
        subject = f"  {name}"
        if not problem:
            yield Diagnosis(subject, "found")
        elif problem == "missing" and origin != "included":
            command = f"; to fetch it: explore.data.load({name!r}, download=True)"
            yield Diagnosis(subject, f"not there{command if origin == 'download' else ''}")
        elif origin == "included":
            remedy = "reinstall explore and scikit-learn"
            yield Diagnosis(subject, f"cannot be loaded: {problem}", remedy)
        else:
            remedy = "replace its files in the data folder by complete ones"
            yield Diagnosis(subject, f"cannot be loaded: {problem}", remedy)


def _shipped_files() -> Iterator[Diagnosis]:
    names = sorted({name for row in registry.methods().values() for name in row.recordings})
    problems = {name: problem for name in names if (problem := _reading_problem(name))}
    remedy = "reinstall explore (in a checkout: git restore {})"
    state = f"{len(names) - len(problems)} of the {len(names)} that ship can be read"
    yield Diagnosis("recordings", state, remedy.format("data") if problems else "")
    for name, problem in problems.items():
        yield Diagnosis(f"  {Path(name).name}", problem)
    try:
        count = len(list(shipped("notebooks").glob("*.ipynb")))
    except DataMissing:
        count = 0
    yield Diagnosis("notebooks", f"{count} ship", "" if count else remedy.format("notebooks"))


def _reading_problem(name: str) -> str:
    """Return why a shipped recording cannot be read to its last frame; empty if it can."""
    from explore.core.recording import open_recording

    try:
        open_recording(shipped(name)).load().close()
    except DataMissing:
        return "not there"
    except (ExploreError, ImportError) as error:
        return f"{type(error).__name__}: {error}"
    return ""
