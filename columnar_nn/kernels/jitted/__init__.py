"""The kernels themselves: Python functions that numba compiles, never run as Python.

`jitted/pool.py` holds the functions of the kernels that `kernels/pool.py` binds. This folder is
imported only where the cache lacks a kernel: a process that finds all of its kernels there does
not import numba.

A kernel is a function of those it needs of `parameters` (the record that binding fills), `source`
and `second` (one image of each input), `target`, `scratch`, `part` and `parts`; see `kernels.jit`.
Annotations say what memory holds: `Floats`, `Blocks`, `Words` or `Bytes` of `kernels.parameters`,
which are indexed by item, whatever its size. Where a kernel differs by a constant, a function of
that constant, named as the kernel, returns it.

    def scale(parameters: Scale, source: Blocks, target: Blocks, part: int, parts: int) -> None:
        p = parameters
        for index in share(p.blocks, part, parts):
            target[index] = source[index] * p.factor

The language is what numba compiles of loops, branches, numbers, tuples and these:

- `blocks`: the type of 16 float32, its operators, `where`, `maximum`, `fma` ...
- `memory`: indexing, views, images, copies, the share of a part
- `threads`: what several threads share: counters, clocks, calls
- functions marked `@inlined` (of Python) or `@emitted` (of LLVM's language): see `compiler`

Integers are int64; `//` and `%` take them as not negative, which is faster. Nothing is
checked: no index, no division. There are no exceptions, lists, strings and nested functions.
"""
