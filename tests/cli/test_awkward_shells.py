"""The command line in awkward shells: one sentence and a status, never a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from toys import ROOT

from explore.cli import main as cli
from explore.cli.options import loader_texts, pairs, text_options
from explore.core import registry
from explore.core.recording import open_recording

RANDOM = ["run", "random", "--data", "digits"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def outcome(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Return the exit status and the last line of the errors."""
    try:
        cli.main(arguments)
    except SystemExit as left:
        status = int(left.code or 0)
    errors = capsys.readouterr().err.strip()
    assert "Traceback" not in errors
    return status, errors


def in_shell(command: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run ``explore`` with a shell; EXPLORE stands for the command."""
    program = command.replace("EXPLORE", f"{sys.executable} -m explore")
    return subprocess.run(
        ["bash", "-c", program],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        check=False,
    )


# ---- names of methods


@pytest.mark.parametrize(
    ("family", "method"),
    [("reduce", "random"), ("distill", "skd"), ("coreset", "dm"), ("reduce", ""), ("distill", "$")],
)
def test_a_family_runs_its_own_methods_only(
    family: str, method: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, text = outcome(["run", family, "--method", method], capsys)
    assert status == 2
    assert f"unknown method of {family} {method!r}; known: " in text
    assert all(name in text for name in registry.families()[family])
    assert not Path("runs").exists()


# ---- files of options


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('method = "random"'.encode("utf-16"), "is saved as UTF-16; save it as UTF-8"),
        ('method = "ü"'.encode("latin1"), "is not saved as UTF-8"),
        (b"method = [[[", "is not a TOML file"),
        (b"method = " + b"[" * 20_000 + b"]" * 20_000, "is nested too deeply"),
        (b"method = " + b"9" * 5_000, "is not a TOML file"),
        (b"steps = 3", "names no method"),
        (b'method = ["random"]', "unknown method ['random']"),
        (b'method = "random"\nout = 3', "out must be a text, got 3"),
        (b'method = "random"\nseed = "1"', "seed must be a whole number"),
        (b'method = "random"\nseed = true', "seed must be a whole number, got True"),
        (b'method = "random"\nseed = 2026-01-01', "seed must be a whole number"),
        (b'method = "random"\nseed = nan', "seed must be a whole number, got nan"),
        (b'method = "random"\nseed = 99999999999999999999', "seed must be a whole number"),
        (b'method = "random"\nseed = {a = 1}', "seed must be a whole number"),
        (b'method = "random"\n"$" = 1', "random has no option '$'"),
    ],
)
def test_a_file_that_cannot_be_used_is_a_sentence(
    content: bytes, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("a.toml").write_bytes(content)
    status, text = outcome(["run", "--config", "a.toml"], capsys)
    assert status == 2
    assert text.startswith("error: ")
    assert message in text


def test_a_folder_or_a_large_file_is_no_toml(capsys: pytest.CaptureFixture[str]) -> None:
    Path("folder.toml").mkdir()
    assert "folder.toml is a folder" in outcome(["run", "--config", "folder.toml"], capsys)[1]
    with Path("large.toml").open("wb") as file:
        file.truncate(20_000_000)
    assert "large.toml has 20 MB" in outcome(["sweep", "large.toml"], capsys)[1]


def test_marks_and_line_ends_of_windows_are_read(capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.toml").write_bytes(
        b'\xef\xbb\xbfmethod = "random"\r\ndata = "digits"\r\nseed = 2.0\r\n'
    )
    assert outcome(["run", "--config", "a.toml"], capsys)[0] == 0
    assert open_recording("a.zarr").attrs["config"]["seed"] == 2
    Path("b.toml").write_bytes(
        b'\xef\xbb\xbf[[sweep]]\r\nmethod = "random"\r\ngrid.seed = [0, 1]\r\n'
    )
    assert outcome(["sweep", "b.toml", "--dry-run"], capsys)[0] == 0


# ---- options of data


@pytest.mark.parametrize("name", ["2024", "true", "my data, old"])
def test_a_folder_may_have_any_name(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    for label in "xy":
        Path(name, label).mkdir(parents=True)
        for k in range(4):
            Image.new("RGB", (8, 8), (k * 9, 0, 99)).save(Path(name, label, f"{k}.png"))
    run = ["run", "random", "--data", "folder", "--data-option", f"path={name}", "--out", "n.zarr"]
    assert outcome(run, capsys)[0] == 0
    assert open_recording("n.zarr").attrs["config"]["data"]["options"]["path"] == name
    elsewhere = Path("elsewhere")
    elsewhere.mkdir()
    os.chdir(elsewhere)
    status, text = outcome(["rerun", "../n.zarr"], capsys)
    assert status == 2
    assert f"names its data by the relative path {name!r}" in text


def test_only_options_that_are_texts_stay_texts() -> None:
    assert "path" in loader_texts("folder")
    assert "size" not in loader_texts("folder") | loader_texts("digits")
    assert loader_texts("no such set") == set()
    texts = text_options(registry.method("dm"))
    assert {"data", "init", "preset", "device"} <= texts
    assert not {"steps", "seed", "learning_rate", "zca"} & texts
    assert pairs(["device=1", "steps=1", "init=null", 'data={"name": "digits"}'], texts) == {
        "device": "1",
        "steps": 1,
        "init": None,
        "data": {"name": "digits"},
    }


@pytest.mark.parametrize("text", ["9" * 5_000, "nan", "inf", "0", "-1", "1e999", "½"])
def test_what_is_no_spacing_of_frames_is_refused(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert outcome([*RANDOM, "--every", text], capsys)[0] == 2


def test_json_that_is_nested_too_deeply_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    deep = "[" * 100_000
    status, text = outcome([*RANDOM, "--data-option", f"size={deep}"], capsys)
    assert status == 2
    assert "nested too deeply" in text


# ---- places


def test_a_tilde_is_the_home_folder(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert outcome([*RANDOM, "--out", "~/t.zarr"], capsys)[0] == 0
    assert open_recording(tmp_path / "home/t.zarr").sizes["step"] > 1
    assert not Path("~").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([*RANDOM, "--out", "/proc/nothing/r.zarr"], "'/proc/nothing' cannot be used: "),
        ([*RANDOM, "--out", "file/r.zarr"], "cannot be used: "),
        ([*RANDOM, "--out", ""], "--out must be a path"),
        (["pack", "red.zarr", "red.zarr"], "red.zarr exists and is no packed recording"),
        (["pack", "none.zarr", "folder"], "folder exists and is no packed recording"),
        (
            ["figure", "reduction", "--recording", "red.zarr", "--out", "f.jpeg"],
            "unknown file form",
        ),
        (
            ["figure", "reduction", "--recording", "red.zarr", "--out", "folder"],
            "unknown file form",
        ),
        (["figure", "nothing", "--recording", "red.zarr"], "unknown figure 'nothing'"),
        (["figure", "reduction", "--recording", "none.zarr"], "none.zarr does not exist"),
        (["compare", "red.zarr", "red.zarr", "--out", "a.gif"], "unknown file format 'gif'"),
        (["table", "nothing/*"], "there is no recording"),
        (["rerun", "none.zarr"], "none.zarr does not exist"),
        (["export", "none.safetensors", "x", "--format", "gif"], "unknown form of an export 'gif'"),
        (["sweep", "none.toml"], "none.toml does not exist"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_a_place_that_cannot_be_used_is_a_sentence(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("red.zarr").mkdir()
    Path("folder").mkdir()
    Path("file").write_text("x")
    status, text = outcome(arguments, capsys)
    assert status == 2
    assert message in text


# ---- streams and environments


@pytest.mark.parametrize("stream", ["2>&-", "<&-", ">&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_no_error_and_gets_no_file(stream: str) -> None:
    assert in_shell(f"EXPLORE run random --data digits --out a.zarr {stream}").returncode == 0
    assert open_recording("a.zarr").sizes["step"] == 11


def test_a_full_disk_under_the_output_is_a_sentence() -> None:
    process = in_shell("EXPLORE run --help >/dev/full")
    assert process.returncode == 2
    assert process.stderr == b"error: No space left on device\n"


def test_an_output_that_nobody_reads_to_the_end_is_no_traceback() -> None:
    process = in_shell("EXPLORE run --help | true; exit ${PIPESTATUS[0]}")
    assert process.returncode in (0, 1)
    assert process.stderr == b""


def test_a_backend_of_matplotlib_that_does_not_exist_is_not_needed() -> None:
    code = "import os, sys; from explore.cli.main import main; main(sys.argv[1:])"
    recording = ROOT / "data/standard-1d-runnalls.zarr.zip"
    figure = f"figure reduction --recording {recording} --out a.png"
    process = in_shell(f"{sys.executable} -c '{code}' {figure}", MPLBACKEND="nonsense")
    assert (process.returncode, process.stderr) == (0, b"")
    assert Path("a.png").read_bytes().startswith(b"\x89PNG")


def test_the_backend_of_a_notebook_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setenv("MPLBACKEND", "module://inline")
    for arguments in (["lab"], ["doctor"]):
        with cli._without_backend(arguments):
            seen.append(os.environ.get("MPLBACKEND"))
    assert seen == ["module://inline", None]
    assert os.environ["MPLBACKEND"] == "module://inline"


def test_a_topic_that_is_not_there_is_a_sentence() -> None:
    process = in_shell("EXPLORE run random; EXPLORE --help >/dev/null", EXPLORE_TOPICS="/none.py")
    assert process.returncode == 0, "the help does not need the topics"
    assert process.stderr.startswith(b"error: /none.py is not there")
    assert b"Traceback" not in process.stderr


def test_an_error_of_the_system_names_the_file() -> None:
    assert cli._sentence(PermissionError(13, "Permission denied", "a/b")) == (
        "'a/b' cannot be used: Permission denied"
    )
    assert cli._sentence(OSError("odd")) == "odd"
    assert cli._sentence(OSError()) == "OSError"
