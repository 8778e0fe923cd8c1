"""Every error that explore raises on purpose, as one tree.

    ExploreError
    ├── InvalidInput      (ValueError)         a value cannot be used
    │   └── UnknownName   (LookupError)        no method, data set or figure has this name
    ├── ConfigMismatch    (ValueError)         a recording belongs to another run
    ├── DataMissing       (FileNotFoundError)  a data set or a recording does not exist
    ├── DependencyMissing (ImportError)        an optional package is not installed
    ├── RecordingBusy     (BlockingIOError)    another process writes this recording
    ├── RecordingDamaged  (ValueError)         a recording on disk is damaged
    ├── RecordingFailed   (OSError)            a file could not be read or written
    └── RunDiverged       (ArithmeticError)    a loss became NaN or infinite

    ExploreWarning        (UserWarning)        information that needs no action

Each is also the built-in exception that people would catch. A message says what was
given, what was expected and what to do.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

MOST_CHARACTERS = 120
"""Longer names are shortened in messages."""


def short_repr(value: object) -> str:
    """Return the ``repr`` of any value for a message, shortened."""
    try:
        text = repr(value)
    except Exception:  # A class of somebody else may define it in a way that fails.
        text = f"a {type(value).__name__}"
    return f"{text[:MOST_CHARACTERS]} …" if len(text) > MOST_CHARACTERS else text


class ExploreError(Exception):
    """Base of all errors raised on purpose by explore."""


class InvalidInput(ExploreError, ValueError):
    """A value cannot be used: wrong shape, NaN, labels out of range, zero steps."""


class UnknownName(InvalidInput, LookupError):
    """A name that does not exist; the message lists the existing names."""

    def __init__(self, kind: str, name: object, names: Iterable[str], advice: str = "") -> None:
        names = sorted(names)
        text = short_repr(name)
        wrong = name if isinstance(name, str) else text
        close = get_close_matches(wrong[:MOST_CHARACTERS], names, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        advice = f" {advice}" if advice else ""
        super().__init__(f"unknown {kind} {text}; known: {', '.join(names)}.{hint}{advice}")


class ConfigMismatch(ExploreError, ValueError):
    """A recording exists but belongs to a run with another configuration."""


class DataMissing(ExploreError, FileNotFoundError):
    """A data set or recording does not exist; the message says which file, and where to put it."""


class DependencyMissing(ExploreError, ImportError):
    """An optional package is not installed; the message says how to install it."""


class RecordingBusy(ExploreError, BlockingIOError):
    """Another process (or another run in this one) is writing this recording."""


class RecordingDamaged(ExploreError, ValueError):
    """A recording on disk cannot be read as it was written."""


class RecordingFailed(ExploreError, OSError):
    """The system refused to read or write a file of a recording; all earlier frames are kept."""


class RunDiverged(ExploreError, ArithmeticError):
    """A loss became NaN or infinite; the run is in the state before that step."""


class ExploreWarning(UserWarning):
    """Information for the user: bits may differ, a substitute was used."""
