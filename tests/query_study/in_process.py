"""Workers of a query study that are in the process of the test, and classes that are known."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.query_study import study
from bench.verdict.status import CRASHED, SKIPPED
from bench.workers.options import Options
from bench.workers.process import WorkerError
from columnar_nn.errors import MissingPackageError


class InProcess:
    """What stands for a HeldWorker: its commands are called here, errors become those of one."""

    def __init__(self, options: Options, folder: Path, session: str) -> None:
        module, _, name = session.partition(":")
        self._session = getattr(import_module(module), name)(started=time.monotonic())
        self.pids: tuple[int, ...] = ()
        self.peak_rss_bytes, self.log, self.running = 1 << 20, "", True

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        try:
            reply = getattr(self._session, command)(**arguments)
        except MissingPackageError as error:
            raise WorkerError(SKIPPED, str(error), fatal=False) from None
        except ZeroDivisionError as error:
            raise WorkerError(CRASHED, str(error), fatal=True) from None
        return json.loads(json.dumps(reply))  # type: ignore[no-any-return]

    def finish(self) -> None:
        self.kill()

    def kill(self) -> None:
        if self.running:
            self._session.close()
        self.running = False


def install(patch: pytest.MonkeyPatch, classes: Mapping[str, np.ndarray]) -> None:
    """Has studies use them instead of processes."""
    patch.setattr("bench.query_study.entrant.HeldWorker", InProcess)
    patch.setattr(study, "classes", lambda graph, _, count, *__: classes[graph.name][:count])
