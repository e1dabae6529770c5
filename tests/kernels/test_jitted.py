"""kernels/jitted/: compiled by this version of numba, from hashed sources alone, and not needed
where the cache has every kernel.
"""

from __future__ import annotations

import ast
import ctypes
import math
import os
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from columnar_nn.kernels import cache, jit, loader
from columnar_nn.kernels.layout import packed
from columnar_nn.kernels.parameters import Floats, Words, address, words

ROOT = Path(__file__).parents[2]
KERNELS = ROOT / "columnar_nn" / "kernels"
JITTED = KERNELS / "jitted"

OUTSIDE = {"columnar_nn.errors", "columnar_nn.settings"}
"""What kernels import of the rest: exceptions, and variables, whose values are hashed."""


def test_a_kernel_end_to_end_with_this_numba() -> None:
    rng = np.random.default_rng(1)
    try:
        from kernels.weighted_sums import Weighted, weighted_sums

        from columnar_nn.kernels import code_generator
        from columnar_nn.kernels.jitted import entry

        module = entry.link("weighted_sums", jit.ARGUMENTS, weighted_sums)
        code = code_generator.object_code(module)
    except Exception as error:
        versions = f"numba {metadata.version('numba')}, llvmlite {metadata.version('llvmlite')}"
        pytest.fail(f"{versions}: kernels/jitted/compiler.py no longer fits: {error!r}")
    run = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 7)(loader.load(code, "weighted_sums", {}))

    source, weights = packed(rng.normal(size=(5, 2, 16))), packed(rng.normal(size=(2, 16)))
    counts = np.array([2, 1, 0, 5, 2])
    for offsets in (None, packed(np.array([0.25, -3.0]))):
        table = words(Weighted(5, 1.5, weights, offsets, counts))
        target = np.full(5, np.nan, np.float32)
        for part in range(3):
            run(address(table), address(source), 0, address(target), 0, part, 3)
        products = source.astype(np.float64) * weights
        used = np.arange(2)[:, None] < counts[:, None, None]
        expected = 1.5 * np.maximum((products * used).sum(1), 0.5).sum(1)
        if offsets is not None:
            expected += offsets.astype(np.float64)[np.arange(5) % 2]
        np.testing.assert_allclose(target, expected, rtol=1e-5)


def an_item_of_a_tuple(source: Words, part: int) -> None:
    """Python raises IndexError from 2 on."""
    source[0] = (part, 1)[part]


def a_division_of_python(source: Words, part: int) -> None:
    """By zero it raises."""
    source[0] = divmod(part, source[0])[0]


def a_function_of_the_library_of_numba(source: Floats, part: int) -> None:
    """The C library has it by another name."""
    source[0] = math.gamma(source[0])


def words_on_the_screen(source: Floats, part: int) -> None:
    """Needs the interpreter."""
    print(part)


@pytest.mark.parametrize(
    ("kernel", "symbol"),
    [
        (an_item_of_a_tuple, "pickle"),
        (a_division_of_python, "pickle"),
        (a_function_of_the_library_of_numba, "numba_gamma"),
        (words_on_the_screen, "PySys"),
    ],
)
def test_what_a_kernel_cannot_do_is_refused(kernel: Callable[..., None], symbol: str) -> None:
    from columnar_nn.kernels.jitted import entry

    with pytest.raises(TypeError, match=symbol):
        entry.link(kernel.__name__, jit.ARGUMENTS, kernel)


def imported(path: Path) -> set[str]:
    """Every module that a file imports, and every name that may be one."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, path
            found.update({node.module, *(f"{node.module}.{alias.name}" for alias in node.names)})
    return found


def source_of(module: str) -> Path | None:
    """The file of a module of the project, None of another."""
    path = ROOT.joinpath(*module.split("."))
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def test_kernels_are_made_of_hashed_files_alone() -> None:
    waiting, seen = sorted(JITTED.glob("*.py")), set()
    while waiting:
        path = waiting.pop()
        seen.add(path)
        for name in imported(path):
            source = source_of(name)
            outside = any(name == known or name.startswith(known + ".") for known in OUTSIDE)
            if source is None or outside or source in seen:
                continue
            is_hashed = KERNELS in source.parents or source == KERNELS.parent / "record.py"
            assert is_hashed, f"{path} imports {name}, which no cache key covers"
            waiting.append(source)
    assert {JITTED / "compiler.py", KERNELS / "pool.py", KERNELS / "host.py"} <= seen


def test_what_is_internal_to_numba_is_used_in_two_files() -> None:
    users = {
        path.relative_to(KERNELS).as_posix()
        for path in KERNELS.rglob("*.py")
        if any(name.startswith("numba.core") for name in imported(path))
    }
    assert users == {"jitted/compiler.py", "jitted/convention.py"}


START = """
import sys
import numpy as np
from columnar_nn.kernels import Layout, Program, Step, max_pool
kernel = max_pool(Layout("nchw16c", (16, 4, 4)), (2, 2), (2, 2))
image = np.arange(256, dtype=np.float32).reshape(1, 256)
output = np.zeros((1, 64), np.float32)
Program((Step(kernel, (0,), 1),), (0,), (1,)).run([image], [output])
np.testing.assert_array_equal(output[0, :16], image[0, 80:96])
from columnar_nn.kernels import cache
print("numba" in sys.modules, cache.generation())
"""


def start(folder: Path, **environment: str) -> list[str]:
    """Whether a process that needs one kernel imported numba, and its generation of kernels."""
    given = {"CNN_BENCH_CACHE_DIR": str(folder), "PYTHONPATH": str(ROOT), **environment}
    finished = subprocess.run(
        [sys.executable, "-c", START],
        cwd=folder,
        env={**os.environ, **given},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return finished.stdout.split()


def test_numba_is_imported_to_compile_only(tmp_path: Path) -> None:
    first, second = start(tmp_path), start(tmp_path)
    assert first == ["True", cache.generation()]
    assert second == ["False", cache.generation()]


def test_what_configures_numba_makes_another_generation(tmp_path: Path) -> None:
    usual = cache.generation()
    by_variable = start(tmp_path, NUMBA_BOUNDSCHECK="1")[1]
    (tmp_path / ".numba_config.yaml").write_text("boundscheck: 1\n")
    by_file = start(tmp_path)[1]
    assert len({usual, by_variable, by_file}) == 3
