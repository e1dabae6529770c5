"""The sub-commands of `cnn-bench`, each imported when it is called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module, metadata
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from columnar_nn.errors import UsageError

COMMANDS = {
    "compare": ("bench.cli.compare:compare", "Compare engines on one network and its images."),
    "sweep": ("bench.cli.sweep:sweep", "Compare over lists and ranges of everything; resumable."),
    "study": ("bench.cli.study:app", "Sweeps kept in a file: plan, run, status, replay."),
    "backends": ("bench.cli.backends:backends", "List engines; measure what it takes to use them."),
    "engine": ("bench.cli.engine:engine", "Hold the columnar engine against the machine's limits."),
    "query": ("bench.cli.query:query", "Run SQL over tables, with networks as functions."),
    "cluster": ("bench.cli.cluster:app", "Run the columnar engine inside Spark."),
    "data": ("bench.cli.data:app", "Make, inspect and fetch image data."),
    "model": ("bench.cli.model:app", "List networks, show their layers; check how a file is read."),
    "train": ("bench.cli.train:train", "Train a network with PyTorch and write it as ONNX."),
    "golden": ("bench.cli.golden:app", "Prove that an engine still computes what it did."),
    "explain": ("bench.cli.explain:explain", "Print the plan by which an engine runs a network."),
    "profile": ("bench.cli.profile:profile", "Show every layer's time in every engine."),
    "merge": ("bench.cli.merge:merge", "Make one file of results of several."),
    "check": ("bench.cli.check:check", "Say what is wrong with results before they go out."),
    "diff": ("bench.cli.diff:diff", "Say which cells became faster or slower; gate on it."),
    "doctor": ("bench.cli.doctor:doctor", "Measure what this machine can show; change nothing."),
    "show": ("bench.cli.show:show", "Print the tables of results."),
    "report": ("bench.cli.report:report", "Show results as a page with charts, or as tables."),
    "taps": ("bench.cli.taps:taps", "Write the tensors between layers to an Arrow file."),
    "completion": ("bench.cli.completion:completion", "Print a script that completes commands."),
    "cache": ("bench.cli.cache:app", "Show or clear what is kept on disk: kernels, import checks."),
}
"""Name of each command: the function or Typer app that is it, and its line of help."""

_PASS_THROUGH = {
    "allow_extra_args": True,
    "ignore_unknown_options": True,
    "help_option_names": [],
}


def run(arguments: list[str]) -> int:
    """Runs a command; its exit status. Raises what it raises, KeyboardInterrupt too."""
    try:
        status = application()(arguments, prog_name="cnn-bench", standalone_mode=False)
    except typer.Abort:
        raise KeyboardInterrupt from None
    return status if isinstance(status, int) else 0


def application() -> typer.Typer:
    """All of it, no command imported."""
    made = _typer()

    @made.callback()
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
        _register(made, name, target, text)
    return made


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
