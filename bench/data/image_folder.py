"""PNG and JPEG files in folders: the class is the folder, or a file of labels says it.

Every file is decoded once to check it. One that cannot be is left out, and named.
"""

from __future__ import annotations

import csv
import hashlib
import math
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from bench.data.resize import planar_shape
from bench.data.source import (
    MAX_CLASSES,
    Block,
    Facts,
    ImageShape,
    Source,
    block_rows,
)
from columnar_nn.data import encoded_images
from columnar_nn.errors import InvalidDataError, UsageError, printable

SUFFIXES = (".png", ".jpg", ".jpeg")
LABEL_FILES = ("labels.csv", "labels.txt")
"""A file of labels that is found in the folder without being named."""

MAX_FILE_BYTES = 1 << 28
MAX_LABEL_BYTES = 1 << 26
"""Of a file of labels: a line for each of a million images."""

_SPLIT_FOLDERS = {"test": ("test", "val", "valid", "validation"), "train": ("train", "training")}
_WINDOW = 64
"""Files that are being checked at once, at most."""


class _Image(NamedTuple):
    """A file of a class, and its name in messages: the path from the folder on."""

    file: Path
    name: str
    label: str


def holds_images(folder: Path) -> bool:
    """Whether a PNG or JPEG file lies in a folder, or further down in it."""
    return next(_image_files(folder), None) is not None


def open_folder(
    folder: Path, split: str, labels: Path | None = None, shorter_side: int | None = None
) -> Source:
    """The images in a folder's subfolders, each a class, or in it as a file of labels has them.

    If it has folders called as the splits are, those of the split are read. A file of labels is
    `labels`, or one of LABEL_FILES in the folder; without it, images that lie in no subfolder are
    a set without labels. Classes are in the order of their names, of whole numbers in theirs. To
    fit a network images are scaled as `decode_cropped` does. Raises InvalidDataError if no image
    can be read.
    """
    root = next(
        (folder / name for name in _SPLIT_FOLDERS[split] if (folder / name).is_dir()), folder
    )
    left_out = {
        link.relative_to(root).as_posix(): "it is a link to a folder, which is not followed"
        for link in _linked_folders(root)
    }
    found = sorted(_image_files(root), key=lambda file: file.relative_to(root).as_posix())
    if root is folder:
        _check_split(found, folder, split)
    table = labels or next((root / n for n in LABEL_FILES if (root / n).is_file()), None)
    if table is None:
        images = _by_folder(found, root, left_out)
        kind = "folders of images, a class each"
    else:
        images = _by_table(found, root, table, left_out)
        kind = f"images, labelled by {table.name}"
    if all(not image.label for image in images):
        kind = "images without labels"
    if root is not folder:
        kind += f", in {root.name}"
    classes = _ordered({image.label for image in images} - {""})
    numbers = {name: number for number, name in enumerate(classes)}
    good, facts, shapes = _checked(images, numbers, left_out)
    if not good:
        first = next(iter(left_out.items()), ("", "it holds no PNG or JPEG file"))
        raise InvalidDataError(f"{root}: no image can be read: {': '.join(filter(None, first))}")
    return Source(
        kind,
        classes,
        facts,
        shapes[0],
        "uint8",
        partial(_read, good, numbers, shorter_side),
        scaling(shorter_side),
        left_out,
        split=None if root is folder else split,
        extremes=(min(shapes, key=_size), max(shapes, key=_size)),
    )


def scaling(shorter_side: int | None) -> str:
    """How images are brought to the size of a network, in words."""
    side = "scaled to cover it" if shorter_side is None else f"shorter side {shorter_side}"
    return f"{side}, bilinear, centre cropped"


def decoded(content: bytes, shape: ImageShape, shorter_side: int | None) -> np.ndarray:
    """A file's pixels for a network of this shape, 1 or 3 channels, channels first."""
    channels, height, width = planar_shape(shape)
    return encoded_images.decode_cropped(
        content, (1 if channels == 1 else 3, height, width), shorter_side
    )


def check_shorter_side(shorter_side: int | None, shape: ImageShape) -> None:
    """Raises UsageError if less remains of an image than the network takes."""
    if shorter_side is not None and shorter_side < max(planar_shape(shape)[1:]):
        least = max(planar_shape(shape)[1:])
        raise UsageError(f"--resize {shorter_side}: the network takes {least}; give no less")


def _image_files(folder: Path) -> Iterator[Path]:
    """Files of these names in a folder, and further down; what is hidden is passed over."""
    for at, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if name.lower().endswith(SUFFIXES) and not name.startswith("."):
                yield Path(at, name)


def _linked_folders(folder: Path) -> list[Path]:
    """Links to folders in a folder, and further down, where they might hold images."""
    linked = (
        Path(at, name)
        for at, folders, _ in os.walk(folder)
        for name in folders
        if Path(at, name).is_symlink() and not name.startswith(".")
    )
    return sorted(linked)


def _check_split(found: Sequence[Path], folder: Path, split: str) -> None:
    """Raises InvalidDataError if all images lie in another split's folders, no classes."""
    at = {file.relative_to(folder).parts[0] for file in found}
    for other, names in _SPLIT_FOLDERS.items():
        if at and at <= set(names):
            raise InvalidDataError(
                f"{folder} has no folder {split}, and all of its images are in "
                f"{' and '.join(sorted(at))}: give --split {other}"
            )


def _by_folder(found: Sequence[Path], root: Path, left_out: dict[str, str]) -> list[_Image]:
    """Each file with the first folder on its way as its class; none if there are no folders."""
    parts = [file.relative_to(root).parts for file in found]
    has_classes = any(len(names) > 1 for names in parts)
    images = []
    for file, names in zip(found, parts, strict=True):
        if has_classes and len(names) == 1:
            left_out[names[0]] = "it lies beside the folders of the classes"
        else:
            label = printable(names[0]) if has_classes else ""
            images.append(_Image(file, "/".join(names), label))
    return images


def _by_table(
    found: Sequence[Path], root: Path, table: Path, left_out: dict[str, str]
) -> list[_Image]:
    """Each file that a file of labels names, by its path from the folder on or its own name."""
    labels = _labels(table)
    images = []
    for file in found:
        name = file.relative_to(root).as_posix()
        key = name if name in labels else file.name
        if key in labels:
            images.append(_Image(file, name, labels.pop(key)))
        else:
            left_out[name] = f"{table.name} has no label of it"
    for name in islice(labels, _WINDOW):
        if name.lower().endswith(SUFFIXES):  # not the heading
            left_out[name] = f"there is no such file, which {table.name} names"
    return images


def _labels(table: Path) -> dict[str, str]:
    """Labels by the file's path from the folder on: lines of both, separated by a comma, a tab or
    spaces.
    """
    try:
        if not stat.S_ISREG(table.stat().st_mode) or table.stat().st_size > MAX_LABEL_BYTES:
            raise InvalidDataError(
                f"{table}: no file of labels, which has lines of a file's name and its label"
            )
        text = table.read_bytes().decode("utf-8-sig", errors="replace")
    except OSError as error:
        raise InvalidDataError(f"{table}: cannot be read: {error.strerror or error}") from None
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        name, label = _entry(line)
        if not label:
            raise InvalidDataError(
                f"{table}: line {number} is not a file's name and its label, such as cat1.png,cat"
            )
        name = PurePosixPath(name).as_posix()  # ./a.png is a.png
        if found.setdefault(name, printable(label)) != printable(label):
            raise InvalidDataError(
                f"{table}: line {number} has another label of {printable(name)} than one before"
            )
    return found


def _entry(line: str) -> tuple[str, str]:
    """The first and the second field of a line; the second is empty if there is none."""
    if "," in line:
        try:
            fields = next(csv.reader([line], skipinitialspace=True))
        except (csv.Error, StopIteration):
            return "", ""
    else:
        fields = line.rstrip().rsplit(None if "\t" not in line else "\t", 1)
    fields = [field.strip() for field in fields]
    return (fields[0], fields[1]) if len(fields) > 1 else (fields[0], "")


def _ordered(names: set[str]) -> tuple[str, ...]:
    """Names of classes, numbers by their value: 2 before 10, as no sort of texts has it."""
    if len(names) > MAX_CLASSES:
        raise InvalidDataError(f"{len(names):,} classes, of {MAX_CLASSES:,} at most")
    if names and all(re.fullmatch(r"\d{1,9}", name) for name in names):
        return tuple(sorted(names, key=int))
    return tuple(sorted(names))


def _checked(
    images: Sequence[_Image], numbers: Mapping[str, int], left_out: dict[str, str]
) -> tuple[list[_Image], Facts, list[ImageShape]]:
    """Those that can be decoded, the facts of them, and their shapes, each of them once."""
    good: list[_Image] = []
    shapes: dict[ImageShape, None] = {}
    digest, num_bytes = hashlib.sha256(), 0
    counts = np.zeros(len(numbers), np.int64)
    with ThreadPoolExecutor(min(_WINDOW, os.cpu_count() or 1)) as pool:
        for start in range(0, len(images), _WINDOW):
            window = images[start : start + _WINDOW]
            for image, found in zip(window, pool.map(_examined, window), strict=True):
                if isinstance(found, str):
                    left_out[image.name] = found
                    continue
                shapes[found.shape] = None
                good.append(image)
                if image.label:
                    counts[numbers[image.label]] += 1
                    digest.update(numbers[image.label].to_bytes(4, "little"))
                digest.update(found.sha256)
                num_bytes += found.num_bytes
    facts = Facts(len(good), tuple(map(int, counts)), digest.hexdigest(), num_bytes)
    return good, facts, list(shapes)


def _size(shape: ImageShape) -> tuple[int, ImageShape]:
    """By which shapes of images are compared: pixels first."""
    return math.prod(shape[1:]), shape


class _Found(NamedTuple):
    """What a file holds."""

    shape: ImageShape
    num_bytes: int
    sha256: bytes


def _examined(image: _Image) -> _Found | str:
    """What a file holds, or why it cannot be read."""
    try:
        content = _content(image.file)
        shape = encoded_images.upright_shape(content)
        return _Found(shape, len(content), hashlib.sha256(content).digest())
    except InvalidDataError as error:
        return str(error)


def _content(file: Path) -> bytes:
    try:
        status = file.stat()
        if not stat.S_ISREG(status.st_mode):
            raise InvalidDataError("it is no regular file")
        if status.st_size > MAX_FILE_BYTES:
            raise InvalidDataError(f"it has more than {MAX_FILE_BYTES:,} bytes")
        return file.read_bytes()
    except OSError as error:
        raise InvalidDataError(f"it cannot be read: {error.strerror or error}") from None


def _read(
    images: Sequence[_Image],
    numbers: Mapping[str, int],
    shorter_side: int | None,
    shape: ImageShape,
) -> Iterator[Block]:
    """Blocks of decoded images, brought to H x W of a shape."""
    check_shorter_side(shorter_side, shape)
    rows = block_rows(shape, "uint8")
    for start in range(0, len(images), rows):
        part = images[start : start + rows]
        pixels = []
        for image in part:
            try:
                pixels.append(decoded(_content(image.file), shape, shorter_side))
            except InvalidDataError as error:
                raise InvalidDataError(f"{image.file}: {error}") from None
        labels = None
        if numbers:
            labels = np.array([numbers[image.label] for image in part], np.int64)
        yield Block(np.stack(pixels), labels)
