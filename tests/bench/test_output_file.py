"""What a file is that a command is to write, and what becomes of it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.files.output import OutputFile
from columnar_nn.errors import UsageError

CONTENT = b"content\n"


def at(path: Path) -> OutputFile:
    output = OutputFile(str(path))
    output.check()
    return output


@pytest.fixture
def umask() -> Iterator[None]:
    """The usual one, whatever the tests are run under."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def test_a_new_file_has_the_mode_of_the_umask(tmp_path: Path, umask: None) -> None:
    at(tmp_path / "new").write(CONTENT)
    assert (tmp_path / "new").read_bytes() == CONTENT
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o644
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_a_file_that_was_there_keeps_its_mode_and_is_replaced_whole(tmp_path: Path) -> None:
    file = tmp_path / "old"
    file.write_bytes(b"before")
    file.chmod(0o640)
    with file.open("rb") as reader:
        at(file).write(CONTENT)
        assert reader.read() == b"before"
    assert file.read_bytes() == CONTENT
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


@pytest.mark.parametrize("link", ["relative", "absolute", "through a folder", "dangling"])
def test_a_link_stays_and_what_it_names_is_written(tmp_path: Path, link: str) -> None:
    target = tmp_path / "folder" / "target"
    target.parent.mkdir()
    if link != "dangling":
        target.write_bytes(b"before")
    (tmp_path / "other").symlink_to("folder")
    name = {"relative": "folder/target", "through a folder": "other/target"}.get(link, str(target))
    (tmp_path / "first").symlink_to(name)
    (tmp_path / "link").symlink_to("first")
    output = at(tmp_path / "link")
    assert output.replaced == target
    output.write(CONTENT)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "first").is_symlink()
    assert target.read_bytes() == CONTENT
    assert [path.name for path in target.parent.iterdir()] == ["target"]


@pytest.mark.parametrize("how", ["write", "new_file"])
@pytest.mark.parametrize("linked", [False, True])
def test_a_fifo_is_written_to_and_stays(tmp_path: Path, how: str, linked: bool) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    (tmp_path / "link").symlink_to(fifo)
    output = at(tmp_path / "link" if linked else fifo)
    assert output.replaced is None
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(fifo.read_bytes()))
    reader.start()
    if how == "write":
        output.write(CONTENT)
    else:
        with output.new_file() as file:
            file.write_bytes(CONTENT)
    reader.join()
    assert read == [CONTENT]
    assert fifo.is_fifo()


def test_a_device_is_written_to_and_never_replaced(tmp_path: Path) -> None:
    """Of the machine's devices only what would be done is asked; a copy of one is written to."""
    for name in ("/dev/null", "/dev/full", "/dev/zero", "/dev/tty"):
        assert OutputFile(name).replaced is None
    device = tmp_path / "null"
    try:
        os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(1, 3))
        at(device).write(CONTENT)
    except PermissionError:
        pytest.skip("only root makes devices, and not everywhere")
    assert device.is_char_device()


@pytest.mark.skipif(sys.platform != "linux", reason="needs /dev/full")
def test_a_device_without_room_says_so(tmp_path: Path) -> None:
    output = OutputFile("/dev/full")
    assert output.replaced is None, "else this test would destroy it"
    output.check()
    with pytest.raises(OSError, match="No space left"):
        output.write(CONTENT)
    assert Path("/dev/full").is_char_device()


def test_an_open_descriptor_is_written_to(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        log.write(b"before ")
        log.flush()
        at(Path(f"/dev/fd/{log.fileno()}")).write(CONTENT)
        log.write(b"after")
    assert (tmp_path / "log").read_bytes() == b"before " + CONTENT + b"after"


@pytest.mark.parametrize("name", ["-", "/dev/stdout", "/dev/fd/1", "shown"])
@pytest.mark.parametrize("to", ["file", "pipe"])
def test_what_is_standard_output_is_shared_with_what_is_shown(
    tmp_path: Path, name: str, to: str
) -> None:
    if name == "shown" and to == "pipe":
        pytest.skip("a pipe has no name")
    program = (
        "import sys; from bench.files.output import OutputFile\n"
        "output = OutputFile(sys.argv[1]); output.check()\n"
        "print('before'); assert output.is_standard_output\n"
        "output.write(b'content\\n'); print('after')"
    )
    shown = tmp_path / "shown"
    with shown.open("wb") as file:
        done = subprocess.run(
            [sys.executable, "-c", program, str(shown) if name == "shown" else name],
            stdout=file if to == "file" else subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            check=True,
        )
    found = shown.read_bytes() if to == "file" else done.stdout
    assert found == b"before\ncontent\nafter\n"


def test_a_block_that_fails_or_writes_nothing_leaves_all_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"before")
    output = at(file)
    with pytest.raises(TypeError), output.new_file() as path:
        path.write_bytes(b"half of i") + b"t"
    with output.new_file():
        pass
    assert file.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent/x", "there is no folder .*absent"),
        ("file/x", "there is no folder .*file"),
        (".", "this is a folder; name a file in it"),
        ("folder", "this is a folder; name a file in it"),
        ("to-folder", "this is a folder; name a file in it"),
        ("loop", "[Ll]evels of symbolic links"),
        ("dangling", "there is no folder"),
        ("x" * 300, "name too long"),
        ("socket", "a disk or a socket"),
    ],
)
def test_what_cannot_be_written_is_refused_before(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "to-folder").symlink_to("folder")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "dangling").symlink_to("absent/x")
    os.mknod(tmp_path / "socket", stat.S_IFSOCK | 0o600)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UsageError, match=message):
        OutputFile(str(tmp_path / name)).check()
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize("what", ["folder", "file"])
def test_what_may_not_be_written_is_refused_before(tmp_path: Path, what: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "file" if what == "file" else tmp_path).chmod(0o555)
    with pytest.raises(UsageError, match="may not be written to"):
        OutputFile(str(tmp_path / "file")).check()
    tmp_path.chmod(0o755)


@pytest.mark.skipif(sys.platform != "linux", reason="needs a file system that takes no files")
def test_a_folder_that_takes_no_files_is_refused_before() -> None:
    with pytest.raises(UsageError, match=r"No such file|Permission denied"):
        OutputFile("/proc/file").check()


def test_a_reader_that_has_had_enough_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        with OutputFile(f"/dev/fd/{write}").new_file() as file:
            file.write_bytes(bytes(2**20))
    finally:
        os.close(write)
