"""The heart of the bitmap engine: one row of a map times one row of the kernel, generated for each of its widths and strides."""

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
    FUSED,
    INT64,
    LANES,
    ZERO,
    call,
    number,
    read,
    repeated,
    write,
)

BIT = ir.IntType(1)


ADDRESS, COUNT = types.uint64, types.uint64
SIGNATURE = types.void(
    ADDRESS, ADDRESS, ADDRESS, ADDRESS, COUNT, ADDRESS, COUNT, COUNT, types.float32
)


@cache
def sweep(width: int, stride: int, vectors: int) -> int:
    """The address of a compiled function that adds to a row of sums what one row of a map gives through one row of the kernel.

    It is called by ``call_sweep``; addresses are of float32, but for the mask's, and steps are in elements:

    - ``value``: the map row's values that are not zero: pixel by pixel, in order of channels;
    - ``mask``: uint64, one for each padded column: a bit for each channel that is not zero. There are
      ``(columns + n − 1)·stride`` of them, n = ⌈width / stride⌉;
    - ``weight``: ``[channel, width, vectors · 16]``;
    - ``before``, ``grown``: sums so far: of column o, ``vectors · 16`` from ``before[o · grown]`` on;
    - ``out``, ``pitch``: where the new sums go: of column o, from ``out[o · pitch]`` on. May be the same place;
    - ``columns``: number of outputs;
    - ``floor``: new sums below it become it; −∞ to leave them, 0 for ReLU.

    An output column is finished when the last column that it reads has been seen, and no later one touches it: so n output
    columns are under way at a time, in n · ``vectors`` registers; they move on by one at every ``stride`` columns. Every
    value is loaded once, for all the outputs that read it.

    Args:
        width: kernel columns.
        stride: horizontal stride.
        vectors: filters / 16.
    """

    @numba.cfunc(SIGNATURE, cache=True)
    def one(value, mask, weight, before, grown, out, pitch, columns, floor):  # type: ignore[no-untyped-def]
        _sweep(
            value, mask, weight, before, grown, out, pitch, columns, floor, width, stride, vectors
        )

    return int(one.address)  # type: ignore[arg-type]


@intrinsic
def call_sweep(typing: Any, address: Any, given: Any) -> Any:
    """Call what ``sweep`` returned, from compiled code: so the loops around it are compiled once, not for each kernel.

    ``given`` is the tuple (value, mask, weight, before, grown, out, pitch, columns, floor).
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kinds = [FLOAT if kind is types.float32 else INT64 for kind in SIGNATURE.args]
        pointer = ir.FunctionType(ir.VoidType(), kinds).as_pointer()
        builder.call(
            builder.inttoptr(arguments[0], pointer),
            [builder.extract_value(arguments[1], k) for k in range(len(kinds))],
        )
        return context.get_dummy_value()

    return types.void(ADDRESS, types.Tuple(SIGNATURE.args)), generate


@intrinsic(prefer_literal=True)
def _sweep(
    typing: Any, value: Any, mask: Any, weight: Any, before: Any, grown: Any, out: Any, pitch: Any, columns: Any, floor: Any,
    width: Any, stride: Any, vectors: Any,
) -> Any:  # fmt: skip
    plan = Row(width.literal_value, stride.literal_value, vectors.literal_value)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value, mask, weight, before, grown, out, pitch, columns, floor = arguments[:9]
        floats, words = FLOAT.as_pointer(), INT64.as_pointer()
        value, weight, before, out = (
            builder.inttoptr(address, floats) for address in (value, weight, before, out)
        )
        mask = builder.inttoptr(mask, words)
        _groups(
            builder,
            plan,
            value,
            mask,
            weight,
            (before, grown),
            (out, pitch),
            columns,
            repeated(builder, floor),
        )
        return context.get_dummy_value()

    return types.void(*SIGNATURE.args, width, stride, vectors), generate


class Row(NamedTuple):
    """What a row is generated for: kernel columns, horizontal stride, filters / 16."""

    width: int
    stride: int
    vectors: int


def _groups(
    builder: Any,
    plan: Row,
    value: Any,
    mask: Any,
    weight: Any,
    old: tuple[Any, Any],
    new: tuple[Any, Any],
    columns: Any,
    lowest: Any,
) -> None:
    """A loop over groups of ``stride`` columns: their values into the outputs under way, then the oldest of those is done."""
    width, stride, vectors = plan
    under_way = -(-width // stride)
    before, begin, end = (
        builder.block,
        builder.append_basic_block("group"),
        builder.append_basic_block("done"),
    )
    groups = builder.add(columns, number(under_way - 1))
    builder.branch(begin)
    builder.position_at_end(begin)
    group, value_now = builder.phi(INT64), builder.phi(value.type)
    group.add_incoming(number(0), before)
    value_now.add_incoming(value, before)
    entering = [[builder.phi(FLOATS) for _ in range(vectors)] for _ in range(under_way)]
    for one in entering:
        for phi in one:
            phi.add_incoming(ZERO, before)

    sums, reached = [list(one) for one in entering], value_now
    for phase in range(stride):
        taps = range(
            phase, width, stride
        )  # the kernel columns that meet this column: the newest output's first
        if taps:
            column = builder.add(builder.mul(group, number(stride)), number(phase))
            bits = builder.load(builder.gep(mask, [column]))
            sums[: len(taps)], reached = _pixel(
                builder, plan, taps, bits, reached, weight, sums[: len(taps)]
            )

    # the oldest output; the first groups finish columns left of the map, which nobody asked for
    flush, on = builder.append_basic_block("flush"), builder.append_basic_block("on")
    builder.cbranch(builder.icmp_unsigned(">=", group, number(under_way - 1)), flush, on)
    builder.position_at_end(flush)
    column = builder.sub(group, number(under_way - 1))
    source, target = (builder.gep(base, [builder.mul(column, step)]) for base, step in (old, new))
    for q in range(vectors):
        total = builder.fadd(read(builder, builder.gep(source, [number(q * LANES)])), sums[-1][q])
        below = builder.fcmp_ordered("<", total, lowest)  # not so for NaN, which stays
        write(
            builder, builder.gep(target, [number(q * LANES)]), builder.select(below, lowest, total)
        )
    builder.branch(on)
    builder.position_at_end(on)

    following = builder.add(group, number(1))
    group.add_incoming(following, on)
    value_now.add_incoming(reached, on)
    for age, one in enumerate(entering):
        for q, phi in enumerate(one):
            phi.add_incoming(sums[age - 1][q] if age else ZERO, on)
    builder.cbranch(builder.icmp_unsigned("<", following, groups), begin, end)
    builder.position_at_end(end)


def _pixel(
    builder: Any, plan: Row, taps: range, bits: Any, value: Any, weight: Any, sums: list[list[Any]]
) -> tuple[list[list[Any]], Any]:
    """A loop over the channels that are not zero at one pixel; returns the new sums and where the next pixel's values begin."""
    width, _, vectors = plan
    before = builder.block
    test, body, end = (
        builder.append_basic_block(name) for name in ("channels", "channel", "pixel")
    )
    builder.branch(test)
    builder.position_at_end(test)
    left, value_now = builder.phi(bits.type), builder.phi(value.type)
    left.add_incoming(bits, before)
    value_now.add_incoming(value, before)
    entering = [[builder.phi(FLOATS) for _ in range(vectors)] for _ in taps]
    for one, found in zip(entering, sums, strict=True):
        for phi, start in zip(one, found, strict=True):
            phi.add_incoming(start, before)
    builder.cbranch(builder.icmp_unsigned("!=", left, ir.Constant(left.type, 0)), body, end)

    builder.position_at_end(body)
    channel = call(builder, "llvm.cttz.i64", INT64, left, ir.Constant(BIT, 1))
    of_channel = builder.gep(weight, [builder.mul(channel, number(width * vectors * LANES))])
    factor = repeated(builder, builder.load(value_now))
    for one, tap in zip(entering, taps, strict=True):
        for q, phi in enumerate(one):
            filters = read(builder, builder.gep(of_channel, [number((tap * vectors + q) * LANES)]))
            phi.add_incoming(
                builder.fadd(builder.fmul(factor, filters, flags=FUSED), phi, flags=FUSED), body
            )
    left.add_incoming(builder.and_(left, builder.sub(left, ir.Constant(left.type, 1))), body)
    value_now.add_incoming(builder.gep(value_now, [number(1)]), body)
    builder.branch(test)
    builder.position_at_end(end)
    return [list(one) for one in entering], value_now
