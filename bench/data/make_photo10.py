"""photo10: which of ten photographs is a patch from? Made from files in two packages.

Each photograph is cut into a grid of square blocks, five along its shorter side. A quarter of the
blocks, chosen at random, is for the test set and the others for the training set. A patch is a
random square inside one block, so that no pixel is in both sets, reduced to 32x32 by averaging
areas, and mirrored half of the time. Everything is drawn from one seed and computed in integers:
the same packages give the same bytes on every machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from bench.data.cifar_binary import BLOCK_RECORDS, RECORD_BYTES
from bench.data.cifar_files import CIFAR10
from bench.files.output import OutputFile
from columnar_nn.errors import InvalidDataError, MissingPackageError, UsageError

SEED = 10
NUM_RECORDS = {"test": 1_000, "train": 20_000}
SIDE = 32
BLOCKS_ON_SHORT_SIDE = 5
TEST_SHARE = 0.25
SMALLEST_PATCH = 0.6
"""Smallest side of a patch, as a share of its block's."""

MIN_CONTRAST = 4.0
"""Least standard deviation of a patch's values: a black corner could be from any photograph."""


@dataclass(frozen=True)
class Photograph:
    """A file of an installed package, and what it must contain."""

    name: str
    package: str
    file: str
    sha256: str


PHOTOGRAPHS = (
    Photograph(
        "astronaut",
        "skimage",
        "data/astronaut.png",
        "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
    ),
    Photograph(
        "chelsea",
        "skimage",
        "data/chelsea.png",
        "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb",
    ),
    Photograph(
        "coffee",
        "skimage",
        "data/coffee.png",
        "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7",
    ),
    Photograph(
        "hubble_deep_field",
        "skimage",
        "data/hubble_deep_field.jpg",
        "3a19c5dd8a927a9334bb1229a6d63711b1c0c767fb27e2286e7c84a3e2c2f5f4",
    ),
    Photograph(
        "immunohistochemistry",
        "skimage",
        "data/ihc.png",
        "f8dd1aa387ddd1f49d8ad13b50921b237df8e9b262606d258770687b0ef93cef",
    ),
    Photograph(
        "motorcycle",
        "skimage",
        "data/motorcycle_left.png",
        "db18e9c4157617403c3537a6ba355dfeafe9a7eabb6b9b94cb33f6525dd49179",
    ),
    Photograph(
        "retina",
        "skimage",
        "data/retina.jpg",
        "38a07f36f27f095e818aea7b96d34202c05176d30253c66733f2e00379e9e0e6",
    ),
    Photograph(
        "rocket",
        "skimage",
        "data/rocket.jpg",
        "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c",
    ),
    Photograph(
        "china",
        "sklearn",
        "datasets/images/china.jpg",
        "8378025ad2519d649d02e32bd98990db4ab572357d9f09841c2fbfbb4fefad29",
    ),
    Photograph(
        "flower",
        "sklearn",
        "datasets/images/flower.jpg",
        "a77f6ec41e353afdf8bdff2ea981b2955535d8d83294f8cfa49cf4e423dd5638",
    ),
)
_DISTRIBUTIONS = {"skimage": "scikit-image", "sklearn": "scikit-learn"}


def make(folder: str | Path) -> None:
    """Writes photo10 into `folder`, laid out as CIFAR-10 is: six .bin files and class names.

    Raises MissingPackageError without the photographs' packages, InvalidDataError if a photograph
    is not the expected one, UsageError if the folder cannot be written.
    """
    photographs = [load(photograph) for photograph in PHOTOGRAPHS]
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        names = "".join(f"{photograph.name}\n" for photograph in PHOTOGRAPHS)
        OutputFile(str(folder / CIFAR10.names_file)).write(names.encode())
        for split, files in CIFAR10.files.items():
            records = np.concatenate(list(_draw(photographs, split)))
            for file, part in zip(files, np.split(records, len(files)), strict=True):
                OutputFile(str(folder / file)).write(part.tobytes())
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error.strerror}") from None


def records(split: str) -> Iterator[np.ndarray]:
    """Blocks of records of a split, uint8 [n, 3073]; the same as in the files of `make`.

    Raises MissingPackageError and InvalidDataError as `make` does.
    """
    return _draw([load(photograph) for photograph in PHOTOGRAPHS], split)


def load(photograph: Photograph) -> np.ndarray:
    """Pixels of a photograph, uint8 [height, width, 3]."""
    package = find_spec(photograph.package)
    if package is None or package.origin is None:
        name = _DISTRIBUTIONS.get(photograph.package, photograph.package)
        raise MissingPackageError(name, "data")
    from PIL import Image

    file = Path(package.origin).parent / photograph.file
    if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != photograph.sha256:
        raise InvalidDataError(
            f"{file}: missing, or another picture than expected; install the release of "
            f"{_DISTRIBUTIONS[photograph.package]} that constraints.txt names"
        )
    with Image.open(file) as image:
        return np.asarray(image.convert("RGB"))


def _draw(photographs: list[np.ndarray], split: str) -> Iterator[np.ndarray]:
    """Blocks of records: as many patches of each photograph, in random order."""
    regions = [
        list(map(_integral, _regions(pixels, np.random.default_rng((SEED, label)))[split]))
        for label, pixels in enumerate(photographs)
    ]
    random = np.random.default_rng((SEED, len(photographs) + list(CIFAR10.files).index(split)))
    labels = random.permutation(np.arange(NUM_RECORDS[split]) % len(photographs))
    for start in range(0, len(labels), BLOCK_RECORDS):
        block = np.empty((min(BLOCK_RECORDS, len(labels) - start), RECORD_BYTES), np.uint8)
        for record, label in zip(block, labels[start:], strict=False):
            record[0] = label
            record[1:] = _patch(regions[label], random).transpose(2, 0, 1).reshape(-1)
        yield block


def _regions(pixels: np.ndarray, random: np.random.Generator) -> dict[str, list[np.ndarray]]:
    """The blocks of a photograph that belong to each split, as views of its pixels."""
    side = min(pixels.shape[:2]) // BLOCKS_ON_SHORT_SIDE
    blocks = [
        pixels[top : top + side, left : left + side]
        for top in range(0, pixels.shape[0] - side + 1, side)
        for left in range(0, pixels.shape[1] - side + 1, side)
    ]
    order = random.permutation(len(blocks))
    num_test = round(TEST_SHARE * len(blocks))
    return {
        "test": [blocks[index] for index in order[:num_test]],
        "train": [blocks[index] for index in order[num_test:]],
    }


def _integral(block: np.ndarray) -> np.ndarray:
    """Sums of all pixels above and to the left of each corner, int64 [side + 1, side + 1, 3].

    A summed-area table (Crow, 1984): adding up each patch's own pixels takes ten times as long.
    """
    sums = np.zeros((block.shape[0] + 1, block.shape[1] + 1, block.shape[2]), np.int64)
    block.cumsum(0, dtype=np.int64).cumsum(1, out=sums[1:, 1:])
    return sums


def _patch(blocks: list[np.ndarray], random: np.random.Generator) -> np.ndarray:
    """A random patch of some contrast, uint8 [32, 32, 3], of the blocks' integrals."""
    while True:
        block = blocks[random.integers(len(blocks))]
        longest = len(block) - 1
        side = int(random.integers(round(SMALLEST_PATCH * longest), longest + 1))
        top, left = random.integers(longest - side + 1, size=2)
        patch = _reduce(block[top : top + side + 1, left : left + side + 1])
        mirrored = random.integers(2)
        if patch.std() >= MIN_CONTRAST:
            return patch[:, ::-1] if mirrored else patch


def _reduce(integral: np.ndarray) -> np.ndarray:
    """A square of at least 32 pixels a side averaged to 32, halves rounded up, exactly."""
    side = len(integral) - 1
    # Target pixels end at source pixel `whole`, and `part` 32nds of the next.
    whole, part = np.divmod(np.arange(SIDE + 1) * side, SIDE)
    following = np.minimum(whole + 1, side)
    rest, part = (SIDE - part)[:, np.newaxis], part[:, np.newaxis]
    rows = integral[whole] * rest[..., np.newaxis] + integral[following] * part[..., np.newaxis]
    corners = rows[:, whole] * rest + rows[:, following] * part
    sums = np.diff(np.diff(corners, axis=0), axis=1)
    area = side * side
    means: np.ndarray = (2 * sums + area) // (2 * area)
    return means.astype(np.uint8)
