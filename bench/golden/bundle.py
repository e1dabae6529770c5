"""A golden bundle on disk, opened only after every file in it has proved to be intact.

Nothing in a bundle is ever executed: JSON, Arrow IPC of plain numbers, and ONNX.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from bench.golden import manifest as manifests
from bench.golden import noise_file
from bench.golden.manifest import Manifest
from bench.verdict.noise import Noise
from columnar_nn.data import tensor_column
from columnar_nn.errors import CnnBenchError, InvalidDataError, first_line
from columnar_nn.model import onnx_io
from columnar_nn.model.graph import Graph

MANIFEST = "manifest.json"
EXPECTED_COLUMN = "expected"
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Bundle:
    """An intact bundle; `fingerprint`, the SHA-256 of its manifest, stands for all of it."""

    folder: Path
    manifest: Manifest
    fingerprint: str

    def graph(self) -> Graph:
        """The network stored in the bundle."""
        return onnx_io.load(self.folder / self.manifest.model_file)

    def images(self) -> Iterator[pa.RecordBatch]:
        """What the network's inputs are given, in batches of `rows_per_batch`, one in memory at a
        time, in columns as `Graph.columns` says."""
        data = self.manifest.data
        types = {c.name: tensor_column.tensor_type(c.dtype, c.shape) for c in data.columns}
        return self._stream(data.file, types)

    def expected(self, names: Sequence[str]) -> Iterator[dict[str, np.ndarray]]:
        """The expected tensors called `names` as arrays [rows, ...], one batch in memory at a time.

        Raises KeyError for a tensor that the bundle does not have.
        """
        entries = [self.manifest.tensor(name) for name in names]
        streams = [
            self._stream(e.file, {EXPECTED_COLUMN: tensor_column.tensor_type(e.dtype, e.shape)})
            for e in entries
        ]
        for batches in zip(*streams, strict=True):
            columns = (batch.column(EXPECTED_COLUMN) for batch in batches)
            yield dict(zip(names, map(tensor_column.to_numpy, columns), strict=True))

    def noises(self) -> dict[str, Noise]:
        """The noise of each expected tensor by name; none of a bundle of version 1."""
        if not self.manifest.noise_file:
            return {}
        columns = {entry.name: (*entry.shape, 1)[0] for entry in self.manifest.tensors}
        return noise_file.read(self.folder / self.manifest.noise_file, columns, self.manifest.rows)

    def _stream(
        self, file: str, columns: Mapping[str, pa.FixedShapeTensorType]
    ) -> Iterator[pa.RecordBatch]:
        """Batches of an Arrow IPC stream, checked to be what the manifest says.

        Read, not mapped: pages of a mapped file count as this process's memory.
        """
        path = self.folder / file
        left = self.manifest.rows
        try:
            with pa.OSFile(str(path)) as source, pa.ipc.open_stream(source) as batches:
                names = batches.schema.names
                for name, kind in columns.items():
                    if names.count(name) != 1 or batches.schema.field(name).type != kind:
                        raise InvalidDataError(f"{path} has no column {name} of {kind}")
                for batch in batches:
                    batch.validate()
                    if batch.num_rows != min(left, self.manifest.rows_per_batch):
                        raise InvalidDataError(f"{path}: a batch has {batch.num_rows} rows")
                    left -= batch.num_rows
                    yield batch
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise InvalidDataError(f"{path} is damaged: {first_line(error)}") from None
        if left:
            raise InvalidDataError(f"{path} lacks {left} of {self.manifest.rows} rows")


def open_bundle(folder: str | Path) -> Bundle:
    """The bundle in `folder`, once the size and SHA-256 of every file have been checked.

    Raises InvalidDataError, naming the file and the problem, for anything that is not an
    intact bundle of a format version known here.
    """
    folder = Path(folder)
    path = folder / MANIFEST
    if not path.is_file():
        raise InvalidDataError(f"{folder} is not a golden bundle: it has no {MANIFEST}")
    try:
        with path.open("rb") as file:
            content = file.read(manifests.MAX_BYTES + 1)
        if len(content) > manifests.MAX_BYTES:
            raise InvalidDataError(f"{path} is larger than any manifest")
        manifest = manifests.loads(content.decode("utf-8"))
        for name, entry in manifest.files.items():
            _check_file(folder, name, entry)
    except UnicodeDecodeError:
        raise InvalidDataError(f"{path} is not UTF-8 text") from None
    except OSError as error:
        raise InvalidDataError(f"bundle {folder} cannot be read: {first_line(error)}") from None
    except CnnBenchError as error:
        raise InvalidDataError(f"bundle {folder} is refused: {error}") from None
    return Bundle(folder, manifest, hashlib.sha256(content).hexdigest())


def entry_of(path: Path) -> manifests.FileEntry:
    """Size and SHA-256 of a file, read in bounded memory."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return manifests.FileEntry(path.stat().st_size, digest.hexdigest())


def _check_file(folder: Path, file: str, entry: manifests.FileEntry) -> None:
    path = folder / file
    # A link could lead out of the bundle, and what it leads to change after the check.
    if Path(os.path.realpath(path)) != folder.resolve() / file:
        raise InvalidDataError(f"{file} is a link: a bundle holds its files itself")
    if not path.is_file():
        raise InvalidDataError(f"{file} is missing; copy the whole folder")
    size = path.stat().st_size
    if size != entry.bytes:
        raise InvalidDataError(
            f"{file} has {size} bytes, its manifest says {entry.bytes}: truncated or altered; "
            "copy the bundle again"
        )
    if entry_of(path).sha256 != entry.sha256:
        raise InvalidDataError(
            f"{file} does not have the SHA-256 of its manifest: altered; copy the bundle again"
        )
