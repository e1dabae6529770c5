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

TARGETS = (
    "graphs",
    "backends",
    "convolutions",
    "cifar10_data",
    "image_data",
    "onnx_files",
    "golden_bundles",
    "kernel_cache",
    "tiles",
    "arrow_files",
    "results_files",
    "sql_texts",
    "sql_rows",
    "queries",
)
BATCH = 100
TIMEOUT_S = 120
"""Of one seed."""

Check = Callable[[int, Path], str]


def fuzz(
    check: Check, first_seed: int, seconds: float, findings: Path, cases: int | None = None
) -> list[tuple[int, str]]:
    """Checks seeds from `first_seed` on for some time, at least one, at most `cases`; prints and
    returns those with something wrong, with what it is. What shows it is kept in
    `findings`/<seed>."""
    found: list[tuple[int, str]] = []
    seed, end = first_seed, time.monotonic() + seconds
    findings.mkdir(parents=True, exist_ok=True)
    while True:
        folder = Path(tempfile.mkdtemp(dir=findings))
        batch = BATCH if cases is None else min(BATCH, first_seed + cases - seed)
        seed, wrong = _next_wrong(check, range(seed, seed + batch), end, folder)
        if wrong:
            found.append((seed, wrong))
            kept = findings / str(seed)
            shutil.rmtree(kept, ignore_errors=True)
            folder.rename(kept)  # not copied: it may hold a FIFO, or a link to a device
            print(f"seed {seed}: {wrong}; see {kept}", flush=True)
            seed += 1
        else:
            shutil.rmtree(folder)
        if time.monotonic() >= end or seed - first_seed == cases:
            print(f"{seed - first_seed} seeds from {first_seed} on: {len(found)} wrong")
            return found


def _next_wrong(check: Check, seeds: range, end: float, folder: Path) -> tuple[int, str]:
    """The first seed of a batch with something wrong and what it is, or the seed after the batch.

    The child that checks them tells by a byte that a seed is done, else in words what is wrong.
    """
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.close(read)
        _check_batch(check, seeds, end, folder, write)
    os.close(write)
    told = b""
    with open(read, "rb", buffering=0) as pipe:
        while chunk := pipe.read(1 << 16):
            told += chunk
    _, status = os.waitpid(child, 0)
    done = told[: len(told) - len(told.lstrip(b"."))]
    seed = seeds.start + len(done)
    wrong = told[len(done) :].decode()
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        hang = number == signal.SIGALRM
        wrong = f"no end in {TIMEOUT_S} s" if hang else f"killed by {signal.Signals(number).name}"
    return seed, wrong


def _check_batch(check: Check, seeds: range, end: float, folder: Path, pipe: int) -> None:
    """The child: never returns. The alarm's default action ends it where it hangs."""
    try:
        for number in (signal.SIGINT, signal.SIGALRM):
            signal.signal(number, signal.SIG_DFL)
        for seed in seeds:
            signal.alarm(TIMEOUT_S)
            try:
                wrong = check(seed, folder)
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
    parser.add_argument("--cases", type=int, help="end after so many seeds, if not before")
    asked = parser.parse_args(arguments)
    check: Check = importlib.import_module(f"fuzz.{asked.target}").check
    findings = Path("fuzz-findings") / asked.target
    try:
        found = fuzz(check, asked.seed, 60 * asked.minutes, findings, asked.cases)
    except KeyboardInterrupt:
        return 130
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
