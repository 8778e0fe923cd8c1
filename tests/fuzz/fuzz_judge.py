"""Run one call with a hostile value and judge how it ended."""

from __future__ import annotations

import inspect
import math
import re
import signal
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, is_dataclass
from types import FrameType
from typing import Any

import numpy as np
import torch
import xarray
from fuzz_doors import arguments_of
from fuzz_values import VARIANTS, Hostile, Skip

from explore.errors import ExploreError

SECONDS = 60
"""A call that takes longer counts as a hang; the valid calls take milliseconds."""


CALLBACKS = (
    *("progress", "stop", "source", "work", "on_progress", "on_done", "action", "data"),
    *("loss", "augment", "pool"),
)
"""Arguments that are functions of the caller, whose own errors are raised as they are."""

GENERAL_ACCEPTS = {
    "out: path": "a folder that does not exist is created",
    **{f"recordings: empty {kind}": "none" for kind in ("list", "array", "tensor")},
    **{f"paths: empty {kind}": "none" for kind in ("list", "array", "tensor")},
    **{f"step: {value}": "the frame at or before it" for value in ("0", "1.5", "1e-300", "1e200")},
    **{f"every: {value}": "a growth, or no more steps" for value in ("1.5", "empty list")},
    **{f"every: empty {kind}": "no more steps" for kind in ("array", "tensor")},
    "stop: class": "a function that returns false",
    "names: generator": "names",
    "names: text array": "names",
    "device: None": "the CPU",
    "device: empty text": "the CPU",
    "encoder: None": "the default",
    **{
        f"indices: {value}": "an index, or none"
        for value in ("-1", "0", "empty list", "empty array", "empty tensor", "generator")
    },
    **{
        f"{names}: {value}": "the default"
        for names in ("class_names", "label_names", "feature_names", "parents", "subclass_names")
        for value in ("empty list", "empty array", "empty tensor")
    },
    **{
        f"{names}: {value}": "names"
        for names in ("class_names", "label_names", "feature_names", "subclass_names")
        for value in ("generator", "text array")
    },
    **{f"{name}: dict": "any mapping" for name in ("options", "provenance", "protocol")},
}
"""What arguments of these names accept everywhere, with the reason; see ``Call.accepts``."""


@dataclass(frozen=True)
class Call:
    """A valid call of a door.

    Attributes:
        arguments: makes the arguments by name, fresh for each call; ``self`` is the object of a
            method.
        after: what is done with the result before it is looked at, such as running a run.
        names: other words by which messages call an argument.
        accepts: names of hostile values that an argument accepts, with the reason: keys are
            "ARGUMENT" or "ARGUMENT: VALUE".
        skip: arguments that are not fuzzed, with the reason.
    """

    arguments: Callable[[], dict[str, Any]]
    after: Callable[[Any], Any] = lambda result: result
    names: Mapping[str, str] = field(default_factory=dict)
    accepts: Mapping[str, str] = field(default_factory=dict)
    skip: Mapping[str, str] = field(default_factory=dict)


class Hang(BaseException):
    """A call took too long. No ``Exception``, so that no handler of the package catches it."""


@contextmanager
def limited() -> Iterator[None]:
    """Interrupt the code inside after ``SECONDS``."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def invoke(function: Any, arguments: dict[str, Any], after: Callable[[Any], Any]) -> Any:
    """Call a door by name; ``self`` selects the object, and ``*name`` are positional."""
    arguments = dict(arguments)
    if "self" in arguments:
        owner = arguments.pop("self")
        function = getattr(owner, getattr(function, "__name__", "__call__"))
    elif isinstance(function, classmethod | staticmethod):
        raise TypeError("a class method needs its class as self")
    positional: list[Any] = []
    if any(name.startswith("*") for name in arguments):  # Those before it are positional as well.
        for name in arguments_of(function):
            if name in arguments:
                value = arguments.pop(name)
                positional += value if isinstance(value, Several) else [value]
            if name.startswith("*"):
                break
    with warnings.catch_warnings(), limited():
        warnings.simplefilter("ignore")
        return after(function(*positional, **arguments))


class Several(tuple[Any, ...]):
    """Valid values of ``*name``."""


def judge(
    function: Any, call: Call, name: str, hostile: Hostile, valid: list[Any]
) -> tuple[str, str]:
    """Return how a call ended: ("pass", why) or the kind of fault and a description.

    Args:
        function: the door.
        call: its valid call.
        name: the argument to replace.
        hostile: by what.
        valid: the result of the valid call, flat.
    """
    arguments = call.arguments()
    original = arguments.get(name, default_of(function, name))
    if isinstance(original, Several):
        original = original[0]
    try:
        value = hostile.make(original)
    except (Skip, RuntimeError, TypeError, IndexError, ValueError) as error:
        return "skip", type(error).__name__
    arguments[name] = value
    try:
        result = flat(invoke(function, arguments, call.after))
    except Hang:
        if reason := call.accepts.get(f"{name}: {hostile.name}"):
            return "pass", reason
        return "hang", f"longer than {SECONDS} s"
    except ExploreError as error:
        # Two arguments that do not fit may be refused by the name of the other.
        others = [other for other in arguments if other != "self" and hostile in VARIANTS]
        if any(names_argument(str(error), each, call.names) for each in (name, *others)):
            return "pass", "refused"
        return "unnamed", f"{type(error).__name__}: {str(error)[:160]}"
    except (Exception, SystemExit) as error:
        if name in CALLBACKS and callable(value):
            return "pass", "the function of the caller failed itself"
        if reason := call.accepts.get(f"{name}: {hostile.name}"):
            return "pass", reason
        return "raw", f"{type(error).__name__}: {str(error)[:160]}"
    return _judge_result(function, call, name, hostile, original, value, result, valid)


def _judge_result(
    function: Any,
    call: Call,
    name: str,
    hostile: Hostile,
    original: Any,
    value: Any,
    result: list[Any],
    valid: list[Any],
) -> tuple[str, str]:
    if hostile.same:
        return ("pass", "same") if close(result, valid) else ("wrong", "not the valid result")
    if hostile.reference is not None:
        arguments = {**call.arguments(), name: hostile.reference(original)}
        expected = flat(invoke(function, arguments, call.after))
        return ("pass", "same") if close(result, expected) else ("wrong", "not its reference")
    accepts = {**GENERAL_ACCEPTS, **call.accepts}
    reason = accepts.get(f"{name}: {hostile.name}", accepts.get(name, ""))
    if not all_finite(result) and all_finite(valid) and not reason:
        if has_nan(value):
            return "pass", "NaN or Inf is propagated"
        return "nan", f"result holds NaN or Inf for {describe(value)}"
    if reason:
        return "pass", reason
    if has_nan(value) and result:
        return "swallowed", "NaN or Inf in, finite values out"
    if fits_annotation(function, name, value, original):
        return "pass", "a value that the argument may have"
    return "accepted", f"{describe(value)} was accepted"


def names_argument(message: str, name: str, names: Mapping[str, str]) -> bool:
    """Return whether a message names an argument, in one of its forms."""
    plain = name.lstrip("*").rstrip("_")
    words = {plain, plain.replace("_", " "), plain.rstrip("s"), *names.get(name, "").split("|")}
    return any(word and word.lower() in message.lower() for word in words)


def default_of(function: Any, name: str) -> Any:
    """Return the default of an argument."""
    plain = getattr(function, "__func__", function)
    parameter = inspect.signature(plain).parameters.get(name.lstrip("*"))
    return None if parameter is None or parameter.default is parameter.empty else parameter.default


def fits_annotation(function: Any, name: str, value: Any, original: Any) -> bool:
    """Return whether a value has the type that the argument declares, so that it may be right."""
    plain = getattr(function, "__func__", function)
    parameter = inspect.signature(plain).parameters.get(name.lstrip("*"))
    annotation = "" if parameter is None else str(parameter.annotation)
    optional = parameter is not None and parameter.default is None
    if value is None:
        return optional or "None" in annotation
    if isinstance(value, bool) or isinstance(original, bool):
        return isinstance(value, bool) and ("bool" in annotation or isinstance(original, bool))
    numeric = "float" in annotation or "int" in annotation or isinstance(original, int | float)
    if isinstance(value, int | float) and numeric and not isinstance(original, str):
        if isinstance(value, int) and isinstance(original, int):
            return True
        whole = "float" not in annotation and isinstance(original, int)
        try:
            real = float(value)
        except OverflowError:
            return False
        return math.isfinite(real) and (not whole or real.is_integer())
    if isinstance(value, torch.Tensor) and isinstance(original, torch.Tensor):
        return value.is_floating_point() == original.is_floating_point()
    if isinstance(value, np.ndarray) and isinstance(original, np.ndarray):
        return value.dtype.kind == original.dtype.kind
    if callable(value) and ("Callable" in annotation or "Progress" in annotation):
        return True
    return "dtype" in annotation and isinstance(value, torch.dtype)


def has_nan(value: Any) -> bool:
    """Return whether a value holds NaN or infinities."""
    try:
        return not all_finite(flat(value))
    except Exception:
        return False


def all_finite(values: list[Any]) -> bool:
    """Return whether no array or number of a flat result is NaN or infinite."""
    return all(
        bool(np.isfinite(value).all())
        for value in values
        if isinstance(value, np.ndarray) and value.dtype.kind in "fc"
    )


def close(result: list[Any], expected: list[Any]) -> bool:
    """Return whether two flat results agree to the rounding of float32."""
    if len(result) != len(expected):
        return False
    for a, b in zip(result, expected, strict=True):
        if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
            if a.shape != b.shape:
                return False
            if a.dtype.kind in "biufc" and b.dtype.kind in "biufc":
                if not np.allclose(a, b, rtol=1e-3, atol=1e-5, equal_nan=True):
                    return False
            elif a.tolist() != b.tolist():
                return False
        elif type(a) is not type(b) or a != b:
            return False
    return True


def flat(value: Any, depth: int = 0) -> list[Any]:
    """Return the arrays, numbers and texts inside a result, in a fixed order."""
    if depth > 6 or value is None:
        return []
    if isinstance(value, torch.Tensor):
        if value.is_meta or value.layout != torch.strided:
            return []
        values = value.detach().cpu()
        return [values.float().numpy() if values.dtype.itemsize < 4 else values.numpy()]
    if isinstance(value, bool | str):
        return [value]
    if isinstance(value, int | float | np.generic | np.ndarray):
        array = np.asarray(value)
        return [array] if array.dtype != object else [str(array.shape)]
    if isinstance(value, xarray.Dataset | xarray.DataArray):
        return (
            [item for v in value.variables.values() for item in flat(v.values, depth + 1)]
            if (isinstance(value, xarray.Dataset))
            else flat(value.values, depth + 1)
        )
    if hasattr(value, "to_dict") and hasattr(value, "columns"):
        return [item for name in value.columns for item in flat(value[name].to_numpy(), depth + 1)]
    if isinstance(value, Mapping):
        return [item for key in value for item in flat(value[key], depth + 1)]
    if isinstance(value, list | tuple):
        return [item for entry in value for item in flat(entry, depth + 1)]
    if isinstance(value, torch.nn.Module):
        return [item for p in value.state_dict().values() for item in flat(p, depth + 1)]
    if is_dataclass(value) and not isinstance(value, type):
        return [
            item
            for entry in fields(value)
            if entry.name not in ("seconds", "options", "provenance")
            for item in flat(getattr(value, entry.name), depth + 1)
        ]
    return []


def describe(value: Any) -> str:
    """Return a short text about any value."""
    try:
        text = re.sub(r"\s+", " ", repr(value))
    except Exception:
        text = type(value).__name__
    return text[:60]
