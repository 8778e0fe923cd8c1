"""Directions of imports, modules without torch, lengths of files, the cost of an import."""

from __future__ import annotations

import ast
import json
import socket
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from toys import ROOT, run_python

import explore

PACKAGE = ROOT / "explore"
FILES = sorted(path.relative_to(ROOT) for path in PACKAGE.rglob("*.py"))
MODULES = {".".join(path.with_suffix("").parts).removesuffix(".__init__"): path for path in FILES}

RANKS = (
    ("explore", "errors"),
    ("_parallel",),
    ("core",),
    ("data", "plotting", "sweep"),
    ("models", "widgets", "coresets"),
    ("attention", "mixtures", "sparseconv"),
    ("subclass",),
    ("distill",),
    ("cli",),
    ("__main__",),
)
"""The packages by rank. A module imports its own package and those of lower ranks only."""

SHARED = {"_parallel", "attention", "cli", "core", "data", "models", "plotting", "sweep", "widgets"}
TOPICS = {path.parts[1] for path in FILES if len(path.parts) > 2} - SHARED
MAXIMUM_LINES = 350


def package_of(module: str) -> str:
    """Return the first part of a module's name below ``explore``."""
    return (module.split(".") + ["explore"])[1] if module != "explore" else "explore"


def rank_of(module: str) -> int:
    """Return the rank of a module's package; other topics have the rank of ``subclass``."""
    package = package_of(module)
    listed = [rank for rank, packages in enumerate(RANKS) if package in packages]
    return listed[0] if listed else next(rank for rank, p in enumerate(RANKS) if "subclass" in p)


@cache
def parse(module: str) -> ast.Module:
    return ast.parse((ROOT / MODULES[module]).read_text(encoding="utf-8"))


def imports(module: str, nested: bool, types: bool) -> Iterator[str]:
    """Yield the imports of a module: ``nested`` adds functions, ``types`` annotations."""

    def walk(nodes: list[ast.stmt]) -> Iterator[ast.stmt]:
        for node in nodes:
            yield node
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not nested:
                continue
            if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
                yield from walk(node.orelse + (node.body if types else []))
                continue
            for field in ("body", "orelse", "finalbody"):
                yield from walk(getattr(node, field, []))
            for handler in getattr(node, "handlers", []):
                yield from walk(handler.body)

    package = module if MODULES[module].name == "__init__.py" else module.rpartition(".")[0]
    for node in walk(parse(module).body):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            depth = len(package.split(".")) - node.level + 1
            base = package.split(".")[:depth] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:  # a name may be a module of the package or an object in it
                full_name = f"{source}.{alias.name}"
                yield full_name if full_name in MODULES else source


def own_imports(module: str, nested: bool, types: bool) -> set[str]:
    return {name for name in imports(module, nested, types) if name in MODULES}


@cache
def modules_loaded_with(module: str) -> frozenset[str]:
    """Return all modules that are imported together with a module."""
    loaded: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in loaded:
            continue
        loaded.add(name)
        if name in MODULES:
            waiting += imports(name, nested=False, types=False)
            waiting += [".".join(name.split(".")[:n]) for n in range(1, name.count(".") + 1)]
    return frozenset(loaded)


def top_level(names: set[str] | frozenset[str]) -> set[str]:
    return {name.partition(".")[0] for name in names}


def modules_with_word(*parts: str) -> list[str]:
    """Return the modules with one of these words as a part of their name."""
    return [module for module in MODULES if set(parts) & set(module.split("."))]


# ---- which way imports point


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_packages_of_lower_ranks_only(module: str) -> None:
    wrong = {
        name
        for name in own_imports(module, nested=True, types=True)
        if package_of(name) != package_of(module) and rank_of(name) >= rank_of(module)
    }
    assert wrong == set()


@pytest.mark.parametrize("module", [m for m in MODULES if package_of(m) in TOPICS])
def test_topics_do_not_import_one_another(module: str) -> None:
    others = TOPICS - {package_of(module)}
    assert {
        n for n in own_imports(module, nested=True, types=True) if package_of(n) in others
    } == set()


@pytest.mark.parametrize("module", ["explore.core.registry", "explore.cli.main"])
def test_registry_and_command_line_import_nothing_heavy(module: str) -> None:
    heavy = {"numpy", "torch", "xarray", "matplotlib", "zarr", "numba", "pandas", "scipy"}
    assert top_level(modules_loaded_with(module)) & heavy == set()


def test_no_imports_are_circular() -> None:
    edges = {module: own_imports(module, nested=True, types=True) - {module} for module in MODULES}
    while leaves := [module for module, needed in edges.items() if not needed & set(edges)]:
        for module in leaves:
            del edges[module]
    assert edges == {}, "these modules import one another, or modules that do"


# ---- what stays light

NO_TORCH = {"torch", "torchvision", "numba"}
PICTURES = [*modules_with_word("figures", "plotting", "widgets")]
LIGHT = [
    *PICTURES,
    *modules_with_word("core", "config", "catalog", "formats"),
    "explore.errors",
    "explore",
]


@pytest.mark.parametrize("module", LIGHT)
def test_modules_that_show_recordings_do_not_import_torch(module: str) -> None:
    assert top_level(modules_loaded_with(module)) & NO_TORCH == set()


@pytest.mark.parametrize("module", PICTURES)
def test_figures_and_widgets_do_not_import_torch(module: str) -> None:
    assert top_level(set(imports(module, nested=True, types=False))) & NO_TORCH == set()


def test_modules_that_show_recordings_can_be_imported_without_torch() -> None:
    code = """
import importlib, sys
sys.modules.update(torch=None, torchvision=None, numba=None)
for name in sys.argv[1:]:
    importlib.import_module(name)
"""
    assert run_python(code, *LIGHT) == ""


@pytest.mark.parametrize(
    "module",
    [
        m
        for m in MODULES
        if not set(m.split(".")) & {"figures", "plotting", "widgets", "lab", "bench", "cli"}
    ],
)
def test_methods_do_not_import_matplotlib(module: str) -> None:
    drawing = {"matplotlib", "ipywidgets", "anywidget", "IPython"}
    assert top_level(set(imports(module, nested=True, types=True))) & drawing == set()


@pytest.mark.parametrize("module", modules_with_word("widgets", "plotting"))
def test_widgets_and_plotting_do_not_import_methods(module: str) -> None:
    loaded = modules_loaded_with(module)
    assert {name for name in loaded if package_of(name) in TOPICS and name in MODULES} == set()
    if module != "explore.widgets.lab_index":  # which lists the labs of all topics
        assert "explore.core.registry" not in loaded, "a slider loads no table of methods"


@pytest.mark.parametrize("module", [m for m in MODULES if MODULES[m].name == "__init__.py"])
def test_packages_are_lazy(module: str) -> None:
    parents = {".".join(module.split(".")[:n]) for n in range(1, module.count(".") + 2)}
    numba_cache = {"explore._parallel", "explore._parallel.numba_cache"}
    assert modules_loaded_with(module) & set(MODULES) <= parents | {"explore.errors"} | numba_cache


# What ``import explore`` reads and changes, in a process of its own.
IMPORT = """
import json, os, sys
environment, folders = dict(os.environ), set(os.listdir("."))
import explore
heavy = {"torch", "numpy", "xarray", "matplotlib", "zarr", "numba", "pandas", "IPython", "importlib.metadata"}
print(json.dumps({
    "heavy": sorted(heavy & set(sys.modules)),
    "changed": os.environ != environment or set(os.listdir(".")) != folders,
    "modules": sorted(name for name in sys.modules if name.split(".")[0] == "explore"),
}))
"""


def test_importing_explore_loads_and_changes_nothing() -> None:
    assert json.loads(run_python(IMPORT)) == {"heavy": [], "changed": False, "modules": ["explore"]}


def test_every_public_package_is_an_attribute_of_explore() -> None:
    public = {package_of(m) for m in MODULES if MODULES[m].name == "__init__.py"} - {
        "explore",
        "cli",
    }
    public = {name for name in public if not name.startswith("_")}
    assert public <= set(explore.__all__)
    assert public <= set(dir(explore))


def test_all_public_names_can_be_reached() -> None:
    code = """
import importlib, sys
for name in sys.argv[1:]:
    package = importlib.import_module(name)
    for public in getattr(package, "__all__", ()):
        getattr(package, public)
    assert set(getattr(package, "__all__", ())) <= set(dir(package)), name
"""
    assert run_python(code, *(m for m in MODULES if MODULES[m].name == "__init__.py")) == ""


# ---- files


@pytest.mark.parametrize("module", MODULES)
def test_the_first_line_describes_the_module(module: str) -> None:
    docstring = ast.get_docstring(parse(module))
    assert docstring
    assert docstring.split("\n\n")[0][-1] in ".:"


@pytest.mark.parametrize("module", MODULES)
def test_no_file_is_too_long_to_read_at_once(module: str) -> None:
    assert len((ROOT / MODULES[module]).read_text(encoding="utf-8").splitlines()) <= MAXIMUM_LINES


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
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
    ):
        client.sendall(b"x")
        there, _ = server.accept()
        assert there.recv(1) == b"x"
        there.close()


def test_a_test_without_its_data_says_which_folder_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import conftest

    class Item:
        def iter_markers(self, name: str) -> list[pytest.Mark]:
            return [pytest.mark.data("FashionMNIST/raw").mark]

    monkeypatch.setenv("EXPLORE_DATA", str(tmp_path))
    folder = tmp_path / "FashionMNIST" / "raw"
    with pytest.raises(
        pytest.skip.Exception, match=f"needs real data in {folder}, which is missing"
    ):
        conftest.pytest_runtest_setup(Item())  # type: ignore[arg-type]
    folder.mkdir(parents=True)
    (folder / "file").touch()
    conftest.pytest_runtest_setup(Item())  # type: ignore[arg-type]
