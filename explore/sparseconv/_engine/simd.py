"""Vectors of sixteen floats inside Numba functions: the operations of compiled convolutions.

LLVM maps them to what the processor has: one register of 512 bits, two of 256 or four of 128. The
comment above each piece of LLVM code is the C, with AVX-512 intrinsics, that it stands for.
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

CACHE_LINE = 64
"""Bytes. A vector should begin at a line: across two lines it takes half as long again."""

FLOAT, INT32, INT64 = ir.FloatType(), ir.IntType(32), ir.IntType(64)
FLOATS, INTS = ir.VectorType(FLOAT, LANES), ir.VectorType(INT32, LANES)
ZEROS = ir.Constant(FLOATS, [0.0] * LANES)
ALLOW_FMA = ("contract",)
"""Lets a product and a sum become one instruction; changes nothing else about NaN or infinity."""


class Vector(types.Type):
    """Numba's type of sixteen floats (``__m512``)."""

    def __init__(self) -> None:
        super().__init__(name="explore.float32x16")


vector = Vector()


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, FLOATS)


def aligned_empty(count: int, kind: Any = np.float32) -> np.ndarray:
    """Return an array that begins at a cache line; its values are not set."""
    size = count * np.dtype(kind).itemsize
    memory = np.empty(size + CACHE_LINE, np.uint8)
    start = -memory.ctypes.data % CACHE_LINE
    return memory[start : start + size].view(kind)


# ---- builders of LLVM code, also for the microkernel


def constant(value: int) -> ir.Constant:
    """Return a 64-bit constant."""
    return ir.Constant(INT64, value)


def element_address(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    """Return the address of an element of a contiguous array, seen as flat."""
    # return &array[index];
    return builder.gep(context.make_array(kind)(context, builder, array).data, [index])


def load_vector(builder: Any, address: Any) -> Any:
    """Load sixteen floats from an address that need not be aligned."""
    # return _mm512_loadu_ps(address);
    vector = builder.load(builder.bitcast(address, FLOATS.as_pointer()))
    vector.align = 4
    return vector


def store_vector(builder: Any, address: Any, value: Any) -> None:
    """Store sixteen floats to an address that need not be aligned."""
    # _mm512_storeu_ps(address, value);
    builder.store(value, builder.bitcast(address, FLOATS.as_pointer())).align = 4


def broadcast(builder: Any, value: Any) -> Any:
    """Copy one float to all lanes."""
    # return _mm512_set1_ps(value);
    undefined = ir.Constant(FLOATS, ir.Undefined)
    first = builder.insert_element(undefined, value, ir.Constant(INT32, 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(INTS, [0] * LANES))


def multiply_add(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """Compute a · b + c in each lane."""
    # return _mm512_fmadd_ps(a, b, c);
    return builder.fadd(builder.fmul(a, b, flags=ALLOW_FMA), c, flags=ALLOW_FMA)


def call_llvm(builder: Any, name: str, result: Any, *arguments: Any) -> Any:
    """Call one of LLVM's own functions."""
    kind = ir.FunctionType(result, [argument.type for argument in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)


def nonzero_mask(builder: Any, value: Any) -> Any:
    """Return one bit for each lane that is not zero: NaN is not zero, −0.0 is."""
    # return _mm512_cmp_ps_mask(value, _mm512_setzero_ps(), _CMP_NEQ_UQ);
    return builder.fcmp_unordered("!=", value, ZEROS)


def _first_lanes(builder: Any, count: Any) -> Any:
    """Return one bit for each of the first ``count`` lanes."""
    # return (__mmask16)((1u << count) - 1);
    undefined = ir.Constant(INTS, ir.Undefined)
    first = builder.insert_element(undefined, builder.trunc(count, INT32), ir.Constant(INT32, 0))
    everywhere = builder.shuffle_vector(first, undefined, ir.Constant(INTS, [0] * LANES))
    return builder.icmp_unsigned("<", ir.Constant(INTS, list(range(LANES))), everywhere)


# ---- functions for Numba code; arrays are contiguous, indices unsigned


@intrinsic
def load(typing: Any, array: Any, index: Any) -> Any:
    """Return ``array[index : index + 16]``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        # return _mm512_loadu_ps(&array[index]);
        return load_vector(
            builder, element_address(context, builder, signature.args[0], *arguments)
        )

    return vector(array, types.uintp), generate


@intrinsic
def load_first(typing: Any, array: Any, index: Any, count: Any) -> Any:
    """Return ``array[index : index + count]`` and zeros (count ≤ 16); reads nothing behind them."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        # return _mm512_maskz_loadu_ps((1u << count) - 1, &array[index]);
        element = element_address(context, builder, signature.args[0], *arguments[:2])
        address, lanes = (
            builder.bitcast(element, FLOATS.as_pointer()),
            _first_lanes(builder, arguments[2]),
        )
        name, alignment = "llvm.masked.load.v16f32.p0", ir.Constant(INT32, 4)
        return call_llvm(builder, name, FLOATS, address, alignment, lanes, ZEROS)

    return vector(array, types.uintp, types.uintp), generate


@intrinsic
def store(typing: Any, array: Any, index: Any, value: Any) -> Any:
    """Set ``array[index : index + 16] = value``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        # _mm512_storeu_ps(&array[index], value);
        target = element_address(context, builder, signature.args[0], *arguments[:2])
        store_vector(builder, target, arguments[2])
        return context.get_dummy_value()

    return types.void(array, types.uintp, vector), generate


@intrinsic
def store_first(typing: Any, array: Any, index: Any, value: Any, count: Any) -> Any:
    """Set ``array[index : index + count] = value[:count]`` (count ≤ 16); writes nothing behind."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        # _mm512_mask_storeu_ps(&array[index], (1u << count) - 1, value);
        element = element_address(context, builder, signature.args[0], *arguments[:2])
        address, lanes = (
            builder.bitcast(element, FLOATS.as_pointer()),
            _first_lanes(builder, arguments[3]),
        )
        name, alignment = "llvm.masked.store.v16f32.p0", ir.Constant(INT32, 4)
        call_llvm(builder, name, ir.VoidType(), arguments[2], address, alignment, lanes)
        return context.get_dummy_value()

    return types.void(array, types.uintp, vector, types.uintp), generate


@intrinsic
def nonzero_bits(typing: Any, value: Any) -> Any:
    """Return one bit for each lane that is not zero, the first lane lowest."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        # return (uint64_t)_mm512_cmp_ps_mask(value, _mm512_setzero_ps(), _CMP_NEQ_UQ);
        mask = nonzero_mask(builder, arguments[0])
        return builder.zext(builder.bitcast(mask, ir.IntType(LANES)), INT64)

    return types.uint64(vector), generate


@intrinsic
def compress(typing: Any, value: Any) -> Any:
    """Return the lanes that are not zero, side by side, and zeros behind them."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        # __mmask16 mask = _mm512_cmp_ps_mask(value, _mm512_setzero_ps(), _CMP_NEQ_UQ);
        # return _mm512_castsi512_ps(_mm512_maskz_compress_epi32(mask, _mm512_castps_si512(value)));
        #
        # As integers: LLVM's form for floats aborts the process where there is no AVX-512.
        lanes, mask = builder.bitcast(arguments[0], INTS), nonzero_mask(builder, arguments[0])
        name, zeros = (
            "llvm.experimental.vector.compress.v16i32",
            ir.Constant(INTS, [0] * LANES),
        )
        return builder.bitcast(call_llvm(builder, name, INTS, lanes, mask, zeros), FLOATS)

    return vector(vector), generate


@intrinsic
def add_product(typing: Any, out: Any, start: Any, factor: Any, weight: Any, index: Any) -> Any:
    """Set ``out[start : start + 16] += factor · weight[index : index + 16]``.

    Written as vectors, because in a loop the compiler must assume that the two arrays overlap, and
    test it each time.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        # __m512 sums = _mm512_loadu_ps(&out[start]), filters = _mm512_loadu_ps(&weight[index]);
        # _mm512_storeu_ps(&out[start], _mm512_fmadd_ps(_mm512_set1_ps(factor), filters, sums));
        target = element_address(context, builder, signature.args[0], *arguments[:2])
        source = element_address(context, builder, signature.args[3], *arguments[3:])
        filters, factors = load_vector(builder, source), broadcast(builder, arguments[2])
        sums = multiply_add(builder, factors, filters, load_vector(builder, target))
        store_vector(builder, target, sums)
        return context.get_dummy_value()

    return types.void(out, types.uintp, types.float32, weight, types.uintp), generate


@intrinsic
def load_nonzero_bits(typing: Any, array: Any, index: Any) -> Any:
    """Return one bit for each of ``array[index : index + 16]`` that is not zero."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        # __m512 value = _mm512_loadu_ps(&array[index]);
        # return _mm512_cmp_ps_mask(value, _mm512_setzero_ps(), _CMP_NEQ_UQ);
        address = element_address(context, builder, signature.args[0], *arguments)
        mask = nonzero_mask(builder, load_vector(builder, address))
        return builder.zext(builder.bitcast(mask, ir.IntType(LANES)), INT32)

    return types.uint32(array, types.uintp), generate


@intrinsic
def lowest_bit(typing: Any, bits: Any) -> Any:
    """Return the position of the lowest bit that is set, of 32 bits that are not all 0."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        # return _tzcnt_u32(bits);
        return builder.zext(builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1)), INT64)

    return types.uint64(types.uint32), generate


@intrinsic
def popcount(typing: Any, bits: Any) -> Any:
    """Return how many bits are set."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        # return _mm_popcnt_u64(bits);
        return call_llvm(builder, "llvm.ctpop.i64", INT64, arguments[0])

    return types.uint64(types.uint64), generate


@intrinsic
def clamp(typing: Any, value: Any, floor: Any) -> Any:
    """Set each lane that is below ``floor`` to it; NaN stays NaN, as in ``torch.relu``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        # __m512 floors = _mm512_set1_ps(floor);
        # return _mm512_mask_mov_ps(value, _mm512_cmp_ps_mask(value, floors, _CMP_LT_OQ), floors);
        floors = broadcast(builder, arguments[1])
        return builder.select(builder.fcmp_ordered("<", arguments[0], floors), floors, arguments[0])

    return vector(vector, types.float32), generate


@intrinsic
def prefetch(typing: Any, array: Any, index: Any) -> Any:
    """Fetch the cache line of ``array[index]`` into the second cache."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        # _mm_prefetch((const char *)&array[index], _MM_HINT_T1);
        element = element_address(context, builder, signature.args[0], *arguments)
        address = builder.bitcast(element, ir.IntType(8).as_pointer())
        hints = (ir.Constant(INT32, flag) for flag in (0, 2, 1))  # to read, second cache, data
        call_llvm(builder, "llvm.prefetch.p0", ir.VoidType(), address, *hints)
        return context.get_dummy_value()

    return types.void(array, types.uintp), generate


@intrinsic
def burn_multiply_adds(typing: Any, out: Any, index: Any, steps: Any) -> Any:
    """Compute twelve independent multiply-adds of vectors in each step: the processor's peak."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        # __m512 factor = _mm512_loadu_ps(&out[index]), sums[12] = {factor, …, factor};
        # for (uint64_t step = 0; step < steps; step++)
        #     for (int k = 0; k < 12; k++) sums[k] = _mm512_fmadd_ps(factor, sums[k], factor);
        # _mm512_storeu_ps(&out[index], sums[0] + … + sums[11]);
        target = element_address(context, builder, signature.args[0], *arguments[:2])
        factor, before = load_vector(builder, target), builder.block
        loop, end = builder.append_basic_block("step"), builder.append_basic_block("done")
        builder.branch(loop)
        builder.position_at_end(loop)
        step, sums = builder.phi(INT64), [builder.phi(FLOATS) for _ in range(12)]
        step.add_incoming(constant(0), before)
        for phi in sums:
            phi.add_incoming(factor, before)
        new_sums = [multiply_add(builder, factor, phi, factor) for phi in sums]
        for phi, value in zip(sums, new_sums, strict=True):
            phi.add_incoming(value, loop)
        next_step = builder.add(step, constant(1))
        step.add_incoming(next_step, loop)
        builder.cbranch(builder.icmp_unsigned("<", next_step, arguments[2]), loop, end)
        builder.position_at_end(end)
        total = new_sums[0]
        for value in new_sums[1:]:
            total = builder.fadd(total, value)
        store_vector(builder, target, total)
        return context.get_dummy_value()

    return types.void(out, types.uintp, types.uintp), generate
