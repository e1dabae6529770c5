"""What becomes of an input that anyone may have made: a result, or one line that says why not.

Either comes in bounded time and memory. A crash, and what never ends, the driver sees (__main__).
"""

from __future__ import annotations

import resource
import shutil
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from columnar_nn.errors import CnnBenchError

MEBIBYTE = 1 << 20
LONGEST_LINE = 500
CPU_SECONDS = 5.0


def emptied(folder: Path) -> Path:
    """The folder without what the seed before left in it."""
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    return folder


def problem(read: Callable[[], object], memory: int) -> str:
    """What is wrong with how `read` ends when it may take `memory` more bytes, or nothing."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    started = time.process_time()
    try:
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + memory, hard))
        read()
    except CnnBenchError as error:
        line = str(error)
        if not line or len(line) >= LONGEST_LINE or not line.isprintable():
            return f"no line of text: {line!r}"
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__}: {error} ({Path(frame.filename).name}:{frame.lineno})"
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    seconds = time.process_time() - started
    return f"takes {seconds:.1f} s" if seconds > CPU_SECONDS else ""
