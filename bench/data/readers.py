"""Which reader a name or a path is for: found out by what lies there."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from bench.data import (
    cifar_binary,
    cifar_files,
    cifar_pickles,
    image_folder,
    image_table,
    make_photo10,
    numpy_files,
    synthetic,
)
from bench.data.cifar_files import CIFAR10, IMAGE_SHAPE, Layout
from bench.data.preparation import Preparation
from bench.data.source import Block, ImageShape, NamedInput, Source, scan
from columnar_nn.errors import InvalidDataError, UsageError

PHOTO10 = Path(__file__).parent / "photo10"
SYNTHETIC_ROWS = 10_000
"""Rows of the synthetic set when no number is asked for."""


def open_source(
    spec: str, samples: int | None, split: str, preparation: Preparation
) -> tuple[str, Source]:
    """The name of a set and its images, read once; see `open_dataset`."""
    cifar_files.check_split(split)
    if spec in ("synthetic", "photo10"):
        _only_for_files(spec, preparation)
        return spec, _synthetic(samples) if spec == "synthetic" else _photo10(split)
    path = Path(spec)
    return path.name or path.resolve().name, _at(path, split, preparation)


def open_inputs(
    spec: str,
    samples: int | None,
    split: str,
    preparation: Preparation,
    inputs: Sequence[NamedInput],
) -> tuple[str, list[Source]]:
    """The name of a set and what it gives each of several inputs; see `dataset_for`."""
    cifar_files.check_split(split)
    path = Path(spec)
    if spec == "synthetic":
        _only_for_files(spec, preparation)
        return spec, [_noise(samples, wanted, place) for place, wanted in enumerate(inputs)]
    if path.suffix == ".npz":
        _only_for_files(spec, preparation)
        return path.name, [numpy_files.open_arrays(path, split, wanted) for wanted in inputs]
    if path.suffix in image_table.SUFFIXES or (path.is_dir() and image_table.files_in(path)):
        _only_for_files(spec, preparation, or_scaled=True)
        side = preparation.shorter_side
        return path.name, [image_table.open_table(path, split, side, wanted) for wanted in inputs]
    raise InvalidDataError(
        f"{spec} gives one input, and the network takes {', '.join(inputs[0].names)}: give .npz "
        "with arrays, or Parquet or Arrow files with columns, of these names, or --data synthetic"
    )


def is_images(spec: str) -> bool:
    """Whether `open_source` takes it for images, and no table of anything else."""
    if spec in ("synthetic", "photo10"):
        return True
    path = Path(spec)
    if cifar_files.layout_of(path) or path.suffix in numpy_files.SUFFIXES:
        return True
    return path.is_dir() and image_folder.holds_images(path)


def _at(path: Path, split: str, preparation: Preparation) -> Source:
    """Whatever lies at a path."""
    layout = cifar_files.layout_of(path)
    if layout is None and path.is_dir() and image_folder.holds_images(path):
        return image_folder.open_folder(path, split, preparation.labels, preparation.shorter_side)
    is_table = path.suffix in image_table.SUFFIXES
    if layout is None and (is_table or (path.is_dir() and image_table.files_in(path))):
        _only_for_files(str(path), preparation, or_scaled=True)
        return image_table.open_table(path, split, preparation.shorter_side)
    _only_for_files(str(path), preparation)
    if path.suffix in numpy_files.SUFFIXES:
        return numpy_files.open_arrays(path, split)
    if layout is None and not (path.exists() and cifar_files.is_archive(path)):
        wrong = f"no {CIFAR10.files[split][0]} or other images that are read"
        raise InvalidDataError(
            f"{path}: {wrong if path.exists() else 'no such file or folder'}: give a folder of "
            "PNG or JPEG files, CIFAR-10 or CIFAR-100 as a folder, .bin or .tar.gz, .npy, .npz, or "
            f"{', '.join(image_table.SUFFIXES)}"
        )
    return _cifar(path, split, layout or CIFAR10)


def _cifar(path: Path, split: str, layout: Layout) -> Source:
    reader = cifar_pickles if layout.pickled else cifar_binary
    source = _arrays(
        layout.title,
        reader.class_names(path, layout),
        partial(reader.read_blocks, path, split, layout),
    )
    whole = path.is_dir() or cifar_files.is_archive(path)
    return replace(source, split=split) if whole else source


def _photo10(split: str) -> Source:
    records: Callable[[], Iterator[object]]
    if split == "train":
        records = partial(make_photo10.records, split)
    else:
        records = partial(cifar_binary.read_records, PHOTO10)
    found = _of_records("embedded", cifar_binary.class_names(PHOTO10), records)
    return replace(found, split=split)


def _synthetic(samples: int | None) -> Source:
    num_rows = _synthetic_rows(samples)
    made = _of_records("made", synthetic.CLASSES, partial(synthetic.records, num_rows))

    def read(shape: ImageShape) -> Iterator[Block]:
        if len(shape) == len(IMAGE_SHAPE):
            return made.read(shape)
        return itertools.starmap(Block, synthetic.noise(num_rows, shape))

    return replace(made, read=read, generated=True)


def _noise(samples: int | None, wanted: NamedInput, stream: int) -> Source:
    """A stream of noise for one of several inputs, images too."""
    num_rows, classes = _synthetic_rows(samples), len(synthetic.CLASSES)

    def read(shape: ImageShape) -> Iterator[Block]:
        return itertools.starmap(Block, synthetic.noise(num_rows, shape, stream))

    facts = scan(classes, read(wanted.shape))
    return Source("made", synthetic.CLASSES, facts, wanted.shape, "uint8", read, generated=True)


def _synthetic_rows(samples: int | None) -> int:
    num_rows = SYNTHETIC_ROWS if samples is None else samples
    if num_rows < 1:
        raise UsageError(f"{num_rows} samples: give at least 1")
    return num_rows


def _of_records(kind: str, classes: tuple[str, ...], records: Callable) -> Source:
    return _arrays(kind, classes, lambda: map(cifar_binary.as_block, records()))


def _arrays(kind: str, classes: tuple[str, ...], blocks: Callable[[], Iterator[Block]]) -> Source:
    """A set of CIFAR's images, which are given as they are stored."""

    def read(_: ImageShape) -> Iterator[Block]:
        return blocks()

    return Source(kind, classes, scan(len(classes), blocks()), IMAGE_SHAPE, "uint8", read)


def _only_for_files(spec: str, preparation: Preparation, or_scaled: bool = False) -> None:
    """Raises UsageError for what is said of images in files, where there are none."""
    if preparation.labels is not None:
        raise UsageError(f"--labels: {spec} has its own labels; only folders of images take a file")
    if preparation.shorter_side is not None and not or_scaled:
        raise UsageError(f"--resize: {spec} has no images in files: they are taken as they are")
