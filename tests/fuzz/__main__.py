"""Random inputs for as long as one likes: `python -m fuzz TARGET SEED MINUTES` (`make fuzz`).

A target is a module with `check(seed, folder)`, which draws an input from the seed and returns
what is wrong in one line, or nothing, leaving in the folder what shows it. To add one: the module
beside this file, and its name in TARGETS. Seeds are taken in batches by forked children, so that
one that crashes or hangs is named, too.
"""

from __future__ import annotations

import argparse
import importlib
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

TARGETS = ("graphs", "backends")
BATCH = 100
TIMEOUT_S = 120
"""Of one seed."""

Check = Callable[[int, Path], str]


def fuzz(check: Check, first_seed: int, seconds: float, findings: Path) -> list[tuple[int, str]]:
    """Checks seeds from `first_seed` on for some time, at least one; prints and returns those
    with something wrong, with what it is. What shows it is kept in `findings`/<seed>."""
    found: list[tuple[int, str]] = []
    seed, end = first_seed, time.monotonic() + seconds
    while True:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            seed, wrong = _next_wrong(check, seed, end, folder)
            if wrong:
                found.append((seed, wrong))
                kept = findings / str(seed)
                shutil.copytree(folder, kept, dirs_exist_ok=True)
                print(f"seed {seed}: {wrong}; see {kept}", flush=True)
                seed += 1
        if time.monotonic() >= end:
            print(f"{seed - first_seed} seeds from {first_seed} on: {len(found)} wrong")
            return found


def _next_wrong(check: Check, seed: int, end: float, folder: Path) -> tuple[int, str]:
    """The first seed of a batch with something wrong and what it is, or the seed after the batch.

    The child that checks them tells by a byte that a seed is done, else in words what is wrong.
    """
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.close(read)
        _check_batch(check, seed, end, folder, write)
    os.close(write)
    told = b""
    with open(read, "rb", buffering=0) as pipe:
        while chunk := pipe.read(1 << 16):
            told += chunk
    _, status = os.waitpid(child, 0)
    done = told[: len(told) - len(told.lstrip(b"."))]
    seed += len(done)
    wrong = told[len(done) :].decode()
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        hang = number == signal.SIGALRM
        wrong = f"no end in {TIMEOUT_S} s" if hang else f"killed by {signal.Signals(number).name}"
    return seed, wrong


def _check_batch(check: Check, seed: int, end: float, folder: Path, pipe: int) -> None:
    """The child: never returns. The alarm's default action ends it where it hangs."""
    try:
        for number in (signal.SIGINT, signal.SIGALRM):
            signal.signal(number, signal.SIG_DFL)
        for index in range(BATCH):
            signal.alarm(TIMEOUT_S)
            try:
                wrong = check(seed + index, folder)
            except Exception as error:
                wrong = f"the check itself raises {type(error).__name__}: {error}"
            os.write(pipe, " ".join(wrong.split()).encode() or b".")
            if wrong or time.monotonic() >= end:
                break
        sys.stdout.flush()
    finally:
        os._exit(0)


def main(arguments: list[str] | None = None) -> int:
    """1 if something is wrong, else 0."""
    parser = argparse.ArgumentParser(prog="fuzz", description="Random inputs, for some minutes.")
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("seed", type=int)
    parser.add_argument("minutes", type=float)
    asked = parser.parse_args(arguments)
    check: Check = importlib.import_module(f"fuzz.{asked.target}").check
    findings = Path("fuzz-findings") / asked.target
    try:
        return 1 if fuzz(check, asked.seed, 60 * asked.minutes, findings) else 0
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
