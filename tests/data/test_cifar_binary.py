"""The reader of CIFAR-10's binary form, against bytes taken apart by hand."""

import gzip
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from cifar10_files import RECORD_BYTES, records, split_files, write_archive, write_folder
from hypothesis import given
from hypothesis import strategies as st

from bench.data import cifar_binary, cifar_files
from bench.data.dataset import open_dataset
from bench.data.source import Block, recut
from columnar_nn.errors import InvalidDataError, UsageError

FILES = split_files(7)
TRAIN = b"".join(FILES[f"data_batch_{number}.bin"] for number in range(1, 6))


def content(blocks: Iterable[Block]) -> bytes:
    """The records in blocks, put together again row by row."""
    return b"".join(
        bytes([label]) + image.tobytes()
        for block in blocks
        for label, image in zip(block.labels, block.images, strict=True)
    )


def read(path: Path, rows: int, limit: int | None = None, split: str = "test") -> Iterator[Block]:
    return recut(cifar_binary.read_blocks(path, split), rows, limit)


@pytest.fixture(params=["folder", "folder with inner", "tar.gz", "tar"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    match request.param:
        case "folder":
            return write_folder(tmp_path / "cifar", FILES)
        case "folder with inner":
            write_folder(tmp_path / "cifar" / "cifar-10-batches-bin", FILES)
            return tmp_path / "cifar"
        case "tar.gz":
            return write_archive(tmp_path / "cifar.tar.gz", FILES)
        case _:
            return write_archive(tmp_path / "cifar.tar", FILES, "w:")


def test_rows_come_in_file_order_from_every_kind_of_source(source: Path) -> None:
    assert content(read(source, 4)) == FILES["test_batch.bin"]
    assert content(read(source, 4, split="train")) == TRAIN


def test_columns_have_the_types_of_the_schema(tmp_path: Path) -> None:
    file = tmp_path / "one.bin"
    file.write_bytes(records(3))
    (batch,) = open_dataset(str(file)).batches(3, 10)
    batch.validate(full=True)
    assert batch.schema.names == ["id", "label", "image"]
    assert batch.schema.types == [
        pa.int64(),
        pa.uint8(),
        pa.fixed_shape_tensor(pa.uint8(), [3, 32, 32]),
    ]
    assert batch.column("id").to_pylist() == [0, 1, 2]


def test_planes_are_red_green_blue_in_rows(tmp_path: Path) -> None:
    pixels = bytes(
        [value for plane in (10, 20, 30) for row in range(32) for value in [plane + row] * 32]
    )
    file = tmp_path / "one.bin"
    file.write_bytes(b"\x05" + pixels)
    (block,) = read(file, 1)
    image = block.images[0]
    assert image[:, 0, 0].tolist() == [10, 20, 30]
    assert image[1, :, 7].tolist() == list(range(20, 52))


@given(
    sizes=st.lists(st.integers(1, 9), max_size=6),
    batch_size=st.integers(1, 12),
    limit=st.none() | st.integers(0, 60),
)
def test_blocks_are_cut_into_full_batches(
    sizes: list[int], batch_size: int, limit: int | None
) -> None:
    every = np.frombuffer(records(sum(sizes)), np.uint8).reshape(-1, RECORD_BYTES)
    blocks = np.split(every, np.cumsum(sizes)[:-1]) if sizes else []
    cut = list(recut(map(cifar_binary.as_block, blocks), batch_size, limit))
    assert content(cut) == every[:limit].tobytes()
    assert all(len(block) == batch_size for block in cut[:-1])


def test_nothing_is_read_beyond_the_limit(tmp_path: Path) -> None:
    good = records(cifar_binary.BLOCK_RECORDS)
    file = tmp_path / "late.bin"
    file.write_bytes(good + b"\xff" * RECORD_BYTES)
    limit = cifar_binary.BLOCK_RECORDS
    assert content(read(file, 100, limit)) == good
    with pytest.raises(InvalidDataError, match="label 255"):
        list(read(file, 100))


def test_memory_is_bounded_by_batches_not_by_files(tmp_path: Path) -> None:
    file = tmp_path / "large.bin"
    num_rows = 8_000
    file.write_bytes(records(500) * 16)
    archive = write_archive(tmp_path / "large.tar.gz", {"test_batch.bin": file.read_bytes()})
    for path in (file, archive):
        before = pa.total_allocated_bytes()
        tracemalloc.start()
        seen = sum(len(block) for block in read(path, 100))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert seen == num_rows
        # A block, the batch made of it and its copy; the file has 25 MB.
        assert peak + pa.total_allocated_bytes() - before < 4_000_000


def test_archives_are_not_extracted(tmp_path: Path) -> None:
    archive = write_archive(tmp_path / "cifar.tar.gz", FILES)
    list(read(archive, 4, split="train"))
    assert list(tmp_path.iterdir()) == [archive]


def file_of(name: str, content: bytes) -> Callable[[Path], Path]:
    """What writes one file into a folder."""

    def write(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return write


def archive_of(files: dict[str, bytes]) -> Callable[[Path], Path]:
    return lambda folder: write_archive(folder / "x.tar.gz", files)


def altered_archive(alter: Callable[[bytes], bytes]) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = write_archive(folder / "x.tar.gz", FILES)
        path.write_bytes(alter(path.read_bytes()))
        return path

    return write


BROKEN: dict[str, Callable[[Path], Path]] = {
    "missing": lambda folder: folder / "x.bin",
    "empty": file_of("x.bin", b""),
    "truncated": file_of("x.bin", records(3)[:-1]),
    "tiny": file_of("x.bin", b"\x01\x02"),
    "label": file_of("x.bin", records(300) + b"\x0a" + bytes(3072)),
    "empty folder": lambda folder: write_folder(folder / "e", {}),
    "folder without one": lambda folder: write_folder(
        folder / "w", {name: content for name, content in FILES.items() if "5" not in name}
    ),
    "not gzip": file_of("x.tar.gz", records(2)),
    "gzip but no tar": file_of("x.tar.gz", gzip.compress(records(2))),
    "empty archive": file_of("x.tar.gz", b""),
    "cut archive": altered_archive(lambda content: content[:30_000]),
    "spoilt archive": altered_archive(lambda c: c[:20_000] + bytes(100) + c[20_100:]),
    "archive without": archive_of({"other.bin": records(1)}),
    "archive with truncated": archive_of({"test_batch.bin": records(2)[:-5]}),
}
"""Sources with something wrong with them."""


@pytest.mark.parametrize(
    ("kind", "split", "expected"),
    [
        ("missing", "test", ["x.bin", "no such file", "expected a CIFAR-10"]),
        ("empty", "test", ["x.bin", "empty", "3073 bytes at offset 0"]),
        ("truncated", "test", ["x.bin", "record 2 at offset 6146 has 3072 bytes", "expected 3073"]),
        ("tiny", "test", ["x.bin", "record 0 at offset 0 has 2 bytes"]),
        ("label", "test", ["x.bin", "label 10 at offset 921900", "record 300", "expected 0 to 9"]),
        ("empty folder", "test", ["/e", "no test_batch.bin", "expected"]),
        ("folder without one", "train", ["/w", "no data_batch_5.bin"]),
        ("not gzip", "test", ["x.tar.gz", "not what its name says", "expected"]),
        ("gzip but no tar", "test", ["x.tar.gz", "not what its name says"]),
        ("empty archive", "test", ["x.tar.gz", "not what its name says"]),
        ("cut archive", "train", ["x.tar.gz", "damaged"]),
        ("spoilt archive", "train", ["x.tar.gz", "damaged"]),
        ("archive without", "test", ["x.tar.gz", "no test_batch.bin", "found 2 other member(s)"]),
        ("archive with truncated", "test", ["x.tar.gz:cifar-10", "record 1 at offset 3073"]),
    ],
)
def test_wrong_data_is_one_line_naming_file_place_and_expectation(
    kind: str, split: str, expected: list[str], tmp_path: Path
) -> None:
    path = BROKEN[kind](tmp_path)
    with pytest.raises(InvalidDataError) as raised:
        list(read(path, 5, split=split))
    message = str(raised.value)
    assert "\n" not in message
    assert str(tmp_path) in message
    assert [part for part in expected if part not in message] == []


def test_unknown_split_and_batch_size_are_wrong_usage(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, FILES)
    with pytest.raises(UsageError, match="validation"):
        list(read(folder, 5, split="validation"))
    with pytest.raises(UsageError, match="batch size 0"):
        list(read(folder, 0))


def test_class_names_come_from_the_folder_or_are_cifar10s(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, FILES)
    assert cifar_binary.class_names(folder) == cifar_files.CIFAR10_CLASSES
    names = [f"kind{label}" for label in range(10)]
    (folder / "batches.meta.txt").write_text("\n".join(names) + "\n\n")
    assert cifar_binary.class_names(folder) == tuple(names)
    assert cifar_binary.class_names(folder / "test_batch.bin") == tuple(names)
    (folder / "batches.meta.txt").write_text("cat dog")
    with pytest.raises(InvalidDataError, match="2 class names; expected 10"):
        cifar_binary.class_names(folder)
