"""CIFAR-10 files, folders and archives with anything wrong with them, read from end to end."""

from __future__ import annotations

import gzip
import io
import os
import random
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path

from cifar10_files import records, write_folder
from fuzz.mutations import interesting, mutated
from fuzz.outcome import MEBIBYTE, emptied, problem

from bench.data import tar_stream
from bench.data.dataset import open_dataset

MEMORY = 64 * MEBIBYTE
FILES = {
    "test_batch.bin": records(3),
    **{f"data_batch_{number}.bin": records(1, number) for number in range(1, 6)},
    "batches.meta.txt": b"\n".join(b"class%d" % label for label in range(10)),
}
KINDS = (b"0", b"\0", b"1", b"2", b"3", b"5", b"6", b"7", b"L", b"K", b"S", b"g", b"x", b"V", b"?")
PAX = ("path", "size", "comment", "GNU.sparse.map", "GNU.sparse.major", "hdrcharset", "é" * 50)

# An archive that takes seconds shows nothing that a small one does not show at a lower bound.
tar_stream.MAX_BYTES = 4 * MEBIBYTE
tar_stream.MAX_HEADERS = 100


def check(seed: int, folder: Path) -> str:
    """What is wrong with how the data of a seed is read; the data is kept in `folder`."""
    chance = random.Random(seed)
    writer = (_write_file, _write_folder, _write_archive, _write_archive)[seed % 4]
    path = writer(emptied(folder), chance)
    split = chance.choice(("test", "test", "train"))
    return problem(lambda: open_dataset(str(path), split=split), MEMORY)


def _write_file(folder: Path, chance: random.Random) -> Path:
    name = chance.choice(("x.bin", "x", "x.tar", "x.tgz", "x.tar.gz"))
    (folder / name).write_bytes(mutated(records(chance.choice((0, 1, 3, 300))), chance))
    return folder / name


def _write_folder(folder: Path, chance: random.Random) -> Path:
    inner = folder / chance.choice(("", "", "cifar-10-batches-bin"))
    write_folder(inner, FILES)
    for _ in range(chance.choice((1, 2))):
        file = inner / chance.choice(list(FILES))
        content = file.read_bytes() if file.is_file() else b""
        if file.is_dir():
            continue
        file.unlink(missing_ok=True)
        match chance.randrange(8):
            case 0:
                os.mkfifo(file)
            case 1:
                file.mkdir()
            case 2:
                file.symlink_to(chance.choice(("/dev/zero", file.name, "test_batch.bin", "..")))
            case 3:
                pass
            case _:
                file.write_bytes(mutated(content, chance))
    return folder


def _write_archive(folder: Path, chance: random.Random) -> Path:
    made = chance.choice((_good_archive, _odd_archive, _odd_archive))
    content = made(chance)
    if chance.random() < 0.5:
        content = mutated(content, chance)
    path = folder / "x.tar"
    if chance.random() < 0.7:
        content = gzip.compress(content, 1, mtime=0)
        path = folder / "x.tar.gz"
        if chance.random() < 0.2:
            content = mutated(content, chance)
    path.write_bytes(content)
    return path


def _good_archive(chance: random.Random) -> bytes:
    """As Python writes it in any format, names short or long."""
    stream = io.BytesIO()
    form = chance.choice((tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT))
    prefix = "d" * chance.choice((1, 30, 120)) + "/"
    with tarfile.open(fileobj=stream, mode="w", format=form) as archive:
        for name, content in FILES.items():
            member = tarfile.TarInfo(prefix + name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def _odd_archive(chance: random.Random) -> bytes:
    """Headers of any kind and size, each with the right checksum."""
    content = b""
    for _ in range(chance.choice((1, 3, 20, 200))):
        kind, name = chance.choice(KINDS), chance.choice(list(FILES))
        held = chance.choice((b"", FILES[name], _pax(chance), chance.randbytes(700)))
        size = len(held) if chance.random() < 0.8 else interesting(chance)
        content += _header(chance, f"d/{name}".encode(), size, kind)
        content += held + bytes(-len(held) % 512)
    return content + bytes(chance.choice((0, 512, 1024, 5000)))


def _header(chance: random.Random, name: bytes, size: int, kind: bytes) -> bytes:
    number: Callable[[int], bytes] = chance.choice((_octal, _octal, _base_256))
    magic = chance.choice((b"ustar\x0000", b"ustar  \0", bytes(8)))
    fields = (name, b"644", b"0", b"0", number(size), b"0", b" " * 8, kind, b"", magic)
    header = struct.pack("100s8s8s8s12s12s8s1s100s8s", *fields) + bytes(247)
    return header[:148] + b"%06o\0 " % sum(header) + header[156:]


def _octal(size: int) -> bytes:
    return b"%011o" % abs(size)


def _base_256(size: int) -> bytes:
    return (b"\x80" if size >= 0 else b"\xff") + (size % 2**88).to_bytes(11, "big")


def _pax(chance: random.Random) -> bytes:
    content = b""
    for _ in range(chance.choice((1, 2, 30))):
        value = chance.choice(("1", str(interesting(chance)), "d/test_batch.bin", "x" * 900))
        record = f" {chance.choice(PAX)}={value}\n".encode()
        length = len(record) + len(str(len(record) + 3))
        content += str(chance.choice((length, length, length, interesting(chance)))).encode()
        content += record
    return content
