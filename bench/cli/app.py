"""The command `cnn-bench`: how it ends, and its errors, in one line each.

What takes time to import is imported in `main`, where an interrupt is no traceback.
"""

from __future__ import annotations

import os
import sys

from bench.cli import signals, streams
from bench.cli.signals import EXIT_INTERRUPTED

EXIT_USAGE = 2


def main() -> None:
    """Runs the command line and exits: 0 all passed, 1 a comparison failed, 2 wrong usage."""
    try:
        sys.exit(_run())
    except KeyboardInterrupt:
        sys.exit(_complain("interrupted", EXIT_INTERRUPTED))


def _run() -> int:
    signals.install()
    streams.install()
    from columnar_nn.settings import variables

    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    debug = len(arguments) < len(sys.argv) - 1 or variables.debug()
    if debug:
        os.environ[variables.DEBUG] = "1"
    status = _status(arguments, debug)
    if failure := streams.failure():
        unshown = _complain(f"error: cannot write to standard output: {failure}", EXIT_USAGE)
        status = status or unshown
    return status


def _status(arguments: list[str], debug: bool) -> int:
    """Runs the command; its exit status."""
    from bench.cli import commands
    from columnar_nn.errors import CnnBenchError
    from columnar_nn.settings import variables

    try:
        variables.settle()
        return commands.run(arguments)
    except KeyboardInterrupt:
        return _complain("interrupted", EXIT_INTERRUPTED)
    except Exception as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # its message is the help asked for
            print(error, file=sys.stderr)
            return EXIT_USAGE
        if debug:
            import traceback

            traceback.print_exc()
        if signals.came() and not isinstance(error, (CnnBenchError, OSError)):
            return _complain("interrupted", EXIT_INTERRUPTED)
        return _complain(f"error: {_line(error)}", EXIT_USAGE)


def _line(error: Exception) -> str:
    from columnar_nn.errors import CnnBenchError, printable

    if isinstance(error, CnnBenchError):
        return str(error)
    if hasattr(error, "format_message"):  # a wrong option or argument, as Typer words it
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "cnn-bench"
        return f"{error.format_message()} (see {command} --help)"
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError):
        return f"not enough memory: ask for fewer images at a time{f' ({text})' if text else ''}"
    if isinstance(error, OSError) and error.strerror:  # a full disk, a file that may not be read
        return printable(
            f"{error.strerror}: {error.filename}" if error.filename else error.strerror
        )
    return f"{type(error).__name__}: {text} (this is a bug: run again with --debug)"


def _complain(line: str, status: int) -> int:
    print(f"cnn-bench: {line}", file=sys.stderr)
    return status
