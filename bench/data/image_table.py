"""Images and labels in columns of Parquet and Arrow files.

An image is a tensor, or a PNG or JPEG file in bytes, as Hugging Face's data sets have it too. Rows
that hold none are left out, and named.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bench.data.image_folder import check_shorter_side, decoded, scaling
from bench.data.resize import planar_shape
from bench.data.source import Block, ImageShape, NamedInput, Source, block_rows, check_label, scan
from columnar_nn.data import encoded_images, image_column, tensor_column
from columnar_nn.data.arrow_source import ARROW_SUFFIXES, ArrowSource, decoded_type, open_source
from columnar_nn.errors import InvalidDataError, printable

SUFFIXES = (".parquet", *ARROW_SUFFIXES)
IMAGE_NAMES = ("image", "img", "images", "pixels")
LABEL_NAMES = ("label", "labels", "fine_label", "class", "target", "y")


def files_in(folder: Path) -> list[Path]:
    """The Parquet and Arrow files in a folder, and further down."""
    return [file for file in sorted(folder.rglob("*")) if file.suffix in SUFFIXES]


def open_table(
    path: Path, split: str, shorter_side: int | None = None, wanted: NamedInput | None = None
) -> Source:
    """The images in a file, or in all files of a folder, those of the split by their names.

    The column of images is called one of IMAGE_NAMES or is the only one that may hold any, that
    of labels one of LABEL_NAMES: whole numbers, whose names the file's own metadata may have, or
    texts. One of several inputs is in the column of its name, which may also be of numbers or of
    lists of them. Raises InvalidDataError.
    """
    return _Table(path, split, shorter_side, wanted).source()


class _Table:
    """One table on its way to a source."""

    def __init__(
        self, path: Path, split: str, shorter_side: int | None, wanted: NamedInput | None
    ) -> None:
        self._path = path
        self._shorter_side = shorter_side
        self._opened, self._split = _opened(path, split)
        schema = self._opened.schema
        self._wanted = wanted
        self._image = self._image_column(schema)
        taken = (self._image,) if wanted is None else wanted.names
        labels = tuple(name for name in LABEL_NAMES if name not in taken)
        self._label = _column(schema, labels, None)
        self._left_out: dict[str, str] = {}
        self._is_counted = False

    def _image_column(self, schema: pa.Schema) -> str:
        """The column of images, or of the input that is wanted."""
        if self._wanted is not None:
            name = self._wanted.name
            if schema.names.count(name) == 1:
                return name
            held = ", ".join(map(printable, schema.names[:8]))
            raise InvalidDataError(
                f"{self._path}: no column {name}, which the network takes; it has {held}"
            )
        found = _column(schema, IMAGE_NAMES, _may_hold_images)
        if found is None:
            raise InvalidDataError(
                f"{self._path}: no column of images among "
                f"{', '.join(map(printable, schema.names[:8]))}; call it image, of tensors or of "
                "PNG or JPEG files"
            )
        image_type = schema.field(found).type
        if not _may_hold_images(image_type):
            raise InvalidDataError(
                f"{self._path}: column {printable(found)} is {image_type}: store tensors "
                "(fixed_shape_tensor), or PNG or JPEG files as binary"
            )
        return found

    def source(self) -> Source:
        classes = self._classes()
        self._numbers = {name: number for number, name in enumerate(classes)}
        image_type = self._opened.schema.field(self._image).type
        dtype, scaled = "uint8", ""
        if not _is_files(image_type):
            is_tensor = isinstance(image_type, pa.FixedShapeTensorType)
            self._stored = tuple(image_type.shape) if is_tensor else self._shape_wanted()
            shape = _planar(self._stored, self._path)
            dtype = self._dtype(image_type)
        else:
            scaled = scaling(self._shorter_side)
            shape = self._first_shape()
        read = self._tensors if not scaled else self._files
        facts = scan(len(classes), read(shape))
        self._is_counted = True
        if not facts.num_rows:
            reasons = (f"{row}: {reason}" for row, reason in self._left_out.items())
            why = next(reasons, "it has no rows")
            raise InvalidDataError(f"{self._path}: no image can be read: {why}")
        return Source(
            *("images in columns", classes, facts, shape, dtype, read, scaled, self._left_out),
            split=self._split,
        )

    def _shape_wanted(self) -> ImageShape:
        """Of a row of numbers, which do not say it themselves."""
        assert self._wanted is not None  # no other column than a wanted one may be of such
        return self._wanted.shape

    def _dtype(self, data_type: pa.DataType) -> str:
        """Of values in the column; raises InvalidDataError for others than pixels and float32."""
        listed = _as_list(data_type)
        return image_column.pixel_dtype(listed, printable(self._image), "uint8", self._stored)

    def _classes(self) -> tuple[str, ...]:
        """Names of the labels, by one pass over their column; of numbers up to the greatest."""
        if self._label is None:
            return ()
        field = self._opened.schema.field(self._label)
        data_type = decoded_type(field.type)
        if pa.types.is_null(data_type):
            self._label = None
            return ()
        is_text = pa.types.is_string(data_type)
        if not (is_text or pa.types.is_integer(data_type)):
            raise InvalidDataError(
                f"{self._path}: column {self._label} is {data_type}: labels are whole numbers or "
                "texts"
            )
        found: set[Any] = set()
        for batch in self._opened.read([self._label]):
            found.update(pc.unique(batch.column(self._label)).to_pylist())
        found.discard(None)
        if is_text:
            return tuple(map(printable, sorted(found)))
        numbers = {number for number in found if number >= 0}
        if not numbers:
            self._label = None  # as test sets have it whose labels are kept secret
            return ()
        largest = check_label(max(numbers), f"{self._path}, column {self._label}")
        names = _names(self._opened.schema.metadata, self._label)
        if len(names) > largest:
            return names
        return tuple(map(str, range(largest + 1)))

    def _tensors(self, shape: ImageShape) -> Iterator[Block]:
        """Blocks of a column of tensors."""
        row = 0
        for batch in self._batches():
            column = _listed(batch.column(self._image))
            dtype = self._dtype(column.type)
            images = image_column.images(column, dtype, self._stored)
            good = np.ones(len(batch), bool) if images.good is None else images.good
            for wrong in np.flatnonzero(~good):
                assert images.errors is not None
                self._leave(row + int(wrong), images.errors[int(wrong)].as_py())
            labels, labelled = self._labels(batch, row)
            pixels = tensor_column.to_numpy(images.tensors)[labelled[good]]
            if _planar(self._stored, self._path) != self._stored:
                pixels = pixels.transpose(0, 3, 1, 2)
            kept = good & labelled
            row += len(batch)
            block = Block(pixels, None if labels is None else labels[kept])
            rows = block_rows(_planar(self._stored, self._path), dtype)
            for start in range(0, len(block), rows):
                yield block.rows(start, start + rows)

    def _files(self, shape: ImageShape) -> Iterator[Block]:
        """Blocks of a column of PNG and JPEG files, brought to H x W of a shape."""
        check_shorter_side(self._shorter_side, shape)
        rows, row = block_rows(shape, "uint8"), 0
        for batch in self._batches():
            column = _bytes(batch.column(self._image))
            labels, labelled = self._labels(batch, row)
            kept: list[int] = []
            pixels: list[np.ndarray] = []
            for place in np.flatnonzero(labelled):
                try:
                    pixels.append(decoded(_file(column[place]), shape, self._shorter_side))
                    kept.append(int(place))
                except InvalidDataError as error:
                    self._leave(row + int(place), str(error))
                if len(pixels) == rows:
                    yield Block(np.stack(pixels), None if labels is None else labels[kept])
                    kept, pixels = [], []
            if pixels:
                yield Block(np.stack(pixels), None if labels is None else labels[kept])
            row += len(batch)

    def _first_shape(self) -> ImageShape:
        """The shape of the first image that can be read."""
        for batch in self._batches():
            for value in _bytes(batch.column(self._image)):
                try:
                    return encoded_images.upright_shape(_file(value))
                except InvalidDataError as error:
                    self._left_out.setdefault("row 0", str(error))
        raise InvalidDataError(
            f"{self._path}: column {self._image} holds no image: "
            f"{self._left_out.get('row 0', 'it has no rows')}"
        )

    def _batches(self) -> Iterator[pa.RecordBatch]:
        names = [name for name in (self._image, self._label) if name is not None]
        return self._opened.read(names)

    def _labels(self, batch: pa.RecordBatch, row: int) -> tuple[np.ndarray | None, np.ndarray]:
        """Labels of a batch's rows, and which rows have one; all, in a set without labels."""
        if self._label is None:
            return None, np.ones(len(batch), bool)
        values = batch.column(self._label).to_pylist()
        is_text = pa.types.is_string(decoded_type(batch.column(self._label).type))
        numbers = [
            -1 if value is None else self._numbers.get(printable(value), -1) if is_text else value
            for value in values
        ]
        labels = np.array(numbers, np.int64)
        for wrong in np.flatnonzero(labels < 0):
            self._leave(row + int(wrong), "it has no label")
        return labels, labels >= 0

    def _leave(self, row: int, reason: str) -> None:
        """Notes a row that is left out; the same in every pass, or there would be fewer images."""
        name = f"row {row}"
        if self._is_counted and name not in self._left_out:
            raise InvalidDataError(f"{self._path}: {name}: {reason}")
        self._left_out[name] = reason


def _opened(path: Path, split: str) -> tuple[ArrowSource, str | None]:
    """The files at a path, of a folder whose files have splits in their names those of the split,
    which is told.
    """
    if path.is_dir() and any(split in file.stem for file in files_in(path)):
        suffix = next(file.suffix for file in files_in(path) if split in file.stem)
        return open_source(f"{path}/**/*{split}*{suffix}"), split
    return open_source(str(path)), None


def _column(schema: pa.Schema, names: tuple[str, ...], fits: Any) -> str | None:
    """The first column of one of the names, else the only one that fits."""
    for name in names:
        if name in schema.names and schema.names.count(name) == 1:
            return name
    found = [field.name for field in schema if fits is not None and fits(field.type)]
    return found[0] if len(found) == 1 else None


def _may_hold_images(data_type: pa.DataType) -> bool:
    return isinstance(data_type, pa.FixedShapeTensorType) or _is_binary(data_type)


def _is_binary(data_type: pa.DataType) -> bool:
    if pa.types.is_struct(data_type):
        index = data_type.get_field_index("bytes")
        return index >= 0 and _is_binary(data_type.field(index).type)
    data_type = decoded_type(data_type)
    return bool(pa.types.is_binary(data_type) or pa.types.is_large_binary(data_type))


def _is_files(data_type: pa.DataType) -> bool:
    return not isinstance(data_type, pa.FixedShapeTensorType) and _is_binary(data_type)


def _as_list(data_type: pa.DataType) -> pa.DataType:
    """The type of single numbers as that of lists of one."""
    is_number = pa.types.is_integer(data_type) or pa.types.is_floating(data_type)
    return pa.list_(data_type, 1) if is_number else data_type


def _listed(column: pa.Array) -> pa.Array:
    """A column of numbers as one of lists of one."""
    data_type = _as_list(column.type)
    if data_type == column.type:
        return column
    return pa.FixedSizeListArray.from_arrays(column, 1)


def _bytes(column: pa.Array) -> pa.Array:
    """The column of files, which Hugging Face's data sets have inside of a struct."""
    return pc.struct_field(column, "bytes") if pa.types.is_struct(column.type) else column


def _file(value: Any) -> bytes:
    content = value.as_py()
    if content is None:
        raise InvalidDataError("the image is null")
    return bytes(content)


def _planar(shape: tuple[int, ...], path: Path) -> ImageShape:
    """C x H x W of tensors that may have their channels last; what is no image as it is."""
    if not shape or 0 in shape:
        raise InvalidDataError(f"{path}: tensors of shape {list(shape)} hold nothing")
    if len(shape) != 3:
        return shape
    return planar_shape((shape[0], shape[1], shape[2]))


def _names(metadata: Any, column: str) -> tuple[str, ...]:
    """Names of classes that Hugging Face's data sets write into a file; none if there are none."""
    try:
        feature = json.loads((metadata or {})[b"huggingface"])["info"]["features"][column]
        names = feature.get("names") or feature["feature"]["names"]
        return tuple(printable(str(name)) for name in names)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return ()
