"""`cnn-bench data` as a user runs it."""

import hashlib
import json
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path

import pytest
from cifar10_files import records, split_files, write_archive, write_folder
from PIL import Image

from bench.data.readers import PHOTO10


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cnn_bench", "data", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_info_tells_rows_labels_and_checksum_of_photo10() -> None:
    done = run("info", "--json")
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    file = (PHOTO10 / "test_batch.bin").read_bytes()
    assert facts["sha256"] == hashlib.sha256(file).hexdigest()
    assert facts["bytes"] == len(file)
    assert facts["rows"] == sum(facts["label_counts"]) == 1000
    assert facts["classes"][9] == "flower"


def test_info_prints_a_table_of_labels(tmp_path: Path) -> None:
    files = split_files(20)
    done = run("info", write_folder(tmp_path / "cifar", files), "--split", "train")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "100 images" in lines[0]
    labels = [files[f"data_batch_{n}.bin"][3073 * row] for n in range(1, 6) for row in range(20)]
    (airplanes,) = [line for line in lines if "airplane" in line]
    assert airplanes.split() == ["airplane", "0", str(labels.count(0)), f"{labels.count(0)}.0%"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "empty file"),
        (records(2)[:-1], "record 1 at offset 3073"),
        (b"\x0b" + bytes(3072), "label 11 at offset 0"),
        (None, "no such file"),
    ],
)
def test_wrong_data_is_one_line_and_exit_status_2(
    content: bytes | None, expected: str, tmp_path: Path
) -> None:
    file = tmp_path / "some.bin"
    if content is not None:
        file.write_bytes(content)
    done = run("info", file)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert expected in done.stderr
    assert str(file) in done.stderr


@pytest.mark.skipif(
    not all(map(find_spec, ("skimage", "sklearn", "PIL"))), reason="needs the data extra"
)
def test_info_says_that_it_makes_the_training_split() -> None:
    done = run("info", "--split", "train")
    assert done.returncode == 0, done.stderr
    assert "20,000 images" in done.stdout
    assert done.stderr == "cnn-bench: making the images from their photographs: some seconds\n"


def test_fetch_downloads_what_info_then_reads(tmp_path: Path) -> None:
    folder = tmp_path / "served"
    folder.mkdir()
    archive = write_archive(folder / "cifar-10-binary.tar.gz", split_files(4)).read_bytes()
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/cifar-10-binary.tar.gz"
        address = ["fetch", "cifar10", "--url", url, "--out", tmp_path / "got"]
        refused = run(*address)
        done = run(*address, "--sha256", hashlib.sha256(archive).hexdigest())
        server.shutdown()
        thread.join()
    assert refused.returncode == 2
    assert "SHA-256" in refused.stderr.splitlines()[-1]
    assert done.returncode == 0, done.stderr
    fetched = tmp_path / "got" / "cifar-10-binary.tar.gz"
    assert fetched.read_bytes() == archive
    assert str(fetched) in done.stdout
    assert json.loads(run("info", fetched, "--json").stdout)["rows"] == 4


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["make", "cifar10", "--out", "somewhere"], "only photo10"),
        (["fetch", "imagenet"], "only cifar10"),
        (["fetch", "cifar10", "--url", "ftp://127.0.0.1/x.gz"], "http"),
        (["info", "photo10", "--split", "both"], "both"),
    ],
)
def test_wrong_arguments_are_one_line_and_exit_status_2(
    arguments: list[str], expected: str
) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert expected in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_sheet_that_is_named_as_another_kind_of_picture_is_refused(tmp_path: Path) -> None:
    done = run("info", "photo10", "--sheet", tmp_path / "sheet.jpg")
    assert done.returncode == 2
    assert "a contact sheet is a PNG file: name it .png" in done.stderr
    assert not (tmp_path / "sheet.jpg").exists()


def test_info_names_what_it_leaves_out_and_writes_a_sheet(tmp_path: Path) -> None:
    folder = tmp_path / "pets"
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        Image.new("RGB", (20, 10), "red").save(folder / name / "a.png")
    Image.new("RGB", (90, 100), "blue").save(folder / "dog" / "large.png")
    (folder / "dog" / "b.png").write_bytes(b"none")
    done = run("info", folder, "--sheet", tmp_path / "sheet.png")
    assert done.returncode == 0, done.stderr
    assert "folders of images, a class each, 3x10x20 to 3x100x90 uint8; for a" in done.stdout
    assert "1 left out of the images: dog/b.png (an image cannot be decoded" in done.stdout
    assert "▀" not in done.stdout, "pictures are for terminals"
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (256, 140)
