"""`cnn-bench compare --query`: its options, and the study that they ask for."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from adapters.queries import registry
from bench.cli.options import parse_samples, run_options, seed_or_new
from bench.cli.scenario_options import limits
from bench.compare.experiment import Experiment
from bench.data.dataset import open_dataset
from bench.machine import environment
from bench.query_study.queries import named
from bench.query_study.study import QueryStudy
from bench.results.session import Session
from bench.results.traffic import Traffic
from bench.workers.selection import select
from columnar_nn.errors import UsageError
from columnar_nn.model import zoo

SAMPLES = "1000"

_TAKEN = {
    *("query", "backend", "samples", "batch_size", "threads", "runs", "min_time", "budget"),
    *("timeout", "algorithm", "seed", "strict", "label", "json"),
}
"""Parameters of `compare` that say something of a query."""


def study(context: Any, query: str) -> tuple[Callable[..., QueryStudy], Session]:
    """What `compare` was asked for with --query; raises UsageError."""
    chosen = named(query)
    given = context.params
    for name in given.keys() - _TAKEN:
        if context.get_parameter_source(name).name == "COMMANDLINE":
            raise UsageError(
                f"--{name.replace('_', '-')} says nothing of --query, whose networks and images "
                "are its own: leave one of the two out"
            )
    named_backends = given["backend"] or []
    experiment = Experiment(
        selections=select(named_backends, registry.ENGINES, registry.load),
        samples=parse_samples(given["samples"] or SAMPLES),
        options=run_options(
            given["threads"], given["timeout"], given["batch_size"], given["algorithm"]
        ),
        limits=limits(Traffic(), given["runs"], given["min_time"], given["budget"]),
        seed=seed_or_new(given["seed"]),
    )
    networks = {name: zoo.resolve(name) for name in chosen.networks}
    dataset = open_dataset("photo10")
    settings = {
        "query": chosen.name,
        "meaning": chosen.meaning,
        "data": dataset.name,
        **experiment.settings(),
        "named": named_backends,
        "strict": given["strict"],
    }
    session = Session(
        "compare",
        settings,
        experiment.options.cpus,
        warnings=environment.warnings(experiment.options.cpus),
        label=given["label"],
    )
    return partial(QueryStudy, session, experiment, chosen, networks, dataset), session
