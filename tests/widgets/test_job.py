"""Job: progress, stop, errors and the state after its end."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from explore.widgets.job import INTERVAL, Job


def make_counter(until: int, pause: float = 0.0) -> Any:
    def work(progress: Any, stop: Any) -> int:
        for n in range(1, until + 1):
            progress(n, until, f"at {n}")
            if stop():
                return n
            time.sleep(pause)
        return until

    return work


def buttons(job: Job) -> tuple[Any, Any, Any]:
    start, stop, bar, _ = job.widget.children
    return start, stop, bar


def test_the_text_says_that_the_work_is_done() -> None:
    job = Job(make_counter(5)).start(inline=True)
    assert job.join() == 5
    _, stop, bar = buttons(job)
    assert (bar.value, bar.max, bar.bar_style, stop.disabled) == (5, 5, "success", True)
    assert job.text.startswith("done after")


def test_stop_returns_the_partial_result_and_start_works_again() -> None:
    job = Job(make_counter(10_000, 0.002))
    start, stop, bar = buttons(job)
    start.click()
    time.sleep(0.1)
    assert job.running
    assert (start.disabled, stop.disabled) == (True, False)
    stop.click()
    partial = job.join(5)
    assert 0 < partial < 10_000
    assert bar.value == partial
    assert "stopped after" in job.text
    assert not start.disabled
    job.work = make_counter(3)
    assert job.start(inline=True).join() == 3


def test_starting_twice_runs_once() -> None:
    calls = []

    def work(progress: Any, stop: Any) -> None:
        calls.append(1)
        time.sleep(0.1)

    job = Job(work).start()
    job.start()
    job.join()
    assert len(calls) == 1


def test_an_error_is_shown_and_raised_by_join() -> None:
    def work(progress: Any, stop: Any) -> None:
        raise ValueError("images <must> be square")

    job = Job(work).start()
    with pytest.raises(ValueError, match="images <must> be square"):
        job.join(5)
    assert "ValueError" in job.text
    assert "&lt;must&gt;" in job.text
    assert buttons(job)[2].bar_style == "danger"
    assert not buttons(job)[0].disabled


def test_at_most_five_updates_a_second_and_the_last_one_always() -> None:
    updates: list[int] = []
    job = Job(make_counter(300, 0.002), on_progress=lambda: updates.append(buttons(job)[2].value))
    start = time.monotonic()
    job.start(inline=True)
    assert len(updates) <= (time.monotonic() - start) / INTERVAL + 3
    assert updates[-1] == 300


def test_the_text_shows_the_time_left() -> None:
    texts: list[str] = []
    job = Job(make_counter(100, 0.01), on_progress=lambda: texts.append(job.text))
    job.start(inline=True)
    assert any("s left" in text for text in texts)


def test_on_done_is_called_with_the_result_in_the_thread_of_the_job() -> None:
    calls: list[Any] = []
    job = Job(
        make_counter(2),
        on_done=lambda result: calls.append((result, threading.current_thread().name)),
    )
    job.start().join(5)
    assert calls == [(2, "explore-job")]


def test_every_button_has_a_tooltip() -> None:
    start, stop, _ = buttons(Job(make_counter(1), "Begin"))
    assert (start.description, start.tooltip) == ("Begin", "Begin")
    assert "kept" in stop.tooltip


def test_start_is_offered_only_while_there_is_work() -> None:
    left = [True]
    job = Job(make_counter(3), can_start=lambda: left[0])
    start, _, _ = buttons(job)
    assert not start.disabled
    job.start(inline=True)
    assert not start.disabled
    left[0] = False
    job.start().join(5)
    assert start.disabled
    left[0] = True
    job.update_start()
    assert not start.disabled


def test_the_text_says_what_is_counted() -> None:
    texts: list[str] = []
    job = Job(make_counter(3), on_progress=lambda: texts.append(job.text), unit="steps")
    job.start(inline=True)
    assert "1 of 3 steps" in texts[0]
    assert job.text.endswith("at 3 of 3 steps")
