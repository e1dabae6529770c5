"""Downloads from a server on this machine: whole and right, or not at all."""

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cifar10_files import split_files, write_archive

from bench.data import cifar_binary
from bench.data import fetch as fetching
from bench.data.fetch import Download, fetch
from columnar_nn.errors import InvalidDataError, UsageError

CONTENT = bytes(range(256)) * 5_000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    """Serves CONTENT, in several ways: the path says which."""

    requests = 0

    def do_GET(self) -> None:
        type(self).requests += 1
        if "absent" in self.path:
            self.send_error(404)
            return
        if "redirect" in self.path:
            self.send_response(302)
            self.send_header("Location", "/data.bin")
            self.end_headers()
            return
        self.send_response(200)
        if "unsized" not in self.path:
            self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[:100_000] if "cut" in self.path else CONTENT)

    def log_message(self, *arguments: object) -> None:
        """Says nothing."""


@pytest.fixture
def server() -> Iterator[str]:
    _Handler.requests = 0
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def silent(received: int, total: int | None) -> None:
    """A progress bar that shows nothing."""


def test_the_file_arrives_whole_and_progress_is_told(server: str, tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    path = fetch(
        Download(f"{server}/data.bin", SHA256), tmp_path / "new", lambda *now: told.append(now)
    )
    assert path == tmp_path / "new" / "data.bin"
    assert path.read_bytes() == CONTENT
    assert told[0] == (0, len(CONTENT))
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert len(told) > 3, "in pieces"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("name", ["unsized.bin", "redirect.bin"])
def test_servers_need_not_say_the_size_and_may_redirect(
    name: str, server: str, tmp_path: Path
) -> None:
    assert fetch(Download(f"{server}/{name}", SHA256), tmp_path, silent).read_bytes() == CONTENT


def test_a_file_already_right_is_not_fetched_again(server: str, tmp_path: Path) -> None:
    source = Download(f"{server}/data.bin", SHA256)
    fetch(source, tmp_path, silent)
    fetch(source, tmp_path, silent)
    assert _Handler.requests == 1
    (tmp_path / "data.bin").write_bytes(b"spoilt")
    assert fetch(source, tmp_path, silent).read_bytes() == CONTENT
    assert _Handler.requests == 2


@pytest.mark.parametrize(
    ("name", "sha256", "expected"),
    [
        ("absent.bin", SHA256, ["HTTP status 404"]),
        ("cut.bin", SHA256, ["100000", "1280000"]),
        ("cut.unsized.bin", SHA256, ["SHA-256 of its 100000 bytes", SHA256]),
        ("data.bin", "0" * 64, ["SHA-256 of its 1280000 bytes is " + SHA256, "0" * 64]),
    ],
)
def test_failures_are_one_line_and_leave_what_was_there(
    name: str, sha256: str, expected: list[str], server: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(b"before")
    with pytest.raises(InvalidDataError) as raised:
        fetch(Download(f"{server}/{name}", sha256), tmp_path, silent)
    message = str(raised.value)
    assert f"{server}/{name}" in message
    assert "\n" not in message
    assert [part for part in expected if part not in message] == []
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == b"before"


@pytest.mark.parametrize("name", ["data.bin", "unsized.bin"])
def test_what_is_too_large_is_not_kept(
    name: str, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "MAX_BYTES", 300_000)
    with pytest.raises(InvalidDataError, match="more than 300,000 bytes; nothing was kept"):
        fetch(Download(f"{server}/{name}", SHA256), tmp_path, silent)
    assert list(tmp_path.iterdir()) == []


def test_an_interruption_leaves_nothing(server: str, tmp_path: Path) -> None:
    def interrupt(received: int, total: int | None) -> None:
        if received:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(Download(f"{server}/data.bin", SHA256), tmp_path, interrupt)
    assert list(tmp_path.iterdir()) == []


def test_nobody_listening_is_one_line(server: str, tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as closed:
        address = f"http://127.0.0.1:{closed.server_port}/data.bin"
    with pytest.raises(InvalidDataError, match=r"download failed: .*refused"):
        fetch(Download(address, SHA256), tmp_path, silent)


@pytest.mark.parametrize(
    "url", ["file:///etc/hostname", "data.bin", "http://127.0.0.1/", "http://x/..", "http://[x"]
)
def test_other_addresses_are_wrong_usage(url: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected the http"):
        fetch(Download(url, SHA256), tmp_path, silent)


def test_a_folder_that_cannot_be_made_is_wrong_usage(server: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UsageError, match="cannot write"):
        fetch(Download(f"{server}/data.bin", SHA256), tmp_path / "file" / "folder", silent)


def test_what_was_fetched_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: str
) -> None:
    files = split_files(3)
    archive = write_archive(tmp_path / "made.tar.gz", files).read_bytes()
    monkeypatch.setattr(f"{__name__}.CONTENT", archive)
    source = Download(f"{server}/cifar.tar.gz", hashlib.sha256(archive).hexdigest())
    path = fetch(source, tmp_path / "fetched", silent)
    blocks = list(cifar_binary.read_records(path))
    assert b"".join(block.tobytes() for block in blocks) == files["test_batch.bin"]
