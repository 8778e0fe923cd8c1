"""Interleaved timing counts the calls alone; ratios, reports and the command line of the benchmarks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from explore.core import benchmark


class Clock:
    """A clock that candidates and pauses advance; it records the order of the calls."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.calls: list[str] = []
        monkeypatch.setattr(benchmark, "perf_counter", lambda: self.now)
        monkeypatch.setattr(benchmark, "sleep", self.advance)

    def advance(self, seconds: float) -> None:
        self.now += seconds

    def candidate(self, name: str, seconds: float) -> Callable[[], None]:
        def call() -> None:
            self.calls.append(name)
            self.advance(seconds)

        return call


def test_candidates_are_called_in_turn_and_only_their_calls_are_timed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch)
    candidates = {"a": clock.candidate("a", 1.0), "b": clock.candidate("b", 2.0)}
    seconds = benchmark.time_rounds(candidates, 3, pause=100.0, warmups=1, calls=2)
    assert seconds == {"a": [1.0] * 6, "b": [2.0] * 6}
    assert "".join(clock.calls) == "aaabbb" * 3
    assert clock.now == 3 * (200 + 3 + 6)


@pytest.mark.parametrize(("budget", "calls"), [(0.0, 1), (0.5, 1), (3.5, 4), (1000.0, 21)])
def test_a_budget_adds_up_to_twenty_calls(
    monkeypatch: pytest.MonkeyPatch, budget: float, calls: int
) -> None:
    clock = Clock(monkeypatch)
    seconds = benchmark.time_rounds({"a": clock.candidate("a", 1.0)}, budget=budget)
    assert seconds == {"a": [1.0] * calls}
    assert len(clock.calls) == calls + (budget > 0)


def test_a_ratio_is_that_of_the_rounds_with_its_range() -> None:
    assert benchmark.Ratio.of([2, 9, 8], [1, 3, 8]) == (2, 1, 3)
    assert f"{benchmark.Ratio(2, 1, 3):.0f}" == "2 (from 1 to 3, round by round)"
    with pytest.raises(ValueError, match="denominators must be"):
        benchmark.Ratio.of([1, 2], [1])


def test_a_report_is_printed_and_written_with_the_machine(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "values.json"
    benchmark.report(["one", "two"], {"ratio": benchmark.Ratio(2, 1, 3)}, path)
    first_row, second_row, machine = capsys.readouterr().out.splitlines()
    assert (first_row, second_row) == ("one", "two")
    values = json.loads(path.read_text(encoding="utf-8"))
    assert values["ratio"] == [2, 1, 3]
    assert set(values) == {"ratio", "processor", "instruction_sets", "threads", "versions"}
    assert values["processor"] in machine
    assert f"numba {values['versions']['numba']}" in machine


def test_a_platform_that_llvm_does_not_know_has_no_instruction_sets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from llvmlite import binding

    def fail() -> None:
        raise RuntimeError

    monkeypatch.setattr(binding, "get_host_cpu_features", fail)
    assert benchmark.describe_machine()["instruction_sets"] == []


def test_options_are_those_of_the_function(capsys: pytest.CaptureFixture[str]) -> None:
    @benchmark.command("toy")
    def main(rounds: benchmark.Rounds = 7, json_file: benchmark.JsonFile = None) -> None:
        """Time a toy."""
        results.append((rounds, json_file))

    results: list[tuple[int, Path | None]] = []
    main([])
    main(["--rounds", "2", "--json", "a.json"])
    assert results == [(7, None), (2, Path("a.json"))]
    main(["--help"])
    text = capsys.readouterr().out
    assert "Usage: explore bench toy" in text
    assert "Time a toy." in text
    with pytest.raises(Exception, match="No such option: --steps"):
        main(["--steps", "3"])
