"""A network over a stream of batches: every type of column, sliced, bad rows, threads, forks."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import columnar_nn as cnn
from columnar_nn.data import tensor_column
from columnar_nn.errors import InvalidDataError, InvalidModelError, UsageError
from columnar_nn.integrations import batches as integration
from columnar_nn.integrations import prepared
from columnar_nn.integrations.batches import ERROR, MAX_ROWS, MIN_ROWS, infer
from columnar_nn.model import onnx_io, zoo
from reference.evaluate import evaluate

ROOT = Path(__file__).parents[2]
NUM = 40
SHAPE = (3, 32, 32)
SIZE = 3 * 32 * 32
PIXELS = np.random.default_rng(1).integers(0, 256, (NUM, *SHAPE), dtype=np.uint8)
PLAIN9 = zoo.WEIGHTS / "plain9.onnx"


def flat(pixels: np.ndarray = PIXELS) -> pa.Array:
    return pa.array(pixels.reshape(-1))


def offsets(count: int, unit: int, dtype: Any = np.int32) -> pa.Array:
    return pa.array(np.arange(count + 1) * unit, pa.from_numpy_dtype(dtype))


def nested(pixels: pa.Array) -> pa.Array:
    for size in reversed(SHAPE):
        pixels = pa.FixedSizeListArray.from_arrays(pixels, size)
    return pixels


FLOATS = PIXELS.astype(np.float32) / np.float32(255)
BYTES = [image.tobytes() for image in PIXELS]
COLUMNS = {
    "binary": pa.array(BYTES, pa.binary()),
    "large_binary": pa.array(BYTES, pa.large_binary()),
    "binary_view": pa.array(BYTES, pa.binary()).cast(pa.binary_view()),
    "fixed_size_binary": pa.array(BYTES, pa.binary(SIZE)),
    "dictionary": pa.array(BYTES, pa.binary()).dictionary_encode(),
    "tensor": cnn.from_numpy(PIXELS),
    "float tensor": cnn.from_numpy(FLOATS),
    "fixed_size_list": pa.FixedSizeListArray.from_arrays(flat(), SIZE),
    "nested fixed_size_list": nested(flat()),
    "list": pa.ListArray.from_arrays(offsets(NUM, SIZE), flat()),
    "large_list": pa.LargeListArray.from_arrays(offsets(NUM, SIZE, np.int64), flat()),
    "list of int8": pa.ListArray.from_arrays(offsets(NUM, SIZE), flat(PIXELS.view(np.int8))),
    "list of int16": pa.ListArray.from_arrays(offsets(NUM, SIZE), flat(PIXELS.astype(np.int16))),
    "list of float32": pa.ListArray.from_arrays(offsets(NUM, SIZE), flat(FLOATS)),
}
SHARED = {
    *("binary", "large_binary", "fixed_size_binary", "tensor", "list"),
    *("fixed_size_list", "nested fixed_size_list"),
}


def expected(pixels: np.ndarray = PIXELS) -> np.ndarray:
    """Logits by the engine itself, asked without any of what is tested here."""
    table = pa.table({"image": cnn.from_numpy(pixels)})
    logits = cnn.network(cnn.load_network("plain9"), "image")
    plan = cnn.PlanBuilder().table_scan(table).project({"logits": logits}).plan()
    return cnn.to_numpy(cnn.prepare(plan).run().to_table()["logits"].combine_chunks())


LOGITS, FLOAT_LOGITS = expected(), expected(FLOATS)


def logits_for(kind: str) -> np.ndarray:
    return FLOAT_LOGITS if "float" in kind else LOGITS


def batch(images: pa.Array, first: int = 0) -> pa.RecordBatch:
    return pa.record_batch([pa.array(range(first, first + len(images))), images], ["id", "image"])


def table(batches: Any, **how: Any) -> pa.Table:
    return pa.Table.from_batches(list(infer(batches, **{"outputs": ["logits"], **how})))


def logits_of(result: pa.Table) -> np.ndarray:
    return np.array(result["logits"].combine_chunks().flatten()).reshape(-1, 10)


@pytest.mark.parametrize("kind", COLUMNS)
def test_every_type_of_column_gives_the_logits_of_its_pixels(kind: str) -> None:
    result = table([batch(COLUMNS[kind])])
    assert result["id"].to_pylist() == list(range(NUM))
    assert np.array_equal(logits_of(result), logits_for(kind))
    assert result[ERROR].null_count == NUM


@pytest.mark.parametrize("kind", COLUMNS)
def test_a_slice_is_its_own_rows(kind: str) -> None:
    result = table([batch(COLUMNS[kind]).slice(7, 20)])
    assert result["id"].to_pylist() == list(range(7, 27))
    assert np.array_equal(logits_of(result), logits_for(kind)[7:27])


def test_bytes_may_be_of_float32_wherever_they_lie() -> None:
    texts = [b"x", *(image.tobytes() for image in FLOATS)]  # one odd byte before: unaligned
    images = pa.array(texts, pa.binary())
    result = table([batch(images)], dtype="float32")
    assert np.array_equal(logits_of(result), FLOAT_LOGITS)
    assert result[ERROR].to_pylist()[:2] == ["the image has 1 bytes instead of 12,288", None]
    behind = table([batch(images).slice(1)], dtype="float32")
    assert np.array_equal(logits_of(behind), FLOAT_LOGITS)


@pytest.mark.parametrize("kind", sorted(SHARED))
def test_memory_is_shared_where_the_rows_lie_one_behind_the_other(kind: str) -> None:
    column = COLUMNS[kind].slice(3)
    pool = pa.total_allocated_bytes()
    images = integration.image_column.images(column, "uint8", SHAPE)
    assert pa.total_allocated_bytes() - pool < SIZE
    stored = column.storage if isinstance(column, pa.ExtensionArray) else column
    given = [b for b in stored.buffers() if b and b.size >= NUM * SIZE]
    address = tensor_column.to_numpy(images.tensors).__array_interface__["data"][0]
    assert address == given[0].address + 3 * SIZE


def damaged(kind: str) -> pa.Array:
    """A column whose rows 1 (null), 3 (short) and, of a list, 5 (a null pixel) are no images.

    Of nested lists none is short, and of row 6 a list within it is null.
    """
    if kind == "binary":
        values: list[Any] = list(BYTES)
        values[1], values[3] = None, BYTES[3][:100]
        return pa.array(values, pa.binary())
    if kind == "nested":
        images = PIXELS.tolist()
        images[1], images[5][2][3][4], images[6][1][2] = None, None, None
        return pa.array(images, nested(flat()).type)
    values = [image.reshape(-1).tolist() for image in PIXELS]
    values[1], values[3] = None, values[3][:100]
    values[5][17] = None
    if kind == "int16":
        values[6][0], values[7][1] = -1, 256
        return pa.array(values, pa.list_(pa.int16()))
    return pa.array(values, pa.list_(pa.uint8()))


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [("binary", {1, 3}), ("list", {1, 3, 5}), ("int16", {1, 3, 5, 6, 7}), ("nested", {1, 5, 6})],
)
def test_bad_rows_come_back_as_data(kind: str, wrong: set[int]) -> None:
    result = table([batch(damaged(kind))], outputs=["predicted", "logits"])
    rows = result.to_pylist()
    assert [row["id"] for row in rows] == list(range(NUM))
    for row in rows:
        if row["id"] in wrong:
            assert row["predicted"] is row["logits"] is None
            assert row[ERROR].startswith("the image ")
        else:
            assert row[ERROR] is None
            assert np.array_equal(np.float32(row["logits"]), LOGITS[row["id"]])
            assert row["predicted"] == LOGITS[row["id"]].argmax()


def test_files_are_no_pixels() -> None:
    files = [b"\x89PNG\r\n\x1a\n...", b"\xff\xd8\xff\xe0...", b"\xff\xd8", BYTES[0]]
    found = table([batch(pa.array(files))])[ERROR].to_pylist()
    assert found[:2] == ["the image is a PNG or JPEG file: decode it first (SQL: decode_image)"] * 2
    assert found[2:] == ["the image has 2 bytes instead of 3,072", None]


def test_a_batch_of_bad_rows_only() -> None:
    result = table([batch(pa.nulls(5, pa.binary()))], outputs=["predicted", "logits"])
    assert result["predicted"].null_count == result["logits"].null_count == 5
    assert result[ERROR].to_pylist() == ["the image is null"] * 5


def test_fail_names_the_rows() -> None:
    with pytest.raises(InvalidDataError, match=r"2 row.s. without an image.*: id 1; id 3; drop"):
        table([batch(damaged("binary"))], bad="fail")
    result = table([batch(COLUMNS["binary"])], bad="fail")
    assert result.column_names == ["id", "logits"]


def test_large_batches_are_cut_and_small_ones_joined() -> None:
    images = pa.array(BYTES * 60, pa.binary())
    whole = batch(images)
    sizes = [0, 1, 3, MIN_ROWS - 5, 2, 0, MAX_ROWS + 9, 1, 0]
    starts = np.cumsum([0, *sizes])
    pieces = [whole.slice(start, size) for start, size in zip(starts, sizes, strict=False)]
    made = list(infer(iter(pieces), outputs=["logits"]))
    # 1, 3, 59 and 2 rows are more than MIN_ROWS; then a large one, cut; then what is left
    assert [b.num_rows for b in made] == [MIN_ROWS + 1, MAX_ROWS, 9, 1]
    result = pa.Table.from_batches(made)
    assert result["id"].to_pylist() == list(range(sum(sizes)))
    assert np.array_equal(logits_of(result), np.tile(LOGITS, (60, 1))[: sum(sizes)])


def test_nothing_comes_of_nothing() -> None:
    assert not list(infer([]))
    assert not list(infer([batch(COLUMNS["binary"]).slice(0, 0)] * 3))


def test_outputs_are_the_networks_tensors() -> None:
    graph = zoo.resolve("plain9")
    inner = graph.nodes[4].outputs[0]
    result = table(
        [batch(COLUMNS["binary"])], outputs=["predicted", "logits", "probabilities", inner], keep=()
    )
    assert result.column_names == ["predicted", "logits", "probabilities", inner, ERROR]
    wanted = [inner, graph.outputs[0].name]
    truth = evaluate(graph.nodes, graph.weights, {graph.inputs[0].name: FLOATS}, wanted)
    exact = truth[graph.outputs[0].name]
    assert result["predicted"].to_pylist() == exact.argmax(axis=1).tolist()
    powers = np.exp(exact - exact.max(axis=1, keepdims=True))
    given = np.array(result["probabilities"].combine_chunks().flatten()).reshape(-1, 10)
    assert np.allclose(given, powers / powers.sum(axis=1, keepdims=True), atol=1e-4)
    values = np.array(result[inner].combine_chunks().flatten()).reshape(truth[inner].shape)
    assert np.allclose(values, truth[inner], atol=1e-3)


def test_the_network_is_a_name_a_path_or_bytes(tmp_path: Path) -> None:
    path = tmp_path / "mine.onnx"
    path.write_bytes(PLAIN9.read_bytes())
    for source in (path, str(path), PLAIN9.read_bytes()):
        result = table([batch(COLUMNS["binary"])], network=source)
        assert np.array_equal(logits_of(result), LOGITS)
    onnx_io.save(zoo.build("plain9"), path)  # the file is another one now
    assert not np.array_equal(logits_of(table([batch(COLUMNS["binary"])], network=path)), LOGITS)


@pytest.mark.parametrize(
    ("images", "advice"),
    [
        (pa.array(["a"]), "is string, which holds no images: store each as binary"),
        (pa.array([[1.0]], pa.list_(pa.float64())), "double values: cast them to float32"),
        (pa.array([[1]], pa.list_(pa.int32())), "int32 values: cast them to float32, or store"),
        (pa.array([[1] * 9], pa.list_(pa.uint8(), 9)), "lists of 9 values; the network takes 3x"),
        (cnn.from_numpy(PIXELS[:, :, :8]), "tensors of 3x8x32; the network takes 3x32x32"),
        (pa.array([{"a": 1}]), "holds no images: store each as binary"),
    ],
)
def test_other_types_are_refused_with_advice(images: pa.Array, advice: str) -> None:
    with pytest.raises(InvalidDataError, match=advice):
        table([batch(images)])


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"image": "picture"}, "no column 'picture': there are id, image"),
        ({"keep": ["id", "id"]}, "'id' would be there twice"),
        ({"keep": ["error"]}, "no column 'error'"),
        ({"outputs": ["nothing"]}, "has no output nothing: use logits"),
        ({"outputs": []}, "use logits"),
        ({"bad": "skip"}, "choose from null, fail"),
        ({"dtype": "int32"}, "choose from uint8, float32"),
        ({"network": "plain10"}, "unknown model 'plain10'"),
        ({"network": zoo.build("plain9")}, "the graph plain9 is known to this process only"),
    ],
)
def test_wrong_arguments_are_one_line(how: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        table([batch(COLUMNS["binary"])], **how)


def test_bytes_bring_no_other_file() -> None:
    import onnx

    model = onnx.load_model_from_string(PLAIN9.read_bytes())
    weight = model.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = onnx.TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="weights.bin")
    with pytest.raises(InvalidModelError, match="another file than the model's"):
        table([batch(COLUMNS["binary"])], network=model.SerializeToString())


def test_a_network_is_prepared_once_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    prepare = prepared.prepare

    def counting(*arguments: Any) -> Any:
        made.append(threading.get_ident())
        return prepare(*arguments)

    monkeypatch.setattr(prepared, "prepare", counting)
    results: dict[int, list[pa.Table]] = {}

    def work() -> None:
        mine = results.setdefault(threading.get_ident(), [])
        for _ in range(5):
            mine.append(table([batch(COLUMNS["binary"])] * 3, network=PLAIN9))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == sorted(results)
    for tables in results.values():
        for result in tables:
            assert np.array_equal(logits_of(result), np.tile(LOGITS, (3, 1)))


def test_the_network_is_run_once_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = 0
    run = prepared.Executable.run

    def counting(self: Any, batches: Any) -> Any:
        nonlocal rows
        rows += sum(b.num_rows for stream in batches.values() for b in stream)
        return run(self, batches)

    monkeypatch.setattr(prepared.Executable, "run", counting)
    table([batch(COLUMNS["binary"])] * 7, outputs=["predicted", "logits", "probabilities"])
    assert rows == 7 * NUM


def test_streams_may_be_read_in_turn_and_given_up() -> None:
    def read() -> Iterator[pa.RecordBatch]:
        return infer([batch(COLUMNS["tensor"])] * 6, outputs=["logits"])

    first, second = read(), read()
    for _ in range(2):
        for stream in (first, second):
            assert np.array_equal(logits_of(pa.Table.from_batches([next(stream)]))[:NUM], LOGITS)
    del first
    assert len(list(second)) == 1


def test_the_child_of_a_fork_prepares_its_own() -> None:
    program = (
        "import os, sys; sys.path[:0] = ['tests']\n"
        "from integrations.test_batches import *\n"
        "def right(): return np.array_equal(logits_of(table([batch(COLUMNS['list'])])), LOGITS)\n"
        "assert right()\n"
        "child = os.fork()\n"
        "if not child: os._exit(0 if right() else 7)\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT, env=dict(os.environ))


def test_phases_are_around_all_of_the_work() -> None:
    from contextlib import contextmanager

    seen: list[str] = []

    @contextmanager
    def phase(name: str) -> Iterator[None]:
        seen.append(name)
        yield
        seen.append(f"/{name}")

    list(infer([batch(COLUMNS["binary"])] * 2, phase=phase))
    parts = ["prepare", "input", "compute", "output"]
    assert seen == [text for part in parts for text in (part, f"/{part}")]


def test_the_core_knows_no_spark() -> None:
    program = (
        "import sys; sys.modules['pyspark'] = None\n"
        "import columnar_nn.integrations.batches, columnar_nn.integrations.spark\n"
        "try: columnar_nn.integrations.spark.map_batches(None)\n"
        "except Exception as error: print(error)\n"
    )
    given = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert given.stdout == (
        'pyspark is not installed: pip install -c constraints.txt "cnn-bench[cluster]"\n'
    )
