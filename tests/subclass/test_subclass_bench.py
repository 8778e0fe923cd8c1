"""The benchmark trains the same students in every form, and prints what it measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from explore.subclass.bench import training as bench

pytestmark = pytest.mark.usefixtures("_one_thread")


def test_all_forms_end_in_the_same_students(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    options = ["--rounds", "1", "--students", "3", "--labels", "20", "--side", "8", "--epochs", "5"]
    bench.main([*options, "--json", str(tmp_path / "found.json")])
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["largest_difference"] < 1e-5
    assert all(rate > 0 for rate in found["steps_a_second"].values())
    assert "3 at once / plain" in capsys.readouterr().out


def test_the_same_is_not_said_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "RATE", 0.003)
    usual = bench.plain_loop

    def slower(*given: object, **more: object) -> None:
        monkeypatch.setattr(bench, "RATE", 0.002)
        usual(*given, **more)  # type: ignore[arg-type]
        monkeypatch.setattr(bench, "RATE", 0.003)

    monkeypatch.setattr(bench, "plain_loop", slower)
    assert bench.measure(2, 20, 4, 8, 5, 1)["largest_difference"] > 1e-4
