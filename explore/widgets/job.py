"""Job: long work in a thread, with Start and Stop, progress, time left and error messages."""

from __future__ import annotations

import html
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import ipywidgets

from explore.core.validation import check_callable, check_flag, check_number, check_text
from explore.widgets.controls import FIT_CONTENT

log = logging.getLogger("explore")

Progress = Callable[[int, int, str], None]
Work = Callable[[Progress, Callable[[], bool]], Any]

INTERVAL = 0.2
"""Seconds between updates of the page: five updates a second leave the time to the work."""


class Job:
    """Work that runs in one thread, as ``work(progress, stop)``.

    ``work`` calls ``progress(done, planned, message)`` after each step and returns soon after
    ``stop()`` is true. What it returns then is the result, so that stopping loses nothing. A second
    start calls ``work`` again (``record`` continues where it stopped).

    Args:
        work: the function to run.
        label: the text on the Start button.
        on_progress: called at most five times a second, and at the end, in the job's thread. It may
            set traits; it must not print.
        on_done: called with the result, in the job's thread.
        unit: what is counted, such as "steps".
        can_start: returns whether there is anything to do; Start is disabled if not. It is asked
            at the end of the work, and by ``update_start``.

    Raises:
        InvalidInput: one of them is no function.

    Attributes:
        widget: Start, Stop, a progress bar and a line of text.
        result, error: of the last run.

    Example:
        >>> def count(progress, stop):
        ...     for n in range(3):
        ...         progress(n + 1, 3, "counting")
        ...     return "done"
        >>> Job(count).start(inline=True).result
        'done'
    """

    def __init__(
        self,
        work: Work,
        label: str = "Start",
        on_progress: Callable[[], None] | None = None,
        on_done: Callable[[Any], None] | None = None,
        unit: str = "",
        can_start: Callable[[], bool] | None = None,
    ) -> None:
        check_callable("work", work, "of progress and stop")
        functions = {"on_progress": on_progress, "on_done": on_done, "can_start": can_start}
        for name, function in functions.items():
            if function is not None:
                check_callable(name, function, "that is called by the job")
        label, self.unit = check_text("label", label), check_text("unit", unit)
        self.can_start = can_start
        self.work, self.on_progress, self.on_done = work, on_progress, on_done
        self.result: Any = None
        self.error: BaseException | None = None
        self._stop_requested = threading.Event()
        self._thread: threading.Thread | None = None
        self._start_time = self._update_time = self._first_time = 0.0
        self._done = self._first_done = 0
        self._start = ipywidgets.Button(
            description=label, button_style="primary", tooltip=label, layout=FIT_CONTENT
        )
        self._stop = ipywidgets.Button(
            description="Stop",
            tooltip="Stop after this step. The results so far are kept.",
            disabled=True,
            layout=FIT_CONTENT,
        )
        self._bar = ipywidgets.IntProgress(min=0, max=1, description="", layout={"width": "16em"})
        self._text = ipywidgets.HTML()
        self._start.on_click(lambda _: self.start())
        self._stop.on_click(lambda _: self.stop())
        self.widget = ipywidgets.HBox(
            [self._start, self._stop, self._bar, self._text],
            layout={"flex_flow": "row wrap", "align_items": "center"},
        )

    def update_start(self) -> None:
        """Enable Start if there is anything to do and nothing runs; disable it if not."""
        self._start.disabled = self.running or not self._has_work()

    def _has_work(self) -> bool:
        return self.can_start is None or self.can_start()

    @property
    def running(self) -> bool:
        """Whether the work is running."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def text(self) -> str:
        """The line of text beside the progress bar."""
        return str(self._text.value)

    def start(self, inline: bool = False) -> Job:
        """Start the work (in this thread if ``inline``); do nothing while it is running."""
        inline = check_flag("inline", inline)
        if self.running:
            return self
        self._stop_requested.clear()
        self.result = self.error = None
        self._first_time = self._update_time = 0.0
        self._start_time = time.monotonic()
        self._start.disabled, self._stop.disabled, self._bar.bar_style = True, False, ""
        self._text.value = "starting …"
        self._thread = threading.Thread(target=self._run, daemon=True, name="explore-job")
        if inline:
            self._run()
        else:
            self._thread.start()
        return self

    def stop(self) -> None:
        """Request the work to stop after its step."""
        self._stop_requested.set()
        self._stop.disabled = True

    def wait(self, timeout: float | None = None) -> None:
        """Wait until the work has ended, also if it failed."""
        if timeout is not None:
            timeout = check_number("timeout", timeout, at_least=0, at_most=threading.TIMEOUT_MAX)
        if self._thread is not None and self._thread.ident is not None:
            self._thread.join(timeout)

    def join(self, timeout: float | None = None) -> Any:
        """Wait for the result; raise what the work raised."""
        self.wait(timeout)
        if self.error is not None:
            raise self.error
        return self.result

    def _run(self) -> None:
        try:
            self.result = self.work(self._progress, self._stop_requested.is_set)
            self._notify()
            if self.on_done is not None:
                self.on_done(self.result)
            stopped, seconds = self._stop_requested.is_set(), time.monotonic() - self._start_time
            self._bar.value = self._done
            self._text.value = (
                f"{'stopped' if stopped else 'done'} after {seconds:.1f} s "
                f"at {self._count(self._done)}"
            )
            self._bar.bar_style = "" if stopped else "success"
        except Exception as error:
            self.error, self._bar.bar_style = error, "danger"
            self._text.value = f"<b>{type(error).__name__}</b>: {html.escape(str(error))}"
            log.debug("job failed", exc_info=error)
        finally:
            self._stop.disabled = True
            self._start.disabled = not self._has_work()

    def _progress(self, done: int, planned: int, message: str) -> None:
        now, self._done = time.monotonic(), done
        if not self._first_time:
            self._first_time, self._first_done = now, done
        self._bar.max = max(planned, 1)  # before the value, which must not exceed it
        if now - self._update_time < INTERVAL and done < planned:
            return
        self._bar.value = done
        seconds = now - self._first_time
        rate = (done - self._first_done) / seconds if seconds > 0 else 0
        left = f", {(planned - done) / rate:.0f} s left" if rate > 0 and done < planned else ""
        self._text.value = f"{self._count(done)}{left}. {html.escape(message)}"
        self._notify()
        self._update_time = time.monotonic()

    def _count(self, done: int) -> str:
        """Return how much is done, such as "40 of 200 steps"."""
        unit = f" {html.escape(self.unit)}" if self.unit else ""
        return f"{done:,} of {self._bar.max:,}{unit}"

    def _notify(self) -> None:
        if self.on_progress is not None:
            self.on_progress()
