"""kernels/cache.py: one generation an environment, safe among processes, robust to damage."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from columnar_nn.kernels import cache
from columnar_nn.kernels.jit import Kernel, compile_kernel
from columnar_nn.kernels.winograd import multiplications
from columnar_nn.settings import cache_root

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


def _start(folder: Path, stderr: int | None = None, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        env={
            **os.environ,
            "CNN_BENCH_CACHE_DIR": str(folder),
            "PYTHONPATH": str(ROOT),
            **environment,
        },
        stdout=subprocess.PIPE,
        stderr=stderr,
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


def _sign(payload: bytes) -> bytes:
    """A digest that anybody can make."""
    return hashlib.blake2b(payload, digest_size=32).digest() + payload


def _signed(key: bytes, payload: bytes) -> bytes:
    """What docs/variables.md says of a file, by Python's own library."""
    name = f"kernels/{cache.generation()}/some-kernel.kernel"
    code = hashlib.blake2b(name.encode() + b"\0" + payload, digest_size=32, key=key)
    return code.digest() + payload


FORGERIES: dict[str, Callable[[bytes], bytes]] = {
    "digest of damaged code": lambda stored: _sign(stored[32:32] + b"\0" * len(stored[32:])),
    "digest of other code": lambda stored: _sign(stored[32:]),
    "another key": lambda stored: _signed(bytes(32), stored[32:]),
    "empty": lambda stored: b"",
    "code only": lambda stored: stored[:32],
    "cut": lambda stored: stored[:-1],
    "longer": lambda stored: stored + b"\0",
}


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a kernel that was written."""
    monkeypatch.setenv("CNN_BENCH_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(cache_root, "_said", {})
    cache.write("some-kernel", b"object code")
    (file,) = tmp_path.rglob("*.kernel")
    return file


def test_a_file_is_signed_by_the_users_key(stored: Path) -> None:
    (key,) = stored.parents[2].rglob("*.key")
    assert stored.read_bytes() == _signed(key.read_bytes(), b"object code")


@pytest.mark.parametrize("kind", FORGERIES)
def test_only_what_the_users_key_signed_is_run(stored: Path, kind: str) -> None:
    assert cache.read("some-kernel") == b"object code"
    stored.write_bytes(FORGERIES[kind](stored.read_bytes()))
    assert cache.read("some-kernel") is None
    cache.write("some-kernel", b"object code")
    assert cache.read("some-kernel") == b"object code"


def test_a_kernel_under_another_name_is_not_run(stored: Path) -> None:
    stored.rename(stored.with_name("other-kernel.kernel"))
    assert cache.read("other-kernel") is None


def test_forged_files_do_not_crash(tmp_path: Path) -> None:
    assert _finish(_start(tmp_path))[0] == NEEDED
    for file in tmp_path.rglob("*.kernel"):
        file.write_bytes(_sign(b"\x7fELF" + bytes(1000)))
    assert _finish(_start(tmp_path))[0] == NEEDED


@pytest.mark.parametrize("content", [None, b"", b"short", bytes(33)])
def test_a_key_that_is_lost_or_damaged_is_made_anew(stored: Path, content: bytes | None) -> None:
    (key,) = stored.parents[2].rglob("*.key")
    assert key.stat().st_mode & 0o777 == 0o600
    key.unlink()
    if content is not None:
        key.write_bytes(content)
        key.chmod(0o600)
    assert cache.read("some-kernel") is None
    cache.write("some-kernel", b"object code")
    assert cache.read("some-kernel") == b"object code"


def _others_write(path: Path) -> None:
    path.chmod(path.stat().st_mode | 0o022)


def _group_writes(path: Path) -> None:
    path.chmod(path.stat().st_mode | 0o020)


def _another_owner(path: Path) -> None:
    if os.geteuid():
        pytest.skip("only root can give a file away")
    os.chown(path, 4711, 4711)


@pytest.mark.skipif(os.name != "posix", reason="ownership is POSIX's")
@pytest.mark.parametrize("spoil", [_others_write, _group_writes, _another_owner])
@pytest.mark.parametrize("what", ["root", "kind", "generation", "kernel", "keys", "key"])
def test_what_others_may_have_written_is_not_used(
    stored: Path, caplog: pytest.LogCaptureFixture, spoil: Callable[[Path], None], what: str
) -> None:
    root = stored.parents[2]
    paths = {
        "root": root,
        "kind": stored.parent.parent,
        "generation": stored.parent,
        "kernel": stored,
        "keys": root / "keys",
        "key": root / "keys" / "kernels.key",
    }
    spoil(paths[what])
    before = stored.read_bytes()
    for _ in range(3):
        assert cache.read("some-kernel") is None
    (said,) = caplog.messages
    assert said.startswith(f"cnn-bench: cache not used: {paths[what]} ")
    assert "\n" not in said
    assert cache_root.warnings() == (said.removeprefix("cnn-bench: "),)
    cache.write("some-kernel", b"other code")
    written = what == "kernel"  # which is replaced by one of the user's own
    assert (cache.read("some-kernel") == b"other code") is written
    assert (stored.read_bytes() == before) is not written


def test_a_key_that_others_can_read_is_not_used(stored: Path) -> None:
    (stored.parents[2] / "keys" / "kernels.key").chmod(0o644)
    assert cache.read("some-kernel") is None
    assert "chmod go-rwx" in cache_root.warnings()[0]


def test_a_fifo_is_no_kernel(stored: Path) -> None:
    stored.unlink()
    os.mkfifo(stored)
    assert cache.read("some-kernel") is None


def test_others_can_neither_read_nor_write_what_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CNN_BENCH_CACHE_DIR", str(tmp_path / "new" / "cache"))
    mask = os.umask(0)
    try:
        cache.write("some-kernel", b"object code")
    finally:
        os.umask(mask)
    made = [tmp_path / "new" / "cache", *(tmp_path / "new" / "cache").rglob("*")]
    assert len(made) == 6
    assert all(path.stat().st_mode & 0o077 == 0 for path in made)
    assert cache.read("some-kernel") == b"object code"


def test_a_process_that_trusts_no_folder_compiles_and_says_so(tmp_path: Path) -> None:
    assert _finish(_start(tmp_path))[0] == NEEDED
    tmp_path.chmod(0o777)
    process = _start(tmp_path, stderr=subprocess.PIPE)
    output, errors = process.communicate(timeout=120)
    assert int(output.split()[0]) == NEEDED
    assert (
        errors
        == f"cnn-bench: cache not used: {tmp_path} is open to others: chmod go-w, or delete it\n"
    )
    tmp_path.chmod(0o700)
    assert _finish(_start(tmp_path))[0] == 0


def test_a_folder_that_cannot_be_written_costs_only_time(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    assert _finish(_start(blocked / "below"))[0] == NEEDED


def test_what_was_written_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CNN_BENCH_CACHE_DIR", str(tmp_path))
    assert cache.read("pool-max_pool") is None
    code = compile_kernel(Kernel("pool", "max_pool"))
    cache.write("pool-max_pool", code)
    assert cache.read("pool-max_pool") == code
    assert [path.parent for path in tmp_path.rglob("*.kernel")] == [
        tmp_path / "kernels" / cache.generation()
    ]
