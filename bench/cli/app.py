"""The command `cnn-bench`: its sub-commands, imported when called, and its errors in one line."""

from __future__ import annotations

import os
import sys
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module, metadata
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from bench.cli import signals, streams
from bench.cli.signals import EXIT_INTERRUPTED
from columnar_nn.errors import CnnBenchError, UsageError, printable
from columnar_nn.settings import variables

COMMANDS = {
    "compare": ("bench.cli.compare:compare", "Compare engines on one network and its images."),
    "engine": ("bench.cli.engine:engine", "Hold the columnar engine against the machine's limits."),
    "data": ("bench.cli.data:app", "Make, inspect and fetch image data."),
    "model": ("bench.cli.model:app", "Show networks and their layers; check how a file is read."),
    "train": ("bench.cli.train:train", "Train a network with PyTorch and write it as ONNX."),
    "golden": ("bench.cli.golden:app", "Prove that an engine still computes what it did."),
    "explain": ("bench.cli.explain:explain", "Print the plan by which an engine runs a network."),
    "profile": ("bench.cli.profile:profile", "Show every layer's time in every engine."),
    "taps": ("bench.cli.taps:taps", "Write the tensors between layers to an Arrow file."),
    "cache": ("bench.cli.cache:app", "Show or clear what is kept on disk: kernels, import checks."),
}
"""Name of each command: the function or Typer app that is it, and its line of help."""

EXIT_USAGE = 2

_PASS_THROUGH = {
    "allow_extra_args": True,
    "ignore_unknown_options": True,
    "help_option_names": [],
}


def main() -> None:
    """Runs the command line and exits: 0 all passed, 1 a comparison failed, 2 wrong usage."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    debug = len(arguments) < len(sys.argv) - 1 or variables.debug()
    if debug:
        os.environ[variables.DEBUG] = "1"
    signals.install()
    streams.install()
    status = _status(arguments, debug)
    if failure := streams.failure():
        unshown = _complain(f"error: cannot write to standard output: {failure}", EXIT_USAGE)
        status = status or unshown
    sys.exit(status)


def _status(arguments: list[str], debug: bool) -> int:
    """Runs the command; its exit status."""
    try:
        variables.settle()
        status = _application()(arguments, prog_name="cnn-bench", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        return _complain("interrupted", EXIT_INTERRUPTED)
    except Exception as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # its message is the help asked for
            print(error, file=sys.stderr)
            return EXIT_USAGE
        if debug:
            traceback.print_exc()
        return _complain(f"error: {_line(error)}", EXIT_USAGE)
    return status if isinstance(status, int) else 0


def _line(error: Exception) -> str:
    if isinstance(error, CnnBenchError):
        return str(error)
    if hasattr(error, "format_message"):  # a wrong option or argument, as Typer words it
        context: typer.Context | None = getattr(error, "ctx", None)
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


def _application() -> typer.Typer:
    application = _typer()

    @application.callback()
    def options(
        version: Annotated[
            bool,
            typer.Option("--version", callback=_print_version, is_eager=True, help="Print it."),
        ] = False,
        debug: Annotated[
            bool, typer.Option("--debug", help="Print tracebacks; allowed after a command too.")
        ] = False,
    ) -> None:
        """Compare engines for convolutional networks: a columnar executor and its peers."""

    for name, (target, text) in COMMANDS.items():
        _register(application, name, target, text)
    return application


def _typer() -> typer.Typer:
    return typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)


def _register(application: typer.Typer, name: str, target: str, text: str) -> None:
    """Adds a command that imports `target` only once it is called, whatever its arguments."""

    @application.command(name, help=text, context_settings=_PASS_THROUGH)
    def call(context: typer.Context) -> None:
        with _aborted():
            command = load(target)
        status = command(context.args, prog_name=f"cnn-bench {name}", standalone_mode=False)
        raise typer.Exit(status if isinstance(status, int) else 0)


def load(target: str) -> typer.Typer:
    """The command, or the group of commands, at "module:attribute"."""
    module, _, attribute = target.partition(":")
    command = getattr(import_module(module), attribute)
    if not isinstance(command, typer.Typer):
        function, command = command, typer.Typer(add_completion=False, rich_markup_mode=None)
        command.command()(function)
    for registered in command.registered_commands:
        registered.cls = _Command
    return command


@contextmanager
def _aborted() -> Iterator[None]:
    """Typer takes an interrupt for a status, without a word; what it aborts, it lets through."""
    try:
        yield
    except KeyboardInterrupt:
        raise typer.Abort from None


class _Command(TyperCommand):
    """A command that refuses an option given twice, of which only the last would count."""

    def invoke(self, ctx: Any) -> Any:
        with _aborted():
            return super().invoke(ctx)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        _, _, given = self.make_parser(ctx).parse_args(list(args))
        for option, times in Counter(given).items():
            once = option.param_type_name == "option" and not (option.multiple or option.is_eager)
            if once and times > 1:
                raise UsageError(f"{option.opts[0]} is given {times} times: this command takes one")
        return super().parse_args(ctx, args)


def _print_version(wanted: bool) -> None:
    if wanted:
        try:
            version = metadata.version("cnn-bench")
        except metadata.PackageNotFoundError:
            version = "(run from a folder, not installed)"
        print(f"cnn-bench {version}")
        raise typer.Exit
