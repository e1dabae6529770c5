"""Images in files of their own and in columns, against Pillow and NumPy."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image, ImageOps
from pyarrow import parquet

from bench.data.dataset import Dataset, open_dataset
from bench.data.preparation import Preparation
from columnar_nn.data import encoded_images, tensor_column
from columnar_nn.errors import InvalidDataError, UsageError
from columnar_nn.model.graph import Graph, TensorSpec

RANDOM = np.random.default_rng(0)


def picture(height: int, width: int, mode: str = "RGB") -> Image.Image:
    """Some smooth colours and noise."""
    channels = len(Image.new(mode, (1, 1)).getbands())
    pixels = RANDOM.integers(0, 256, (height, width, channels), dtype=np.uint8)
    pixels[: height // 2] //= 3
    return Image.fromarray(pixels.squeeze(-1) if channels == 1 else pixels, mode=None)


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def network(*shape: int) -> Graph:
    return Graph("some_network", (), (TensorSpec("input", (None, *shape)),), (), {})


def held(dataset: Dataset) -> tuple[list[int | None], np.ndarray]:
    (batch,) = dataset.batches(dataset.num_rows, dataset.num_rows)
    batch.validate(full=True)
    assert batch.schema == dataset.schema
    return batch.column("label").to_pylist(), tensor_column.to_numpy(batch.column("image"))


def planar(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB")).transpose(2, 0, 1)


PICTURES = [picture(8, 8) for _ in range(5)]
FILES = {
    "dog/b.png": encoded(PICTURES[0]),
    "cat/a.png": encoded(PICTURES[1]),
    "cat/deeper/c.PNG": encoded(PICTURES[2]),
    "ant/x.png": encoded(PICTURES[3]),
    "dog/a.png": encoded(PICTURES[4]),
}
IN_ORDER = [PICTURES[n] for n in (3, 1, 2, 4, 0)]


def test_the_class_is_the_folder(tmp_path: Path) -> None:
    folder = write(tmp_path / "pets", {**FILES, "readme.txt": b"", ".hidden.png": b"x"})
    dataset = open_dataset(str(folder))
    assert dataset.name == "pets at 3x8x8 (scaled to cover it, bilinear, centre cropped)"
    assert dataset.kind == "folders of images, a class each"
    assert dataset.classes == ("ant", "cat", "dog")
    assert dataset.label_counts == (1, 2, 2)
    labels, images = held(dataset)
    assert labels == [0, 1, 1, 2, 2]
    assert np.array_equal(images, [planar(image) for image in IN_ORDER])
    assert not dataset.left_out


def test_classes_that_are_numbers_are_in_their_order(tmp_path: Path) -> None:
    folder = write(tmp_path, {f"{n}/a.png": FILES["cat/a.png"] for n in (10, 9, 2, 0)})
    assert open_dataset(str(folder)).classes == ("0", "2", "9", "10")


@pytest.mark.parametrize(
    ("split", "inner"), [("test", "test"), ("test", "val"), ("train", "train")]
)
def test_folders_of_splits(split: str, inner: str, tmp_path: Path) -> None:
    write(tmp_path / inner, FILES)
    write(tmp_path / ("train" if split == "test" else "val"), {"other/a.png": FILES["ant/x.png"]})
    dataset = open_dataset(str(tmp_path), split=split)
    assert dataset.classes == ("ant", "cat", "dog")
    assert dataset.kind.endswith(f", in {inner}")


TABLES = {
    "labels.csv": "filename,label\na.png,red\nb.png,blue\ndeeper/c.png,red\n",
    "labels.txt": "a.png red\nb.png\tblue\n\ndeeper/c.png   red\n",
    "other.csv": '\ufeff"a.png","red"\n"./b.png","blue"\nc.png,red\n',
}


def test_images_of_the_other_split_alone_are_no_class(tmp_path: Path) -> None:
    folder = write(tmp_path, {f"train/{name}": FILES[name] for name in ("cat/a.png", "dog/b.png")})
    with pytest.raises(InvalidDataError, match=r"no folder test.*in train: give --split train"):
        open_dataset(str(folder))
    write(folder, {"boat/c.png": FILES["cat/a.png"]})  # now train is a class, of vehicles
    assert open_dataset(str(folder)).classes == ("boat", "train")


def test_linked_folders_are_named(tmp_path: Path) -> None:
    folder = write(tmp_path / "photos", {"cat/a.png": FILES["cat/a.png"]})
    (folder / "dog").symlink_to(write(tmp_path, {"elsewhere/b.png": FILES["cat/a.png"]}))
    (folder / "cat" / "up").symlink_to(folder)
    dataset = open_dataset(str(folder))
    assert dataset.classes == ("cat",)
    assert set(dataset.left_out) == {"cat/up", "dog"}
    assert "link to a folder" in dataset.left_out["dog"]


@pytest.mark.parametrize("name", TABLES)
def test_a_file_of_labels(name: str, tmp_path: Path) -> None:
    names = ("a.png", "b.png", "deeper/c.png")
    content = [FILES[file] for file in ("cat/a.png", "dog/b.png", "ant/x.png")]
    folder = write(tmp_path / "images", dict(zip(names, content, strict=True)))
    table = (tmp_path if name == "other.csv" else folder) / name
    table.write_text(TABLES[name])
    given = Preparation(labels=table if name == "other.csv" else None)
    dataset = open_dataset(str(folder), preparation=given)
    assert dataset.classes == ("blue", "red")
    assert held(dataset)[0] == [1, 0, 1]
    assert not dataset.left_out


def test_files_and_lines_without_each_other_are_named(tmp_path: Path) -> None:
    folder = write(tmp_path, {name.replace("/", "_"): file for name, file in FILES.items()})
    (folder / "labels.csv").write_text("cat_a.png,1\ndog_b.png,0\nlost.png,1\n")
    dataset = open_dataset(str(folder))
    assert dataset.num_rows == 2
    assert sorted(dataset.left_out) == ["ant_x.png", "cat_deeper_c.PNG", "dog_a.png", "lost.png"]
    assert "no label" in dataset.left_out["ant_x.png"]
    assert "no such file" in dataset.left_out["lost.png"]


@pytest.mark.parametrize("content", ["a.png\n", "\x00\n", "a.png,\n", '"a.png\n'])
def test_a_file_of_labels_that_is_none_is_one_line(content: str, tmp_path: Path) -> None:
    write(tmp_path, {"a.png": FILES["cat/a.png"]})
    (tmp_path / "labels.csv").write_text(content)
    with pytest.raises(InvalidDataError, match="line 1 is not a file's name and its label"):
        open_dataset(str(tmp_path))


def test_two_labels_of_a_file_are_one_line(tmp_path: Path) -> None:
    write(tmp_path, {"a.png": FILES["cat/a.png"]})
    (tmp_path / "labels.csv").write_text("a.png,cat\n./a.png,dog\n")
    with pytest.raises(InvalidDataError, match=r"line 2 has another label of a\.png"):
        open_dataset(str(tmp_path))


def test_images_in_no_folder_have_no_labels(tmp_path: Path) -> None:
    dataset = open_dataset(str(write(tmp_path, {"a.png": FILES["cat/a.png"]})))
    assert dataset.kind == "images without labels"
    assert (dataset.classes, dataset.label_counts) == ((), ())
    assert held(dataset)[0] == [None]


def test_broken_files_are_left_out_and_named(tmp_path: Path) -> None:
    photograph = encoded(picture(40, 40), "JPEG")
    broken = {
        "cat/cut.jpg": photograph[:500],
        "cat/cut.png": FILES["cat/a.png"][:60],
        "cat/empty.png": b"",
        "cat/text.png": b"some text",
        "dog/deep.png": encoded(Image.fromarray(np.zeros((4, 4), np.uint16))),
        "stray.png": FILES["cat/a.png"],
    }
    folder = write(tmp_path, {**FILES, **broken})
    os.mkfifo(folder / "cat" / "pipe.png")
    dataset = open_dataset(str(folder))
    assert dataset.num_rows == 5
    assert sorted(dataset.left_out) == sorted([*broken, "cat/pipe.png"])
    assert all("\n" not in reason for reason in dataset.left_out.values())
    assert "neither PNG nor JPEG" in dataset.left_out["cat/text.png"]
    assert "more than 8 bits" in dataset.left_out["dog/deep.png"]
    assert np.array_equal(held(dataset)[1], [planar(image) for image in IN_ORDER])


def test_only_broken_files_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(InvalidDataError, match=r"no image can be read: a/x\.png"):
        open_dataset(str(write(tmp_path, {"a/x.png": b"some"})))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photographs_are_turned_as_their_exif_says(orientation: int) -> None:
    image = picture(6, 4)
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(image, "JPEG", exif=exif, quality=100)
    expected = planar(ImageOps.exif_transpose(Image.open(io.BytesIO(content))))
    shape = encoded_images.upright_shape(content)
    assert shape == expected.shape
    assert np.array_equal(encoded_images.decode(content, shape), expected)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "L", "P", "1", "CMYK"])
def test_alpha_grey_and_palettes(mode: str, tmp_path: Path) -> None:
    image = picture(8, 8).convert(mode)
    kind = "JPEG" if mode == "CMYK" else "PNG"
    content = encoded(image, kind)
    dataset = open_dataset(str(write(tmp_path, {f"a/x.{kind.lower()}": content})))
    expected = planar(Image.open(io.BytesIO(content)))
    channels = 1 if mode in ("LA", "L", "1") else 3
    assert dataset.image_shape == (channels, 8, 8)
    assert np.array_equal(held(dataset)[1][0], expected[:channels])
    fitted = dataset.fitted_to(network(3, 8, 8))
    assert np.array_equal(held(fitted)[1][0], expected)


def cropped(image: Image.Image, side: int, height: int, width: int) -> np.ndarray:
    """Resize and CenterCrop as torchvision has them, said with Pillow."""
    short = min(image.size)
    size = [int(side * old / short) for old in image.size]
    large = image.resize(size, Image.Resampling.BILINEAR)
    left, top = round((size[0] - width) / 2), round((size[1] - height) / 2)
    return planar(large.crop((left, top, left + width, top + height)))


@pytest.mark.parametrize("size", [(50, 30), (30, 50), (9, 100), (20, 20)])
@pytest.mark.parametrize("side", [18, 32])
def test_scaled_and_cropped_as_torchvision_does(
    size: tuple[int, int], side: int, tmp_path: Path
) -> None:
    image = picture(*size)
    folder = write(tmp_path / "some", {"a/x.png": encoded(image)})
    given = Preparation(shorter_side=side)
    dataset = open_dataset(str(folder), preparation=given).fitted_to(network(3, 16, 12))
    assert dataset.name == (f"some at 3x16x12 (shorter side {side}, bilinear, centre cropped)")
    assert np.array_equal(held(dataset)[1][0], cropped(image, side, 16, 12))


@pytest.mark.parametrize("size", [(50, 30), (30, 50), (16, 12), (7, 3)])
def test_without_a_side_it_is_as_little_as_covers(size: tuple[int, int], tmp_path: Path) -> None:
    plain = Image.new("RGB", size[::-1], (9, 8, 7))
    dataset = open_dataset(str(write(tmp_path, {"a/x.png": encoded(plain)})))
    images = held(dataset.fitted_to(network(3, 16, 12)))[1]
    assert images.shape == (1, 3, 16, 12)
    assert np.array_equal(images[0, :, 3, 3], (9, 8, 7))
    if size == (16, 12):
        assert np.array_equal(images[0], planar(plain))


def test_a_side_below_the_network_s_is_wrong_usage(tmp_path: Path) -> None:
    folder = write(tmp_path, FILES)
    dataset = open_dataset(str(folder), preparation=Preparation(shorter_side=8))
    with pytest.raises(UsageError, match="--resize 8: the network takes 16; give no less"):
        list(dataset.fitted_to(network(3, 16, 16)).batches(1, 1))


@pytest.mark.parametrize("shape", [(1, 8, 8), (8, 8, 3), (5, 8, 8)])
def test_other_channels(shape: tuple[int, int, int], tmp_path: Path) -> None:
    dataset = open_dataset(str(write(tmp_path, FILES))).fitted_to(network(*shape))
    images = held(dataset)[1]
    image = IN_ORDER[0]
    expected = {
        (1, 8, 8): np.asarray(image.convert("L"))[np.newaxis],
        (8, 8, 3): np.asarray(image),
        (5, 8, 8): planar(image)[[0, 1, 2, 0, 1]],
    }[shape]
    assert np.array_equal(images[0], expected)


def test_the_fingerprint_is_of_files_labels_and_preparation(tmp_path: Path) -> None:
    made = [
        open_dataset(str(write(tmp_path / "a", FILES))),
        open_dataset(str(tmp_path / "a"), preparation=Preparation(shorter_side=9)),
        open_dataset(str(write(tmp_path / "b", {**FILES, "dog/a.png": FILES["dog/b.png"]}))),
        open_dataset(str(write(tmp_path / "c", {**FILES, "cow/z.png": FILES["dog/b.png"]}))),
    ]
    assert len({dataset.fingerprint for dataset in made}) == 4
    assert open_dataset(str(tmp_path / "a")).fingerprint == made[0].fingerprint


TENSORS = RANDOM.integers(0, 256, (5, 3, 8, 8), dtype=np.uint8)


def tensors(array: np.ndarray) -> pa.Array:
    return tensor_column.from_numpy(np.ascontiguousarray(array))


IMAGE_COLUMNS: dict[str, Callable[[], Any]] = {
    "tensors": lambda: tensors(TENSORS),
    "channels last": lambda: tensors(TENSORS.transpose(0, 2, 3, 1)),
    "files": lambda: pa.array([encoded(Image.fromarray(t.transpose(1, 2, 0))) for t in TENSORS]),
    "Hugging Face": lambda: pa.array(
        [{"bytes": encoded(Image.fromarray(t.transpose(1, 2, 0))), "path": "x"} for t in TENSORS]
    ),
}


@pytest.mark.parametrize("kind", IMAGE_COLUMNS)
@pytest.mark.parametrize("form", ["parquet", "arrow"])
def test_columns_of_images(kind: str, form: str, tmp_path: Path) -> None:
    table = pa.table({"image": IMAGE_COLUMNS[kind](), "label": [1, 0, 2, 1, 1]})
    path = tmp_path / f"some.{form}"
    if form == "parquet":
        parquet.write_table(table, path, row_group_size=2)
    else:
        with pa.ipc.new_file(str(path), table.schema) as writer:
            writer.write_table(table)
    dataset = open_dataset(str(path))
    assert dataset.kind == "images in columns"
    assert dataset.label_counts == (1, 3, 1)
    labels, images = held(dataset)
    assert labels == [1, 0, 2, 1, 1]
    assert np.array_equal(images, TENSORS)


def test_labels_that_are_texts_and_rows_without(tmp_path: Path) -> None:
    files = IMAGE_COLUMNS["files"]().to_pylist()
    table = pa.table({"pixels": [*files[:3], None, b"none"], "class": ["b", "a", None, "b", "b"]})
    parquet.write_table(table, tmp_path / "some.parquet")
    dataset = open_dataset(str(tmp_path / "some.parquet"))
    assert dataset.classes == ("a", "b")
    assert held(dataset)[0] == [1, 0]
    assert sorted(dataset.left_out) == ["row 2", "row 3", "row 4"]


def test_names_of_hugging_face(tmp_path: Path) -> None:
    names = {"info": {"features": {"label": {"names": ["cat", "dog", "cow"]}}}}
    table = pa.table({"image": IMAGE_COLUMNS["files"](), "label": [0, 1, 0, 1, 1]})
    table = table.replace_schema_metadata({"huggingface": json.dumps(names)})
    folder = tmp_path / "data"
    folder.mkdir()
    parquet.write_table(table, folder / "test-00000-of-00001.parquet")
    parquet.write_table(table.slice(0, 2), folder / "train-00000-of-00001.parquet")
    test, train = (open_dataset(str(tmp_path), split=split) for split in ("test", "train"))
    assert test.classes == ("cat", "dog", "cow")
    assert (test.num_rows, train.num_rows) == (5, 2)


@pytest.mark.parametrize("labels", [[-1] * 5, pa.nulls(5), pa.nulls(5, pa.int64())])
def test_secret_labels_are_none(labels: Any, tmp_path: Path) -> None:
    parquet.write_table(
        pa.table({"image": IMAGE_COLUMNS["files"](), "label": labels}), tmp_path / "x.parquet"
    )
    assert open_dataset(str(tmp_path / "x.parquet")).classes == ()


@pytest.mark.parametrize("form", ["folder", "column"])
def test_of_an_image_that_is_too_long_to_be_scaled_the_centre_is(form: str, tmp_path: Path) -> None:
    """Scaled whole it would have a billion pixels."""
    long = picture(1, 20_000)
    files = [encoded(picture(6, 5)), encoded(long)]
    if form == "folder":
        path = write(tmp_path / "x", {"a.png": files[0], "b.png": files[1]})
    else:
        path = tmp_path / "x.parquet"
        parquet.write_table(pa.table({"image": files}), path)
    dataset = open_dataset(str(path)).fitted_to(network(3, 224, 224))
    _, pixels = held(dataset)
    places = (np.arange(224) - 112 + 0.5) / 224 + 10_000 - 0.5
    for channel in range(3):
        line = np.interp(places, np.arange(20_000), planar(long)[channel, 0])
        assert np.abs(pixels[1, channel].astype(np.float64) - line).max() <= 1


@pytest.mark.parametrize(
    ("columns", "cause"),
    [
        ({"a": [1, 2]}, "no column of images among a"),
        ({"image": [[1, 2]]}, "store tensors"),
        ({"image": [b"x"]}, "neither PNG nor JPEG"),
        ({"image": [FILES["cat/a.png"]], "label": [2**40]}, "is no number of a class"),
        ({"image": [FILES["cat/a.png"]], "label": [1.5]}, "labels are whole numbers or texts"),
        ({"image": [FILES["cat/a.png"]], "label": [[1]]}, "is list.*: labels are whole numbers"),
        ({"image": [FILES["cat/a.png"]][:0]}, "no column of images|has no rows|store tensors"),
        ({"image": pa.array([b""], pa.binary())[:0]}, "holds no image: it has no rows"),
        ({"image": tensors(TENSORS)[:0]}, "no image can be read: it has no rows"),
    ],
)
def test_other_columns_are_one_line(columns: dict[str, Any], cause: str, tmp_path: Path) -> None:
    parquet.write_table(pa.table(columns), tmp_path / "x.parquet")
    with pytest.raises(InvalidDataError, match=cause):
        open_dataset(str(tmp_path / "x.parquet"))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("layout", ["channels first", "channels last", "grey"])
@pytest.mark.parametrize("form", ["npy", "npz", "packed npz"])
def test_numpys_files(form: str, layout: str, dtype: Any, tmp_path: Path) -> None:
    images = RANDOM.integers(0, 256, (300, 3, 6, 5)).astype(dtype)
    stored = {
        "channels first": images,
        "channels last": images.transpose(0, 2, 3, 1).copy(),
        "grey": images[:, 0].copy(),
    }[layout]
    path = tmp_path / f"some.{form[-3:]}"
    labels = RANDOM.integers(0, 4, 300)
    if form == "npy":
        np.save(path, stored)
    else:
        save = np.savez_compressed if form == "packed npz" else np.savez
        save(path, images=stored, labels=labels[:, np.newaxis])
    dataset = open_dataset(str(path))
    found, pixels = held(dataset)
    assert np.array_equal(pixels, images[:, :1] if layout == "grey" else images)
    assert pixels.dtype == dtype
    assert found == ([None] * 300 if form == "npy" else labels.tolist())


@pytest.mark.parametrize("names", ["x_{} y_{}", "{}_images {}_labels"])
def test_arrays_of_splits(names: str, tmp_path: Path) -> None:
    arrays = {}
    for rows, split in ((5, "test"), (3, "train")):
        image, label = names.format(split, split).split()
        arrays |= {image: TENSORS[:rows], label: np.arange(rows)}
    np.savez(tmp_path / "x.npz", **arrays)
    for rows, split in ((5, "test"), (3, "train")):
        assert held(open_dataset(str(tmp_path / "x.npz"), split=split))[0] == list(range(rows))


def test_labels_beyond_a_byte(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", images=TENSORS, labels=np.array([999, 0, 1, 2, 256]))
    dataset = open_dataset(str(tmp_path / "x.npz"))
    assert len(dataset.classes) == 1000
    assert held(dataset)[0] == [999, 0, 1, 2, 256]


@pytest.mark.parametrize(
    ("arrays", "cause"),
    [
        ({"x": np.zeros((2, 3, 4, 4))}, "values of type <f8: save uint8 pixels"),
        ({"x": TENSORS, "y": np.eye(5, dtype=int)}, r"y.npy: .5, 5. of type <i8: labels are whole"),
        ({"x": TENSORS, "test_labels": np.array(list("abcde"))}, "type <U1: labels are whole"),
        ({"x": TENSORS, "z": TENSORS}, "2 arrays could be the images of the test split"),
        ({"x": np.arange(3)}, "0 arrays could be the images"),
        ({"x": np.asfortranarray(TENSORS)}, "Fortran's order"),
        ({"x": np.array([os.system], object)}, "0 arrays could be the images"),
        ({"x": TENSORS, "y": np.arange(4)}, "y.npy: 4 labels of 5 images"),
        ({"x": TENSORS, "y": np.array([-1, 0, 0, 0, 0])}, "label -1 is no number of a class"),
        ({"x": TENSORS, "y": np.array([2**62, 0, 0, 0, 0])}, "is no number of a class"),
    ],
)
def test_other_arrays_are_one_line(arrays: dict[str, Any], cause: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(InvalidDataError, match=cause):
        open_dataset(str(tmp_path / "x.npz"))
