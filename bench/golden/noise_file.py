"""The noise of a bundle's expected tensors: an Arrow IPC stream, a batch of one row for each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path

import numpy as np
import pyarrow as pa

from bench.verdict.noise import Noise
from columnar_nn.errors import InvalidDataError, first_line

_FIGURES = tuple(field.name for field in fields(Noise))
_TYPES = {name: pa.list_(pa.float64()) for name in _FIGURES} | {"telling": pa.list_(pa.bool_())}
SCHEMA = pa.schema([("tensor", pa.string()), *_TYPES.items()])
"""The tensor's name, and the arrays of its bench.verdict.noise.Noise."""


def write(path: Path, noises: Mapping[str, Noise]) -> None:
    """Writes the noise of each tensor, by name, in the order of the mapping."""
    with pa.ipc.new_stream(str(path), SCHEMA) as writer:
        for name, noise in noises.items():
            lists = [pa.array([getattr(noise, key)], kind) for key, kind in _TYPES.items()]
            batch = pa.RecordBatch.from_arrays([pa.array([name]), *lists], schema=SCHEMA)
            writer.write_batch(batch)


def read(path: Path, columns: Mapping[str, int], rows: int) -> dict[str, Noise]:
    """The noise of all tensors, by name; `columns` says how many each has, in order.

    Raises InvalidDataError for anything that is not the noise of these tensors of `rows` images.
    """
    try:
        with pa.OSFile(str(path)) as source, pa.ipc.open_stream(source) as batches:
            if not batches.schema.equals(SCHEMA):
                raise InvalidDataError(f"{path} has other columns than a noise")
            return _read(path, batches, columns, rows)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InvalidDataError(f"{path} is damaged: {first_line(error)}") from None


def _read(
    path: Path, batches: Iterable[pa.RecordBatch], columns: Mapping[str, int], rows: int
) -> dict[str, Noise]:
    noises: dict[str, Noise] = {}
    wanted = iter(columns.items())
    for batch in batches:
        batch.validate(full=True)
        name, count = next(wanted, ("", 0))
        if batch.column(0).to_pylist() != [name] or not name:
            raise InvalidDataError(f"{path} has not the expected tensors in their order")
        noise = Noise(**{key: _array(batch.column(key)) for key in _FIGURES})
        problem = _problem(noise, count, rows)
        if problem:
            raise InvalidDataError(f"{path}: tensor {name!r}: {problem}; create the bundle again")
        noises[name] = noise
    if len(noises) != len(columns):
        raise InvalidDataError(f"{path} lacks the noise of a tensor; copy the bundle again")
    return noises


def _array(column: pa.ListArray) -> np.ndarray:
    """The elements of a column of one list, of no list if one of them is null."""
    flat = column.flatten()
    if flat.null_count:
        return np.zeros(0)
    array: np.ndarray = flat.to_numpy(zero_copy_only=False)
    return array


def _problem(noise: Noise, columns: int, rows: int) -> str:
    """What cannot be of the noise of a tensor with so many columns and rows; empty if nothing."""
    for name in _FIGURES:
        length = rows if name in ("rows", "telling") else columns
        if len(getattr(noise, name)) != length:
            return f"its {name} are not {length}"
    for name in ("rows", "spread", "rms"):
        if not np.isfinite(getattr(noise, name)).all():
            return f"its {name} are not finite"
    if not (noise.columns > 0).all() or not (noise.rows > 0).all():
        return "its noise is not positive"
    if (noise.spread < 0).any() or (noise.rms < 0).any():
        return "its spread or rms is negative"
    return ""
