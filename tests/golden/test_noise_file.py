"""The noise in a bundle: what was measured, and nothing else is believed."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from golden.conftest import faulty
from golden.small_network import NUM_IMAGES, RandomImages, small_network

from adapters.base import image_array
from bench.golden import checks, noise_file
from bench.golden.bundle import Bundle, open_bundle
from bench.golden.create import create
from bench.golden.manifest import Creation
from bench.golden.verify import Comparing, verify
from bench.verdict.noise import DIMMED, Noise, NoiseAccumulator
from columnar_nn.errors import InvalidDataError
from reference.evaluate import evaluate

COLUMNS = {"conv": 3, "logits": 2}
ROWS = 4


def noises() -> dict[str, Noise]:
    return {
        name: Noise(
            columns=np.full(count, 1e-6),
            rows=np.ones(ROWS),
            spread=np.ones(count),
            rms=np.zeros(count),
            telling=np.array([True, False, True, True]),
        )
        for name, count in COLUMNS.items()
    }


def changed(**arrays: Any) -> dict[str, Noise]:
    """The noises with other arrays in the first tensor's."""
    good = noises()
    first = {**vars(good["conv"]), **{name: np.array(v) for name, v in arrays.items()}}
    return {**good, "conv": Noise(**first)}


def test_round_trip_is_exact(tmp_path: Path) -> None:
    file = tmp_path / "noise.arrows"
    written = changed(columns=[1e-38, np.inf, np.pi], rms=[0, 3e38, 1e-300])
    noise_file.write(file, written)
    read = noise_file.read(file, COLUMNS, ROWS)
    assert list(read) == list(COLUMNS)
    for name in COLUMNS:
        for key, array in vars(written[name]).items():
            np.testing.assert_array_equal(vars(read[name])[key], array)


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        (changed(columns=[1.0, 1.0]), "its columns are not 3"),
        (changed(spread=[1.0] * 4), "its spread are not 3"),
        (changed(rows=[1.0] * 3), "its rows are not 4"),
        (changed(telling=[True] * 5), "its telling are not 4"),
        (changed(columns=[1.0, 0.0, 1.0]), "not positive"),
        (changed(columns=[1.0, np.nan, 1.0]), "not positive"),
        (changed(columns=[1.0, -1.0, 1.0]), "not positive"),
        (changed(rows=[1.0, 0.0, 1.0, 1.0]), "not positive"),
        (changed(rows=[1.0, np.inf, 1.0, 1.0]), "its rows are not finite"),
        (changed(spread=[1.0, np.nan, 1.0]), "its spread are not finite"),
        (changed(rms=[1.0, np.inf, 1.0]), "its rms are not finite"),
        (changed(rms=[1.0, -1.0, 1.0]), "negative"),
        (changed(rows=[1.0, None, 1.0, 1.0]), "its rows are not 4"),
        ({"conv": noises()["conv"]}, "lacks the noise of a tensor"),
        (dict(reversed(noises().items())), "not the expected tensors in their order"),
        ({**noises(), "more": noises()["conv"]}, "not the expected tensors in their order"),
    ],
)
def test_noise_that_cannot_be_is_refused(
    tmp_path: Path, written: dict[str, Noise], problem: str
) -> None:
    file = tmp_path / "noise.arrows"
    noise_file.write(file, written)
    with pytest.raises(InvalidDataError) as caught:
        noise_file.read(file, COLUMNS, ROWS)
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_other_files_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "noise.arrows"
    noise_file.write(file, noises())
    content = file.read_bytes()
    batch = pa.RecordBatch.from_pydict({"tensor": ["conv"], "columns": [[1, 2, 3]]})
    with pa.ipc.new_stream(str(file), batch.schema) as writer:
        writer.write_batch(batch)
    for text in (file.read_bytes(), b"", b"noise", content[: len(content) // 2]):
        file.write_bytes(text)
        with pytest.raises(InvalidDataError, match=r"noise\.arrows"):
            noise_file.read(file, COLUMNS, ROWS)


def test_forged_noise_is_refused_before_an_engine_runs(damaged: Path, bundle: Bundle) -> None:
    forged = bundle.noises()
    forged["conv2"] = replace(forged["conv2"], columns=-forged["conv2"].columns)
    noise_file.write(damaged / "noise.arrows", forged)
    content = (damaged / "noise.arrows").read_bytes()
    manifest = json.loads((damaged / "manifest.json").read_text())
    manifest["files"]["noise.arrows"] = {
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    (damaged / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InvalidDataError, match="tensor 'conv2': its noise is not positive"):
        verify(open_bundle(damaged), *faulty("Correct"), Comparing(checks.parse("mean")))


def test_noise_is_that_of_the_float32_evaluation(bundle: Bundle) -> None:
    graph = small_network()
    (source,) = RandomImages().batches(NUM_IMAGES, NUM_IMAGES)
    images = image_array(source)
    names = ["conv2", "logits"]

    def run(images: np.ndarray, calculation: type[np.floating]) -> dict[str, np.ndarray]:
        return evaluate(
            graph.nodes, graph.weights, {"image": images}, names, calculation=calculation
        )

    truth, plain = run(images, np.float64), run(images, np.float32)
    dimmed = run(images * np.float32(DIMMED), np.float32)
    for name in names:
        accumulator = NoiseAccumulator()
        accumulator.add(truth[name], plain[name], dimmed[name])
        for key, array in vars(accumulator.result()).items():
            np.testing.assert_allclose(vars(bundle.noises()[name])[key], array, rtol=1e-12)
    error = np.square(plain["logits"].astype(np.float64) - truth["logits"]).mean(axis=0)
    assert (bundle.noises()["logits"].columns >= np.sqrt(error) * (1 - 1e-12)).all()


def test_batches_do_not_change_the_noise(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does it where it is kept: in memory, or in a file when there are many rows."""
    monkeypatch.setattr("bench.verdict.noise._SPOOL_BYTES", 16)
    creation = Creation("small", "seed", NUM_IMAGES, ("all",))
    create(tmp_path / "spooled", small_network(), RandomImages(), creation)
    for name, noise in open_bundle(tmp_path / "spooled").noises().items():
        for key, array in vars(noise).items():
            np.testing.assert_array_equal(vars(bundle.noises()[name])[key], array)
