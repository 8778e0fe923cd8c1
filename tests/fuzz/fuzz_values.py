"""Hostile values: what an argument is replaced by, one at a time."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch


class Skip(Exception):
    """This value cannot be derived from the valid one."""


@dataclass(frozen=True)
class Hostile:
    """One hostile value.

    Attributes:
        name: what reports call it.
        make: returns it; its argument is the valid value. Raises ``Skip`` where that is of another
            type.
        same: it means the same as the valid value, so the result must be the same.
        reference: for values that stand for another one, this one; the results must be equal.
    """

    name: str
    make: Callable[[Any], Any]
    same: bool = False
    reference: Callable[[Any], Any] | None = None


class BadRepr:
    """An object whose text cannot be shown."""

    def __repr__(self) -> str:
        raise RuntimeError("no text")


def nested(depth: int) -> list[Any]:
    """Return lists within lists."""
    result: list[Any] = []
    for _ in range(depth):
        result = [result]
    return result


def tensor(value: Any) -> torch.Tensor:
    """Return the valid value if it is a tensor of floats."""
    if not isinstance(value, torch.Tensor) or not value.is_floating_point() or not value.numel():
        raise Skip
    return value.detach()


def any_tensor(value: Any) -> torch.Tensor:
    """Return the valid value if it is a tensor with dimensions."""
    if not isinstance(value, torch.Tensor) or not value.ndim or not value.numel():
        raise Skip
    return value.detach()


def floats(value: Any) -> np.ndarray:
    """Return the valid value if it is an array of floats."""
    if not isinstance(value, np.ndarray) or value.dtype.kind != "f" or not value.ndim:
        raise Skip
    return value


def number(value: Any) -> float:
    """Return the valid value if it is a number of Python."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Skip
    return value


def with_item(values: Any, item: float) -> Any:
    """Return a copy in which the first value is another one."""
    copy = values.clone() if isinstance(values, torch.Tensor) else values.copy()
    copy.reshape(-1)[0] = item
    return copy


def either(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Apply a function to a tensor or an array of floats."""

    def apply(value: Any) -> Any:
        return function(floats(value) if isinstance(value, np.ndarray) else tensor(value))

    return apply


def masked(values: torch.Tensor) -> np.ma.MaskedArray[Any, Any]:
    """Return a masked array in which the first value is hidden."""
    mask = np.zeros(tuple(values.shape), bool)
    mask.flat[0] = True
    return np.ma.masked_array(values.numpy(), mask)


def constant(name: str, value: Any) -> Hostile:
    return Hostile(name, lambda _: value)


CONSTANTS = [
    constant("None", None),
    constant("True", True),
    constant("text", "text"),
    constant("empty text", ""),
    constant("digit text", "4"),
    constant("TeX", "$\\frac{$"),
    constant("NUL", "a\0b"),
    constant("long text", "x" * 100_000),
    constant("bytes", b"abc"),
    constant("path", Path("nowhere/at/all")),
    constant("-1", -1),
    constant("0", 0),
    constant("1.5", 1.5),
    constant("NaN", float("nan")),
    constant("Inf", float("inf")),
    constant("-Inf", float("-inf")),
    constant("1e200", 1e200),
    constant("1e-300", 1e-300),
    constant("10**400", 10**400),
    constant("2**62", 2**62),
    constant("complex", 1 + 2j),
    constant("NaT", np.datetime64("NaT")),
    constant("empty list", []),
    constant("list of None", [None]),
    constant("ragged", [[1.0], [1.0, 2.0]]),
    constant("deep list", nested(500)),
    constant("list of lists", [["oggmr"]]),
    constant("dict", {"a": 1}),
    constant("set", {1, 2}),
    constant("object", object()),
    Hostile("bad repr", lambda _: BadRepr()),
    constant("function", len),
    constant("class", int),
    constant("network", torch.nn.Linear(2, 2)),
    Hostile("generator", lambda _: iter([1, 2])),
    constant("random state", random.Random(0)),
    constant("empty array", np.zeros((0,))),
    constant("complex array", np.ones((2, 2), complex)),
    constant("masked array", np.ma.masked_array(np.ones((2, 2)), [[0, 1], [0, 0]])),
    constant("object array", np.array([object(), None])),
    constant("text array", np.array(["a", "b"])),
    constant("empty tensor", torch.zeros(0)),
    constant("seven dimensions", torch.zeros(1, 1, 1, 1, 1, 1, 1)),
    constant("bool tensor", torch.ones(2, 2, dtype=torch.bool)),
    constant("complex tensor", torch.ones(2, 2, dtype=torch.complex64)),
    constant("sparse tensor", torch.eye(2).to_sparse()),
    constant("meta tensor", torch.zeros(2, 2, device="meta")),
]

VARIANTS = [
    Hostile("NumPy number", lambda v: np.asarray(number(v))[()], same=True),
    Hostile("0-d array", lambda v: np.asarray(number(v)), same=True),
    Hostile("0-d tensor", lambda v: torch.tensor(number(v), dtype=torch.float64), same=True),
    Hostile("as an array", lambda v: any_tensor(v).numpy(), same=True),
    Hostile("as a list", lambda v: any_tensor(v).tolist(), same=True),
    Hostile("float64", lambda v: tensor(v).double(), same=True),
    Hostile("needs a gradient", lambda v: tensor(v).clone().requires_grad_(), same=True),
    Hostile(
        "not contiguous", lambda v: any_tensor(v).repeat_interleave(2, -1)[..., ::2], same=True
    ),
    Hostile("a parameter", lambda v: torch.nn.Parameter(tensor(v)), same=True),
    Hostile("one NaN", either(lambda v: with_item(v, float("nan")))),
    Hostile("one Inf", either(lambda v: with_item(v, float("inf")))),
    Hostile("times 1e30", either(lambda v: v * 1e30)),
    Hostile("times 1e-30", either(lambda v: v * 1e-30)),
    Hostile("float64 times 1e200", lambda v: tensor(v).double() * 1e200),
    Hostile("zeros", either(lambda v: v * 0)),
    Hostile("half", lambda v: tensor(v).half()),
    Hostile("bfloat16", lambda v: tensor(v).bfloat16()),
    Hostile(
        "bytes tensor",
        lambda v: tensor(v).mul(10).abs().byte(),
        reference=lambda v: tensor(v).mul(10).abs().byte().float(),
    ),
    Hostile(
        "whole numbers",
        lambda v: tensor(v).mul(4).round().long(),
        reference=lambda v: tensor(v).mul(4).round(),
    ),
    Hostile("as floats", lambda v: any_tensor(v).float() + 0.5),
    Hostile("negative", lambda v: -any_tensor(v).float()),
    Hostile("no rows", lambda v: any_tensor(v)[:0]),
    Hostile("one row", lambda v: any_tensor(v)[:1]),
    Hostile("one row less", lambda v: any_tensor(v)[:-1]),
    Hostile("another axis", lambda v: any_tensor(v)[None]),
    Hostile("one axis less", lambda v: any_tensor(v)[0]),
    Hostile("transposed", lambda v: any_tensor(v).transpose(0, -1)),
    Hostile("masked", lambda v: masked(any_tensor(v))),
    Hostile("complex", lambda v: any_tensor(v) + 1j),
    Hostile("plus one", lambda v: any_tensor(v) + 1 if not tensor_like(v) else _skip()),
]


def tensor_like(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.is_floating_point()


def _skip() -> Any:
    raise Skip


VALUES = [*CONSTANTS, *VARIANTS]
