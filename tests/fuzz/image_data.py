"""Images in pickles, NumPy's files, folders and columns with anything wrong, read to their end."""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
from fuzz.mutations import interesting, mutated
from fuzz.outcome import MEBIBYTE, emptied, problem
from PIL import Image
from pyarrow import parquet

from bench.data.dataset import open_dataset
from columnar_nn.data import encoded_images, tensor_column

MEMORY = 512 * MEBIBYTE
SHAPE = (3, 8, 8)
OPCODES = (
    b"().0125BCFIJKLMNPQRSTUVX]abcdeghijloprstu}q\x80\x81\x82\x85\x86\x87\x8a\x8b\x8c\x8e\x93\x94"
)

# As in `cifar10_data`: what takes seconds shows nothing that a lower bound does not show.
encoded_images.MAX_PIXELS = 1 << 20


def check(seed: int, folder: Path) -> str:
    """What is wrong with how the data of a seed is read; the data is kept in `folder`."""
    chance = random.Random(seed)
    writer = (_write_pickle, _write_arrays, _write_folder, _write_table)[seed % 4]
    path = writer(emptied(folder), chance)
    return problem(lambda: _read(path, chance.choice(("test", "test", "train"))), MEMORY)


def _read(path: Path, split: str) -> None:
    dataset = open_dataset(str(path), split=split)
    for batch in dataset.batches(min(dataset.num_rows, 20), 8):
        batch.validate(full=True)


def _write_pickle(folder: Path, chance: random.Random) -> Path:
    """CIFAR's pickles, damaged, or opcodes of any kind in any order."""
    rows = chance.choice((1, 3))
    held = {
        b"data": np.zeros((rows, 3072), chance.choice((np.uint8, np.uint8, np.int64))),
        b"labels": [chance.choice((1, 9, 10, -1, None, "x")) for _ in range(rows)],
        b"fine_labels": [chance.choice((1, 99, 100)) for _ in range(rows)],
    }
    content = pickle.dumps(held, chance.randrange(pickle.HIGHEST_PROTOCOL + 1))
    if chance.random() < 0.3:
        content = b"".join(_opcode(chance) for _ in range(chance.choice((3, 30, 3000)))) + b"."
    elif chance.random() < 0.8:
        start, end = content[:200], content[-200:]
        content = mutated(start, chance) + content[200:-200] + mutated(end, chance)
    name = chance.choice(("test_batch", "test", "data_batch_1"))
    (folder / name).write_bytes(content)
    return chance.choice((folder, folder / name))


def _opcode(chance: random.Random) -> bytes:
    code = bytes([chance.choice(OPCODES)])
    size = struct.pack("<q", max(-(2**63), min(2**63 - 1, interesting(chance))))
    return code + chance.choice((b"", b"", size[:1], size[:4], size, b"numpy\nndarray\n", b"1\n"))


def _write_arrays(folder: Path, chance: random.Random) -> Path:
    rows = chance.choice((1, 5))
    arrays = {
        "images": np.zeros((rows, *SHAPE), chance.choice((np.uint8, np.float32, np.float64))),
        "labels": np.arange(rows, dtype=chance.choice((np.int64, np.uint8))),
    }
    if chance.random() < 0.4:
        path, stream = folder / "x.npy", io.BytesIO()
        np.save(stream, arrays["images"])
        path.write_bytes(mutated(stream.getvalue(), chance))
        return path
    path = folder / "x.npz"
    how = chance.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2))
    with zipfile.ZipFile(path, "w", how) as archive:
        for name, array in arrays.items():
            stream = io.BytesIO()
            np.save(stream, array)
            content = stream.getvalue()
            if chance.random() < 0.5:
                content = mutated(content[:128], chance) + content[128:]
            archive.writestr(f"{name}.npy", content)
    if chance.random() < 0.4:
        path.write_bytes(mutated(path.read_bytes(), chance))
    return path


def _file(chance: random.Random) -> bytes:
    """A PNG or JPEG file, perhaps damaged, perhaps with an EXIF orientation."""
    mode = chance.choice(("RGB", "RGBA", "L", "P", "CMYK", "I;16"))
    image = Image.new(mode, (chance.choice((1, 8, 30)), chance.choice((1, 8, 300))))
    kind = "JPEG" if mode in ("RGB", "L", "CMYK") and chance.random() < 0.5 else "PNG"
    if kind == "PNG" and mode == "CMYK":
        image = image.convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = chance.choice((1, 6, 9, 255))
    stream = io.BytesIO()
    image.save(stream, kind, exif=mutated(exif.tobytes(), chance))
    content = stream.getvalue()
    return mutated(content, chance) if chance.random() < 0.7 else content


def _write_folder(folder: Path, chance: random.Random) -> Path:
    for name in ("cat/a.png", "cat/b.jpg", "dog/c.png", "d.jpeg"):
        (folder / name).parent.mkdir(exist_ok=True)
        make: Callable[[], object] = chance.choice(
            (
                *[lambda at=folder / name: at.write_bytes(_file(chance))] * 6,
                lambda at=folder / name: os.mkfifo(at),
                lambda at=folder / name: at.symlink_to(chance.choice(("/dev/zero", "a.png", ".."))),
                lambda at=folder / name: at.mkdir(),
            )
        )
        make()
    if chance.random() < 0.3:
        lines = "name,label\ncat/a.png,1\nb.jpg,2\n\nc.png 3\n"
        table = folder / chance.choice(("labels.csv", "labels.txt"))
        table.write_bytes(mutated(lines.encode(), chance))
    return folder


def _write_table(folder: Path, chance: random.Random) -> Path:
    rows = chance.choice((0, 1, 5))
    files = [_file(chance) if chance.random() < 0.9 else None for _ in range(rows)]
    images = chance.choice(
        (
            lambda: pa.array(files, pa.binary()),
            lambda: pa.array([{"bytes": file, "path": "x"} for file in files]),
            lambda: tensor_column.from_numpy(np.zeros((rows, *SHAPE), np.uint8)),
            lambda: tensor_column.from_numpy(np.zeros((rows, 2, 2), np.float64)),
            lambda: pa.array([[1, 2]] * rows),
        )
    )()
    numbers = [chance.choice((0, 1, 9, None, -1, interesting(chance) % 2**62)) for _ in range(rows)]
    labels = chance.choice((pa.array(numbers, pa.int64()), pa.array(["some"] * rows)))
    table = pa.table({"image": images, "label": labels})
    names = chance.choice(([], [1], {"names": "x"}, {"names": ["a", "b"]}))
    metadata = {"huggingface": json.dumps({"info": {"features": {"label": names}}})}
    table = table.replace_schema_metadata(metadata)
    path = folder / "x.parquet"
    parquet.write_table(table, path)
    if chance.random() < 0.5:
        path.write_bytes(mutated(path.read_bytes(), chance))
    return path
