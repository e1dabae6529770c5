"""kernels/cache.py: one generation an environment, safe among processes, robust to damage."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from columnar_nn.kernels import cache
from columnar_nn.kernels.jit import Kernel, compile_kernel
from columnar_nn.kernels.winograd import multiplications

NEEDED = 2 + len(multiplications())
"""The runner, a Winograd convolution, and the products that it calls."""

ROOT = Path(__file__).parents[2]
SCRIPT = """
import numpy as np
from columnar_nn.kernels import Layout, Program, Step, cache, conv2d
from columnar_nn.kernels import jit
compiled = []
original = jit.compile_kernel
jit.compile_kernel = lambda kernel: compiled.append(kernel) or original(kernel)
weight = np.ones((16, 16, 3, 3), np.float32)
kernel = conv2d(Layout("nchw16c", (16, 8, 8)), weight, algorithm="winograd")
output = np.zeros((1, kernel.output_layout.num_items), np.float32)
Program((Step(kernel, (0,), 1),), (0,), (1,)).run([np.ones((1, 1024), np.float32)], [output])
np.testing.assert_allclose(output, 144, rtol=1e-5)
print(len(compiled), cache.generation())
"""


def _start(folder: Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        env={
            **os.environ,
            "CNN_BENCH_CACHE_DIR": str(folder),
            "PYTHONPATH": str(ROOT),
            **environment,
        },
        stdout=subprocess.PIPE,
        text=True,
    )


def _finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    compiled, generation = output.split()
    return int(compiled), generation


def test_processes_started_together_all_work_and_the_next_compiles_nothing(tmp_path: Path) -> None:
    processes = [_start(tmp_path) for _ in range(4)]
    generations = {_finish(process)[1] for process in processes}
    assert len(generations) == 1
    assert not list(tmp_path.rglob("*.part"))
    assert _finish(_start(tmp_path))[0] == 0


def test_another_width_or_processor_is_another_generation(tmp_path: Path) -> None:
    usual = _finish(_start(tmp_path, CNN_BENCH_VECTOR_WIDTH="8"))
    narrow = _finish(_start(tmp_path, CNN_BENCH_VECTOR_WIDTH="4"))
    plain = _finish(_start(tmp_path, CNN_BENCH_VECTOR_WIDTH="8", CNN_BENCH_PROCESSOR="x86-64"))
    assert len({usual[1], narrow[1], plain[1]}) == 3
    assert usual[0] == narrow[0] == plain[0] == 3


def test_a_damaged_file_is_compiled_again(tmp_path: Path) -> None:
    assert _finish(_start(tmp_path))[0] == NEEDED
    for file in tmp_path.rglob("*.kernel"):
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 0xFF
        file.write_bytes(content)
    assert _finish(_start(tmp_path))[0] == NEEDED
    assert _finish(_start(tmp_path))[0] == 0


def test_a_folder_that_cannot_be_written_costs_only_time(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    assert _finish(_start(blocked))[0] == NEEDED


def test_what_was_written_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CNN_BENCH_CACHE_DIR", str(tmp_path))
    assert cache.read("elementwise-pixels") is None
    code = compile_kernel(Kernel("elementwise", "pixels"))
    cache.write("elementwise-pixels", code)
    assert cache.read("elementwise-pixels") == code
    assert [path.parent for path in tmp_path.rglob("*.kernel")] == [
        tmp_path / "kernels" / cache.generation()
    ]
