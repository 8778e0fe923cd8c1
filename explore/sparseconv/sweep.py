"""The heart of the bitmap engine: one row of a map times one row of the kernel, generated for each of its widths and strides."""

from __future__ import annotations

from typing import Any, NamedTuple

from llvmlite import ir
from numba import types

from explore.sparseconv.vectors import FLOATS, FUSED, INT64, LANES, ZERO, call, intrinsic, number, place, read, repeated, write

BIT = ir.IntType(1)


@intrinsic(prefer_literal=True)
def sweep(
    typing: Any, values: Any, first: Any, masks: Any, row: Any, weights: Any, block: Any, before: Any, begun: Any, grown: Any,
    out: Any, at: Any, pitch: Any, columns: Any, floor: Any, width: Any, stride: Any, vectors: Any,
) -> Any:  # fmt: skip
    """Add to a row of sums what one row of a map gives through one row of the kernel.

    Args:
        values, first: the map row's values that are not zero begin at ``values[first]``: pixel by pixel, in order of channels.
        masks, row: ``masks[row + j]`` has a bit for each channel (up to 64) that is not zero at padded column j. There are
            ``(columns + n − 1)·stride`` of them, n = ⌈width / stride⌉.
        weights, block: ``weights[block]`` begins ``[channel, width, vectors · 16]``.
        before, begun, grown: sums so far: of column o, ``vectors · 16`` from ``before[begun + o · grown]`` on.
        out, at, pitch: where the new sums go: of column o, from ``out[at + o · pitch]`` on. May be the same place.
        columns: number of outputs.
        floor: new sums below it become it; −∞ to leave them, 0 for ReLU.
        width, stride, vectors: literal numbers: kernel columns, horizontal stride, filters / 16.

    An output column is finished when the last column that it reads has been seen, and no later one touches it: so n output
    columns are under way at a time, in n · ``vectors`` registers; they move on by one at every ``stride`` columns. Every
    value is loaded once, for all the outputs that read it.
    """
    if not all(isinstance(given, types.IntegerLiteral) for given in (width, stride, vectors)):
        return None
    plan = Row(width.literal_value, stride.literal_value, vectors.literal_value)
    index = types.uintp
    pairs = (values, index, masks, index, weights, index, before, index, index, out, index, index)
    signature = types.void(*pairs, index, types.float32, width, stride, vectors)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kinds = signature.args
        value, mask, weight, old, new = (place(context, builder, kinds[k], *arguments[k : k + 2]) for k in (0, 2, 4, 6, 9))
        lowest = repeated(builder, arguments[13])
        _groups(builder, plan, value, mask, weight, (old, arguments[8]), (new, arguments[11]), arguments[12], lowest)
        return context.get_dummy_value()

    return signature, generate


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
    before, begin, end = builder.block, builder.append_basic_block("group"), builder.append_basic_block("done")
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
        taps = range(phase, width, stride)  # the kernel columns that meet this column: the newest output's first
        if taps:
            column = builder.add(builder.mul(group, number(stride)), number(phase))
            bits = builder.load(builder.gep(mask, [column]))
            sums[: len(taps)], reached = _pixel(builder, plan, taps, bits, reached, weight, sums[: len(taps)])

    # the oldest output; the first groups finish columns left of the map, which nobody asked for
    flush, on = builder.append_basic_block("flush"), builder.append_basic_block("on")
    builder.cbranch(builder.icmp_unsigned(">=", group, number(under_way - 1)), flush, on)
    builder.position_at_end(flush)
    column = builder.sub(group, number(under_way - 1))
    source, target = (builder.gep(base, [builder.mul(column, step)]) for base, step in (old, new))
    for q in range(vectors):
        total = builder.fadd(read(builder, builder.gep(source, [number(q * LANES)])), sums[-1][q])
        below = builder.fcmp_ordered("<", total, lowest)  # not so for NaN, which stays
        write(builder, builder.gep(target, [number(q * LANES)]), builder.select(below, lowest, total))
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
    test, body, end = (builder.append_basic_block(name) for name in ("channels", "channel", "pixel"))
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
            phi.add_incoming(builder.fadd(builder.fmul(factor, filters, flags=FUSED), phi, flags=FUSED), body)
    left.add_incoming(builder.and_(left, builder.sub(left, ir.Constant(left.type, 1))), body)
    value_now.add_incoming(builder.gep(value_now, [number(1)]), body)
    builder.branch(test)
    builder.position_at_end(end)
    return [list(one) for one in entering], value_now
