"""What Arrow can say is honoured or refused in one line: permutations, slices, nulls and more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from closeness import assert_close
from exec.networks import column, expected, images, residual_network
from pyarrow import parquet

from columnar_nn.data import tensor_column
from columnar_nn.errors import CnnBenchError, InvalidDataError, InvalidPlanError
from columnar_nn.exec.executable import prepare
from columnar_nn.lowering.network import network
from columnar_nn.plan.builder import PlanBuilder

BATCH = images(5)
PIXELS = tensor_column.to_numpy(BATCH.column("image"))
IMAGE = BATCH.column("image").type
STORAGE = IMAGE.storage_type
ROW = STORAGE.list_size


def logits(source: object) -> np.ndarray:
    plan = PlanBuilder().table_scan(source).project({"y": network(residual_network())}).plan()
    return column(prepare(plan).run().to_table(), "y")


def batch_of(storage: pa.Array, data_type: pa.DataType = IMAGE) -> pa.RecordBatch:
    return pa.record_batch({"image": pa.ExtensionArray.from_storage(data_type, storage)})


def permuted(shape: Sequence[int], permutation: Sequence[int] | None) -> pa.RecordBatch:
    """The same images, stored with their channels last."""
    channels_last = np.ascontiguousarray(PIXELS.transpose(0, 2, 3, 1)).reshape(-1)
    data_type = pa.fixed_shape_tensor(pa.uint8(), shape, permutation=permutation)
    return batch_of(pa.FixedSizeListArray.from_arrays(channels_last, ROW), data_type)


def as_table(batch: pa.RecordBatch, folder: Path) -> object:
    return pa.Table.from_batches([batch])


def as_ipc_file(batch: pa.RecordBatch, folder: Path) -> object:
    with pa.ipc.new_file(folder / "images.arrow", batch.schema) as writer:
        writer.write_batch(batch)
    return folder / "images.arrow"


def as_ipc_stream(batch: pa.RecordBatch, folder: Path) -> object:
    with pa.ipc.new_stream(folder / "images.arrow", batch.schema) as writer:
        writer.write_batch(batch)
    return folder / "images.arrow"


def as_parquet(batch: pa.RecordBatch, folder: Path) -> object:
    parquet.write_table(pa.Table.from_batches([batch]), folder / "images.parquet")
    return folder / "images.parquet"


FORMS = [as_table, as_ipc_file, as_ipc_stream, as_parquet]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("shape", [(9, 7, 3), (3, 9, 7)])
def test_permuted_tensors_are_refused(
    form: Callable[[pa.RecordBatch, Path], object], shape: Sequence[int], tmp_path: Path
) -> None:
    """Also where their stored shape is the one that the network takes."""
    source = form(permuted(shape, (2, 0, 1)), tmp_path)
    with pytest.raises(InvalidDataError, match=r"image holds permuted tensors.*store them row-maj"):
        logits(source)
    passed = prepare(PlanBuilder().table_scan(source).limit(2).plan()).run().to_table()
    assert passed.column("image").type.permutation == [2, 0, 1]


def test_arrays_that_numpy_permuted_are_refused() -> None:
    channels_last = np.ascontiguousarray(PIXELS.transpose(0, 2, 3, 1))
    array = pa.FixedShapeTensorArray.from_numpy_ndarray(channels_last.transpose(0, 3, 1, 2))
    with pytest.raises(InvalidDataError, match="permuted"):
        logits(pa.record_batch({"image": array}))


def test_batches_of_another_order_than_planned_are_refused() -> None:
    scan = PlanBuilder().table_scan(BATCH, ["image"])
    plan = scan.project({"y": network(residual_network())}).plan()
    with pytest.raises(InvalidDataError, match=r"column image of a batch is .*permutation"):
        prepare(plan).run({"0": [permuted((3, 9, 7), (2, 0, 1))]}).to_table()


@pytest.mark.parametrize(
    ("permutation", "names"), [((0, 1, 2), None), (None, ("C", "H", "W")), (None, ("x", "y", "z"))]
)
def test_types_that_say_row_major_are_computed(
    permutation: Sequence[int] | None, names: Sequence[str] | None
) -> None:
    data_type = pa.fixed_shape_tensor(
        pa.uint8(), (3, 9, 7), permutation=permutation, dim_names=names
    )
    storage = pa.FixedSizeListArray.from_arrays(PIXELS.reshape(-1), ROW)
    (right,) = expected(residual_network(), BATCH, "logits")
    assert_close(logits(batch_of(storage, data_type)), right, rtol=1e-5, atol=1e-5)


def test_images_named_channels_last_are_refused() -> None:
    data_type = pa.fixed_shape_tensor(pa.uint8(), (3, 9, 7), dim_names=("h", "w", "c"))
    with pytest.raises(InvalidDataError, match="image holds HxWxC images: store them as CxHxW"):
        logits(batch_of(BATCH.column("image").storage, data_type))


def sliced_batch() -> object:
    return pa.concat_batches([images(3, seed=1), BATCH, images(2, seed=2)]).slice(3, 5)


def sliced_storage() -> object:
    both = pa.concat_arrays(
        [images(3, seed=1).column("image").storage, BATCH.column("image").storage]
    )
    return batch_of(both.slice(3))


def sliced_values() -> object:
    values = pa.array(np.concatenate([np.zeros(11, np.uint8), PIXELS.reshape(-1)])).slice(11)
    return batch_of(pa.FixedSizeListArray.from_arrays(values, ROW))


def slice_of_slices() -> object:
    values = pa.array(np.concatenate([np.zeros(11 + ROW, np.uint8), PIXELS.reshape(-1)])).slice(11)
    return batch_of(pa.FixedSizeListArray.from_arrays(values, ROW).slice(1))


def nulls_outside() -> object:
    rows = [None, *PIXELS.reshape(5, -1).tolist(), None]
    return batch_of(pa.array(rows, STORAGE).slice(1, 5))


def chunks_of_columns() -> object:
    cut = {"image": 2, "id": 1, "label": 4}
    return pa.table(
        {
            name: pa.chunked_array([BATCH.column(name)[:at], BATCH.column(name)[at:]])
            for name, at in cut.items()
        }
    )


@pytest.mark.parametrize(
    "make",
    [
        sliced_batch,
        sliced_storage,
        sliced_values,
        slice_of_slices,
        nulls_outside,
        chunks_of_columns,
    ],
)
def test_only_the_rows_of_a_slice_are_read(make: Callable[[], object]) -> None:
    (right,) = expected(residual_network(), BATCH, "logits")
    assert_close(logits(make()), right, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_no_rows(form: Callable[[pa.RecordBatch, Path], object], tmp_path: Path) -> None:
    assert logits(form(BATCH.slice(0, 0), tmp_path)).shape == (0, 5)


@pytest.mark.parametrize("form", FORMS)
def test_a_null_image_and_a_null_pixel_are_refused(
    form: Callable[[pa.RecordBatch, Path], object], tmp_path: Path
) -> None:
    rows = PIXELS.reshape(5, -1).tolist()
    with_null = [rows[0], None, *rows[2:]]
    rows[3][7] = None
    cases = [rows] if form is as_parquet else [with_null, rows]  # Parquet has no such null lists
    for values in cases:
        with pytest.raises(InvalidDataError, match=r"image column has 1 null\(s\)"):
            logits(form(batch_of(pa.array(values, STORAGE)), tmp_path))


LABELS = pa.array([3, 1, None, 3, 0], pa.uint8())
NAMES = pa.array(["cat", "dog", "cat", None, "owl"])
ENCODED = [
    pa.record_batch(
        {"label": LABELS[:2].dictionary_encode(), "name": NAMES[:2].dictionary_encode()}
    ),
    pa.record_batch(
        {"label": LABELS[2:].dictionary_encode(), "name": NAMES[2:].dictionary_encode()}
    ),
]
PLAIN = [pa.record_batch({"label": LABELS, "name": NAMES})]
"""The same rows; each encoded batch has a dictionary of its own."""

QUERIES: dict[str, Callable[[PlanBuilder], PlanBuilder]] = {
    "as it is": lambda plan: plan,
    "filter": lambda plan: plan.filter("label = 3"),
    "text": lambda plan: plan.filter("name = 'cat'"),
    "project": lambda plan: plan.project(["name", "label + 1 AS next"]),
    "group": lambda plan: plan.aggregate(["name"], ["sum(label) AS s"]).order_by(["name"]),
    "order": lambda plan: plan.order_by(["name", "label"]),
}


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("given", ["planned", "values", "task", "file"])
def test_dictionaries_are_an_encoding(query: str, given: str, tmp_path: Path) -> None:
    def rows(plan: PlanBuilder, batches: list[pa.RecordBatch] | None = None) -> object:
        executable = prepare(QUERIES[query](plan).plan())
        return executable.run({"0": batches} if batches else None).to_table().to_pylist()

    right = rows(PlanBuilder().values(PLAIN))
    if given == "planned":
        assert rows(PlanBuilder().table_scan(ENCODED)) == right
    elif given == "values":
        assert rows(PlanBuilder().values(ENCODED)) == right
    elif given == "task":
        assert rows(PlanBuilder().table_scan(PLAIN), ENCODED) == right
    else:
        path = tmp_path / "rows.arrow"
        with pa.ipc.new_stream(path, ENCODED[0].schema) as writer:
            for batch in ENCODED:
                writer.write_batch(batch)
        assert rows(PlanBuilder().table_scan(path)) == right


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("query", QUERIES)
def test_columns_that_are_said_to_have_no_nulls(query: str, threads: int) -> None:
    fields = [pa.field("label", pa.uint8(), False, {"made": "up"}), pa.field("name", pa.string())]
    sure = pa.RecordBatch.from_arrays([LABELS.fill_null(7), NAMES], schema=pa.schema(fields))
    usual = pa.record_batch({"label": LABELS.fill_null(7), "name": NAMES})
    results = [
        prepare(QUERIES[query](builder).plan(), threads).run(profile=True).to_table()
        for builder in (
            PlanBuilder().values([usual]),
            PlanBuilder().values([sure]),
            PlanBuilder().table_scan(sure),
        )
    ]
    assert results[0].equals(results[1])
    assert results[0].equals(results[2])


def too_short(buffer: bytes) -> pa.RecordBatch:
    values = pa.Array.from_buffers(pa.uint8(), 5 * ROW, [None, pa.py_buffer(buffer)])
    storage = pa.Array.from_buffers(STORAGE, 5, [None], children=[values])
    image = pa.ExtensionArray.from_storage(IMAGE, storage)
    return pa.RecordBatch.from_arrays([image], ["image"])


def too_few() -> pa.RecordBatch:
    storage = pa.Array.from_buffers(STORAGE, 5, [None], children=[pa.array(PIXELS.reshape(-1)[:9])])
    return pa.RecordBatch.from_arrays([pa.ExtensionArray.from_storage(IMAGE, storage)], ["image"])


@pytest.mark.parametrize("make", [lambda: too_short(b"short"), too_few])
def test_storage_that_is_too_short_is_refused(make: Callable[[], pa.RecordBatch]) -> None:
    """By pyarrow where it looks, else when the batch comes."""
    plan = PlanBuilder().table_scan(BATCH).project({"y": network(residual_network())}).plan()
    with pytest.raises((pa.ArrowInvalid, InvalidDataError)) as caught:
        prepare(plan).run({"0": [make()]}).to_table()
    assert "\n" not in str(caught.value)


DAMAGES = ("first", "middle", "footer", "cut", "empty")


@pytest.mark.parametrize("form", [as_ipc_file, as_ipc_stream, as_parquet])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_a_result_or_one_line(
    form: Callable[[pa.RecordBatch, Path], object], damage: str, tmp_path: Path
) -> None:
    names = pa.array(["some", "text", None, "that", "has offsets"])
    path = Path(str(form(BATCH.append_column("name", names), tmp_path)))
    content = path.read_bytes()
    places = {"first": 40, "middle": len(content) // 2, "footer": len(content) - 60}
    errors = []
    for offset in range(0, 40, 4):
        changed = bytearray(content)
        if damage in places:
            place = places[damage] + offset
            changed[place : place + 4] = b"\xff\xff\xff\x7f"
        elif damage == "cut":
            del changed[len(changed) * offset // 40 :]
        else:
            changed.clear()
        path.unlink()
        path.write_bytes(changed)
        try:
            plan = PlanBuilder().table_scan(path).order_by(["name"]).plan()
            prepare(plan).run().to_table().validate(full=True)
        except CnnBenchError as error:
            errors.append(str(error))
    assert all(len(error) < 500 and "\n" not in error for error in errors)
    assert len(errors) == 10 or damage in places


@pytest.mark.parametrize("form", [as_table, as_ipc_file, as_ipc_stream])
@pytest.mark.parametrize("num_drivers", [1, 2])
def test_views_are_decoded(
    form: Callable[[pa.RecordBatch, Path], object], num_drivers: int, tmp_path: Path
) -> None:
    words = ["some", "text", None, "that is longer than twelve bytes", ""]
    names = pa.array(words, pa.string_view())
    code = pa.array([word and word.encode() for word in words], pa.binary_view())
    batch = BATCH.append_column("name", names).append_column("code", code)
    plan = PlanBuilder().table_scan(form(batch, tmp_path)).order_by(["id"]).plan()
    table = prepare(plan, num_drivers).run().to_table()
    assert table.column("name").equals(pa.chunked_array([words], pa.string()))
    assert table.column("code").equals(pa.chunked_array([code.cast(pa.binary())]))


@pytest.mark.parametrize("data_type", [pa.list_(pa.string_view()), pa.list_view(pa.int8())])
def test_a_type_whose_size_arrow_does_not_tell_is_refused(data_type: pa.DataType) -> None:
    batch = BATCH.append_column("odd", pa.nulls(5, data_type))
    with pytest.raises(InvalidDataError, match=r"column odd is .*, which cannot be scanned"):
        PlanBuilder().table_scan(batch)
    assert PlanBuilder().table_scan(batch, ["id"]).plan()


def test_an_ipc_file_whose_tensors_are_too_short(tmp_path: Path) -> None:
    """The batch says more rows than its values are for: kernels would read behind them."""
    path = Path(str(as_ipc_file(BATCH.select(["image"]), tmp_path)))
    content = path.read_bytes()
    five = (5).to_bytes(8, "little")
    assert content.count(five) > 0
    path.unlink()
    path.write_bytes(content.replace(five, (50_000_000).to_bytes(8, "little")))
    with pytest.raises(InvalidDataError, match=r"is damaged: "):
        logits(path)


@pytest.mark.parametrize("form", [as_ipc_file, as_ipc_stream])
def test_a_name_that_is_not_utf_8(
    form: Callable[[pa.RecordBatch, Path], object], tmp_path: Path
) -> None:
    path = Path(str(form(BATCH, tmp_path)))
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content.replace(b"label", b"lab\xffl"))
    with pytest.raises(InvalidDataError, match="is not an Arrow IPC file: 'utf-8' codec"):
        PlanBuilder().table_scan(path)


def duplicated() -> pa.RecordBatch:
    ids, image = BATCH.column("id"), BATCH.column("image")
    return pa.RecordBatch.from_arrays([ids, ids, image], ["id", "id", "image"])


DUPLICATES: dict[str, tuple[Callable[[], PlanBuilder], str]] = {
    "scan": (lambda: PlanBuilder().table_scan(duplicated()), "field id is ambiguous"),
    "filter": (lambda: PlanBuilder().values([duplicated()]).filter("id > 1"), "id is ambiguous"),
    "order": (lambda: PlanBuilder().values([duplicated()]).order_by(["id"]), "id is ambiguous"),
    "keys": (
        lambda: PlanBuilder().values([BATCH]).aggregate(["label", "label"], ["count(1) AS n"]),
        "two columns label: rename one",
    ),
    "key and aggregate": (
        lambda: PlanBuilder().values([BATCH]).aggregate(["label"], ["count(1) AS label"]),
        "two columns label: rename one",
    ),
    "aggregates": (
        lambda: PlanBuilder().values([BATCH]).aggregate([], ["count(1) AS n", "sum(id) AS n"]),
        "two columns n: rename one",
    ),
    "no batch": (lambda: PlanBuilder().values([BATCH, None]), "needs RecordBatches, not NoneType"),
}


@pytest.mark.parametrize("what", DUPLICATES)
def test_what_a_plan_cannot_mean_is_one_line(what: str) -> None:
    build, message = DUPLICATES[what]
    with pytest.raises(InvalidPlanError, match=message):
        build()


@pytest.mark.parametrize("threads", [1, 2])
def test_a_duplicated_column_of_a_batch(threads: int) -> None:
    with prepare(PlanBuilder().table_scan(BATCH, ["id"]).plan(), threads) as executable:
        with pytest.raises(InvalidDataError, match="a batch has 2 columns id"):
            executable.run({"0": [duplicated()]}).to_table()
        other = BATCH.append_column("label", BATCH.column("label"))
        assert executable.run({"0": [other]}).to_table().num_rows == 5
