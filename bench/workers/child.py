"""The child's side of a worker process: takes its CPUs, then answers commands one by one.

Started by bench/workers/process.py, which sets the environment. Each command and each reply is
one JSON line on a socket that nothing else knows of, so that whatever a framework prints
cannot corrupt them; a reply carries its command's number, so that nothing else is taken for
one. A command names a method of the session, a bench.workers.session.Session; the reply
is what the method returns, or {"failure": ..., "reason": ...}.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import traceback
from importlib import import_module
from typing import Any

from bench.verdict import status
from bench.workers.guard import die_with_parent


def main() -> None:
    """Serves commands until the socket closes; never returns."""
    start = json.loads(sys.argv[1])
    leader = os.getpid()
    try:
        os.set_inheritable(start["socket"], False)
        die_with_parent(start["parent"])
        if start["cpus"] and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, start["cpus"])
        # Imported here: NumPy and Arrow size their thread pools by the CPUs they find.
        if start["functions"]:
            from adapters import declared_functions

            declared_functions.load(start["functions"])
        module, _, name = start["session"].partition(":")
        session = getattr(import_module(module), name)(started=start["started"])
        with socket.socket(fileno=start["socket"]).makefile("rwb") as lines:
            # A copy of itself that the backend forked ends here: the commands are not its own.
            while os.getpid() == leader and (line := lines.readline()):
                reply = _answer(session, json.loads(line))
                if os.getpid() == leader:
                    lines.write(reply)
                    lines.flush()
    except BaseException:
        traceback.print_exc()
        _leave(1)
    _leave(0)


def _answer(session: Any, command: dict[str, Any]) -> bytes:
    from bench.workers.session import WrongOutputError
    from columnar_nn.errors import (
        CnnBenchError,
        MissingDeviceError,
        MissingPackageError,
        UnsupportedNetworkError,
    )

    number = command.pop("number")
    try:
        reply: dict[str, Any] = getattr(session, command.pop("command"))(**command)
        return _line(number, reply)  # may raise: a backend describes itself in words of its own
    except (MissingPackageError, MissingDeviceError) as error:
        failure, reason = status.SKIPPED, str(error)
    except UnsupportedNetworkError as error:
        failure, reason = status.UNIMPLEMENTED, str(error)
    except WrongOutputError as error:
        failure, reason = status.FAILED, str(error)
    except CnnBenchError as error:
        failure, reason = status.CRASHED, str(error)
    except Exception as error:
        traceback.print_exc()
        first_line = (str(error).strip().splitlines() or [""])[0]
        failure, reason = status.CRASHED, f"{type(error).__name__}: {first_line[:500]}"
    return _line(number, {"failure": failure, "reason": reason})


def _line(number: int, reply: dict[str, Any]) -> bytes:
    return json.dumps({"number": number, **reply}).encode() + b"\n"


def _leave(exit_status: int) -> None:
    """Ends without exit handlers: some frameworks abort in theirs, their work long done."""
    with contextlib.suppress(OSError):  # closed by whatever ran here
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(exit_status)


if __name__ == "__main__":
    main()
