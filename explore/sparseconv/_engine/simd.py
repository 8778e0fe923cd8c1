"""Vectors of sixteen floats inside Numba functions: the few operations that the compiled convolutions are made of, as LLVM code.

LLVM maps them to whatever the processor has: one register of 512 bits, two of 256 or four of 128.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import models, register_model

from explore._parallel.intrinsics import intrinsic

LANES = 16
"""Floats in a vector."""

LINE = 64
"""Bytes of a cache line, where a vector should begin: across two lines it takes half as long again."""

FLOAT, INT32, INT64 = ir.FloatType(), ir.IntType(32), ir.IntType(64)
FLOATS, INTS, BITS = (ir.VectorType(kind, LANES) for kind in (FLOAT, INT32, ir.IntType(1)))
ZERO = ir.Constant(FLOATS, [0.0] * LANES)
FUSED = ("contract",)
"""Lets a product and a sum become one instruction where the processor has it; changes nothing else about NaN or infinity."""


class Vector(types.Type):
    """Numba's type of sixteen floats."""

    def __init__(self) -> None:
        super().__init__(name="explore.float32x16")


vector = Vector()


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, FLOATS)


def aligned(count: int, kind: Any = np.float32) -> np.ndarray:
    """So many numbers, not set, beginning at a cache line."""
    size = count * np.dtype(kind).itemsize
    room = np.empty(size + LINE, np.uint8)
    start = -room.ctypes.data % LINE
    return room[start : start + size].view(kind)


# ---- LLVM code, for other generators too


def number(value: int) -> ir.Constant:
    """A 64-bit constant."""
    return ir.Constant(INT64, value)


def place(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    """The address of an element of a contiguous array, seen flat."""
    return builder.gep(context.make_array(kind)(context, builder, array).data, [index])


def read(builder: Any, address: Any) -> Any:
    """Sixteen floats from an address that need not be aligned."""
    found = builder.load(builder.bitcast(address, FLOATS.as_pointer()))
    found.align = 4
    return found


def write(builder: Any, address: Any, value: Any) -> None:
    """Sixteen floats to an address that need not be aligned."""
    builder.store(value, builder.bitcast(address, FLOATS.as_pointer())).align = 4


def repeated(builder: Any, value: Any) -> Any:
    """One float in all lanes."""
    nothing = ir.Constant(FLOATS, ir.Undefined)
    first = builder.insert_element(nothing, value, ir.Constant(INT32, 0))
    return builder.shuffle_vector(first, nothing, ir.Constant(INTS, [0] * LANES))


def call(builder: Any, name: str, result: Any, *arguments: Any) -> Any:
    """A call of one of LLVM's own functions."""
    kind = ir.FunctionType(result, [argument.type for argument in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)


def differ_from_zero(builder: Any, value: Any) -> Any:
    """A bit for each lane that is not zero; NaN is not, −0.0 is."""
    return builder.fcmp_unordered("!=", value, ZERO)


def _first_lanes(builder: Any, count: Any) -> Any:
    """A bit for each of the first ``count`` lanes."""
    nothing = ir.Constant(INTS, ir.Undefined)
    first = builder.insert_element(nothing, builder.trunc(count, INT32), ir.Constant(INT32, 0))
    everywhere = builder.shuffle_vector(first, nothing, ir.Constant(INTS, [0] * LANES))
    return builder.icmp_unsigned("<", ir.Constant(INTS, list(range(LANES))), everywhere)


# ---- functions for Numba code; arrays are contiguous, indices unsigned


@intrinsic
def load(typing: Any, array: Any, index: Any) -> Any:
    """``array[index : index + 16]``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return read(builder, place(context, builder, signature.args[0], *arguments))

    return vector(array, types.uintp), generate


@intrinsic
def load_first(typing: Any, array: Any, index: Any, count: Any) -> Any:
    """``array[index : index + count]`` and zeros, for count ≤ 16; nothing behind is touched."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address = builder.bitcast(
            place(context, builder, signature.args[0], *arguments[:2]), FLOATS.as_pointer()
        )
        lanes = _first_lanes(builder, arguments[2])
        return call(
            builder,
            "llvm.masked.load.v16f32.p0",
            FLOATS,
            address,
            ir.Constant(INT32, 4),
            lanes,
            ZERO,
        )

    return vector(array, types.uintp, types.uintp), generate


@intrinsic
def store(typing: Any, array: Any, index: Any, value: Any) -> Any:
    """``array[index : index + 16] = value``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        write(builder, place(context, builder, signature.args[0], *arguments[:2]), arguments[2])
        return context.get_dummy_value()

    return types.void(array, types.uintp, vector), generate


@intrinsic
def store_first(typing: Any, array: Any, index: Any, value: Any, count: Any) -> Any:
    """``array[index : index + count] = value[:count]``, for count ≤ 16; nothing behind is touched."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address = builder.bitcast(
            place(context, builder, signature.args[0], *arguments[:2]), FLOATS.as_pointer()
        )
        lanes = _first_lanes(builder, arguments[3])
        call(
            builder,
            "llvm.masked.store.v16f32.p0",
            ir.VoidType(),
            arguments[2],
            address,
            ir.Constant(INT32, 4),
            lanes,
        )
        return context.get_dummy_value()

    return types.void(array, types.uintp, vector, types.uintp), generate


@intrinsic
def nonzero_bits(typing: Any, value: Any) -> Any:
    """A bit for each lane that is not zero, the first lane lowest."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.zext(
            builder.bitcast(differ_from_zero(builder, arguments[0]), ir.IntType(LANES)), INT64
        )

    return types.uint64(vector), generate


@intrinsic
def packed(typing: Any, value: Any) -> Any:
    """The lanes that are not zero, side by side; zeros behind them."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        # as integers: the form for floats aborts the process where the processor has no AVX-512
        lanes = builder.bitcast(arguments[0], INTS)
        held = differ_from_zero(builder, arguments[0])
        found = call(
            builder,
            "llvm.experimental.vector.compress.v16i32",
            INTS,
            lanes,
            held,
            ir.Constant(INTS, [0] * LANES),
        )
        return builder.bitcast(found, FLOATS)

    return vector(vector), generate


@intrinsic
def add_product(typing: Any, out: Any, at: Any, factor: Any, weight: Any, index: Any) -> Any:
    """``out[at : at + 16] += factor · weight[index : index + 16]``.

    Written out as vectors, for in a loop the compiler must assume that the two arrays overlap, and test it each time.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        target = place(context, builder, signature.args[0], *arguments[:2])
        filters = read(builder, place(context, builder, signature.args[3], *arguments[3:]))
        product = builder.fmul(repeated(builder, arguments[2]), filters, flags=FUSED)
        write(builder, target, builder.fadd(product, read(builder, target), flags=FUSED))
        return context.get_dummy_value()

    return types.void(out, types.uintp, types.float32, weight, types.uintp), generate


@intrinsic
def other_than_zero(typing: Any, array: Any, index: Any) -> Any:
    """A bit for each of ``array[index : index + 16]`` that is not zero (NaN is not, −0.0 is)."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        found = differ_from_zero(
            builder, read(builder, place(context, builder, signature.args[0], *arguments))
        )
        return builder.zext(builder.bitcast(found, ir.IntType(LANES)), INT32)

    return types.uint32(array, types.uintp), generate


@intrinsic
def lowest_bit(typing: Any, bits: Any) -> Any:
    """Place of the lowest bit that is set, of 32 bits that are not all 0."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.zext(builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1)), INT64)

    return types.uint64(types.uint32), generate


@intrinsic
def popcount(typing: Any, bits: Any) -> Any:
    """How many bits are set."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return call(builder, "llvm.ctpop.i64", INT64, arguments[0])

    return types.uint64(types.uint64), generate


@intrinsic
def at_least(typing: Any, value: Any, least: Any) -> Any:
    """Each lane, or ``least`` where it is below; NaN stays NaN, as in ``torch.relu``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        floor = repeated(builder, arguments[1])
        return builder.select(builder.fcmp_ordered("<", arguments[0], floor), floor, arguments[0])

    return vector(vector, types.float32), generate


@intrinsic
def fetch_soon(typing: Any, array: Any, index: Any) -> Any:
    """Have the line of ``array[index]`` in the second cache when it is needed."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address = builder.bitcast(
            place(context, builder, signature.args[0], *arguments), ir.IntType(8).as_pointer()
        )
        hints = (ir.Constant(INT32, flag) for flag in (0, 2, 1))  # to read, second cache, data
        call(builder, "llvm.prefetch.p0", ir.VoidType(), address, *hints)
        return context.get_dummy_value()

    return types.void(array, types.uintp), generate


@intrinsic
def burn(typing: Any, out: Any, index: Any, steps: Any) -> Any:
    """Twelve fused multiply-adds of vectors a step, none waiting for another: what the processor can do at most."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        target = place(context, builder, signature.args[0], *arguments[:2])
        factor, before = read(builder, target), builder.block
        loop, end = builder.append_basic_block("step"), builder.append_basic_block("done")
        builder.branch(loop)
        builder.position_at_end(loop)
        step, sums = builder.phi(INT64), [builder.phi(FLOATS) for _ in range(12)]
        step.add_incoming(number(0), before)
        for phi in sums:
            phi.add_incoming(factor, before)
        found = [
            builder.fadd(builder.fmul(factor, phi, flags=FUSED), factor, flags=FUSED)
            for phi in sums
        ]
        for phi, value in zip(sums, found, strict=True):
            phi.add_incoming(value, loop)
        following = builder.add(step, number(1))
        step.add_incoming(following, loop)
        builder.cbranch(builder.icmp_unsigned("<", following, arguments[2]), loop, end)
        builder.position_at_end(end)
        total = found[0]
        for value in found[1:]:
            total = builder.fadd(total, value)
        write(builder, target, total)
        return context.get_dummy_value()

    return types.void(out, types.uintp, types.uintp), generate
