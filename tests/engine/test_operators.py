"""Operators alone: what each case is in both engines that are no part of ours; the table; a run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from closeness import assert_close
from engine.test_engine_report import cell, printed, result_of, row

from adapters.base import Settings, Stopwatch
from adapters.onnxruntime_backend import OnnxRuntimeBackend
from adapters.reference_backend import ReferenceBackend
from bench.engine import operators
from bench.engine.operator_cases import CASES, SAMPLES, SMALLEST, Case
from bench.engine.operators import Operators
from bench.engine.run import EngineResult
from bench.engine.setup import Setup
from bench.verdict.noise import DIMMED
from bench.verdict.status import FAILED, PASSED
from columnar_nn.data import tensor_column

TINY = Case("tiny", "Abs", (3, 5))


def test_every_case_is_one_network_to_both_and_tells_dimmed_inputs_apart() -> None:
    pytest.importorskip("onnxruntime")
    OnnxRuntimeBackend.import_framework()
    assert len({case.name for case in CASES}) == len(CASES)
    for case in CASES:
        (given,) = case.dataset().batches(1, 1)
        row = tensor_column.to_numpy(given.column("image"))
        rows = np.concatenate([row, row * np.float32(DIMMED)])
        batch = pa.record_batch({"image": tensor_column.from_numpy(rows)})
        outputs = []
        for backend, configuration in (
            (OnnxRuntimeBackend, "default"),
            (ReferenceBackend, "float64"),
        ):
            made = backend(case.graph(), Settings(configuration, 1, 2))
            (output,) = made.infer(iter([batch]), Stopwatch())
            outputs.append(tensor_column.to_numpy(output.column(0)))
        assert_close(*outputs, rtol=1e-4, atol=1e-4)
        assert not np.allclose(*outputs[1], rtol=1e-3, atol=1e-3), case.name


def test_inputs_are_the_same_every_time_and_positive_where_they_must_be() -> None:
    first, second = (
        tensor_column.to_numpy(batch.column("image"))
        for _ in range(2)
        for batch in TINY.dataset().batches(SAMPLES, SAMPLES)
    )
    np.testing.assert_array_equal(first, second)
    assert first.shape == (SAMPLES, 3, 5)
    assert first.dtype == np.float32
    (batch,) = replace(TINY, positive=True).dataset().batches(SAMPLES, SAMPLES)
    magnitudes = np.maximum(np.abs(first), SMALLEST)
    np.testing.assert_array_equal(tensor_column.to_numpy(batch.column("image")), magnitudes)


def test_the_ratio_is_ours_over_theirs() -> None:
    def compared(name: str, ours: float, theirs: float, status: str = PASSED) -> object:
        wrong = {"status": status, "reason": "3 outside"} if status != PASSED else {}
        ours_, theirs_ = (
            cell("columnar", "pipeline/auto", 32, ours),
            cell("onnxruntime", "default", 32, theirs),
        )
        return result_of(replace(ours_, model=name, **wrong), replace(theirs_, model=name))

    part = Operators((compared("erf", 64e-6, 32e-6), compared("abs", 32e-6, 64e-6, FAILED)))
    lines = printed("operators", part)
    assert row(lines, "erf") == ["2.0", "±2%", "1.0", "±2%", "2.00", "2.00"]
    assert row(lines, "abs") == ["1.0", "±2%!", "2.0", "±2%", "0.50", "0.50"]
    assert "abs, columnar:pipeline/auto: failed: 3 outside" in lines
    assert EngineResult({}, {"operators": part}).exit_code() == 1


def test_both_engines_are_measured_on_every_case(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime")
    monkeypatch.setattr(operators, "CASES", (TINY,))
    (comparison,) = operators.measure(setup).comparisons
    assert {(c.model, c.label, c.samples, c.status) for c in comparison.benchmarks} == {
        ("tiny", "columnar:pipeline/auto", SAMPLES, PASSED),
        ("tiny", "onnxruntime:default", SAMPLES, PASSED),
    }
    (results,) = setup.measured
    assert [row["settings"]["part"] for row in results["session"]] == ["operators"]
