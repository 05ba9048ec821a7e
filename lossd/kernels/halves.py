"""float16 and bfloat16 in memory, float32 in a kernel.

A kernel that knows float32 alone is called for one block after another, on copies of the block:
what it reads is widened right before, the gradients that it writes are rounded right after, while
both are in cache. The conversions are made of integers, which any processor has side by side.
"""

import math
from collections.abc import Callable
from typing import Any, Final

import numba as nb
import numpy as np
import numpy.typing as npt
from llvmlite import ir
from lossd_client.dtypes import is_bfloat16
from numba import carray, types
from numba.extending import intrinsic, register_jitable

from lossd.compiled.stack import stack
from lossd.kernels import cache, runtime, slots
from lossd.kernels.slots import call_block, pointer

Array = npt.NDArray[Any]

CHUNK: Final = 8192  # elements of a whole array that are converted at once
PARALLEL_FROM: Final = 1 << 16  # elements from which threads share the work

_READ_FLOAT16, _READ_BFLOAT16, _WRITE_FLOAT16, _WRITE_BFLOAT16 = range(4)

_I16, _I32, _F32 = ir.IntType(16), ir.IntType(32), ir.FloatType()
_INF16, _INF32 = 0x7C00, 0x7F800000


def _function(result: Any, argument: Any, build: Callable[[Any, Any], Any]) -> Any:
    """A function of one number, written in LLVM's instructions: Numba's integers are of 64 bits."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return build(builder, args[0])

    @intrinsic
    def function(typingctx: Any, x: Any) -> Any:
        return result(argument), generate

    return function


def _from_float16(b: Any, half: Any) -> Any:
    """The exponent is moved by a product, which is exact and normalises subnormal values."""
    bits = b.zext(half, _I32)
    size = b.and_(bits, _I32(0x7FFF))
    moved = b.shl(size, _I32(13))
    value = b.bitcast(b.fmul(b.bitcast(moved, _F32), _F32(2.0**112)), _I32)
    beyond = b.icmp_unsigned(">=", size, _I32(_INF16))
    value = b.select(beyond, b.or_(moved, _I32(_INF32)), value)
    sign = b.shl(b.and_(bits, _I32(0x8000)), _I32(16))
    return b.bitcast(b.or_(value, sign), _F32)


def _to_float16(b: Any, number: Any) -> Any:
    """To the nearest, ties to even; below 2^-14 a sum with 0.5 rounds to the last place."""
    bits = b.bitcast(number, _I32)
    size = b.and_(bits, _I32(0x7FFFFFFF))
    odd = b.and_(b.lshr(size, _I32(13)), _I32(1))
    rounded = b.add(b.add(size, _I32(0xFFF - (112 << 23))), odd)
    value = b.lshr(rounded, _I32(13))
    small = b.bitcast(b.fadd(b.bitcast(size, _F32), _F32(0.5)), _I32)
    below = b.icmp_unsigned("<", size, _I32(113 << 23))
    value = b.select(below, b.sub(small, _I32(126 << 23)), value)
    nan = b.icmp_unsigned(">", size, _I32(_INF32))
    special = b.select(nan, _I32(_INF16 | 0x200), _I32(_INF16))
    value = b.select(b.icmp_unsigned(">=", size, _I32(143 << 23)), special, value)
    sign = b.and_(b.lshr(bits, _I32(16)), _I32(0x8000))
    return b.trunc(b.or_(value, sign), _I16)


def _from_bfloat16(b: Any, half: Any) -> Any:
    return b.bitcast(b.shl(b.zext(half, _I32), _I32(16)), _F32)


def _to_bfloat16(b: Any, number: Any) -> Any:
    """To the nearest, ties to even."""
    bits = b.bitcast(number, _I32)
    kept = b.lshr(bits, _I32(16))
    rounded = b.lshr(b.add(b.add(bits, _I32(0x7FFF)), b.and_(kept, _I32(1))), _I32(16))
    nan = b.icmp_unsigned(">", b.and_(bits, _I32(0x7FFFFFFF)), _I32(_INF32))
    return b.trunc(b.select(nan, b.or_(kept, _I32(0x40)), rounded), _I16)


_of_float16 = _function(types.float32, types.uint16, _from_float16)
_as_float16 = _function(types.uint16, types.float32, _to_float16)
_of_bfloat16 = _function(types.float32, types.uint16, _from_bfloat16)
_as_bfloat16 = _function(types.uint16, types.float32, _to_bfloat16)


@register_jitable
def _convert(way: int, halves: Any, wide: Any) -> None:
    """Between two arrays of the same length."""
    if way == _READ_FLOAT16:
        for i in range(wide.size):
            wide[i] = _of_float16(halves[i])
    elif way == _READ_BFLOAT16:
        for i in range(wide.size):
            wide[i] = _of_bfloat16(halves[i])
    elif way == _WRITE_FLOAT16:
        for i in range(wide.size):
            halves[i] = _as_float16(wide[i])
    else:
        for i in range(wide.size):
            halves[i] = _as_bfloat16(wide[i])


# --- blocks of a kernel --------------------------------------------------------------------------

# What the block function below is called with: the kernel, its arguments, how many arrays, and
# for each of them the slot where the kernel looks for it, which way it goes, where it is.
_HEAD, _EACH = 3, 3

_SLOTS: Final = slots.COUNT


def _block(args: int, index: int) -> None:
    """A kernel's block, on float32 copies of what is in halves."""
    head = carray(pointer(args, nb.int64), _HEAD)
    count = head[2]
    arrays = carray(pointer(args + 8 * _HEAD, nb.int64), (count, _EACH))
    asked = carray(pointer(head[1], nb.int64), slots.COUNT)
    given = carray(stack(nb.int64, _SLOTS), _SLOTS)
    for k in range(slots.COUNT):
        given[k] = asked[k]
    step = asked[slots.BLOCK_ROWS]
    rows = min(step, asked[slots.ROWS] - index * step)
    start, length = index * step * asked[slots.WIDTH], rows * asked[slots.WIDTH]
    space = np.empty((count, length), np.float32)
    for k in range(count):
        given[arrays[k, 0]] = space[k].ctypes.data - 4 * start
        if arrays[k, 1] <= _READ_BFLOAT16:
            halves = carray(pointer(arrays[k, 2] + 2 * start, nb.uint16), length)
            _convert(arrays[k, 1], halves, space[k])
    call_block(head[0], given.ctypes.data, index)
    for k in range(count):
        if arrays[k, 1] > _READ_BFLOAT16:
            halves = carray(pointer(arrays[k, 2] + 2 * start, nb.uint16), length)
            _convert(arrays[k, 1], halves, space[k])


_blocks: Final = cache.Kernel(_block, types.void(types.intp, types.intp), cache.digest())
ENTRY: Final = _blocks.entry
"""The kernel that is called in place of one, with what `arguments` gives."""


Place = tuple[int, np.dtype[Any], int]


def arguments(kernel: int, args: int, read: list[Place], write: list[Place]) -> Array:
    """What `ENTRY` is called with.

    Args:
        kernel: the kernel's address.
        args: the address of its arguments (slots.py).
        read: slot, type and address of operands of rows·width halves, one after another.
        write: those of gradients.
    """
    words = [kernel, args, len(read) + len(write)]
    for slot, dtype, place in read:
        words += [slot, _READ_BFLOAT16 if is_bfloat16(dtype) else _READ_FLOAT16, place]
    for slot, dtype, place in write:
        words += [slot, _WRITE_BFLOAT16 if is_bfloat16(dtype) else _WRITE_FLOAT16, place]
    return np.array(words, np.int64)


def place_of(position: int) -> int:
    """Where the address of what is read stands in these words: bytes from their beginning.

    Args:
        position: which of those that are read it is.
    """
    return 8 * (_HEAD + _EACH * position + 2)


# --- whole arrays --------------------------------------------------------------------------------


def _chunk(args: int, index: int) -> None:
    """Chunk `index` of an array: which way, the halves, the wide ones, how many."""
    a = carray(pointer(args, nb.int64), 4)
    first = index * CHUNK
    count = min(CHUNK, a[3] - first)
    halves = carray(pointer(a[1] + 2 * first, nb.uint16), count)
    wide = carray(pointer(a[2] + 4 * first, nb.float32), count)
    _convert(a[0], halves, wide)


_chunks: Final = cache.Kernel(_chunk, types.void(types.intp, types.intp), cache.digest())


def widen(array: Array, out: Array) -> None:
    """Copy a contiguous array of halves to one of float32."""
    way = _READ_BFLOAT16 if is_bfloat16(array.dtype) else _READ_FLOAT16
    _run(way, array, out)


def narrow(array: Array, out: Array) -> None:
    """Round a contiguous array of float32 to one of halves: to the nearest, ties to even."""
    way = _WRITE_BFLOAT16 if is_bfloat16(out.dtype) else _WRITE_FLOAT16
    _run(way, out, array)


def _run(way: int, halves: Array, wide: Array) -> None:
    words = np.array([way, _address(halves), _address(wide), wide.size], np.int64)
    blocks, threads = math.ceil(wide.size / CHUNK), runtime.get_threads()
    if wide.size >= PARALLEL_FROM and threads > 1:
        runtime.run_parallel(_chunks.entry, words.ctypes.data, 0, blocks, threads)
    else:
        runtime.run_serial(_chunks.entry, words.ctypes.data, 0, blocks)


def _address(array: Array) -> int:
    assert array.flags.c_contiguous
    return array.ctypes.data
