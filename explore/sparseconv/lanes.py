"""Numba: sixteen numbers at a time, and memory that begins where a cache line does."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

instructions: Any = intrinsic
"""A function whose instructions are given; what types it has in the kernels, a reader of types cannot know."""

LANES = 16
"""Numbers of a vector: one register of 512 bits, or several smaller ones."""

LINE = 64
"""Bytes of a cache line; vectors that cross two lines cost half as much again."""


@instructions
def add_product(typingctx, out, at, factor, weight, place):  # type: ignore[no-untyped-def]
    """``out[at : at + 16] += factor · weight[place : place + 16]``, of flat float32 arrays.

    Written out as vectors, for in a loop the compiler must assume that the two arrays overlap, and test it each time.
    Multiplied and added in one step where the processor can; NaN and infinities are as in any sum.
    """

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        arrays = [context.make_array(signature.args[n])(context, builder, arguments[n]) for n in (0, 3)]
        number, offsets = arguments[2], (arguments[1], arguments[4])
        vector = ir.VectorType(ir.FloatType(), LANES)
        target, source = (
            builder.bitcast(builder.gep(array.data, [offset]), vector.as_pointer())
            for array, offset in zip(arrays, offsets, strict=True)
        )
        one = builder.insert_element(ir.Constant(vector, ir.Undefined), number, ir.Constant(ir.IntType(32), 0))
        mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        many = builder.shuffle_vector(one, ir.Constant(vector, ir.Undefined), mask)
        fused = cgutils.get_or_insert_function(builder.module, ir.FunctionType(vector, [vector] * 3), f"llvm.fmuladd.v{LANES}f32")
        total = builder.call(fused, [many, builder.load(source, align=4), builder.load(target, align=4)])
        builder.store(total, target, align=4)
        return context.get_dummy_value()

    if not all(isinstance(array, types.Array) and array.dtype == types.float32 for array in (out, weight)):
        return None
    return types.none(out, types.uintp, types.float32, weight, types.uintp), generate


@instructions
def other_than_zero(typingctx, flat, at):  # type: ignore[no-untyped-def]
    """A bit for each of ``flat [at : at + 16]`` that is not zero (NaN is not, −0.0 is)."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        vector = ir.VectorType(ir.FloatType(), LANES)
        source = builder.bitcast(builder.gep(array.data, [arguments[1]]), vector.as_pointer())
        bits = builder.fcmp_unordered("!=", builder.load(source, align=4), ir.Constant(vector, [0.0] * LANES))
        return builder.zext(builder.bitcast(bits, ir.IntType(LANES)), ir.IntType(32))

    if not isinstance(flat, types.Array) or flat.dtype != types.float32:
        return None
    return types.uint32(flat, types.uintp), generate


@instructions
def lowest_bit(typingctx, bits):  # type: ignore[no-untyped-def]
    """Place of the lowest bit that is set, of 32 bits that are not all 0."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.zext(builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1)), ir.IntType(64))

    return types.uint64(types.uint32), generate


def aligned(size: int) -> np.ndarray:
    """So many float32, not set, beginning at a cache line."""
    whole = np.empty(4 * size + LINE, np.uint8)
    first = -whole.ctypes.data % LINE
    return whole[first : first + 4 * size].view(np.float32)
