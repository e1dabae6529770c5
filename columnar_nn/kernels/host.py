"""What the processor offers: name, features, vector width, fused multiply-add."""

from __future__ import annotations

import ctypes
import functools
import platform
import sys

from columnar_nn.kernels import processor
from columnar_nn.settings import variables

LANES = 16
"""Channels in a block of the nchw16c layout, whatever the vector width is."""

_ARCH_PRCTL, _REQUEST_PERMISSION, _TILE_DATA = 158, 0x1023, 18
"""The system call of x86-64, what is asked of it (ARCH_REQ_XCOMP_PERM), and for what (XTILEDATA):
Linux, Documentation/arch/x86/xstate.rst.
"""


@functools.cache
def processor_name() -> str:
    """LLVM's name of the processor that kernels are compiled for.

    CNN_BENCH_PROCESSOR overrides it, for tests ("x86-64" has neither AVX nor FMA).
    """
    return variables.processor() or processor.this().name


@functools.cache
def processor_features() -> str:
    """LLVM's feature string that kernels are compiled for; empty for a processor by name."""
    if variables.processor():
        return ""
    return processor.this().features


@functools.cache
def _features() -> frozenset[str]:
    return frozenset(name for name in processor_features().split(",") if name.startswith("+"))


def is_x86() -> bool:
    """Whether this is an x86 processor (16 vector registers below AVX-512; NEON has 32)."""
    return platform.machine().lower() in {"x86_64", "amd64", "i686"}


def is_arm() -> bool:
    """Whether this is a 64-bit ARM processor."""
    return platform.machine().lower() in {"aarch64", "arm64"}


@functools.cache
def vector_width() -> int:
    """float32 lanes a vector register holds: 16 (AVX-512), 8 (AVX) or 4 (SSE, NEON).

    CNN_BENCH_VECTOR_WIDTH overrides it, for tests: LLVM legalises any width, correctly if
    slowly. Raises UsageError when the override is not 4, 8 or 16.
    """
    chosen = variables.vector_width()
    if chosen:
        return chosen
    if "+avx512f" in _features():
        return 16
    return 8 if "+avx" in _features() else 4


@functools.cache
def has_fused_multiply_add() -> bool:
    """Whether the processor multiplies and adds with one rounding in one instruction.

    Without it `llvm.fma` becomes a library call an element (20 times slower, measured), so
    the emitter writes a multiplication and an addition.
    """
    return not is_x86() or "+fma" in _features() or "+avx512f" in _features()


@functools.cache
def has_bfloat16() -> bool:
    """Whether the processor rounds to bfloat16, and multiplies pairs of it (AVX512_BF16)."""
    return "+avx512bf16" in _features()


@functools.cache
def has_tiles() -> bool:
    """Whether kernels may use AMX's tiles of bfloat16: the processor has them, and Linux lets us.

    Linux is asked for them, once a process and for all of its threads; it refuses where a thread
    has too small a stack for signals.
    """
    if not _features().issuperset({"+amx-tile", "+amx-bf16"}) or sys.platform != "linux":
        return False
    refused: int = ctypes.CDLL(None).syscall(_ARCH_PRCTL, _REQUEST_PERMISSION, _TILE_DATA)
    return not refused


def can_flush_denormals() -> bool:
    """Whether kernels can take denormals for zero: a thread's control register says so."""
    return is_x86() or is_arm()


@functools.cache
def tile_pixels() -> int:
    """Most output pixels a microkernel keeps in registers, beside `tile_blocks` of filters.

    A tile of P pixels and B blocks needs P * B * 16 / width accumulators, B * 16 / width filter
    vectors and a broadcast value: 14 * 2 + 2 + 1 of AVX-512's 32 registers, 6 * 2 + 2 + 1 of
    AVX2's 16, 3 * 4 + 1 + 1 of SSE's 16, 6 * 4 + 1 + 1 of NEON's 32.
    """
    return {16: 14, 8: 6, 4: 3 if is_x86() else 6}[vector_width()]


def depthwise_rows() -> int:
    """Rows of output pixels that a tile of a depthwise convolution keeps in registers."""
    return 2 if vector_width() == LANES or not is_x86() else 1


def depthwise_columns() -> int:
    """Most columns of such a tile; images of 7, 14, 28 ... pixels divide by 7.

    2 * 7 sums, 2 * 7 weights of a filter's row and a pixel are 29 of AVX-512's 32 registers,
    7 + 7 + 1 of AVX2's 16. LLVM splits nothing: narrower vectors take a block in several turns.
    """
    return 7


def tile_rows() -> int:
    """Rows of a product of matrices kept in registers, 32 columns each with AVX-512, else 16.

    6 * 2 + 2 + 1 of AVX-512's 32 registers, and of AVX2's 16.
    """
    return 3 if vector_width() == 4 and is_x86() else 6


def tile_blocks(filter_blocks: int) -> int:
    """16-filter blocks that a microkernel computes at once: 2 with AVX-512 if they pair up.

    A block of 16 filters is one vector there, and each multiply-add needs a value of its own
    from memory: as many loads as a core can do. Two blocks share it: 1.2 times as fast, measured.
    """
    return 2 if vector_width() == LANES and filter_blocks % 2 == 0 else 1
