"""The harness of ``explore bench``: interleaved timing, ratios, the machine, the report and the
command line."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from time import perf_counter, sleep
from typing import Annotated, Any, NamedTuple

import typer

from explore.core.array_validation import check_array
from explore.core.environment import processor, threads, versions
from explore.core.validation import check_callable, check_number, check_whole_number, describe
from explore.errors import InvalidInput

Rounds = Annotated[int, typer.Option(min=1, help="Number of timed rounds.")]
JsonFile = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Also write all values as JSON.")
]

PAUSE = 0.02
"""Seconds after which the OpenMP threads of PyTorch's last operation no longer spin on cores."""

INSTRUCTION_SET_LABELS = {"avx2": "AVX2", "avx512f": "AVX-512", "avx512bf16": "AVX-512 BF16"}
"""Labels of LLVM's names for processor features."""


def time_call(candidate: Callable[[], Any]) -> float:
    """Return the seconds of one call.

    Nothing else happens between the two readings of the clock.
    """
    begin = perf_counter()
    candidate()
    return perf_counter() - begin


def time_rounds(
    candidates: Mapping[str, Callable[[], Any]],
    rounds: int = 1,
    *,
    pause: float = 0.0,
    warmups: int = 0,
    calls: int = 1,
    budget: float = 0.0,
) -> dict[str, list[float]]:
    """Return the seconds of all timed calls of each candidate.

    Each round calls all candidates in turn, so that a slow moment of the machine affects all of
    them.

    Args:
        candidates: functions without arguments, by name.
        rounds: number of rounds.
        pause: seconds to sleep before each candidate, see ``PAUSE``.
        warmups: calls in each round that are not timed.
        calls: timed calls in each round.
        budget: seconds for up to twenty more timed calls; their number follows from one more
            warm-up.

    Raises:
        InvalidInput: no candidate, one that cannot be called, or a number out of range.

    Example:
        >>> seconds = time_rounds({"sum": lambda: sum(range(9)), "max": lambda: max(range(9))}, 3)
        >>> {name: len(times) for name, times in seconds.items()}
        {'sum': 3, 'max': 3}
    """
    if not isinstance(candidates, Mapping) or not candidates:
        raise InvalidInput(f"candidates must be functions by name, got {describe(candidates)}")
    for name, candidate in candidates.items():
        check_callable(f"candidate {name!r}", candidate, "without arguments")
    rounds = check_whole_number("rounds", rounds, at_least=1)
    calls = check_whole_number("calls", calls, at_least=1)
    warmups = check_whole_number("warmups", warmups, at_least=0)
    pause = check_number("pause", pause, at_least=0)
    budget = check_number("budget", budget, at_least=0)
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, candidate in candidates.items():
            sleep(pause)
            for _ in range(warmups):
                candidate()
            more = min(20, int(budget / max(1e-6, time_call(candidate)))) if budget else 0
            seconds[name] += [time_call(candidate) for _ in range(calls + more)]
    return seconds


def medians(seconds: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Return the median of each candidate.

    Raises:
        InvalidInput: a candidate without seconds.
    """
    for name, times in seconds.items():
        check_array(f"seconds of {name!r}", times, ("N",))
    return {name: statistics.median(times) for name, times in seconds.items()}


class Ratio(NamedTuple):
    """The ratio of two candidates, round by round: its median, minimum and maximum."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, numerators: Sequence[float], denominators: Sequence[float]) -> Ratio:
        """Divide the seconds of two candidates.

        Raises:
            InvalidInput: no seconds, another number of rounds, or a denominator of 0.

        Example:
            >>> print(f"{Ratio.of([4, 9, 8], [2, 3, 2]):.1f}")
            3.0 (from 2.0 to 4.0, round by round)
        """
        above = check_array("numerators", numerators, ("N",)).tolist()
        below = check_array("denominators", denominators, (len(above),)).tolist()
        if min(below) <= 0:
            raise InvalidInput(f"denominators must be above 0, got {min(below):g}")
        ratios = [a / b for a, b in zip(above, below, strict=True)]
        return cls(statistics.median(ratios), min(ratios), max(ratios))

    def __format__(self, spec: str) -> str:
        middle, low, high = (format(value, spec) for value in self)
        return f"{middle} (from {low} to {high}, round by round)"


def describe_machine() -> dict[str, Any]:
    """Return the processor, the instruction sets that change speed, threads and versions."""
    import numba
    from llvmlite import binding

    try:
        features = binding.get_host_cpu_features()
    except RuntimeError:  # LLVM does not know this platform.
        features = {}
    return {
        "processor": processor(),
        "instruction_sets": [
            label for feature, label in INSTRUCTION_SET_LABELS.items() if features.get(feature)
        ],
        "threads": threads() if "torch" in sys.modules else numba.get_num_threads(),
        "versions": versions() | {"numba": numba.__version__},
    }


def report(lines: Iterable[str], values: Any, json_file: Path | None) -> None:
    """Print the lines and the machine; write the values, and to a mapping the machine, as JSON."""
    machine = describe_machine()
    parts = [machine["processor"], *machine["instruction_sets"], f"{machine['threads']} threads"]
    parts += [f"{package} {version}" for package, version in machine["versions"].items()]
    sys.stdout.write("\n".join([*lines, ", ".join(parts)]) + "\n")
    if json_file is not None:
        values = {**values, **machine} if isinstance(values, Mapping) else values
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def command(name: str) -> Callable[[Callable[..., None]], Callable[[Sequence[str]], None]]:
    """Turn a function with typer options into ``main(arguments)`` of ``explore bench NAME``.

    The function's docstring is the help text.
    """

    def decorate(function: Callable[..., None]) -> Callable[[Sequence[str]], None]:
        def main(arguments: Sequence[str]) -> None:
            app = typer.Typer(add_completion=False, rich_markup_mode=None)
            app.command(context_settings={"help_option_names": ["-h", "--help"]})(function)
            program = typer.main.get_command(app)
            program.main(list(arguments), prog_name=f"explore bench {name}", standalone_mode=False)

        main.__doc__ = f"Run ``explore bench {name}`` with command-line arguments."
        return main

    return decorate
