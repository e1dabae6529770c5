"""Downloads with a known checksum: the file appears whole and right, or not at all."""

from __future__ import annotations

import hashlib
import http.client
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from bench.files.output import OutputFile
from columnar_nn.errors import InvalidDataError, UsageError

TIMEOUT_S = 30.0
"""Longest silence of the server, in seconds."""

MAX_BYTES = 1 << 30
"""A server that sends more sends something else; CIFAR-10's archive has 170 MB."""

_CHUNK_BYTES = 1 << 18


@dataclass(frozen=True)
class Download:
    """A file on the web and the SHA-256, in hex, of its contents."""

    url: str
    sha256: str


CIFAR10 = Download(
    "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    # The archive whose MD5, as its page says, is c32a1d4ab5d03f1284b67883e8d87530.
    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
)

Received = Callable[[int, int | None], None]
"""Told the bytes received so far, and all there are to come if the server says."""


def fetch(source: Download, folder: str | Path, progress: Received) -> Path:
    """Downloads a file into `folder`, made if need be, and returns its path.

    A file that is there already with the right checksum is left alone. Raises UsageError for an
    address that is not http(s) or a folder that cannot be written, and InvalidDataError if the
    server fails or what it sends is cut short or has another checksum.
    """
    try:
        address = urlsplit(source.url)
    except ValueError:
        address = urlsplit("")
    name = Path(address.path).name
    if address.scheme not in ("http", "https") or name in ("", ".."):
        raise UsageError(f"{source.url}: expected the http:// or https:// address of a file")
    destination = Path(folder) / name
    try:
        if destination.is_file() and _sha256(destination) == source.sha256:
            return destination
        destination.parent.mkdir(parents=True, exist_ok=True)
        with OutputFile(str(destination)).new_file() as file, file.open("wb") as part:
            _download(source, part, progress)
    except OSError as error:
        raise UsageError(f"cannot write {destination}: {error.strerror or error}") from None
    return destination


def _download(source: Download, part: IO[bytes], progress: Received) -> None:
    """Receives the whole file into `part` and checks it; raises InvalidDataError."""
    digest = hashlib.sha256()
    received = 0
    try:
        response = urllib.request.urlopen(source.url, timeout=TIMEOUT_S)
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise _failed(source, error) from None
    with response:
        length = response.headers.get("Content-Length", "")
        total = int(length) if length.isdecimal() else None
        progress(0, total)
        while True:
            try:
                chunk = response.read(_CHUNK_BYTES)
            except (OSError, http.client.HTTPException) as error:
                raise _failed(source, error, received) from None
            if not chunk:
                break
            part.write(chunk)
            digest.update(chunk)
            received += len(chunk)
            if received > MAX_BYTES:
                raise InvalidDataError(
                    f"{source.url}: more than {MAX_BYTES:,} bytes; nothing was kept: try another "
                    "--url"
                )
            progress(received, total)
    if total is not None and received != total:
        raise InvalidDataError(
            f"{source.url}: cut short at offset {received}; expected {total} bytes; try again"
        )
    part.flush()
    if digest.hexdigest() != source.sha256:
        raise InvalidDataError(
            f"{source.url}: SHA-256 of its {received} bytes is {digest.hexdigest()}; expected "
            f"{source.sha256}; nothing was kept: try again or another --url"
        )


def _failed(source: Download, error: Exception, received: int = 0) -> InvalidDataError:
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(error, urllib.error.HTTPError):
        reason = f"HTTP status {error.code} {error.reason}"
        error.close()
    line = " ".join(str(reason).split()) or type(error).__name__
    at = f" after {received} bytes" if received else ""
    return InvalidDataError(
        f"{source.url}: download failed{at}: {line}; check the connection, or give a mirror's --url"
    )


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
