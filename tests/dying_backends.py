"""Backends that come to a bad end in the state, and in the way, that their configuration names.

"building/sigkill" is killed by SIGKILL while it builds. A backend learns its configuration only
when it is built, so that what ends before has a class of its own (`importing_class`), or a
session (`DyingSession`).
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from fake_backends import FakeBackend

from adapters.base import Configuration, Description, Stopwatch
from bench.workers.session import Session

FOLDER_VARIABLE = "DYING_BACKENDS_FOLDER"
"""Environment variable with the folder where the file TIMING says that turns have begun, and
forked children leave their numbers."""

TIMING = "timing"
START_VARIABLE = "DYING_BACKENDS_START"
"""How a DyingSession dies."""


def _run_out_of_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + (64 << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    np.ones(1 << 30, np.uint8)


def _print_garbage() -> None:
    for descriptor in (1, 2):
        for text in (b'{"number": 1}\n', b"\xff\x00 not text\n", b"\x1b[2J", b"x" * (1 << 20)):
            os.write(descriptor, text)


def _answer_garbage() -> None:
    for descriptor in map(int, os.listdir("/proc/self/fd")):
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/self/fd/{descriptor}").startswith("socket:"):
                os.write(descriptor, b'{"number": 0, "times": [0.0]}\n')


def _leave_a_child_behind() -> None:
    child = os.fork()
    if child == 0:
        time.sleep(3600)
    (Path(os.environ[FOLDER_VARIABLE]) / f"child-{child}").touch()
    os._exit(0)


DEATHS: dict[str, Callable[[], Any]] = {
    "sigkill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "sigsegv": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "sigstop": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    "memory": _run_out_of_memory,
    "hang": lambda: time.sleep(3600),
    "printed": _print_garbage,
    "answered": _answer_garbage,
    "closed": lambda: os.closerange(0, 4096),
    "exit": lambda: os._exit(3),
    "fork": _leave_a_child_behind,
    "copy": os.fork,
}
STATES = ("starting", "importing", "building", "measuring", "describing", "stopping")
PAUSED = ("paused/sigkill", "paused/sigsegv", "paused/sigstop")
"""Ends that come from outside, while the worker is stopped between its turns."""


class DyingBackend(FakeBackend):
    """Computes as it should until it is in the state in which it dies."""

    name = "dying"
    configurations: ClassVar = {
        name: Configuration("dies on purpose", "variant")
        for name in (*(f"{state}/{death}" for state in STATES for death in DEATHS), *PAUSED)
    }

    def _die_if(self, state: str) -> None:
        mine, _, death = self.settings.configuration.partition("/")
        if mine == state:
            DEATHS[death]()

    def _build(self) -> None:
        super()._build()
        self._descriptions = 0
        self._die_if("building")

    def infer(
        self, batches: Iterable[pa.RecordBatch], stopwatch: Stopwatch
    ) -> Iterator[pa.RecordBatch]:
        if (Path(os.environ[FOLDER_VARIABLE]) / TIMING).exists():
            self._die_if("measuring")
        return super().infer(batches, stopwatch)

    def describe(self) -> Description:
        self._descriptions += 1
        if self._descriptions == 2:
            self._die_if("describing")
        return super().describe()

    def close(self) -> None:
        self._die_if("stopping")


def importing_class(death: str) -> str:
    """The name of the class that dies so when its backend is imported."""
    return f"Importing_{death}"


def _dying_at_import(death: str) -> type[DyingBackend]:
    def import_framework(_: type[DyingBackend]) -> None:
        DEATHS[death]()

    methods = {"import_framework": classmethod(import_framework)}
    return type(importing_class(death), (DyingBackend,), methods)


for _death in DEATHS:
    setattr(sys.modules[__name__], importing_class(_death), _dying_at_import(_death))


class DyingSession(Session):
    """A worker's session that dies before it takes its first command."""

    def __init__(self, started: float) -> None:
        super().__init__(started)
        DEATHS[os.environ[START_VARIABLE]]()


class StrayAnswers:
    """A session whose answers, and whatever else comes on their connection, are not in order."""

    def __init__(self, started: float) -> None:
        start = json.loads(sys.argv[1])
        self.connection = start["socket"]

    def write(self, text: str, times: int = 1) -> dict[str, Any]:
        for _ in range(times):
            os.write(self.connection, text.encode("latin-1"))
        return {}

    def answer(self) -> dict[str, Any]:
        return {"path": Path("JSON cannot say this")}

    def fail(self) -> dict[str, Any]:
        raise ValueError("\x1b[2J" + "x" * 10_000)

    def disconnect(self) -> dict[str, Any]:
        os.closerange(3, 4096)
        time.sleep(3600)
        return {}

    def talk(self) -> dict[str, Any]:
        while True:
            os.write(1, b"x" * (1 << 16))
            time.sleep(0.001)
