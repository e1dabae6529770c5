"""`cnn-bench compare`: the options, and where the result goes."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from bench.cli import signals, streams, terminal
from bench.cli.import_line import show_import
from bench.cli.options import (
    AlgorithmOption,
    AtolOption,
    BackendsOption,
    BatchSizeOption,
    DataOption,
    ImportCheckOption,
    JsonOption,
    MinTimeOption,
    ModelOption,
    RtolOption,
    RunsOption,
    SeedOption,
    ThreadsOption,
    TimeoutOption,
    parse_samples,
    run_options,
    seed_or_new,
)
from bench.cli.saving import keep, save
from bench.cli.signals import EXIT_INTERRUPTED
from bench.compare import report
from bench.compare.comparison import Comparison, num_images
from bench.compare.experiment import Experiment, Limits
from bench.compare.truth import Overrides
from bench.data.dataset import Dataset, open_dataset
from bench.files.output import OutputFile
from bench.machine import environment
from bench.model import fixed_batch
from bench.model.check import MISREAD, ImportCheck
from bench.results.journal import Journal
from bench.results.result import BackendRecord, Result, to_json
from bench.verdict import tolerance
from bench.workers.selection import select
from columnar_nn.model import zoo
from columnar_nn.model.graph import Graph
from columnar_nn.settings import variables


def compare(
    *,
    model: ModelOption = "plain9",
    data: DataOption = "photo10",
    backend: BackendsOption = None,
    samples: Annotated[
        str, typer.Option(help="Numbers of images, separated by commas.")
    ] = "1,10,100,1000",
    batch_size: BatchSizeOption = 128,
    threads: ThreadsOption = None,
    runs: RunsOption = 5,
    min_time: MinTimeOption = 0.3,
    budget: Annotated[
        float,
        typer.Option(
            min=0,
            help="Seconds of a cell's timed runs beyond which it gets no more than 3 of them; it "
            "is not run at all if one would take longer.",
        ),
    ] = 2.0,
    timeout: TimeoutOption = 180.0,
    algorithm: AlgorithmOption = "auto",
    rtol: RtolOption = None,
    atol: AtolOption = None,
    seed: SeedOption = None,
    import_check: ImportCheckOption = True,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Exit with 1 if other processes disturbed a measurement."),
    ] = False,
    json: JsonOption = None,
) -> None:
    """Compare engines on the same network, weights and images.

    Each engine runs in a process of its own; times are from Arrow batches in to Arrow logits
    out. Exit status: 0 all outputs agree with the reference, 1 one does not, an engine failed,
    nothing of one that was named was run, or the model's file was misread, 2 wrong usage.
    """
    graph = zoo.resolve(model)
    counts = parse_samples(samples)
    size = fixed_batch.batch_size(graph, min(batch_size, max(counts)), counts, "--samples")
    outputs = [spec.name for spec in graph.outputs]
    experiment = Experiment(
        selections=select(backend or ()),
        samples=counts,
        options=run_options(threads, timeout, size, algorithm),
        limits=Limits(runs, min_time, budget),
        seed=seed_or_new(seed),
    )
    overrides = Overrides(
        rtol=tolerance.parse_overrides("--rtol", rtol or (), outputs),
        atol=tolerance.parse_overrides("--atol", atol or (), outputs),
    )
    settings = {
        "model": model,
        "data": data,
        **_settings(experiment),
        "named": backend or [],
        "strict": strict,
        "rtol": dict(overrides.rtol),
        "atol": dict(overrides.atol),
        "batch_note": fixed_batch.note(graph),
    }
    dataset = open_dataset(data, num_images(experiment)).fitted_to(graph)
    context = environment.context(settings, graph, dataset, experiment.options.cpus)
    checked = show_import(model, graph, import_check, experiment.options, terminal.stream(json))
    context["import_check"] = None if checked is None else checked.document()
    if checked is not None and checked.verdict == MISREAD:
        unsaved = save(json, to_json(_misread(experiment, context, checked).document()))
        raise typer.Exit(unsaved or checked.exit_code())
    raise typer.Exit(_run(experiment, overrides, graph, dataset, context, json))


def _run(
    experiment: Experiment,
    overrides: Overrides,
    graph: Graph,
    dataset: Dataset,
    context: dict[str, Any],
    json: OutputFile | None,
) -> int:
    """Compares, prints and saves; returns the exit status."""
    journal = Journal(json, context)
    with signals.last_words(journal.notice):
        try:
            with terminal.progress() as show:
                comparison = Comparison(experiment, graph, dataset, show, journal.append, overrides)
                try:
                    comparison.run()
                except KeyboardInterrupt:
                    pass
                except Exception:
                    outcome = comparison.result(context)
                    if any(benchmark.times for benchmark in outcome.benchmarks):
                        _finish(outcome, json, journal)
                    raise
            return _finish(comparison.result(context), json, journal)
        except (Exception, KeyboardInterrupt):
            _say(journal.notice())
            raise


def _finish(outcome: Result, json: OutputFile | None, journal: Journal) -> int:
    """Prints, then saves, so that one can fail without the other; returns the exit status."""
    report.show(outcome, terminal.output(json))
    content = to_json(outcome.document())
    unsaved = save(json, content)
    unshown = streams.failure() if json is None else ""
    if unshown:
        _say(f"cannot show the tables: {unshown}; {keep(content)}")
    if unsaved or unshown:
        _say(journal.notice())
    else:
        journal.remove()
    for record in outcome.backends:
        if record.log and variables.debug():
            print(f"--- the end of what {record.label} printed\n{record.log}", file=sys.stderr)
    if not outcome.complete:
        kept = f"; what was measured is in {json}" if json and not unsaved else ""
        _say(f"interrupted before the end{kept}")
        return EXIT_INTERRUPTED
    return unsaved or outcome.exit_code()


def _say(line: str) -> None:
    if line:
        print(f"cnn-bench: {line}", file=sys.stderr)


def _misread(experiment: Experiment, context: dict[str, Any], checked: ImportCheck) -> Result:
    """The result of a comparison that was not run."""
    records = tuple(
        BackendRecord(
            selection.backend,
            selection.configuration,
            experiment.options.on_threads(selection.threads).threads,
            checked.verdict,
            checked.reason,
            description=selection.description,
        )
        for selection in experiment.selections
    )
    return Result(context, records, ())


def _settings(experiment: Experiment) -> dict[str, Any]:
    """The experiment as a result's settings have it."""
    options, limits = experiment.options, experiment.limits
    return {
        "backends": [selection.label for selection in experiment.selections],
        "samples": list(experiment.samples),
        "batch_size": options.batch_size,
        "threads": options.threads,
        "cpus": list(options.cpus),
        "runs": limits.runs,
        "min_time_s": limits.min_time,
        "budget_s": limits.budget,
        "timeout_s": options.timeout,
        "algorithm": options.algorithm,
        "seed": experiment.seed,
    }
