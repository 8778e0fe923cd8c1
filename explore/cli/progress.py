"""Progress in a terminal: one bar that says how far, how long, and the run's own message."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def progress_bar(name: str) -> Iterator[Callable[[int, int, str], None]]:
    """A bar on stderr with the run's message and the time left; it starts where a resumed run starts."""
    from tqdm import tqdm

    bars: list[tqdm[Any]] = []
    form = "{desc} {percentage:3.0f} %|{bar}| {n_fmt}/{total_fmt} [{elapsed}, {remaining} left{postfix}]"

    def progress(step: int, steps: int, message: str) -> None:
        pace = 0.2 if sys.stderr.isatty() else 10
        if not bars:
            bars.append(
                tqdm(
                    total=steps,
                    initial=step,
                    desc=name,
                    bar_format=form,
                    mininterval=pace,
                    dynamic_ncols=True,
                )
            )
        bar = bars[0]
        bar.set_postfix_str(message, refresh=False)
        if (
            not bar.update(step - bar.n) and time.time() - bar.last_print_t >= pace
        ):  # of a long step the message alone is new
            bar.refresh()
            bar.last_print_t = time.time()

    try:
        yield progress
    finally:
        for bar in bars:
            bar.close()
