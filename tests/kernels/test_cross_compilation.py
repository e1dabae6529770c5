"""Kernels of plain9 as object code for a 64-bit ARM processor. It is made, and not run anywhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
import pytest

ROOT = Path(__file__).parents[2]

COMPILE = """
import json
import platform

platform.machine = lambda: "aarch64"

import llvmlite.binding as llvm

TRIPLE = "aarch64-unknown-linux-gnu"
llvm.initialize_all_targets()
llvm.initialize_all_asmprinters()
llvm.get_process_triple = lambda: TRIPLE

from columnar_nn.kernels import host, jit, program, team

assert host.is_arm() and not host.is_x86() and host.vector_width() == 4
objects = {}


def compiled(kernel):
    for called in kernel.calls:
        compiled(called)
    if kernel.file_name not in objects:
        objects[kernel.file_name] = jit.compile_kernel(kernel)
    return 1


jit._address = compiled

from adapters.base import Settings
from adapters.columnar_backend import ColumnarBackend
from columnar_nn.model import zoo

for configuration in ("pipeline/auto", "pipeline/direct", "none/auto", "bfloat16"):
    ColumnarBackend(zoo.resolve("plain9"), Settings(configuration, 2, 8))
for kernel in (program.RUNNER, team.POST, team.LEAD, team.SERVE):
    compiled(kernel)
print(json.dumps({name: code.hex() for name, code in objects.items()}))
"""
"""A process that takes itself for one on ARM, and loads none of what it compiles."""

ELF64_LITTLE, RELOCATABLE, AARCH64 = b"\x7fELF\x02\x01", 1, 183
"""Of an object file's header (ELF for the Arm 64-bit Architecture, 5.2)."""


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Object code by the name of its kernel."""
    variables = {
        "PYTHONPATH": str(ROOT),
        "CNN_BENCH_CACHE_DIR": str(tmp_path_factory.mktemp("cache")),
        "CNN_BENCH_VECTOR_WIDTH": "4",
        "CNN_BENCH_PROCESSOR": "generic",
        "NUMBA_CPU_NAME": "generic",
        "NUMBA_CPU_FEATURES": "",
    }
    done = subprocess.run(
        [sys.executable, "-c", COMPILE],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return {name: bytes.fromhex(code) for name, code in found.items()}


def test_every_kernel_of_plain9_is_an_object_for_arm(objects: dict[str, bytes]) -> None:
    families = {name.partition("-")[0] for name in objects}
    narrow = {"bfloat16", "bfloat16_reorder"}
    assert families == {"elementwise", "direct", "winograd", "dense", "runner", "team", *narrow}
    for name, code in objects.items():
        assert code.startswith(ELF64_LITTLE), name
        assert int.from_bytes(code[16:18], "little") == RELOCATABLE, name
        assert int.from_bytes(code[18:20], "little") == AARCH64, name
        assert name.encode() + b"\0" in code, "its symbol"
        assert text_of(code)


@pytest.mark.parametrize(
    "kernel", ["direct-convolve-channels-16-16-1-1-16", "winograd-multiply-1", "dense-dense"]
)
def test_products_are_vector_instructions_of_arm(objects: dict[str, bytes], kernel: str) -> None:
    """FMLA of four float32, by a vector or by an element (Arm A64 instruction set); no call."""
    code = text_of(objects[kernel])
    words = [int.from_bytes(code[at : at + 4], "little") for at in range(0, len(code), 4)]
    fused = [w for w in words if w & 0xFFE0FC00 == 0x4E20CC00 or w & 0xFFC0F400 == 0x4F801000]
    assert fused
    assert b"fma" not in objects[kernel]


def text_of(code: bytes) -> bytes:
    """The instructions of an object file."""
    file = llvm.ObjectFileRef.from_data(code)
    return b"".join(part.data() for part in file.sections() if part.is_text())
