"""Environment variables that the project reads: all of them, and what they may be.

docs/variables.md tells users.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path

from columnar_nn.errors import UsageError

BUILD_BYTES = "CNN_BENCH_BUILD_BYTES"
CACHE_DIR = "CNN_BENCH_CACHE_DIR"
DEBUG = "CNN_BENCH_DEBUG"
PROCESSOR = "CNN_BENCH_PROCESSOR"
VECTOR_WIDTH = "CNN_BENCH_VECTOR_WIDTH"

NUMBA_FILE = Path(".numba_config.yaml")
"""Where numba looks, in the working directory, for values of its variables."""

WIDTHS = (4, 8, 16)

DEFAULT_BUILD_BYTES = 2 << 30


def build_bytes() -> int:
    """Most that the build side of a join may hold.

    Raises UsageError for what is no number of bytes.
    """
    chosen = os.environ.get(BUILD_BYTES)
    if chosen and not (chosen.isascii() and chosen.isdigit()):
        raise UsageError(f"{BUILD_BYTES} is {chosen!r}: set it to a number of bytes")
    return int(chosen) if chosen else DEFAULT_BUILD_BYTES


def cache_dir() -> Path | None:
    """The folder of all that is kept on disk, absolute; None: the user's own.

    Raises UsageError where it names something that is no folder.
    """
    chosen = os.environ.get(CACHE_DIR)
    if not chosen:
        return None
    path = Path(chosen).absolute()
    if path.exists() and not path.is_dir():
        raise UsageError(f"{CACHE_DIR} names {path}, which is no folder: name another")
    return path


def debug() -> bool:
    """Whether tracebacks are wanted: it is set to anything."""
    return bool(os.environ.get(DEBUG))


def processor() -> str | None:
    """LLVM's name of the processor to compile for; None: this one.

    The only other is the least of its kind, whose code runs on all. Raises UsageError for others.
    """
    chosen = os.environ.get(PROCESSOR)
    least = "x86-64" if platform.machine().lower() in {"x86_64", "amd64"} else "generic"
    if chosen and chosen != least:
        raise UsageError(f"{PROCESSOR} is {chosen!r}: set it to {least}, or not at all")
    return chosen or None


def vector_width() -> int | None:
    """float32 lanes of the vectors to compile for; None: as the processor has them.

    Raises UsageError for what is not in WIDTHS.
    """
    chosen = os.environ.get(VECTOR_WIDTH)
    if chosen and chosen not in map(str, WIDTHS):
        raise UsageError(f"{VECTOR_WIDTH} is {chosen!r}: set it to 4, 8 or 16")
    return int(chosen) if chosen else None


def settle() -> None:
    """Makes paths absolute for processes in other folders; raises UsageError for a wrong value."""
    for name in ("TMPDIR", CACHE_DIR):
        if os.environ.get(name):
            os.environ[name] = str(Path(os.environ[name]).absolute())
    for variable in (build_bytes, cache_dir, debug, processor, vector_width):
        variable()


def of_numba() -> tuple[str, ...]:
    """What configures numba and may change the code that it makes: its variables, and its file."""
    given = sorted(item for item in os.environ.items() if item[0].startswith("NUMBA_"))
    variables = tuple("=".join(item) for item in given)
    return (*variables, NUMBA_FILE.read_text()) if NUMBA_FILE.is_file() else variables
