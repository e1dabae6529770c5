"""Encoded images, and pixels of other types, as tensors within expressions."""

from __future__ import annotations

import io
import sys
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from kernels.guarded_memory import guarded_table
from PIL import Image

import columnar_nn
from columnar_nn.data import encoded_images, tensor_column
from columnar_nn.errors import InvalidDataError, InvalidPlanError

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 3, 32, 32), dtype=np.uint8)


def encoded(pixels: np.ndarray, kind: str = "PNG", mode: str = "RGB") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels.transpose(1, 2, 0)).convert(mode).save(stream, kind)
    return stream.getvalue()


def tensors(text: str, **columns: Any) -> np.ndarray:
    (chunk,) = columnar_nn.sql(text, t=pa.table(columns)).column(0).chunks
    return tensor_column.to_numpy(chunk)


SHAPE = "shape => array[3, 32, 32]"


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_png_is_exact(mode: str) -> None:
    found = tensors(
        f"select decode_image(x, {SHAPE}) from t", x=[encoded(p, "PNG", mode) for p in PIXELS]
    )
    assert np.array_equal(found, PIXELS)


def test_jpeg_is_what_pillow_decodes() -> None:
    files = [encoded(pixels, "JPEG") for pixels in PIXELS]
    expected = [np.asarray(Image.open(io.BytesIO(file))).transpose(2, 0, 1) for file in files]
    assert np.array_equal(tensors(f"select decode_image(x, {SHAPE}) from t", x=files), expected)


def test_one_channel_is_grey() -> None:
    found = encoded_images.decode(encoded(PIXELS[0]), (1, 32, 32))
    red, green, blue = PIXELS[0].astype(float)
    assert np.abs(found[0] - (0.299 * red + 0.587 * green + 0.114 * blue)).max() <= 1


def test_another_size_is_refused_unless_it_may_be_resized() -> None:
    plain = np.full((3, 8, 4), 77, np.uint8)
    column = [encoded(plain)]
    with pytest.raises(InvalidDataError, match="8 high and 4 wide, not 32 and 32: resize => true"):
        tensors(f"select decode_image(x, {SHAPE}) from t", x=column)
    found = tensors(f"select decode_image(x, {SHAPE}, resize => true) from t", x=column)
    assert np.array_equal(found, np.full((1, 3, 32, 32), 77))


def test_a_network_tells_the_shape() -> None:
    table = {"x": [encoded(pixels) for pixels in PIXELS], "y": tensor_column.from_numpy(PIXELS)}
    assert np.array_equal(
        tensors("select plain9(decode_image(x)) from t", **table),
        tensors("select plain9(y) from t", **table),
    )


@pytest.mark.skipif(sys.platform == "win32", reason="needs mmap and mprotect")
@pytest.mark.parametrize("at_end", [True, False], ids=["end", "start"])
def test_nothing_is_read_outside_a_column_of_images(at_end: bool) -> None:
    flat, size = PIXELS.reshape(len(PIXELS), -1), PIXELS[0].size
    columns = {
        "tensors": tensor_column.from_numpy(PIXELS),
        "floats": tensor_column.from_numpy(PIXELS / np.float32(255)),
        "fixed_lists": pa.array(list(flat), pa.list_(pa.uint8(), size)),
        "lists": pa.array(list(flat), pa.list_(pa.uint8())),
        "large_lists": pa.array(list(flat), pa.large_list(pa.uint8())),
        "bytes": pa.array([row.tobytes() for row in flat], pa.binary()),
        "large_bytes": pa.array([row.tobytes() for row in flat], pa.large_binary()),
    }
    table = guarded_table(pa.table(columns), at_end)
    expected = tensors("select plain9(x) from t", x=tensor_column.from_numpy(PIXELS))
    for first, count in ((0, len(PIXELS)), (2, 3), (len(PIXELS) - 1, 1)):
        part = table.slice(first, count)
        for name in columns:
            found = tensors("select plain9(x) from t", x=part.column(name))
            assert np.allclose(found, expected[first : first + count], rtol=1e-5, atol=1e-4), name


def test_nulls_stay_and_try_makes_them() -> None:
    table = pa.table({"x": [encoded(PIXELS[0]), None, b"no image"]})
    found = columnar_nn.sql(f"select try(decode_image(x, {SHAPE})) as y from t", t=table)
    assert found.column("y").is_null().to_pylist() == [False, True, True]
    with pytest.raises(InvalidDataError, match=r"decode_image: .* neither PNG nor JPEG"):
        columnar_nn.sql(f"select decode_image(x, {SHAPE}) as y from t", t=table)


def test_bytes_with_nulls_become_tensors() -> None:
    table = pa.table({"x": [PIXELS[0].tobytes(), None, PIXELS[2].tobytes()]})
    found = columnar_nn.sql(f"select to_tensor(x, {SHAPE}) as y from t", t=table).column("y")
    assert found.is_null().to_pylist() == [False, True, False]
    kept = columnar_nn.sql(
        f"select to_tensor(x, {SHAPE}) as y from t where x is not null", t=table
    ).column("y")
    (chunk,) = kept.chunks
    assert np.array_equal(tensor_column.to_numpy(chunk), PIXELS[[0, 2]])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("decode_image(x)", "decode_image needs the shape of a row"),
        ("decode_image(x, shape => array[2, 4, 4])", "images of 1 or 3 channels"),
        ("decode_image(x, shape => array[3, 4, 0])", "needs the shape of a row"),
        ("decode_image(x, size => 3)", "has no attribute size: it has shape, resize"),
        ("decode_image(1, shape => array[3, 4, 4])", "takes PNG or JPEG files"),
        ("to_tensor('a', shape => array[3])", "holds no images"),
    ],
)
def test_refused(call: str, message: str) -> None:
    with pytest.raises(InvalidPlanError, match=message):
        columnar_nn.sql(f"select {call} from t", t=pa.table({"x": [b""]}))


@pytest.mark.parametrize("cut", [0, 1, 20, 60, 200])
def test_a_damaged_file_is_one_line(cut: int) -> None:
    for kind in ("PNG", "JPEG"):
        with pytest.raises(InvalidDataError) as caught:
            encoded_images.decode(encoded(PIXELS[0], kind)[:cut], (3, 32, 32))
        assert "\n" not in str(caught.value)


def test_a_huge_image_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoded_images, "MAX_PIXELS", 100)
    with pytest.raises(InvalidDataError, match="an image has 32x32 pixels: at most 100 are"):
        encoded_images.decode(encoded(PIXELS[0]), (3, 32, 32))
