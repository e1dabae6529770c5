"""The engine behind the interface of all backends."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest
from closeness import assert_close
from exec.networks import expected, images, residual_network

from adapters.base import Settings, Stopwatch
from adapters.columnar_backend import ColumnarBackend
from columnar_nn.data import tensor_column
from columnar_nn.kernels.bfloat16 import tile_kind
from columnar_nn.model.graph import TensorSpec

SIZES = (0, 1, 32, 0, 700, 5, 0)


def backend(
    configuration: str = "pipeline/auto", threads: int = 1, **options: str
) -> ColumnarBackend:
    return ColumnarBackend(residual_network(), Settings(configuration, threads, 32, **options))


def batches(dtype: str = "uint8") -> list[pa.RecordBatch]:
    found = [images(rows, seed=seed) for seed, rows in enumerate(SIZES)]
    if dtype == "uint8":
        return found
    floats = []
    for batch in found:
        pixels = tensor_column.to_numpy(batch.column("image")).astype(np.float32)
        floats.append(
            pa.record_batch({"image": tensor_column.from_numpy(pixels / np.float32(255))})
        )
    return floats


@pytest.mark.parametrize("configuration", ColumnarBackend.configurations)
def test_a_batch_of_outputs_for_each_batch_of_images(configuration: str, threads: int) -> None:
    engine = backend(configuration, threads)
    for dtype in ("uint8", "float32"):
        stopwatch = Stopwatch()
        outputs = list(engine.infer(iter(batches(dtype)), stopwatch))
        assert [batch.num_rows for batch in outputs] == list(SIZES)
        assert stopwatch.seconds["compute"] > 0
        for given, output in zip(batches(), outputs, strict=True):
            if given.num_rows:
                (truth,) = expected(residual_network(), given, "logits")
                scale = float(np.abs(truth).max())
                actual = tensor_column.to_numpy(output.column("logits"))
                share = 0.02 if configuration == "bfloat16" else 5e-5
                assert_close(actual, truth, rtol=0, atol=share * scale)
    engine.close()


def test_answers_come_before_the_next_question() -> None:
    asked = 0

    def questions() -> Iterator[pa.RecordBatch]:
        nonlocal asked
        for _ in range(5):
            asked += 1
            yield images(2)

    for answered, _ in enumerate(backend().infer(questions(), Stopwatch()), start=1):
        assert asked == answered


def test_taps() -> None:
    names = ("r1", "sum", "logits")
    graph = residual_network().with_outputs([TensorSpec(name, (None,)) for name in names])
    engine = ColumnarBackend(graph, Settings("pipeline/auto", 1, 32))
    batch = images(3)
    (output,) = engine.infer([batch], Stopwatch())
    assert output.schema.names == list(names)
    for name, truth in zip(names, expected(graph, batch, *names), strict=True):
        actual = tensor_column.to_numpy(output.column(name))
        assert_close(actual, truth, rtol=0, atol=5e-5 * float(np.abs(truth).max()))


def test_nothing_in_nothing_out() -> None:
    assert list(backend().infer([], Stopwatch())) == []


def test_the_description_says_what_runs() -> None:
    described = backend("layer/direct").describe()
    assert described.algorithm == "direct (conv1: direct_3x3, conv2: direct_3x3)"
    assert (described.precision, described.threads) == ("float32", 1)
    assert (described.denormals, described.notes) == ("flushed", ())
    asked = backend("pipeline/auto", algorithm="winograd").describe()
    assert asked.algorithm.startswith("winograd (conv1: direct_3x3, conv2: winograd_f")
    (note,) = asked.notes
    assert note.startswith("at worst, rounding in Winograd's algorithm changes an output")
    assert "(conv2)" in note
    contradicted = backend("pipeline/direct", algorithm="winograd").describe()
    assert contradicted.notes == ("the configuration says direct, not winograd",)


def test_bfloat16_says_that_it_does_not_convolve_as_asked() -> None:
    note, *_ = backend("bfloat16", algorithm="winograd").describe().notes
    assert note == "bfloat16 convolves directly, not by winograd"


def test_bfloat16_is_said_and_counted() -> None:
    described = backend("bfloat16").describe()
    assert described.precision == "bfloat16"
    kinds = {
        "amx": "AMX",
        "vectors": "AVX512_BF16",
        "emulated": "float32 vectors, which emulate AMX: neither that nor AVX512_BF16 is here",
    }
    layers = sum(node.op_type in ("Conv", "Gemm") for node in residual_network().nodes)
    assert described.notes[0].startswith(
        f"convolutions and dense layers in bfloat16, summed in float32: {layers}, by "
        f"{kinds[tile_kind()]}; changes"
    )
    assert backend().describe().precision == "float32"


def test_keep_denormals_is_the_default_otherwise() -> None:
    default, kept = backend().describe(), backend("keep-denormals").describe()
    assert kept == dataclasses.replace(default, denormals="kept")
    asked = backend("keep-denormals", algorithm="direct").describe()
    assert asked.algorithm == backend(algorithm="direct").describe().algorithm
