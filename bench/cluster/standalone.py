"""A standalone Spark cluster on this machine: a master and workers, for demonstrations and tests.

    with standalone(workers=2) as running:
        ... running.master ...

Everything is bound to 127.0.0.1 and ends with the block, or on Linux with this process, whatever
happens.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.cluster.session import LOOPBACK, refuse_without_java
from bench.files.temporary import temporary_folder
from bench.workers import guard
from columnar_nn.errors import MissingPackageError, UsageError

PATIENCE_S = 180.0
"""Until a process of Spark's must have said that it is there."""

WATCH_S = 0.1
"""For as long a process is watched, to see whether it works: ten ticks of the kernel's clock."""

EXECUTOR = "CoarseGrainedExecutorBackend"
PYTHON_WORKER = "pyspark.daemon"
"""In the command lines of executors, and of Python workers and what forks them."""

_MASTER = "org.apache.spark.deploy.master.Master"
_WORKER = "org.apache.spark.deploy.worker.Worker"


@dataclass(frozen=True)
class Cluster:
    """One that runs: the master's URL, and the processes, of which executors are children."""

    master: str
    processes: tuple[subprocess.Popen[bytes], ...]


def executors(roots: Sequence[int]) -> list[psutil.Process]:
    """The JVMs that run tasks, below these processes."""
    return [process for process in _below(roots) if EXECUTOR in _command(process)]


def python_workers(roots: Sequence[int]) -> list[psutil.Process]:
    """The Python workers below these processes that tasks use, without what forks them."""
    found = [process for process in _below(roots) if PYTHON_WORKER in _command(process)]
    pids = {process.pid for process in found}
    return [process for process in found if process.ppid() in pids]


def working(processes: Sequence[psutil.Process]) -> list[psutil.Process]:
    """Those of them that use a CPU now."""
    before = list(map(_cpu_s, processes))
    time.sleep(WATCH_S)
    return [p for p, cpu in zip(processes, before, strict=True) if _cpu_s(p) > cpu]


@contextmanager
def standalone(workers: int = 2, cores: int = 1, memory: str = "1g") -> Iterator[Cluster]:
    """Yields a cluster whose workers have so many cores and so much memory for executors.

    Raises UsageError without Java, or if a process does not come up in PATIENCE_S, and
    MissingPackageError without pyspark.
    """
    refuse_without_java()
    try:
        import pyspark
    except ImportError:
        raise MissingPackageError("pyspark", "cluster") from None
    home = Path(pyspark.__file__).parent
    place = ["--host", LOOPBACK, "--port", "0", "--webui-port", "0"]
    with temporary_folder() as folder, ExitStack() as stack:
        environment = {
            **os.environ,
            "SPARK_HOME": str(home),
            "SPARK_LOCAL_IP": LOOPBACK,
            "SPARK_LOCAL_DIRS": str(folder),
            "SPARK_MASTER_OPTS": "-Dspark.master.rest.enabled=false",
            "SPARK_DAEMON_JAVA_OPTS": f'-Djava.io.tmpdir="{folder}"',
            "PYSPARK_PYTHON": sys.executable,
        }
        processes: list[subprocess.Popen[bytes]] = []

        def start(name: str, *arguments: str) -> Path:
            log = folder / f"{name}.log"
            with log.open("wb") as file:
                process = subprocess.Popen(
                    [str(home / "bin" / "spark-class"), *arguments],
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    stdin=subprocess.DEVNULL,
                    env=environment,
                    cwd=folder,
                    start_new_session=True,
                    preexec_fn=_end_with_this_process,  # noqa: PLW1509 - one call of the kernel
                )
            stack.callback(_end, process)
            processes.append(process)
            return log

        log = start("master", _MASTER, *place)
        master = _said(r"Starting Spark master at (spark://\S+)", log, processes[-1])
        logs = [
            start(
                *(f"worker{index}", _WORKER, *place, "-c", str(cores), "-m", memory),
                *("-d", str(folder / f"work{index}"), master),
            )
            for index in range(workers)
        ]
        for log, process in zip(logs, processes[1:], strict=True):
            _said(r"(Successfully registered with master)", log, process)
        yield Cluster(master, tuple(processes))


def _end_with_this_process() -> None:
    if sys.platform == "linux":
        guard.end_with_parent(signal.SIGKILL)


def _said(pattern: str, log: Path, process: subprocess.Popen[bytes]) -> str:
    """What a process says when it is there, in its log."""
    patience_ends = time.monotonic() + PATIENCE_S
    while True:
        text = log.read_text(errors="replace")
        if found := re.search(pattern, text):
            return found[1]
        if process.poll() is not None or time.monotonic() > patience_ends:
            last = " ".join(text.splitlines()[-1:])
            raise UsageError(f"Spark's {log.stem} does not come up: {last or 'it says nothing'}")
        time.sleep(0.2)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends a process and all below it, whichever sessions they have begun."""
    family = list(_below([process.pid]))
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(10)
    for each in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()
    process.wait()


def _below(roots: Sequence[int]) -> Iterator[psutil.Process]:
    for pid in roots:
        with contextlib.suppress(psutil.NoSuchProcess):
            root = psutil.Process(pid)
            yield root
            yield from root.children(recursive=True)


def _cpu_s(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:  # it has gone
        return 0.0
    return float(times.user + times.system)


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:  # it has gone
        return ""
