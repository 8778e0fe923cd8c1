"""Settings of all tests: no connections beyond this machine, and skips that name missing data."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings

from explore.data.datasets.folders import data_folder

# Kernels, browsers and subprocesses share the cores with the tests: let OpenMP threads spin briefly (see explore.cli.jupyter).
os.environ.setdefault("GOMP_SPINCOUNT", "2000")

collect_ignore_glob = [
    "*/cases.py"
]  # modules of the same name; tests/contract_cases.py imports them

# A busy machine is no fault, so there is no deadline. A quick run tries fewer random examples.
EVERYTHING = os.environ.get("EXPLORE_ALL_TESTS") == "1"
settings.register_profile("all", deadline=None)
settings.register_profile("quick", deadline=None, max_examples=25)
settings.load_profile("all" if EVERYTHING else "quick")

LONG_FILES = ("tests/browser/", "tests/sweep/", "tests/plotting/test_picture", "tests/test_readme")
"""Started first, so that at the end no process waits for another one's long file."""

QUICK_NOTEBOOK = "notebooks/02"
"""The notebook that a quick run executes; the others are executed with all tests."""


def is_loopback(address: Any) -> bool:
    """Return whether an address is on this machine: a path (AF_UNIX), localhost or loopback."""
    if not isinstance(address, tuple):
        return True
    host = str(address[0]).partition("%")[0]
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in ("", "localhost")


@pytest.fixture(autouse=True, scope="session")
def _loopback_only() -> Iterator[None]:
    """Refuse connections to other machines."""
    connect, connect_ex, create = (
        socket.socket.connect,
        socket.socket.connect_ex,
        socket.create_connection,
    )

    def check(address: Any) -> None:
        if not is_loopback(address):
            raise PermissionError(
                f"a test wanted to connect to {address}; tests stay on this machine"
            )

    def checked_connect(self: socket.socket, address: Any) -> None:
        check(address)
        connect(self, address)

    def checked_connect_ex(self: socket.socket, address: Any) -> int:
        check(address)
        return connect_ex(self, address)

    def checked_create(address: Any, *args: Any, **kwargs: Any) -> socket.socket:
        check(address)
        return create(address, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", checked_connect)
        patch.setattr(socket.socket, "connect_ex", checked_connect_ex)
        patch.setattr(socket, "create_connection", checked_create)
        yield


@pytest.fixture(scope="module")
def _one_thread() -> Iterator[None]:
    """Let torch compute with one thread, which is also recorded by processes without torch."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave tests marked ``slow`` out, unless EXPLORE_ALL_TESTS=1 or ``-m`` asks for them."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONG_FILES))
    if EVERYTHING or config.getoption("-m"):
        return
    slow = [item for item in items if _is_slow(item)]
    if slow:
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if not _is_slow(item)]


def _is_slow(item: pytest.Item) -> bool:
    """Return whether a test is left out of a quick run."""
    if item.nodeid.startswith("notebooks/"):
        return not item.nodeid.startswith(QUICK_NOTEBOOK)
    return item.get_closest_marker("slow") is not None


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test marked ``data("FashionMNIST/raw")`` if that folder of data is missing."""
    for marker in item.iter_markers("data"):
        for needed in marker.args or ("",):
            folder = data_folder() / needed
            if not folder.is_dir() or not any(folder.iterdir()):
                pytest.skip(
                    f"needs real data in {folder}, which is missing or empty; set EXPLORE_DATA to the folder above"
                )
