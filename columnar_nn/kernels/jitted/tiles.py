"""Tile registers: eight matrices of up to 16 rows of 64 bytes, and what a matrix unit does to them.

Kernels are written against these operations, numbered as the instructions of AMX are, and
`tiles_of` gives one of two kinds that mean the same, bit for bit. `AmxTiles` are instructions.
`EmulatedTiles` do in float32 vectors what Intel's manual (Architectures Software Developer's
Manual, volume 2, TDPBF16PS) says of each, so that a kernel computes what it would there on any
processor. A product's even and odd terms are two sums, each rounded after every term, which are
added to one another and then to what the tile held.

Vectors of pairs, which mean another order of sums, are no tiles: `bfloat16_vectors` has loops of
its own for them. Which tile is of which size says a configuration of 64 bytes:
`kernels.bfloat16_tiles.configuration`. A kernel configures tiles before it uses them, and
releases them: then a thread that is switched has none to be kept.
"""

from __future__ import annotations

from typing import Protocol

from llvmlite import ir

from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jitted.bfloat16_lanes import INT16, PAIRS
from columnar_nn.kernels.jitted.emitter import BLOCK, BYTE, INT32, WORD, Emitter, Value
from columnar_nn.kernels.parameters import BLOCK_BYTES

TILE_BYTES = LANES * BLOCK_BYTES

_NOTHING = ir.VoidType()


class Tiles(Protocol):
    """The operations. Tiles are numbers known when a kernel is compiled; strides are bytes."""

    def zero(self, tile: int) -> None:
        """Makes a tile zero."""

    def load(self, tile: int, address: Value, stride: Value) -> None:
        """Reads a tile's rows, which lie a stride apart; what lies there must not change before
        its last use.
        """

    def multiply_add(self, total: int, left: int, right: int) -> None:
        """total += left x right: rows of pairs of bfloat16 by pairs of rows of bfloat16."""

    def store(self, tile: int, address: Value, stride: Value) -> None:
        """Writes a tile's rows a stride apart."""


class AmxTiles:
    """The registers of the processor."""

    def __init__(self, e: Emitter) -> None:
        self._e = e

    def zero(self, tile: int) -> None:
        self._call("tilezero", BYTE(tile))

    def load(self, tile: int, address: Value, stride: Value) -> None:
        self._call("tileloadd64", BYTE(tile), self._e.pointer(address, BYTE), stride.ir)

    def multiply_add(self, total: int, left: int, right: int) -> None:
        self._call("tdpbf16ps", BYTE(total), BYTE(left), BYTE(right))

    def store(self, tile: int, address: Value, stride: Value) -> None:
        self._call("tilestored64", BYTE(tile), self._e.pointer(address, BYTE), stride.ir)

    def _call(self, name: str, *arguments: ir.Value) -> None:
        self._e.call(f"llvm.x86.{name}", _NOTHING, *arguments)


class EmulatedTiles:
    """Memory in place of the registers that hold sums; others are read where they were loaded."""

    def __init__(self, e: Emitter, configuration: Value, memory: Value) -> None:
        self._e = e
        self._memory = memory
        self._loaded: dict[int, tuple[Value, Value]] = {}
        self._rows, self._pairs = [], []
        for tile in range(8):
            rows = e.load(configuration + (48 + tile), BYTE, 1)
            row_bytes = e.load(configuration + (16 + 2 * tile), INT16, 2)
            self._rows.append(e.of(e.builder.zext(rows.ir, WORD)))
            self._pairs.append(e.of(e.builder.zext(row_bytes.ir, WORD)) // 4)

    def zero(self, tile: int) -> None:
        self._e.clear(self._at(tile), TILE_BYTES)

    def load(self, tile: int, address: Value, stride: Value) -> None:
        self._loaded[tile] = (address, stride)

    def multiply_add(self, total: int, left: int, right: int) -> None:
        e = self._e
        (lefts, left_stride), (rights, right_stride) = self._loaded[left], self._loaded[right]
        with e.loop(self._rows[total]) as row:
            even, odd = (e.variable(e.constant(BLOCK, 0.0)) for _ in range(2))
            with e.loop(self._pairs[left]) as pair:
                both = e.load(lefts + row * left_stride + pair * 4, INT32, 2)
                terms = _halves(e, e.splat(both, LANES))
                weights = _halves(e, e.load(rights + pair * right_stride, PAIRS, 2))
                for slot, term, weight in zip((even, odd), terms, weights, strict=True):
                    slot.value = e.multiply_add(term, weight, slot.value)
            place = self._at(total) + row * BLOCK_BYTES
            e.store(place, e.load(place, BLOCK) + (even.value + odd.value))

    def store(self, tile: int, address: Value, stride: Value) -> None:
        e = self._e
        with e.loop(self._rows[tile]) as row:
            e.store(address + row * stride, e.load(self._at(tile) + row * BLOCK_BYTES, BLOCK))

    def _at(self, tile: int) -> Value:
        return self._memory + TILE_BYTES * tile


def tiles_of(kind: str, e: Emitter, configuration: Value, memory: Value) -> Tiles:
    """Tiles of kind "amx" or "emulated", configured; those keep sums in 4 x TILE_BYTES of `memory`.

    AMX's are configured by `configure`, those that emulate them by the same 64 bytes.
    """
    return AmxTiles(e) if kind == "amx" else EmulatedTiles(e, configuration, memory)


def configure(kind: str, e: Emitter, configuration: Value) -> None:
    """Makes the tiles of the sizes that 64 bytes at an address say; their content is lost."""
    if kind == "amx":
        e.call("llvm.x86.ldtilecfg", _NOTHING, e.pointer(configuration, BYTE))


def release(kind: str, e: Emitter) -> None:
    """Ends the use of tiles."""
    if kind == "amx":
        e.call("llvm.x86.tilerelease", _NOTHING)


def _halves(e: Emitter, pairs: Value) -> tuple[Value, Value]:
    """The first and the second of pairs of bfloat16, as float32 lanes."""
    builder = e.builder
    low = builder.shl(pairs.ir, pairs.constant(16))
    high = builder.and_(pairs.ir, pairs.constant(-65536))
    return e.of(builder.bitcast(low, BLOCK)), e.of(builder.bitcast(high, BLOCK))
