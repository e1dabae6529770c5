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
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from adapters import declared_functions
from bench.verdict.status import CRASHED, SKIPPED, TIMEOUT
from columnar_nn.errors import printable

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
    "PYTHONHASHSEED": "0",
}
_NO_GPU = {"CUDA_VISIBLE_DEVICES": ""}
"""CPUs are compared, whatever else the machine has, but where a GPU is asked for by name."""

SESSION = "bench.workers.session:Session"
"""Whose methods the commands are: module and class, imported in the worker."""

_CLOSE_TIMEOUT_S = 5.0
_LOG_TAIL_BYTES = 8192

_LOOK_S = 0.25
"""How often a waiting parent looks whether the process still lives: a child that it left behind
may hold the connection open."""

_REPLY_LIMIT_BYTES = 64 << 20
_LOG_LIMIT_BYTES = 1 << 30
"""What a worker may answer and print; the largest plans and profiles are below a megabyte."""


class WorkerError(Exception):
    """A command failed: `status` is the cell's status, the message its one-line reason.

    `fatal` says that the process is gone; otherwise it still takes commands.
    """

    def __init__(self, status: str, reason: str, fatal: bool) -> None:
        self.status = status
        self.reason = printable(" ".join(reason.split()))
        self.fatal = fatal
        super().__init__(f"{status}: {self.reason}")

    def exit_code(self) -> int:
        """Of a command that needs this worker: 2 if its framework is not installed, else 1."""
        return 2 if self.status == SKIPPED else 1


def environment(threads: int, folder: Path, gpu: bool = False) -> dict[str, str]:
    """Environment of a worker: this process's, with thread counts set and logging quiet.

    It sees no GPU unless it is to run on a `gpu`.

    Temporary files go into `folder`, which is deleted with all that a killed backend leaves.
    """
    variables = dict(os.environ) | _FIXED_VARIABLES | {"TMPDIR": str(folder)}
    variables |= {} if gpu else _NO_GPU
    # What PyTorch has compiled is kept for later runs, as it does by itself.
    kept = os.path.join(tempfile.gettempdir(), f"torchinductor_uid_{os.getuid()}")
    variables.setdefault("TORCHINDUCTOR_CACHE_DIR", kept)
    variables |= dict.fromkeys(_THREAD_VARIABLES, str(threads))
    # The worker starts in an empty folder, so that no file of the user's shadows a module;
    # relative entries of the path would be lost there.
    variables["PYTHONPATH"] = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)
    return variables


class WorkerProcess:
    """One worker process, in a session and process group of its own.

    `folder` must be an existing empty folder: the worker's working directory and log. The files
    of functions that this process has run are run in the worker too, before anything else.
    `variables` are added to its environment; it is to run on a `gpu` or sees none. Raises
    WorkerError if no process can be started.
    """

    def __init__(
        self,
        folder: Path,
        cpus: Sequence[int],
        session: str = SESSION,
        variables: Mapping[str, str] | None = None,
        gpu: bool = False,
    ) -> None:
        self._received = bytearray()
        self._commands = 0
        self._ending: WorkerError | None = None
        self._last_words = ""
        with contextlib.ExitStack() as opened:
            try:
                self._log = opened.enter_context((folder / "output.log").open("w+b"))
                self._socket, theirs = map(opened.enter_context, socket.socketpair())
                start = {
                    "socket": theirs.fileno(),
                    "parent": os.getpid(),
                    "cpus": list(cpus),
                    "session": session,
                    "functions": list(declared_functions.LOADED),
                    "started": time.monotonic(),
                }
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "bench.workers.child", json.dumps(start)],
                    cwd=folder,
                    env=environment(len(cpus), folder, gpu) | dict(variables or {}),
                    stdin=subprocess.DEVNULL,
                    stdout=self._log,
                    stderr=self._log,
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,
                )
            except OSError as error:
                raise WorkerError(
                    CRASHED, f"its process could not be started: {error}", fatal=True
                ) from None
            theirs.close()
            opened.pop_all()

    @property
    def pid(self) -> int:
        """Number of the process, which is also that of its group."""
        return self._process.pid

    def request(self, command: str, timeout: float, **arguments: Any) -> dict[str, Any]:
        """Sends one command and returns its reply; raises WorkerError if there is none in time.

        Of a worker that has ended every request fails as the one did at which it ended.
        """
        if self._ending is not None:
            raise WorkerError(self._ending.status, self._ending.reason, fatal=True)
        deadline = time.monotonic() + timeout
        self._commands += 1
        line = json.dumps({"number": self._commands, "command": command, **arguments})
        try:
            self._socket.settimeout(timeout)
            self._socket.sendall(line.encode() + b"\n")
            reply = self._reply(self._receive_line(deadline))
        except TimeoutError:
            reason = f"no answer to {command} within {timeout:g} s"
            if self._state() == psutil.STATUS_STOPPED:
                reason += ", stopped by a signal"
            raise self._end(TIMEOUT, reason) from None
        except OSError:
            raise self._crash() from None
        if "failure" in reply:
            raise WorkerError(reply["failure"], reply["reason"], fatal=False)
        return reply

    def _receive_line(self, deadline: float) -> bytes:
        """What the worker writes up to a newline; raises OSError once it writes no more."""
        searched = 0
        while (end := self._received.find(b"\n", searched)) < 0:
            searched = len(self._received)
            if searched > _REPLY_LIMIT_BYTES:
                raise self._end(CRASHED, f"answered with over {_REPLY_LIMIT_BYTES >> 20} MiB")
            self._received += self._receive(deadline)
        line = bytes(self._received[:end])
        del self._received[: end + 1]
        return line

    def _receive(self, deadline: float) -> bytes:
        gone = False
        while True:
            if os.fstat(self._log.fileno()).st_size > _LOG_LIMIT_BYTES:
                raise self._end(CRASHED, f"printed over {_LOG_LIMIT_BYTES >> 20:,} MiB")
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise TimeoutError
            self._socket.settimeout(min(remaining, _LOOK_S))
            try:
                chunk = self._socket.recv(1 << 16)
            except TimeoutError:
                if gone:
                    raise ConnectionResetError from None
                gone = self._state() is None
                continue
            if not chunk:
                raise ConnectionResetError
            return chunk

    def _reply(self, line: bytes) -> dict[str, Any]:
        """The reply to the latest command; anything else on the connection is not the worker's."""
        try:
            reply = json.loads(line)
        except (ValueError, RecursionError):
            reply = None
        if not isinstance(reply, dict) or reply.pop("number", None) != self._commands:
            text = line[:60].decode(errors="replace")
            raise self._end(CRASHED, f"wrote to the connection of its answers: {text!r}")
        return reply

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
        if self._ending is None:
            self._end(CRASHED, "it was ended before this command")

    def log_tail(self) -> str:
        """The end of what the worker printed."""
        if self._log.closed:
            return self._last_words
        descriptor = self._log.fileno()
        start = max(0, os.fstat(descriptor).st_size - _LOG_TAIL_BYTES)
        return os.pread(descriptor, _LOG_TAIL_BYTES, start).decode(errors="replace")

    def _state(self) -> str | None:
        """What the process does, as psutil has it; None once it has ended."""
        try:
            state: str = psutil.Process(self._process.pid).status()
        except psutil.NoSuchProcess:
            return None
        return None if state in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD) else state

    def _crash(self) -> WorkerError:
        """The reason why the worker answers no more: its signal or exit status, its last words."""
        deadline = time.monotonic() + _CLOSE_TIMEOUT_S
        while (alive := self._state() is not None) and time.monotonic() < deadline:
            time.sleep(0.01)
        if alive:
            return self._end(CRASHED, "closed the connection of its answers")
        self._reap()
        status = self._process.returncode
        if status < 0:
            reason = f"killed by {_signal_name(-status)}"
            if -status == signal.SIGKILL:
                reason += " (out of memory?)"
        else:
            reason = f"ended with exit status {status}"
        words = [line.strip() for line in self.log_tail().splitlines() if line.strip()]
        if words:
            reason += f": {words[-1][:200]}"
        return self._end(CRASHED, reason)

    def _end(self, status: str, reason: str) -> WorkerError:
        """Ends the process group and remembers why, which it returns."""
        self._reap()
        self._socket.close()
        self._last_words = self.log_tail()
        self._log.close()
        self._ending = WorkerError(status, reason, fatal=True)
        return self._ending

    def _reap(self) -> None:
        self._signal_group(signal.SIGKILL)
        # A process in a system call that cannot be interrupted may outlive its kill for a while.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_CLOSE_TIMEOUT_S)

    def _signal_group(self, number: signal.Signals) -> None:
        # Once the leader is reaped its group number may be anyone's.
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)


def _signal_name(number: int) -> str:
    """SIGSEGV, or "signal 40" of those without a name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
