"""Which way imports point, what stays free of torch, and that importing explore costs nothing."""

from __future__ import annotations

import ast
import socket
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from toys import ROOT, output

PACKAGE = ROOT / "explore"
FILES = sorted(path.relative_to(ROOT) for path in PACKAGE.rglob("*.py"))
MODULES = {".".join(path.with_suffix("").parts).removesuffix(".__init__"): path for path in FILES}
SHARED = {"data", "models", "attention", "plotting", "widgets"}
TOPICS = {path.parts[1] for path in FILES if len(path.parts) > 2} - SHARED

# What each kind of module may import of explore, besides modules of its own kind (in its own topic, where it has one).
# ``registry`` holds strings and imports errors alone, so anybody may import it.
BASE = {"errors", "machine", "parents", "registry", "settings", "shipped", "statistics", "package"}
RUNNING = BASE | {"recording", "writer", "runs"}
METHOD = RUNNING | {"data", "models", "attention", "coresets", "sharing", "atomics", "libc", "team", "joining"}
SEEN = BASE | {"recording", "plotting", "figures", "widgets"}
EVERYTHING = (
    METHOD
    | SEEN
    | {"method", "bench", "lab", "config", "values", "sweep", "tables", "comparing", "rerun", "worker", "tasks", "command"}
)
MAY = {
    "package": {"compiled_cache"},
    "compiled_cache": set(),
    "errors": set(),
    "parents": {"errors"},
    "registry": {"errors"},
    "machine": set(),
    "settings": {"errors"},
    "shipped": {"errors"},
    "statistics": {"errors"},
    "recording": BASE,
    "writer": BASE | {"recording"},
    "runs": BASE | {"recording", "writer"},
    "data": RUNNING,
    "models": RUNNING | {"data", "sharing"},
    "attention": RUNNING | {"data", "models", "sharing"},
    "coresets": RUNNING | {"data", "models"},
    "atomics": set(),
    "sharing": {"errors"},  # compiled work among threads
    "libc": set(),
    "team": {"atomics", "libc"},
    "joining": {"atomics", "libc", "team"},
    "config": BASE,
    "values": BASE
    | {"config"},  # what a topic is about, in plain NumPy: neither torch nor Numba, so that its pictures may use it
    "method": METHOD | {"config", "values"},
    "plotting": BASE | {"recording"},
    "figures": BASE | {"recording", "plotting", "values", "config"},
    "widgets": BASE | {"recording", "plotting", "runs"},  # Job records a run
    "bench": METHOD | {"method", "config", "values", "figures", "plotting"},
    "lab": EVERYTHING,
    "tables": BASE | {"recording"},
    "comparing": BASE | {"recording"},
    "rerun": RUNNING,
    "tasks": RUNNING,
    "worker": RUNNING | {"tasks"},
    "sweep": RUNNING | {"tasks", "worker"},
    "command": EVERYTHING,
}
FORMATS = (
    "bitmap",
    "bounds",
    "buckets",
    "cpo",
    "cps",
    "cps_stream",
    "cscc",
    "encoding",
    "entries",
    "geometry",
    "im2col",
    "inputs",
    "mec",
)
VALUES = {"distill.tables", "mixtures.mixture", "subclass.bits", "subclass.scores"}
VALUES |= {f"sparseconv.{name}" for name in (*FORMATS, "nze")}
COMMANDS = {"__main__", "bench", "cli", "cli_recordings", "doctor", "labs", "launch", "options", "terminal"}


def kind_of(module: str) -> str:
    """The kind of a module, from where it is: a rule for files that are still to be written."""
    parts = module.split(".")[1:]
    if not parts:
        return "package"
    if len(parts) == 1 and parts[0] not in SHARED | TOPICS:
        return "command" if parts[0] in COMMANDS else parts[0]
    if parts[0] in SHARED:
        return parts[0]
    last = parts[1] if len(parts) > 1 else ""
    return next(
        (kind for kind in ("figures", "lab", "bench", "config") if last.startswith(kind)),
        "values" if ".".join(parts) in VALUES else "method",
    )


@cache
def parsed(module: str) -> ast.Module:
    return ast.parse((ROOT / MODULES[module]).read_text(encoding="utf-8"))


def imports(module: str, nested: bool, types: bool) -> Iterator[str]:
    """Modules that a module imports: at its top, with ``nested`` in its functions too, with ``types`` for annotations too."""

    def walk(nodes: list[ast.stmt]) -> Iterator[ast.stmt]:
        for node in nodes:
            yield node
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not nested:
                continue
            if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING") and not types:
                yield from walk(node.orelse)
                continue
            for field in ("body", "orelse", "finalbody"):
                yield from walk(getattr(node, field, []))
            for handler in getattr(node, "handlers", []):
                yield from walk(handler.body)

    package = module if MODULES[module].name == "__init__.py" else module.rpartition(".")[0]
    for node in walk(parsed(module).body):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:  # "from package import module" imports the module, "from module import name" that module
                yield f"{source}.{alias.name}" if f"{source}.{alias.name}" in MODULES else source


def ours(module: str, nested: bool, types: bool) -> set[str]:
    return {name for name in imports(module, nested, types) if name in MODULES}


@cache
def loaded_with(module: str) -> frozenset[str]:
    """All that importing a module imports at once, of explore and of others."""
    found: set[str] = set()
    todo = [module]
    while todo:
        name = todo.pop()
        if name in found:
            continue
        found.add(name)
        if name in MODULES:
            todo += imports(name, nested=False, types=False)
            todo += [".".join(name.split(".")[:depth]) for depth in range(1, name.count(".") + 1)]
    return frozenset(found)


def packages(names: set[str] | frozenset[str]) -> set[str]:
    return {name.partition(".")[0] for name in names}


# ---- which way imports point


@pytest.mark.parametrize("module", MODULES)
def test_every_module_has_a_place_in_the_chains(module: str) -> None:
    assert kind_of(module) in MAY, f"say in tests/test_layout.py what {module} may import"


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_to_the_left_only(module: str) -> None:
    kind = kind_of(module)
    allowed = MAY[kind] | {kind}
    wrong = sorted(name for name in ours(module, nested=True, types=kind != "registry") if kind_of(name) not in allowed)
    assert wrong == [], f"{module} ({kind}) may import {', '.join(sorted(allowed))} only"


@pytest.mark.parametrize("module", [m for m in MODULES if m.split(".")[1:2] and m.split(".")[1] in TOPICS])
def test_topics_do_not_import_one_another(module: str) -> None:
    others = {f"explore.{topic}" for topic in TOPICS - {module.split(".")[1]}}
    assert {name for name in ours(module, nested=True, types=True) if ".".join(name.split(".")[:2]) in others} == set()


@pytest.mark.parametrize("module", ["explore.registry", "explore.cli", "explore.cli_recordings"])
def test_registry_and_command_line_hold_strings_only(module: str) -> None:
    light = {"explore.registry", "explore.options", "explore.cli_recordings", "explore.terminal"}
    allowed = {"explore", "explore.errors"} | (light if "cli" in module else set())
    assert ours(module, nested=False, types=False) <= allowed


def test_no_module_imports_itself_in_a_circle() -> None:
    edges = {module: ours(module, nested=False, types=False) - {module} for module in MODULES}
    while leaves := [module for module, wanted in edges.items() if not wanted & set(edges)]:
        for module in leaves:
            del edges[module]
    assert edges == {}


# ---- what stays light

NO_TORCH = ("torch", "torchvision", "numba")
HEAVY = {"data", "models", "attention", "coresets", "sharing", "atomics", "team", "joining", "method", "bench", "lab", "command"}
LIGHT = [m for m in MODULES if kind_of(m) not in HEAVY]


@pytest.mark.parametrize("module", LIGHT)
def test_what_shows_recordings_imports_no_torch(module: str) -> None:
    assert packages(loaded_with(module)) & set(NO_TORCH) == set()


@pytest.mark.parametrize("module", [m for m in MODULES if kind_of(m) in {"figures", "plotting", "widgets"}])
def test_pictures_and_widgets_need_torch_nowhere(module: str) -> None:
    assert packages(set(imports(module, nested=True, types=False))) & set(NO_TORCH) == set()


def test_what_shows_recordings_is_imported_where_there_is_no_torch() -> None:
    code = """
import importlib, sys
sys.modules.update(torch=None, torchvision=None, numba=None)
for name in sys.argv[1:]:
    importlib.import_module(name)
"""
    assert output(code, *LIGHT) == ""


@pytest.mark.parametrize("module", [m for m in MODULES if kind_of(m) in METHOD | {"method", "config"}])
def test_methods_draw_nothing(module: str) -> None:
    drawing = {"matplotlib", "ipywidgets", "anywidget", "IPython"}
    assert packages(set(imports(module, nested=True, types=True))) & drawing == set()


@pytest.mark.parametrize("module", [m for m in MODULES if kind_of(m) == "widgets"])
def test_widgets_know_no_method(module: str) -> None:
    assert {name for name in loaded_with(module) if kind_of(name) in {"method", "figures", "lab"} and name in MODULES} == set()


@pytest.mark.parametrize("module", [m for m in MODULES if MODULES[m].name == "__init__.py"])
def test_packages_are_lazy(module: str) -> None:
    assert loaded_with(module) & set(MODULES) <= {module, "explore", "explore.errors", "explore.compiled_cache"}


IMPORT = """
import sys, time
start = time.perf_counter()
import explore
print(time.perf_counter() - start)
assert not {"torch", "numpy", "xarray", "matplotlib", "zarr"} & set(sys.modules), sorted(sys.modules)
"""


def test_importing_explore_takes_less_than_a_fifth_of_a_second() -> None:
    times = sorted(float(output(IMPORT)) for _ in range(5))
    assert times[2] < 0.2


def test_all_public_names_can_be_reached() -> None:
    code = """
import importlib, sys
for name in sys.argv[1:]:
    package = importlib.import_module(name)
    for public in package.__all__:
        getattr(package, public)
    assert set(package.__all__) <= set(dir(package)), name
"""
    assert output(code, *(m for m in MODULES if MODULES[m].name == "__init__.py")) == ""


@pytest.mark.parametrize("module", MODULES)
def test_the_first_line_says_what_a_module_is(module: str) -> None:
    said = ast.get_docstring(parsed(module))
    assert said
    assert said.splitlines()[0][-1] in ".:"


# ---- the tests themselves


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "example.org"])
def test_no_test_connects_beyond_this_machine(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as plain:
        with pytest.raises(PermissionError, match="tests stay on this machine"):
            plain.connect((host, 80))
        with pytest.raises(PermissionError, match="tests stay on this machine"):
            plain.connect_ex((host, 80))
    with pytest.raises(PermissionError, match="tests stay on this machine"):
        socket.create_connection((host, 80))


def test_tests_connect_to_this_machine() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        client.sendall(b"x")
        there, _ = server.accept()
        assert there.recv(1) == b"x"
        there.close()


def test_a_test_without_its_data_says_which_folder_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import conftest

    class Item:
        def iter_markers(self, name: str) -> list[pytest.Mark]:
            return [pytest.mark.data("FashionMNIST/raw").mark]

    monkeypatch.setenv("EXPLORE_DATA", str(tmp_path))
    wanted = tmp_path / "FashionMNIST" / "raw"
    with pytest.raises(pytest.skip.Exception, match=f"needs real data in {wanted}, which is missing"):
        conftest.pytest_runtest_setup(Item())  # type: ignore[arg-type]
    wanted.mkdir(parents=True)
    (wanted / "file").touch()
    conftest.pytest_runtest_setup(Item())  # type: ignore[arg-type]
