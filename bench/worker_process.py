"""The parent's side of a worker: one spawned process that may print, hang or crash at will.

No call waits longer than its timeout, and a worker never outlives its `close`.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from bench.status import CRASHED, SKIPPED, TIMEOUT

_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
)
_FIXED_VARIABLES = {
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "",  # CPUs are compared, whatever else the machine has
    "PYTHONHASHSEED": "0",
}
SESSION = "bench.worker_session:Session"
"""Whose methods the commands are: module and class, imported in the worker."""

_CLOSE_TIMEOUT_S = 5.0
_LOG_TAIL_BYTES = 8192


class WorkerError(Exception):
    """A command failed: `status` is the cell's status, the message its one-line reason.

    `fatal` says that the process is gone; otherwise it still takes commands.
    """

    def __init__(self, status: str, reason: str, fatal: bool) -> None:
        self.status = status
        self.reason = reason
        self.fatal = fatal
        super().__init__(f"{status}: {reason}")

    def exit_code(self) -> int:
        """Of a command that needs this worker: 2 if its engine is not installed, else 1."""
        return 2 if self.status == SKIPPED else 1


def environment(threads: int) -> dict[str, str]:
    """Environment of a worker: this process's, with thread counts set and logging quiet."""
    variables = dict(os.environ) | _FIXED_VARIABLES
    variables |= dict.fromkeys(_THREAD_VARIABLES, str(threads))
    # The worker starts in an empty folder, so that no file of the user's shadows a module;
    # relative entries of the path would be lost there.
    variables["PYTHONPATH"] = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)
    return variables


class WorkerProcess:
    """One worker process, in a session and process group of its own.

    `folder` must be an existing empty folder: the worker's working directory and log.
    `variables` are added to its environment.
    """

    def __init__(
        self,
        folder: Path,
        cpus: Sequence[int],
        session: str = SESSION,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self._log = folder / "output.log"
        ours, theirs = socket.socketpair()
        with theirs, self._log.open("wb") as log:
            start = {
                "socket": theirs.fileno(),
                "cpus": list(cpus),
                "session": session,
                "started": time.monotonic(),
            }
            self._process = subprocess.Popen(
                [sys.executable, "-m", "bench.worker", json.dumps(start)],
                cwd=folder,
                env=environment(len(cpus)) | dict(variables or {}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self._socket = ours
        self._received = b""

    def request(self, command: str, timeout: float, **arguments: Any) -> dict[str, Any]:
        """Sends one command and returns its reply; raises WorkerError if there is none in time."""
        deadline = time.monotonic() + timeout
        line = json.dumps({"command": command, **arguments}).encode() + b"\n"
        try:
            self._socket.settimeout(timeout)
            self._socket.sendall(line)
            while b"\n" not in self._received:
                self._socket.settimeout(max(0.001, deadline - time.monotonic()))
                chunk = self._socket.recv(1 << 16)
                if not chunk:
                    raise self._crash()
                self._received += chunk
        except TimeoutError:
            self.kill()
            raise WorkerError(
                TIMEOUT, f"no answer to {command} within {timeout:g} s", fatal=True
            ) from None
        except (BrokenPipeError, ConnectionResetError):
            raise self._crash() from None
        reply_line, _, self._received = self._received.partition(b"\n")
        reply: dict[str, Any] = json.loads(reply_line)
        if "failure" in reply:
            raise WorkerError(reply["failure"], reply["reason"], fatal=False)
        return reply

    def request_then_pause(self, command: str, timeout: float, **arguments: Any) -> dict[str, Any]:
        """`request` of a worker that is stopped at all other times, so that its peers can run."""
        self.resume()
        try:
            return self.request(command, timeout, **arguments)
        finally:
            self.pause()

    def pause(self) -> None:
        """Stops the whole process group, so that no idle thread pool spins beside a peer's run."""
        self._signal_group(signal.SIGSTOP)

    def resume(self) -> None:
        """Lets a paused worker go on."""
        self._signal_group(signal.SIGCONT)

    def close(self) -> None:
        """Asks the backend to release what it holds, then ends the process group."""
        self.resume()
        with contextlib.suppress(WorkerError):
            self.request("close", _CLOSE_TIMEOUT_S)
        self.kill()

    def kill(self) -> None:
        """Ends the process group at once; harmless if it has ended already."""
        self._socket.close()
        self._signal_group(signal.SIGKILL)
        self._process.wait()

    def log_tail(self) -> str:
        """The end of what the worker printed."""
        with self._log.open("rb") as log:
            log.seek(max(0, self._log.stat().st_size - _LOG_TAIL_BYTES))
            return log.read().decode(errors="replace")

    def _crash(self) -> WorkerError:
        """The reason why the process has gone: its signal or exit status, and its last words."""
        deadline = time.monotonic() + _CLOSE_TIMEOUT_S
        while psutil.Process(self._process.pid).status() != psutil.STATUS_ZOMBIE:
            if time.monotonic() > deadline:
                break
            time.sleep(0.01)
        self.kill()
        status = self._process.returncode
        if status < 0:
            reason = f"killed by {signal.Signals(-status).name}"
            if -status == signal.SIGKILL:
                reason += " (out of memory?)"
        else:
            reason = f"ended with exit status {status}"
        last_words = [line.strip() for line in self.log_tail().splitlines() if line.strip()]
        if last_words:
            reason += f": {last_words[-1][:200]}"
        return WorkerError(CRASHED, reason, fatal=True)

    def _signal_group(self, number: signal.Signals) -> None:
        # Once the leader is reaped its group number may be anyone's.
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)

    def __enter__(self) -> WorkerProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.kill()
