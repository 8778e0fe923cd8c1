"""The command line: in this process, or in another one to test signals and imports."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xarray
from typer.testing import CliRunner

import explore
from explore.cli import main as cli, options
from explore.core import registry
from explore.core.checkpoint import load_checkpoint
from explore.core.recording import open_recording
from explore.errors import ExploreWarning, InvalidInput

ROOT = Path(explore.__file__).parents[1]
TINY = [
    "run",
    "datadam",
    "--preset",
    "lesson",
    "--width",
    "8",
    "--batch",
    "4",
    "--probe-images",
    "4",
    "--probes",
    "1",
]


def environment(**more: str) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        **more,
    }


def start_cli(arguments: list[str], folder: Path, **more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "explore", *arguments]
    return subprocess.Popen(
        command,
        cwd=folder,
        env=environment(**more),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )


def error_output(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as exit_info:
        cli.main(arguments)
    assert exit_info.value.code == 2
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return captured.err


@pytest.fixture
def cwd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def built_configs(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """Replace ``registry.build``, and return the list of the configurations that it receives."""
    configs: list[dict[str, object]] = []

    def build(config: dict[str, object]) -> None:
        configs.append(config)
        raise InvalidInput("enough seen")

    monkeypatch.setattr(registry, "build", build)
    return configs


@pytest.mark.parametrize(
    "arguments", [["--help"], ["run", "--help"], ["run", "datadam", "--help"]], ids=" ".join
)
def test_help_is_fast_because_nothing_heavy_is_imported(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom explore.cli.main import main\n"
        f"try:\n    main({arguments})\nexcept SystemExit as left:\n    assert not left.code\n"
        "heavy = {'torch', 'numpy', 'xarray', 'zarr', 'matplotlib', 'numba'} & set(sys.modules)\nassert not heavy, heavy"
    )
    process = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(),
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert process.returncode == 0, process.stderr
    assert "Usage: explore" in process.stdout


def test_help_lists_methods_and_their_options() -> None:
    runner = CliRunner()
    methods = runner.invoke(cli.app, ["run", "--help"]).output
    assert all(f"  {name} " in methods for name in registry.methods())
    text = " ".join(runner.invoke(cli.app, ["run", "datadam", "--help"]).output.split())
    for expected in (
        "--images-per-class INT synthetic images of each class [default: 1]",
        "--spatial FLOAT|none power of the spatial attention; none removes the term [default: 4.0]",
        "--channel FLOAT|none power of the channel attention; none removes the term [default: none]",
        "--zca / --no-zca",
        "--data-option KEY=VALUE",
        "runs/datadam-DATA.zarr",
    ):
        assert expected in text
    assert "--method" not in text


def test_a_family_runs_any_of_its_methods(
    cwd: Path, built_configs: list[dict[str, object]], capsys: pytest.CaptureFixture[str]
) -> None:
    error_output(["run", "reduce", "--components", "3"], capsys)
    error_output(["run", "reduce", "--method", "west", "--order", "trace"], capsys)
    error_output(["run", "distill", "--method", "atom", "--channel", "none"], capsys)
    assert built_configs == [
        {"method": "oggmr", "components": 3},
        {"method": "west", "order": "trace"},
        {"method": "atom", "channel": None},
    ]
    text = " ".join(CliRunner().invoke(cli.app, ["run", "reduce", "--help"]).output.split())
    assert "--method NAME one of oggmr, williams, ise-local, runnalls" in text


def test_the_version_is_printed() -> None:
    assert CliRunner().invoke(cli.app, ["--version"]).output == f"explore {explore.__version__}\n"


def test_only_options_of_the_command_line_reach_the_registry(
    cwd: Path, built_configs: list[dict[str, object]], capsys: pytest.CaptureFixture[str]
) -> None:
    error_output(["run", "datadam"], capsys)
    arguments = [
        "--preset",
        "lesson",
        "--spatial",
        "none",
        "--channel",
        "2",
        "--mmd",
        "0",
        "--no-zca",
        "--depth",
        "none",
        "--norm",
        "none",
    ]
    error_output(
        [
            "run",
            "datadam",
            *arguments,
            "--data",
            "scenes",
            "--data-option",
            "size=32",
            "--data-option",
            "clutter=0.5",
        ],
        capsys,
    )
    error_output(["run", "untrained", "--data-option", "size=24"], capsys)
    plain, full, untrained = built_configs
    assert plain == {"method": "datadam"}
    assert full == {
        "method": "datadam",
        "preset": "lesson",
        "spatial": None,
        "channel": 2.0,
        "mmd": 0.0,
        "zca": False,
        "depth": None,
        "norm": "none",
        "data": {"name": "scenes", "options": {"size": 32, "clutter": 0.5}},
    }
    assert untrained == {"method": "untrained", "data": {"name": "digits", "options": {"size": 24}}}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["run", "datadamm"], "unknown method 'datadamm'; known: areas, asl, "),
        (["run", "datadamm"], "Did you mean 'datadam'?"),
        (["run", "reduc"], "Did you mean 'reduce'?"),
        (["run", "reduce", "--method", "runalls"], "Did you mean 'runnalls'?"),
        (
            ["run", "reduce", "--components", "11"],
            "components must be at most 10, which the mixture has, got 11",
        ),
        (
            ["run", "dm", "--steps", "0"],
            "steps must be a whole number of at least 1",
        ),
        (["run", "dm", "--preset", "leson"], "unknown preset 'leson'; known: code, lesson, paper."),
        (
            ["run", "dm", *TINY[2:], "--out", "memory://x.zarr"],
            "a run is recorded to a folder, got 'memory://x.zarr'",
        ),
        (["bench", "dms"], "unknown benchmark 'dms'"),
        (["figure", "evolutoin", "--recording", "x"], "unknown figure 'evolutoin'"),
        (["figure", "evolution", "--recording", "nothing.zarr"], "nothing.zarr does not exist"),
        (["pack", "nothing.zarr", "x.zarr.zip"], "nothing.zarr is not a recording folder"),
    ],
)
def test_an_error_is_one_message_without_a_traceback(
    arguments: list[str], expected: str, cwd: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = error_output(arguments, capsys)
    assert text.startswith("error: ")
    assert expected in text


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["run", "dm", "--spatial", "four"], "expected a number or none, got 'four'"),
        (["run", "dm", "--depth", "2.5"], "expected a whole number or none, got '2.5'"),
        (["run", "dm", "--every", "0"], "expected auto, log, a whole number above 0"),
        (["run", "mtt", "--data-option", "size=8"], "--data-option needs --data"),
        (["run", "dm", "--data-option", "size"], "expected KEY=VALUE, such as size=16, got 'size'"),
        (["run", "dm", "--widht", "3"], "No such option"),
    ],
)
def test_wrong_usage_is_an_error(
    arguments: list[str], expected: str, cwd: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert expected in error_output(arguments, capsys)


def test_a_traceback_is_shown_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPLORE_TRACEBACK", "1")
    with pytest.raises(InvalidInput, match="unknown method"):
        cli.main(["run", "nosuch"])


def test_warnings_of_explore_are_printed_as_notes(
    cwd: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def build(config: dict[str, object]) -> None:
        import warnings

        warnings.simplefilter("always")
        warnings.warn("the last bits may differ", ExploreWarning, stacklevel=1)
        raise InvalidInput("enough seen")

    monkeypatch.setattr(registry, "build", build)
    assert (
        error_output(["run", "dm"], capsys)
        == "note: the last bits may differ\nerror: enough seen\n"
    )


def test_run_records_resumes_and_refuses_another_configuration(
    cwd: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_info:
        cli.main([*TINY, "--steps", "2"])
    assert exit_info.value.code == 0
    captured = capsys.readouterr()
    path = str(Path("runs") / "datadam-digits.zarr")
    summary = f"recorded in {path}: 3 frames, to step 2 of 2. To see them: explore figure evolution --recording {path} --out "
    product = Path("runs") / "datadam-digits.safetensors"
    hint = f"product in {product}. Next: explore run evaluate --distilled {product}"
    assert captured.out == f"{summary}evolution.html\n{hint}\n"
    assert "2/2" in captured.err
    assert "left, loss " in captured.err
    with pytest.raises(SystemExit):
        cli.main([*TINY, "--steps", "6", "--every", "3"])
    assert open_recording(path).step.values.tolist() == [0, 1, 2, 3, 6]
    mismatch = error_output([*TINY, "--steps", "6", "--seed", "1"], capsys)
    assert "another configuration" in mismatch
    assert "seed: recorded 0, now 1" in mismatch
    with pytest.raises(SystemExit):
        cli.main(["pack", path, "packed/run.zarr.zip"])
    assert "packed into" in capsys.readouterr().out
    xarray.testing.assert_identical(
        open_recording("packed/run.zarr.zip").load(), open_recording(path).load()
    )


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows sends no SIGINT to a child alone")
def test_a_resumed_run_equals_an_uninterrupted_run(cwd: Path) -> None:
    command, one_thread = (
        [*TINY, "--steps", "16", "--every", "1"],
        {"OMP_NUM_THREADS": "1"},
    )  # so that two at once do not fight
    uninterrupted = start_cli([*command, "--out", "b.zarr"], cwd, **one_thread)
    interrupted = start_cli([*command, "--out", "runs/a.zarr"], cwd, **one_thread)
    deadline = time.monotonic() + 120
    while count_committed(cwd / "runs/a.zarr") < 3:
        assert time.monotonic() < deadline
        assert interrupted.poll() is None, interrupted.communicate()
        time.sleep(0.005)
    interrupted.send_signal(signal.SIGINT)
    out, err = interrupted.communicate(timeout=60)
    assert interrupted.returncode == 130, err
    assert out == ""
    stopped = load_checkpoint(cwd / "runs/a.zarr.checkpoint.npz")["step"]
    assert 0 < stopped < 16
    assert err.splitlines()[-1] == f"stopped at step {stopped} of 16; the same command continues"
    assert "Traceback" not in err

    resumed = start_cli([*command, "--out", "runs/a.zarr"], cwd, **one_thread)
    for process in (resumed, uninterrupted):
        assert process.communicate(timeout=120)[0].startswith("recorded in")
        assert process.returncode == 0
    left, right = (load_checkpoint(cwd / f"{name}.zarr.checkpoint.npz") for name in ("runs/a", "b"))
    assert left["step"] == right["step"] == 16
    for name in ("images", "velocity"):
        np.testing.assert_array_equal(left[name], right[name])
    first, second = (open_recording(cwd / f"{name}.zarr").load() for name in ("runs/a", "b"))
    assert first.attrs.pop("seconds") > 0 < second.attrs.pop("seconds")
    assert first.attrs.pop("id") != second.attrs.pop("id")
    xarray.testing.assert_identical(first, second)


def count_committed(path: Path) -> int:
    """Count the committed frames of a recording, or return 0 if it does not exist."""
    try:
        return json.loads((path / "zarr.json").read_text())["consolidated_metadata"]["metadata"][
            "step"
        ]["shape"][0]
    except FileNotFoundError:
        return 0


def test_the_message_after_a_second_interrupt_names_the_last_checkpoint(
    cwd: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Run:
        step, steps = 3, 9

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(registry, "build", lambda config: Run())
    monkeypatch.setattr("explore.core.record.record", interrupted)
    with pytest.raises(SystemExit) as exit_info:
        cli.main(["run", "dm"])
    assert exit_info.value.code == 130
    assert capsys.readouterr().err == "stopped at the last checkpoint; the same command continues\n"


@pytest.mark.parametrize(
    ("arguments", "state", "out"),
    [
        ([], {}, "evolution.pdf"),
        (["--html"], {}, "evolution.html"),
        (["--html", "--out", "a/b.png"], {}, "a/b.html"),
        (["--step", "40", "--out", "x.svg"], {"step": 40}, "x.svg"),
        (
            [
                "--state",
                "label=Bag",
                "--state",
                "by=distance",
                "--state",
                'digit="3"',
                "--state",
                "power=4",
            ],
            None,
            "evolution.pdf",
        ),
    ],
)
def test_figure_passes_its_arguments_on(
    arguments: list[str],
    state: dict[str, object] | None,
    out: str,
    cwd: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from explore.plotting import figure_files

    passed: list[object] = []

    def draw_figure(name: str, recordings: list[str], state: dict[str, object]) -> SimpleNamespace:
        passed.extend([name, recordings, state])
        return SimpleNamespace(save=save)

    def save(out: Path, layout: object, command: str) -> Path:
        passed.extend([out, layout])
        assert command.startswith("explore figure evolution --recording a.zarr --recording b.zarr")
        return out

    monkeypatch.setattr(figure_files, "draw_figure", draw_figure)
    monkeypatch.setattr("explore.core.recording.open_recording", lambda path: f"opened {path}")
    outcome = CliRunner().invoke(
        cli.app,
        ["figure", "evolution", "--recording", "a.zarr", "--recording", "b.zarr", *arguments],
    )
    assert outcome.exit_code == 0, outcome.output
    assert outcome.output == f"wrote {Path(out)}\n"
    state = {"label": "Bag", "by": "distance", "digit": "3", "power": 4} if state is None else state
    assert passed == ["evolution", ["opened a.zarr", "opened b.zarr"], state, Path(out), None]


@pytest.mark.parametrize("name", ["datadam", "distill"])
def test_bench_finds_methods_and_topics(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[object] = []
    monkeypatch.setattr(
        registry, "resolve", lambda target: lambda arguments: calls.append((target, arguments))
    )
    outcome = CliRunner().invoke(cli.app, ["bench", name, "--steps", "3", "fast"])
    assert outcome.exit_code == 0, outcome.output
    assert calls == [("explore.distill.bench.matching:main", ["--steps", "3", "fast"])]


@dataclass(frozen=True)
class Odd:
    """A config with fields of every type."""

    method: str = "odd"
    needed: int = field(default=1, metadata={"help": "zero or one"})
    flag: bool | None = None
    sizes: tuple[int, ...] = (1, 2)
    word: str | None = None


def test_options_are_created_for_fields_of_every_type() -> None:
    row = registry.Method("odd", "nothing of note", builder="", config=f"{__name__}:Odd")
    parameters = {parameter.name: parameter for parameter in options.parameters(row)}
    assert list(parameters) == ["needed", "flag", "sizes", "word", "out", "every"]
    assert options.given_options(
        row, {"needed": 0, "flag": None, "sizes": [3], "word": "none"}
    ) == {
        "needed": 0,
        "sizes": [3],
        "word": None,
    }
    parse = parameters["sizes"].annotation.__metadata__[0].parser
    assert (parse("[3, 4]"), parse("some text"), parse("true")) == ([3, 4], "some text", True)
    assert parameters["needed"].annotation.__metadata__[0].help == "zero or one [default: 1]"
