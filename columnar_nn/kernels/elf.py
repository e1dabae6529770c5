"""Object code of x86-64 brought into memory to be run, as a linker and a loader would.

LLVM emits kernels for the large code model: what lies elsewhere is named by its whole address, and
that is the only relocation that they have (ELF-64 Object File Format, version 1.5; System V ABI,
AMD64 supplement, chapter 4).
"""

from __future__ import annotations

import ctypes
import functools
import mmap
import struct
import sys
from collections.abc import Mapping
from typing import NamedTuple

from columnar_nn.record import Record

_IDENTITY = b"\x7fELF\x02\x01\x01"
"""64 bits, the lowest byte first, version 1."""
_RELOCATABLE, _X86_64 = 1, 62
_PROGRAM, _SYMBOLS, _RELOCATIONS, _ZEROS = 1, 2, 4, 8
_WRITABLE, _ALLOCATED, _OF_A_THREAD = 0x1, 0x2, 0x400
_UNDEFINED, _WHOLE_ADDRESS = 0, 1

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_RELOCATION = struct.Struct("<QQq")


class UnsupportedError(Exception):
    """An object file that needs more than is done here, or a system that is not Linux."""


class Loaded(Record):
    """The address of a function, and the memory that it lies in: it must outlive all calls."""

    address: int
    memory: mmap.mmap


class _Section(Record):
    name: int
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    alignment: int
    entry_size: int

    def content(self, file: bytes) -> bytes:
        return file[self.offset : self.offset + self.size]


class _Symbol(NamedTuple):
    name: str
    section: int
    value: int


def load(file: bytes, function: str, called: Mapping[str, int]) -> Loaded:
    """The code and constants of an object file in memory of their own; it defines `function`.

    What it calls is at the addresses `called`, or the C library's. Raises UnsupportedError.
    """
    if sys.platform != "linux":
        raise UnsupportedError(sys.platform)
    sections = _sections(file)
    places, size = _places(sections)
    memory = mmap.mmap(-1, max(size, 1), mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for number, place in places.items():
        if sections[number].kind == _PROGRAM:
            memory[place : place + sections[number].size] = sections[number].content(file)
    symbols = _symbols(file, sections)

    def address(symbol: _Symbol) -> int:
        if symbol.section in places:
            return start + places[symbol.section] + symbol.value
        if symbol.section != _UNDEFINED:
            raise UnsupportedError(f"{symbol.name!r} lies in no section that is loaded")
        return called[symbol.name] if symbol.name in called else _of_c_library(symbol.name)

    for section in sections:
        if section.kind == _RELOCATIONS and section.info in places:
            for offset, info, addend in _RELOCATION.iter_unpack(section.content(file)):
                if info & 0xFFFFFFFF != _WHOLE_ADDRESS:
                    raise UnsupportedError(f"relocation {info & 0xFFFFFFFF}")
                target = address(symbols[info >> 32]) + addend
                struct.pack_into("<q", memory, places[section.info] + offset, target)
    _make_executable(start, len(memory))
    return Loaded(address(next(symbol for symbol in symbols if symbol.name == function)), memory)


def _sections(file: bytes) -> list[_Section]:
    _, kind, machine, _, _, _, table, *_, number, _ = _HEADER.unpack_from(file)
    if not file.startswith(_IDENTITY) or (kind, machine) != (_RELOCATABLE, _X86_64):
        raise UnsupportedError("no relocatable object file of x86-64")
    headers = file[table : table + number * _SECTION.size]
    return [_Section(*fields) for fields in _SECTION.iter_unpack(headers)]


def _places(sections: list[_Section]) -> tuple[dict[int, int], int]:
    """Where each section lies of those that a kernel needs, by its number, and bytes of all.

    Tables of how to unwind the stack are left out: kernels raise no exceptions.
    """
    places, size = {}, 0
    for number, section in enumerate(sections):
        if not section.flags & _ALLOCATED or section.kind not in (_PROGRAM, _ZEROS):
            continue
        if section.flags & (_WRITABLE | _OF_A_THREAD) or section.alignment > mmap.PAGESIZE:
            raise UnsupportedError("variables, or constants aligned to more than a page")
        alignment = max(section.alignment, 1)
        places[number] = -(-size // alignment) * alignment
        size = places[number] + section.size
    return places, size


def _symbols(file: bytes, sections: list[_Section]) -> list[_Symbol]:
    table = next(section for section in sections if section.kind == _SYMBOLS)
    names = sections[table.link].content(file)
    return [
        _Symbol(names[name : names.index(b"\0", name)].decode(), section, value)
        for name, _, _, section, value, _ in _SYMBOL.iter_unpack(table.content(file))
    ]


@functools.cache
def _c_library() -> ctypes.CDLL:
    """To make one makes types of its own."""
    library = ctypes.CDLL(None)
    library.mprotect.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    return library


def _of_c_library(name: str) -> int:
    try:
        function = _c_library()[name]
    except AttributeError:
        raise UnsupportedError(f"the C library has no {name}") from None
    return ctypes.cast(function, ctypes.c_void_p).value or 0


def _make_executable(start: int, size: int) -> None:
    """Of pages that were written, which can be written no more."""
    if _c_library().mprotect(start, size, mmap.PROT_READ | mmap.PROT_EXEC):
        raise UnsupportedError("the system lets no memory be run that was written")
