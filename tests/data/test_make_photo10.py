"""photo10 as its script makes it: the shipped file, disjoint splits, exact averages."""

import importlib.util
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from bench.data import cifar_binary, make_photo10
from bench.data.dataset import open_dataset
from bench.data.readers import PHOTO10
from columnar_nn.errors import InvalidDataError, MissingPackageError, UsageError

TRAINING_SHA256 = "fefd2d67797fd70eafb9c57d93cc497318c29a0d977f3444b32fee204e5b0802"

with_photographs = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("skimage", "sklearn", "PIL")),
    reason="needs the data extra: scikit-image and scikit-learn",
)


@with_photographs
def test_the_script_makes_the_shipped_test_set_and_a_training_set(tmp_path: Path) -> None:
    before = time.process_time()
    make_photo10.make(tmp_path / "made")
    assert time.process_time() - before < 20, "summing up each patch's pixels takes longer"
    for name in ("test_batch.bin", "batches.meta.txt"):
        assert (tmp_path / "made" / name).read_bytes() == (PHOTO10 / name).read_bytes()
    made = open_dataset(str(tmp_path / "made"), split="train")
    assert made.label_counts == (2000,) * 10
    assert made.fingerprint == TRAINING_SHA256
    first = next(make_photo10.records("train")).tobytes()
    file = (tmp_path / "made" / "data_batch_1.bin").read_bytes()
    assert file.startswith(first), "the same without files"


@with_photographs
def test_splits_share_no_pixel_of_a_photograph() -> None:
    for photograph in make_photo10.PHOTOGRAPHS:
        pixels = make_photo10.load(photograph)
        places = np.arange(pixels.shape[0] * pixels.shape[1]).reshape(*pixels.shape[:2], 1)
        regions = make_photo10._regions(places, np.random.default_rng(0))
        test, train = (
            np.concatenate([block.reshape(-1) for block in regions[split]])
            for split in ("test", "train")
        )
        assert len(np.intersect1d(test, train)) == 0
        assert 0.2 < len(test) / (len(test) + len(train)) < 0.3
        assert len(test) + len(train) > 0.7 * places.size


@with_photographs
def test_every_patch_has_some_contrast() -> None:
    for block in cifar_binary.read_records(PHOTO10):
        assert block[:, 1:].std(axis=1).min() >= make_photo10.MIN_CONTRAST


@pytest.mark.parametrize("side", [32, 33, 45, 64])
def test_reduction_is_the_exact_average_of_areas(side: int) -> None:
    square = np.random.default_rng(side).integers(0, 256, (side, side, 3), dtype=np.uint8)
    reduced = make_photo10._reduce(make_photo10._integral(square))
    assert reduced.shape == (32, 32, 3)
    scale = Fraction(side, 32)

    def average(row: int, column: int, channel: int) -> Fraction:
        total = Fraction(0)
        for y in range(side):
            height = min((row + 1) * scale, Fraction(y + 1)) - max(row * scale, Fraction(y))
            for x in range(side) if height > 0 else ():
                width = min((column + 1) * scale, Fraction(x + 1)) - max(
                    column * scale, Fraction(x)
                )
                if width > 0:
                    total += height * width * int(square[y, x, channel])
        return total / scale**2

    for row, column, channel in [(0, 0, 0), (31, 31, 2), (7, 20, 1), (16, 3, 2)]:
        exact = average(row, column, channel)
        assert reduced[row, column, channel] == (exact + Fraction(1, 2)).__floor__()


@with_photographs
def test_another_picture_under_the_same_name_is_refused() -> None:
    wrong = replace(make_photo10.PHOTOGRAPHS[0], file=make_photo10.PHOTOGRAPHS[1].file)
    with pytest.raises(InvalidDataError, match=r"chelsea\.png: .* another picture"):
        make_photo10.load(wrong)


def test_a_missing_package_is_named_with_its_extra() -> None:
    absent = make_photo10.Photograph("x", "no_such_package", "x.png", "")
    with pytest.raises(MissingPackageError, match=r"no_such_package is not installed: .*\[data\]"):
        make_photo10.load(absent)


@with_photographs
def test_a_folder_that_cannot_be_made_is_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UsageError, match="cannot write to"):
        make_photo10.make(tmp_path / "file" / "folder")
