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
    bench.main([*options, "--json", str(tmp_path / "values.json")])
    values = json.loads((tmp_path / "values.json").read_text())
    assert values["largest_difference"] < 1e-5
    assert all(rate > 0 for rate in values["steps_a_second"].values())
    assert "3 at once / plain" in capsys.readouterr().out


def test_other_students_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "LEARNING_RATE", 0.003)
    plain_loop = bench.plain_loop

    def slower_loop(*arguments: object) -> None:
        monkeypatch.setattr(bench, "LEARNING_RATE", 0.002)
        plain_loop(*arguments)  # type: ignore[arg-type]
        monkeypatch.setattr(bench, "LEARNING_RATE", 0.003)

    monkeypatch.setattr(bench, "plain_loop", slower_loop)
    assert bench.measure(2, 20, 4, 8, 5, 1)["largest_difference"] > 1e-4
