"""adapters/onnx_runner.py: a model fed as its file says, by either runner."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from closeness import assert_close
from onnx import TensorProto
from onnx_files import IMAGE, node, write

from adapters.onnx_runner import OnnxRunner, OnnxRuntimeRunner, ReferenceRunner

PIXELS = np.random.default_rng(2).integers(0, 256, (5, *IMAGE), np.uint8)
IMAGES = PIXELS.astype(np.float32) / np.float32(255)
Opener = Callable[[Path], OnnxRunner]
DOUBLED = [node("Add", "x x", "y")]


@pytest.fixture(params=["onnxruntime", "onnx.reference", "onnx.reference, in memory"])
def opened(request: pytest.FixtureRequest) -> Opener:
    """Opens a path in one runner."""
    if request.param == "onnxruntime":
        pytest.importorskip("onnxruntime")
        return lambda path: OnnxRuntimeRunner.open(str(path), 1, optimize=False)
    if request.param == "onnx.reference":
        return lambda path: ReferenceRunner(str(path))
    return lambda path: ReferenceRunner(path.read_bytes())


@pytest.mark.parametrize("batch", ["N", 1, 2, 5, 7])
def test_a_file_gets_batches_of_its_own_size(
    batch: int | str, opened: Opener, tmp_path: Path
) -> None:
    file = write(tmp_path / "file.onnx", DOUBLED, batch=batch)
    runner = opened(file)
    assert runner.batch == (None if batch == "N" else batch)
    assert (runner.inputs[0].name, runner.outputs) == ("x", ("y",))
    doubled = runner.run({"x": IMAGES})["y"]
    assert_close(doubled, 2 * IMAGES, rtol=0, atol=0)


def test_an_input_of_another_name_is_the_one_at_its_place(opened: Opener, tmp_path: Path) -> None:
    runner = opened(write(tmp_path / "file.onnx", DOUBLED))
    doubled = runner.run({"image": IMAGES})["y"]
    assert_close(doubled, 2 * IMAGES, rtol=0, atol=0)


def test_a_file_of_integers_gets_pixels(opened: Opener, tmp_path: Path) -> None:
    file = write(
        tmp_path / "file.onnx",
        [node("Cast", "x", "y", to=TensorProto.FLOAT)],
        element=TensorProto.UINT8,
    )
    cast = opened(file).run({"x": IMAGES})["y"]
    assert_close(cast, PIXELS.astype(np.float32), rtol=0, atol=0)


def test_an_output_without_images_is_itself(opened: Opener, tmp_path: Path) -> None:
    nodes = [*DOUBLED, node("Identity", "matrix", "m")]
    runner = opened(write(tmp_path / "file.onnx", nodes, batch=2, outputs=("m", "y")))
    outputs = runner.run({"x": IMAGES})
    assert outputs["m"].shape == (180, 4)
    assert_close(outputs["y"], 2 * IMAGES, rtol=0, atol=0)


def test_an_output_listed_twice_is_there_once(opened: Opener, tmp_path: Path) -> None:
    outputs = opened(write(tmp_path / "file.onnx", DOUBLED, outputs=("y", "y"))).run({"x": IMAGES})
    assert list(outputs) == ["y"]
    assert_close(outputs["y"], 2 * IMAGES, rtol=0, atol=0)
