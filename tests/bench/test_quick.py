"""The quick comparison says what it leaves out of the one that has everything."""

from __future__ import annotations

import inspect

from adapters import registry
from bench.cli import quick
from bench.cli.compare import compare
from bench.cli.scenario_options import SAMPLES
from bench.results.schema import OFFLINE


def test_what_it_leaves_out_is_said() -> None:
    said = quick.note(SAMPLES[OFFLINE])
    for name in registry.BACKENDS:
        assert (name in said) is (name not in quick.CHOSEN["backend"])
    assert "10 and 1,000 images" in said


def test_what_it_chooses_are_options_of_compare() -> None:
    assert quick.CHOSEN.keys() <= inspect.signature(compare).parameters.keys()
    assert set(quick.CHOSEN["backend"]) <= set(registry.BACKENDS)
