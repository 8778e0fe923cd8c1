"""Show the progress of a run in a terminal: steps, time left and the message of the run."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def progress_bar(name: str) -> Iterator[Callable[[int, int, str], None]]:
    """Show a bar on stderr with the message of the run; it starts at the step of a resumed run."""
    from tqdm import tqdm

    bar: tqdm[Any] | None = None
    form = (
        "{desc} {percentage:3.0f} %|{bar}| {n_fmt}/{total_fmt} "
        "[{elapsed}, {remaining} left{postfix}]"
    )
    interval = 0.2 if sys.stderr.isatty() else 10
    options = {"bar_format": form, "mininterval": interval, "dynamic_ncols": True}

    def progress(step: int, steps: int, message: str) -> None:
        nonlocal bar
        if bar is None:
            bar = tqdm(total=steps, initial=step, desc=name, **options)
        bar.set_postfix_str(message, refresh=False)
        updated = bar.update(step - bar.n)
        # A long step changes only its message, which update() does not show.
        if not updated and time.time() - bar.last_print_t >= interval:
            bar.refresh()
            bar.last_print_t = time.time()

    try:
        yield progress
    finally:
        if bar is not None:
            bar.close()
