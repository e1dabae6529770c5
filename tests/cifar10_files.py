"""CIFAR-10 files written the long way, as something to hold the readers against."""

import io
import tarfile
from pathlib import Path

import numpy as np

RECORD_BYTES = 3073


def records(num_rows: int, seed: int = 0) -> bytes:
    """Random records: a label of 0 to 9, then pixels."""
    random = np.random.default_rng(seed)
    return b"".join(
        bytes([int(random.integers(10))]) + random.bytes(RECORD_BYTES - 1) for _ in range(num_rows)
    )


def split_files(rows_per_file: int) -> dict[str, bytes]:
    """The six files of CIFAR-10, each with its own records."""
    names = ["test_batch.bin", *(f"data_batch_{number}.bin" for number in range(1, 6))]
    return {name: records(rows_per_file, seed) for seed, name in enumerate(names)}


def write_folder(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def write_archive(path: Path, files: dict[str, bytes], mode: str = "w:gz") -> Path:
    """An archive laid out as CIFAR-10's: a folder, its files, the training files unordered."""
    with tarfile.open(path, mode) as archive:
        folder = tarfile.TarInfo("cifar-10-batches-bin")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name in sorted(files, reverse=True):
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(files[name])
            archive.addfile(member, io.BytesIO(files[name]))
    return path
