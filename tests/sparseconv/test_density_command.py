"""Density surveys on the command line: record, resume, draw, compare, reproduce; invalid options."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from explore.cli import main as cli, run as cli_run
from explore.core.recording import open_recording

SMALL = ["--data", "scenes", "--data-option", "size=64", "--data-option", "count=10"]


@pytest.fixture
def cwd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_cli(arguments: list[str], capsys: pytest.CaptureFixture[str], code: int = 0) -> str:
    with pytest.raises(SystemExit) as left:
        cli.main(arguments)
    captured = capsys.readouterr()
    assert left.value.code == code, captured
    assert "Traceback" not in captured.err
    return captured.out if code == 0 else captured.err


@pytest.fixture
def surveys(cwd: Path, capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    """Record a survey with maps and one without, and return their paths."""
    run = ["run", "density", "scenes-vgg", *SMALL, "--images", "3"]
    output = run_cli([*run, "--maps", "--out", "maps.zarr"], capsys)
    assert (
        "3 frames, to step 2 of 2. To see them: explore figure density --recording maps.zarr "
        "--out density.html"
    ) in output
    default = str(Path("runs") / "density-scenes-vgg.zarr")
    assert f"recorded in {default}: 3 frames" in run_cli(run, capsys)
    return "maps.zarr", default


def test_a_survey_is_recorded_resumed_and_compared(
    surveys: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    maps, plain = surveys
    run = ["run", "density", "scenes-vgg", *SMALL, "--images", "3"]
    recording = open_recording(maps).load()
    assert recording.sizes["step"] == 3
    assert "levels" in recording
    assert "levels" not in open_recording(plain)
    assert f"recorded in {plain}: 3 frames" in run_cli(run, capsys)  # nothing is left to do
    assert "maps: recorded True, now False" in run_cli([*run, "--out", maps], capsys, 2)
    scenes_vgg_by_default = ["run", "density", *SMALL, "--images", "4"]
    assert "images: recorded 3, now 4" in run_cli(scenes_vgg_by_default, capsys, 2)
    assert "explore run evaluate" in run_cli(["table", maps], capsys, 2)
    assert "maps" in run_cli(["compare", maps, plain], capsys)


def test_a_survey_is_drawn_and_invalid_states_are_refused(
    surveys: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    maps, plain = surveys
    starts = {"png": b"\x89PNG", "csv": b"layer,map"}
    for name in ("density", "nze"):
        for suffix, start in starts.items():
            out = f"{name}.{suffix}"
            state = ["--state", "layer=3"]
            run_cli(["figure", name, "--recording", maps, "--out", out, *state], capsys)
            assert Path(out).read_bytes().startswith(start)
    run_cli(["figure", "density", "--recording", plain, "--out", "plain.png"], capsys)
    message = "expected a recording of a density survey with maps (explore run density --maps)"
    assert message in run_cli(["figure", "nze", "--recording", plain], capsys, 2)
    for state in ("layer=foo", "layer=7", "unit=bits", "channel=0", "step=x", "colour=red"):
        error = run_cli(["figure", "nze", "--recording", maps, "--state", state], capsys, 2)
        assert error.startswith("error: ")


@pytest.mark.slow
def test_a_survey_is_written_as_a_page_and_as_pdf_and_is_reproduced(
    surveys: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    maps, _ = surveys
    for name in ("density", "nze"):
        for suffix, start in {"pdf": b"%pdf", "html": b"<!"}.items():
            run_cli(["figure", name, "--recording", maps, "--out", f"{name}.{suffix}"], capsys)
            assert Path(f"{name}.{suffix}").read_bytes().lower().startswith(start)
        page = Path(f"{name}.html").read_text(encoding="utf-8")
        assert [f"image {k}" in page for k in (1, 2, 3, 4)] == [True, True, True, False]
    assert "the same bits" in run_cli(["rerun", maps], capsys)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nosuch"], "unknown network 'nosuch'; known: resnet20, "),
        (["scenes-vgq"], "Did you mean 'scenes-vgg'?"),
        (
            ["torchvision:resnet18"],
            "torchvision:resnet18 needs images; give data=",
        ),
        (
            ["torchvision:resnet18", *SMALL],
            "torchvision:resnet18 comes without weights; give weights=FILE",
        ),
        (
            ["torchvision:resnet18", *SMALL, "--weights", "no.pth"],
            "weights of torchvision:resnet18 are looked for in no.pth",
        ),
        (
            ["scenes-vgg", *SMALL, "--images", "1"],
            "images must be a whole number of at least 2, got 1",
        ),
        (
            ["scenes-vgg", "--data", "digits"],
            "the network was trained on images of 3 channels, those of digits have 1",
        ),
        (["scenes-vgg", *SMALL, "--device", "gpu"], "device 'gpu' cannot be used"),
    ],
)
def test_an_invalid_survey_prints_one_message(
    arguments: list[str], words: str, cwd: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = run_cli(["run", "density", *arguments], capsys, 2)
    assert words in message
    assert message.count("\n") <= 2


def test_missing_weights_and_images_name_their_place(
    cwd: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EXPLORE_DATA", str(cwd))
    assert f"{cwd}" in run_cli(["run", "density", "resnet20"], capsys, 2)
    assert f"{cwd / 'imagenette'}" in run_cli(["run", "density", "squeezenet"], capsys, 2)
    words = f"weights of squeezenet are looked for in {cwd / 'weights'}"
    assert words in run_cli(["run", "density", "squeezenet", *SMALL], capsys, 2)


def test_help_names_the_networks_and_the_default_file() -> None:
    text = " ".join(CliRunner().invoke(cli.app, ["run", "density", "--help"]).output.split())
    assert "[MODEL]" in text
    for words in (
        "one of resnet20, resnet56",
        "torchvision:NAME",
        "--maps / --no-maps",
        "runs/density-MODEL.zarr",
        "--data TEXT",
    ):
        assert words in text


def test_special_characters_of_a_name_are_replaced_in_the_file_name(
    cwd: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths: list[str] = []
    monkeypatch.setattr(cli_run, "record_run", lambda row, config, out, every: paths.append(out))
    for model in ("torchvision:resnet18", "a/b", ""):
        CliRunner().invoke(cli.app, ["run", "density", *([model] if model else [])])
    assert paths == [
        str(Path("runs") / f"density-{name}.zarr")
        for name in ("torchvision_resnet18", "a_b", "scenes-vgg")
    ]
