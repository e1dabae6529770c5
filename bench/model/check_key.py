"""Under what the check of an import is remembered: a hash of all that its result depends on."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path

import onnx
from google.protobuf.message import Message

from columnar_nn.errors import InvalidModelError
from columnar_nn.model.graph import Shape
from columnar_nn.model.stored_tensors import StoredTensors

ROOT = Path(__file__).parent.parent.parent
SOURCES = (
    "columnar_nn/model/**/*.py",
    "bench/model/check*.py",
    "bench/model/output_difference.py",
    "bench/model/batch_independence.py",
    "adapters/onnx_runner.py",
)
"""Of the importer and of the checker."""

PACKAGES = ("numpy", "onnx", "onnxruntime")

_BLOCK_BYTES = 1 << 20


def key(file: Path, shapes: Sequence[Shape]) -> str:
    """Hash of the file with its external data, of importer and checker, and of their packages.

    Also of the `shapes` of the import's inputs, which the file may leave free.
    """
    digest = hashlib.sha256(_versions().encode())
    digest.update(str([*shapes]).encode())
    content = file.read_bytes()
    digest.update(hashlib.sha256(content).digest())
    stored = StoredTensors(file.parent, len(content), file)
    for location in sorted(set(_locations(onnx.load_model_from_string(content)))):
        digest.update(location.encode() + b"\0")
        # One that no output needs may be missing, or lie where the import would not read it.
        with suppress(InvalidModelError, OSError):
            for block in _blocks(stored.file(location, location)):
                digest.update(block)
    return digest.hexdigest()


def _blocks(file: Path) -> Iterator[bytes]:
    with file.open("rb") as data:
        while block := data.read(_BLOCK_BYTES):
            yield block


@functools.cache
def _versions() -> str:
    """Of the importer, the checker, and the packages that they use."""
    digest = hashlib.sha256()
    for source in sorted(file for pattern in SOURCES for file in ROOT.glob(pattern)):
        name = source.relative_to(ROOT).as_posix()
        digest.update(name.encode() + b"\0" + source.read_bytes() + b"\0")
    for name in PACKAGES:
        try:
            digest.update(f"{name} {metadata.version(name)}".encode())
        except metadata.PackageNotFoundError:
            digest.update(f"no {name}".encode())
    return digest.hexdigest()


def _locations(message: Message) -> Iterator[str]:
    """The files of external data, wherever in a model a tensor lies."""
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        for entry in [value] if isinstance(value, Message) else value:
            if isinstance(entry, onnx.TensorProto):
                if entry.data_location == onnx.TensorProto.EXTERNAL:
                    yield from (e.value for e in entry.external_data if e.key == "location")
            else:
                yield from _locations(entry)
