"""Machine operations that Numba lacks: atomic counters, calls of functions by address, pointers.

Each intrinsic writes LLVM code. The comment above that code is the C that it stands for.
"""

from __future__ import annotations

import ctypes
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic as _intrinsic

intrinsic: Any = _intrinsic
"""``numba.extending.intrinsic``; its types inside compiled code are unknown to a type checker."""

WORD, INT = ir.IntType(64), ir.IntType(32)


def c_address(name: str) -> int:
    """Return the address of a function of the C library, or 0 if it has none of that name.

    Example:
        >>> c_address("no_such_function")
        0
    """
    try:
        return ctypes.cast(getattr(ctypes.CDLL(None), name), ctypes.c_void_p).value or 0
    except (TypeError, OSError, AttributeError):  # Windows, for example
        return 0


SCHED_YIELD, GETCPU, GET_AFFINITY, SET_AFFINITY = (
    c_address(f"sched_{name}") for name in ("yield", "getcpu", "getaffinity", "setaffinity")
)


# ---- atomic operations on 64-bit counters: counters[index], or record, "field"


def _counter(context: Any, builder: Any, kind: Any, name: Any, container: Any, index: Any) -> Any:
    """Return the address of ``array[index]``, or of a field of a record."""
    if isinstance(kind, types.Record):
        offset = ir.Constant(WORD, kind.offset(name.literal_value))
        start = builder.bitcast(container, ir.IntType(8).as_pointer())
        return builder.bitcast(builder.gep(start, [offset]), WORD.as_pointer())
    return builder.gep(context.make_array(kind)(context, builder, container).data, [index])


def _index_type(container: Any, index: Any) -> Any:
    """Return the type of an index into an array, or of the name of a record's field."""
    return index if isinstance(container, types.Record) else types.uintp


@intrinsic(prefer_literal=True)
def atomic_fetch_add(typing: Any, counters: Any, index: Any, count: Any) -> Any:
    """Add ``count`` to a counter and return its old value (sequentially consistent)."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        # return atomic_fetch_add(&counters[index], count);
        address = _counter(context, builder, signature.args[0], index, *arguments[:2])
        return builder.atomic_rmw("add", address, arguments[2], "seq_cst")

    return types.uintp(counters, _index_type(counters, index), types.uintp), generate


@intrinsic(prefer_literal=True)
def atomic_load(typing: Any, counters: Any, index: Any) -> Any:
    """Return a counter, and make visible what other threads wrote before they changed it."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        # return atomic_load(&counters[index]);
        address = _counter(context, builder, signature.args[0], index, *arguments)
        return builder.bitcast(builder.load_atomic(address, "seq_cst", 8), WORD)

    return types.uintp(counters, _index_type(counters, index)), generate


@intrinsic(prefer_literal=True)
def atomic_store(typing: Any, counters: Any, index: Any, value: Any) -> Any:
    """Set a counter; every thread reads the new value before it sees any later write."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        # atomic_exchange(&counters[index], value);
        address = _counter(context, builder, signature.args[0], index, *arguments[:2])
        builder.atomic_rmw("xchg", address, arguments[2], "seq_cst")
        return context.get_dummy_value()

    return types.void(counters, _index_type(counters, index), types.uintp), generate


# ---- calls of functions by address


def _function(builder: Any, address: Any, result: Any, *arguments: Any) -> Any:
    """Return an address as a pointer to a function of these types."""
    return builder.inttoptr(address, ir.FunctionType(result, arguments).as_pointer())


@intrinsic
def call_kernel(typing: Any, kernel: Any, arguments: Any, thread: Any) -> Any:
    """Call a compiled kernel with the address of its arguments and the number of this thread."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        # ((void (*)(uint64_t, uint64_t))kernel)(arguments, thread);
        builder.call(_function(builder, values[0], ir.VoidType(), WORD, WORD), values[1:])
        return context.get_dummy_value()

    return types.void(types.uintp, types.uintp, types.uintp), generate


@intrinsic
def call_gomp_parallel(typing: Any, gomp: Any, member: Any, data: Any, threads: Any) -> Any:
    """Call ``GOMP_parallel`` at the address ``gomp``; each thread then calls ``member(data)``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        # GOMP_parallel((void (*)(void *))member, (void *)data, (unsigned)threads, 0);
        gomp, member, data, threads = arguments
        function = _function(builder, gomp, ir.VoidType(), WORD, WORD, INT, INT)
        builder.call(function, [member, data, builder.trunc(threads, INT), ir.Constant(INT, 0)])
        return context.get_dummy_value()

    return types.void(types.uintp, types.uintp, types.uintp, types.uintp), generate


@intrinsic
def call_affinity(typing: Any, function: Any, cores: Any) -> Any:
    """Call ``sched_getaffinity`` or ``sched_setaffinity`` for this thread; return its success.

    ``cores`` has one bit for each core.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        # return sched_getaffinity(0, 8 * n_words, (cpu_set_t *)cores) >= 0;
        bits = context.make_array(signature.args[1])(context, builder, arguments[1])
        size = builder.mul(bits.nitems, ir.Constant(WORD, 8))
        function = _function(builder, arguments[0], INT, INT, WORD, bits.data.type)
        status = builder.call(function, [ir.Constant(INT, 0), size, bits.data])
        return builder.icmp_signed(">=", status, ir.Constant(INT, 0))

    return types.boolean(types.uintp, cores), generate


@intrinsic
def yield_core(typing: Any, sched_yield: Any) -> Any:
    """Call ``sched_yield``, so that a spinning thread lets the working threads run.

    Does nothing if the address is 0.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        # if (sched_yield) sched_yield();
        with builder.if_then(builder.icmp_unsigned("!=", arguments[0], ir.Constant(WORD, 0))):
            builder.call(_function(builder, arguments[0], INT), [])
        return context.get_dummy_value()

    return types.void(types.uintp), generate


@intrinsic
def call_for_int(typing: Any, function: Any) -> Any:
    """Call ``int f(void)`` by its address (``sched_getcpu``, ``omp_get_thread_num``).

    Returns the largest 64-bit number if the address is 0.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        # return function ? (uint64_t)(int64_t)function() : UINT64_MAX;
        start = builder.block
        calling, end = builder.append_basic_block("call"), builder.append_basic_block("end")
        exists = builder.icmp_unsigned("!=", arguments[0], ir.Constant(WORD, 0))
        builder.cbranch(exists, calling, end)
        builder.position_at_end(calling)
        number = builder.sext(builder.call(_function(builder, arguments[0], INT), []), WORD)
        builder.branch(end)
        builder.position_at_end(end)
        result = builder.phi(WORD)
        result.add_incoming(ir.Constant(WORD, -1), start)
        result.add_incoming(number, calling)
        return result

    return types.uintp(types.uintp), generate


# ---- memory by address


@intrinsic
def as_pointer(typing: Any, address: Any, like: Any) -> Any:
    """Return an address as a pointer to elements of ``like`` (a type or an array)."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        # return (T *)address;
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return types.CPointer(like.dtype)(types.uintp, like), generate


@intrinsic
def as_record(typing: Any, address: Any, dtype: Any) -> Any:
    """Return the record of a NumPy structured ``dtype`` that is stored at an address."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        # return *(struct T *)address;
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return dtype.dtype(types.uintp, dtype), generate
