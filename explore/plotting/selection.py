"""Checks of what a picture is asked to show: recordings, and the step among their frames."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from inspect import signature
from typing import TYPE_CHECKING, Any

from explore.core.schema import RecordingKind
from explore.core.validation import check_whole_number, describe
from explore.errors import ExploreError, InvalidInput

if TYPE_CHECKING:
    import xarray

Select = Callable[..., "xarray.Dataset"]


def list_recordings(recordings: Any, most: int | None = None) -> list[xarray.Dataset]:
    """Return one recording or several as a list.

    Args:
        recordings: one or several, as ``open_recording`` returns them.
        most: how many a picture can show.

    Raises:
        InvalidInput: there is none, there are more than ``most``, one has no frames, or one is
            something else, such as a path.

    Example:
        >>> list_recordings("runs/a.zarr")
        Traceback (most recent call last):
        ...
        explore.errors.InvalidInput: a recording must be what open_recording returns, got
        'runs/a.zarr'
    """
    try:
        is_one = hasattr(recordings, "data_vars") or isinstance(recordings, str)
        listed = [recordings] if is_one else list(recordings)
    except TypeError:
        listed = [recordings]
    if not listed:
        raise InvalidInput("recordings must be one recording or more, got none")
    for recording in listed:
        if not hasattr(recording, "data_vars"):
            raise InvalidInput(
                f"a recording must be what open_recording returns, got {describe(recording)}"
            )
        if recording.sizes.get("step") == 0:
            raise InvalidInput("the recording holds no frames; continue its run first")
    if most is not None and len(listed) > most:
        number = "one recording" if most == 1 else f"up to {most} recordings"
        raise InvalidInput(f"this picture shows {number}, got {len(listed)}; leave the others out")
    return listed


def check_recordings(
    kind: RecordingKind, recordings: Any, most: int | None = None
) -> list[xarray.Dataset]:
    """Return one recording or several of one kind as a list.

    Args:
        kind: of the recordings.
        recordings, most: see ``list_recordings``.

    Raises:
        InvalidInput: see ``list_recordings``; a recording of another kind, or one without the
            configuration of its run.
    """
    listed = list_recordings(recordings, most)
    kind.check(listed)
    for recording in listed:
        _check_config(recording)
    return listed


def single_recording(kind: RecordingKind, recording: Any) -> xarray.Dataset:
    """Return one recording of a kind.

    Raises:
        InvalidInput: see ``check_recordings``; or several recordings.
    """
    return check_recordings(kind, recording, most=1)[0]


def by_name(
    names: Iterable[str], recordings: Iterable[xarray.Dataset]
) -> dict[str, xarray.Dataset]:
    """Return recordings by the names under which a list offers them.

    Raises:
        InvalidInput: two have the same name, so that one of them could not be chosen.

    Example:
        >>> by_name(["dm", "dm"], [None, None])
        Traceback (most recent call last):
        ...
        explore.errors.InvalidInput: two of the recordings are of 'dm'; leave one of them out
    """
    result: dict[str, xarray.Dataset] = {}
    for name, recording in zip(names, recordings, strict=True):
        if name in result:
            raise InvalidInput(f"two of the recordings are of {name!r}; leave one of them out")
        result[name] = recording
    return result


def nearest_frame(recording: xarray.Dataset, step: int | None = None) -> int:
    """Return the index of the frame whose step is nearest; of two that are equally near, the first.

    For ``None`` it is the index of the last frame.

    Example:
        >>> import xarray
        >>> nearest_frame(xarray.Dataset(coords={"step": [0, 112, 157]}), 150)
        2
    """
    steps = recording["step"].values
    return len(steps) - 1 if step is None else int(abs(steps - step).argmin())


def unrecorded_note(step: int | None, shown_step: int) -> str:
    """Return the sentence that a step was not recorded; empty if it is the one that is shown.

    Example:
        >>> unrecorded_note(150, 157)
        'Step 150 was not recorded; the nearest one is 157.'
    """
    if step is None or step == shown_step:
        return ""
    return f"Step {step:,} was not recorded; the nearest one is {shown_step:,}."


def _check_config(recording: xarray.Dataset) -> None:
    if not isinstance(recording.attrs.get("config"), Mapping):
        raise InvalidInput(
            "the recording has no configuration (attrs['config']), as record writes it"
        )
    try:
        json.dumps(recording.attrs["config"], ensure_ascii=False, default=str).encode()
    except (UnicodeEncodeError, RecursionError, ValueError) as error:
        raise InvalidInput(
            f"the configuration of the recording cannot be shown as text: {error}"
        ) from error


def selects(
    kind: RecordingKind | None = None, most: int | None = None
) -> Callable[[Select], Select]:
    """Return a decorator that checks the recordings and the step of a ``select`` function.

    The function gets its recordings as a list.

    Args:
        kind: of the recordings; None if the function checks it.
        most: how many recordings the picture can show.

    Raises:
        InvalidInput: see ``list_recordings``; a recording of another kind, or one that lacks what
            the picture shows; or a step that is no whole number of at least 0.

    Example:
        >>> import xarray
        >>> @selects(most=1)
        ... def last_frame(recordings, step=None):
        ...     return recordings[0].isel(step=-1 if step is None else step)
        >>> walk = xarray.Dataset({"place": ("step", [0, 1])}, attrs={"config": {}})
        >>> last_frame(walk, step=0.5)
        Traceback (most recent call last):
        ...
        explore.errors.InvalidInput: step must be a whole number of at least 0, got 0.5
    """

    def decorate(select: Select) -> Select:
        form = signature(select)

        @wraps(select)
        def checked(*arguments: Any, **state: Any) -> xarray.Dataset:
            bound = form.bind(*arguments, **state).arguments
            bound["recordings"] = listed = list_recordings(bound["recordings"], most)
            if kind is not None:
                kind.check(listed)
            for recording in listed:
                if "config" in recording.attrs:  # Some pictures need none.
                    _check_config(recording)
            if bound.get("step") is not None:
                bound["step"] = check_whole_number("step", bound["step"], at_least=0)
            try:
                return select(**bound)
            except (KeyError, AttributeError) as error:
                # A file of somebody else, or of another version.
                if isinstance(error, ExploreError):
                    raise
                raise InvalidInput(
                    f"a recording lacks what the picture shows ({error}); record it again"
                ) from error

        return checked

    return decorate
