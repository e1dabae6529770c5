"""`cnn-bench compare`: the options, and where the result goes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli import quick as quick_look
from bench.cli import signals, streams, terminal
from bench.cli.data_options import (
    LabelsOption,
    MeanOption,
    ResizeOption,
    SplitOption,
    StdOption,
    show_data,
)
from bench.cli.import_line import show_import
from bench.cli.options import (
    AlgorithmOption,
    AtolOption,
    BackendsOption,
    BatchSizeOption,
    DataOption,
    FunctionsOption,
    ImportCheckOption,
    InputShapeOption,
    JsonOption,
    LabelOption,
    ModelOption,
    RtolOption,
    SeedOption,
    StrictOption,
    ThreadsOption,
    TimeoutOption,
    finite,
    resolved,
    run_options,
    seed_or_new,
)
from bench.cli.saving import keep, save
from bench.cli.scenario_options import (
    SAMPLES,
    LatencyLimitOption,
    PercentilesOption,
    RateOption,
    ScenarioOption,
    images,
    limits,
    traffic,
)
from bench.cli.signals import EXIT_INTERRUPTED
from bench.compare import report
from bench.compare.comparison import Comparison
from bench.compare.evaluation import num_images
from bench.compare.experiment import Experiment
from bench.compare.recording import misread
from bench.compare.truth import Overrides
from bench.data.dataset import dataset_for
from bench.data.preparation import Preparation
from bench.files.output import OutputFile
from bench.machine import environment
from bench.model import fixed_batch
from bench.model.check import MISREAD
from bench.results.document import to_json
from bench.results.journal import Journal
from bench.results.results import Results
from bench.results.schema import OFFLINE
from bench.results.session import Session, Workloads
from bench.results.summary import summarize
from bench.verdict import tolerance
from bench.workers.selection import select
from columnar_nn.model import precision
from columnar_nn.settings import variables

if TYPE_CHECKING:
    from bench.query_study.study import QueryStudy


def compare(
    context: typer.Context,
    *,
    model: ModelOption = "plain9",
    input_shape: InputShapeOption = None,
    data: DataOption = "photo10",
    split: SplitOption = "test",
    labels: LabelsOption = None,
    resize: ResizeOption = None,
    mean: MeanOption = None,
    std: StdOption = None,
    backend: BackendsOption = None,
    query: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="A query in SQL with networks in it, from Parquet files to rows: confusion, sites "
            "or agreement (docs/queries.md).",
        ),
    ] = None,
    scenario: ScenarioOption = OFFLINE,
    rate: RateOption = None,
    latency_limit: LatencyLimitOption = None,
    percentiles: PercentilesOption = None,
    samples: Annotated[
        str | None,
        typer.Option(
            help="Numbers of images of a run, or of a query, separated by commas.",
            show_default="1,10,100,1000; 8 in multi-stream",
        ),
    ] = None,
    batch_size: BatchSizeOption = 128,
    threads: ThreadsOption = None,
    runs: Annotated[
        int | None,
        typer.Option(
            min=1, help="Timed runs, or queries, of a cell, at least.", show_default="5; 700"
        ),
    ] = None,
    min_time: Annotated[
        float | None,
        typer.Option(
            min=0,
            callback=finite,
            help="Seconds of timed runs, or queries, of a cell, at least.",
            show_default="0.3; 3 of a server",
        ),
    ] = None,
    budget: Annotated[
        float | None,
        typer.Option(
            min=0,
            callback=finite,
            help="Seconds of a cell's timed runs, or queries, beyond which it gets no more than 3 "
            "of them; it is not run at all if one would take longer.",
            show_default="2; 10 of queries",
        ),
    ] = None,
    timeout: TimeoutOption = 180.0,
    algorithm: AlgorithmOption = "auto",
    rtol: RtolOption = None,
    atol: AtolOption = None,
    seed: SeedOption = None,
    import_check: ImportCheckOption = True,
    functions: FunctionsOption = None,
    quick: Annotated[
        bool,
        typer.Option("--quick", help="A first look at three engines, in under 30 seconds."),
    ] = False,
    strict: StrictOption = False,
    label: LabelOption = None,
    json: JsonOption = None,
) -> None:
    """Compare engines on the same network, weights and images.

    Each engine runs in a process of its own; times are from Arrow batches in to Arrow logits
    out. In a scenario other than offline they are latencies of queries. Exit status: 0 all outputs
    agree with the reference, 1 one does not, an engine failed, nothing of one that was named was
    run, or the model's file was misread, 2 wrong usage.
    """
    if query is not None:
        from bench.cli import query_options

        raise typer.Exit(_run(*query_options.study(context, query), json))
    note = ""
    if quick:
        chosen, note = quick_look.choose(context), quick_look.note(SAMPLES[OFFLINE])
        backend, samples, min_time = (chosen[name] for name in ("backend", "samples", "min_time"))
    graph = resolved(model, input_shape)
    asked = traffic(scenario, rate, latency_limit, percentiles)
    counts = images(asked, samples, graph)
    size = fixed_batch.batch_size(graph, min(batch_size, max(counts)), counts, "--samples")
    outputs = [spec.name for spec in graph.outputs]
    experiment = Experiment(
        selections=select(backend or ()),
        samples=counts,
        options=run_options(threads, timeout, size, algorithm),
        limits=limits(asked, runs, min_time, budget),
        seed=seed_or_new(seed),
        traffic=asked,
    )
    overrides = Overrides(
        rtol=tolerance.parse_overrides("--rtol", rtol or (), outputs),
        atol=tolerance.parse_overrides("--atol", atol or (), outputs),
    )
    prepared = Preparation.parse(labels, resize, mean, std)
    settings = {
        "model": model,
        "input_shape": input_shape or [],
        "data": data,
        "split": split,
        **prepared.settings(),
        **experiment.settings(),
        "named": [] if quick else backend or [],
        "strict": strict,
        "rtol": dict(overrides.rtol),
        "atol": dict(overrides.atol),
        "batch_note": fixed_batch.note(graph),
        "precision_note": precision.note(graph),
        "quick_note": note,
    }
    dataset = dataset_for(graph, data, num_images(experiment), split, prepared)
    left_out = show_data(data, dataset, terminal.stream(json))
    checked = show_import(model, graph, import_check, experiment.options, terminal.stream(json))
    session = Session(
        "compare",
        settings,
        experiment.options.cpus,
        warnings=[*environment.doubts(graph, experiment.options.cpus), *left_out],
        import_check=None if checked is None else checked.document(),
        label=label,
    )
    if checked is not None and checked.verdict == MISREAD:
        unsaved = save(
            json, to_json(misread(session, experiment, Workloads(graph, dataset), checked.reason))
        )
        raise typer.Exit(unsaved or checked.exit_code())
    comparing = partial(Comparison, session, experiment, graph, dataset, overrides=overrides)
    raise typer.Exit(_run(comparing, session, json))


def _run(
    comparing: Callable[..., Comparison | QueryStudy], session: Session, json: OutputFile | None
) -> int:
    """Compares, prints and saves; returns the exit status."""
    journal = Journal(json, session)
    with signals.last_words(journal.notice):
        try:
            with terminal.progress() as show:
                comparison = comparing(progress=show, record=journal.append)
                try:
                    comparison.run()
                except KeyboardInterrupt:
                    pass
                except Exception:
                    results = comparison.results()
                    if any(row["metric"] in ("time", "latency") for row in results["observation"]):
                        _finish(results, json, journal)
                    raise
            return _finish(comparison.results(), json, journal)
        except (Exception, KeyboardInterrupt):
            _say(journal.notice())
            raise


def _finish(results: Results, json: OutputFile | None, journal: Journal) -> int:
    """Prints, then saves, so that one can fail without the other; returns the exit status."""
    outcome = summarize(results)
    report.show(outcome, terminal.output(json))
    content = to_json(results)
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
    _say(outcome.too_disturbed)
    return unsaved or outcome.exit_code()


def _say(line: str) -> None:
    if line:
        print(f"cnn-bench: {line}", file=sys.stderr)
