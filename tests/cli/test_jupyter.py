"""``explore lab``: copies of the notebooks, the command, the token and address of the server."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from explore.cli import jupyter as launch
from explore.core.registry import labs
from explore.errors import DataMissing, DependencyMissing, InvalidInput, UnknownName

EMPTY = json.dumps({"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "shipped"
    for name in (
        "00_start.ipynb",
        labs()[0].notebook,
        "pictures/one.txt",
        ".ipynb_checkpoints/00_start.ipynb",
        "__pycache__/x.pyc",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(EMPTY)
    return folder


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def as_checkout(folder: Path) -> Path:
    (folder / "notebooks").mkdir(parents=True)
    (folder / "notebooks" / "00_start.ipynb").write_text(EMPTY)
    (folder / "pyproject.toml").write_text('[project]\nname = "explore-labs"\n')
    return folder


def test_notebooks_are_copied_once_and_nothing_is_overwritten(source: Path, work: Path) -> None:
    names = ["00_start.ipynb", labs()[0].notebook, "pictures/one.txt"]
    first = launch.prepare(work, source)
    assert first == launch.NotebookCopies(work.resolve(), copied=names)
    assert (
        sorted(
            p.relative_to(work / "notebooks").as_posix()
            for p in (work / "notebooks").rglob("*")
            if p.is_file()
        )
        == names
    )

    (work / "notebooks" / "00_start.ipynb").write_text("mine")
    (work / "notebooks" / "pictures" / "one.txt").unlink()
    second = launch.prepare(work, source)
    assert (second.copied, second.existing) == (names[2:], names[:2])
    assert (work / "notebooks" / "00_start.ipynb").read_text() == "mine"
    assert (
        launch.prepare(work / "notebooks", source).root == work.resolve()
    )  # not notebooks/notebooks


def test_in_a_checkout_nothing_is_copied(source: Path, work: Path) -> None:
    inside = as_checkout(work) / "some" / "folder"
    inside.mkdir(parents=True)
    assert launch.prepare(inside, source) == launch.NotebookCopies(work.resolve())
    assert not (inside / "notebooks").exists()


@pytest.mark.parametrize(
    "text", ['[project]\nname = "another"\n', "not [ toml", "[tool.x]\n", b"\xff\xfe"]
)
def test_a_folder_of_another_project_is_no_checkout(text: str | bytes, work: Path) -> None:
    as_checkout(work)
    (work / "pyproject.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    assert launch.checkout(work) is None


def test_a_checkout_without_notebooks_is_no_checkout(work: Path) -> None:
    (as_checkout(work) / "notebooks" / "00_start.ipynb").unlink()
    assert launch.checkout(work) is None


def test_an_installation_without_notebooks_is_an_error(tmp_path: Path, work: Path) -> None:
    with pytest.raises(DataMissing, match="incomplete"):
        launch.prepare(work, tmp_path / "nothing")


def test_notebook_names(source: Path, work: Path) -> None:
    launch.prepare(work, source)
    lab = labs()[0]
    for name in (lab.name, lab.notebook, lab.notebook.removesuffix(".ipynb")):
        assert launch.notebook_name(work, name) == lab.notebook
    with pytest.raises(
        UnknownName,
        match=f"unknown notebook 'nosuch'; known: 00_start.ipynb, {lab.notebook}, {lab.name}",
    ):
        launch.notebook_name(work, "nosuch")


def test_the_command_starts_jupyterlab_with_the_notebook_and_the_options(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = launch.command(work, "a b.ipynb", browser=False, port=8123, more=["--debug"])
    assert command[:3] == [sys.executable, "-m", "jupyterlab"]
    assert command[-4:] == [
        "--LabApp.default_url=/lab/tree/notebooks/a%20b.ipynb",
        "--no-browser",
        "--ServerApp.port=8123",
        "--debug",
    ]
    assert not any("token" in part for part in command)
    assert not {"--no-browser"} & set(launch.command(work))
    monkeypatch.setattr(launch.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DependencyMissing, match="pip install jupyterlab"):
        launch.command(work)


def test_kernels_find_a_package_that_is_not_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PYTHONPATH", "before")
    assert launch.environment()["PYTHONPATH"] == f"{launch.PACKAGE.parent}{os.pathsep}before"
    (tmp_path / "_shipped").mkdir()
    monkeypatch.setattr(launch, "PACKAGE", tmp_path)
    assert launch.environment()["PYTHONPATH"] == "before"


def get(port: int, path: str, token: str = "") -> tuple[int, str]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request(
            "GET", path, headers={"Authorization": f"token {token}"} if token else {}
        )
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


@pytest.mark.parametrize(
    ("root", "allowed", "more", "options"),
    [
        (True, True, [], ["--allow-root"]),
        (True, False, ["--allow-root", "--debug"], ["--allow-root", "--debug"]),
        (True, True, ["--allow-root"], ["--allow-root"]),
        (False, False, ["--debug"], ["--debug"]),
        (True, False, ["--debug"], None),
    ],
)
def test_root_must_allow_a_start_as_root(
    root: bool,
    allowed: bool,
    more: list[str],
    options: list[str] | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0 if root else 1000, raising=False)
    if options is not None:
        assert launch.root_options(allowed, more) == options
        return
    with pytest.raises(InvalidInput, match="explore lab --allow-root"):
        launch.root_options(allowed, more)


def wait_until_open(port: int, deadline: float) -> None:
    """Wait until the server listens, as it prints its address a moment earlier."""
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), 1).close()
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


@pytest.mark.skipif(os.name == "nt", reason="ends the server by a POSIX signal")
def test_the_server_requires_its_token_and_rejects_other_origins(
    work: Path, tmp_path: Path
) -> None:
    as_checkout(work)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = {f"JUPYTER_{kind}_DIR": str(tmp_path / kind) for kind in ("CONFIG", "DATA", "RUNTIME")}
    settings = {
        name: value
        for name, value in launch.environment().items()
        if not name.startswith("JUPYTER")
    }
    command = [sys.executable, "-m", "explore", "lab", "--no-browser", "--port", str(port)]
    if os.geteuid() == 0:
        command += ["--allow-root"]
    log = tmp_path / "log"
    with log.open("w") as file:
        server = subprocess.Popen(
            command, cwd=work, env={**settings, **own}, stdout=file, stderr=file
        )
    try:
        deadline = time.monotonic() + 60
        while not (
            address := re.search(
                rf"http://127\.0\.0\.1:{port}(/lab/tree/\S+)\?token=(\w+)", log.read_text()
            )
        ):
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        path, token = address.groups()
        assert path == "/lab/tree/notebooks/00_start.ipynb"
        wait_until_open(port, deadline)
        assert get(port, path)[0] == 302
        assert get(port, "/api/contents")[0] == 403
        assert get(port, "/api/contents", "wrong")[0] == 403
        status, page = get(port, path, token)
        assert status == 200
        assert '"news": {"disabled": true}' in page
        assert get(port, "/lab/api/news", token) == (200, '{"news": []}')
        assert get(port, "/lab/api/update", token) == (200, '{"notification": null}')
        names = [
            entry["name"]
            for entry in json.loads(get(port, "/api/contents/notebooks", token)[1])["content"]
        ]
        assert names == ["00_start.ipynb"]
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=30)
