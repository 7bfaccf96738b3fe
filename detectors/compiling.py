"""How kernels are compiled, and how the machine code is kept for the next start.

numba compiles a kernel at its first call, which takes seconds, so the loops that the bank calls are cached on disk,
in ``__pycache__`` beside this package or, where that cannot be written, in the user's cache directory. numba's own
cache looks only at the file of the cached function: after an edit to a helper in another file it would go on
running the old machine code. Ours is keyed by every source file of the function's package.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

import numba
import numpy as np
from llvmlite.ir import IRBuilder, Value  # type: ignore[import-untyped]
from numba.core import cgutils, types
from numba.core.base import BaseContext
from numba.core.caching import FunctionCache
from numba.core.typing.templates import Signature
from numba.extending import intrinsic


class Record:
    """A row of a structured array as kernels see it; the dtype says which numbers and arrays its fields are."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - only the dtype knows
        raise TypeError("kernels run compiled, on rows of structured arrays")

    def __setattr__(self, name: str, value: Any) -> None:  # noqa: ANN401
        raise TypeError("kernels run compiled, on rows of structured arrays")


P = ParamSpec("P")
R = TypeVar("R")


@cache
def fingerprint_of_sources(folder: Path) -> str:
    """Return what changes with any edit to a source file of this folder."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.py")):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


class _PackageCache(FunctionCache):
    """A disk cache that any edit in this package makes stale."""

    def __init__(self, function: Callable[..., object]) -> None:
        super().__init__(function)  # type: ignore[no-untyped-call]
        self._sources = fingerprint_of_sources(Path(function.__code__.co_filename).parent)
        self._cache_file._source_stamp = self._sources

    def _index_key(self, sig: object, codegen: object) -> tuple[object, object, str]:
        # Not the closure, as numba does: the pickle of a kernel in a closure differs from process to process.
        return sig, codegen.magic_tuple(), self._sources  # type: ignore[attr-defined]


# numba's stubs do not know two options that spare us what only Python and C would call: a fifth of a first start.
_njit = cast("Callable[..., Callable[..., object]]", partial(numba.njit, error_model="numpy", no_cfunc_wrapper=True))


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a kernel that other kernels call. Its code ends up inside theirs and is not cached by itself."""
    return cast("Callable[P, R]", _njit(function, forceinline=True, no_cpython_wrapper=True))


def seldom(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a kernel that other kernels call now and then: once, by itself, instead of into each of its callers.

    Inlining what runs once in a thousand samples makes nothing faster, and made a first start a minute longer.
    """
    return cast("Callable[P, R]", _njit(function, no_cpython_wrapper=True))


def cached_kernel(function: Callable[P, R], *, name: str) -> Callable[P, R]:
    """Compile a kernel that Python calls and keep the machine code under ``name``, unique in its package."""
    function.__qualname__ = name
    dispatcher = _njit(function)
    # Where neither place can be written, the kernel is compiled anew at every start.
    with suppress(RuntimeError):
        dispatcher._cache = _PackageCache(function)  # type: ignore[attr-defined]
    return cast("Callable[P, R]", dispatcher)


def _own_copy(typing: object, record: types.Record) -> tuple[Signature, Callable[..., Value]]:
    def build(context: BaseContext, builder: IRBuilder, signature: Signature, arguments: list[Value]) -> Value:
        (source,) = arguments
        copy = cgutils.alloca_once(builder, source.type.pointee)  # type: ignore[no-untyped-call]
        copy.align = 16
        cgutils.raw_memcpy(builder, copy, source, _size(context, record), 1)  # type: ignore[no-untyped-call]
        return copy

    return record(record), build


def _overwrite(typing: object, target: types.Record, source: types.Record) -> tuple[Signature, Callable[..., Value]]:
    def build(context: BaseContext, builder: IRBuilder, signature: Signature, arguments: list[Value]) -> Value:
        to, of = arguments
        cgutils.raw_memcpy(builder, to, of, _size(context, target), 1)  # type: ignore[no-untyped-call]
        return context.get_dummy_value()  # type: ignore[no-untyped-call]

    return types.void(target, source), build


def _size(context: BaseContext, record: types.Record) -> Value:
    return context.get_constant(types.intp, record.size)  # type: ignore[no-untyped-call]


def _from_row(
    typing: object, column: types.Array | types.CPointer, row: types.Integer
) -> tuple[Signature, Callable[..., Value]]:
    def build(context: BaseContext, builder: IRBuilder, signature: Signature, arguments: list[Value]) -> Value:
        first = arguments[0]
        if isinstance(column, types.Array):
            first = context.make_array(column)(context, builder, first).data  # type: ignore[no-untyped-call]
        return builder.gep(first, [arguments[1]])

    return types.CPointer(column.dtype)(column, types.intp), build  # type: ignore[no-untyped-call]


# from_row(column, row) gives the column from this row on, without a length and without an owner: arrays that kernels
# hand on are counted up and down at every call, and each index into them could be one below 0. Loops over bare columns
# are compiled to steps of several rows at once.
from_row = cast("Callable[[np.ndarray, int], np.ndarray]", intrinsic(_from_row))
# number(0) is a number that is not known when the kernel is compiled. A literal would be compiled for twice by each
# kernel that it is handed on to: once as this literal, once as any number.
number = cast("Callable[[int], int]", _njit(lambda literal: int(np.int64(literal)), no_cpython_wrapper=True))
# own_copy(record) gives a copy of a row that is the kernel's own, whose fields the compiler may keep in registers:
# in an array any write might change them, as far as it can know. Called in a loop it is the same copy, written over.
own_copy = cast("Callable[[Record], Record]", intrinsic(_own_copy))
# overwrite(target, source) writes all of ``source`` over ``target``, a row of the same dtype.
overwrite = cast("Callable[[Record, Record], None]", intrinsic(_overwrite))
