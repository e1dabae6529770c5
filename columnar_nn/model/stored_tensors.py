"""Values of tensors read from wherever a file keeps them: in itself, sparse, or in other files.

Other files lie in the model's folder. Model caches make links of files, so links are followed,
as long as what they lead to lies under the folder that the model itself resolves to, the one
that it was named in, or in a folder `blobs` beside one of these.
"""

from __future__ import annotations

import math
import os
import re
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from columnar_nn.errors import InvalidModelError, first_line
from columnar_nn.model.onnx_file import Stored

GIBIBYTE = 2**30
RULE = (
    "files of weights lie in the model's folder, or where links in it lead to: the folder that "
    "the model resolves to, or `blobs` beside it"
)


class Budget:
    """Bytes that the values of a network may take: those of its files and one GiB in all.

    What is computed from them may read and make twice as many, `work`.
    """

    def __init__(self, num_bytes: int) -> None:
        self.left = self.work = 0
        self.grow(num_bytes + GIBIBYTE)

    def grow(self, num_bytes: int) -> None:
        """Allows for `num_bytes` more of the files."""
        self.left += num_bytes
        self.work += 2 * num_bytes

    def take(self, num_bytes: int, what: str) -> None:
        """Counts `num_bytes` that `what` makes; raises InvalidModelError if they are too many."""
        self.left -= num_bytes
        if self.left < 0:
            raise InvalidModelError(
                f"{what} makes constants of more than the size of the model's files and 1 GiB: "
                "export with smaller ones"
            )

    def spend(self, num_bytes: int, what: str) -> None:
        """Counts `num_bytes` of work of `what`; raises InvalidModelError if it is too much."""
        self.work -= num_bytes
        if self.work < 0:
            raise InvalidModelError(
                f"{what}: computing this from constants takes too long; export with what it "
                "computes stored"
            )


class StoredTensors:
    """Reads tensors of one model, whose other files lie in its folder, within one budget."""

    def __init__(self, folder: Path | None, size: int, model: Path | None = None) -> None:
        """The model of `size` bytes is the file `model`, or was never in one, in `folder`.

        Without a folder it has no other files.
        """
        self.budget = Budget(size)
        folders = (folder, model.resolve().parent if model else None)
        self._folders = [folder for folder in folders if folder is not None]
        self._files: set[Path] = set()

    def array(self, stored: Stored, name: str) -> np.ndarray:
        """The value of a tensor in its own dtype; raises InvalidModelError if it is damaged."""
        what = f"weight {name!r}"
        try:
            if isinstance(stored, onnx.SparseTensorProto):
                return self._sparse(stored, what)
            return self._dense(stored, what)
        except (ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
            raise InvalidModelError(f"{what} is damaged: {first_line(error)}") from None
        except MemoryError:
            raise InvalidModelError(
                f"{what} does not fit in memory: use a machine with more, or a smaller model"
            ) from None

    def _dense(self, stored: onnx.TensorProto, what: str) -> np.ndarray:
        if stored.data_location != onnx.TensorProto.EXTERNAL:
            self._take(stored, what)
        else:
            content = self._external(stored, what)
            stored = onnx.TensorProto(
                dims=stored.dims, data_type=stored.data_type, raw_data=content
            )
        array = numpy_helper.to_array(stored)
        return np.ascontiguousarray(array).reshape(tuple(stored.dims))

    def _sparse(self, stored: onnx.SparseTensorProto, what: str) -> np.ndarray:
        """Values at the indices given, linear or one row of coordinates each; else zeros."""
        values, indices = self._dense(stored.values, what), self._dense(stored.indices, what)
        shape = tuple(stored.dims)
        self._take(onnx.TensorProto(dims=shape, data_type=stored.values.data_type), what)
        if indices.ndim == 2:
            indices = np.ravel_multi_index(tuple(indices.T), shape)
        array = np.zeros(math.prod(shape), values.dtype)
        if indices.size and not 0 <= indices.min() <= indices.max() < array.size:
            raise ValueError("an index lies outside of it")
        array[indices] = values
        return array.reshape(shape)

    def _take(self, stored: onnx.TensorProto, what: str) -> None:
        """Counts a tensor's bytes before any memory is asked for; raises if they cannot be."""
        _stored_bytes(stored)
        itemsize = helper.tensor_dtype_to_np_dtype(stored.data_type).itemsize
        self.budget.take(math.prod(stored.dims) * itemsize, what)

    def _external(self, stored: onnx.TensorProto, what: str) -> bytes:
        """The bytes of a tensor that lies in another file.

        Without a length, or with one of 0, they are as many as the tensor needs.
        """
        entries = {entry.key: entry.value for entry in stored.external_data}
        offset, length = int(entries.get("offset") or 0), int(entries.get("length") or 0)
        needed = _stored_bytes(stored)
        if length not in (0, needed):
            raise ValueError(f"{length} bytes of shape {list(stored.dims)}, which needs {needed}")
        location = entries.get("location", "")
        try:
            file = self.file(location, what)
            if file not in self._files:  # read only once it is counted
                self._files.add(file)
                self.budget.grow(file.stat().st_size)
            if offset < 0 or offset + needed > file.stat().st_size:
                raise InvalidModelError(
                    f"{what} cannot be read from {file}: it ends before; copy it again"
                )
            self._take(stored, what)
            with file.open("rb") as opened:
                opened.seek(offset)
                return opened.read(needed)
        except OSError as error:
            reason = error.strerror or str(error)
            raise InvalidModelError(f"{what} cannot be read from {location}: {reason}") from None

    def file(self, location: str, what: str) -> Path:
        """The file that a tensor `what` lies in, wherever links to it lead.

        Raises InvalidModelError if it may not lie there or is missing, OSError if the system does.
        """
        if not self._folders:
            raise InvalidModelError(
                f"{what} lies in {location!r}, another file than the model's, whose bytes alone "
                "are known: save the model with its weights inside, or name it by its path"
            )
        problem = InvalidModelError(
            f"{what} lies in {location!r}, outside the model's folder: {RULE}"
        )
        plain = os.path.normpath(location)
        inside = bool(location) and "\0" not in location and not os.path.isabs(plain)
        if not inside or plain.split(os.sep)[0] == os.pardir:
            raise problem
        file = next((f / plain for f in self._folders if (f / plain).exists()), None)
        if file is None:
            raise InvalidModelError(
                f"{what} lies in {self._folders[0] / plain}, which is missing; copy it along"
            )
        allowed = [
            root
            for folder in self._folders
            for root in (folder.resolve(), folder.resolve().parent / "blobs")
        ]
        resolved = file.resolve()
        if not any(resolved.is_relative_to(root) for root in allowed):
            raise problem
        if not resolved.is_file():
            raise InvalidModelError(f"{what} lies in {resolved}, which is no file")
        return resolved


def _stored_bytes(stored: onnx.TensorProto) -> int:
    """The bytes of a tensor in a file, where types below 8 bits are packed.

    Raises ValueError for a shape or a type that no numbers have.
    """
    if min(stored.dims, default=0) < 0:
        raise ValueError(f"shape {list(stored.dims)} has a negative entry")
    if stored.data_type in (onnx.TensorProto.UNDEFINED, onnx.TensorProto.STRING):
        raise ValueError("it holds no numbers")
    dtype = helper.tensor_dtype_to_np_dtype(stored.data_type)
    packed = re.search(r"(?:int|float)([24])(?:_|$)", dtype.name.lower().removeprefix("u"))
    bits = int(packed[1]) if packed else 8 * dtype.itemsize
    elements: int = math.prod(stored.dims)
    return -(-elements * bits // 8)
