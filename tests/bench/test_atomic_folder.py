"""A folder that appears whole or not at all."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from bench.files.atomic_folder import new_folder
from columnar_nn.errors import UsageError


def test_a_full_disk_is_said_of_the_folder(tmp_path: Path) -> None:
    full = pytest.raises(UsageError, match=r"cannot write .*new: No space left on device")
    with full, new_folder(tmp_path / "new"):
        raise OSError(errno.ENOSPC, "Error writing bytes to file")
    assert not list(tmp_path.iterdir())


def test_another_error_is_its_own(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"images\.npy"), new_folder(tmp_path / "new"):
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", "images.npy")
    assert not list(tmp_path.iterdir())
