"""`cnn-bench query`: SQL over tables, with networks as functions."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from bench.cli import terminal
from bench.cli.options import FunctionsOption, TimeoutOption, choice, run_options
from bench.explain.text import fit
from bench.query import output
from bench.query.tables import Tables, named
from bench.workers.process import WorkerError
from columnar_nn.errors import UsageError
from columnar_nn.exec.executable import prepare
from columnar_nn.exec.stats_text import nanos_text, plan_with_stats
from columnar_nn.plan.plan_node import PlanNode
from columnar_nn.queries.query import plan_query

BACKENDS = ("columnar", "velox")
FORMATS = ("table", "csv", "json", "arrow")


def query(
    text: Annotated[
        str | None, typer.Argument(metavar="SQL", help="The query, in Presto's SQL.")
    ] = None,
    *,
    file: Annotated[
        str | None,
        typer.Option(
            "-f", "--file", metavar="FILE", help="Read it from there; - is standard input."
        ),
    ] = None,
    table: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=PATH",
            help="A table, repeatable: Parquet, Arrow, CSV, a folder or glob of them, CIFAR-10.",
            show_default="photo10",
        ),
    ] = None,
    network: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FILE",
            help="A network as a function, an .onnx file, repeatable.",
            show_default="the built-in ones",
        ),
    ] = None,
    functions: FunctionsOption = None,
    backend: Annotated[str, choice(BACKENDS)] = "columnar",
    threads: Annotated[int, typer.Option(min=1, help="Threads.")] = 1,
    explain: Annotated[
        bool, typer.Option("--explain", help="Print the plan instead of running it.")
    ] = False,
    analyze: Annotated[
        bool, typer.Option("--analyze", help="Run it, and print the plan with its statistics.")
    ] = False,
    output_format: Annotated[str, choice(FORMATS, "--format")] = "table",
    limit_rows: Annotated[
        int | None,
        typer.Option(
            min=0, help="Rows to print.", show_default=f"all, {output.TABLE_ROWS} of a table"
        ),
    ] = None,
    timeout: TimeoutOption = 600.0,
) -> None:
    """Run a query in SQL over Arrow tables, in which networks are functions.

    photo10 is there as a table, plain9 and the other built-in networks as functions. The backend
    velox runs queries without networks, in a worker process. Exit status: 0 done, 1 Velox failed,
    2 wrong usage, or a query or data that cannot be read.
    """
    if explain and analyze:
        raise UsageError("--explain does not run the query, --analyze does: choose one")
    tables = Tables(named("--table", table))
    plan = plan_query(_text(text, file), tables, named("--network", network))
    console = terminal.output()
    if backend == "velox":
        from bench.query import velox

        try:
            run = velox.run(plan, run_options(threads, timeout), explain)
        except WorkerError as error:
            print(f"cnn-bench: velox: {error}", file=sys.stderr)
            raise typer.Exit(error.exit_code()) from None
        if explain or analyze:
            print(fit(run.plan.rstrip(), _width()))
        else:
            output.write(output_format, run.schema, run.batches, limit_rows, console)
    elif explain or analyze:
        print(_plan_text(plan, threads, analyze))
    else:
        with prepare(plan, threads) as executable:
            output.write(
                output_format, executable.output_type, executable.run(), limit_rows, console
            )


def _text(text: str | None, file: str | None) -> str:
    if (text is None) == (file is None):
        raise UsageError("give a query, or -f FILE with one")
    if text is not None:
        return text
    try:
        return sys.stdin.read() if file == "-" else Path(str(file)).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise UsageError(f"{file} is no text in UTF-8") from None


def _width() -> int | None:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _plan_text(plan: PlanNode, threads: int, analyze: bool) -> str:
    """The plan before and after its rewriting; with `analyze` what its nodes did, and how long."""
    with prepare(plan, threads) as executable:
        if not analyze:
            return fit(executable.explain().rstrip(), _width())
        task = executable.run(profile=True)
        rows = sum(batch.num_rows for batch in task)
        stats = task.stats()
        shown = fit(plan_with_stats(executable.plan, stats).rstrip(), _width())
        return f"{shown}\n{rows:,} rows in {nanos_text(stats.wall_nanos)}"
