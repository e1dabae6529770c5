"""A tar archive read as a stream, in time and memory that no archive can exceed.

Python's tarfile takes the memory that a header asks for (a name of 6 GB), keeps every member that
it has passed, and reads any number of them. This reads what archives of data sets are made of:
members of POSIX ustar with the long names of GNU tar and the records of pax (IEEE Std 1003.1, "pax
Interchange Format").
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

MAX_BYTES = 1 << 30
"""All that is read of an archive, decompressed. CIFAR-10's has 184 MB."""

MAX_HEADERS = 10_000
"""Members and the headers that belong to them; CIFAR-10's archive has 9."""

MAX_EXTENSION_BYTES = 1 << 14
"""Of a header that holds a long name or pax records."""

_BLOCK_BYTES = 512
_CHUNK_BYTES = 1 << 18
_FILES, _WITHOUT_CONTENTS = b"07\0", b"123456"
_LONG_NAME, _RECORDS, _PASSED_OVER = b"L", b"xX", b"gK"
_SPARSE = "sparse members are not read"


@dataclass(frozen=True)
class Member:
    """A member's name, its bytes, and whether it is a regular file."""

    name: str
    size: int
    is_file: bool


class TarStream:
    """The members of an archive, in its order; all methods raise tarfile.TarError.

    They do so for what is no archive, for sparse members, and where a bound is passed.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._allowed = MAX_BYTES
        self._unread = 0

    def members(self) -> Iterator[Member]:
        """Each member once; `read` gives its contents until the next one is asked for."""
        extensions: dict[str, str] = {}
        for _ in range(MAX_HEADERS):
            header = self._header()
            if header is None:
                return
            kind, size = header[156:157], _number(header[124:136])
            if kind == b"S":
                raise tarfile.ReadError(_SPARSE)
            if kind in _LONG_NAME + _RECORDS + _PASSED_OVER:
                content = self._extension(size)
                if kind in _LONG_NAME:
                    extensions["path"] = _text(content)
                elif kind in _RECORDS:
                    extensions |= _records(content)
                continue
            if any(key.startswith("GNU.sparse.") for key in extensions):
                raise tarfile.ReadError(_SPARSE)
            name = extensions.get("path") or _name(header)
            size = _decimal(extensions["size"]) if "size" in extensions else size
            extensions = {}
            size = 0 if kind in _WITHOUT_CONTENTS else size
            self._unread = size
            yield Member(name, size, kind in _FILES and not name.endswith("/"))
            while self.read(_CHUNK_BYTES):
                pass
            if self._unread:
                raise tarfile.ReadError("it ends inside a member")
            self._exactly(-size % _BLOCK_BYTES)
        raise tarfile.ReadError(f"more than {MAX_HEADERS:,} members")

    def read(self, num_bytes: int) -> bytes:
        """Up to so many bytes of the present member; fewer only at its end or the archive's."""
        content = self._take(min(num_bytes, self._unread))
        self._unread -= len(content)
        return content

    def drain(self) -> None:
        """Reads what is behind the last member, since a gzip file's checksum comes last."""
        while self._take(_CHUNK_BYTES):
            pass

    def _header(self) -> bytes | None:
        """The next header, None at the end of the archive."""
        at_start = self._allowed == MAX_BYTES
        block = self._take(_BLOCK_BYTES)
        if at_start and not block.strip(b"\0"):
            raise tarfile.ReadError("empty")
        if not block.strip(b"\0"):
            return None
        if len(block) < _BLOCK_BYTES:
            raise tarfile.ReadError("it ends inside a header")
        blanked = block[:148] + b" " * 8 + block[156:]
        if _number(block[148:156]) != sum(blanked):
            raise tarfile.ReadError("a header has another checksum")
        return block

    def _extension(self, size: int) -> bytes:
        if size > MAX_EXTENSION_BYTES:
            raise tarfile.ReadError(f"a name or comment of {size:,} bytes")
        return self._exactly(size + -size % _BLOCK_BYTES)[:size]

    def _exactly(self, num_bytes: int) -> bytes:
        content = self._take(num_bytes)
        if len(content) < num_bytes:
            raise tarfile.ReadError("it ends inside a member")
        return content

    def _take(self, num_bytes: int) -> bytes:
        content = self._stream.read(num_bytes)
        self._allowed -= len(content)
        if self._allowed < 0:
            raise tarfile.ReadError(f"more than {MAX_BYTES:,} bytes when decompressed")
        return content


def _name(header: bytes) -> str:
    name, prefix = _text(header[:100]), _text(header[345:500])
    # GNU tar has other things in the place of the prefix.
    return f"{prefix}/{name}" if prefix and header[257:263] == b"ustar\0" else name


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode(errors="replace")


def _number(field: bytes) -> int:
    """A number in octal digits or, its first bit set, in base 256."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.partition(b"\0")[0].strip(b" ")
    if digits.strip(b"01234567"):
        raise tarfile.ReadError("a header holds no number where one must be")
    return int(digits or b"0", 8)


def _decimal(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 20):
        raise tarfile.ReadError("a header holds no number where one must be")
    return int(text)


def _records(content: bytes) -> dict[str, str]:
    """Keywords and values of pax records, each of which is "length keyword=value\\n"."""
    records = {}
    while content:
        digits = content[:20].partition(b" ")[0]
        length = _decimal(digits.decode(errors="replace"))
        record = content[len(digits) + 1 : length]
        if not record.endswith(b"\n"):
            raise tarfile.ReadError("damaged pax records")
        keyword, _, value = record[:-1].partition(b"=")
        records[_text(keyword)] = _text(value)
        content = content[length:]
    return records
