"""Numbers that several threads count with, inside Numba functions."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic as _intrinsic

intrinsic: Any = _intrinsic
"""A function whose instructions are given; what types it has inside Numba code, a reader of types cannot know."""


def _address(context: Any, builder: Any, kind: Any, counters: Any, index: Any) -> Any:
    return builder.gep(context.make_array(kind)(context, builder, counters).data, [index])


@intrinsic
def take(typing: Any, counters: Any, index: Any, count: Any) -> Any:
    """``counters[index]`` (64 bits), which grows by ``count``, in one step for all threads; what was written before is seen by
    whoever sees it grown."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address = _address(context, builder, signature.args[0], *arguments[:2])
        return builder.atomic_rmw("add", address, arguments[2], "seq_cst")

    return types.uintp(counters, types.uintp, types.uintp), generate


@intrinsic
def seen(typing: Any, counters: Any, index: Any) -> Any:
    """``counters[index]`` (64 bits) as it is now, and all that was written before it grew so far."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        found = builder.load_atomic(
            _address(context, builder, signature.args[0], *arguments), "seq_cst", 8
        )
        return builder.bitcast(found, ir.IntType(64))

    return types.uintp(counters, types.uintp), generate


@intrinsic
def put(typing: Any, counters: Any, index: Any, value: Any) -> Any:
    """``counters[index] = value`` (64 bits), seen by all threads before anything that follows is done."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address = _address(context, builder, signature.args[0], *arguments[:2])
        builder.atomic_rmw("xchg", address, arguments[2], "seq_cst")
        return context.get_dummy_value()

    return types.void(counters, types.uintp, types.uintp), generate


@intrinsic
def call(typing: Any, function: Any, first: Any, second: Any) -> Any:
    """Call a compiled function, by its address, with two 64-bit numbers."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(ir.VoidType(), [ir.IntType(64)] * 2).as_pointer()
        builder.call(builder.inttoptr(arguments[0], kind), arguments[1:])
        return context.get_dummy_value()

    return types.void(types.uintp, types.uintp, types.uintp), generate


@intrinsic
def call_fork(typing: Any, function: Any, member: Any, argument: Any, threads: Any) -> Any:
    """Call ``GOMP_parallel``, by its address: so many threads call ``member``, by its address, with one 64-bit number."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word, half = ir.IntType(64), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [word, word, half, half]).as_pointer()
        function, member, argument, threads = arguments
        flags = ir.Constant(half, 0)
        builder.call(
            builder.inttoptr(function, kind),
            [member, argument, builder.trunc(threads, half), flags],
        )
        return context.get_dummy_value()

    return types.void(types.uintp, types.uintp, types.uintp, types.uintp), generate


@intrinsic
def affinity(typing: Any, function: Any, cores: Any) -> Any:
    """Call ``sched_getaffinity`` or ``sched_setaffinity``, by its address, for this thread, with a bit for each core; whether it
    worked."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word, half = ir.IntType(64), ir.IntType(32)
        bits = context.make_array(signature.args[1])(context, builder, arguments[1])
        size = builder.mul(bits.nitems, ir.Constant(word, 8))
        kind = ir.FunctionType(half, [half, word, bits.data.type]).as_pointer()
        told = builder.call(
            builder.inttoptr(arguments[0], kind), [ir.Constant(half, 0), size, bits.data]
        )
        return builder.icmp_signed(">=", told, ir.Constant(half, 0))

    return types.boolean(types.uintp, cores), generate


@intrinsic
def let_others(typing: Any, function: Any) -> Any:
    """Call ``sched_yield``, whose address is given (nothing if it is 0): who waits should not keep the core from those it
    waits for."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(ir.IntType(32), []).as_pointer()
        with builder.if_then(
            builder.icmp_unsigned("!=", arguments[0], ir.Constant(ir.IntType(64), 0))
        ):
            builder.call(builder.inttoptr(arguments[0], kind), [])
        return context.get_dummy_value()

    return types.void(types.uintp), generate


@intrinsic
def ask(typing: Any, function: Any) -> Any:
    """What a function without arguments, whose address is given, says (``sched_getcpu``, ``omp_get_thread_num``); a large number
    if the address is 0."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        number, kind = ir.IntType(64), ir.FunctionType(ir.IntType(32), []).as_pointer()
        before, ask, after = (
            builder.block,
            builder.append_basic_block("ask"),
            builder.append_basic_block("known"),
        )
        builder.cbranch(
            builder.icmp_unsigned("!=", arguments[0], ir.Constant(number, 0)), ask, after
        )
        builder.position_at_end(ask)
        told = builder.sext(builder.call(builder.inttoptr(arguments[0], kind), []), number)
        builder.branch(after)
        builder.position_at_end(after)
        found = builder.phi(number)
        found.add_incoming(ir.Constant(number, -1), before)
        found.add_incoming(told, ask)
        return found

    return types.uintp(types.uintp), generate


@intrinsic
def pointer(typing: Any, address: Any, like: Any) -> Any:
    """An address as a pointer to what ``like`` is an array of, for ``numba.carray``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return types.CPointer(like.dtype)(types.uintp, like), generate
