"""The reader of archives, against those that Python's tarfile writes, and what it must refuse."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from cifar10_files import records

from bench.data import cifar_binary, tar_stream
from bench.data.dataset import open_dataset
from bench.data.tar_stream import TarStream
from columnar_nn.errors import InvalidDataError

NAME = "test_batch.bin"
FORMATS = (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)
END = bytes(1024)


def header(kind: bytes = tarfile.REGTYPE, size: int = 0, name: str = NAME) -> bytes:
    """A header of any kind and size, with the right checksum."""
    member = tarfile.TarInfo(name)
    member.type, member.size = kind, size
    return member.tobuf(tarfile.GNU_FORMAT)


def padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % 512)


def pax(**records: str) -> bytes:
    """A header of pax records, dots in their keywords written as underscores."""
    content = b""
    for keyword, value in records.items():
        record = f" {keyword.replace('_', '.')}={value}\n".encode()
        length = len(record) + 2
        content += str(length + (length > 99)).encode() + record
    return header(b"x", len(content)) + padded(content)


def gnu_sparse() -> bytes:
    return header(tarfile.GNUTYPE_SPARSE, 512) + bytes(512)


MEMBER = header(size=3073) + padded(records(1))

REFUSED: dict[str, tuple[bytes, str]] = {
    "a name of 6.4 GB": (header(b"L", 6_400_000_000), "a name or comment of 6,400,000,000 bytes"),
    "a link's name of 6.4 GB": (header(b"K", 6_400_000_000), "name or comment of"),
    "pax records of 6.4 GB": (header(b"x", 6_400_000_000), "name or comment of"),
    "global records of 6.4 GB": (header(b"g", 6_400_000_000), "name or comment of"),
    "a chain of names": (
        (header(b"L", 5) + padded(b"name\0")) * 20_000,
        "more than 10,000 members",
    ),
    "many members": (header(name="x") * 20_000, "more than 10,000 members"),
    "a changed header": (
        header(size=1)[:124] + b"\x80\0" + b"\xff" * 10 + header(size=1)[136:],
        "another checksum",
    ),
    "a large member that is skipped": (header(size=1 << 50, name="x"), "ends inside a member"),
    "a sparse member": (gnu_sparse() + MEMBER, "sparse members are not read"),
    "a sparse member of pax": (pax(GNU_sparse_map="0,1") + MEMBER, "sparse members are not read"),
    "a size in pax that is none": (pax(size="-1") + MEMBER, "no number where one must be"),
    "a symbolic link": (header(tarfile.SYMTYPE) + END, "no test_batch.bin in it"),
    "a hard link": (header(tarfile.LNKTYPE) + END, "no test_batch.bin in it"),
    "a device": (header(tarfile.CHRTYPE) + END, "no test_batch.bin in it"),
    "a FIFO": (header(tarfile.FIFOTYPE) + END, "no test_batch.bin in it"),
    "a folder": (header(name=NAME + "/") + END, "no test_batch.bin in it"),
    "a name that escapes": (header(name="\x1b[2J" + "x" * 90) + END, r"first \x1b[2Jx"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_hostile_archive_is_one_line_in_little_memory(kind: str, tmp_path: Path) -> None:
    content, cause = REFUSED[kind]
    archive = tmp_path / "x.tar.gz"
    archive.write_bytes(gzip.compress(content, 1))
    tracemalloc.start()
    with pytest.raises(InvalidDataError) as raised:
        list(cifar_binary.read_records(archive))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert cause in str(raised.value)
    assert len(str(raised.value)) < 500
    assert peak < 3_000_000


@pytest.mark.parametrize("wanted", [True, False])
def test_an_archive_that_grows_without_end_is_one_line(wanted: bool, tmp_path: Path) -> None:
    """1.5 GiB of zeros in 1.5 MiB: as a member, and as what comes behind the last one."""
    zeros = gzip.compress(bytes(1 << 24), 9) * 96
    start = header(size=3073 * 600_000) if wanted else MEMBER + END
    archive = tmp_path / "x.tar.gz"
    archive.write_bytes(gzip.compress(start) + zeros)
    started = time.process_time()
    with pytest.raises(InvalidDataError, match=r"more than 1,073,741,824 bytes when decompressed"):
        list(cifar_binary.read_records(archive))
    assert time.process_time() - started < 20


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("folder", ["", "d/", "e" * 60 + "/" + "f" * 80 + "/", "g" * 200 + "/"])
def test_archives_that_python_writes_are_read(form: int, folder: str) -> None:
    stream = io.BytesIO()
    contents = {
        f"{folder}{name}": bytes([n]) * n * 300 for n, name in enumerate(("a", "ü.bin", "c"))
    }
    try:
        with tarfile.open(fileobj=stream, mode="w", format=form) as archive:
            for name, content in contents.items():
                member = tarfile.TarInfo(name)
                member.size, member.mtime = len(content), 1.5
                archive.addfile(member, io.BytesIO(content))
            link = tarfile.TarInfo(f"{folder}link")
            link.type, link.linkname = tarfile.SYMTYPE, "z" * 150 if form else "z"
            archive.addfile(link)
    except ValueError:
        assert form == tarfile.USTAR_FORMAT, "which has no room for such names"
        return
    stream.seek(0)
    tar = TarStream(stream)
    found = {member.name: (member.is_file, tar.read(10_000)) for member in tar.members()}
    expected = {name: (True, content) for name, content in contents.items()}
    assert found == {**expected, f"{folder}link": (False, b"")}


def test_a_member_that_is_read_in_part_is_passed_over() -> None:
    tar = TarStream(io.BytesIO(MEMBER + header(size=2, name="next") + padded(b"ab") + END))
    members = tar.members()
    assert next(members).size == 3073
    assert tar.read(10) == records(1)[:10]
    assert next(members).name == "next"
    assert tar.read(10) == b"ab"
    assert list(members) == []


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _device(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("make", [_fifo, _device])
@pytest.mark.parametrize("name", ["x.bin", "x.tar", "x.tar.gz"])
def test_only_regular_files_are_opened(
    make: Callable[[Path], None], name: str, tmp_path: Path
) -> None:
    make(tmp_path / name)
    with pytest.raises(InvalidDataError, match="not a regular file"):
        open_dataset(str(tmp_path / name))
    folder = tmp_path / "folder"
    folder.mkdir()
    make(folder / NAME)
    with pytest.raises(InvalidDataError, match=r"no test_batch\.bin"):
        open_dataset(str(folder))


@pytest.mark.parametrize("path", ["x" * 300, "x" * 5000, "x\0y"])
def test_a_path_that_cannot_be_is_one_line(path: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidDataError) as raised:
        open_dataset(f"{tmp_path}/{path}")
    assert len(str(raised.value)) < 500


def test_class_names_are_few_and_can_be_printed(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(records(2))
    names = tmp_path / "batches.meta.txt"
    names.write_bytes(b"\n".join(b"\x1b[%dm" % number for number in range(10)))
    assert open_dataset(str(tmp_path)).classes[3] == r"\x1b[3m"
    names.write_bytes(b"x" * (1 << 15))
    with pytest.raises(InvalidDataError, match="no class names"):
        open_dataset(str(tmp_path))


def test_the_bounds_hold_cifar10() -> None:
    """Six files of 10,000 records, of which gzip makes no more than they are."""
    assert 6 * 10_000 * cifar_binary.RECORD_BYTES < tar_stream.MAX_BYTES / 5
