"""Every error that explore raises on purpose, as one tree.

    ExploreError
    ├── InvalidInput        (ValueError)         what was given cannot be used
    │   └── UnknownName     (LookupError)        a method, data set, figure or preset that is not in the table
    ├── ConfigMismatch      (ValueError)         a recording belongs to another run
    ├── DataMissing         (FileNotFoundError)  a data set or a recording is not where it was looked for
    ├── DependencyMissing   (ImportError)        an optional package is not installed
    ├── RecordingBusy       (BlockingIOError)    another process writes this recording
    ├── RecordingDamaged    (ValueError)         a recording on disk cannot be read as it was written
    ├── RecordingFailed     (OSError)            a frame or checkpoint could not be written (a full disk, say)
    └── RunDiverged         (ArithmeticError)    a loss became NaN or infinite

    ExploreWarning          (UserWarning)        what a person should know but need not act upon

Each is also the built-in exception that people would catch. A message says what was
given, what was expected and what to do.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class ExploreError(Exception):
    """Base of all errors raised on purpose by explore."""


class InvalidInput(ExploreError, ValueError):
    """What was given cannot be used: wrong shape, NaN, labels out of range, zero steps."""


class UnknownName(InvalidInput, LookupError):
    """A name that is not in the table it was looked up in; the message lists the known ones."""

    def __init__(self, kind: str, name: object, known: Iterable[str]) -> None:
        known = sorted(known)
        close = get_close_matches(str(name), known, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        super().__init__(f"unknown {kind} {name!r}; known: {', '.join(known)}.{hint}")


class ConfigMismatch(ExploreError, ValueError):
    """A recording exists but belongs to a run with another configuration."""


class DataMissing(ExploreError, FileNotFoundError):
    """A data set or recording is not where it was looked for; the message says which file, and where to put it."""


class DependencyMissing(ExploreError, ImportError):
    """An optional package is not installed; the message says how to install it."""


class RecordingBusy(ExploreError, BlockingIOError):
    """Another process (or another run in this one) is writing this recording."""


class RecordingDamaged(ExploreError, ValueError):
    """A recording on disk cannot be read as it was written."""


class RecordingFailed(ExploreError, OSError):
    """A frame or checkpoint could not be written; everything committed before is kept."""


class RunDiverged(ExploreError, ArithmeticError):
    """A loss became NaN or infinite; the run stands where it was before that step."""


class ExploreWarning(UserWarning):
    """Something a person should know: bits may differ, a substitute was used."""
