"""kernels/elf.py and loader.py: object code as LLVM's own loader would have it in memory."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable

import llvmlite.binding as llvm
import pytest

from columnar_nn.kernels import code_generator, elf, host, loader

MIXED = """
@shifts = internal constant [4 x i64] [i64 3, i64 1, i64 4, i64 2]
declare i64 @labs(i64)
declare i64 @other(i64)

define i64 @mixed(i64 %x) {
    %size = call i64 @labs(i64 %x)
    %index = urem i64 %size, 4
    %place = getelementptr [4 x i64], ptr @shifts, i64 0, i64 %index
    %shift = load i64, ptr %place
    %shifted = shl i64 %size, %shift
    %result = call i64 @other(i64 %shifted)
    ret i64 %result
}
"""
"""A table of constants, a function of the C library and another kernel."""

SWITCH = """
define i64 @switch(i64 %x) {
    switch i64 %x, label %other [CASES]
    BLOCKS
other:
    ret i64 -1
}
"""
"""With so many cases that LLVM makes a table of addresses of code."""

VARIABLE = """
@count = internal global i64 7
define i64 @count_up() {
    %before = load i64, ptr @count
    %after = add i64 %before, 1
    store i64 %after, ptr @count
    ret i64 %after
}
"""
STRANGER = """
declare i64 @no_such_function()
define i64 @f() {
    %result = call i64 @no_such_function()
    ret i64 %result
}
"""

RESULTS = (10, -7, 22, 9, 1 << 40, 0, 5)

linux_on_x86 = pytest.mark.skipif(
    sys.platform != "linux" or not host.is_x86(), reason="it loads files of Linux on x86-64"
)


def _object(text: str) -> bytes:
    code_generator.target_machine()  # initialises LLVM
    return code_generator.emit(llvm.parse_assembly(text))


def _function(address: int) -> Callable[[int], int]:
    found: Callable[[int], int] = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(address)
    return found


@ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)
def _one_more(number: int) -> int:
    return number + 1


CALLED = {"other": ctypes.cast(_one_more, ctypes.c_void_p).value or 0}


@linux_on_x86
def test_constants_the_c_library_and_other_kernels_are_found() -> None:
    loaded = elf.load(_object(MIXED), "mixed", CALLED)
    assert list(map(_function(loaded.address), (-5, 6, 0))) == [(5 << 1) + 1, (6 << 4) + 1, 1]


@linux_on_x86
def test_a_table_of_addresses_leads_where_llvm_wrote_it() -> None:
    cases = " ".join(f"i64 {number}, label %case{number}" for number in range(len(RESULTS)))
    blocks = "".join(f"case{n}:\nret i64 {result}\n" for n, result in enumerate(RESULTS))
    text = SWITCH.replace("CASES", cases).replace("BLOCKS", blocks)
    loaded = elf.load(_object(text), "switch", {})
    assert [_function(loaded.address)(x) for x in (*range(len(RESULTS)), 99)] == [*RESULTS, -1]


@linux_on_x86
def test_code_can_be_run_and_not_written() -> None:
    loaded = elf.load(_object(MIXED), "mixed", CALLED)
    with open("/proc/self/maps", encoding="ascii") as maps:
        modes = [
            line.split()[1]
            for line in maps
            if int(line.split("-")[0], 16)
            <= loaded.address
            < int(line.split()[0].split("-")[1], 16)
        ]
    assert modes == ["r-xp"]


@linux_on_x86
@pytest.mark.parametrize("text", [VARIABLE, STRANGER], ids=["a variable", "no such function"])
def test_what_it_cannot_do_is_said(text: str) -> None:
    name = "count_up" if text is VARIABLE else "f"
    with pytest.raises(elf.UnsupportedError):
        elf.load(_object(text), name, {})


def test_what_is_no_object_of_this_processor_is_said() -> None:
    with pytest.raises(elf.UnsupportedError):
        elf.load(b"\xcf\xfa\xed\xfe" + bytes(100), "f", {})


def test_llvm_loads_what_else_there_is() -> None:
    address = loader.load(_object(VARIABLE), "count_up", {})
    count_up = ctypes.CFUNCTYPE(ctypes.c_int64)(address)
    assert [count_up(), count_up()] == [8, 9]


def test_llvm_gives_the_same_where_files_are_of_another_system(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert _function(loader.load(_object(MIXED), "mixed", CALLED))(6) == (6 << 4) + 1
