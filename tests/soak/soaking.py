"""Ends a soak that hangs, and says where: for the programs in this folder.

The watchdog is a thread of C code: a hang inside a kernel, or with the interpreter's lock held,
answers no signal.
"""

from __future__ import annotations

import faulthandler
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
STALL_S = 60
"""Within which something must be done; a run takes milliseconds."""


def still_alive() -> None:
    """Call after every piece of work: the process ends, all its stacks printed, unless again."""
    faulthandler.dump_traceback_later(STALL_S, exit=True)


def run_program(name: str, *arguments: object, timeout: float) -> str:
    """What a program of this folder printed. Fails if it does, or hangs."""
    paths = [str(ROOT), str(ROOT / "tests")]
    done = subprocess.run(
        [sys.executable, "-m", f"soak.{name}", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, f"after {done.stdout.splitlines()[-1:]}: {done.stderr}"
    return done.stdout
