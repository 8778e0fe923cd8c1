"""Microkernel of the bitmap engine: one row of a map times one row of the kernel.

Its LLVM code is generated for each width and stride of the kernel. In C, with n = ⌈width / stride⌉,
it is this, where ``sums`` stays in registers and all loops over ``tap`` and ``vector`` are
unrolled::

    __m512 sums[n][vectors] = {0};                       // sums[0] is the newest output column
    for (uint64_t group = 0; group < columns + n - 1; group++) {
        for (int phase = 0; phase < stride; phase++)
            for (uint64_t bits = mask[group * stride + phase]; bits; bits &= bits - 1) {
                const float *filters = weight + _tzcnt_u64(bits) * width * vectors * 16;
                __m512 factor = _mm512_set1_ps(*value++);
                for (int tap = phase, age = 0; tap < width; tap += stride, age++)
                    for (int vector = 0; vector < vectors; vector++)
                        sums[age][vector] = _mm512_fmadd_ps(
                            factor, _mm512_loadu_ps(filters + (tap * vectors + vector) * 16),
                            sums[age][vector]);
            }
        if (group >= n - 1)                              // the oldest output column is complete
            for (int vector = 0; vector < vectors; vector++) {
                uint64_t column = group - (n - 1);
                __m512 total = _mm512_add_ps(
                    _mm512_loadu_ps(source + column * source_step + vector * 16),
                    sums[n - 1][vector]);
                __mmask16 below = _mm512_cmp_ps_mask(total, floors, _CMP_LT_OQ);
                _mm512_storeu_ps(target + column * target_step + vector * 16,
                                 _mm512_mask_mov_ps(total, below, floors));
            }
        for (int age = n - 1; age > 0; age--) copy(sums[age], sums[age - 1]);
        clear(sums[0]);
    }
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numba
from llvmlite import ir
from numba import types

from explore._parallel.intrinsics import intrinsic
from explore.sparseconv._engine.simd import (
    FLOAT,
    FLOATS,
    INT64,
    LANES,
    ZEROS,
    broadcast,
    call_llvm,
    constant,
    load_vector,
    multiply_add,
    store_vector,
)

BIT = ir.IntType(1)
ADDRESS, COUNT = types.uint64, types.uint64
SIGNATURE = types.void(
    ADDRESS, ADDRESS, ADDRESS, ADDRESS, COUNT, ADDRESS, COUNT, COUNT, types.float32
)


@cache
def row_microkernel(width: int, stride: int, vectors: int) -> int:
    """Return the address of a compiled function for ``call_microkernel``.

    It adds to a row of sums what one row of a map gives through one row of the kernel. Its
    arguments (addresses are of float32, except that of the mask; steps are in elements):

    - ``value``: the values of the map row that are not zero, pixel by pixel, by channel;
    - ``mask``: uint64, one for each padded column: one bit for each channel that is not zero. There
      are ``(columns + n − 1)·stride`` of them, n = ⌈width / stride⌉;
    - ``weight``: ``[channel, width, vectors · 16]``;
    - ``source``, ``source_step``: the sums so far: for column o, ``vectors · 16`` of them from
      ``source[o · source_step]`` on;
    - ``target``, ``target_step``: where the new sums are written, likewise; may be the source;
    - ``columns``: the number of output columns;
    - ``floor``: smaller new sums are set to it; −∞ for no limit, 0 for ReLU.

    An output column is complete after the last column that it reads. So n output columns are in
    work at a time, in n · ``vectors`` registers; they move on by one after every ``stride``
    columns. Each value is loaded once, for all outputs that read it.

    Args:
        width: kernel columns.
        stride: horizontal stride.
        vectors: filters / 16.
    """

    @numba.cfunc(SIGNATURE, cache=True)
    def microkernel(value, mask, weight, source, source_step, target, target_step, columns, floor):
        _row(
            value, mask, weight, source, source_step, target, target_step, columns, floor,
            width, stride, vectors,
        )  # fmt: skip

    return int(microkernel.address)  # type: ignore[arg-type]


@intrinsic
def call_microkernel(typing: Any, address: Any, values: Any) -> Any:
    """Call a row microkernel with a tuple of its arguments.

    It is called by address, so that the loops around it are compiled once, not for each kernel.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        # ((void (*)(uint64_t, …, float))address)(values[0], …, values[8]);
        kinds = [FLOAT if kind is types.float32 else INT64 for kind in SIGNATURE.args]
        function = builder.inttoptr(
            arguments[0], ir.FunctionType(ir.VoidType(), kinds).as_pointer()
        )
        builder.call(function, [builder.extract_value(arguments[1], k) for k in range(len(kinds))])
        return context.get_dummy_value()

    return types.void(ADDRESS, types.Tuple(SIGNATURE.args)), generate


class RowShape(NamedTuple):
    """What the code is generated for: kernel columns, horizontal stride, filters / 16."""

    width: int
    stride: int
    vectors: int


@intrinsic(prefer_literal=True)
def _row(
    typing: Any, value: Any, mask: Any, weight: Any, source: Any, source_step: Any, target: Any,
    target_step: Any, columns: Any, floor: Any, width: Any, stride: Any, vectors: Any,
) -> Any:  # fmt: skip
    shape = RowShape(width.literal_value, stride.literal_value, vectors.literal_value)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value, mask, weight, source, source_step, target, target_step, columns, floor = arguments[
            :9
        ]
        value, weight, source, target = (
            builder.inttoptr(address, FLOAT.as_pointer())
            for address in (value, weight, source, target)
        )
        mask = builder.inttoptr(mask, INT64.as_pointer())
        _column_loop(
            builder,
            shape,
            value,
            mask,
            weight,
            (source, source_step),
            (target, target_step),
            columns,
            broadcast(builder, floor),
        )
        return context.get_dummy_value()

    return types.void(*SIGNATURE.args, width, stride, vectors), generate


def _column_loop(
    builder: Any,
    shape: RowShape,
    value: Any,
    mask: Any,
    weight: Any,
    source: tuple[Any, Any],
    target: tuple[Any, Any],
    columns: Any,
    floors: Any,
) -> None:
    """Generate the loop over groups of ``stride`` columns.

    It adds their values to the outputs in work; then the oldest of those is complete.
    """
    width, stride, vectors = shape
    in_work = -(-width // stride)
    before, begin, end = (
        builder.block,
        builder.append_basic_block("group"),
        builder.append_basic_block("done"),
    )
    groups = builder.add(columns, constant(in_work - 1))
    builder.branch(begin)
    builder.position_at_end(begin)
    group, next_value = builder.phi(INT64), builder.phi(value.type)
    group.add_incoming(constant(0), before)
    next_value.add_incoming(value, before)
    old_sums = [[builder.phi(FLOATS) for _ in range(vectors)] for _ in range(in_work)]
    for phis in old_sums:
        for phi in phis:
            phi.add_incoming(ZEROS, before)

    sums, value_after = [list(phis) for phis in old_sums], next_value
    for phase in range(stride):
        # The kernel columns that meet this column, that of the newest output first.
        taps = range(phase, width, stride)
        if taps:
            column = builder.add(builder.mul(group, constant(stride)), constant(phase))
            bits = builder.load(builder.gep(mask, [column]))
            sums[: len(taps)], value_after = _channel_loop(
                builder, shape, taps, bits, value_after, weight, sums[: len(taps)]
            )

    # The first groups complete columns left of the map, which are not part of the output.
    complete, proceed = (
        builder.append_basic_block("complete"),
        builder.append_basic_block("proceed"),
    )
    builder.cbranch(builder.icmp_unsigned(">=", group, constant(in_work - 1)), complete, proceed)
    builder.position_at_end(complete)
    column = builder.sub(group, constant(in_work - 1))
    sources, targets = (
        builder.gep(base, [builder.mul(column, step)]) for base, step in (source, target)
    )
    for q in range(vectors):
        old = load_vector(builder, builder.gep(sources, [constant(q * LANES)]))
        total = builder.fadd(old, sums[-1][q])
        below = builder.fcmp_ordered("<", total, floors)  # false for NaN, which stays
        new = builder.select(below, floors, total)
        store_vector(builder, builder.gep(targets, [constant(q * LANES)]), new)
    builder.branch(proceed)
    builder.position_at_end(proceed)

    next_group = builder.add(group, constant(1))
    group.add_incoming(next_group, proceed)
    next_value.add_incoming(value_after, proceed)
    for age, phis in enumerate(old_sums):
        for q, phi in enumerate(phis):
            phi.add_incoming(sums[age - 1][q] if age else ZEROS, proceed)
    builder.cbranch(builder.icmp_unsigned("<", next_group, groups), begin, end)
    builder.position_at_end(end)


def _channel_loop(
    builder: Any,
    shape: RowShape,
    taps: range,
    bits: Any,
    value: Any,
    weight: Any,
    sums: list[list[Any]],
) -> tuple[list[list[Any]], Any]:
    """Generate the loop over the channels that are not zero at one pixel.

    Returns:
        The new sums, and the address of the next pixel's values.
    """
    width, _, vectors = shape
    before = builder.block
    test, body, end = (
        builder.append_basic_block(name) for name in ("channels", "channel", "pixel")
    )
    builder.branch(test)
    builder.position_at_end(test)
    open_bits, next_value = builder.phi(bits.type), builder.phi(value.type)
    open_bits.add_incoming(bits, before)
    next_value.add_incoming(value, before)
    old_sums = [[builder.phi(FLOATS) for _ in range(vectors)] for _ in taps]
    for phis, starts in zip(old_sums, sums, strict=True):
        for phi, start in zip(phis, starts, strict=True):
            phi.add_incoming(start, before)
    builder.cbranch(builder.icmp_unsigned("!=", open_bits, constant(0)), body, end)

    builder.position_at_end(body)
    channel = call_llvm(builder, "llvm.cttz.i64", INT64, open_bits, ir.Constant(BIT, 1))
    of_channel = builder.gep(weight, [builder.mul(channel, constant(width * vectors * LANES))])
    factor = broadcast(builder, builder.load(next_value))
    for phis, tap in zip(old_sums, taps, strict=True):
        for q, phi in enumerate(phis):
            position = constant((tap * vectors + q) * LANES)
            filters = load_vector(builder, builder.gep(of_channel, [position]))
            phi.add_incoming(multiply_add(builder, factor, filters, phi), body)
    open_bits.add_incoming(builder.and_(open_bits, builder.sub(open_bits, constant(1))), body)
    next_value.add_incoming(builder.gep(next_value, [constant(1)]), body)
    builder.branch(test)
    builder.position_at_end(end)
    return [list(phis) for phis in old_sums], next_value
