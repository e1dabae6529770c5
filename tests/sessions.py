"""Sessions of comparisons for tests, and what became of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.compare.comparison import Comparison
from bench.compare.experiment import Experiment
from bench.results import document
from bench.results.result import Result
from bench.results.session import Session
from bench.results.summary import summarize


def session_of(experiment: Experiment, **settings: Any) -> Session:
    """A session that measures an experiment, with further settings."""
    return Session("compare", experiment.settings() | settings, experiment.options.cpus)


def result_of(comparison: Comparison) -> Result:
    """What is known of a comparison by now, through the rows that it would write."""
    return summarize(document.loads(document.to_json(comparison.results())))


def read_back(file: Path) -> Result:
    """The comparison in a file."""
    return summarize(document.read(file))
