"""Compiled kernels on disk, one file a kernel, shared by every process of the user.

The folder is `$CNN_BENCH_CACHE_DIR`, else `cnn-bench/kernels` in the user's cache folder. In
it each generation of kernels has a folder of its own, named by a hash of everything that
changes the machine code: the sources of this package, the llvmlite version,
the processor's name and features, and the vector width. A file is written beside its place and
renamed into it, so that processes that start together never read half of one; it carries a
digest, so that a damaged file is compiled again rather than run.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import platform
import shutil
import sys
import tempfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from columnar_nn.errors import UsageError
from columnar_nn.kernels import host

SUFFIX = ".kernel"


@dataclass(frozen=True)
class CacheInfo:
    """State of the cache: its folder, this generation's folder name, and what all of it holds."""

    folder: Path
    generation: str
    generations: int
    kernels: int
    num_bytes: int


def cache_folder() -> Path:
    """The folder that holds every generation of compiled kernels; it may not exist yet."""
    chosen = os.environ.get("CNN_BENCH_CACHE_DIR")
    if chosen:
        return Path(chosen)
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "cnn-bench" / "kernels"


@functools.cache
def generation() -> str:
    """Hash of everything that changes the machine code of a kernel."""
    digest = hashlib.sha256()
    package = Path(__file__).parent
    for source in sorted(package.rglob("*.py")):
        name = source.relative_to(package).as_posix()
        digest.update(name.encode() + b"\0" + source.read_bytes() + b"\0")
    for fact in (
        metadata.version("llvmlite"),
        sys.platform,
        platform.machine(),
        host.processor_name(),
        host.processor_features(),
        str(host.vector_width()),
    ):
        digest.update(fact.encode() + b"\0")
    return digest.hexdigest()[:20]


def read(kernel: str) -> bytes | None:
    """The stored object code of `kernel` in this generation; None if absent or damaged."""
    try:
        stored = (cache_folder() / generation() / (kernel + SUFFIX)).read_bytes()
    except OSError:
        return None
    digest, payload = stored[:32], stored[32:]
    return payload if hashlib.sha256(payload).digest() == digest else None


def write(kernel: str, payload: bytes) -> None:
    """Stores object code for later processes; silently does not where the disk refuses."""
    folder = cache_folder() / generation()
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=kernel, suffix=".part")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(hashlib.sha256(payload).digest() + payload)
            Path(temporary).replace(folder / (kernel + SUFFIX))
        except OSError:
            Path(temporary).unlink(missing_ok=True)
            raise


def info() -> CacheInfo:
    """Counts the generations, kernels and bytes stored in the cache folder."""
    folder = cache_folder()
    files = list(folder.glob(f"*/*{SUFFIX}"))
    return CacheInfo(
        folder=folder,
        generation=generation(),
        generations=len({file.parent for file in files}),
        kernels=len(files),
        num_bytes=sum(file.stat().st_size for file in files),
    )


def clear() -> CacheInfo:
    """Deletes every generation and returns what there was; processes running now keep theirs.

    Only folders that hold nothing but kernels are deleted. Raises UsageError when the cache
    folder holds anything else, as a mistyped CNN_BENCH_CACHE_DIR would.
    """
    found = info()
    folders = list(found.folder.iterdir()) if found.folder.is_dir() else []
    for folder in folders:
        strangers = not folder.is_dir() or any(
            file.suffix not in {SUFFIX, ".part"} for file in folder.iterdir()
        )
        if strangers:
            raise UsageError(
                f"{found.folder} holds {folder.name}, which is no kernel cache: "
                "set CNN_BENCH_CACHE_DIR to the kernels' own folder"
            )
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    return found
