"""Commands on files and recordings: run --config, rerun, compare, table, export, sweep."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pandas
import pytest
import torch
from small_runs import DATA, DM, record_evaluation, record_set

from explore import build, record
from explore.cli import main as cli
from explore.core.recording import open_recording, pack
from explore.core.tables import build_table, format_table
from explore.data import DistilledSet
from explore.plotting.figure_files import save_figure
from explore.sweep.plan import outcome, plan, read

pytestmark = pytest.mark.usefixtures("_one_thread")
TWO_STEPS = {**DM, "steps": 2}
TOML = """
method = "dm"
data = {name = "digits", options = {size = 8, margin = 0}}
preset = "lesson"
width = 4
batch = 2
probe_images = 2
probes = 1
steps = 2
channel = "none"
"""


@pytest.fixture
def cwd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def runs_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Record two distillations, a coreset and their evaluations in a folder."""
    folder = tmp_path_factory.mktemp("shelf")
    for name, config in {
        "dm": TWO_STEPS,
        "datadam": {**TWO_STEPS, "method": "datadam"},
        "random": {"method": "random", "data": DATA},
    }.items():
        distilled = record_set(config, folder / f"{name}.zarr")
        record_evaluation(distilled, folder / f"{name}-scored.zarr", epochs=1, networks=2, width=4)
    return folder


def run_cli(*arguments: object) -> int:
    with pytest.raises(SystemExit) as exit_info:
        cli.main([str(argument) for argument in arguments])
    return int(exit_info.value.code or 0)  # type: ignore[arg-type]


def error_output(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert run_cli(*arguments) == 2
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return captured.err


# ---- run --config


def test_a_config_file_is_run(cwd: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.toml").write_text(f"{TOML}every = 1\n")
    assert run_cli("run", "--config", "mine.toml", "--set", "seed=3", "--set", "steps=3") == 0
    assert capsys.readouterr().out.startswith("recorded in mine.zarr: 4 frames, to step 3 of 3.")
    recording = open_recording("mine.zarr")
    assert (recording.attrs["config"]["seed"], recording.attrs["config"]["channel"]) == (3, None)
    assert Path("mine.safetensors").is_file()
    by_hand = record(build({**TWO_STEPS, "seed": 3, "steps": 3}), cwd / "hand.zarr", every=1)
    assert recording.drop_attrs().identical(by_hand.drop_attrs())


def test_the_path_of_the_recording_comes_from_the_file_or_an_option(cwd: Path) -> None:
    Path("mine.toml").write_text(f'{TOML}out = "a/b.zarr"\n')
    assert run_cli("run", "--config", "mine.toml") == 0
    assert run_cli("run", "--config", "mine.toml", "--out", "c.zarr") == 0
    assert Path("a/b.zarr").is_dir()
    assert Path("c.zarr").is_dir()
    assert not Path("mine.zarr").exists()


def test_a_config_file_may_override_the_terms_of_its_method(cwd: Path) -> None:
    terms = 'spatial = "none"\nmmd = 0.0\nchannel = 4.0'
    Path("mine.toml").write_text(TOML.replace('"dm"', '"atom"').replace('channel = "none"', terms))
    assert run_cli("run", "--config", "mine.toml") == 0


@pytest.mark.parametrize(
    ("text", "more", "words"),
    [
        ("steps = 3", [], "names no method"),
        ('method = "dmm"', [], "unknown method 'dmm'"),
        ('method = "dm"\nwidht = 3', [], "dm has no option 'widht'"),
        (
            'method = "dm"\nsteps = "ten"',
            [],
            "steps must be a whole number of at least 1",
        ),
        (
            'method = "dm"',
            ["--set", "steps=ten"],
            "steps must be a whole number of at least 1",
        ),
        ('method = "dm"\nevery = 0', [], "every must be"),
        ("method = ", [], "mine.toml is not a TOML file"),
        ('method = "dm"', ["--set", "steps"], "expected KEY=VALUE, such as size=16, got 'steps'"),
        ('method = "dm"', ["dm"], "cannot be combined with METHOD"),
    ],
)
def test_an_invalid_config_file_is_an_error(
    text: str, more: list[str], words: str, cwd: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("mine.toml").write_text(text)
    assert words in error_output(capsys, "run", "--config", "mine.toml", *more)
    assert not Path("mine.zarr").exists()


# ---- rerun


def test_rerun_reports_whether_the_bits_are_the_same(
    cwd: Path, runs_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli("rerun", runs_folder / "dm.zarr") == 0
    out = capsys.readouterr().out
    assert out.splitlines()[-1] == "recorded in dm-again.zarr: the same bits"
    assert "largest difference" in out.splitlines()[0]
    assert run_cli("rerun", runs_folder / "dm.zarr", "--set", "seed=1", "--out", "other.zarr") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "recorded in other.zarr: not the same bits"
    assert open_recording("other.zarr").attrs["config"]["seed"] == 1
    assert "dm-again.zarr already holds a recording" in error_output(
        capsys, "rerun", runs_folder / "dm.zarr"
    )


def test_rerun_reports_a_difference_in_one_variable(
    cwd: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = pandas.DataFrame(
        {"variable": ["a", "b"], "largest difference": [0.0, 0.5], "same bits": [True, False]}
    )
    monkeypatch.setattr("explore.core.reproduce.rerun", lambda *_: (None, rows))
    assert run_cli("rerun", "a.zarr") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "recorded in a-again.zarr: not the same bits"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["none.zarr"], "none.zarr does not exist"),
        (["SHELF/dm.zarr", "--set", "sed=1"], "dm has no option 'sed'"),
        (
            ["SHELF/dm.zarr", "--set", "seed=one"],
            "seed must be a whole number of at least 0 and at most 9223372036854775807, got 'one'",
        ),
        (["SHELF/dm.zarr", "--out", "memory://x.zarr"], "a run is recorded to a folder"),
    ],
)
def test_an_impossible_rerun_is_an_error(
    arguments: list[str],
    words: str,
    cwd: Path,
    runs_folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = error_output(capsys, "rerun", *(a.replace("SHELF", str(runs_folder)) for a in arguments))
    assert text.startswith("error: ")
    assert words in text


# ---- compare


def test_two_recordings_are_compared_and_drawn(
    cwd: Path, runs_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        run_cli(
            "compare",
            runs_folder / "dm.zarr",
            runs_folder / "datadam.zarr",
            "--step",
            "1",
            "--out",
            "both.png",
        )
        == 0
    )
    out = capsys.readouterr().out
    lines = {line.split()[0]: line.split()[1:] for line in out.splitlines()[1:-1] if line}
    assert out.splitlines()[0].split() == ["dm", "datadam"]
    assert lines["method"] == ["dm", "datadam"]
    assert lines["step"] == ["1", "1"]
    assert "seed" not in lines
    assert out.splitlines()[-1] == "wrote both.png"
    assert Path("both.png").read_bytes().startswith(b"\x89PNG")
    assert run_cli("compare", runs_folder / "dm.zarr", runs_folder / "random.zarr") == 0


def test_the_picture_shows_the_requested_step(cwd: Path, runs_folder: Path) -> None:
    both = [runs_folder / "dm.zarr", runs_folder / "datadam.zarr"]
    for step in (1, 2):
        assert run_cli("compare", *both, "--step", step, "--out", f"{step}.csv") == 0
        opened = [open_recording(path) for path in both]
        save_figure("evolution", opened, {"step": step}, cwd / "by-hand.csv")
        assert Path(f"{step}.csv").read_bytes() == Path("by-hand.csv").read_bytes()
    assert run_cli("compare", *both, "--out", "last.csv") == 0
    assert Path("last.csv").read_bytes() == Path("2.csv").read_bytes() != Path("1.csv").read_bytes()


def test_an_impossible_comparison_is_an_error(
    cwd: Path, runs_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "expected two or more recordings" in error_output(
        capsys, "compare", runs_folder / "dm.zarr"
    )
    text = error_output(
        capsys, "compare", runs_folder / "dm.zarr", runs_folder / "random.zarr", "--out", "x.png"
    )
    assert text == "error: recordings of dm, random share no figure\n"
    assert "does not exist" in error_output(capsys, "compare", runs_folder / "dm.zarr", "none.zarr")
    assert "unknown file format 'jpg'" in error_output(
        capsys, "compare", runs_folder / "dm.zarr", runs_folder / "datadam.zarr", "--out", "x.jpg"
    )


# ---- table


def test_a_folder_becomes_a_table_in_three_formats(
    cwd: Path, runs_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = build_table(sorted(runs_folder.iterdir()))
    assert table["method"].tolist() == ["random", "dm", "datadam"]
    for format_name in ("md", "latex", "csv"):
        assert run_cli("table", *sorted(runs_folder.iterdir()), "--format", format_name) == 0
        assert capsys.readouterr().out == format_table(table, format_name)
    rows = list(csv.DictReader(io.StringIO(format_table(table, "csv"))))
    accuracies = [
        float(open_recording(runs_folder / f"{row['method']}-scored.zarr")["accuracy"][-1].mean())
        for row in rows
    ]
    assert [float(row["accuracy"]) for row in rows] == pytest.approx(accuracies)
    assert float(rows[1]["minus random"]) == pytest.approx(accuracies[1] - accuracies[0])


def test_a_table_is_written_with_the_requested_baseline(
    cwd: Path, runs_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        run_cli(
            "table",
            *runs_folder.iterdir(),
            "--against",
            "dm",
            "--format",
            "csv",
            "--out",
            "new/t.csv",
        )
        == 0
    )
    assert capsys.readouterr().out == "wrote new/t.csv\n"
    assert "minus dm" in pandas.read_csv("new/t.csv").columns


def test_different_protocols_need_the_option_unlike(
    cwd: Path, runs_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = {
        "method": "evaluate",
        "distilled": str(runs_folder / "dm.safetensors"),
        "epochs": 2,
        "networks": 1,
        "width": 4,
    }
    record(build(other), cwd / "other.zarr")
    text = error_output(capsys, "table", "other.zarr", runs_folder / "random-scored.zarr")
    assert text.startswith("error: dm on digits")
    assert "epochs 2 and 1" in text
    assert run_cli("table", "other.zarr", runs_folder / "random-scored.zarr", "--unlike") == 0


def test_an_impossible_table_is_an_error(
    cwd: Path, runs_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "score a distilled set by explore run evaluate --distilled FILE" in error_output(
        capsys, "table", runs_folder / "dm.zarr"
    )
    assert "no recording" in error_output(capsys, "table", "runs/*")
    assert "unknown table format 'html'" in error_output(
        capsys, "table", *runs_folder.iterdir(), "--format", "html"
    )
    assert "there is no 'herding' to compare with" in error_output(
        capsys, "table", *runs_folder.iterdir(), "--against", "herding"
    )


# ---- export


@pytest.mark.parametrize("name", ["dm.safetensors", "dm.zarr", "dm.zarr/"])
def test_a_set_is_exported_from_its_file_or_its_recording(
    name: str, cwd: Path, runs_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli("export", f"{runs_folder}/{name}", "out") == 0
    distilled = DistilledSet.load(runs_folder / "dm.safetensors")
    assert torch.equal(torch.load("out/images.pt", weights_only=True), distilled.images)
    assert capsys.readouterr().out == f"wrote {distilled!r} to out\n"
    assert run_cli("export", f"{runs_folder}/{name}", "png", "--format", "png") == 0
    assert len(list(Path("png").rglob("*.png"))) == 10
    assert "lossy" in json.loads(Path("png/about.json").read_text())


def test_an_impossible_export_is_an_error(
    cwd: Path, runs_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "unknown form of an export 'npz'; known: parquet, png, pyg, torch" in error_output(
        capsys, "export", runs_folder / "dm.safetensors", "out", "--format", "npz"
    )
    assert "none.safetensors does not exist" in error_output(capsys, "export", "none.zarr", "out")
    assert "is a .safetensors file" in error_output(capsys, "export", "images.pt", "out")
    Path("cut.safetensors").write_bytes((runs_folder / "dm.safetensors").read_bytes()[:99])
    assert "cut.safetensors cannot be read" in error_output(
        capsys, "export", "cut.safetensors", "out"
    )


# ---- sweep --dry-run


SWEEP = """
evaluate = {epochs = 1, networks = 1, width = 4}
[[sweep]]
method = "random"
data = {name = "digits", options = {size = 8, margin = 0}}
grid.seed = [0, 1]
"""


def test_a_dry_run_lists_the_tasks_and_starts_nothing(
    cwd: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("small.toml").write_text(SWEEP)
    configs, evaluation, _ = read("small.toml")
    first, second = plan(configs, evaluation)
    assert run_cli("sweep", "small.toml", "--dry-run") == 0
    assert (
        capsys.readouterr().out
        == f"to do  {first.name}  random digits seed=0\nto do  {second.name}  random digits seed=1\n"
    )
    assert not Path("runs").exists()
    folder = cwd / "runs/small"
    distilled = record_set(dict(second.config), folder / f"{second.name}.zarr")
    record_evaluation(
        distilled, folder / f"{second.evaluation_name}.zarr", **(second.evaluate or {})
    )
    assert outcome(second, str(folder)) is not None
    assert run_cli("sweep", "small.toml", "--dry-run") == 0
    assert [line.split("  ")[0] for line in capsys.readouterr().out.splitlines()] == [
        "to do",
        "there",
    ]
    assert run_cli("sweep", "small.toml", "--dry-run", "--to", "elsewhere") == 0
    assert [line.split("  ")[0] for line in capsys.readouterr().out.splitlines()] == [
        "to do",
        "to do",
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            SWEEP.replace("seed", "sed"),
            "configuration 1 of 2 (random digits sed=0): random has no option 'sed'",
        ),
        (
            SWEEP.replace("[0, 1]", '[0, "x"]'),
            "configuration 2 of 2 (random digits seed=x): seed must be a whole number of at least 0 and at most 9223372036854775807, got 'x'",
        ),
        (SWEEP.replace("epochs", "epoch"), "evaluate has no option 'epoch'"),
        ("a = 1", "has the unknown key 'a'; a sweep's file may have evaluate, sweep, to"),
    ],
)
def test_an_impossible_sweep_is_an_error(
    text: str, words: str, cwd: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("small.toml").write_text(text)
    message = error_output(capsys, "sweep", "small.toml", "--dry-run")
    assert message.startswith("error: ")
    assert words in message
    assert "none.toml does not exist" in error_output(capsys, "sweep", "none.toml")


def test_a_packed_copy_beside_its_recording_changes_no_table(cwd: Path, runs_folder: Path) -> None:
    copy = pack(runs_folder / "dm-scored.zarr", cwd / "dm-scored.zarr.zip")
    once, twice = (build_table([*sorted(runs_folder.iterdir()), *more]) for more in ([], [copy]))
    assert np.array_equal(once["sets"], twice["sets"])
    assert once.equals(twice)
